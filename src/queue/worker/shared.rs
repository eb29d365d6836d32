//! The state that the threads of a worker share: the jobs that it holds, from claim to settlement.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::handlers::Handlers;
use super::limited::LimitedJobs;
use super::outcome::Outcome;
use super::pace::Pace;
#[cfg(feature = "async")]
use super::runtime::Runtime;
use super::work::Work;
use super::{Done, Worker};
use crate::queue::Lease;
use crate::queue::limit::return_slots;

/// How often a waiting thread checks whether the worker should stop, and how long it waits before it retries a database
/// that did not answer.
pub(super) const BEAT: Duration = Duration::from_millis(100);

/// How long the futures that are dropped after the grace period may take to end.
#[cfg(feature = "async")]
const DROP: Duration = Duration::from_secs(1);

/// A worker, its handlers, and the state that its threads share.
///
/// A job passes from the thread that claims ([`claims`](super::claims)) to a hand that runs its handler
/// ([`hands`](super::hands)), and from there to the thread that stores the outcomes ([`settle`](super::settle)).
pub(super) struct Shared {
    pub(super) worker: Worker,
    pub(super) handlers: Handlers,
    /// The runtime for the handlers, if they do not run on threads of the worker.
    #[cfg(feature = "async")]
    pub(super) runtime: Option<Runtime>,
    jobs: Mutex<Jobs>,
    /// Wakes a hand: a job is waiting for it, or the worker is over.
    pub(super) work: Condvar,
    /// Wakes the thread that stores outcomes.
    pub(super) finished: Condvar,
    /// Wakes the threads that claim, extend leases, or wait for the end.
    pub(super) changed: Condvar,
    /// On SQLite, the turn of the thread that writes. Without it, claims and settlements would wait for each other with the
    /// long pauses that are meant for independent writers.
    turn: Option<Mutex<()>>,
}

#[derive(Default)]
pub(super) struct Jobs {
    /// Keyed by lease, not by job: a failed attempt may still be in the map when the worker claims the next attempt.
    pub(super) held: HashMap<Lease, Arc<Work>>,
    /// Claimed jobs that wait for a hand, and when they were claimed.
    pub(super) buffer: VecDeque<(Instant, Arc<Work>)>,
    /// Jobs whose outcome is not stored yet.
    pub(super) finished: Vec<Finished>,
    /// How many handlers run.
    pub(super) running: u32,
    /// How many handlers may run, and how many threads or tasks there are for them, running or waiting.
    pub(super) most: u32,
    pub(super) threads: u32,
    /// Whether the thread that claims waits for a free hand.
    pub(super) is_full: bool,
    /// How many jobs to claim ahead, if the program has said so.
    pub(super) prefetch: Option<u32>,
    pub(super) pace: Pace,
    /// What the worker knows about the numbers of jobs that it shares with others.
    pub(super) limited: LimitedJobs,
    pub(super) done: Done,
    /// When the worker was told to stop.
    pub(super) stopped: Option<Instant>,
    pub(super) is_over: bool,
}

/// A job whose handler has returned, or which is released without one.
pub(super) struct Finished {
    pub(super) work: Arc<Work>,
    pub(super) outcome: Outcome,
    pub(super) since: Instant,
}

impl Jobs {
    /// Returns how many jobs to claim ahead of the free hands.
    pub(super) fn ahead(&self) -> u32 {
        self.prefetch.unwrap_or_else(|| self.pace.ahead(self.most))
    }

    /// Returns how many jobs to claim now: for the free hands and for the buffer.
    ///
    /// The buffer is refilled once half of it is used, so that claims are few and large.
    pub(super) fn wants(&self) -> u32 {
        let ahead = self.ahead();
        let claimed = self.running + self.buffer.len() as u32;
        let wanted = (self.most + ahead).saturating_sub(claimed);
        if claimed < self.most || wanted > ahead / 2 { wanted } else { 0 }
    }

    /// Takes the first job out of the buffer whose handler may start.
    pub(super) fn next(&mut self) -> Option<Arc<Work>> {
        if self.limited.is_empty() {
            return self.buffer.pop_front().map(|(_, work)| work);
        }
        let first = self.buffer.iter().position(|(_, work)| self.limited.may_start(work))?;
        self.buffer.remove(first).map(|(_, work)| work)
    }

