//! Stores how jobs ended.
//!
//! Outcomes that arrive while the previous ones are being stored go into one transaction. A job that ends alone is stored at
//! once.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use super::outcome::{JobOutcome, Outcome, Settled};
use super::shared::{BEAT, Finished, Shared};
use crate::queue::batch::{Change, change_many};
use crate::queue::{Failure, Lease, fail, snooze};
use crate::{DbConnection, Error, Result, correlation, log_error};

/// Maximum number of outcomes in one transaction.
const MOST: usize = 1_024;

/// How long outcomes wait for each other while short jobs are waiting for a hand.
const LINGER: Duration = Duration::from_millis(2);

/// Stores outcomes until the worker is over.
pub(super) fn settle_until_over(shared: &Shared) {
    let mut jobs = shared.jobs();
    while !jobs.is_over {
        if jobs.finished.is_empty() {
            jobs = shared.wait_long(&shared.finished, jobs);
            continue;
        }
        let enough = jobs.ahead() as usize / 2;
        if jobs.finished.len() < enough && !jobs.buffer.is_empty() {
            drop(jobs);
            std::thread::sleep(LINGER);
            jobs = shared.jobs();
        }
        let most = jobs.finished.len().min(MOST);
        let batch: Vec<Finished> = jobs.finished.drain(..most).collect();
        drop(jobs);
        store(shared, batch);
        jobs = shared.jobs();
    }
}

/// Stores outcomes, those of one kind in one transaction.
fn store(shared: &Shared, batch: Vec<Finished>) {
    let (mut completed, mut released, mut others) = (Vec::new(), Vec::new(), Vec::new());
    for finished in batch {
        match finished.outcome {
            Outcome::Completed => completed.push(finished),
            Outcome::Released => released.push(finished),
            Outcome::Failed { .. } | Outcome::Snoozed(_) => others.push(finished),
            Outcome::Lost => shared.settled(&[finished], &HashSet::new()),
        }
    }
    // Everything that changes several jobs does so in the same order, which prevents deadlocks.
    others.sort_unstable_by_key(|finished| finished.work.id);
    let all = |change: Change| {
        move |c: &mut DbConnection, batch: &[Finished]| {
            change_many(c, batch.iter().map(Finished::lease), change)
        }
    };
    store_all(shared, completed, &all(Change::Complete));
    store_all(shared, released, &all(Change::Release));
    store_all(shared, others, &|c, batch| {
        let mut lost = Vec::new();
        for finished in batch {
            match finished.store(c, shared) {
                Err(Error::LeaseLost { .. }) => lost.push(finished.lease()),
                stored => stored?,
            }
        }
        Ok(lost)
    });
}

/// Stores outcomes and returns the lost leases.
type Write<'a> = dyn Fn(&mut DbConnection, &[Finished]) -> Result<Vec<Lease>> + 'a;

/// Stores outcomes in one transaction, and retries while the database does not answer.
///
/// A job is given up after the length of a lease, or after the grace period if the worker is stopping. If the database
/// refuses an outcome, each is stored by itself, so that one does not prevent the others.
fn store_all(shared: &Shared, mut batch: Vec<Finished>, write: &Write<'_>) {
    while !batch.is_empty() {
        let turn = shared.turn();
        let written = shared.worker.db.write(|c| write(c, &batch));
        drop(turn);
        match written {
            Ok(lost) => return shared.settled(&batch, &lost.into_iter().collect()),
            Err(error) if error.is_of_row() && batch.len() > 1 => {
                batch.into_iter().for_each(|finished| store_all(shared, vec![finished], write));
                return;
            }
            Err(error) => {
                tracing::warn!(job = %batch[0].work.id, jobs = batch.len(), "cannot store how jobs ended: {error}");
                let now = Instant::now();
                let stopped = shared.jobs().stopped;
                let gives_up = |finished: &Finished| {
                    let end = finished.since + shared.worker.claim.length();
                    error.is_of_row()
                        || now >= stopped.map_or(end, |stopped| end.min(stopped + shared.worker.grace))
                };
                let (lost, left): (Vec<_>, Vec<_>) = batch.into_iter().partition(gives_up);
                shared.settled(&lost, &lost.iter().map(Finished::lease).collect());
                batch = left;
                if !batch.is_empty() {
                    std::thread::sleep(BEAT);
                }
            }
        }
    }
}

