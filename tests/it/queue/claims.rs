//! Tests of claims and of the operations under a lease.

use viraldb::ConfigValue;
use viraldb::Error;
use viraldb::compilation::NewConfigOverride;
use viraldb::config::Config;
use viraldb::diesel::connection::SimpleConnection;
use viraldb::ops::{Part, Prune};
use viraldb::queue::{Backoff, Failure, Lease, Rescued};
use viraldb::republishing::NewSystemConfiguration;
use viraldb::types::LeaseToken;

use super::*;
use crate::support::{both, newly_prepared, statements};

/// Deletes the jobs that finished before this time, and returns their number.
fn prune(db: &Database, before: Timestamp) -> u64 {
    let usual = Prune::new(&Config::open(db).unwrap()).unwrap();
    let how = Prune { parts: vec![Part::Jobs], finished_before: before, ..usual };
    viraldb::ops::prune(db, &how, &mut |_| Ok(())).unwrap().rows()
}

fn hours(n: i64) -> Timestamp {
    let far = Duration::from_secs(n.unsigned_abs() * 3600);
    if n < 0 { Timestamp::now() - far } else { Timestamp::now() + far }
}

fn is_lost<T: std::fmt::Debug>(result: Result<T, Error>, id: VideoProcessingJobId) -> bool {
    matches!(result, Err(Error::LeaseLost { job }) if job == id.0)
}

/// Inserts jobs that were all queued at the same time two days ago and completed an hour later.
fn enqueue_finished(db: &Database, count: usize) {
    db.write(|c| {
        let video = make::video(c).insert(c)?;
        let rows: Vec<_> = (0..count)
            .map(|_| NewVideoProcessingJob {
                queued_at: Some(hours(-48)),
                status: Some(JobStatus::Completed),
                completed_at: Some(hours(-47)),
                ..NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download)
            })
            .collect();
        NewVideoProcessingJob::insert_many(c, &rows)
    })
    .unwrap();
}

