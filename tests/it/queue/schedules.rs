//! Runs random schedules of competing workers and checks them against a model of the queue.

use std::iter::Sum;
use std::ops::{Range, RangeInclusive};
use std::sync::{Barrier, Mutex};

use viraldb::diesel::connection::SimpleConnection;
use viraldb::republishing::Video;
use viraldb::{DbConnection, Session};

use super::model::{Act, Answer, Held, Job, Model, Record, past};
use super::*;
use crate::support::{Scratch, both};

/// Counts of what happened in the schedules, which show that they are not trivial.
#[derive(Debug, Default)]
struct Tally {
    /// Operations that began before another one had ended.
    at_once: usize,
    /// Operations under a lost lease.
    stale: usize,
    completed: usize,
    rescued: usize,
}

impl Tally {
    fn add(&mut self, lanes: &[Vec<Record>]) {
        let mut all: Vec<&Record> = lanes.iter().flatten().collect();
        all.sort_by_key(|record| record.from);
        self.at_once += all.windows(2).filter(|pair| pair[1].from < pair[0].to).count();
        for record in all {
            match (&record.act, &record.answer) {
                (Act::Complete(_), Answer::Job(_)) => self.completed += 1,
                (_, Answer::Lost) => self.stale += 1,
                (Act::CompleteMany(leases), Answer::LostOf(lost)) => {
                    self.stale += lost.len();
                    self.completed += leases.len() - lost.len();
                }
                (_, Answer::LostOf(lost)) => self.stale += lost.len(),
                (_, Answer::Rescued(rescued)) => self.rescued += rescued.retrying + rescued.failed,
                _ => {}
            }
        }
    }
}

impl Sum for Tally {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |sum, part| Self {
            at_once: sum.at_once + part.at_once,
            stale: sum.stale + part.stale,
            completed: sum.completed + part.completed,
            rescued: sum.rescued + part.rescued,
        })
    }
}

/// Chooses the next operation of a worker.
fn next(random: &mut fastrand::Rng, jobs: &[VideoProcessingJobId], leases: &Mutex<Vec<Held>>) -> Act {
    // Any lease ever granted, to any worker.
    let leases = leases.lock().unwrap();
    let job = *random.choice(jobs).unwrap();
    let held = random.choice(&*leases).copied();
    let length = if random.u8(0..4) == 0 { Duration::from_millis(random.u64(1..4)) } else { LONG };
    let wait = if random.bool() { Duration::ZERO } else { LONG };
    let many = random.usize(1..=leases.len().max(1));
    let many = random.choose_multiple(leases.iter().copied(), many);
    match (random.u8(0..24), held) {
        (0, _) => Act::Rescue,
        (1, _) => Act::LetBeDue(job),
        (2, _) => Act::Cancel(job),
        (3, _) => Act::Retry(job),
        (4..9, _) | (_, None) => Act::Claim { at_most: random.u32(1..4), length },
        (9..11, Some(held)) => Act::Expire(held),
        (11..13, Some(held)) => Act::Heartbeat(held, length),
        (13..15, Some(held)) => Act::Complete(held),
        (15..17, Some(held)) => Act::Fail(held, wait),
        (17, Some(held)) => Act::Release(held),
        (18, Some(held)) => Act::Snooze(held, wait),
        (19..21, Some(_)) => Act::HeartbeatMany(many, length),
        (21, Some(_)) => Act::ReleaseMany(many),
        (_, Some(_)) => Act::CompleteMany(many),
    }
}

/// Runs the operations of one worker and returns them with their answers.
fn lane(
    conn: &mut DbConnection,
    mut random: fastrand::Rng,
    acts: usize,
    jobs: &[VideoProcessingJobId],
    leases: &Mutex<Vec<Held>>,
) -> Vec<Record> {
    let acts = (0..acts).map(|_| {
        let record = Record::of(conn, next(&mut random, jobs, leases));
        if let (Act::Claim { .. }, Answer::Jobs(taken)) = (&record.act, &record.answer) {
            let given = taken.iter().filter_map(|job| Some(Held { job: job.id, token: job.lease?.0 }));
            leases.lock().unwrap().extend(given);
        }
        record
    });
    acts.collect()
}

