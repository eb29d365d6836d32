//! The arguments and the measurements. `../measure.mjs` is its twin.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tokio::task::JoinHandle;
use tokio::time::sleep;

pub type Result<T> = std::result::Result<T, Box<dyn std::error::Error + Send + Sync>>;

const WARM_UP: u64 = 1_000;
const SINGLE_WARM_UP: u64 = 100;
const LATENCY_WARM_UP: u64 = 20;
const INTERVAL: Duration = Duration::from_millis(20);

/// The arguments of the command line.
pub struct Asked {
    pub url: String,
    pub what: String,
    pub count: u64,
    pub hands: usize,
    pub variant: String,
}

impl Asked {
    pub fn parse(args: impl Iterator<Item = String>) -> std::result::Result<Self, String> {
        let args: Vec<String> = args.collect();
        let [url, what, count, hands, flag, variant] = args.as_slice() else {
            return Err(format!("expected URL WHAT N HANDS --variant NAME, got {} arguments", args.len()));
        };
        if flag != "--variant" {
            return Err(format!("unknown option \"{flag}\"; expected --variant"));
        }
        Ok(Self {
            url: url.clone(),
            what: what.clone(),
            count: count.parse().map_err(|error| format!("N \"{count}\" is invalid: {error}"))?,
            hands: hands.parse().map_err(|error| format!("HANDS \"{hands}\" is invalid: {error}"))?,
            variant: variant.clone(),
        })
    }
}

/// What a job does: it gets the job's number.
#[derive(Clone)]
pub struct Handler(Arc<dyn Fn(u64) + Send + Sync>);

impl Handler {
    pub fn run(&self, number: u64) {
        (self.0)(number);
    }
}

impl std::fmt::Debug for Handler {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Handler")
    }
}

/// A running worker.
pub struct Worker {
    pub stop: Box<dyn FnOnce() + Send>,
    pub task: JoinHandle<()>,
}

impl Worker {
    async fn stop(self) {
        (self.stop)();
        let mut task = self.task;
        // All jobs are completed, so a worker that does not end by itself can be canceled.
        if tokio::time::timeout(Duration::from_secs(2), &mut task).await.is_err() {
            task.abort();
        }
    }
}

/// A job queue.
pub trait Rival {
    /// Stores jobs with the numbers from `from`, with the queue's call for many jobs.
    async fn enqueue_many(&mut self, from: u64, count: u64) -> Result<()>;

    async fn enqueue_one(&mut self, number: u64) -> Result<()>;

    async fn start(&mut self, handler: Handler) -> Result<Worker>;

    /// Returns the number of jobs in the table that are not completed.
    async fn unfinished(&mut self) -> Result<u64>;

    /// Prepares a measurement: up-to-date statistics, and no checkpoint from earlier work.
    async fn settle(&mut self) -> Result<()>;
}

pub async fn measure(asked: &Asked, rival: &mut impl Rival) -> Result<Value> {
    match asked.what.as_str() {
        "work" => work(asked.count, rival).await,
        "enqueue-many" => enqueue_many(asked.count, rival).await,
        "enqueue-one" => enqueue_one(asked.count, rival).await,
        "latency" => latency(asked.count, rival).await,
        other => Err(format!("unknown measurement \"{other}\"").into()),
    }
}

/// Processes jobs until the table says that none is left, and returns the time that this took.
async fn drain(rival: &mut impl Rival, count: u64) -> Result<Duration> {
    let handled = Arc::new(AtomicU64::new(0));
    let handler = {
        let handled = handled.clone();
        Handler(Arc::new(move |_| {
            handled.fetch_add(1, Ordering::Relaxed);
        }))
    };
    let start = Instant::now();
    let worker = rival.start(handler).await?;
    while handled.load(Ordering::Relaxed) < count || rival.unfinished().await? > 0 {
        sleep(Duration::from_millis(1)).await;
    }
    let took = start.elapsed();
    worker.stop().await;
    check("handlers ran", handled.load(Ordering::Relaxed), count)?;
    Ok(took)
}

async fn work(count: u64, rival: &mut impl Rival) -> Result<Value> {
    rival.enqueue_many(0, WARM_UP).await?;
    drain(rival, WARM_UP).await?;
    rival.enqueue_many(0, count).await?;
    rival.settle().await?;
    Ok(rate(count, drain(rival, count).await?))
}

async fn enqueue_many(count: u64, rival: &mut impl Rival) -> Result<Value> {
    rival.enqueue_many(0, WARM_UP).await?;
    rival.settle().await?;
    let start = Instant::now();
    rival.enqueue_many(WARM_UP, count).await?;
    let took = start.elapsed();
    check("jobs are in the table", rival.unfinished().await?, WARM_UP + count)?;
    Ok(rate(count, took))
}

async fn enqueue_one(count: u64, rival: &mut impl Rival) -> Result<Value> {
    for number in 0..SINGLE_WARM_UP {
        rival.enqueue_one(number).await?;
    }
    rival.settle().await?;
    let start = Instant::now();
    for number in 0..count {
        rival.enqueue_one(number).await?;
    }
    let took = start.elapsed();
    check("jobs are in the table", rival.unfinished().await?, SINGLE_WARM_UP + count)?;
    Ok(rate(count, took))
}

/// Gives an idle worker one job each 20 ms, and measures the time from before the call to the start of the handler.
async fn latency(count: u64, rival: &mut impl Rival) -> Result<Value> {
    let started: Arc<Mutex<HashMap<u64, Instant>>> = Arc::default();
    let handler = {
        let started = started.clone();
        Handler(Arc::new(move |number| {
            let now = Instant::now();
            if let Ok(mut started) = started.lock() {
                started.insert(number, now);
            }
        }))
    };
    let worker = rival.start(handler).await?;
    sleep(Duration::from_secs(1)).await; // until the worker is idle
    let mut enqueued = HashMap::new();
    let mut turn = Instant::now();
    for number in 0..LATENCY_WARM_UP + count {
        enqueued.insert(number, Instant::now());
        rival.enqueue_one(number).await?;
        turn = (turn + INTERVAL).max(Instant::now());
        tokio::time::sleep_until(turn.into()).await;
    }
    while rival.unfinished().await? > 0 {
        sleep(INTERVAL).await;
    }
    worker.stop().await;
    let started = started.lock().map_err(|_| "a handler panicked")?;
    let mut times: Vec<Duration> = (LATENCY_WARM_UP..LATENCY_WARM_UP + count)
        .filter_map(|number| Some(*started.get(&number)? - *enqueued.get(&number)?))
        .collect();
    check("handlers ran", times.len() as u64, count)?;
    times.sort();
    let percentile = |part: usize| {
        let at = (times.len() * part).div_ceil(100).max(1) - 1;
        times.get(at).map(|time| (time.as_secs_f64() * 1e6).round() / 1e3)
    };
    Ok(json!({ "p50_ms": percentile(50), "p99_ms": percentile(99) }))
}

fn rate(count: u64, took: Duration) -> Value {
    let seconds = took.as_secs_f64();
    json!({ "seconds": (seconds * 1e4).round() / 1e4, "per_second": (count as f64 / seconds).round() as u64 })
}

fn check(what: &str, found: u64, expected: u64) -> Result<()> {
    if found == expected { Ok(()) } else { Err(format!("{found} {what} instead of {expected}").into()) }
}
