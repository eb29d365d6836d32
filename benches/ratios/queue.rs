//! Compares the queue with hand-written statements: jobs are claimed and completed until none is left.

use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior, params};
use viraldb::diesel::connection::SimpleConnection;
use viraldb::queue::{self, Claim};
use viraldb::republishing::{JobType, NewChannel, NewVideo, NewVideoProcessingJob, Video};
use viraldb::{Database, DbConnection, Result, Timestamp};

use crate::measure::{Asked, Line, time};
use crate::sqlite::{Scratch, in_turns, rival, to_text};

const SQLITE: [(&str, u32); 2] =
    [("sqlite claim and complete, 1 at a time", 1), ("sqlite claim and complete, 100 at a time", 100)];
const SQLITE_FULL: &str = "sqlite claim in a full table";
const LEASE: Duration = Duration::from_secs(60);

pub fn lines(asked: &Asked) -> Vec<Line> {
    let mut lines = Vec::new();
    for (name, at_once) in SQLITE {
        if asked.wants(name) {
            lines.push(sqlite(asked, name, at_once));
        }
    }
    if asked.wants(SQLITE_FULL) {
        let [empty, full] = [Scratch::new(), Scratch::new()];
        lines.push(full_table(asked, SQLITE_FULL, &empty.open(), &full.open(), |db, many| {
            fill(db, many, "WITH RECURSIVE n (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM n WHERE n < {many})", "lower(hex(randomblob(4)) || '-' || hex(randomblob(2)) || '-4' || substr(hex(randomblob(2)), 2) || '-8' || substr(hex(randomblob(2)), 2) || '-' || hex(randomblob(6)))", "'2999-01-01 00:00:00.000000'");
        }));
    }
    #[cfg(feature = "postgres")]
    lines.extend(postgres::lines(asked));
    lines
}

/// Inserts the video that all jobs refer to.
pub fn video(db: &Database) -> Video {
    db.write(|c| {
        let channel = NewChannel::default().insert(c)?;
        NewVideo { channel_id: channel.id, ..Default::default() }.insert(c)
    })
    .unwrap()
}

pub fn enqueue(db: &Database, video: &Video, count: u64) {
    let rows: Vec<_> = (0..count)
        .map(|n| NewVideoProcessingJob {
            priority: Some((n % 3) as i32),
            ..NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download)
        })
        .collect();
    assert_eq!(db.write(|c| queue::enqueue_many(c, &rows)).unwrap() as u64, count);
}

/// Claims and completes jobs until none is left, and returns their number. Each claim and each completion runs in a `write`.
fn work(at_once: u32, mut write: impl FnMut(&mut dyn FnMut(&mut DbConnection) -> Result<()>)) -> u64 {
    let claim = Claim::new("w").types([JobType::Download]).at_most(at_once).lease(LEASE);
    let mut done = 0;
    loop {
        let mut jobs = Vec::new();
        write(&mut |c| queue::claim(c, &claim).map(|claimed| jobs = claimed));
        match jobs.as_slice() {
            [] => return done,
            [job] => write(&mut |c| queue::complete(c, job).map(drop)),
            jobs => write(&mut |c| queue::complete_many(c, jobs).map(|lost| assert!(lost.is_empty()))),
        }
        done += jobs.len() as u64;
    }
}

fn sqlite(asked: &Asked, name: &'static str, at_once: u32) -> Line {
    let count = asked.rows(5_000).min(50_000);
    let mut line = Line::new(name, Some(0.8), count);
    let [ours, theirs] = [Scratch::new(), Scratch::new()];
    let (db, other) = (ours.open(), theirs.open());
    let (video, other_video) = (video(&db), video(&other));
    let mut conn = rival(&theirs.path);
    for round in 0..asked.rounds(9) {
        enqueue(&db, &video, count);
        enqueue(&other, &other_video, count);
        let ours =
            |_: &mut Connection| time(|| assert_eq!(work(at_once, |work| db.write(work).unwrap()), count));
        let hand = |conn: &mut Connection| time(|| assert_eq!(by_hand(conn, at_once), count));
        let (ours, hand) = in_turns(round, &mut conn, ours, hand);
        line.add(ours, hand);
    }
    line
}

