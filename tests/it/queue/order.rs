//! Compares which jobs a claim takes, and in which order, with a sort in Rust.

use std::cmp::Reverse;

use viraldb::Error;

use super::*;
use crate::support::both;

/// Returns random jobs with few distinct values in each column, so that ties are common.
fn random_jobs(
    random: &mut fastrand::Rng,
    video: &viraldb::republishing::Video,
) -> Vec<NewVideoProcessingJob<'static>> {
    // Most jobs have one common type, so that claims of other types must skip many rows.
    let common = *random.choice(JobType::ALL).unwrap();
    let now = Timestamp::now();
    let minutes = |n: i64| {
        if n < 0 {
            now - Duration::from_secs(60 * n.unsigned_abs())
        } else {
            now + Duration::from_secs(60 * n as u64)
        }
    };
    (0..random.usize(0..40))
        .map(|_| {
            let job_type = if random.u8(0..4) > 0 { common } else { *random.choice(JobType::ALL).unwrap() };
            let priority = random.i32(-1..3);
            // High-priority jobs are often not due yet.
            let run_at =
                minutes(if random.i32(-3..4) < priority { random.i64(5..8) } else { random.i64(-4..0) });
            let status = match random.u8(0..10) {
                0 => JobStatus::Completed,
                1 => JobStatus::Failed,
                2 => JobStatus::Processing,
                3 => JobStatus::Retrying,
                _ => JobStatus::Queued,
            };
            NewVideoProcessingJob {
                status: Some(status),
                priority: Some(priority),
                run_at: Some(run_at),
                queued_at: Some(minutes(random.i64(-9..-5))),
                ..NewVideoProcessingJob::new(video.id, video.channel_id, job_type)
            }
        })
        .collect()
}

/// Returns the sort key of a claim.
fn key(job: &NewVideoProcessingJob<'_>) -> (Reverse<i32>, Timestamp, Timestamp) {
    (Reverse(job.priority.unwrap()), job.run_at.unwrap(), job.queued_at.unwrap())
}

both! {
    fn claim_of_any_types_matches_a_sort(t) {
        let db = t.db();
        let video = db.write(|c| make::video(c).insert(c)).unwrap();
        let (mut taken, mut left_out) = (0, 0);
        for seed in 0..500 {
            let mut random = fastrand::Rng::with_seed(seed);
            let rows = random_jobs(&mut random, &video);
            // The transaction is rolled back, so that each case starts with an empty queue.
            let result = db.write(|c| {
                NewVideoProcessingJob::insert_many(c, &rows)?;
                let is_waiting = |job: &&NewVideoProcessingJob<'_>| matches!(job.status, Some(JobStatus::Queued | JobStatus::Retrying));
                let mut waiting: Vec<_> = rows.iter().filter(is_waiting).filter(|job| job.run_at.unwrap() <= Timestamp::now()).collect();
                waiting.sort_by_key(|job| key(job));
                for _ in 0..random.usize(1..5) {
                    // An empty list means any type.
                    let types = match random.u8(0..5) {
                        0 => Vec::new(),
                        1 => JobType::ALL.to_vec(),
                        number => random.choose_multiple(JobType::ALL.iter().copied(), number as usize - 1),
                    };
                    let at_most = random.u32(1..20);
                    let told = || format!("seed {seed}, {at_most} of {types:?}");
                    let is_asked = |job: &NewVideoProcessingJob<'_>| types.is_empty() || types.contains(&job.job_type);
                    let expected: Vec<_> = waiting.iter().filter(|job| is_asked(job)).take(at_most as usize).map(|job| key(job)).collect();
                    let claimed = queue::claim(c, &Claim::new("w").types(types.iter().copied()).at_most(at_most))?;
                    // A claim may take any of the jobs that tie, so compare only the sort keys.
                    let found: Vec<_> = claimed.iter().map(|job| (Reverse(job.priority), job.run_at, job.queued_at)).collect();
                    assert_eq!(found, expected, "{}", told());
                    assert!(claimed.is_sorted_by_key(|job| (Reverse(job.priority), job.run_at, job.queued_at, job.id)), "{}", told());
                    for job in &claimed {
                        let at = waiting.iter().position(|waiting| waiting.id == job.id).unwrap_or_else(|| panic!("{}: {job:?}", told()));
                        assert!(is_asked(waiting.remove(at)), "{}: {job:?}", told());
                        assert_eq!((job.status, job.attempts), (JobStatus::Processing, 1), "{}", told());
                    }
                    taken += claimed.len();
                    left_out += waiting.len();
                }
                Err::<(), _>(Error::invalid("case", "is over"))
            });
            assert!(matches!(&result, Err(Error::Invalid { what, .. }) if what == "case"), "seed {seed}: {result:?}");
        }
        assert!(taken > 1_000 && left_out > 1_000, "{taken} and {left_out}");
    }
}