/// Runs a schedule for each seed, with this many concurrent workers. The workers mostly wait for the
/// database, so several schedules run concurrently, each in its own database.
fn run(t: &Scratch, seeds: Range<u64>, workers: RangeInclusive<usize>) -> Tally {
    const ARENAS: usize = 12;
    let tally = std::thread::scope(|scope| {
        let arenas: Vec<_> = (0..ARENAS)
            .map(|arena| {
                let (seeds, workers) = (seeds.clone().skip(arena).step_by(ARENAS), workers.clone());
                scope.spawn(move || Arena::new(&t.another(), workers).run(seeds))
            })
            .collect();
        arenas.into_iter().map(|arena| arena.join().unwrap()).collect::<Vec<_>>()
    });
    tally.into_iter().sum()
}

/// A database in which schedules run one after another.
struct Arena {
    db: Database,
    is_postgres: bool,
    video: Video,
    main: Session,
    /// All workers that a schedule may use, each with its own connection.
    workers: Vec<Session>,
    /// How many workers run concurrently.
    at_once: RangeInclusive<usize>,
}

impl Arena {
    fn new(t: &Scratch, at_once: RangeInclusive<usize>) -> Self {
        let db = t.db();
        Self {
            is_postgres: t.is_postgres,
            video: db.write(|c| make::video(c).insert(c)).unwrap(),
            main: db.session().unwrap(),
            workers: (0..*at_once.end()).map(|_| db.session().unwrap()).collect(),
            at_once,
            db,
        }
    }

    fn run(mut self, seeds: impl Iterator<Item = u64>) -> Tally {
        let mut tally = Tally::default();
        for seed in seeds {
            self.schedule(seed, &mut tally);
        }
        self.drain();
        tally
    }

    fn schedule(&mut self, seed: u64, tally: &mut Tally) {
        let mut random = fastrand::Rng::with_seed(seed);
        let new: Vec<_> = (0..random.usize(1..4))
            .map(|_| NewVideoProcessingJob {
                max_attempts: Some(random.i32(1..4)),
                run_at: Some(past()),
                ..NewVideoProcessingJob::new(self.video.id, self.video.channel_id, JobType::Download)
            })
            .collect();
        queue::enqueue_many(&mut self.main, &new).unwrap();
        let jobs: Vec<_> = new.iter().map(|job| job.id).collect();
        let workers = random.usize(self.at_once.clone());
        let acts = random.usize(5..12).div_ceil(workers);
        let (start, leases) = (Barrier::new(workers), Mutex::default());
        let mut lanes: Vec<Vec<Record>> = std::thread::scope(|scope| {
            let lanes: Vec<_> = self.workers[..workers]
                .iter_mut()
                .map(|worker| {
                    let (random, start, jobs, leases) = (random.fork(), &start, &jobs, &leases);
                    scope.spawn(move || {
                        start.wait();
                        lane(worker, random, acts, jobs, leases)
                    })
                })
                .collect();
            lanes.into_iter().map(|lane| lane.join().unwrap()).collect()
        });
        for record in lanes.iter().flatten() {
            if let Answer::Wrong(why) = &record.answer {
                panic!("seed {seed}: {why}: {}", shown(&lanes));
            }
        }
        let end = Record::of(&mut self.main, Act::Look(jobs));
        let left = end.unfinished();
        lanes.push(vec![end]);
        let before: Vec<Job> =
            new.iter().map(|job| Job::waiting(job.id, job.max_attempts.unwrap())).collect();
        let model = Model { skips: self.is_postgres && workers > 1 };
        assert!(model.explains(&before, &lanes), "seed {seed}: no order explains {}", shown(&lanes));
        tally.add(&lanes);
        if !left.is_empty() {
            // Postpone the remaining jobs, so that the next schedules do not claim them.
            let left: Vec<_> = left.iter().map(|id| format!("'{id}'")).collect();
            put_off(&mut self.main, &format!("id IN ({})", left.join(", ")), "2099-01-01 00:00:00").unwrap();
        }
    }

