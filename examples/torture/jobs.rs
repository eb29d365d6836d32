//! Tests the work queue. One lane enqueues jobs. The other lanes are workers that claim, complete, fail or release jobs, or
//! die.
//!
//! No job may be completed twice, and no two workers may hold a job at the same time.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use viraldb::Timestamp;

use crate::lane::{Lane, Work};
use crate::tally::Left;

const CHANNEL: &str = "UCtorturequeue";

/// What all lanes know about the jobs.
#[derive(Default)]
pub struct Board {
    /// Unique keys of jobs whose `enqueue` was acknowledged.
    queued: HashSet<String>,
    /// Unique keys of all jobs that lanes have tried to enqueue.
    maybe_queued: HashSet<String>,
    completed: HashSet<String>,
    /// Jobs that lanes have tried to complete. A killed `complete` may have completed its job.
    maybe_completed: HashSet<String>,
    /// The claims of each job.
    claims: HashMap<String, Vec<Held>>,
}

/// An acknowledged claim: the time in which its worker holds the job, unless the worker lets go earlier.
#[derive(Debug, Clone)]
struct Held {
    from: Timestamp,
    until: Timestamp,
    token: String,
    let_go: bool,
}

type Shared = Arc<Mutex<Board>>;

impl Board {
    pub fn new() -> Shared {
        Shared::default()
    }

    /// Records a claim and returns another claim that it overlaps, if there is one.
    fn claim(&mut self, job: &str, held: Held) -> Option<Held> {
        let claims = self.claims.entry(job.to_owned()).or_default();
        let overlaps = |other: &&Held| !other.let_go && other.from < held.until && held.from < other.until;
        let other = claims.iter().find(overlaps).cloned();
        claims.push(held);
        other
    }

    fn held(&mut self, job: &str, token: &str) -> Option<&mut Held> {
        self.claims.get_mut(job)?.iter_mut().find(|held| held.token == token)
    }
}

/// The lane that enqueues jobs.
pub struct Queue {
    board: Shared,
    videos: Vec<String>,
    made: u64,
}

impl Queue {
    pub fn new(board: Shared) -> Self {
        Self { board, videos: Vec::new(), made: 0 }
    }
}

impl Work for Queue {
    fn set_up(&mut self, lane: &mut Lane<'_>) {
        let added = lane.sure("channels add", &["channels", "add", "Torture", CHANNEL, "--format", "json"]);
        let channel = added.json()["id"].as_str().unwrap_or_default().to_owned();
        let rows: String = (0..10)
            .map(|n| {
                format!(
                    "{{\"channel_id\":\"{channel}\",\"source_url\":\"https://x/{n}\",\"source_title\":\"t\",\"source_platform\":\"youtube\"}}\n"
                )
            })
            .collect();
        let url = lane.round.url.clone();
        lane.sure_on(&url, "ingest", &["ingest", "-", "--as", "jsonl", "--table", "videos"], Some(&rows));
        self.videos = lane.texts("SELECT CAST(id AS text) AS v FROM videos ORDER BY id");
    }

    fn step(&mut self, lane: &mut Lane<'_>) {
        if lane.rng.u8(..12) == 0 {
            let ran = lane.run("jobs rescue", &["jobs", "rescue"]);
            if !ran.is_done {
                lane.after(&ran, Left::Nothing);
            }
            return;
        }
        self.made += 1;
        let key = format!("key{}", self.made);
        let video = self.videos[lane.rng.usize(..self.videos.len())].clone();
        let priority = lane.rng.i32(-3..3).to_string();
        let attempts = lane.rng.u32(1..5).to_string();
        let kind = ["scrape", "download", "transform", "publish"][lane.rng.usize(..4)];
        let args = [
            "jobs",
            "enqueue",
            kind,
            "--video",
            &video,
            "--priority",
            &priority,
            "--max-attempts",
            &attempts,
            "--unique-key",
            &key,
        ];
        // A worker may complete the job before its acknowledgement is recorded.
        self.board.lock().unwrap().maybe_queued.insert(key.clone());
        let ran = lane.run("jobs enqueue", &args);
        if ran.is_done {
            self.board.lock().unwrap().queued.insert(key);
            return lane.round.plan.tally.add(|counts| counts.jobs[0] += 1);
        }
        let there =
            lane.number(&format!("SELECT count(*) FROM video_processing_jobs WHERE unique_key = '{key}'"));
        lane.expect(there <= 1, || format!("{there} jobs have the unique key {key}"));
        if there == 1 {
            self.board.lock().unwrap().queued.insert(key);
        }
        lane.after(&ran, if there == 1 { Left::Whole } else { Left::Nothing });
    }

