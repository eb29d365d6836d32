//! Measures an idle worker: how soon it starts a new job, and how much CPU time it uses while it waits.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::time::{Duration, SystemTime};

use viraldb::Database;
use viraldb::queue::{self, Claim, Worker};
use viraldb::republishing::{JobType, NewVideoProcessingJob, Video};

use crate::measure::{Asked, Line};
use crate::queue::video;
use crate::rows::Random;
use crate::sqlite::Scratch;

const SQLITE: [&str; 2] =
    ["sqlite idle worker, p99 to start a job", "sqlite idle worker, CPU time per second"];
/// The default interval at which a worker checks whether the file has changed.
const POLL: Duration = Duration::from_millis(25);

pub fn lines(asked: &Asked) -> Vec<Line> {
    let mut lines = Vec::new();
    if asked.wants_any(&SQLITE) {
        lines.extend(sqlite(asked));
    }
    #[cfg(feature = "postgres")]
    lines.extend(postgres::lines(asked));
    lines
}

fn jobs(asked: &Asked) -> u64 {
    asked.rows(1_000_000).div_ceil(1_000).min(1_000)
}

/// Enqueues a job and returns its id and the time at which it was enqueued.
fn put(db: &Database, video: &Video) -> (String, SystemTime) {
    let job = NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download);
    let job = db.write(|c| queue::enqueue(c, &job)).unwrap().unwrap();
    (job.id.to_string(), SystemTime::now())
}

fn p99(mut waits: Vec<Duration>) -> Duration {
    waits.sort_unstable();
    waits[waits.len() * 99 / 100]
}

/// Measures a worker in another process. The targets are twice its poll interval and one hundredth of a core.
fn sqlite(asked: &Asked) -> [Line; 2] {
    let scratch = Scratch::new();
    let db = scratch.open();
    let video = video(&db);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--child", &format!("idle {}", scratch.path.display())])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert_eq!(out.next().as_deref(), Some("ready"));
    let mut random = Random::new(1);
    let waits = (0..jobs(asked)).map(|_| {
        std::thread::sleep(Duration::from_micros(5_000 + random.below(30_000)));
        let (id, put) = put(&db, &video);
        let line = out.next().unwrap();
        let (begun, micros) = line.split_once(' ').unwrap();
        assert_eq!(begun, id);
        let begun = SystemTime::UNIX_EPOCH + Duration::from_micros(micros.parse().unwrap());
        begun.duration_since(put).unwrap_or_default()
    });
    let mut begins = Line::new(SQLITE[0], 1.0, 1);
    begins.add(p99(waits.collect()), 2 * POLL);
    let idle = Duration::from_secs(jobs(asked).div_ceil(100));
    let before = processor_time(child.id());
    std::thread::sleep(idle);
    let spent = processor_time(child.id()) - before;
    let mut costs = Line::new(SQLITE[1], 1.0, 1);
    costs.add((spent / idle.as_secs() as u32).max(Duration::from_micros(1)), Duration::from_millis(10));
    drop(child.stdin.take());
    assert!(child.wait().unwrap().success());
    [begins, costs]
}

/// Returns the CPU time of a process, which the kernel counts in hundredths of a second.
fn processor_time(process: u32) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let after_name = stat.rsplit_once(')').unwrap().1;
    let ticks: u64 =
        after_name.split_whitespace().skip(11).take(2).map(|field| field.parse::<u64>().unwrap()).sum();
    Duration::from_millis(ticks * 10)
}

/// Runs in the child process: works on jobs until its input is closed.
pub fn child(path: &str) {
    let db = Database::open(path).unwrap();
    let worker = Worker::new(&db, Claim::new("idle")).concurrency(1);
    let stop = worker.stop();
    let thread = std::thread::spawn(move || {
        worker.run(|job| {
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap();
            println!("{} {}", job.id, now.as_micros());
            Ok::<_, String>(())
        })
    });
    println!("ready");
    std::io::stdin().lines().for_each(drop);
    stop.stop();
    thread.join().unwrap().unwrap();
}

#[cfg(feature = "postgres")]
mod postgres {
    use std::sync::mpsc;
    use std::time::Instant;

