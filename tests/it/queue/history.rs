//! Tests of the history of attempts, the retry of many jobs, and the progress of a job.

use viraldb::queue::{AttemptOutcome, Failure, JobAttempt, JobError, Worker};
use viraldb::republishing::VideoProcessingJobFilter;
use viraldb::{Error, Page};

use super::*;
use crate::support::{both, wait_until};

fn history(db: &Database, id: VideoProcessingJobId) -> Vec<(i32, AttemptOutcome, String)> {
    let attempts = db.read(|c| JobAttempt::of_job(c, id)).unwrap();
    attempts
        .into_iter()
        .map(|row| {
            assert_eq!(row.worker.as_deref(), Some("w"));
            assert!(row.started_at.unwrap() <= row.ended_at);
            (row.attempt, row.outcome, row.error.unwrap())
        })
        .collect()
}

fn fail(db: &Database, error: &str) {
    let claimed = claim(db, &Claim::new("w"));
    let failure = Failure { retry_after: Some(Duration::ZERO), ..Failure::new(error.to_owned()) };
    db.write(|c| queue::fail(c, &claimed[0], &failure)).unwrap();
}

both! {
    fn each_attempt_that_does_not_complete_a_job_is_recorded(t) {
        let db = t.db();
        let [id] = put(&db, [|job| job.max_attempts = Some(9)]);
        fail(&db, "HTTP 503");
        claim(&db, &Claim::new("w"));
        expire(&db, id);
        db.write(queue::rescue).unwrap();
        let claimed = claim(&db, &Claim::new("w"));
        db.write(|c| queue::release(c, &claimed[0])).unwrap(); // does not count
        claim(&db, &Claim::new("w"));
        db.write(|c| queue::cancel(c, id)).unwrap();
        db.write(|c| queue::retry(c, id)).unwrap();
        db.write(|c| queue::cancel(c, id)).unwrap(); // no worker had it
        assert_eq!(history(&db, id), [
            (1, AttemptOutcome::Failed, "HTTP 503".to_owned()),
            (2, AttemptOutcome::Lost, "the lease expired before the worker finished".to_owned()),
            (3, AttemptOutcome::Canceled, "cancelled".to_owned()),
        ]);
        let all = db.read(|c| JobAttempt::list(c, None, &Page::first(2))).unwrap();
        assert_eq!(all.iter().map(|row| row.attempt).collect::<Vec<_>>(), [3, 2]);
        let rest = db.read(|c| JobAttempt::list(c, None, &Page { after: Some(all[1].id), ..Page::first(2) })).unwrap();
        assert_eq!(rest.iter().map(|row| row.attempt).collect::<Vec<_>>(), [1]);
        assert!(db.read(|c| JobAttempt::list(c, Some(Timestamp::now() + LONG), &Page::first(9))).unwrap().is_empty());
        db.write(|c| VideoProcessingJob::delete(c, id)).unwrap();
        assert!(history(&db, id).is_empty());
    }

    fn an_exact_wait_overrides_the_backoff(t) {
        let db = t.db();
        let [id] = put(&db, [|_| {}]);
        let claimed = claim(&db, &Claim::new("w"));
        let failure = Failure { retry_after: Some(Duration::from_secs(600)), ..Failure::new("e") };
        db.write(|c| queue::fail(c, &claimed[0], &failure)).unwrap();
        let wait = find(&db, id).run_at.to_utc() - find(&db, id).updated_at.to_utc();
        assert!((wait.num_milliseconds() - 600_000).abs() < 1_000, "{wait}");
    }

    fn failed_jobs_are_retried_by_type_and_error(t) {
        let db = t.db();
        let ids = put(&db, [
            |job| job.max_attempts = Some(1),
            |job| job.max_attempts = Some(1),
            |job| { job.max_attempts = Some(1); job.job_type = JobType::Publish },
            |job| { job.max_attempts = Some(1); job.unique_key = Some("k".into()) },
            |job| job.run_at = Some(Timestamp::now() + LONG),
        ]);
        for error in ["50% of HTTP_503", "HTTP 404", "HTTP 503", "HTTP 503"] {
            fail(&db, error);
        }
        // The key of the fourth job is taken by an unfinished one.
        put(&db, [|job| { job.unique_key = Some("k".into()); job.run_at = Some(Timestamp::now() + LONG) }]);
        let retry = |job_type, error: Option<&str>| {
            let filter = VideoProcessingJobFilter { job_type, error: error.map(Into::into), ..Default::default() };
            let retried = queue::retry_all(&db, &filter).unwrap();
            (retried.queued, retried.skipped)
        };
        assert_eq!(retry(None, Some("HTTP_5")), (1, 0), "not a pattern");
        assert_eq!(retry(None, Some("http")), (0, 0));
        assert_eq!(retry(Some(JobType::Publish), Some("503")), (1, 0));
        assert_eq!(retry(None, Some("503")), (0, 1));
        assert_eq!(retry(None, None), (1, 1));
        assert_eq!(find(&db, ids[1]).attempts, 0);
        assert_eq!(find(&db, ids[3]).status, JobStatus::Failed);
        let filter = VideoProcessingJobFilter { error: Some("HTTP".into()), ..Default::default() };
        assert_eq!(db.read(|c| VideoProcessingJob::count(c, &filter)).unwrap(), 4, "the last error stays");
    }

    fn thousands_of_failed_jobs_are_retried_once_each(t) {
        let db = t.db();
        db.write(|c| {
            let video = make::video(c).insert(c)?;
            let row = |n| NewVideoProcessingJob {
                status: Some(if n % 5 == 0 { JobStatus::Completed } else { JobStatus::Failed }),
                unique_key: (n % 2 == 0).then(|| format!("key {}", n % 100).into()),
                ..NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download)
            };
            NewVideoProcessingJob::insert_many(c, &(0..3_000).map(row).collect::<Vec<_>>())
        }).unwrap();
        let retried = queue::retry_all(&db, &VideoProcessingJobFilter::default()).unwrap();
        // 1,200 failed jobs have no key. The others share the 40 keys that are not those of completed jobs.
        assert_eq!((retried.queued, retried.skipped), (1_240, 1_160));
    }

    fn progress_is_shown_until_the_next_attempt(t) {
        let db = t.db();
        let [id] = put(&db, [|_| {}]);
        let claimed = claim(&db, &Claim::new("w"));
        let job = db.write(|c| queue::report_progress(c, &claimed[0], 0.25, "reading")).unwrap();
        assert_eq!((job.progress, job.progress_note.as_deref()), (Some(0.25), Some("reading")));
        let job = db.write(|c| queue::report_progress(c, &claimed[0], f64::NAN, "")).unwrap();
        assert_eq!(job.progress, Some(0.0));
        db.write(|c| queue::release(c, &claimed[0])).unwrap();
        let lost = db.write(|c| queue::report_progress(c, &claimed[0], 0.5, ""));
        assert!(matches!(lost, Err(Error::LeaseLost { .. })));
        claim(&db, &Claim::new("w"));
        assert_eq!(find(&db, id).progress, None);
    }

    fn a_worker_stores_what_its_handler_reports_and_tells_it_of_a_cancellation(t) {
        let db = t.db();
        let [id] = put(&db, [|_| {}]);
        let worker = Worker::new(&db, Claim::new("w")).concurrency(1);
        let stop = worker.stop();
        let (told, tells) = std::sync::mpsc::channel();
        let thread = std::thread::spawn(move || worker.run(move |job| {
            let begin = std::time::Instant::now();
            while !job.should_stop() && begin.elapsed() < Duration::from_secs(60) {
                job.report(1.5, "waiting\0");
                std::thread::sleep(Duration::from_millis(10));
            }
            told.send((job.is_canceled(), job.is_lost())).unwrap();
            Err("stopped")
        }).unwrap());
        wait_until("the progress is stored", || find(&db, id).progress == Some(1.0));
        assert_eq!(find(&db, id).progress_note.as_deref(), Some("waiting\u{fffd}"));
        db.write(|c| queue::cancel(c, id)).unwrap();
        assert_eq!(tells.recv_timeout(Duration::from_secs(30)).unwrap(), (true, true));
        stop.stop();
        assert_eq!(thread.join().unwrap().lost, 1);
        assert_eq!(history(&db, id).len(), 1);
        assert_eq!(find(&db, id).error_message.as_deref(), Some("cancelled"));
    }

    fn counters_tell_what_became_of_each_job(t) {
        let db = t.db();
        put(&db, [
            |job| job.priority = Some(5),
            |job| job.priority = Some(4),
            |job| { job.priority = Some(3); job.max_attempts = Some(1) },
            |job| job.priority = Some(2),
            |job| { job.priority = Some(1); job.job_type = JobType::Publish },
        ]);
        let worker = Worker::new(&db, Claim::new("w")).concurrency(1).prefetch(0);
        let (stop, counters) = (worker.stop(), worker.counters());
        worker.run(move |job| match job.priority {
            5 => Ok(()),
            4 | 3 => Err(JobError::Retry("no".to_owned())),
            2 => Err(JobError::Snooze(LONG)),
            _ => {
                stop.stop();
                Err(JobError::Discard("never".to_owned()))
            }
        }).unwrap();
        let counts = counters.snapshot();
        let (download, publish) = (&counts[&JobType::Download], &counts[&JobType::Publish]);
        assert_eq!((download.claimed, download.completed, download.retried, download.failed, download.snoozed), (4, 1, 1, 1, 1));
        assert_eq!((publish.claimed, publish.failed, publish.lost, publish.released), (1, 1, 0, 0));
        assert_eq!((download.duration.count(), download.wait.count(), counts.len()), (4, 4, 2));
        assert!(download.wait.sum_seconds < 600.0);
    }
}