/// Does the same with two prepared statements. The limit is a literal, and all columns of a job are read.
pub fn by_hand(conn: &mut Connection, at_once: u32) -> u64 {
    let claim = format!(
        "UPDATE video_processing_jobs SET status = 'processing', attempts = attempts + 1, started_at = ?1, \
         updated_at = ?1, lease_expires_at = ?2, lease_token = ?3, leased_by = ?4 WHERE id IN (\
         SELECT id FROM video_processing_jobs INDEXED BY idx_jobs_claim \
         WHERE status IN ('queued', 'retrying') AND run_at <= ?1 AND job_type IN ('download') ORDER BY priority DESC, run_at, queued_at LIMIT {at_once}) RETURNING *"
    );
    let complete = "UPDATE video_processing_jobs SET status = 'completed', completed_at = ?1, updated_at = ?1, \
         duration = CAST(unixepoch(?1, 'subsec') - unixepoch(started_at, 'subsec') AS INTEGER), \
         lease_token = NULL, leased_by = NULL, lease_expires_at = NULL \
         WHERE id = ?2 AND lease_token = ?3 AND status = 'processing' AND lease_expires_at > ?1";
    let mut done = 0;
    loop {
        let (now, token) = (Timestamp::now(), viraldb::types::LeaseToken::default().to_string());
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        let jobs: Vec<Vec<Option<String>>> = {
            let mut claim = transaction.prepare_cached(&claim).unwrap();
            let rows = claim.query_map(params![to_text(now), to_text(now + LEASE), token, "w"], |row| {
                (0..22)
                    .map(|column| {
                        Ok(match row.get_ref(column)? {
                            rusqlite::types::ValueRef::Integer(number) => Some(number.to_string()),
                            rusqlite::types::ValueRef::Null => None,
                            other => Some(other.as_str()?.to_owned()),
                        })
                    })
                    .collect()
            });
            rows.unwrap().collect::<rusqlite::Result<_>>().unwrap()
        };
        transaction.commit().unwrap();
        if jobs.is_empty() {
            return done;
        }
        let now = to_text(Timestamp::now());
        let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        for job in &jobs {
            let mut complete = transaction.prepare_cached(complete).unwrap();
            assert_eq!(complete.execute(params![now, job[0], token]).unwrap(), 1);
        }
        transaction.commit().unwrap();
        done += jobs.len() as u64;
    }
}

/// Compares claims in a table with many finished and many future jobs with claims in a table without them. The rival's time
/// is that of the table without them.
fn full_table(
    asked: &Asked,
    name: &'static str,
    empty: &Database,
    full: &Database,
    fill: impl Fn(&Database, u64),
) -> Line {
    let count = asked.rows(1_000_000);
    let each = asked.rows(10_000).min(10_000);
    let mut line = Line::new(name, Some(0.9), each);
    let (video, other) = (video(empty), video(full));
    fill(full, count);
    for round in 0..asked.rounds(9) {
        enqueue(empty, &video, each);
        enqueue(full, &other, each);
        let work = |db| time(|| assert_eq!(claim_all(db), each));
        let (in_full, in_empty) = in_turns(round, &mut (), |_| work(full), |_| work(empty));
        line.add(in_full, in_empty);
    }
    line
}

/// Claims jobs one by one until none is due, including the last claim that finds none. Completes no jobs.
fn claim_all(db: &Database) -> u64 {
    let claim = Claim::new("w").lease(LEASE);
    (0..).find(|_| db.write(|c| queue::claim(c, &claim)).unwrap().is_empty()).unwrap()
}

/// Adds `many` finished and `many` future jobs, with the same priorities as in [`enqueue`].
fn fill(db: &Database, many: u64, numbers: &str, id: &str, future: &str) {
    let numbers = numbers.replace("{many}", &many.to_string());
    for (status, run_at) in [("completed", "v.created_at"), ("queued", future)] {
        db.write(|c| {
            Ok(c.batch_execute(&format!(
                "{numbers} INSERT INTO video_processing_jobs \
                 (id, video_id, channel_id, job_type, status, priority, run_at) \
                 SELECT {id}, v.id, v.channel_id, 'download', '{status}', n % 3, {run_at} \
                 FROM n CROSS JOIN (SELECT id, channel_id, created_at FROM videos LIMIT 1) AS v"
            ))?)
        })
        .unwrap();
    }
    db.write(|c| Ok(c.batch_execute("ANALYZE video_processing_jobs")?)).unwrap();
}

#[cfg(feature = "postgres")]
pub mod postgres {
    use std::sync::Barrier;

    use super::*;
    use crate::libpq::Rival;
    use crate::server::Server;

    const WORKERS: usize = 4;
    const LINES: [(&str, u32); 3] = [
        ("postgres claim and complete, 1 at a time", 1),
        ("postgres claim and complete, 10 at a time", 10),
        ("postgres claim and complete, 100 at a time", 100),
    ];
    const FULL: &str = "postgres claim in a full table";