both! {
    fn claim_orders_due_jobs_by_priority_then_run_at_then_age(t) {
        let db = t.db();
        let [late, urgent, early, old, _future, of_another_type] = put(&db, [
            |j| j.run_at = Some(hours(-1)),
            |j| j.priority = Some(5),
            |j| j.run_at = Some(hours(-3)),
            |j| { j.run_at = Some(hours(-2)); j.queued_at = Some(hours(-9)); },
            |j| { j.priority = Some(9); j.run_at = Some(hours(1)); },
            |j| { j.priority = Some(7); j.job_type = JobType::Publish; },
        ]);
        let [young] = put(&db, [|j| j.run_at = Some(hours(-2))]);
        db.write(|c| Ok(viraldb::diesel::update(jobs::table.find(young)).set(jobs::run_at.eq(find(&db, old).run_at)).execute(c)?)).unwrap();
        let downloads = Claim::new("w").types([JobType::Download]);
        assert_eq!(ids(&claim(&db, &downloads.clone().at_most(2))), [urgent, early]);
        assert_eq!(ids(&claim(&db, &Claim::new("w").at_most(2))), [of_another_type, old]);
        assert_eq!(ids(&claim(&db, &Claim::new("w").types([JobType::Publish, JobType::Download]).at_most(50))), [young, late]);
        assert!(claim(&db, &downloads).is_empty());
    }

    fn claim_records_the_worker_and_the_lease_expiry(t) {
        let db = t.db();
        let [id] = put(&db, [|_| ()]);
        let before = Timestamp::now();
        let taken = claim(&db, &Claim::new("worker-1").lease(Duration::from_secs(90)));
        assert_eq!(taken[0], find(&db, id));
        let job = &taken[0];
        assert_eq!((job.status, job.attempts, job.leased_by.as_deref()), (JobStatus::Processing, 1, Some("worker-1")));
        let lease = job.lease_expires_at.unwrap().hours_since(job.started_at.unwrap()) * 3600.0;
        assert!((89.9..90.1).contains(&lease), "{lease}");
        assert!(job.started_at.unwrap().hours_since(before).abs() * 3600.0 < 5.0);
    }

    fn repeated_worker_statements_stay_prepared(t) {
        let db = t.db();
        put(&db, [|_| (); 12]);
        let mut session = db.session().unwrap();
        let round = |c: &mut viraldb::DbConnection| {
            let jobs = queue::claim(c, &Claim::new("w").at_most(5))?;
            queue::heartbeat(c, &jobs[0], LONG)?;
            queue::complete(c, &jobs[0])?;
            queue::fail(c, &jobs[1], &Failure::new("403"))?;
            queue::release(c, &jobs[2])?;
            queue::complete_many(c, &jobs[3..])
        };
        let first = newly_prepared(&mut session, round);
        assert_eq!(first.iter().filter(|sql| sql.contains(" SET ")).count(), 6, "{first:#?}");
        assert_eq!(newly_prepared(&mut session, round), Vec::<String>::new());
        // Every statement of this round was already prepared in the first round.
        let again = statements(&mut session, round);
        let kept: Vec<_> = again.iter().filter(|sql| sql.contains("video_processing_jobs")).collect();
        assert!(kept.iter().all(|sql| first.contains(sql)), "{kept:?}");
    }

    fn duplicate_id_is_a_conflict_not_a_skipped_job(t) {
        let db = t.db();
        let video = db.write(|c| make::video(c).insert(c)).unwrap();
        let job = NewVideoProcessingJob { unique_key: Some("k".into()), ..NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download) };
        db.write(|c| queue::enqueue(c, &job)).unwrap().unwrap();
        let other = NewVideoProcessingJob { id: Default::default(), ..job.clone() };
        assert_eq!(db.write(|c| queue::enqueue(c, &other)).unwrap(), None, "the key is taken");
        db.write(|c| queue::cancel(c, job.id)).unwrap();
        for refused in [db.write(|c| queue::enqueue(c, &job)).map(|_| 0), db.write(|c| queue::enqueue_many(c, &[other.clone(), job.clone()]))] {
            assert!(matches!(&refused, Err(Error::Conflict { constraint, .. }) if constraint == "video_processing_jobs_pkey"), "{refused:?}");
        }
        assert_eq!(db.write(|c| queue::enqueue_many(c, std::slice::from_ref(&other))).unwrap(), 1);
        assert!(matches!(db.write(|c| queue::enqueue(c, &NewVideoProcessingJob { unique_key: Some("".into()), ..other.clone() })), Err(Error::Invalid { .. })));
    }

    fn complete_many_accepts_repeated_leases_and_reports_a_lost_job_once(t) {
        let db = t.db();
        let [id, _] = put(&db, [|_| (); 2]);
        let jobs = claim(&db, &Claim::new("w").at_most(2));
        let held = jobs.iter().find(|job| job.id == id).unwrap();
        let stale = Lease::new(id, LeaseToken::default());
        assert_eq!(db.write(|c| queue::complete_many(c, [Lease::from(held), stale, Lease::from(held), stale])).unwrap(), [id]);
        assert_eq!(find(&db, id).status, JobStatus::Completed);
    }

    fn out_of_range_lease_lengths_are_rejected(t) {
        let db = t.db();
        put(&db, [|_| ()]);
        let job = claim(&db, &Claim::new("w")).remove(0);
        for length in [Duration::ZERO, Duration::from_nanos(1), Duration::from_secs(31 * 86_400), Duration::MAX] {
            assert!(matches!(db.write(|c| queue::heartbeat(c, &job, length)), Err(Error::Invalid { .. })), "{length:?}");
            assert!(matches!(db.write(|c| queue::claim(c, &Claim::new("w").lease(length))), Err(Error::Invalid { .. })), "{length:?}");
        }
        db.write(|c| queue::complete(c, &job)).unwrap();
        assert_eq!(prune(&db, Timestamp::now() - Duration::MAX), 0);
        db.read(|c| queue::stats(c, Duration::MAX)).unwrap();
    }

    fn concurrent_enqueues_of_the_same_keys_do_not_deadlock(t) {
        let (one, other) = (t.db(), t.db());
        let video = one.write(|c| make::video(c).insert(c)).unwrap();
        let jobs = |order: &mut dyn Iterator<Item = usize>| -> Vec<NewVideoProcessingJob<'static>> {
            order.map(|n| NewVideoProcessingJob { unique_key: Some(format!("k{n}").into()), ..NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download) }).collect()
        };
        let (up, down) = (jobs(&mut (0..500)), jobs(&mut (0..500).rev()));
        let put: usize = std::thread::scope(|s| {
            let up = s.spawn(|| one.write(|c| queue::enqueue_many(c, &up)).unwrap());
            let down = s.spawn(|| other.write(|c| queue::enqueue_many(c, &down)).unwrap());
            up.join().unwrap() + down.join().unwrap()
        });
        assert_eq!(put, 500);
    }

    fn concurrent_completions_of_the_same_jobs_do_not_deadlock(t) {
        const JOBS: usize = 500;
        let (one, other) = (t.db(), t.db());
        for _ in 0..5 {
            let video = one.write(|c| make::video(c).insert(c)).unwrap();
            let rows: Vec<_> = (0..JOBS).map(|_| NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download)).collect();
            one.write(|c| queue::enqueue_many(c, &rows)).unwrap();
            let up = claim(&one, &Claim::new("w").at_most(JOBS as u32));
            let down: Vec<_> = up.iter().rev().collect();
            let start = std::sync::Barrier::new(2);
            let lost: usize = std::thread::scope(|s| {
                let up = s.spawn(|| { start.wait(); one.write(|c| queue::complete_many(c, &up)).unwrap().len() });
                let down = s.spawn(|| { start.wait(); other.write(|c| queue::complete_many(c, down)).unwrap().len() });
                up.join().unwrap() + down.join().unwrap()
            });
            assert_eq!(lost, JOBS, "each job was completed by exactly one of the two");
        }
    }

    fn prune_deletes_only_finished_jobs(t) {
        let db = t.db();
        // More finished jobs than fit in one batch, and two jobs that still wait.
        let [waiting, _] = put(&db, [|j| j.queued_at = Some(hours(-100)), |j| j.queued_at = Some(hours(-90))]);
        enqueue_finished(&db, 2_500);
        assert_eq!(prune(&db, hours(-49)), 0);
        assert_eq!(prune(&db, hours(-1)), 2_500);
        assert_eq!(find(&db, waiting).status, JobStatus::Queued);
    }

    fn invalid_claims_are_rejected(t) {
        let db = t.db();
        for bad in [Claim::new(" "), Claim::new("w").at_most(0), Claim::new("w").at_most(10_001), Claim::new("w").lease(Duration::ZERO)] {
            let refused = db.write(|c| queue::claim(c, &bad));
            assert!(matches!(refused, Err(Error::Invalid { .. })), "{bad:?}: {refused:?}");
        }
    }

    fn a_job_is_completed_once_and_only_under_its_lease(t) {
        let db = t.db();
        let [id] = put(&db, [|_| ()]);
        let unclaimed = find(&db, id);
        assert!(is_lost(db.write(|c| queue::complete(c, &unclaimed)), id));

        let first = claim(&db, &Claim::new("w")).remove(0);
        assert!(is_lost(db.write(|c| queue::complete(c, Lease::new(id, LeaseToken::default()))), id));
        expire(&db, id);
        let before = find(&db, id);
        assert!(is_lost(db.write(|c| queue::complete(c, &first)), id));
        assert!(is_lost(db.write(|c| queue::heartbeat(c, &first, LONG)), id));
        assert!(is_lost(db.write(|c| queue::fail(c, &first, &Failure::new("late"))), id));
        assert!(is_lost(db.write(|c| queue::release(c, &first)), id));
        assert_eq!(db.write(|c| queue::complete_many(c, [&first])).unwrap(), [id]);
        assert_eq!(find(&db, id), before, "an operation with a stale lease changes nothing");

        // A worker with the same name claims the job again; the first claim stays lost.
        assert_eq!(rescued(db.write(queue::rescue)), (1, 0));
        let second = claim(&db, &Claim::new("w")).remove(0);
        assert_eq!((second.id, second.attempts), (id, 2));
        assert_ne!(first.lease_token, second.lease_token);
        assert!(is_lost(db.write(|c| queue::complete(c, &first)), id));
        assert!(is_lost(db.write(|c| queue::heartbeat(c, &first, LONG)), id));

        let done = db.write(|c| queue::complete(c, &second)).unwrap();
        assert_eq!((done.status, done.duration, done.lease_token, done.leased_by.as_deref()), (JobStatus::Completed, Some(0), None, None));
        assert!(done.completed_at >= done.started_at);
        assert!(is_lost(db.write(|c| queue::complete(c, &second)), id));
        assert_eq!(find(&db, id), done);
    }

    fn heartbeat_extends_the_lease(t) {
        let db = t.db();
        let [id] = put(&db, [|_| ()]);
        let job = claim(&db, &Claim::new("w")).remove(0);
        let kept = db.write(|c| queue::heartbeat(c, &job, LONG)).unwrap();
        assert!(kept.lease_expires_at.unwrap().hours_since(Timestamp::now()) > 0.9);
        assert_eq!(kept.lease_token, job.lease_token);
        assert_eq!(db.write(queue::rescue).unwrap(), Rescued::default());
        db.write(|c| queue::complete(c, &job)).unwrap();
        assert!(is_lost(db.write(|c| queue::heartbeat(c, &job, LONG)), id));
    }

    fn complete_many_completes_held_jobs_and_returns_lost_ones(t) {
        let db = t.db();
        put(&db, [|_| (), |_| (), |_| ()]);
        let [mine] = put(&db, [|j| j.priority = Some(-1)]);
        let mut taken = claim(&db, &Claim::new("w").at_most(3));
        expire(&db, taken[1].id);
        // Use the token of another claim, which holds a different job in the same list.
        let other = claim(&db, &Claim::new("w")).remove(0);
        assert_eq!(other.id, mine);
        taken[2].lease_token = other.lease_token;
        let mut lost = db.write(|c| queue::complete_many(c, taken.iter().chain([&other]))).unwrap();
        lost.sort();
        let mut expected = vec![taken[1].id, taken[2].id];
        expected.sort();
        assert_eq!(lost, expected);
        assert_eq!([&taken[0], &taken[1], &taken[2], &other].map(|job| find(&db, job.id).status), [JobStatus::Completed, JobStatus::Processing, JobStatus::Processing, JobStatus::Completed]);
        assert_eq!(db.write(|c| queue::complete_many(c, &Vec::<VideoProcessingJob>::new())).unwrap(), []);
    }

    fn failed_attempts_back_off_until_the_job_fails(t) {
        let db = t.db();
        let [id] = put(&db, [|_| ()]);
        let failure = Failure { details: Some(viraldb::Json(serde_json::json!({"code": 403}))), ..Failure::new("no right") };
        for attempt in 1..=3 {
            let job = claim(&db, &Claim::new("w")).remove(0);
            assert_eq!(job.attempts, attempt);
            let failed = db.write(|c| queue::fail(c, &job, &failure)).unwrap();
            assert_eq!((failed.error_message.as_deref(), &failed.error_details, failed.lease_token), (Some("no right"), &failure.details, None));
            let wait = failed.run_at.hours_since(Timestamp::now()) * 3600.0;
            if attempt == 3 {
                assert_eq!((failed.status, failed.duration), (JobStatus::Failed, Some(0)));
                assert!(failed.completed_at.is_some());
            } else {
                let most = 30.0 * f64::from(attempt);
                assert_eq!(failed.status, JobStatus::Retrying);
                assert!((most / 2.0 - 2.0..=most).contains(&wait), "attempt {attempt} waits {wait} s");
                assert!(claim(&db, &Claim::new("w")).is_empty());
                db.write(|c| Ok(viraldb::diesel::update(jobs::table.find(id)).set(jobs::run_at.eq(hours(-1))).execute(c)?)).unwrap();
            }
        }
        assert!(claim(&db, &Claim::new("w")).is_empty());
        assert!(matches!(db.write(|c| queue::fail(c, &find(&db, id), &Failure::new(""))), Err(Error::Invalid { .. })));

        let again = db.write(|c| queue::retry(c, id)).unwrap();
        assert_eq!((again.status, again.attempts, again.completed_at, again.duration), (JobStatus::Queued, 0, None, None));
        assert!(matches!(db.write(|c| queue::retry(c, id)), Err(Error::Invalid { what, .. }) if what.contains(&id.to_string())));
        assert_eq!(ids(&claim(&db, &Claim::new("w"))), [id]);
    }

    fn release_does_not_count_the_attempt(t) {
        let db = t.db();
        let [id] = put(&db, [|_| ()]);
        let job = claim(&db, &Claim::new("w")).remove(0);
        let released = db.write(|c| queue::release(c, &job)).unwrap();
        assert_eq!((released.attempts, is_waiting(&released)), (0, true));
        let again = claim(&db, &Claim::new("w2")).remove(0);
        assert_eq!((again.id, again.attempts), (id, 1));
    }

    fn jobs_of_dead_workers_are_retried_or_failed(t) {
        let db = t.db();
        let [a, b, running] = put(&db, [|_| (), |j| j.max_attempts = Some(1), |_| ()]);
        claim(&db, &Claim::new("dead").at_most(3));
        expire(&db, a);
        expire(&db, b);
        assert_eq!(rescued(db.write(queue::rescue)), (1, 1));
        assert!(is_waiting(&find(&db, a)));
        assert_eq!(find(&db, b).status, JobStatus::Failed);
        assert!(find(&db, b).error_message.unwrap().contains("lease expired"));
        assert_eq!(find(&db, running).status, JobStatus::Processing);
        assert_eq!(ids(&claim(&db, &Claim::new("w").at_most(5))), [a]);
        assert_eq!(queue::rescue_all(&db).unwrap(), Rescued::default());
    }

    fn canceled_job_loses_its_lease(t) {
        let db = t.db();
        let [id, waiting] = put(&db, [|j| j.priority = Some(1), |_| ()]);
        let job = claim(&db, &Claim::new("w")).remove(0);
        db.write(|c| queue::cancel(c, id)).unwrap();
        assert!(is_lost(db.write(|c| queue::heartbeat(c, &job, LONG)), id));
        let cancelled = db.write(|c| queue::cancel(c, waiting)).unwrap();
        assert_eq!((cancelled.status, cancelled.error_message.as_deref()), (JobStatus::Failed, Some("cancelled")));
        assert!(matches!(db.write(|c| queue::cancel(c, id)), Err(Error::Invalid { .. })));
        assert!(matches!(db.write(|c| queue::cancel(c, VideoProcessingJobId::default())), Err(Error::NotFound { .. })));
        assert!(claim(&db, &Claim::new("w")).is_empty());
    }

    fn unique_key_allows_one_unfinished_job(t) {
        let db = t.db();
        let new = db.write(|c| Ok(make::video_job(c))).unwrap();
        let keyed = || NewVideoProcessingJob { id: Default::default(), unique_key: Some("daily".into()), ..new.clone() };
        let first = db.write(|c| queue::enqueue(c, &keyed())).unwrap().unwrap();
        assert_eq!(db.write(|c| queue::enqueue(c, &keyed())).unwrap(), None);
        assert_eq!(db.write(|c| queue::enqueue_many(c, &[keyed(), NewVideoProcessingJob { id: Default::default(), ..new.clone() }, keyed()])).unwrap(), 1);
        let taken = claim(&db, &Claim::new("w").at_most(9));
        assert_eq!(taken.len(), 2);
        assert_eq!(db.write(|c| queue::enqueue(c, &keyed())).unwrap(), None);
        db.write(|c| queue::complete_many(c, &taken)).unwrap();
        let second = db.write(|c| queue::enqueue(c, &keyed())).unwrap().unwrap();
        assert_ne!(first.id, second.id);
        let wrong = NewVideoProcessingJob { status: Some(JobStatus::Completed), ..keyed() };
        assert!(matches!(db.write(|c| queue::enqueue(c, &wrong)), Err(Error::Invalid { .. })));
        let orphan = NewVideoProcessingJob { video_id: Default::default(), ..new.clone() };
        assert!(matches!(db.write(|c| queue::enqueue(c, &orphan)), Err(Error::Invalid { .. })));
    }

    fn jobs_inserted_by_other_programs_can_be_claimed(t) {
        let db = t.db();
        let video = db.write(|c| make::video(c).insert(c)).unwrap();
        db.write(|c| {
            Ok(c.batch_execute(&format!(
                "INSERT INTO video_processing_jobs (id, video_id, channel_id, job_type) \
                 VALUES ('11111111-2222-4333-8444-555555555555', '{}', '{}', 'transform')",
                video.id, video.channel_id
            ))?)
        }).unwrap();
        let taken = claim(&db, &Claim::new("w").types([JobType::Transform]));
        assert_eq!(taken[0].id.to_string(), "11111111-2222-4333-8444-555555555555");
        db.write(|c| queue::complete(c, &taken[0])).unwrap();
    }

    fn paused_queue_hands_out_no_jobs_and_lets_running_ones_finish(t) {
        let db = t.db();
        put(&db, [|_| (), |_| ()]);
        let running = claim(&db, &Claim::new("w")).remove(0);
        let setting = |value: serde_json::Value| NewSystemConfiguration { key: "queue_paused".into(), value: ConfigValue(value), ..Default::default() };
        assert!(!db.read(queue::is_paused).unwrap());
        for value in [serde_json::json!(true), serde_json::json!("true")] {
            db.write(|c| setting(value).insert_or_update(c)).unwrap();
            assert!(db.read(queue::is_paused).unwrap());
            assert!(claim(&db, &Claim::new("w")).is_empty());
        }
        db.write(|c| queue::heartbeat(c, &running, LONG)).unwrap();
        db.write(|c| queue::complete(c, &running)).unwrap();
        // An override wins over the system setting.
        db.write(|c| NewConfigOverride { key: "queue_paused".into(), value: "false".into(), ..Default::default() }.insert_or_update(c)).unwrap();
        assert_eq!(claim(&db, &Claim::new("w")).len(), 1);
    }

    fn prune_deletes_jobs_that_finished_before_the_given_time(t) {
        let db = t.db();
        put(&db, [|j| j.queued_at = Some(hours(-72)), |j| j.queued_at = Some(hours(-71)), |j| j.queued_at = Some(hours(-70))]);
        let taken = claim(&db, &Claim::new("w").at_most(2));
        db.write(|c| queue::complete_many(c, &taken)).unwrap();
        db.write(|c| Ok(viraldb::diesel::update(jobs::table.find(taken[0].id)).set(jobs::completed_at.eq(Some(hours(-48)))).execute(c)?)).unwrap();
        assert_eq!(prune(&db, hours(-24)), 1);
        assert_eq!(prune(&db, hours(-24)), 0);
        assert_eq!(prune(&db, hours(1)), 1);
        assert_eq!(claim(&db, &Claim::new("w")).len(), 1, "unfinished jobs are kept");
    }

    fn stats_count_jobs_and_average_their_times(t) {
        let db = t.db();
        assert_eq!(db.read(|c| queue::stats(c, LONG)).unwrap(), []);
        put(&db, [|_| (), |j| j.run_at = Some(hours(-2)), |j| j.run_at = Some(hours(9)), |j| j.job_type = JobType::Scrape]);
        let done = claim(&db, &Claim::new("w").types([JobType::Download])).remove(0);
        db.write(|c| queue::complete(c, &done)).unwrap();
        let stats = db.read(|c| queue::stats(c, LONG)).unwrap();
        assert_eq!(stats.len(), 2);
        let download = &stats[0];
        assert_eq!((download.job_type, download.queued, download.completed, download.recently_completed), (JobType::Download, 2, 1, 1));
        assert!((7190.0..7300.0).contains(&download.average_wait_seconds.unwrap()), "{download:?}");
        assert!((0.0..60.0).contains(&download.average_duration_seconds.unwrap()));
        assert!(download.oldest_due.unwrap() <= Timestamp::now());
        assert_eq!((stats[1].job_type, stats[1].queued, stats[1].average_wait_seconds), (JobType::Scrape, 1, None));
    }

    fn clock_set_back_never_yields_a_negative_duration(t) {
        let db = t.db();
        put(&db, [|_| (), |_| (), |j| j.max_attempts = Some(1), |_| (), |_| ()]);
        let held = claim(&db, &Claim::new("w").at_most(5));
        let started = |job: usize, at: Option<Timestamp>| {
            db.write(|c| Ok(viraldb::diesel::update(jobs::table.find(held[job].id)).set(jobs::started_at.eq(at)).execute(c)?)).unwrap();
        };
        // The clock was an hour ahead when these jobs were claimed, and was then set back.
        (0..3).for_each(|job| started(job, Some(hours(1))));
        started(3, None);
        started(4, Some("0001-01-01".parse().unwrap()));
        assert_eq!(db.write(|c| queue::complete(c, &held[0])).unwrap().duration, Some(0));
        assert!(db.write(|c| queue::complete_many(c, [&held[1]])).unwrap().is_empty());
        assert_eq!(find(&db, held[1].id).duration, Some(0));
        let failed = db.write(|c| queue::fail(c, &held[2], &Failure::new("x"))).unwrap();
        assert_eq!((failed.status, failed.duration), (JobStatus::Failed, Some(0)));
        let measured = |average: Option<f64>| assert!((0.0..1.0).contains(&average.unwrap()), "{average:?}");
        measured(db.read(|c| queue::stats(c, LONG)).unwrap()[0].average_duration_seconds);
        // A job without a start time has no duration. A very long duration is capped to fit its column.
        assert_eq!(db.write(|c| queue::complete(c, &held[3])).unwrap().duration, None);
        assert_eq!(db.write(|c| queue::complete(c, &held[4])).unwrap().duration, Some(i32::MAX));
        // Jobs that were enqueued while the clock was ahead count as not having waited.
        let all = "UPDATE video_processing_jobs SET run_at = started_at WHERE started_at IS NOT NULL; \
                   UPDATE video_processing_jobs SET started_at = completed_at WHERE completed_at < started_at";
        db.write(|c| Ok(c.batch_execute(all)?)).unwrap();
        measured(db.read(|c| queue::stats(c, LONG)).unwrap()[0].average_wait_seconds);
    }
}

#[test]
fn backoff_doubles_up_to_its_maximum_and_half_is_random() {
    let backoff = Backoff { base: Duration::from_secs(10), longest: Duration::from_secs(100) };
    for (attempts, most) in
        [(0, 10), (1, 10), (2, 20), (3, 40), (4, 80), (5, 100), (60, 100), (i32::MAX, 100)]
    {
        let most = Duration::from_secs(most);
        let waits: Vec<Duration> = (0..200).map(|_| backoff.wait(attempts)).collect();
        assert!(waits.iter().all(|wait| (most / 2..=most).contains(wait)), "attempt {attempts}");
        assert!(waits.iter().max().unwrap().saturating_sub(*waits.iter().min().unwrap()) > most / 10);
    }
}
