//! Tests of an idle worker and SQLite's write-ahead log.

use std::time::Instant;

use rusqlite::Connection;
use viraldb::queue::Worker;

use super::*;
use crate::support::Scratch;

#[test]
fn idle_worker_truncates_the_log_without_waiting_for_readers() {
    let t = Scratch::sqlite();
    let db = t.db();
    let size = || std::fs::metadata(t.path("viral.db-wal")).unwrap().len();
    let fill = || {
        let insert = "INSERT INTO analytics (youtube_video_id) WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s \
                      WHERE n < 50000) SELECT 'a video with a long id, number ' || n FROM s";
        Connection::open(t.path("viral.db")).unwrap().execute_batch(insert).unwrap();
    };
    let other = Connection::open(t.path("viral.db")).unwrap();
    let run = |until: &dyn Fn() -> bool| {
        let worker = Worker::new(&db, Claim::new("w"));
        let stop = worker.stop();
        std::thread::scope(|scope| {
            let worker = scope.spawn(|| worker.run(|_| Ok::<(), String>(())).unwrap());
            let deadline = Instant::now() + Duration::from_secs(30);
            while !until() && Instant::now() < deadline {
                std::thread::sleep(Duration::from_millis(5));
            }
            stop.stop();
            worker.join().unwrap()
        })
    };
    // An open reader keeps the log from shrinking; the worker still processes jobs without delay.
    other.execute_batch("BEGIN; SELECT count(*) FROM analytics").unwrap();
    fill();
    let high = size();
    assert!(high > 1 << 20, "{high}");
    let begin = Instant::now();
    let [first] = put(&db, [|_| ()]);
    let done = run(&|| {
        // Keep running for a second, so that the worker finds no job at least once.
        if find(&db, first).status == JobStatus::Completed && begin.elapsed() > Duration::from_secs(1) {
            return true;
        }
        false
    });
    assert_eq!((done.completed, size() >= high), (1, true));
    assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
    // The reader ends, and nothing writes.
    other.execute_batch("COMMIT").unwrap();
    assert!(size() >= high);
    run(&|| size() == 0);
    assert_eq!(size(), 0);
    assert_eq!(
        other.query_row("SELECT count(*) FROM analytics", [], |row| row.get::<_, i64>(0)).unwrap(),
        50_000
    );
}

/// The worker checks the file once a second here, so without a notification half of the jobs would wait half a second.
#[cfg(target_os = "linux")]
#[test]
fn idle_worker_is_woken_by_a_write_to_the_log() {
    let t = Scratch::sqlite();
    let db = t.db();
    let (begin, begins) = std::sync::mpsc::channel();
    let worker = Worker::new(&t.db(), Claim::new("w")).poll(Duration::from_secs(1));
    let stop = worker.stop();
    let thread = std::thread::spawn(move || {
        worker.run(move |_| begin.send(Instant::now()).map_err(|error| error.to_string())).unwrap()
    });
    let mut waits: Vec<Duration> = (0..21)
        .map(|_| {
            std::thread::sleep(Duration::from_millis(30));
            put(&db, [|_| ()]);
            let put = Instant::now();
            begins.recv_timeout(Duration::from_secs(30)).unwrap().saturating_duration_since(put)
        })
        .collect();
    stop.stop();
    assert_eq!(thread.join().unwrap().completed, 21);
    waits.sort();
    assert!(waits[10] < Duration::from_millis(100), "{waits:?}");
}
