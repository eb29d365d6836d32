//! Tests of workers, within this process and as processes that are stopped or killed.

use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, mpsc};
use std::time::Instant;

use viraldb::compilation::{ErrorLog, ErrorLogFilter};
use viraldb::diesel::connection::SimpleConnection;
use viraldb::queue::{Backoff, Done, Stop, Worker};
use viraldb::republishing::NewSystemConfiguration;
use viraldb::{ConfigValue, DbConnection, Page};

use super::*;
#[cfg(feature = "postgres")]
use crate::support::server::Server;
use crate::support::{Scratch, both, wait_until};

const SHORT: Duration = Duration::from_millis(300);
/// A lease long enough to be renewed even if the machine is so busy that a thread waits for a second.
const KEPT: Duration = Duration::from_secs(2);
const AT_ONCE: Backoff = Backoff { base: Duration::ZERO, longest: Duration::ZERO };

/// Runs a worker on its own thread. Joining the thread returns what the worker did.
fn start<E: std::fmt::Display + 'static>(
    worker: Worker,
    handler: impl Fn(&queue::Work) -> Result<(), E> + Send + Sync + 'static,
) -> (Stop, std::thread::JoinHandle<Done>) {
    let stop = worker.stop();
    (stop, std::thread::spawn(move || worker.run(handler).unwrap()))
}

fn count(db: &Database, status: JobStatus) -> i64 {
    db.read(|c| Ok(jobs::table.filter(jobs::status.eq(status)).count().get_result(c)?)).unwrap()
}

fn enqueue(db: &Database, count: usize) {
    db.write(|c| {
        let video = make::video(c).insert(c)?;
        let rows: Vec<_> = (0..count)
            .map(|_| NewVideoProcessingJob {
                max_attempts: Some(2),
                ..NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download)
            })
            .collect();
        queue::enqueue_many(c, &rows)
    })
    .unwrap();
}

