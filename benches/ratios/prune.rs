//! Compares the duration of writes during `ops::prune` with that of writes without it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use viraldb::compilation::{DiscoveredVideo, NewDiscoveredVideo, NewErrorLog, Processed};
use viraldb::config::Config;
use viraldb::ops::{Prune, Pruning, prune};
use viraldb::{Database, Error};

use crate::measure::{Asked, Line};
use crate::rows::{self, Random};
#[cfg(feature = "postgres")]
use crate::server::Server;
use crate::sqlite::Scratch;

const SQLITE: &str = "sqlite prune, p99 of concurrent writes";
#[cfg(feature = "postgres")]
const POSTGRES: &str = "postgres prune, p99 of concurrent writes";
const VIDEOS: u64 = 10_000;

pub fn lines(asked: &Asked) -> Vec<Line> {
    let mut lines = Vec::new();
    if asked.wants(SQLITE) {
        let scratch = Scratch::new();
        lines.push(measure(asked, SQLITE, &|| scratch.open()));
    }
    #[cfg(feature = "postgres")]
    if asked.wants(POSTGRES) {
        let server = Server::new(&["shared_buffers=256MB", "max_wal_size=4GB"]);
        let url = server.create_database(&format!("prune{}", std::process::id()), "template0");
        lines.push(measure(asked, POSTGRES, &|| Database::open(&url).unwrap()));
    }
    lines
}

/// Measures three rounds of 10 s of writes alone and 10 s of writes during a prune that never runs out of rows.
fn measure(asked: &Asked, name: &'static str, open: &dyn Fn() -> Database) -> Line {
    let time = Duration::from_millis(asked.rows(1_000_000) / 100).min(Duration::from_secs(10));
    // Open the database twice, like two programs: on SQLite each has its own writer.
    let (writer, pruner) = (open(), open());
    let videos: Vec<NewDiscoveredVideo<'_>> = (0..VIDEOS).map(rows::row).collect();
    writer.write(|c| NewDiscoveredVideo::insert_or_update_many(c, &videos)).unwrap();
    let how = Prune::new(&Config::open(&pruner).unwrap()).unwrap();
    let mut line = Line::new(name, 1.0 / 3.0, 1);
    let (mut gone, mut writes) = (0, 0);
    for round in 0..asked.rounds(3) {
        fill(&pruner, 3 * asked.rows(1_000_000), &how);
        let alone = p99(&writer, round as u64, time).0;
        let stop = AtomicBool::new(false);
        let (beside, written) = std::thread::scope(|scope| {
            let pruning = scope.spawn(|| {
                let mut done = 0;
                let ended = prune(&pruner, &how, &mut |at| {
                    if let Pruning::Rows(rows) = at {
                        done = rows;
                    }
                    let is_over = stop.load(Ordering::Relaxed);
                    if is_over { Err(Error::invalid("the time", "is over")) } else { Ok(()) }
                });
                assert!(ended.is_err() || time < Duration::from_secs(1), "the prune ran out of rows");
                done
            });
            let measured = p99(&writer, round as u64, time);
            stop.store(true, Ordering::Relaxed);
            gone += pruning.join().unwrap();
            measured
        });
        writes += written;
        line.add(beside, alone);
    }
    let seconds = time.as_secs_f64() * line.rounds.len() as f64;
    line.note = format!(
        "{:.0} rows pruned and {:.0} writes per second",
        gone as f64 / seconds,
        writes as f64 / seconds
    );
    line
}

/// Adds `count` errors that are old enough to be pruned.
fn fill(db: &Database, count: u64, how: &Prune) {
    let error = |n: u64| NewErrorLog {
        module: "cut".into(),
        error_type: "TimeoutError".into(),
        error_message: format!("no answer from worker {n} within 30 seconds").into(),
        occurred_at: Some(how.errors_before - Duration::from_secs(n + 1)),
        resolved: Some(true),
        ..Default::default()
    };
    for start in (0..count).step_by(10_000) {
        let errors: Vec<_> = (start..count.min(start + 10_000)).map(error).collect();
        db.write(|c| NewErrorLog::insert_many(c, &errors)).unwrap();
    }
}

/// Writes one row after another for the given time. Returns the 99th percentile and the number of the writes.
fn p99(db: &Database, seed: u64, time: Duration) -> (Duration, u64) {
    let mut random = Random::new(seed + 1);
    let mut took = Vec::new();
    let end = Instant::now() + time;
    while Instant::now() < end {
        let id = rows::video_id(random.below(VIDEOS));
        let start = Instant::now();
        db.write(|c| DiscoveredVideo::mark(c, &id, Processed::Used)).unwrap();
        took.push(start.elapsed());
    }
    took.sort_unstable();
    (took[took.len() * 99 / 100], took.len() as u64)
}