    fn check(&mut self, lane: &mut Lane<'_>) {
        let there: HashSet<String> = lane
            .texts("SELECT unique_key AS v FROM video_processing_jobs WHERE unique_key IS NOT NULL")
            .into_iter()
            .collect();
        let board = self.board.lock().unwrap();
        let lost: Vec<_> = board.queued.difference(&there).collect();
        lane.expect(lost.is_empty(), || format!("acknowledged jobs are missing: {lost:?}"));
        let foreign: Vec<_> = there.difference(&board.maybe_queued).collect();
        lane.expect(foreign.is_empty(), || format!("found jobs that no lane enqueued: {foreign:?}"));
    }
}

/// A lane that works on jobs.
pub struct Worker {
    board: Shared,
}

impl Worker {
    pub fn new(board: Shared) -> Self {
        Self { board }
    }

    /// Completes, fails or releases a claimed job, extends its lease, or does nothing.
    fn finish(&mut self, lane: &mut Lane<'_>, job: &str, token: &str) {
        let let_go = |board: &Shared| {
            if let Some(held) = board.lock().unwrap().held(job, token) {
                held.let_go = true;
            }
        };
        match lane.rng.u8(..10) {
            0 => {} // the worker dies, and its lease expires
            1 => {
                let_go(&self.board);
                self.simple(
                    lane,
                    "jobs fail",
                    &["jobs", "fail", job, "--token", token, "--error", "torture"],
                );
            }
            2 => {
                let_go(&self.board);
                self.simple(lane, "jobs release", &["jobs", "release", job, "--token", token]);
            }
            3 => self.heartbeat(lane, job, token),
            4 => {
                // The worker is slow, so its lease may have expired.
                std::thread::sleep(Duration::from_millis(lane.rng.u64(500..2_500)));
                self.complete(lane, job, token);
            }
            _ => self.complete(lane, job, token),
        }
    }

    fn simple(&mut self, lane: &mut Lane<'_>, kind: &'static str, args: &[&str]) {
        let ran = lane.run(kind, args);
        if !ran.is_done {
            self.compare(lane);
            lane.after(&ran, Left::Nothing);
        }
    }

    fn heartbeat(&mut self, lane: &mut Lane<'_>, job: &str, token: &str) {
        let args = ["jobs", "heartbeat", job, "--token", token, "--lease", "2s", "--format", "json"];
        let ran = lane.run("jobs heartbeat", &args);
        if let Some(until) = time(&ran.json()["lease_expires_at"])
            && let Some(held) = self.board.lock().unwrap().held(job, token)
        {
            held.until = held.until.max(until);
        }
        if ran.is_done {
            self.complete(lane, job, token);
        } else {
            lane.after(&ran, Left::Nothing);
        }
    }

