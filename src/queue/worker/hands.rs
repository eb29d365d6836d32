//! The state that the threads of a worker share: the jobs that it holds, from claim to settlement.

use std::any::Any;
use std::collections::HashMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Done, Work, Worker};
use crate::db::wake::{Topic, Waker};
use crate::queue::{Failure, Lease, claim, complete, fail, heartbeat, release, rescue};
use crate::republishing::VideoProcessingJob;
use crate::{CorrelationId, Database, DbConnection, Error, Result, correlation, log_error};

/// How often a worker checks whether it should stop, and how long it waits before it retries a database that did not
/// answer.
const BEAT: Duration = Duration::from_millis(100);

/// How long a worker waits for a notification before it checks the queue anyway, because a job can become due without any
/// write.
const LOOK: Duration = Duration::from_secs(1);

/// How often an idle worker empties SQLite's write-ahead log.
///
/// A reader that has ended since may have caused the log to grow. Without another writer it would stay that large.
const EMPTY: Duration = Duration::from_secs(60);

pub(super) type Handler = dyn Fn(&Work) -> Result<(), String> + Send + Sync;

/// A worker, its handler, and the state that its threads share.
pub(super) struct Hands {
    worker: Worker,
    handler: Box<Handler>,
    jobs: Mutex<Jobs>,
    changed: Condvar,
}

#[derive(Default)]
struct Jobs {
    /// Keyed by lease, not by job: a failed attempt may still be in the map when the worker claims the next attempt.
    held: HashMap<Lease, Arc<Work>>,
    done: Done,
    is_over: bool,
}

impl Hands {
    pub(super) fn new(worker: Worker, handler: Box<Handler>) -> Self {
        Self { worker, handler, jobs: Mutex::default(), changed: Condvar::new() }
    }

