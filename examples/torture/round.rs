//! Runs a round: creates a database, lets lanes work on it concurrently, and compares everything at the end.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::Value;

use crate::lane::{Lane, Work};
use crate::postgres::Postgres;
use crate::tally::Tally;
use crate::{checks, edits, files, jobs, pipeline, rows, settings, upkeep};

/// Minimum time that the lanes work.
const LEAST: Duration = Duration::from_secs(3);

pub struct Plan<'a> {
    pub number: u64,
    pub is_postgres: bool,
    pub dir: PathBuf,
    /// How long the lanes work after the setup.
    pub length: Duration,
    /// When the whole run ends.
    pub end: Instant,
    pub lanes: &'a [String],
    pub viraldb: &'a std::path::Path,
    pub server: Option<&'a Postgres>,
    pub tally: &'a Tally,
}

pub struct Round<'a> {
    pub plan: Plan<'a>,
    pub url: String,
    /// The acknowledgement log: one line of JSON for each command that ended.
    log: Mutex<File>,
    begun: Instant,
    until: OnceLock<Instant>,
    over: AtomicBool,
}

impl Round<'_> {
    pub fn log(&self, entry: Value) {
        let seconds = self.begun.elapsed().as_secs_f64();
        let line = format!("{}\n", serde_json::json!([(seconds * 1e3).round() / 1e3, entry]));
        self.log.lock().unwrap().write_all(line.as_bytes()).unwrap();
    }

    /// Records that viraldb broke a promise, and ends the round.
    pub fn violation(&self, text: &str) {
        let text = format!("round {}: {text}", self.plan.number);
        eprintln!("violation: {text}");
        self.log(serde_json::json!({ "violation": text }));
        self.plan.tally.add(|counts| counts.violations.push(text));
    }

    pub fn is_over(&self) -> bool {
        self.over.load(Ordering::Relaxed)
            || self.until.get().is_some_and(|until| Instant::now() >= *until)
            || !self.plan.tally.is_good()
    }
}

/// Runs a round and returns the names of its lanes.
pub fn run(plan: Plan<'_>, rng: &mut Rng) -> Result<String, String> {
    let io = |error: std::io::Error| error.to_string();
    std::fs::create_dir_all(&plan.dir).map_err(io)?;
    let prefix = format!("torture{}_{}", std::process::id(), plan.number);
    let url = match plan.server.filter(|_| plan.is_postgres) {
        Some(server) => server.create(&prefix),
        None => format!("sqlite://{}", plan.dir.join("viral.db").display()),
    };
    let log = Mutex::new(File::create(plan.dir.join("acknowledged.jsonl")).map_err(io)?);
    let round =
        Round { plan, url, log, begun: Instant::now(), until: OnceLock::new(), over: AtomicBool::new(false) };

    let mut works = choose(&round, rng)?;
    let names: Vec<String> = works.iter().map(|(lane, _)| lane.name.clone()).collect();
    works[0].0.sure("init", &["init"]);
    for (lane, work) in &mut works {
        work.set_up(lane);
    }
    // The last round must also do some work.
    let now = Instant::now();
    round.until.get_or_init(|| (now + round.plan.length).min(round.plan.end).max(now + LEAST));
    let mut rng = rng.fork();
    std::thread::scope(|s| {
        let lanes: Vec<_> = works
            .iter_mut()
            .map(|(lane, work)| {
                s.spawn(move || {
                    while !lane.round.is_over() {
                        work.step(lane);
                    }
                })
            })
            .collect();
        let disturber = s.spawn(|| disturb(&round, &mut rng));
        let ended: Vec<_> = lanes.into_iter().map(|lane| lane.join()).collect();
        round.over.store(true, Ordering::Relaxed);
        let _ = disturber.join();
        if ended.iter().any(Result::is_err) {
            round.violation("a lane of the torture test itself panicked");
        }
    });
    // From here on nothing is killed, and everything that was acknowledged must be stored.
    for (lane, work) in &mut works {
        if round.plan.tally.is_good() {
            work.check(lane);
        }
    }
    if round.plan.tally.is_good() {
        works[0].0.doctor(&round.url, true);
    }
    if let Some(server) = round.plan.server.filter(|_| round.plan.tally.is_good()) {
        server.drop_like(&prefix);
    }
    Ok(names.join(" "))
}

/// A lane and its work.
type Chosen<'a> = (Lane<'a>, Box<dyn Work>);

/// Chooses the lanes of a round.
fn choose<'a>(round: &'a Round<'a>, rng: &mut Rng) -> Result<Vec<Chosen<'a>>, String> {
    let mut works: Vec<(&str, Box<dyn Work>)> = Vec::new();
    let board = jobs::Board::new();
    for name in ["rows1", "rows2"] {
        works.push((name, Box::new(rows::Rows::default())));
    }
    works.push(("queue", Box::new(jobs::Queue::new(board.clone()))));
    for name in ["worker1", "worker2", "worker3"] {
        works.push((name, Box::new(jobs::Worker::new(board.clone()))));
    }
    works.push(("pipeline", Box::new(pipeline::Pipeline::default())));
    works.push(("settings", Box::new(settings::Settings::default())));
    works.push(("secrets", Box::new(settings::Secrets::default())));
    works.push(("upkeep", Box::new(upkeep::Upkeep::default())));
    works.push(("files", Box::new(files::Files::default())));
    works.push(("edits", Box::new(edits::Edits::default())));
    works.push(("whole", Box::new(checks::Whole::default())));
    let is_known = |lane: &&String| works.iter().any(|(name, _)| name == lane);
    if let Some(unknown) = round.plan.lanes.iter().find(|lane| !is_known(lane)) {
        let names: Vec<&str> = works.iter().map(|(name, _)| *name).collect();
        return Err(format!("unknown lane {unknown:?}; expected one of {}", names.join(", ")));
    }
    let mut chosen: Vec<bool> = works.iter().map(|_| rng.u8(..4) > 0).collect();
    if !round.plan.lanes.is_empty() {
        chosen = works.iter().map(|(name, _)| round.plan.lanes.iter().any(|lane| lane == name)).collect();
    }
    let has_worker =
        works.iter().zip(&chosen).any(|((name, _), chosen)| *chosen && name.starts_with("worker"));
    for ((name, _), chosen) in works.iter().zip(&mut chosen) {
        *chosen |= *name == "queue" && has_worker;
    }
    if !chosen.contains(&true) {
        chosen[0] = true;
    }
    Ok(works
        .into_iter()
        .zip(chosen)
        .filter(|(_, chosen)| *chosen)
        .map(|((name, work), _)| (Lane::new(round, name, rng.fork()), work))
        .collect())
}

/// Terminates sessions and kills the server at random intervals until the round is over.
fn disturb(round: &Round<'_>, rng: &mut Rng) {
    let Some(server) = round.plan.server.filter(|_| round.plan.is_postgres) else { return };
    let mut next_restart = Instant::now() + Duration::from_millis(rng.u64(3_000..12_000));
    while !round.is_over() {
        std::thread::sleep(Duration::from_millis(rng.u64(50..700)));
        if Instant::now() >= next_restart {
            let restarts = server.restart();
            round.log(serde_json::json!({ "servers killed": restarts }));
            round.plan.tally.add(|counts| counts.restarts += restarts);
            next_restart = Instant::now() + Duration::from_millis(rng.u64(5_000..15_000));
        } else {
            let sessions = server.terminate(rng.usize(..64));
            round.plan.tally.add(|counts| counts.sessions += sessions);
        }
    }
}
