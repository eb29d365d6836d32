//! How long a write takes while `ops::prune` deletes, against how long it takes alone.

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

const SQLITE: &str = "sqlite prune, p99 of a write beside it";
#[cfg(feature = "postgres")]
const POSTGRES: &str = "postgres prune, p99 of a write beside it";
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

/// Three rounds of 10 s alone and 10 s beside a prune that never runs out of rows.
fn measure(asked: &Asked, name: &'static str, open: &dyn Fn() -> Database) -> Line {
    let time = Duration::from_millis(asked.rows(1_000_000) / 100).min(Duration::from_secs(10));
    // As two programs: on SQLite each has a writer of its own.
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
                assert!(ended.is_err() || time < Duration::from_secs(1), "nothing was left to prune");
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
        "{:.0} rows a second pruned beside {:.0} writes",
        gone as f64 / seconds,
        writes as f64 / seconds
    );
    line
}

/// So many errors that are to go.
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

/// The 99th percentile of writes that follow each other for so long, and how many there were.
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
