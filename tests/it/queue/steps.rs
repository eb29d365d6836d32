//! Tests of jobs that wait for others, and of successors that are enqueued with the completion of a job.

use std::slice::from_ref;

use viraldb::Error;
use viraldb::queue::{JobWait, Lease};

use super::*;
use crate::support::both;

fn job(db: &Database, job_type: JobType) -> NewVideoProcessingJob<'static> {
    db.write(|c| {
        let video = make::video(c).insert(c)?;
        Ok(NewVideoProcessingJob::new(video.id, video.channel_id, job_type))
    })
    .unwrap()
}

fn due(db: &Database) -> Vec<VideoProcessingJobId> {
    let claimed = claim(db, &Claim::new("w").at_most(100));
    db.write(|c| queue::release_many(c, &claimed)).unwrap();
    let mut due = ids(&claimed);
    due.sort_unstable();
    due
}

fn done(db: &Database, id: VideoProcessingJobId) {
    let claimed = claim(db, &Claim::new("w").at_most(100));
    let (these, others): (Vec<_>, Vec<_>) = claimed.iter().partition(|job| job.id == id);
    db.write(|c| queue::release_many(c, others)).unwrap();
    let lost = db.write(|c| queue::complete_many(c, these.clone())).unwrap();
    assert!(these.len() == 1 && lost.is_empty());
}