    /// Checks that no job was lost: every unfinished job can still be claimed and completed.
    fn drain(&self) {
        let unfinished = jobs::status.ne_all([JobStatus::Completed, JobStatus::Failed]);
        self.db
            .write(|c| put_off(c, "status NOT IN ('completed', 'failed')", "2000-01-01 00:00:00"))
            .unwrap();
        queue::rescue_all(&self.db).unwrap();
        let left = claim(&self.db, &Claim::new("last").at_most(10_000));
        assert_eq!(self.db.write(|c| queue::complete_many(c, &left)).unwrap(), []);
        let lost = self.db.read(|c| Ok(jobs::table.filter(unfinished).count().get_result::<i64>(c)?));
        assert_eq!(lost.unwrap(), 0);
    }
}

/// Formats a history sorted by start time, one line per operation.
fn shown(lanes: &[Vec<Record>]) -> String {
    let mut all: Vec<_> = lanes
        .iter()
        .enumerate()
        .flat_map(|(lane, all)| all.iter().map(move |record| (lane, record)))
        .collect();
    all.sort_by_key(|(_, record)| record.from);
    all.into_iter().map(|(lane, record)| format!("\nworker {lane}: {record:?}")).collect()
}

/// Sets the due time of these jobs and the expiry of their leases.
fn put_off(c: &mut DbConnection, which: &str, until: &str) -> viraldb::Result<()> {
    Ok(c.batch_execute(&format!(
        "UPDATE video_processing_jobs SET run_at = '{until}' WHERE {which}; \
         UPDATE video_processing_jobs SET lease_expires_at = '{until}' WHERE lease_token IS NOT NULL AND {which}"
    ))?)
}

both! {
    fn ten_thousand_competing_schedules_match_the_model(t) {
        let tally = run(t, 0..10_000, 2..=4);
        assert!(tally.at_once.min(tally.stale).min(tally.completed).min(tally.rescued) > 500, "{tally:?}");
    }

    fn one_thousand_single_worker_schedules_match_the_model(t) {
        let tally = run(t, 0..1_000, 1..=1);
        assert!(tally.at_once == 0 && tally.stale.min(tally.completed).min(tally.rescued) > 50, "{tally:?}");
    }

    fn claims_use_the_index_whatever_the_table_contains(t) {
        let db = t.db();
        let video = db.write(|c| make::video(c).insert(c)).unwrap();
        let far = Timestamp::now() + LONG;
        let row = |n: i32| NewVideoProcessingJob { priority: Some(n % 4), run_at: (n % 2 == 0).then_some(far), ..NewVideoProcessingJob::new(video.id, video.channel_id, if n % 16 < 4 { JobType::Publish } else { JobType::Download }) };
        let rows: Vec<_> = (0..20_000).map(row).collect();
        db.write(|c| queue::enqueue_many(c, &rows)).unwrap();
        db.write(|c| Ok(c.batch_execute("UPDATE video_processing_jobs SET status = 'completed' WHERE priority % 2 = 1")?)).unwrap();
        // PostgreSQL analyzes tables by itself. SQLite has to do without statistics.
        if t.is_postgres {
            db.write(|c| Ok(c.batch_execute("ANALYZE video_processing_jobs")?)).unwrap();
        }
        let due = put(&db, [|_| (), |j| j.priority = Some(-1)]);
        let one_type = Claim::new("w").types([JobType::Publish]).at_most(10);
        for (asked, index) in [(Claim::new("w"), "idx_jobs_claim"), (one_type, "idx_jobs_claim_type"), (Claim::new("w").types([JobType::Download, JobType::Publish]).at_most(100), "idx_jobs_claim")] {
            let plan = db.read(|c| asked.explain(c)).unwrap();
            assert!(plan.contains(&format!("{index} ")), "{index} in {plan}");
            for line in plan.lines().filter(|line| line.contains("idx_") || line.contains("Index")) {
                assert!(["idx_jobs_claim", "_pkey", "queue_paused"].iter().any(|index| line.contains(index)) || line.contains("Cond"), "{line} in {plan}");
            }
            for slow in ["TEMP B-TREE", "Sort", "Seq Scan on video_processing_jobs", "SCAN video_processing_jobs", "SCAN due"] {
                assert!(!plan.contains(slow), "{slow} in {plan}");
            }
        }
        assert_eq!(ids(&claim(&db, &Claim::new("w").at_most(10))), due);
    }
}