impl Finished {
    fn lease(&self) -> Lease {
        Lease::from(&self.work.job)
    }

    /// Returns what the program is told about the job.
    fn settled(&self, outcome: JobOutcome) -> Settled<'_> {
        let job = &self.work.job;
        let (error, is_over) = match (&self.outcome, outcome) {
            (Outcome::Failed { error, is_final, .. }, JobOutcome::Failed) => {
                (Some(error.as_str()), *is_final || job.attempts >= job.max_attempts)
            }
            (_, outcome) => (None, matches!(outcome, JobOutcome::Completed | JobOutcome::Lost)),
        };
        let took = self.since.saturating_duration_since(self.work.since);
        Settled { job, outcome, error, is_due_again: !is_over, took }
    }

    /// Stores a failure, or queues the job again.
    fn store(&self, conn: &mut DbConnection, shared: &Shared) -> Result<()> {
        let lease = self.lease();
        match &self.outcome {
            Outcome::Snoozed(wait) => snooze(conn, lease, *wait).map(drop),
            Outcome::Failed { kind, error, is_final } => {
                let failure = Failure {
                    backoff: shared.worker.backoff,
                    retry_after: shared.worker.policies.retry_after(&self.work),
                    is_final: *is_final,
                    ..Failure::new(error.as_str())
                };
                fail(conn, lease, &failure)?;
                let module = self.work.job_type.as_str();
                correlation::within(Some(self.work.correlation_id), || {
                    log_error(conn, module, kind, error, None, None).map(drop)
                })
            }
            Outcome::Completed | Outcome::Released | Outcome::Lost => Ok(()),
        }
    }
}

impl Shared {
    /// Counts jobs whose outcome is stored, or whose lease is lost, and forgets them.
    fn settled(&self, batch: &[Finished], lost: &HashSet<Lease>) {
        self.worker.counters.settled(batch.iter().map(|finished| {
            let is_lost = lost.contains(&finished.lease());
            (&*finished.work, (!is_lost).then_some(&finished.outcome))
        }));
        let mut jobs = self.jobs();
        let mut settled = Vec::new();
        for finished in batch {
            let lease = finished.lease();
            let Some(work) = jobs.held.remove(&lease) else { continue };
            jobs.limited.settled(&work);
            let done = &mut jobs.done;
            let (outcome, count) = match &finished.outcome {
                Outcome::Lost => (JobOutcome::Lost, &mut done.lost),
                _ if lost.contains(&lease) => {
                    work.lose();
                    (JobOutcome::Lost, &mut done.lost)
                }
                Outcome::Completed => (JobOutcome::Completed, &mut done.completed),
                Outcome::Failed { .. } => (JobOutcome::Failed, &mut done.failed),
                Outcome::Snoozed(_) => (JobOutcome::Snoozed, &mut done.snoozed),
                Outcome::Released => (JobOutcome::Released, &mut done.released),
            };
            *count += 1;
            settled.push((finished, outcome));
            if tracing::enabled!(tracing::Level::INFO) {
                correlation::unit_of_work("job", work.correlation_id, || {
                    tracing::info!(job = %work.id, status = %outcome.as_str(), "settled");
                });
            }
        }
        drop(jobs);
        if let Some(told) = &self.worker.on_settled.0 {
            settled.into_iter().for_each(|(finished, outcome)| told(&finished.settled(outcome)));
        }
        self.changed.notify_all();
    }
}
