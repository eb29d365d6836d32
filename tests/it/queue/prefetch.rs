//! Tests of workers that claim jobs ahead and store outcomes in batches.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::Instant;

use viraldb::compilation::{ErrorLog, ErrorLogFilter};
use viraldb::queue::{Done, JobError, Lease, Worker};
use viraldb::types::LeaseToken;
use viraldb::{Error, Page};

use super::*;
use crate::support::{both, wait_until};

/// A lease long enough to be renewed even if the machine is so busy that a thread waits for a second.
const KEPT: Duration = Duration::from_secs(2);

fn count(db: &Database, status: JobStatus) -> i64 {
    db.read(|c| Ok(jobs::table.filter(jobs::status.eq(status)).count().get_result(c)?)).unwrap()
}

fn attempts(db: &Database) -> Vec<i32> {
    db.read(|c| Ok(jobs::table.select(jobs::attempts).distinct().order(jobs::attempts).load(c)?)).unwrap()
}

fn enqueue(db: &Database, count: usize) {
    db.write(|c| {
        let video = make::video(c).insert(c)?;
        let row = || NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download);
        queue::enqueue_many(c, &(0..count).map(|_| row()).collect::<Vec<_>>())
    })
    .unwrap();
}

/// Runs a worker on its own thread with a handler that reports each job that it begins, and then waits for permission.
fn blocking(
    worker: Worker,
) -> (mpsc::Receiver<VideoProcessingJobId>, mpsc::Sender<()>, std::thread::JoinHandle<Done>) {
    let (begin, begins) = mpsc::channel();
    let (permit, permits) = mpsc::channel();
    let permits = std::sync::Mutex::new(permits);
    let thread = std::thread::spawn(move || {
        worker
            .run(move |job| {
                begin.send(job.id).unwrap();
                permits.lock().unwrap().recv().map_err(|error| error.to_string())
            })
            .unwrap()
    });
    (begins, permit, thread)
}

