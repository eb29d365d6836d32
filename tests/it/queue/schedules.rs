//! Random schedules of competing workers, held against a model of what must happen.

use std::collections::{HashMap, HashSet};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use viraldb::diesel::connection::SimpleConnection;
use viraldb::queue::{Backoff, Failure, Lease};
use viraldb::{DbConnection, Error};

use super::*;
use crate::support::both;

/// What must be true of a job.
#[derive(Debug, Clone, PartialEq)]
struct Model {
    status: JobStatus,
    attempts: i32,
    max_attempts: i32,
    /// The lease that holds it, and whether that has expired.
    lease: Option<(Lease, bool)>,
    is_due: bool,
}

struct Schedule<'c> {
    conn: &'c mut DbConnection,
    random: fastrand::Rng,
    jobs: HashMap<VideoProcessingJobId, Model>,
    /// Every lease that was ever given, the lost ones too.
    leases: Vec<(VideoProcessingJobId, Lease)>,
    done: Vec<String>,
}

impl Schedule<'_> {
    fn step(&mut self) {
        match self.random.u8(0..10) {
            0..3 => self.claim(),
            3 => self.expire(),
            4 => self.rescue(),
            5 => self.wait(),
            act => {
                let Some((job, lease)) = self.random.choice(&self.leases).copied() else { return };
                let holds = self.jobs[&job].lease == Some((lease, false));
                self.done.push(format!(
                    "act {act} under {lease:?}, which {}",
                    if holds { "holds" } else { "is lost" }
                ));
                let result = match act {
                    6 => queue::heartbeat(self.conn, lease, LONG).map(drop),
                    7 => queue::complete(self.conn, lease).map(drop),
                    8 => queue::fail(
                        self.conn,
                        lease,
                        &Failure { backoff: Backoff { base: LONG, longest: LONG }, ..Failure::new("no") },
                    )
                    .map(drop),
                    _ => queue::release(self.conn, lease).map(drop),
                };
                match result {
                    Ok(()) => assert!(holds, "a stale act was taken: {:#?}", self.done),
                    Err(Error::LeaseLost { job: lost }) => assert!(!holds && lost == job, "{:#?}", self.done),
                    Err(other) => panic!("{other}: {:#?}", self.done),
                }
                if holds {
                    let model = self.jobs.get_mut(&job).unwrap();
                    match act {
                        6 => {}
                        7 => (model.status, model.lease) = (JobStatus::Completed, None),
                        8 => {
                            let is_over = model.attempts >= model.max_attempts;
                            model.status = if is_over { JobStatus::Failed } else { JobStatus::Retrying };
                            (model.lease, model.is_due) = (None, is_over);
                        }
                        _ => {
                            (model.status, model.attempts, model.lease) =
                                (JobStatus::Queued, model.attempts - 1, None)
                        }
                    }
                }
            }
        }
        self.compare();
    }

    fn claim(&mut self) {
        let wanted = self.random.u32(1..4);
        let taken = queue::claim(self.conn, &Claim::new("w").at_most(wanted)).unwrap();
        self.done.push(format!("claim {wanted}, got {}", taken.len()));
        let is_free =
            |model: &Model| matches!(model.status, JobStatus::Queued | JobStatus::Retrying) && model.is_due;
        let free = self.jobs.values().filter(|model| is_free(model)).count();
        assert_eq!(taken.len(), free.min(wanted as usize), "{:#?}", self.done);
        for job in taken {
            let model = self.jobs.get_mut(&job.id).unwrap();
            assert!(is_free(model), "{:#?}", self.done);
            let lease = Lease::from(&job);
            (model.status, model.attempts, model.lease) =
                (JobStatus::Processing, model.attempts + 1, Some((lease, false)));
            self.leases.push((job.id, lease));
        }
    }

    fn expire(&mut self) {
        let mut held: Vec<_> =
            self.jobs.iter_mut().filter_map(|(id, model)| Some((*id, model.lease.as_mut()?))).collect();
        held.sort_by_key(|(id, _)| *id);
        let Some((id, lease)) = held.get_mut(self.random.usize(0..3)) else { return };
        lease.1 = true;
        self.done.push(format!("the lease of {id} expires"));
        let past = Timestamp::now() - Duration::from_secs(1);
        viraldb::diesel::update(jobs::table.find(*id))
            .set(jobs::lease_expires_at.eq(Some(past)))
            .execute(self.conn)
            .unwrap();
    }

    fn rescue(&mut self) {
        let rescued = queue::rescue(self.conn).unwrap();
        self.done.push(format!("{rescued:?}"));
        let mut expected = queue::Rescued::default();
        for model in self.jobs.values_mut().filter(|model| matches!(model.lease, Some((_, true)))) {
            let is_over = model.attempts >= model.max_attempts;
            *if is_over { &mut expected.failed } else { &mut expected.retrying } += 1;
            model.status = if is_over { JobStatus::Failed } else { JobStatus::Retrying };
            (model.lease, model.is_due) = (None, true);
        }
        assert_eq!(rescued, expected, "{:#?}", self.done);
    }

    /// Every backoff passes.
    fn wait(&mut self) {
        self.done.push("every backoff passes".to_owned());
        let past = Timestamp::now() - Duration::from_secs(1);
        viraldb::diesel::update(jobs::table).set(jobs::run_at.eq(past)).execute(self.conn).unwrap();
        self.jobs.values_mut().for_each(|model| model.is_due = true);
    }

    fn compare(&mut self) {
        let rows: Vec<VideoProcessingJob> = VideoProcessingJob::query().load(self.conn).unwrap();
        assert_eq!(rows.len(), self.jobs.len());
        for row in rows {
            let model = &self.jobs[&row.id];
            assert_eq!(
                (row.status, row.attempts),
                (model.status, model.attempts),
                "{row:?}: {:#?}",
                self.done
            );
            assert_eq!(
                row.lease_token.map(|token| Lease::new(row.id, token)),
                model.lease.map(|lease| lease.0),
                "{:#?}",
                self.done
            );
            assert_eq!(
                row.completed_at.is_some(),
                matches!(row.status, JobStatus::Completed | JobStatus::Failed),
                "{:#?}",
                self.done
            );
            assert!(row.attempts <= row.max_attempts, "{:#?}", self.done);
        }
    }
}

