//! Two writers of another program on the same SQLite file, with sqlite3's own handler of a busy lock.

use std::path::Path;
use std::sync::Barrier;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;

/// Makes a table for [`beside`] to write into.
pub fn prepare(path: &Path) {
    Connection::open(path).unwrap().execute_batch("CREATE TABLE neighbors (n INTEGER)").unwrap();
}

/// Runs `work` while two threads insert rows. It begins after their first. None of their writes may fail, and none may wait for long. Returns what
/// `work` returned.
pub fn beside<T>(path: &Path, work: impl FnOnce() -> T) -> T {
    let (is_done, begin) = (AtomicBool::new(false), Barrier::new(3));
    let (done, waits) = std::thread::scope(|scope| {
        let writers: Vec<_> = (0..2).map(|_| scope.spawn(|| write(path, &begin, &is_done))).collect();
        let end = End(&is_done); // also when `work` panics
        begin.wait();
        let done = work();
        drop(end);
        (done, writers.into_iter().flat_map(|writer| writer.join().unwrap()).collect::<Vec<_>>())
    });
    // The bound is wide, because other tests run at the same time; docs/PERFORMANCE.md has the figures.
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