    fn complete(&mut self, lane: &mut Lane<'_>, job: &str, token: &str) {
        {
            let mut board = self.board.lock().unwrap();
            board.maybe_completed.insert(job.to_owned());
            if let Some(held) = board.held(job, token) {
                held.let_go = true;
            }
        }
        let ran = lane.run("jobs complete", &["jobs", "complete", job, "--token", token]);
        if ran.is_done {
            let is_first = self.board.lock().unwrap().completed.insert(job.to_owned());
            lane.expect(is_first, || format!("job {job} was completed twice"));
            lane.round.plan.tally.add(|counts| counts.jobs[2] += 1);
            return;
        }
        let completed = self.compare(lane);
        let left = if completed.contains(job) { Left::Whole } else { Left::Nothing };
        lane.after(&ran, left);
        // A worker that does not know the result tries again. viraldb rejects that if the job was already completed.
        if ran.code.is_none() && lane.rng.bool() {
            let again = lane.sure_or_refused("jobs complete", &["jobs", "complete", job, "--token", token]);
            if again {
                let is_first = self.board.lock().unwrap().completed.insert(job.to_owned());
                lane.expect(is_first && left == Left::Nothing, || format!("job {job} was completed twice"));
                lane.round.plan.tally.add(|counts| counts.jobs[2] += 1);
            }
        }
    }

    /// Compares the completed jobs with the acknowledged ones, and returns the completed jobs.
    fn compare(&self, lane: &Lane<'_>) -> HashSet<String> {
        // Copy the acknowledged jobs before reading the database, so that the database must contain all of them.
        let acknowledged = self.board.lock().unwrap().completed.clone();
        let there: HashSet<String> = lane
            .texts("SELECT CAST(id AS text) AS v FROM video_processing_jobs WHERE status = 'completed'")
            .into_iter()
            .collect();
        let lost: Vec<_> = acknowledged.difference(&there).collect();
        lane.expect(lost.is_empty(), || format!("acknowledged jobs are no longer completed: {lost:?}"));
        let board = self.board.lock().unwrap();
        let foreign: Vec<_> = there.difference(&board.maybe_completed).collect();
        lane.expect(foreign.is_empty(), || format!("jobs are completed that no lane completed: {foreign:?}"));
        there
    }
}

impl Work for Worker {
    fn set_up(&mut self, _: &mut Lane<'_>) {}

    fn step(&mut self, lane: &mut Lane<'_>) {
        let (lease, limit) = (lane.rng.u64(1..4), lane.rng.u32(1..5).to_string());
        let seconds = format!("{lease}s");
        let name = lane.name.clone();
        let args =
            ["jobs", "claim", "--worker", &name, "--limit", &limit, "--lease", &seconds, "--format", "json"];
        let ran = lane.run("jobs claim", &args);
        let claimed = ran.json();
        let mut jobs: Vec<(String, String)> = Vec::new();
        for job in claimed.as_array().into_iter().flatten() {
            let text = |column: &str| job[column].as_str().unwrap_or_default().to_owned();
            let (id, token) = (text("id"), text("lease_token"));
            let Some(until) = time(&job["lease_expires_at"]) else {
                lane.violation(&format!("a claimed job has no lease: {job}"));
                continue;
            };
            let from = until - Duration::from_secs(lease);
            let held = Held { from, until, token: token.clone(), let_go: false };
            let overlapped = self.board.lock().unwrap().claim(&id, held.clone());
            lane.expect(overlapped.is_none(), || {
                format!("two workers hold job {id} at the same time: {held:?} and {overlapped:?}")
            });
            jobs.push((id, token));
        }
        lane.round.plan.tally.add(|counts| counts.jobs[1] += jobs.len() as u64);
        if !ran.is_done {
            self.compare(lane);
            lane.after(&ran, Left::Nothing);
        } else if jobs.is_empty() {
            std::thread::sleep(Duration::from_millis(20));
        }
        for (id, token) in jobs {
            if lane.round.is_over() {
                return;
            }
            self.finish(lane, &id, &token);
        }
    }

    fn check(&mut self, lane: &mut Lane<'_>) {
        self.compare(lane);
        let over = lane.number("SELECT count(*) FROM video_processing_jobs WHERE attempts > max_attempts");
        lane.expect(over == 0, || format!("{over} jobs have more attempts than the maximum"));
    }
}

fn time(value: &Value) -> Option<Timestamp> {
    value.as_str()?.parse().ok()
}