    fn jobs(&self) -> MutexGuard<'_, Jobs> {
        // The counters and the map stay consistent after a panic, so a poisoned lock can be used.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_a_change(&self, jobs: MutexGuard<'_, Jobs>) {
        drop(self.changed.wait_timeout(jobs, BEAT).unwrap_or_else(PoisonError::into_inner));
    }

    pub(super) fn work_until_stopped(self: &Arc<Self>, mut most: u32) {
        let Worker { db, claim: wanted, poll, stop, .. } = &self.worker;
        let mut waker = None;
        let mut rescue_at = Instant::now();
        let mut empty_at = Instant::now();
        while !stop.is_stopped() {
            let jobs = self.jobs();
            let free = most.saturating_sub(jobs.held.len() as u32);
            if free == 0 {
                self.wait_for_a_change(jobs);
                continue;
            }
            drop(jobs);
            let result = (|| {
                // Listen before looking, so that a job inserted in between is not missed.
                let waker = match &mut waker {
                    Some(waker) => waker,
                    none => none.insert(Waker::new(db, Topic::Jobs, *poll)?),
                };
                if Instant::now() >= rescue_at {
                    db.write(rescue)?;
                    most = match self.worker.most() {
                        Err(error @ Error::Invalid { .. }) => {
                            tracing::warn!("cannot read the new concurrency, keeping {most}: {error}");
                            most
                        }
                        read => read?,
                    };
                    rescue_at = Instant::now() + self.worker.claim.length().min(Duration::from_secs(30));
                }
                // Claim a power of two, so that only a few different statements are prepared.
                let wanted = wanted.clone().at_most(1 << free.ilog2());
                let before = Instant::now();
                let jobs = db.write(|c| claim(c, &wanted))?;
                let deadline = Instant::now() + LOOK;
                if jobs.is_empty() {
                    if free == most && Instant::now() >= empty_at {
                        empty_at = Instant::now() + EMPTY;
                        empty_log(db);
                    }
                    while !stop.is_stopped() && Instant::now() < deadline && !waker.wait(BEAT)? {}
                }
                Ok::<_, Error>((jobs, before + wanted.length()))
            })();
            match result {
                Ok((jobs, lease_ends)) => jobs.into_iter().for_each(|job| self.take(job, lease_ends)),
                Err(error) => {
                    let error = error.in_database(db.url());
                    tracing::warn!("cannot read the queue, trying again: {error}");
                    waker = None;
                    std::thread::sleep(BEAT);
                }
            }
        }
    }

    /// Runs the handler of a job on a separate thread.
    fn take(self: &Arc<Self>, job: VideoProcessingJob, lease_ends: Instant) {
        let work = Arc::new(Work {
            job,
            is_lost: false.into(),
            is_settled: false.into(),
            lease_ends: lease_ends.into(),
            stop: self.worker.stop(),
        });
        let lease = Lease::from(&work.job);
        self.jobs().held.insert(lease, Arc::clone(&work));
        let (hands, job) = (Arc::clone(self), Arc::clone(&work));
        let thread = std::thread::Builder::new().spawn(move || {
            let unit = || correlation::unit_of_work("job", CorrelationId::default(), || hands.settle(&job));
            let count = catch_unwind(AssertUnwindSafe(unit)).unwrap_or(|done| &mut done.lost);
            let mut jobs = hands.jobs();
            // A job that was released after the grace period has already been counted.
            if jobs.held.remove(&lease).is_some() {
                *count(&mut jobs.done) += 1;
            }
            hands.changed.notify_all();
        });
        if let Err(error) = thread {
            tracing::error!("cannot start a thread for the job, releasing it: {error}");
            self.give_back(&work);
            std::thread::sleep(BEAT);
        }
    }

    /// Releases a job that is not settled yet. Returns false if the database did not answer.
    fn give_back(&self, work: &Work) -> bool {
        if work.is_settled.swap(true, Ordering::Relaxed) {
            return true;
        }
        let released = self.worker.db.write(|c| release(c, &work.job));
        work.is_lost.store(true, Ordering::Relaxed);
        let mut jobs = self.jobs();
        if jobs.held.remove(&Lease::from(&work.job)).is_some() {
            match &released {
                Ok(_) => jobs.done.released += 1,
                Err(error) => {
                    tracing::warn!(job = %work.id, "cannot release the job: {error}");
                    jobs.done.lost += 1;
                }
            }
        }
        !released.is_err_and(|error| !error.is_of_row())
    }

    /// Runs the handler and stores the outcome. Returns the counter for that outcome.
    fn settle(&self, work: &Work) -> fn(&mut Done) -> &mut u64 {
        tracing::info!(job = %work.id, job_type = %work.job_type, attempt = work.attempts, "working");
        let result = match catch_unwind(AssertUnwindSafe(|| (self.handler)(work))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(("JobFailed", error)),
            Err(panic) => Err(("Panic", message(&*panic))),
        };
        if work.is_settled.swap(true, Ordering::Relaxed) {
            return |done| &mut done.released;
        }
        let lease = Lease::from(&work.job);
        match result {
            Ok(()) => self.write(work, |c| complete(c, lease), |done| &mut done.completed),
            Err(("JobFailed", _)) if work.should_stop() => {
                self.write(work, |c| release(c, lease), |done| &mut done.released)
            }
            Err((kind, error)) => {
                // PostgreSQL cannot store NUL characters in text.
                let error =
                    if error.trim().is_empty() { kind.to_owned() } else { error.replace('\0', "\u{fffd}") };
                tracing::error!(job = %work.id, "{error}");
                let failure = Failure { backoff: self.worker.backoff, ..Failure::new(&*error) };
                self.write(
                    work,
                    |c| {
                        let job = fail(c, lease, &failure)?;
                        log_error(c, work.job_type.as_str(), kind, &error, None, None)?;
                        Ok(job)
                    },
                    |done| &mut done.failed,
                )
            }
        }
    }

    /// Settles a job, and retries while the database does not answer.
    ///
    /// It gives up after the length of a lease, or after the grace period if the worker is stopping.
    fn write(
        &self,
        work: &Work,
        settle: impl Fn(&mut DbConnection) -> Result<VideoProcessingJob>,
        count: fn(&mut Done) -> &mut u64,
    ) -> fn(&mut Done) -> &mut u64 {
        let mut give_up = Instant::now() + self.worker.claim.length();
        let mut is_stopped = false;
        loop {
            if self.worker.stop.is_stopped() && !is_stopped {
                is_stopped = true;
                give_up = give_up.min(Instant::now() + self.worker.grace);
            }
            match self.worker.db.write(&settle) {
                Ok(job) => {
                    tracing::info!(job = %job.id, status = %job.status, "settled");
                    return count;
                }
                Err(error) => {
                    tracing::warn!(job = %work.id, "{error}");
                    if error.is_of_row() || Instant::now() >= give_up {
                        return |done| &mut done.lost;
                    }
                    std::thread::sleep(BEAT);
                }
            }
        }
    }

    /// Extends all leases after every third of their length.
    pub(super) fn keep_leases(&self) {
        let length = self.worker.claim.length();
        let mut next = Instant::now() + length / 3;
        // Use a dedicated connection, because handlers may occupy all connections of the pool.
        let mut session = None;
        loop {
            let jobs = self.jobs();
            if jobs.is_over {
                return;
            }
            if Instant::now() < next {
                let left = next.saturating_duration_since(Instant::now()).min(BEAT);
                drop(self.changed.wait_timeout(jobs, left).unwrap_or_else(PoisonError::into_inner));
                continue;
            }
            let mut held: Vec<Arc<Work>> = jobs.held.values().map(Arc::clone).collect();
            drop(jobs);
            next = Instant::now() + length / 3;
            if held.is_empty() {
                continue;
            }
            // Everything that changes several jobs does so in the same order, which prevents deadlocks.
            held.sort_unstable_by_key(|work| work.id.0);
            let kept = (|| {
                let session = match &mut session {
                    Some(session) => session,
                    none => none.insert(self.worker.db.session()?),
                };
                let lease_ends = Instant::now() + length;
                session.atomically(|c| {
                    for work in &held {
                        match heartbeat(c, &work.job, length) {
                            Err(Error::LeaseLost { .. }) => work.is_lost.store(true, Ordering::Relaxed),
                            result => drop(result?),
                        }
                    }
                    Ok(())
                })?;
                held.iter().for_each(|work| *work.lease_ends() = lease_ends);
                Ok::<_, Error>(())
            })();
            if let Err(error) = kept {
                let error = error.in_database(self.worker.db.url());
                tracing::warn!("the heartbeat failed, trying again: {error}");
                session = None;
                next = Instant::now() + BEAT;
            }
        }
    }

    /// Waits for running handlers, at most for the grace period.
    pub(super) fn let_finish(&self) {
        let deadline = Instant::now() + self.worker.grace;
        loop {
            let jobs = self.jobs();
            if jobs.held.is_empty() || Instant::now() >= deadline {
                return;
            }
            self.wait_for_a_change(jobs);
        }
    }

    /// Releases the jobs that are still running and ends the heartbeats.
    pub(super) fn release_the_rest(&self) -> Done {
        let mut held: Vec<Arc<Work>> = self.jobs().held.values().map(Arc::clone).collect();
        // Stop at the first job for which the database does not answer. The leases of the remaining jobs just expire.
        let done = held.iter().position(|work| !self.give_back(work)).map_or(held.len(), |failed| failed + 1);
        for work in held.drain(done..).filter(|work| !work.is_settled.swap(true, Ordering::Relaxed)) {
            let mut jobs = self.jobs();
            work.is_lost.store(true, Ordering::Relaxed);
            jobs.done.lost += u64::from(jobs.held.remove(&Lease::from(&work.job)).is_some());
        }
        // The remaining jobs belong to handlers that returned in time. Their threads are still storing the outcome.
        loop {
            let mut jobs = self.jobs();
            if jobs.held.is_empty() {
                jobs.is_over = true;
                self.changed.notify_all();
                return jobs.done;
            }
            self.wait_for_a_change(jobs);
        }
    }
}

/// Empties SQLite's write-ahead log if that is possible without waiting.
fn empty_log(db: &Database) {
    match db.empty_wal() {
        Ok(true) => tracing::debug!("emptied the write-ahead log"),
        Ok(false) => {}
        Err(error) => tracing::debug!("cannot empty the write-ahead log: {error}"),
    }
}

/// Returns the message of a panic.
fn message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "the handler panicked".to_owned(),
    }
}
