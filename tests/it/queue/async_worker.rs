//! Tests of workers that run futures on tokio.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use serde::Deserialize;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use viraldb::compilation::{ErrorLog, ErrorLogFilter};
use viraldb::queue::{Backoff, Done, JobError, Stop, Work, Worker};
use viraldb::{CorrelationId, Json, Page, correlation};

use super::*;
use crate::support::{both, wait_until};

const SHORT: Duration = Duration::from_millis(300);
const AT_ONCE: Backoff = Backoff { base: Duration::ZERO, longest: Duration::ZERO };

/// The same runtimes that programs use: one thread, which the test itself must not block, and two threads.
fn runtimes() -> [Runtime; 2] {
    [
        Builder::new_current_thread().enable_all().build().unwrap(),
        Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap(),
    ]
}

fn enqueue(db: &Database, count: usize) {
    db.write(|c| {
        let video = make::video(c).insert(c)?;
        let rows: Vec<_> = (0..count)
            .map(|_| NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download))
            .collect();
        queue::enqueue_many(c, &rows)
    })
    .unwrap();
}

fn delete_jobs(db: &Database) {
    db.write(|c| make::execute(c, "DELETE FROM video_processing_jobs")).unwrap();
}

fn count(db: &Database, status: JobStatus) -> i64 {
    db.read(|c| Ok(jobs::table.filter(jobs::status.eq(status)).count().get_result(c)?)).unwrap()
}

/// Waits for a condition without blocking the runtime.
async fn until(what: &'static str, mut has_happened: impl FnMut() -> bool + Send + 'static) {
    tokio::task::spawn_blocking(move || wait_until(what, &mut has_happened)).await.unwrap();
}

/// Waits until `jobs` jobs have this status.
async fn until_count(db: &Database, status: JobStatus, jobs: i64) {
    let db = db.clone();
    until("the jobs have this status", move || count(&db, status) == jobs).await;
}

/// Starts a worker as a task of this runtime.
fn start<F, E>(
    worker: Worker,
    handler: impl Fn(Arc<Work>) -> F + Send + Sync + 'static,
) -> (Stop, JoinHandle<Done>)
where
    F: Future<Output = Result<(), E>> + Send + 'static,
    E: Into<JobError> + 'static,
{
    let (stop, run) = (worker.stop(), worker.run_async(handler));
    (stop, tokio::spawn(async { run.await.unwrap() }))
}

/// Sets a flag when it is dropped, as the locals of a future are.
struct Flag(Arc<AtomicBool>);

