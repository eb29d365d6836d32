//! Random schedules of competing workers, held against a model of what may happen.

use std::iter::Sum;
use std::ops::{Range, RangeInclusive};
use std::sync::{Barrier, Mutex};

use viraldb::diesel::connection::SimpleConnection;
use viraldb::republishing::Video;
use viraldb::{DbConnection, Session};

use super::model::{Act, Answer, Held, Job, Model, Record, past};
use super::*;
use crate::support::{Scratch, both};

/// What there was in the schedules, to see that they show something.
#[derive(Debug, Default)]
struct Told {
    /// Acts that began before another one had ended.
    at_once: usize,
    /// Acts under a lease that was lost.
    stale: usize,
    completed: usize,
    rescued: usize,
}

impl Told {
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
                (_, Answer::Rescued(rescued)) => self.rescued += rescued.retrying + rescued.failed,
                _ => {}
            }
        }
    }
}

impl Sum for Told {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |sum, part| Self {
            at_once: sum.at_once + part.at_once,
            stale: sum.stale + part.stale,
            completed: sum.completed + part.completed,
            rescued: sum.rescued + part.rescued,
        })
    }
}

/// What one worker does next.
fn next(random: &mut fastrand::Rng, jobs: &[VideoProcessingJobId], leases: &Mutex<Vec<Held>>) -> Act {
    // Any lease that was ever given, to whomever.
    let leases = leases.lock().unwrap();
    let job = *random.choice(jobs).unwrap();
    let held = random.choice(&*leases).copied();
    let length = if random.u8(0..4) == 0 { Duration::from_millis(random.u64(1..4)) } else { LONG };
    let wait = if random.bool() { Duration::ZERO } else { LONG };
    match (random.u8(0..20), held) {
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
        (_, Some(_)) => {
            let many = random.usize(1..=leases.len());
            Act::CompleteMany(random.choose_multiple(leases.iter().copied(), many))
        }
    }
}

/// What one worker does, and is answered.
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

/// Runs a schedule for each seed, by so many workers at once. Most of the time they wait for the database, so
/// several run beside each other, each in a database of its own.
fn run(t: &Scratch, seeds: Range<u64>, workers: RangeInclusive<usize>) -> Told {
    const ARENAS: usize = 12;
    let told = std::thread::scope(|scope| {
        let arenas: Vec<_> = (0..ARENAS)
            .map(|arena| {
                let (seeds, workers) = (seeds.clone().skip(arena).step_by(ARENAS), workers.clone());
                scope.spawn(move || Arena::new(&t.another(), workers).run(seeds))
            })
            .collect();
        arenas.into_iter().map(|arena| arena.join().unwrap()).collect::<Vec<_>>()
    });
    told.into_iter().sum()
}

/// A database in which schedules run one after the other.
struct Arena {
    db: Database,
    is_postgres: bool,
    video: Video,
    main: Session,
    /// The workers that there can be, each with a connection of its own.
    workers: Vec<Session>,
    /// How many there are at once.
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

    fn run(mut self, seeds: impl Iterator<Item = u64>) -> Told {
        let mut told = Told::default();
        for seed in seeds {
            self.schedule(seed, &mut told);
        }
        self.empty();
        told
    }

    fn schedule(&mut self, seed: u64, told: &mut Told) {
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
        told.add(&lanes);
        if !left.is_empty() {
            // Out of the way of the next ones.
            let left: Vec<_> = left.iter().map(|id| format!("'{id}'")).collect();
            put_off(&mut self.main, &format!("id IN ({})", left.join(", ")), "2099-01-01 00:00:00").unwrap();
        }
    }

    /// None is lost: all that are not over are there to be taken still.
    fn empty(&self) {
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

/// A history by the beginnings of its acts, a line each.
fn shown(lanes: &[Vec<Record>]) -> String {
    let mut all: Vec<_> = lanes
        .iter()
        .enumerate()
        .flat_map(|(lane, all)| all.iter().map(move |record| (lane, record)))
        .collect();
    all.sort_by_key(|(_, record)| record.from);
    all.into_iter().map(|(lane, record)| format!("\nworker {lane}: {record:?}")).collect()
}

/// Makes jobs due at a moment, and lets their leases end then.
fn put_off(c: &mut DbConnection, which: &str, until: &str) -> viraldb::Result<()> {
    Ok(c.batch_execute(&format!(
        "UPDATE video_processing_jobs SET run_at = '{until}' WHERE {which}; \
         UPDATE video_processing_jobs SET lease_expires_at = '{until}' WHERE lease_token IS NOT NULL AND {which}"
    ))?)
}

both! {
    fn ten_thousand_schedules_of_competing_workers_can_be_explained(t) {
        let told = run(t, 0..10_000, 2..=4);
        assert!(told.at_once.min(told.stale).min(told.completed).min(told.rescued) > 500, "{told:?}");
    }

    fn a_thousand_schedules_of_one_worker_go_as_the_model_says(t) {
        let told = run(t, 0..1_000, 1..=1);
        assert!(told.at_once == 0 && told.stale.min(told.completed).min(told.rescued) > 50, "{told:?}");
    }

    fn a_claim_walks_the_index_whatever_else_is_in_the_table(t) {
        let db = t.db();
        let video = db.write(|c| make::video(c).insert(c)).unwrap();
        let far = Timestamp::now() + LONG;
        let row = |n: i32| NewVideoProcessingJob { priority: Some(n % 4), run_at: (n % 2 == 0).then_some(far), ..NewVideoProcessingJob::new(video.id, video.channel_id, if n % 16 < 4 { JobType::Publish } else { JobType::Download }) };
        let rows: Vec<_> = (0..20_000).map(row).collect();
        db.write(|c| queue::enqueue_many(c, &rows)).unwrap();
        db.write(|c| Ok(c.batch_execute("UPDATE video_processing_jobs SET status = 'completed' WHERE priority % 2 = 1")?)).unwrap();
        // PostgreSQL does so by itself; SQLite has to do without.
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
