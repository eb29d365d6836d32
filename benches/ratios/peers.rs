//! Compares viraldb's queue with other job queues on the same PostgreSQL server: `cargo bench -- peers`.
//!
//! The rivals are in benches/peers/queue, which says what each measurement is. They are installed from npm, PyPI and
//! crates.io, so the section runs only if it is asked for by its name. `VIRALDB_BENCH_TOOLS` names a folder that keeps the
//! installed packages. viraldb and a rival take turns, each with a new database on a server that syncs every commit.

use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use serde_json::Value;
use viraldb::Database;
use viraldb::queue::{self, Claim, Worker};
use viraldb::republishing::{JobType, NewVideoProcessingJob, Video};

use crate::measure::{Asked, Line, time};
use crate::queue::{enqueue, video};
use crate::server::Server;
use crate::sqlite::in_turns;
use crate::worker::work;

/// The section's name in the filter.
const PEERS: &str = "peers";

#[derive(Clone, Copy)]
enum What {
    Work,
    EnqueueMany,
    EnqueueOne,
    /// The 99th percentile.
    Latency,
}

struct Peer {
    line: &'static str,
    target: Option<f64>,
    what: What,
    hands: u32,
    count: u64,
    rival: &'static str,
    variant: &'static str,
}

const fn peer(
    line: &'static str,
    target: Option<f64>,
    (what, hands, count): (What, u32, u64),
    (rival, variant): (&'static str, &'static str),
) -> Peer {
    Peer { line, target, what, hands, count, rival, variant }
}

const GRAPHILE: (&str, &str) = ("graphile-worker", "local-queue");
const PG_BOSS: (&str, &str) = ("pg-boss", "v10");
const PROCRASTINATE: (&str, &str) = ("procrastinate", "workers");

const LINES: [Peer; 8] = [
    peer("peers work, 4 hands, graphile-worker", None, (What::Work, 4, 20_000), GRAPHILE),
    peer("peers work, 20 hands, graphile-worker", Some(1.5), (What::Work, 20, 20_000), GRAPHILE),
    peer("peers work, 20 hands, pg-boss", None, (What::Work, 20, 20_000), PG_BOSS),
    peer("peers work, 20 hands, procrastinate", None, (What::Work, 20, 2_000), PROCRASTINATE),
    peer("peers enqueue many, pg-boss", Some(1.2), (What::EnqueueMany, 4, 20_000), PG_BOSS),
    peer("peers enqueue one, pg-boss", None, (What::EnqueueOne, 4, 1_000), PG_BOSS),
    peer("peers latency p99, graphile-worker", None, (What::Latency, 4, LATENCY_JOBS), GRAPHILE),
    peer("peers latency p99, pg-boss", None, (What::Latency, 4, LATENCY_JOBS), PG_BOSS),
];

const LATENCY_JOBS: u64 = 200;

pub fn lines(asked: &Asked) -> Vec<Line> {
    let mut lines = Vec::new();
    if !asked.names(PEERS) {
        return lines;
    }
    let server = Server::new(&["fsync=on", "synchronous_commit=on"]);
    let tools = std::env::var_os("VIRALDB_BENCH_TOOLS").map_or_else(std::env::temp_dir, PathBuf::from);
    let tools = tools.join("viraldb-queue-peers");
    for peer in LINES.iter().filter(|peer| asked.wants(peer.line)) {
        let mut line = Line::new(peer.line, peer.target, peer.count);
        let mut versions = String::new();
        for round in 0..asked.rounds(5) {
            let name = format!("peers{}_{}_{round}", std::process::id(), lines.len());
            let url = server.create_database(&name, "template0");
            let ours = |_: &mut String| peer.ours(&Database::open(&url).unwrap());
            let rival = |versions: &mut String| peer.rival(&server.url("postgres"), &tools, versions);
            let (ours, rival) = in_turns(round, &mut versions, ours, rival);
            line.add(ours, rival);
            server.drop_database(&url);
        }
        line.note = versions;
        lines.push(line);
    }
    lines
}

