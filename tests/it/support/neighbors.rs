//! Two threads that write to the same SQLite file as another program would, with SQLite's default busy handler.

use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// Creates the table that [`while_others_write`] writes into.
pub fn prepare(path: &Path) {
    Connection::open(path).unwrap().execute_batch("CREATE TABLE neighbors (n INTEGER)").unwrap();
}

/// Runs `work` while two threads insert rows, and returns its result. `work` begins after both threads have inserted
/// a row. Panics if an insert fails or takes too long.
pub fn while_others_write<T>(path: &Path, work: impl FnOnce() -> T) -> T {
    let (is_done, begin) = (AtomicBool::new(false), Barrier::new(3));
    let (done, waits) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2).map(|_| scope.spawn(|| write(path, &begin, &is_done))).collect();
        let end = End(&is_done); // Stops the writers even if `work` panics.
        begin.wait();
        let done = work();
        drop(end);
        (done, writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect::<Vec<_>>())
    });
    // The limit is generous because other tests run concurrently. docs/src/performance.md has the measured times.
    assert!(waits.iter().max() < Some(&Duration::from_secs(4)), "{:?}", waits.iter().max());
    assert!(waits.len() > 20, "{}", waits.len());
    done
}

struct End<'a>(&'a AtomicBool);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Returns how long each write took.
fn write(path: &Path, begin: &Barrier, is_done: &AtomicBool) -> Vec<Duration> {
    let conn = Connection::open(path).unwrap();
    conn.busy_timeout(Duration::from_secs(5)).unwrap();
    let insert = || conn.execute("INSERT INTO neighbors (n) VALUES (1)", []).unwrap();
    insert();
    begin.wait();
    let mut waits = Vec::new();
    while !is_done.load(Ordering::Relaxed) {
        let start = Instant::now();
        insert();
        waits.push(start.elapsed());
        std::thread::sleep(Duration::from_millis(1));
    }
    waits
}