    /// Counts a job whose handler starts.
    pub(super) fn start(&mut self, work: &Work) {
        work.set_running(true);
        self.running += 1;
        self.limited.started(work);
    }

    /// Counts a job whose handler has returned.
    pub(super) fn end(&mut self, work: &Work) {
        work.set_running(false);
        self.running -= 1;
        self.limited.ended(work);
    }
}

impl Shared {
    pub(super) fn new(worker: Worker, handlers: Handlers, most: u32) -> Self {
        let turn = worker.db.writes_in_turns().then(Mutex::default);
        let jobs = Mutex::new(Jobs { most, prefetch: worker.prefetch, ..Jobs::default() });
        let [work, finished, changed] = [Condvar::new(), Condvar::new(), Condvar::new()];
        Self {
            worker,
            handlers,
            #[cfg(feature = "async")]
            runtime: None,
            jobs,
            work,
            finished,
            changed,
            turn,
        }
    }

    pub(super) fn jobs(&self) -> MutexGuard<'_, Jobs> {
        // The counters and the map stay consistent after a panic, so a poisoned lock can be used.
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until `condition` is signaled, at most for `timeout`.
    pub(super) fn wait<'a>(
        &self,
        condition: &Condvar,
        jobs: MutexGuard<'a, Jobs>,
        timeout: Duration,
    ) -> MutexGuard<'a, Jobs> {
        condition.wait_timeout(jobs, timeout).unwrap_or_else(PoisonError::into_inner).0
    }

    /// Waits until `condition` is signaled.
    pub(super) fn wait_long<'a>(
        &self,
        condition: &Condvar,
        jobs: MutexGuard<'a, Jobs>,
    ) -> MutexGuard<'a, Jobs> {
        condition.wait(jobs).unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the turn to write. On PostgreSQL, claims and settlements do not wait for each other.
    pub(super) fn turn(&self) -> Option<MutexGuard<'_, ()>> {
        self.turn.as_ref().map(|turn| turn.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Passes a job to the thread that stores outcomes, unless somebody else has done so.
    pub(super) fn finish(&self, jobs: &mut Jobs, work: Arc<Work>, outcome: Outcome) {
        if work.settle() {
            jobs.finished.push(Finished { work, outcome, since: Instant::now() });
            self.finished.notify_one();
        }
    }

    /// Releases the jobs that wait for a hand.
    pub(super) fn release_buffered(&self, jobs: &mut Jobs) {
        for (_, work) in std::mem::take(&mut jobs.buffer) {
            self.finish(jobs, work, Outcome::Released);
        }
    }

    /// Gives back the worker's share of the limits. Otherwise others would have to wait until it expires.
    pub(super) fn return_slots(&self) {
        let (has_slots, holder) = {
            let jobs = self.jobs();
            (jobs.limited.has_slots(), jobs.limited.holder)
        };
        if has_slots && let Err(error) = self.worker.db.write(|c| return_slots(c, holder)) {
            tracing::warn!("cannot give back the share of the limits, it expires later: {error}");
        }
    }

    /// Waits for running handlers, at most for the grace period. Then releases the jobs that are still running, and waits
    /// until every outcome is stored or given up.
    pub(super) fn close(&self) -> Done {
        let mut jobs = self.jobs();
        let deadline = *jobs.stopped.get_or_insert_with(Instant::now) + self.worker.grace;
        self.release_buffered(&mut jobs);
        while !jobs.held.is_empty() && Instant::now() < deadline {
            jobs = self.wait(&self.changed, jobs, BEAT);
        }
        #[cfg(feature = "async")]
        if let Some(runtime) = &self.runtime {
            // Drop the futures that still run before their jobs are released. One that blocks its thread cannot be dropped.
            runtime.abort();
            let deadline = Instant::now() + DROP;
            while jobs.running > 0 && Instant::now() < deadline {
                jobs = self.wait(&self.changed, jobs, BEAT);
            }
        }
        let held: Vec<Arc<Work>> = jobs.held.values().map(Arc::clone).collect();
        for work in held {
            if !work.is_settled() {
                work.lose();
                self.finish(&mut jobs, work, Outcome::Released);
            }
        }
        while !jobs.held.is_empty() {
            jobs = self.wait(&self.changed, jobs, BEAT);
        }
        jobs.is_over = true;
        self.work.notify_all();
        self.finished.notify_all();
        self.changed.notify_all();
        jobs.done
    }
}