impl Peer {
    /// Returns how long viraldb takes for all jobs, or its latency for the line's number of jobs.
    fn ours(&self, db: &Database) -> Duration {
        let video = video(db);
        match self.what {
            What::Work => {
                enqueue(db, &video, self.count);
                time(|| work(db, self.hands, self.count))
            }
            What::EnqueueMany => {
                let rows: Vec<_> = (0..self.count).map(|_| job(&video)).collect();
                time(|| assert_eq!(db.write(|c| queue::enqueue_many(c, &rows)).unwrap() as u64, self.count))
            }
            What::EnqueueOne => time(|| {
                for _ in 0..self.count {
                    assert!(db.write(|c| queue::enqueue(c, &job(&video))).unwrap().is_some());
                }
            }),
            What::Latency => self.per_job(latency(db, &video, self.hands)),
        }
    }

    /// Runs the rival in a process of its own.
    fn rival(&self, url: &str, tools: &std::path::Path, versions: &mut String) -> Duration {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/queue/run.py");
        let what = match self.what {
            What::Work => "work",
            What::EnqueueMany => "enqueue-many",
            What::EnqueueOne => "enqueue-one",
            What::Latency => "latency",
        };
        let jobs = match self.what {
            What::Work if self.rival == PROCRASTINATE.0 => self.count * 10, // the script divides it
            What::EnqueueOne => self.count * 20,
            _ => self.count,
        };
        let python = std::env::var("VIRALDB_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
        let output = Command::new(python)
            .args([script, "--url", url, "--rounds", "1", "--json", "--what", what, "--rival", self.rival])
            .args(["--jobs", &jobs.to_string(), "--hands", &self.hands.to_string()])
            .arg("--tools")
            .arg(tools)
            .stderr(Stdio::inherit())
            .output()
            .expect("python3 runs the rivals");
        let text = String::from_utf8(output.stdout).unwrap();
        let results = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let result = results
            .filter(|result| result["variant"] == self.variant)
            .find(|result| !matches!(self.what, What::EnqueueMany) || result["count"] == self.count)
            .unwrap_or_else(|| panic!("{}, {}: no result", self.rival, self.variant));
        *versions = result["rival"].as_str().unwrap().to_owned();
        match self.what {
            What::Latency => self.per_job(Duration::from_secs_f64(result["p99_ms"].as_f64().unwrap() / 1e3)),
            _ => Duration::from_secs_f64(self.count as f64 / result["per_second"].as_f64().unwrap()),
        }
    }

    /// The table divides each time by the number of jobs.
    fn per_job(&self, time: Duration) -> Duration {
        time * u32::try_from(self.count).unwrap()
    }
}

fn job(video: &Video) -> NewVideoProcessingJob<'static> {
    NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download)
}

/// Gives an idle worker one job each 20 ms, and returns the 99th percentile of the time from before the call that stores a
/// job until its handler starts.
fn latency(db: &Database, video: &Video, hands: u32) -> Duration {
    let worker = Worker::new(db, Claim::new("w")).concurrency(hands);
    let (stop, (start, starts)) = (worker.stop(), mpsc::channel());
    let thread = std::thread::spawn(move || {
        worker.run(move |_| start.send(Instant::now()).map_err(|error| error.to_string())).unwrap()
    });
    std::thread::sleep(Duration::from_secs(1));
    let mut times: Vec<Duration> = (0..LATENCY_JOBS)
        .map(|_| {
            let begin = Instant::now();
            db.write(|c| queue::enqueue(c, &job(video))).unwrap();
            let took = starts.recv().unwrap() - begin;
            std::thread::sleep(Duration::from_millis(20));
            took
        })
        .collect();
    stop.stop();
    thread.join().unwrap();
    times.sort_unstable();
    times[times.len() * 99 / 100]
}