both! {
    fn worker_uses_its_full_concurrency_and_settles_every_job(t) {
        let db = t.db();
        enqueue(&db, 12);
        let [fails] = put(&db, [|j| j.github_workflow_run_id = Some("fail".into())]);
        let [panics] = put(&db, [|j| { j.github_workflow_run_id = Some("panic".into()); j.max_attempts = Some(1); }]);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let seen = Arc::clone(&most);
        let (stop, worker) = start(Worker::new(&db, Claim::new("w")).concurrency(3).backoff(AT_ONCE), move |job| {
            seen.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
            let begun = Instant::now();
            while seen.load(Ordering::SeqCst) < 3 && begun.elapsed() < Duration::from_secs(10) {
                std::thread::sleep(Duration::from_millis(2)); // until three run, however slow the machine is
            }
            now.fetch_sub(1, Ordering::SeqCst);
            match job.github_workflow_run_id.as_deref() {
                Some("fail") => Err("403 Forbidden"),
                Some(_) => panic!("no such codec"),
                None => Ok(()),
            }
        });
        wait_until("all are settled", || count(&db, JobStatus::Completed) == 12 && count(&db, JobStatus::Failed) == 2);
        stop.stop();
        assert_eq!(worker.join().unwrap(), Done { completed: 12, failed: 4, ..Done::default() });
        assert_eq!(most.load(Ordering::SeqCst), 3);
        assert_eq!((find(&db, fails).error_message.as_deref(), find(&db, fails).attempts), (Some("403 Forbidden"), 3));
        assert_eq!(find(&db, panics).error_message.as_deref(), Some("no such codec"));
        let errors = db.read(|c| ErrorLog::list(c, &ErrorLogFilter::default(), &Page::first(9))).unwrap();
        let mut kinds: Vec<_> = errors.iter().map(|e| (&*e.module, &*e.error_type, &*e.error_message)).collect();
        kinds.sort();
        assert_eq!(kinds, [("download", "JobFailed", "403 Forbidden"), ("download", "JobFailed", "403 Forbidden"), ("download", "JobFailed", "403 Forbidden"), ("download", "Panic", "no such codec")]);
        let ids: HashSet<_> = errors.iter().map(|e| e.correlation_id.unwrap()).collect();
        assert_eq!(ids.len(), 4, "each attempt has its own correlation id");
    }

    fn nul_characters_in_an_error_message_are_replaced(t) {
        let db = t.db();
        let [id] = put(&db, [|j| j.max_attempts = Some(1)]);
        let (stop, worker) = start(Worker::new(&db, Claim::new("w")), |_| Err("codec \0 failed"));
        wait_until("the job has failed", || find(&db, id).status == JobStatus::Failed);
        stop.stop();
        assert_eq!(worker.join().unwrap().failed, 1);
        assert_eq!(find(&db, id).error_message.as_deref(), Some("codec \u{fffd} failed"));
    }

    fn heartbeats_work_when_handlers_use_every_connection(t) {
        t.db();
        let options = viraldb::Options { connections: 2, ..Default::default() };
        let db = Database::open_with(&t.url, &options).unwrap();
        let watcher = t.db();
        enqueue(&watcher, 1);
        let held = db.clone();
        let (stop, worker) = start(Worker::new(&db, Claim::new("w").lease(KEPT)), move |job| {
            let _session = held.session().map_err(|error| error.to_string())?;
            std::thread::sleep(KEPT * 2);
            if job.is_lost() { Err("lost".to_owned()) } else { Ok(()) }
        });
        wait_until("the job is done", || {
            watcher.write(queue::rescue).unwrap();
            count(&watcher, JobStatus::Completed) == 1
        });
        stop.stop();
        assert_eq!(worker.join().unwrap(), Done { completed: 1, ..Done::default() });
    }

    fn heartbeats_keep_a_job_longer_than_its_lease(t) {
        let db = t.db();
        let [id] = put(&db, [|_| ()]);
        let (stop, worker) = start(Worker::new(&db, Claim::new("slow").lease(KEPT)), |_| { std::thread::sleep(KEPT * 2); Ok::<_, String>(()) });
        wait_until("the job is claimed", || find(&db, id).attempts == 1);
        wait_until("the job is done", || {
            db.write(queue::rescue).unwrap();
            assert!(claim(&db, &Claim::new("thief")).is_empty());
            find(&db, id).status == JobStatus::Completed
        });
        stop.stop();
        assert_eq!(worker.join().unwrap().completed, 1);
        assert_eq!(find(&db, id).attempts, 1);
    }

    fn stopped_worker_lets_jobs_finish_or_releases_them(t) {
        let db = t.db();
        enqueue(&db, 3);
        let (started, starts) = mpsc::channel();
        let left = Arc::new(AtomicUsize::new(0));
        let (stop, worker) = start(Worker::new(&db, Claim::new("w")).concurrency(3).grace(SHORT * 10), move |job| {
            let number = left.fetch_add(1, Ordering::SeqCst);
            started.send(()).unwrap();
            match number {
                // One job heeds the stop, one finishes in time, and one does neither.
                0 => loop {
                    std::thread::sleep(Duration::from_millis(5));
                    if job.should_stop() {
                        return Err("stopped");
                    }
                },
                1 => { wait_until("the job should stop", || job.should_stop()); Ok(()) }
                _ => { wait_until("the lease is lost", || job.is_lost()); Ok(()) }
            }
        });
        (0..3).for_each(|_| starts.recv().unwrap());
        stop.stop();
        assert_eq!(worker.join().unwrap(), Done { completed: 1, released: 2, ..Done::default() });
        assert_eq!((count(&db, JobStatus::Completed), count(&db, JobStatus::Queued)), (1, 2));
        let attempts: i64 = db.read(|c| Ok(jobs::table.filter(jobs::status.eq(JobStatus::Queued).and(jobs::attempts.eq(0))).count().get_result(c)?)).unwrap();
        assert_eq!(attempts, 2, "a released job does not count the attempt");
    }

    fn worker_learns_that_its_job_was_canceled(t) {
        let db = t.db();
        let [id] = put(&db, [|_| ()]);
        let (stop, worker) = start(Worker::new(&db, Claim::new("w").lease(SHORT)), |job| { wait_until("the lease is lost", || job.is_lost()); Ok::<_, String>(()) });
        wait_until("the job is claimed", || find(&db, id).status == JobStatus::Processing);
        db.write(|c| queue::cancel(c, id)).unwrap();
        wait_until("the worker has ended", || stop_when_idle(&db, &stop, &worker));
        assert_eq!(worker.join().unwrap(), Done { lost: 1, ..Done::default() });
        assert_eq!(find(&db, id).error_message.as_deref(), Some("cancelled"));
    }

    fn a_worker_wakes_when_another_program_inserts(t) {
        let db = t.db();
        let video = db.write(|c| make::video(c).insert(c)).unwrap();
        let (started, starts) = mpsc::channel();
        let (stop, worker) = start(Worker::new(&db, Claim::new("w")), move |_| { started.send(Instant::now()).unwrap(); Ok::<_, String>(()) });
        let mut waits: Vec<Duration> = (0..9).map(|_| {
            std::thread::sleep(Duration::from_millis(150));
            let mut other = Database::connect(&t.url).unwrap().session().unwrap();
            let id = VideoProcessingJobId::default();
            other.batch_execute(&format!("INSERT INTO video_processing_jobs (id, video_id, channel_id, job_type) VALUES ('{id}', '{}', '{}', 'scrape')", video.id, video.channel_id)).unwrap();
            let inserted = Instant::now();
            starts.recv_timeout(Duration::from_secs(10)).unwrap().saturating_duration_since(inserted)
        }).collect();
        stop.stop();
        worker.join().unwrap();
        waits.sort();
        // Without a wake-up, the worker looks once a second: a wait of half a second on average.
        assert!(waits[4] < Duration::from_millis(200), "{waits:?}");
    }

    fn paused_queue_lets_a_worker_finish_its_running_job(t) {
        let db = t.db();
        let pause = |value: bool| {
            let setting = NewSystemConfiguration { key: "queue_paused".into(), value: ConfigValue(value.into()), ..Default::default() };
            db.write(|c| setting.insert_or_update(c)).unwrap();
        };
        let [running] = put(&db, [|_| ()]);
        let (started, starts) = mpsc::channel();
        let (finish, finished) = mpsc::channel();
        let finished = Mutex::new(finished);
        let (stop, worker) = start(Worker::new(&db, Claim::new("w").lease(KEPT)).concurrency(2), move |job| {
            started.send((job.id, Instant::now())).unwrap();
            if job.id == running {
                finished.lock().unwrap().recv().unwrap();
            }
            Ok::<_, String>(())
        });
        assert_eq!(starts.recv_timeout(Duration::from_secs(30)).unwrap().0, running);
        pause(true);
        let [waiting] = put(&db, [|_| ()]);
        // Longer than the polling interval, and longer than two leases.
        assert_eq!(starts.recv_timeout(KEPT * 5 / 2), Err(mpsc::RecvTimeoutError::Timeout));
        assert_eq!(db.write(queue::rescue).unwrap(), queue::Rescued::default());
        finish.send(()).unwrap();
        wait_until("the running job is done", || find(&db, running).status == JobStatus::Completed);
        assert_eq!((find(&db, waiting).status, find(&db, running).attempts), (JobStatus::Queued, 1));

        pause(false);
        assert_eq!(starts.recv_timeout(Duration::from_secs(30)).unwrap().0, waiting);
        let mut waits: Vec<Duration> = (0..9).map(|_| {
            std::thread::sleep(Duration::from_millis(150));
            put(&db, [|_| ()]);
            let put = Instant::now();
            starts.recv_timeout(Duration::from_secs(30)).unwrap().1.saturating_duration_since(put)
        }).collect();
        stop.stop();
        assert_eq!(worker.join().unwrap(), Done { completed: 11, ..Done::default() });
        waits.sort();
        assert!(waits[4] < Duration::from_millis(200), "the worker is woken as before: {waits:?}");
    }

    fn worker_stops_in_time_while_the_database_is_unavailable(t) {
        const GRACE: Duration = Duration::from_secs(2);
        let target = InterruptibleDatabase::new(t);
        let options = viraldb::Options { busy_timeout: SHORT / 3, ..Default::default() };
        let db = Database::open_with(&target.url, &options).unwrap();
        enqueue(&db, 3);
        let (started, starts) = mpsc::channel();
        let left = Arc::new(AtomicUsize::new(0));
        let (stop, worker) = start(Worker::new(&db, Claim::new("w")).concurrency(4).grace(GRACE), move |job| {
            let number = left.fetch_add(1, Ordering::SeqCst);
            started.send(()).unwrap();
            wait_until("the job should stop", || job.should_stop());
            match number {
                // One job heeds the stop, one finishes in time, and one does neither.
                0 => return Err("stopped"),
                1 => {}
                _ => drop(wait_until("the lease is lost", || job.is_lost())),
            }
            Ok(())
        });
        let (stop_idle, idle) = start(Worker::new(&db, Claim::new("idle").types([JobType::Publish])).grace(GRACE), |_| Ok::<_, String>(()));
        (0..3).for_each(|_| starts.recv().unwrap());
        let waits = target.while_unavailable(|| {
            std::thread::sleep(SHORT);
            let stopped = Instant::now();
            stop.stop();
            stop_idle.stop();
            assert_eq!(idle.join().unwrap(), Done::default());
            let waited = stopped.elapsed();
            assert_eq!(worker.join().unwrap(), Done { lost: 3, ..Done::default() });
            [waited, stopped.elapsed()]
        });
        // The last handler runs for the whole grace period; then the worker asks the database once more.
        assert!(waits[0] < GRACE && waits[1] < 2 * GRACE, "{waits:?}");
        assert_eq!(count(&db, JobStatus::Processing), 3, "their leases expire later");
    }

    fn sigterm_ends_a_worker_process_while_the_database_is_unavailable(t) {
        let target = InterruptibleDatabase::new(t);
        let db = Database::open(&target.url).unwrap();
        enqueue(&db, 1);
        let mut child = process(&target.url, 2_000, 2_000);
        wait_until("the worker has claimed the job", || count(&db, JobStatus::Processing) == 1);
        let (waited, lines) = target.while_unavailable(|| {
            let stopped = Instant::now();
            let lines = terminate(&mut child);
            (stopped.elapsed(), lines)
        });
        // The grace period is 30 s.
        assert!(waited < Duration::from_secs(30), "{waited:?}: {lines:?}");
        assert!(lines.last().unwrap().contains("lost: 1"), "{lines:?}");
        let name = db.url().to_string();
        assert!(lines.iter().filter(|line| line.contains("trying again")).all(|line| line.contains(&name)), "{name} {lines:?}");
        assert_eq!(rescued(queue::rescue_all(&db)), (1, 0));
    }

    fn sigterm_lets_a_worker_process_finish(t) {
        let db = t.db();
        enqueue(&db, 2);
        let mut child = process(&t.url, 10_000, 400);
        wait_until("the worker has claimed both jobs", || count(&db, JobStatus::Processing) == 2);
        let lines = terminate(&mut child);
        assert!(lines.last().unwrap().contains("released: 2") || lines.last().unwrap().contains("completed: 2"), "{lines:?}");
        assert_eq!(count(&db, JobStatus::Processing), 0);
    }

    fn two_hundred_killed_workers_lose_no_jobs(t) {
        const KILLS: usize = 200;
        const AT_ONCE: usize = 4;
        let db = t.db();
        enqueue(&db, 6_000);
        // Workers with short jobs claim ahead and store outcomes in batches; those with longer jobs do not.
        let acknowledged: Vec<String> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..AT_ONCE as u64).map(|worker| {
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(worker);
                    let mut acknowledged = Vec::new();
                    for _ in 0..KILLS / AT_ONCE {
                        let mut child = process(&t.url, 400, if worker % 2 == 0 { 2 } else { 80 });
                        let output = child.stderr.take().map(BufReader::new).unwrap();
                        std::thread::sleep(Duration::from_millis(random.u64(20..250)));
                        child.kill().unwrap(); // SIGKILL
                        child.wait().unwrap();
                        acknowledged.extend(output.lines().map_while(Result::ok).filter_map(|line| completed(&line)));
                    }
                    acknowledged
                })
            }).collect();
            workers.into_iter().flat_map(|worker| worker.join().unwrap()).collect()
        });
        let before = count(&db, JobStatus::Completed);
        assert!(before > 0 && !acknowledged.is_empty());
        let different: HashSet<&String> = acknowledged.iter().collect();
        assert_eq!(different.len(), acknowledged.len(), "no job was completed twice");
        for id in &acknowledged {
            assert_eq!(find(&db, id.parse().unwrap()).status, JobStatus::Completed, "{id} was acknowledged");
        }
        // One worker that is not killed processes the remaining jobs.
        let (stop, worker) = start(Worker::new(&db, Claim::new("last").lease(SHORT)).concurrency(8), |_| Ok::<_, String>(()));
        wait_until("all jobs have ended", || count(&db, JobStatus::Completed) + count(&db, JobStatus::Failed) == 6_000);
        stop.stop();
        worker.join().unwrap();
        let failed: Vec<VideoProcessingJob> = db.read(|c| Ok(VideoProcessingJob::query().filter(jobs::status.eq(JobStatus::Failed)).load(c)?)).unwrap();
        assert!(failed.iter().all(|job| job.attempts == job.max_attempts));
        if !t.is_postgres {
            db.read(is_sound).unwrap();
        }
    }
}