both! {
    fn a_job_waits_until_all_others_are_completed(t) {
        let db = t.db();
        let [a, b, last] = [JobType::Download, JobType::Scrape, JobType::Publish].map(|word| job(&db, word));
        db.write(|c| queue::enqueue_many(c, &[a.clone(), b.clone()])).unwrap();
        assert_eq!(db.write(|c| queue::enqueue_after(c, from_ref(&last), &[b.id, a.id, a.id])).unwrap(), 1);
        let mut first = vec![a.id, b.id];
        first.sort_unstable();
        assert_eq!(due(&db), first);
        let waits = db.read(|c| JobWait::of_job(c, last.id)).unwrap();
        assert_eq!(waits.iter().map(|wait| wait.waits_for).collect::<Vec<_>>(), first);

        done(&db, b.id);
        assert_eq!(due(&db), [a.id]);
        assert_eq!(db.read(|c| queue::view(c, last.id)).unwrap().waits_for, [a.id]);
        done(&db, a.id);
        assert_eq!(due(&db), [last.id]);
        assert!(find(&db, last.id).run_at <= Timestamp::now());
    }

    fn a_waiting_job_keeps_its_own_time_and_its_attempts(t) {
        let db = t.db();
        let (first, next) = (job(&db, JobType::Download), job(&db, JobType::Publish));
        let at = make::at(86_400 * 365 * 50);
        let next = NewVideoProcessingJob { run_at: Some(at), max_attempts: Some(7), ..next };
        db.write(|c| { queue::enqueue(c, &first)?; queue::enqueue_after(c, from_ref(&next), &[first.id]) }).unwrap();
        done(&db, first.id);
        assert_eq!((find(&db, next.id).run_at, find(&db, next.id).max_attempts), (at, 7));
        assert!(due(&db).is_empty());
        // Nothing to wait for: the job is enqueued as it is.
        let later = job(&db, JobType::Publish);
        assert_eq!(db.write(|c| queue::enqueue_after(c, from_ref(&later), &[first.id])).unwrap(), 1);
        assert_eq!(due(&db), [later.id]);
    }

    fn a_failed_job_holds_up_the_next_until_it_is_retried_or_deleted(t) {
        let db = t.db();
        for is_deleted in [false, true] {
            let (first, next) = (job(&db, JobType::Download), job(&db, JobType::Publish));
            db.write(|c| { queue::enqueue(c, &first)?; queue::enqueue_after(c, from_ref(&next), &[first.id]) }).unwrap();
            db.write(|c| queue::cancel(c, first.id)).unwrap();
            assert!(due(&db).is_empty());
            if is_deleted {
                db.write(|c| VideoProcessingJob::delete(c, first.id)).unwrap();
            } else {
                db.write(|c| queue::retry(c, first.id)).unwrap();
                assert_eq!(due(&db), [first.id]);
                done(&db, first.id);
            }
            assert_eq!(due(&db), [next.id]);
            db.write(|c| queue::cancel(c, next.id)).unwrap();
        }
    }

    fn a_job_that_another_program_completes_is_noticed_by_a_rescue(t) {
        let db = t.db();
        let (first, next) = (job(&db, JobType::Download), job(&db, JobType::Publish));
        db.write(|c| { queue::enqueue(c, &first)?; queue::enqueue_after(c, from_ref(&next), &[first.id]) }).unwrap();
        db.write(|c| Ok(viraldb::diesel::update(jobs::table.find(first.id))
            .set(jobs::status.eq(JobStatus::Completed)).execute(c)?)).unwrap();
        assert!(due(&db).is_empty());
        db.write(queue::rescue).unwrap();
        assert_eq!(due(&db), [next.id]);
    }

    fn a_job_cannot_wait_for_one_that_does_not_exist(t) {
        let db = t.db();
        let next = job(&db, JobType::Publish);
        let missing = VideoProcessingJobId::default();
        let error = db.write(|c| queue::enqueue_after(c, from_ref(&next), &[missing])).unwrap_err();
        assert!(matches!(error, Error::NotFound { .. }), "{error}");
        assert!(due(&db).is_empty());
    }

    fn only_added_jobs_wait(t) {
        let db = t.db();
        let (first, next) = (job(&db, JobType::Download), job(&db, JobType::Publish));
        let next = NewVideoProcessingJob { unique_key: Some("publish".into()), ..next };
        let same = NewVideoProcessingJob { id: VideoProcessingJobId::default(), ..next.clone() };
        db.write(|c| queue::enqueue(c, &first)).unwrap();
        let added = db.write(|c| queue::enqueue_after(c, &[next.clone(), same.clone()], &[first.id])).unwrap();
        assert_eq!(added, 1);
        done(&db, first.id);
        assert_eq!(due(&db).len(), 1);
    }

    fn a_successor_is_enqueued_only_if_the_job_is_completed(t) {
        let db = t.db();
        let (first, next) = (job(&db, JobType::Download), job(&db, JobType::Publish));
        db.write(|c| queue::enqueue(c, &first)).unwrap();
        let claimed = claim(&db, &Claim::new("w"));
        let job = db.write(|c| queue::complete_and_enqueue(c, &claimed[0], from_ref(&next))).unwrap();
        assert_eq!(job.status, JobStatus::Completed);
        assert_eq!(due(&db), [next.id]);

        let claimed = claim(&db, &Claim::new("w"));
        expire(&db, next.id);
        let other = NewVideoProcessingJob { id: VideoProcessingJobId::default(), ..next.clone() };
        let lost = db.write(|c| queue::complete_and_enqueue(c, &claimed[0], from_ref(&other)));
        assert!(matches!(lost, Err(Error::LeaseLost { .. })));
        // An invalid successor undoes the completion.
        db.write(queue::rescue).unwrap();
        let claimed = claim(&db, &Claim::new("w"));
        let bad = NewVideoProcessingJob { max_attempts: Some(0), ..other };
        assert!(db.write(|c| queue::complete_and_enqueue(c, Lease::from(&claimed[0]), from_ref(&bad))).is_err());
        assert_eq!(find(&db, next.id).status, JobStatus::Processing);
    }

    fn a_rescue_does_not_read_the_completed_jobs(t) {
        let db = t.db();
        let shortest = || (0..20).map(|_| {
            let begin = std::time::Instant::now();
            db.write(queue::rescue).unwrap();
            begin.elapsed()
        }).min().unwrap();
        let empty = shortest();
        let row = job(&db, JobType::Download);
        let completed = || NewVideoProcessingJob {
            id: VideoProcessingJobId::default(), status: Some(JobStatus::Completed), ..row.clone()
        };
        let rows: Vec<_> = (0..60_000).map(|_| completed()).collect();
        db.write(|c| NewVideoProcessingJob::insert_many(c, &rows)).unwrap();
        let full = shortest();
        assert!(full < empty * 5 + Duration::from_millis(3), "{empty:?} without jobs, {full:?} with 60,000");
    }

    /// Both transactions that complete the last two jobs see the other one unfinished, unless they wait for each other.
    fn jobs_that_are_completed_concurrently_release_the_one_that_waits(t) {
        let db = t.db();
        for _ in 0..20 {
            let rows: Vec<_> = (0..4).map(|_| job(&db, JobType::Download)).collect();
            let next = job(&db, JobType::Publish);
            let after: Vec<_> = rows.iter().map(|row| row.id).collect();
            db.write(|c| { queue::enqueue_many(c, &rows)?; queue::enqueue_after(c, from_ref(&next), &after) }).unwrap();
            let claimed = claim(&db, &Claim::new("w").at_most(4));
            assert_eq!(claimed.len(), 4);
            let db = &db;
            std::thread::scope(|scope| {
                for job in &claimed {
                    scope.spawn(move || db.write(|c| queue::complete(c, job)).unwrap());
                }
            });
            assert_eq!(due(db), [next.id]);
            db.write(|c| queue::cancel(c, next.id)).unwrap();
        }
    }
}