both! {
    fn two_thousand_short_jobs_are_each_run_once(t) {
        const JOBS: usize = 2_000;
        let db = t.db();
        enqueue(&db, JOBS);
        let (worker, ran) = (Worker::new(&db, Claim::new("w")).concurrency(8), Arc::new(AtomicUsize::new(0)));
        let (stop, count_run) = (worker.stop(), Arc::clone(&ran));
        let thread = std::thread::spawn(move || {
            worker.run(move |_| { count_run.fetch_add(1, Ordering::SeqCst); Ok::<_, String>(()) }).unwrap()
        });
        wait_until("all jobs are completed", || count(&db, JobStatus::Completed) == JOBS as i64);
        stop.stop();
        assert_eq!(thread.join().unwrap(), Done { completed: JOBS as u64, ..Done::default() });
        assert_eq!((ran.load(Ordering::SeqCst), attempts(&db)), (JOBS, vec![1]));
    }

    fn a_worker_with_long_jobs_claims_none_ahead(t) {
        let db = t.db();
        enqueue(&db, 9);
        let worker = Worker::new(&db, Claim::new("w")).concurrency(2);
        let stop = worker.stop();
        let (begins, permit, thread) = blocking(worker);
        for _ in 0..3 {
            (0..2).for_each(|_| assert!(begins.recv().is_ok()));
            std::thread::sleep(Duration::from_millis(200)); // each job takes longer than the worker looks ahead
            assert_eq!(count(&db, JobStatus::Processing), 2);
            (0..2).for_each(|_| permit.send(()).unwrap());
        }
        stop.stop();
        drop(permit);
        assert_eq!(thread.join().unwrap().completed, 6);
    }

    fn jobs_claimed_ahead_go_to_another_worker_when_handlers_take_longer_than_before(t) {
        let db = t.db();
        enqueue(&db, 400);
        let worker = Worker::new(&db, Claim::new("first")).concurrency(1);
        let stop = worker.stop();
        let (begins, permit, thread) = blocking(worker);
        // Short jobs at first.
        (0..50).for_each(|_| permit.send(()).unwrap());
        (0..51).for_each(|_| assert!(begins.recv().is_ok()));
        // Now one job does not end. The others wait for nobody.
        let (other, blocked) = (Worker::new(&db, Claim::new("other")).concurrency(1), Instant::now());
        let stop_other = other.stop();
        let others = std::thread::spawn(move || other.run(|_| Ok::<_, String>(())).unwrap());
        wait_until("the other worker has done the rest", || count(&db, JobStatus::Completed) == 399);
        assert!(blocked.elapsed() < Duration::from_secs(60));
        permit.send(()).unwrap();
        wait_until("the last job is done", || count(&db, JobStatus::Completed) == 400);
        stop.stop();
        stop_other.stop();
        let (first, other) = (thread.join().unwrap(), others.join().unwrap());
        assert_eq!((first.completed + other.completed, first.lost + other.lost), (400, 0));
        assert_eq!(attempts(&db), [1], "a released job does not count the attempt");
    }

    fn a_stopped_worker_releases_the_jobs_that_it_claimed_ahead(t) {
        let db = t.db();
        enqueue(&db, 40);
        let worker = Worker::new(&db, Claim::new("w")).concurrency(1).prefetch(31);
        let stop = worker.stop();
        let (begins, permit, thread) = blocking(worker);
        begins.recv().unwrap();
        wait_until("jobs are claimed ahead", || count(&db, JobStatus::Processing) == 32);
        stop.stop();
        wait_until("they are released before the handler ends", || count(&db, JobStatus::Queued) == 39);
        permit.send(()).unwrap();
        assert_eq!(thread.join().unwrap(), Done { completed: 1, released: 31, ..Done::default() });
        assert_eq!(attempts(&db), [0, 1]);
    }

    fn jobs_that_wait_in_a_worker_keep_their_leases(t) {
        let db = t.db();
        enqueue(&db, 4);
        let worker = Worker::new(&db, Claim::new("w").lease(KEPT)).concurrency(1).prefetch(3);
        let stop = worker.stop();
        let (begins, permit, thread) = blocking(worker);
        begins.recv().unwrap();
        wait_until("all jobs are claimed", || count(&db, JobStatus::Processing) == 4);
        let end = Instant::now() + KEPT * 2;
        while Instant::now() < end {
            assert_eq!(rescued(db.write(queue::rescue)), (0, 0));
            std::thread::sleep(Duration::from_millis(50));
        }
        (0..4).for_each(|_| permit.send(()).unwrap());
        wait_until("all jobs are done", || count(&db, JobStatus::Completed) == 4);
        stop.stop();
        assert_eq!((thread.join().unwrap().completed, attempts(&db)), (4, vec![1]));
    }

    fn a_job_that_was_lost_while_it_waited_is_not_started(t) {
        let db = t.db();
        enqueue(&db, 2);
        let worker = Worker::new(&db, Claim::new("w").lease(KEPT)).concurrency(1).prefetch(1);
        let stop = worker.stop();
        let (begins, permit, thread) = blocking(worker);
        let running = begins.recv().unwrap();
        wait_until("both jobs are claimed", || count(&db, JobStatus::Processing) == 2);
        let waiting = db.read(|c| Ok(jobs::table.select(jobs::id).filter(jobs::id.ne(running)).first(c)?)).unwrap();
        db.write(|c| queue::cancel(c, waiting)).unwrap();
        std::thread::sleep(KEPT); // the heartbeat after a third of the lease reports it
        permit.send(()).unwrap();
        wait_until("the running job is done", || count(&db, JobStatus::Completed) == 1);
        std::thread::sleep(Duration::from_millis(300));
        stop.stop();
        assert_eq!(thread.join().unwrap(), Done { completed: 1, lost: 1, ..Done::default() });
        assert!(begins.try_recv().is_err(), "its handler never ran");
    }

    fn a_handler_discards_or_snoozes_a_job(t) {
        let db = t.db();
        let [discard, snooze] = put(&db, [|j| j.github_workflow_run_id = Some("discard".into()), |_| ()]);
        let worker = Worker::new(&db, Claim::new("w"));
        let stop = worker.stop();
        let thread = std::thread::spawn(move || {
            worker.run(|job| match job.github_workflow_run_id {
                Some(_) => Err(JobError::Discard("the video was deleted".to_owned())),
                None => Err(JobError::Snooze(LONG)),
            }).unwrap()
        });
        wait_until("both are settled", || find(&db, discard).status == JobStatus::Failed && find(&db, snooze).run_at > Timestamp::now() + LONG / 2);
        stop.stop();
        assert_eq!(thread.join().unwrap(), Done { failed: 1, snoozed: 1, ..Done::default() });
        let (discarded, snoozed) = (find(&db, discard), find(&db, snooze));
        assert_eq!((discarded.attempts, discarded.max_attempts, discarded.error_message.as_deref()), (1, 3, Some("the video was deleted")));
        assert_eq!((snoozed.status, snoozed.attempts, snoozed.lease_token, snoozed.error_message), (JobStatus::Queued, 0, None, None));
        let errors = db.read(|c| ErrorLog::list(c, &ErrorLogFilter::default(), &Page::first(9))).unwrap();
        assert_eq!(errors.iter().map(|e| &*e.error_type).collect::<Vec<_>>(), ["JobDiscarded"]);
    }

    fn each_type_of_job_has_its_own_handler_with_its_own_data(t) {
        #[derive(serde::Serialize, serde::Deserialize)]
        struct Download { quality: String }
        let db = t.db();
        let [bad, none, other] = put(&db, [
            |j| j.payload = Some(viraldb::Json(serde_json::json!({ "quality": 1080 }))),
            |j| j.job_type = JobType::Publish,
            |j| j.job_type = JobType::Scrape,
        ]);
        let [good] = put(&db, [|j| *j = j.clone().with_payload(&Download { quality: "1080p".to_owned() }).unwrap()]);
        let (begin, begins) = mpsc::channel();
        let begin_publish = begin.clone();
        let worker = Worker::new(&db, Claim::new("w"))
            .on(JobType::Download, move |job, data: Download| begin.send((job.id, data.quality)).map_err(|error| error.to_string()))
            .on(JobType::Publish, move |job, data: Option<Download>| {
                assert!(data.is_none());
                begin_publish.send((job.id, String::new())).map_err(|error| error.to_string())
            });
        let stop = worker.stop();
        let thread = std::thread::spawn(move || worker.run_handlers().unwrap());
        wait_until("all are settled", || count(&db, JobStatus::Completed) == 2 && count(&db, JobStatus::Failed) == 1);
        stop.stop();
        assert_eq!(thread.join().unwrap(), Done { completed: 2, failed: 1, ..Done::default() });
        let mut ran: Vec<_> = begins.iter().collect();
        ran.sort();
        let mut expected = vec![(none, String::new()), (good, "1080p".to_owned())];
        expected.sort();
        assert_eq!(ran, expected);
        let bad = find(&db, bad);
        assert_eq!((bad.attempts, bad.error_message.as_deref()), (1, Some("invalid payload: invalid type: integer `1080`, expected a string")));
        assert_eq!(find(&db, other).status, JobStatus::Queued, "the worker has no handler for it");
    }

    fn a_worker_without_a_handler_for_its_claim_is_refused(t) {
        let db = t.db();
        let ok = |_: &queue::Work, _: Option<()>| Ok::<_, String>(());
        let none = Worker::new(&db, Claim::new("w")).run_handlers().unwrap_err();
        assert_eq!(none.to_string(), "worker has no handler; add one with `on`");
        let claim = Claim::new("w").types([JobType::Download, JobType::Publish]);
        let missing = Worker::new(&db, claim).on(JobType::Download, ok).run_handlers().unwrap_err();
        assert_eq!(missing.to_string(), "worker has no handler for publish jobs; add one with `on`, or do not claim them");
        let too_many = Worker::new(&db, Claim::new("w")).prefetch(10_001).run(|_| Ok::<_, String>(())).unwrap_err();
        assert_eq!(too_many.to_string(), "prefetch must be at most 10000, got 10001");
    }

    fn many_leases_are_extended_or_released_and_lost_ones_are_returned(t) {
        let db = t.db();
        let ids = put(&db, [|_| (), |_| (), |_| ()]);
        let held = claim(&db, &Claim::new("w").at_most(3).lease(KEPT));
        let stale = Lease::new(ids[1], LeaseToken::default());
        let many: Vec<Lease> = held.iter().map(Lease::from).chain([stale]).collect();
        assert_eq!(db.write(|c| queue::heartbeat_many(c, &many, LONG)).unwrap(), [ids[1]]);
        let soon = Timestamp::now() + LONG / 2;
        assert!(ids.iter().all(|id| find(&db, *id).lease_expires_at.unwrap() > soon), "the current lease of each job was extended");
        db.write(|c| queue::complete(c, &held[0])).unwrap();
        let mut lost = db.write(|c| queue::release_many(c, &many)).unwrap();
        lost.sort();
        let mut expected = vec![held[0].id, ids[1]];
        expected.sort();
        assert_eq!(lost, expected);
        let released = ids.iter().filter(|id| find(&db, **id).status == JobStatus::Queued && find(&db, **id).attempts == 0).count();
        assert_eq!(released, 2);
        let error = db.write(|c| queue::heartbeat_many(c, &many, Duration::ZERO)).unwrap_err();
        assert!(matches!(error, Error::Invalid { .. }), "{error}");
    }

    fn many_jobs_get_the_same_defaults_as_one(t) {
        let db = t.db();
        let at: Timestamp = "2030-01-01".parse().unwrap();
        let changes: [fn(&mut NewVideoProcessingJob<'_>); 7] = [
            |_| (),
            |j| j.priority = Some(7),
            |j| j.payload = Some(viraldb::Json(serde_json::json!({ "a": ["ü", null, 1.5] }))),
            |j| j.max_attempts = Some(9),
            |j| j.run_at = Some("2030-01-01".parse().unwrap()),
            |j| j.unique_key = Some("a \"key\", with {braces}, \\ and ü".into()),
            |j| j.github_workflow_run_id = Some("run".into()),
        ];
        let one_by_one = put(&db, changes).map(|id| find(&db, id));
        db.write(|c| Ok(viraldb::diesel::update(jobs::table).set(jobs::unique_key.eq(None::<&str>)).execute(c)?)).unwrap();
        let row = |change: fn(&mut NewVideoProcessingJob<'_>)| {
            let mut row = NewVideoProcessingJob::new(one_by_one[0].video_id, one_by_one[0].channel_id, JobType::Download);
            change(&mut row);
            row
        };
        // All at once, and without the last one, whose column only the general statement has.
        for rows in [changes.map(row).to_vec(), changes[..6].iter().map(|change| row(*change)).collect()] {
            assert_eq!(db.write(|c| queue::enqueue_many(c, &rows)).unwrap(), rows.len());
            for (row, one) in rows.iter().zip(&one_by_one) {
                let many = find(&db, row.id);
                assert_eq!((many.priority, many.max_attempts, &many.unique_key), (one.priority, one.max_attempts, &one.unique_key));
                assert_eq!((many.status, many.attempts, &many.github_workflow_run_id, &many.payload), (one.status, one.attempts, &one.github_workflow_run_id, &one.payload));
                assert_eq!(many.run_at == at, one.run_at == at);
                let soon = one.run_at + Duration::from_secs(60);
                assert!(many.run_at == at || (one.run_at..soon).contains(&many.run_at), "{} {}", many.run_at, one.run_at);
            }
            db.write(|c| Ok(viraldb::diesel::update(jobs::table).set(jobs::unique_key.eq(None::<&str>)).execute(c)?)).unwrap();
        }
    }
}

/// Statistics often say that no job is processing. With a plan that reads the index on `status`, completing 1,000 jobs took
/// seconds: it compared every processing job with every lease.
#[cfg(feature = "postgres")]
#[test]
fn statements_on_held_jobs_use_the_primary_key_whatever_the_statistics_say() {
    #[derive(QueryableByName)]
    struct Plan {
        #[diesel(sql_type = viraldb::diesel::sql_types::Text, column_name = "QUERY PLAN")]
        line: String,
    }
    let t = crate::support::Scratch::postgres();
    let db = t.db();
    enqueue(&db, 20_000);
    let mut session = db.session().unwrap();
    make::execute(&mut session, "UPDATE video_processing_jobs SET status = 'completed'").unwrap();
    put(&db, [|_| (); 8]);
    make::execute(&mut session, "ANALYZE video_processing_jobs; SET plan_cache_mode = force_generic_plan")
        .unwrap();
    let jobs = claim(&db, &Claim::new("w").at_most(8));
    let ran = crate::support::statements(&mut session, |c| {
        queue::heartbeat_many(c, &jobs[..1], LONG)?;
        queue::complete_many(c, &jobs[..1])?;
        queue::release_many(c, &jobs[1..2])?;
        queue::heartbeat(c, &jobs[2], LONG)?;
        queue::complete(c, &jobs[2])?;
        queue::release(c, &jobs[3])?;
        queue::snooze(c, &jobs[4], LONG)?;
        queue::fail(c, &jobs[5], &queue::Failure::new("403"))
    });
    let ran: Vec<String> = ran.into_iter().filter(|sql| sql.contains("video_processing_jobs")).collect();
    assert_eq!(ran.len(), 9, "{ran:#?}");
    for sql in ran {
        // Diesel passes the type of an array; SQL has to name it.
        let sql = match sql
            .split_once("unnest(")
            .and_then(|(before, rest)| Some((before, rest.split_once(')')?)))
        {
            Some((before, (leases, after))) => {
                format!("{before}unnest({}::uuid[]){after}", leases.replace(", ", "::uuid[], "))
            }
            None => sql,
        };
        let values = (1..)
            .take_while(|n| sql.contains(&format!("${n}")))
            .map(|_| "NULL")
            .collect::<Vec<_>>()
            .join(", ");
        make::execute(&mut session, &format!("PREPARE held AS {sql}")).unwrap();
        let explain = format!("EXPLAIN EXECUTE held({values})");
        let plan: Vec<Plan> = viraldb::diesel::sql_query(explain).load(&mut *session).unwrap();
        let plan: Vec<String> = plan.into_iter().map(|plan| plan.line).collect();
        let plan = plan.join("\n");
        assert!(
            plan.contains("video_processing_jobs_pkey") && !plan.contains("idx_jobs_status"),
            "{sql}\n{plan}"
        );
        make::execute(&mut session, "DEALLOCATE held").unwrap();
    }
}