    pub fn lines(asked: &Asked) -> Vec<Line> {
        let mut lines = Vec::new();
        if !asked.wants(FULL) && !LINES.iter().any(|(name, _)| asked.wants(name)) {
            return lines;
        }
        let server = Server::new(&["shared_buffers=256MB", "max_wal_size=4GB"]);
        let create = |name: &str| {
            let url = server.create_database(&format!("queue_{name}{}", std::process::id()), "template0");
            (Database::open(&url).unwrap(), url)
        };
        for (name, at_once) in LINES {
            if asked.wants(name) {
                let (ours, hand) = (create(&format!("ours{at_once}_")).0, create(&format!("hand{at_once}_")));
                lines.push(workers(asked, name, at_once, &ours, &hand.0, &hand.1));
            }
        }
        if asked.wants(FULL) {
            let (empty, full) = (create("empty").0, create("full").0);
            lines.push(full_table(asked, FULL, &empty, &full, |db, many| {
                fill(
                    db,
                    many,
                    "WITH n AS (SELECT n FROM generate_series(1, {many}) AS n)",
                    "gen_random_uuid()",
                    "timestamptz '2999-01-01'",
                );
            }));
        }
        lines
    }

    fn workers(
        asked: &Asked,
        name: &'static str,
        at_once: u32,
        db: &Database,
        other: &Database,
        url: &str,
    ) -> Line {
        let count = asked.rows(10_000).min(50_000);
        let mut line = Line::new(name, Some(0.9), count);
        let (video, other_video) = (video(db), video(other));
        let connections: Vec<Rival> = (0..WORKERS).map(|_| rival(url, at_once)).collect();
        for round in 0..asked.rounds(9) {
            enqueue(db, &video, count);
            enqueue(other, &other_video, count);
            for db in [db, other] {
                let mut session = db.session().unwrap();
                session.batch_execute("VACUUM ANALYZE video_processing_jobs").unwrap();
                session.batch_execute("CHECKPOINT").unwrap();
            }
            // Each worker keeps a session, as the rival keeps a connection. Each statement is one transaction.
            let ours = |_: &mut ()| {
                together(
                    |_| {
                        let mut session = db.session().unwrap();
                        work(at_once, |work| work(&mut session).unwrap())
                    },
                    count,
                )
            };
            let hand = |_: &mut ()| together(|n| by_hand(&connections[n]), count);
            let (ours, hand) = in_turns(round, &mut (), ours, hand);
            line.add(ours, hand);
        }
        line
    }

    /// Starts all workers at the same time and returns the time until the last one has finished.
    pub fn together(work: impl Fn(usize) -> u64 + Sync, count: u64) -> Duration {
        let barrier = Barrier::new(WORKERS + 1);
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..WORKERS)
                .map(|n| {
                    let (work, barrier) = (&work, &barrier);
                    scope.spawn(move || {
                        barrier.wait();
                        work(n)
                    })
                })
                .collect();
            time(|| {
                barrier.wait();
                let done: u64 = workers.into_iter().map(|worker| worker.join().unwrap()).sum();
                assert_eq!(done, count);
            })
        })
    }

    const CLAIM: &str = "claim";
    const COMPLETE: &str = "complete";

    /// Opens a connection with two prepared statements. Each execution is a separate transaction.
    pub fn rival(url: &str, at_once: u32) -> Rival {
        let claim = format!(
            "WITH taken AS (SELECT id FROM video_processing_jobs WHERE status IN ('queued', 'retrying') \
             AND run_at <= now() AND job_type IN ('download') ORDER BY priority DESC, run_at, queued_at \
             LIMIT {at_once} FOR UPDATE SKIP LOCKED) UPDATE video_processing_jobs AS job \
             SET status = 'processing', attempts = attempts + 1, started_at = now(), updated_at = now(), \
             lease_expires_at = now() + interval '60 s', lease_token = $1::uuid, leased_by = $2 \
             FROM taken WHERE job.id = taken.id RETURNING job.*"
        );
        let complete = "UPDATE video_processing_jobs AS job SET status = 'completed', completed_at = now(), \
            updated_at = now(), duration = extract(epoch FROM now() - started_at)::int, lease_token = NULL, \
            leased_by = NULL, lease_expires_at = NULL WHERE id = ANY($1::uuid[]) AND lease_token = $2::uuid \
            AND status = 'processing' AND lease_expires_at > now()";
        Rival::new(url, &[(CLAIM, &claim), (COMPLETE, complete)])
    }

    pub fn by_hand(conn: &Rival) -> u64 {
        let mut done = 0;
        loop {
            let token = viraldb::types::LeaseToken::default().to_string();
            let jobs = conn.run(CLAIM, &[&token, "w"]);
            if jobs.is_empty() {
                return done;
            }
            let ids: Vec<&str> = jobs.iter().map(|job| job[0].as_deref().unwrap()).collect();
            conn.run(COMPLETE, &[&format!("{{{}}}", ids.join(",")), &token]);
            done += jobs.len() as u64;
        }
    }
}