both! {
    fn ten_thousand_random_schedules_go_as_the_model_says(t) {
        let db = t.db();
        let video = db.write(|c| make::video(c).insert(c)).unwrap();
        for seed in 0..10_000 {
            // Rolled back, so that each schedule begins with an empty queue.
            let result = db.write(|conn| {
                let mut random = fastrand::Rng::with_seed(seed);
                let mut models = HashMap::new();
                for _ in 0..random.usize(1..4) {
                    let max_attempts = random.i32(1..4);
                    let job = NewVideoProcessingJob { max_attempts: Some(max_attempts), ..NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download) };
                    queue::enqueue(conn, &job)?;
                    models.insert(job.id, Model { status: JobStatus::Queued, attempts: 0, max_attempts, lease: None, is_due: true });
                }
                let steps = random.usize(1..12);
                let mut schedule = Schedule { conn, random, jobs: models, leases: Vec::new(), done: vec![format!("seed {seed}")] };
                (0..steps).for_each(|_| schedule.step());
                Err::<(), _>(Error::invalid("schedule", "is over"))
            });
            assert!(matches!(result, Err(Error::Invalid { what, .. }) if what == "schedule"));
        }
    }

    fn competing_workers_lose_nothing_and_finish_nothing_twice(t) {
        const JOBS: usize = 400;
        let db = t.db();
        let video = db.write(|c| make::video(c).insert(c)).unwrap();
        let rows: Vec<_> = (0..JOBS).map(|n| NewVideoProcessingJob { priority: Some((n % 3) as i32), max_attempts: Some(1_000), ..NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download) }).collect();
        db.write(|c| queue::enqueue_many(c, &rows)).unwrap();
        let completed = Mutex::new(HashSet::new());
        let left = AtomicUsize::new(JOBS);
        std::thread::scope(|scope| {
            for worker in 0..6_u64 {
                let (db, completed, left) = (&db, &completed, &left);
                scope.spawn(move || {
                    let mut random = fastrand::Rng::with_seed(worker);
                    let backoff = Backoff { base: Duration::ZERO, longest: Duration::ZERO };
                    while left.load(Ordering::Relaxed) > 0 {
                        let asked = Claim::new(format!("w{worker}")).at_most(random.u32(1..6)).lease(Duration::from_millis(random.u64(5..200)));
                        let taken = db.write(|c| queue::claim(c, &asked)).unwrap();
                        for job in taken {
                            let result = match random.u8(0..10) {
                                0 => db.write(|c| queue::fail(c, &job, &Failure { backoff, ..Failure::new("no") })).map(|_| false),
                                1 => db.write(|c| queue::release(c, &job)).map(|_| false),
                                2 => { std::thread::sleep(Duration::from_millis(20)); db.write(|c| queue::complete(c, &job)).map(|_| true) }
                                3 => continue, // forgotten: it has to be rescued
                                _ => db.write(|c| queue::complete(c, &job)).map(|_| true),
                            };
                            match result {
                                Ok(true) => {
                                    assert!(completed.lock().unwrap().insert(job.id), "{} was completed twice", job.id);
                                    left.fetch_sub(1, Ordering::Relaxed);
                                }
                                Ok(false) | Err(Error::LeaseLost { .. }) => {}
                                Err(other) => panic!("{other}"),
                            }
                        }
                        db.write(queue::rescue).unwrap();
                    }
                });
            }
        });
        assert_eq!(completed.into_inner().unwrap().len(), JOBS);
        let open: i64 = db.read(|c| Ok(jobs::table.filter(jobs::status.ne(JobStatus::Completed)).count().get_result(c)?)).unwrap();
        assert_eq!(open, 0);
    }

    fn a_claim_walks_the_index_whatever_else_is_in_the_table(t) {
        let db = t.db();
        let video = db.write(|c| make::video(c).insert(c)).unwrap();
        let far = Timestamp::now() + LONG;
        let row = |n: i32| NewVideoProcessingJob { priority: Some(n % 4), run_at: (n % 2 == 0).then_some(far), ..NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download) };
        let rows: Vec<_> = (0..20_000).map(row).collect();
        db.write(|c| queue::enqueue_many(c, &rows)).unwrap();
        db.write(|c| Ok(c.batch_execute("UPDATE video_processing_jobs SET status = 'completed' WHERE priority % 2 = 1")?)).unwrap();
        // PostgreSQL does so by itself; SQLite has to do without.
        if t.is_postgres {
            db.write(|c| Ok(c.batch_execute("ANALYZE video_processing_jobs")?)).unwrap();
        }
        let due = put(&db, [|_| (), |j| j.priority = Some(-1)]);
        for asked in [Claim::new("w"), Claim::new("w").types(["download"]).at_most(10), Claim::new("w").types(["download", "publish"]).at_most(100)] {
            let plan = db.read(|c| asked.explain(c)).unwrap();
            assert!(plan.contains("idx_jobs_claim"), "{plan}");
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