/// Stops the worker shortly after no job is held any more, so that it can count the lost job. Returns true
/// once the worker has ended.
fn stop_when_idle(db: &Database, stop: &Stop, worker: &std::thread::JoinHandle<Done>) -> bool {
    if count(db, JobStatus::Processing) == 0 {
        std::thread::sleep(SHORT);
        stop.stop();
    }
    worker.is_finished()
}

/// A database that can be made unavailable for a while: the file of the test, or a database on its own
/// server.
struct InterruptibleDatabase {
    url: String,
    #[cfg(feature = "postgres")]
    server: Option<Server>,
}

impl InterruptibleDatabase {
    fn new(t: &Scratch) -> Self {
        #[cfg(feature = "postgres")]
        if t.is_postgres {
            let server = Server::own(&["fsync=off"]);
            return Self { url: server.create_database("away", "template0"), server: Some(server) };
        }
        Self {
            url: t.url.clone(),
            #[cfg(feature = "postgres")]
            server: None,
        }
    }

    /// Runs `work` while the server is stopped, or while another connection locks the file.
    fn while_unavailable<T>(&self, work: impl FnOnce() -> T) -> T {
        #[cfg(feature = "postgres")]
        if let Some(server) = &self.server {
            server.stop();
            let result = work();
            server.restart();
            return result;
        }
        let mut other = Database::connect(&self.url).unwrap().session().unwrap();
        other.atomically(|_| Ok(work())).unwrap()
    }
}

