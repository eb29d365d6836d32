//! Compares workers that run empty handlers with hand-written loops that claim and complete 100 jobs at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rusqlite::Connection;
use viraldb::Database;
use viraldb::queue::{Claim, Done, Worker};

use crate::measure::{Asked, Line, time};
use crate::queue::{by_hand, enqueue, video};
use crate::sqlite::{Scratch, in_turns, rival};

const FEW: &str = "sqlite worker, 4 hands, empty handlers";
const MANY: &str = "sqlite worker, 20 hands against 4";
#[cfg(feature = "async")]
const TASKS: &str = "sqlite worker, 4 tasks against 4 hands";
const AT_ONCE: u32 = 100;

pub fn lines(asked: &Asked) -> Vec<Line> {
    let mut lines = Vec::new();
    let count = asked.rows(20_000).min(50_000);
    let [ours, theirs] = [Scratch::new(), Scratch::new()];
    let (db, other) = (ours.open(), theirs.open());
    let (video, other_video) = (video(&db), video(&other));
    if asked.wants(FEW) {
        let mut line = Line::new(FEW, Some(0.6), count);
        let mut conn = rival(&theirs.path);
        for round in 0..asked.rounds(9) {
            enqueue(&db, &video, count);
            enqueue(&other, &other_video, count);
            let ours = |_: &mut Connection| time(|| work(&db, 4, count));
            let hand = |conn: &mut Connection| time(|| assert_eq!(by_hand(conn, AT_ONCE), count));
            let (ours, hand) = in_turns(round, &mut conn, ours, hand);
            line.add(ours, hand);
        }
        lines.push(line);
    }
    if asked.wants(MANY) {
        let mut line = Line::new(MANY, Some(1.0), count);
        for round in 0..asked.rounds(9) {
            enqueue(&db, &video, count);
            enqueue(&other, &other_video, count);
            let hands = |db, hands| time(|| work(db, hands, count));
            let (many, few) = in_turns(round, &mut (), |_| hands(&db, 20), |_| hands(&other, 4));
            line.add(many, few);
        }
        lines.push(line);
    }
    #[cfg(feature = "async")]
    if asked.wants(TASKS) {
        let mut line = Line::new(TASKS, None, count);
        for round in 0..asked.rounds(9) {
            enqueue(&db, &video, count);
            enqueue(&other, &other_video, count);
            let tasks = |_: &mut ()| time(|| work_in_tasks(&db, 4, count));
            let (tasks, hands) = in_turns(round, &mut (), tasks, |_| time(|| work(&other, 4, count)));
            line.add(tasks, hands);
        }
        lines.push(line);
    }
    #[cfg(feature = "postgres")]
    lines.extend(postgres::lines(asked));
    lines
}

/// Runs a worker until it has completed `count` jobs and stored all outcomes.
pub fn work(db: &Database, hands: u32, count: u64) {
    let worker = Worker::new(db, Claim::new("w")).concurrency(hands);
    let (stop, left) = (worker.stop(), Arc::new(AtomicU64::new(count)));
    let done = worker.run(move |_| {
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            stop.stop();
        }
        Ok::<_, String>(())
    });
    assert_eq!(done.unwrap(), Done { completed: count, ..Done::default() });
}

/// Like [`work`], with futures on a runtime of as many threads.
#[cfg(feature = "async")]
fn work_in_tasks(db: &Database, hands: u32, count: u64) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(hands as usize).build().unwrap();
    let worker = Worker::new(db, Claim::new("w")).concurrency(hands);
    let (stop, left) = (worker.stop(), Arc::new(AtomicU64::new(count)));
    let done = runtime.block_on(worker.run_async(move |_| {
        if left.fetch_sub(1, Ordering::Relaxed) == 1 {
            stop.stop();
        }
        std::future::ready(Ok::<_, String>(()))
    }));
    assert_eq!(done.unwrap(), Done { completed: count, ..Done::default() });
}

#[cfg(feature = "postgres")]
mod postgres {
    use viraldb::diesel::connection::SimpleConnection;

    use super::*;
    use crate::queue::postgres::{by_hand, rival, together};
    use crate::server::Server;

    const LINES: [(&str, u32); 2] =
        [("postgres worker, 4 hands, empty handlers", 4), ("postgres worker, 20 hands, empty handlers", 20)];

    pub fn lines(asked: &Asked) -> Vec<Line> {
        let mut lines = Vec::new();
        if !LINES.iter().any(|(name, _)| asked.wants(name)) {
            return lines;
        }
        let server = Server::new(&["shared_buffers=256MB", "max_wal_size=4GB"]);
        let create = |name: &str| {
            let url = server.create_database(&format!("worker_{name}{}", std::process::id()), "template0");
            (Database::open(&url).unwrap(), url)
        };
        let ((db, _), (other, url)) = (create("ours"), create("hand"));
        let (video, other_video) = (video(&db), video(&other));
        let connections: Vec<_> = (0..4).map(|_| rival(&url, AT_ONCE)).collect();
        for (name, hands) in LINES {
            if !asked.wants(name) {
                continue;
            }
            let count = asked.rows(20_000).min(50_000);
            let mut line = Line::new(name, Some(0.8), count);
            for round in 0..asked.rounds(9) {
                enqueue(&db, &video, count);
                enqueue(&other, &other_video, count);
                for db in [&db, &other] {
                    let mut session = db.session().unwrap();
                    session.batch_execute("VACUUM ANALYZE video_processing_jobs").unwrap();
                    session.batch_execute("CHECKPOINT").unwrap();
                }
                let ours = |_: &mut ()| time(|| work(&db, hands, count));
                let hand = |_: &mut ()| together(|n| by_hand(&connections[n]), count);
                let (ours, hand) = in_turns(round, &mut (), ours, hand);
                line.add(ours, hand);
            }
            lines.push(line);
        }
        lines
    }
}