impl Drop for Flag {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

both! {
    fn short_jobs_run_once_each(t) {
        let db = t.db();
        for runtime in runtimes() {
            delete_jobs(&db);
            enqueue(&db, 3_000);
            runtime.block_on(async {
                let seen = Arc::new(Mutex::new(BTreeMap::new()));
                let runs = Arc::clone(&seen);
                let (stop, worker) = start(Worker::new(&db, Claim::new("w")).concurrency(8), move |work| {
                    let runs = Arc::clone(&runs);
                    async move {
                        *runs.lock().unwrap().entry(work.id).or_insert(0) += 1;
                        if work.attempts % 2 == 0 {
                            tokio::task::yield_now().await;
                        }
                        Ok::<_, String>(())
                    }
                });
                until_count(&db, JobStatus::Completed, 3_000).await;
                stop.stop();
                assert_eq!(worker.await.unwrap(), Done { completed: 3_000, ..Done::default() });
                let seen = seen.lock().unwrap();
                assert!(seen.len() == 3_000 && seen.values().all(|runs| *runs == 1));
            });
        }
    }

    fn a_thousand_futures_wait_concurrently(t) {
        const JOBS: usize = 1_000;
        let db = t.db();
        for runtime in runtimes() {
            delete_jobs(&db);
            enqueue(&db, JOBS);
            runtime.block_on(async {
                let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
                let seen = Arc::clone(&most);
                let begun = Instant::now();
                let (stop, worker) = start(Worker::new(&db, Claim::new("w")).concurrency(JOBS as u32), move |_| {
                    let (now, seen) = (Arc::clone(&now), Arc::clone(&seen));
                    async move {
                        seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        tokio::time::sleep(Duration::from_millis(200)).await;
                        now.fetch_sub(1, Ordering::SeqCst);
                        Ok::<_, String>(())
                    }
                });
                until_count(&db, JobStatus::Completed, JOBS as i64).await;
                let took = begun.elapsed();
                stop.stop();
                assert_eq!(worker.await.unwrap().completed, JOBS as u64);
                let most = most.load(Ordering::SeqCst);
                // One after the other they would take 200 s.
                assert!(took < Duration::from_secs(20) && most > 100, "{took:?}, {most} concurrently");
            });
        }
    }

    fn concurrency_limits_the_tasks(t) {
        let db = t.db();
        for runtime in runtimes() {
            delete_jobs(&db);
            enqueue(&db, 30);
            runtime.block_on(async {
                let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
                let seen = Arc::clone(&most);
                let (stop, worker) = start(Worker::new(&db, Claim::new("w")).concurrency(3).prefetch(10), move |_| {
                    let (now, seen) = (Arc::clone(&now), Arc::clone(&seen));
                    async move {
                        seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        let begun = Instant::now();
                        while seen.load(Ordering::SeqCst) < 3 && begun.elapsed() < Duration::from_secs(10) {
                            tokio::time::sleep(Duration::from_millis(2)).await;
                        }
                        now.fetch_sub(1, Ordering::SeqCst);
                        Ok::<_, String>(())
                    }
                });
                until_count(&db, JobStatus::Completed, 30).await;
                stop.stop();
                worker.await.unwrap();
                assert_eq!(most.load(Ordering::SeqCst), 3);
            });
        }
    }

    fn errors_panics_discards_and_snoozes_are_stored(t) {
        let db = t.db();
        for runtime in runtimes() {
            delete_jobs(&db);
            db.write(|c| make::execute(c, "DELETE FROM error_log")).unwrap();
            let [fails, panics, panics_early, discards, snoozes, _completes] = put(&db, [
                |j| j.github_workflow_run_id = Some("fail".into()),
                |j| { j.github_workflow_run_id = Some("panic".into()); j.max_attempts = Some(1); },
                |j| { j.github_workflow_run_id = Some("panic early".into()); j.max_attempts = Some(1); },
                |j| j.github_workflow_run_id = Some("discard".into()),
                |j| j.github_workflow_run_id = Some("snooze".into()),
                |_| (),
            ]);
            let done = runtime.block_on(async {
                let (stop, worker) = start(Worker::new(&db, Claim::new("w")).concurrency(2).backoff(AT_ONCE), |work| {
                    assert_ne!(work.github_workflow_run_id.as_deref(), Some("panic early"), "no future");
                    async move {
                        tokio::task::yield_now().await;
                        match work.github_workflow_run_id.as_deref() {
                            Some("fail") => Err(JobError::from("403 Forbidden")),
                            Some("discard") => Err(JobError::Discard("deleted".to_owned())),
                            Some("snooze") => Err(JobError::Snooze(LONG)),
                            Some(_) => panic!("no such codec"),
                            None => Ok(()),
                        }
                    }
                });
                until_count(&db, JobStatus::Failed, 4).await;
                until_count(&db, JobStatus::Completed, 1).await;
                until_count(&db, JobStatus::Processing, 0).await;
                stop.stop();
                worker.await.unwrap()
            });
            assert_eq!(done, Done { completed: 1, failed: 6, snoozed: 1, ..Done::default() });
            let told = |id| (find(&db, id).error_message.unwrap_or_default(), find(&db, id).attempts);
            assert_eq!(told(fails), ("403 Forbidden".to_owned(), 3));
            assert_eq!(told(panics), ("no such codec".to_owned(), 1));
            assert!(told(panics_early).0.contains("no future"));
            assert_eq!(told(discards), ("deleted".to_owned(), 1));
            assert!(is_waiting(&find(&db, snoozes)) && find(&db, snoozes).attempts == 0);
            let errors = db.read(|c| ErrorLog::list(c, &ErrorLogFilter::default(), &Page::first(9))).unwrap();
            let mut kinds: Vec<_> = errors.iter().map(|error| &*error.error_type).collect();
            kinds.sort_unstable();
            assert_eq!(kinds, ["JobDiscarded", "JobFailed", "JobFailed", "JobFailed", "Panic", "Panic"]);
        }
    }

    fn a_future_has_its_own_correlation_id_wherever_it_runs(t) {
        let db = t.db();
        for runtime in runtimes() {
            delete_jobs(&db);
            db.write(|c| make::execute(c, "DELETE FROM error_log")).unwrap();
            enqueue(&db, 20);
            let seen = Arc::new(Mutex::new(Vec::<CorrelationId>::new()));
            let ids = Arc::clone(&seen);
            runtime.block_on(async {
                let (stop, worker) = start(Worker::new(&db, Claim::new("w")).concurrency(10), move |_| {
                    let ids = Arc::clone(&ids);
                    async move {
                        let id = correlation::current().unwrap();
                        for _ in 0..5 {
                            tokio::time::sleep(Duration::from_millis(1)).await;
                            assert_eq!(correlation::current(), Some(id));
                        }
                        ids.lock().unwrap().push(id);
                        Err::<(), _>(JobError::Discard("on purpose".to_owned()))
                    }
                });
                until_count(&db, JobStatus::Failed, 20).await;
                stop.stop();
                worker.await.unwrap();
            });
            let errors = db.read(|c| ErrorLog::list(c, &ErrorLogFilter::default(), &Page::first(30))).unwrap();
            let mut stored: Vec<String> = errors.iter().map(|error| error.correlation_id.unwrap().to_string()).collect();
            let mut seen: Vec<String> = seen.lock().unwrap_or_else(PoisonError::into_inner).iter().map(ToString::to_string).collect();
            stored.sort();
            seen.sort();
            assert_eq!((stored.len(), stored), (20, seen));
        }
    }

    fn log_lines_of_a_future_carry_the_correlation_id_of_its_attempt(t) {
        let db = t.db();
        let ids = put(&db, [|_| (), |_| ()]);
        let [runtime, _] = runtimes();
        let log = tempfile::NamedTempFile::new().unwrap();
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(Mutex::new(log.reopen().unwrap())).finish();
        // The runtime runs all tasks on this thread.
        let _log = tracing::subscriber::set_default(subscriber);
        runtime.block_on(async {
            let (stop, worker) = start(Worker::new(&db, Claim::new("w")).concurrency(2), |work| async move {
                tokio::time::sleep(Duration::from_millis(20)).await; // both futures take turns
                tracing::info!("fetching {} with {}", work.id, correlation::current().unwrap());
                Ok::<_, String>(())
            });
            until_count(&db, JobStatus::Completed, 2).await;
            stop.stop();
            worker.await.unwrap();
        });
        let log = std::fs::read_to_string(log.path()).unwrap();
        for id in ids {
            let line = log.lines().find(|line| line.contains(&format!("fetching {id}"))).unwrap();
            let (_, correlation_id) = line.split_once(" with ").unwrap();
            let span = format!("unit_of_work{{unit=\"job\" correlation_id={correlation_id} job={id} job_type=download attempt=1 wait_ms=");
            assert!(line.contains(&span), "{line}");
        }
    }

    fn typed_async_and_blocking_handlers_work_together(t) {
        #[derive(Deserialize)]
        struct Download {
            quality: String,
        }
        let db = t.db();
        for runtime in runtimes() {
            delete_jobs(&db);
            let [good, bad, blocking, panics] = put(&db, [
                |j| j.payload = Some(Json(serde_json::json!({ "quality": "1080p" }))),
                |j| j.payload = Some(Json(serde_json::json!({ "quality": 3 }))),
                |j| j.job_type = JobType::Publish,
                |j| { j.job_type = JobType::Scrape; j.max_attempts = Some(1); },
            ]);
            let worker = Worker::new(&db, Claim::new("w")).concurrency(2)
                .on_async(JobType::Download, |_, download: Download| async move {
                    tokio::task::yield_now().await;
                    if download.quality == "1080p" { Ok(()) } else { Err("wrong quality") }
                })
                .on(JobType::Publish, |_, _: Option<()>| {
                    std::thread::sleep(Duration::from_millis(5));
                    assert!(correlation::current().is_some());
                    Ok::<_, String>(())
                })
                .on(JobType::Scrape, |_, _: Option<()>| -> Result<(), String> { panic!("in a blocking handler") });
            let error = worker.run_handlers().unwrap_err().to_string();
            assert!(error.contains("run_handlers_async"), "{error}");
            let done = runtime.block_on(async {
                let (stop, running) = (worker.stop(), tokio::spawn(worker.run_handlers_async()));
                until_count(&db, JobStatus::Completed, 2).await;
                until_count(&db, JobStatus::Failed, 2).await;
                stop.stop();
                running.await.unwrap().unwrap()
            });
            assert_eq!(done, Done { completed: 2, failed: 2, ..Done::default() });
            assert_eq!([good, blocking].map(|id| find(&db, id).status), [JobStatus::Completed; 2]);
            assert!(find(&db, bad).error_message.unwrap().contains("invalid payload"));
            assert_eq!(find(&db, panics).error_message.as_deref(), Some("in a blocking handler"));
        }
    }

    fn stopped_worker_lets_futures_finish_or_drops_them(t) {
        let db = t.db();
        for runtime in runtimes() {
            delete_jobs(&db);
            enqueue(&db, 3);
            let is_dropped = Arc::new(AtomicBool::new(false));
            let dropped = Arc::clone(&is_dropped);
            let started = Arc::new(AtomicUsize::new(0));
            let starts = Arc::clone(&started);
            let worker = Worker::new(&db, Claim::new("w")).concurrency(3).grace(SHORT * 5);
            let (done, waited) = runtime.block_on(async {
                let (stop, worker) = start(worker, move |work| {
                    let number = starts.fetch_add(1, Ordering::SeqCst);
                    let dropped = Arc::clone(&dropped);
                    async move {
                        match number {
                            // One future ends because of the stop, one finishes in time, and one does neither.
                            0 => { work.stopped().await; Err("stopped") }
                            1 => { work.stopped().await; Ok(()) }
                            _ => {
                                let _flag = Flag(dropped);
                                std::future::pending().await
                            }
                        }
                    }
                });
                until("all have started", move || started.load(Ordering::SeqCst) == 3).await;
                stop.stop();
                let stopped = Instant::now();
                (worker.await.unwrap(), stopped.elapsed())
            });
            assert_eq!(done, Done { completed: 1, released: 2, ..Done::default() });
            assert!(is_dropped.load(Ordering::SeqCst) && waited >= SHORT * 5, "{waited:?}");
            let released: i64 = db.read(|c| Ok(jobs::table.filter(jobs::status.eq(JobStatus::Queued).and(jobs::attempts.eq(0))).count().get_result(c)?)).unwrap();
            assert_eq!(released, 2, "a released job does not count the attempt");
        }
    }

    fn dropped_worker_drops_its_futures_and_releases_their_jobs(t) {
        let db = t.db();
        for runtime in runtimes() {
            delete_jobs(&db);
            enqueue(&db, 20);
            let is_dropped = Arc::new(AtomicBool::new(false));
            let dropped = Arc::clone(&is_dropped);
            let started = Arc::new(AtomicUsize::new(0));
            let starts = Arc::clone(&started);
            // Some jobs run, and others wait in the buffer.
            let worker = Worker::new(&db, Claim::new("w")).concurrency(2).prefetch(8).grace(LONG);
            runtime.block_on(async {
                let run = worker.run_async(move |_| {
                    starts.fetch_add(1, Ordering::SeqCst);
                    let flag = Flag(Arc::clone(&dropped));
                    async move {
                        let _flag = flag;
                        std::future::pending::<Result<(), String>>().await
                    }
                });
                let running = Arc::clone(&started);
                tokio::select! {
                    _ = run => panic!("the worker ended"),
                    () = until("two futures run", move || running.load(Ordering::SeqCst) == 2) => {}
                }
                let processing = db.clone();
                until("all jobs are released", move || count(&processing, JobStatus::Processing) == 0).await;
            });
            assert!(is_dropped.load(Ordering::SeqCst));
            assert_eq!(started.load(Ordering::SeqCst), 2, "no job was started after the drop");
            let released: i64 = db.read(|c| Ok(jobs::table.filter(jobs::status.eq(JobStatus::Queued).and(jobs::attempts.eq(0))).count().get_result(c)?)).unwrap();
            assert_eq!(released, 20);
            // Only this run was stopped, so that the same worker can run again.
            assert!(!worker.stop().is_stopped());
            runtime.block_on(async {
                let (stop, worker) = start(worker, |_| async { Ok::<_, String>(()) });
                until_count(&db, JobStatus::Completed, 20).await;
                stop.stop();
                assert_eq!(worker.await.unwrap().completed, 20);
            });
        }
    }

    fn dropped_worker_keeps_the_jobs_of_blocking_handlers_until_they_return(t) {
        let db = t.db();
        for runtime in runtimes() {
            delete_jobs(&db);
            enqueue(&db, 1);
            let started = Arc::new(AtomicBool::new(false));
            let starts = Arc::clone(&started);
            let has_seen_stop = Arc::new(AtomicBool::new(false));
            let seen = Arc::clone(&has_seen_stop);
            let worker = Worker::new(&db, Claim::new("w")).on(JobType::Download, move |work, _: Option<()>| {
                starts.store(true, Ordering::SeqCst);
                wait_until("the job should stop", || work.should_stop());
                std::thread::sleep(SHORT);
                seen.store(!work.is_lost(), Ordering::SeqCst);
                Ok::<_, String>(())
            });
            runtime.block_on(async {
                tokio::select! {
                    _ = worker.run_handlers_async() => panic!("the worker ended"),
                    () = until("the handler runs", move || started.load(Ordering::SeqCst)) => {}
                }
                until_count(&db, JobStatus::Completed, 1).await;
            });
            assert!(has_seen_stop.load(Ordering::SeqCst));
        }
    }

    fn runtime_that_shuts_down_releases_the_jobs(t) {
        let db = t.db();
        for runtime in runtimes() {
            delete_jobs(&db);
            enqueue(&db, 20);
            let started = Arc::new(AtomicUsize::new(0));
            let starts = Arc::clone(&started);
            let worker = Worker::new(&db, Claim::new("w")).concurrency(4).prefetch(4);
            runtime.block_on(async {
                let run = worker.run_async(move |_| {
                    starts.fetch_add(1, Ordering::SeqCst);
                    std::future::pending::<Result<(), String>>()
                });
                tokio::spawn(run);
                until("four futures run", move || started.load(Ordering::SeqCst) == 4).await;
            });
            drop(runtime);
            wait_until("all jobs are released", || count(&db, JobStatus::Queued) == 20);
        }
    }

    fn future_learns_that_its_lease_is_lost(t) {
        let db = t.db();
        for runtime in runtimes() {
            delete_jobs(&db);
            let [id] = put(&db, [|_| ()]);
            let has_ended = Arc::new(AtomicBool::new(false));
            let ended = Arc::clone(&has_ended);
            let done = runtime.block_on(async {
                let (stop, worker) = start(Worker::new(&db, Claim::new("w").lease(SHORT)), move |work| {
                    let ended = Arc::clone(&ended);
                    async move {
                        work.stopped().await;
                        ended.store(work.is_lost(), Ordering::SeqCst);
                        Ok::<_, String>(())
                    }
                });
                until_count(&db, JobStatus::Processing, 1).await;
                db.write(|c| queue::cancel(c, id)).unwrap();
                until("the future has seen it", move || has_ended.load(Ordering::SeqCst)).await;
                tokio::time::sleep(SHORT).await;
                stop.stop();
                worker.await.unwrap()
            });
            assert_eq!(done, Done { lost: 1, ..Done::default() });
        }
    }

    fn future_sees_a_stop_soon(t) {
        let db = t.db();
        for runtime in runtimes() {
            delete_jobs(&db);
            enqueue(&db, 100);
            let started = Arc::new(AtomicUsize::new(0));
            let starts = Arc::clone(&started);
            let (done, waited) = runtime.block_on(async {
                let (stop, worker) = start(Worker::new(&db, Claim::new("w")).concurrency(100), move |work| {
                    starts.fetch_add(1, Ordering::SeqCst);
                    async move { work.stopped().await; Err("stopped") }
                });
                until("all have started", move || started.load(Ordering::SeqCst) == 100).await;
                let stopped = Instant::now();
                stop.stop();
                (worker.await.unwrap(), stopped.elapsed())
            });
            assert_eq!(done, Done { released: 100, ..Done::default() });
            assert!(waited < Duration::from_secs(5), "{waited:?}");
        }
    }

    fn invalid_worker_is_refused(t) {
        let db = t.db();
        for runtime in runtimes() {
            runtime.block_on(async {
                let worker = Worker::new(&db, Claim::new("w"));
                let error = worker.run_handlers_async().await.unwrap_err().to_string();
                assert!(error.contains("has no handler"), "{error}");
                let error = worker.clone().prefetch(10_001).run_async(|_| async { Ok::<_, String>(()) }).await.unwrap_err();
                assert!(error.to_string().contains("prefetch"), "{error}");
                worker.stop().stop();
                assert_eq!(worker.run_async(|_| async { Ok::<_, String>(()) }).await.unwrap(), Done::default());
            });
        }
    }
}