    use viraldb::diesel::Connection;
    use viraldb::diesel::connection::SimpleConnection;
    use viraldb::diesel::pg::PgConnection;

    use super::*;
    use crate::server::Server;

    const NAME: &str = "postgres idle worker, p99 to start a job";

    /// Measures a worker thread. The target is ten times the time of a bare notification.
    pub fn lines(asked: &Asked) -> Vec<Line> {
        if !asked.wants(NAME) {
            return Vec::new();
        }
        let server = Server::new(&["shared_buffers=256MB"]);
        let url = server.create_database(&format!("idle{}", std::process::id()), "template0");
        let (db, other) = (Database::open(&url).unwrap(), Database::open(&url).unwrap());
        let video = video(&other);
        let mut line = Line::new(NAME, 0.1, 1);
        for _ in 0..asked.rounds(3) {
            line.add(begin_a_job(asked, &db, &other, &video), bare(asked, &url));
        }
        vec![line]
    }

    fn begin_a_job(asked: &Asked, db: &Database, other: &Database, video: &Video) -> Duration {
        let worker = Worker::new(db, Claim::new("idle")).concurrency(1);
        let stop = worker.stop();
        let (begun, begins) = mpsc::channel();
        let thread = std::thread::spawn(move || {
            worker.run(move |_| begun.send(SystemTime::now()).map_err(|error| error.to_string()))
        });
        let waits = (0..jobs(asked)).map(|_| {
            std::thread::sleep(Duration::from_millis(15));
            let (_, put) = put(other, video);
            begins.recv().unwrap().duration_since(put).unwrap_or_default()
        });
        let p99 = p99(waits.collect());
        stop.stop();
        thread.join().unwrap().unwrap();
        p99
    }

    /// Measures a bare notification from one connection to another, which waits for data on its socket.
    fn bare(asked: &Asked, url: &str) -> Duration {
        let mut sender = PgConnection::establish(url).unwrap();
        let (send, ready) = mpsc::channel();
        let (heard, hears) = mpsc::channel();
        let count = jobs(asked);
        let url = url.to_owned();
        let listener = std::thread::spawn(move || {
            let listener = Listener::new(&url);
            send.send(()).unwrap();
            for _ in 0..count {
                listener.hear();
                heard.send(Instant::now()).unwrap();
            }
        });
        ready.recv().unwrap();
        let waits = (0..count).map(|_| {
            std::thread::sleep(Duration::from_millis(15));
            let start = Instant::now();
            sender.batch_execute("NOTIFY bare").unwrap();
            hears.recv().unwrap() - start
        });
        let p99 = p99(waits.collect());
        listener.join().unwrap();
        p99
    }

    /// A libpq connection that waits in poll(2).
    struct Listener(*mut pq_sys::PGconn);

    impl Listener {
        fn new(url: &str) -> Self {
            let url = std::ffi::CString::new(url).unwrap();
            // SAFETY: the texts end in NUL and outlive the calls.
            unsafe {
                let conn = pq_sys::PQconnectdb(url.as_ptr());
                let result = pq_sys::PQexec(conn, c"LISTEN bare".as_ptr());
                assert!(pq_sys::PQresultStatus(result) == pq_sys::ExecStatusType::PGRES_COMMAND_OK);
                pq_sys::PQclear(result);
                Self(conn)
            }
        }

        fn hear(&self) {
            // SAFETY: the connection is open and used by this thread only, and a notification is freed once.
            unsafe {
                loop {
                    let notify = pq_sys::PQnotifies(self.0);
                    if !notify.is_null() {
                        return pq_sys::PQfreemem(notify.cast());
                    }
                    let socket = std::os::fd::BorrowedFd::borrow_raw(pq_sys::PQsocket(self.0));
                    let mut sockets = [rustix::event::PollFd::new(&socket, rustix::event::PollFlags::IN)];
                    rustix::event::poll(&mut sockets, None).unwrap();
                    assert_eq!(pq_sys::PQconsumeInput(self.0), 1);
                }
            }
        }
    }

    impl Drop for Listener {
        fn drop(&mut self) {
            // SAFETY: the connection is not used after this.
            unsafe { pq_sys::PQfinish(self.0) };
        }
    }
}