/// Environment variable that turns this test program into a worker: URL, then lease and work in milliseconds.
const BE_A_WORKER: &str = "VIRALDB_TEST_WORKER";

/// Starts a worker process on a database. It runs this program with one test, which becomes the worker.
fn process(url: &str, lease: u32, work: u32) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "queue::workers::worker_stopped_before_it_starts_claims_nothing", "--nocapture"])
        .env(BE_A_WORKER, format!("{url} {lease} {work}"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

/// Sends SIGTERM to a worker process and returns the lines it logged until it ended.
fn terminate(child: &mut Child) -> Vec<String> {
    let sent = Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap();
    assert!(sent.success());
    let lines = child.stderr.take().map(BufReader::new).unwrap().lines().map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{lines:?}");
    lines
}

#[cfg(feature = "postgres")]
#[test]
fn server_messages_to_a_listening_worker_are_logged_not_printed() {
    let t = Scratch::postgres();
    let db = t.db();
    let mut child = process(&t.url, 60_000, 1);
    let ended = "SELECT count(pg_terminate_backend(pid))::text AS v FROM pg_stat_activity \
                 WHERE datname = current_database() AND query LIKE 'LISTEN%'";
    let is_ended = || db.write(|c| Ok(make::query(c, ended))).unwrap() != ["0"];
    assert!((0..300).any(|_| {
        std::thread::sleep(Duration::from_millis(100));
        is_ended()
    }));
    std::thread::sleep(Duration::from_millis(500));
    let lines = terminate(&mut child);
    // A log line begins with its timestamp.
    let printed: Vec<_> = lines
        .iter()
        .filter(|line| line.contains("terminating connection") && !line.starts_with("20"))
        .collect();
    assert!(printed.is_empty(), "{lines:#?}");
    assert!(
        lines.iter().any(|line| line.contains("the server says: FATAL: terminating connection")),
        "{lines:#?}"
    );
}

#[test]
fn worker_stopped_before_it_starts_claims_nothing() {
    if let Ok(asked) = std::env::var(BE_A_WORKER) {
        return be_a_worker(&asked);
    }
    #[cfg(feature = "sqlite")]
    let t = Scratch::sqlite();
    #[cfg(not(feature = "sqlite"))]
    let t = Scratch::postgres();
    let db = t.db();
    enqueue(&db, 1);
    let worker = Worker::new(&db, Claim::new("w"));
    worker.stop().stop();
    assert_eq!(worker.run(|_| Ok::<_, String>(())).unwrap(), Done::default());
    assert_eq!(count(&db, JobStatus::Queued), 1);
}

fn be_a_worker(asked: &str) {
    tracing_subscriber::fmt().with_writer(std::io::stderr).with_ansi(false).init();
    let asked: Vec<&str> = asked.split(' ').collect();
    let [lease, work] = [1, 2].map(|place| Duration::from_millis(asked[place].parse().unwrap()));
    let db = Database::connect(asked[0]).unwrap();
    let worker = Worker::new(&db, Claim::new("process").lease(lease)).concurrency(4);
    worker.stop().on_signals().unwrap();
    let done = worker.run(move |job| {
        for _ in 0..10 {
            if job.should_stop() {
                return Err("stopped halfway");
            }
            std::thread::sleep(work / 10);
        }
        Ok(())
    });
    tracing::info!("{:?}", done.unwrap());
}

/// Returns the job that a log line reports as completed, if the line is complete.
fn completed(line: &str) -> Option<String> {
    let (_, rest) = line.split_once("settled job=")?;
    rest.strip_suffix(" status=completed").map(str::to_owned)
}

/// Asserts that the SQLite file passes the integrity and foreign key checks.
fn is_sound(conn: &mut DbConnection) -> viraldb::Result<()> {
    #[derive(QueryableByName)]
    struct Finding {
        #[diesel(sql_type = viraldb::diesel::sql_types::Text)]
        found: String,
    }
    let sql = "SELECT integrity_check AS found FROM pragma_integrity_check \
               UNION ALL SELECT 'orphan in ' || \"table\" FROM pragma_foreign_key_check";
    let found: Vec<Finding> = viraldb::diesel::sql_query(sql).load(conn)?;
    assert_eq!(found.iter().map(|finding| &*finding.found).collect::<Vec<_>>(), ["ok"]);
    Ok(())
}

#[cfg(feature = "postgres")]
#[test]
fn worker_continues_after_its_server_restarts() {
    let server = Server::own(&["fsync=off"]);
    let url = server.create_database("restarted", "template0");
    let db = Database::open(&url).unwrap();
    enqueue(&db, 1);
    let (stop, worker) =
        start(Worker::new(&db, Claim::new("w").lease(Duration::from_secs(20))).concurrency(2), |_| {
            std::thread::sleep(SHORT);
            Ok::<_, String>(())
        });
    wait_until("the worker has claimed the job", || count(&db, JobStatus::Processing) == 1);
    server.restart();
    // The running job is completed. Later jobs are claimed as well, through their notification.
    wait_until("the running job is done", || count(&db, JobStatus::Completed) == 1);
    enqueue(&db, 3);
    wait_until("the later jobs are done", || count(&db, JobStatus::Completed) == 4);
    stop.stop();
    assert_eq!(worker.join().unwrap(), Done { completed: 4, ..Done::default() });
}
