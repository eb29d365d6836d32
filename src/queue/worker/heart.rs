//! Extends the leases of the jobs that a worker holds, and watches the handlers that run.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::outcome::Outcome;
use super::shared::{BEAT, Jobs, Shared};
use super::work::Work;
use crate::db::Session;
use crate::queue::Lease;
use crate::queue::admin::held_by;
use crate::queue::batch::{Change, change_many};
use crate::queue::limit::renew_slots;
use crate::queue::progress::{Progress, report_many};
use crate::{Error, Result};

/// How often the worker stores the progress of running handlers, and checks whether their jobs were canceled.
const WATCH: Duration = Duration::from_secs(1);

/// Extends all leases after every third of their length, and watches the running handlers, until the worker is over.
pub(super) fn beat_until_over(shared: &Shared) {
    let mut heart = Heart {
        session: None,
        beat_at: Instant::now() + shared.worker.claim.length() / 3,
        watch_at: Instant::now() + WATCH,
    };
    loop {
        let mut jobs = shared.jobs();
        if jobs.is_over {
            return;
        }
        if shared.worker.policies.have_timeouts() {
            shared.end_late(&mut jobs);
        }
        let next = heart.beat_at.min(heart.watch_at);
        if Instant::now() < next {
            let left = next.saturating_duration_since(Instant::now()).min(BEAT);
            drop(shared.wait(&shared.changed, jobs, left));
            continue;
        }
        let held: Vec<(Lease, Arc<Work>)> =
            jobs.held.iter().map(|(lease, work)| (*lease, Arc::clone(work))).collect();
        let has_slots = jobs.limited.has_slots();
        drop(jobs);
        heart.watch(shared, &held);
        heart.beat(shared, &held, has_slots);
    }
}

/// What the thread keeps from one heartbeat to the next.
struct Heart {
    /// A connection of its own, because handlers may occupy all connections of the pool.
    session: Option<Session>,
    beat_at: Instant,
    watch_at: Instant,
}

impl Heart {
    /// Extends the leases and the share of the limits.
    fn beat(&mut self, shared: &Shared, held: &[(Lease, Arc<Work>)], has_slots: bool) {
        if Instant::now() < self.beat_at {
            return;
        }
        let length = shared.worker.claim.length();
        self.beat_at = Instant::now() + length / 3;
        if held.is_empty() && !has_slots {
            return;
        }
        let kept = self.with_session(shared, |session| {
            let lease_ends = Instant::now() + length;
            let lost = change_many(session, held.iter().map(|(lease, _)| *lease), Change::extend(length))?;
            let lost: HashSet<Lease> = lost.into_iter().collect();
            for (lease, work) in held {
                if lost.contains(lease) { work.lose() } else { *work.lease_ends() = lease_ends }
            }
            if has_slots {
                let holder = shared.jobs().limited.holder;
                renew_slots(session, holder, length)?;
            }
            Ok(())
        });
        if !kept {
            self.beat_at = Instant::now() + BEAT;
        }
    }

    /// Stores the progress of the running handlers, and tells those whose job was canceled.
    fn watch(&mut self, shared: &Shared, held: &[(Lease, Arc<Work>)]) {
        if Instant::now() < self.watch_at {
            return;
        }
        self.watch_at = Instant::now() + WATCH;
        let running: HashMap<Lease, &Work> = held
            .iter()
            .filter(|(_, work)| work.runs_for() > Some(WATCH))
            .map(|(lease, work)| (*lease, &**work))
            .collect();
        let reports: Vec<(Lease, Progress)> =
            held.iter().filter_map(|(lease, work)| Some((*lease, work.take_progress()?))).collect();
        if running.is_empty() && reports.is_empty() {
            return;
        }
        self.with_session(shared, |session| {
            if !reports.is_empty() {
                report_many(session, &reports)?;
            }
            let still = held_by(session, running.keys())?;
            for (lease, work) in running {
                match still.get(&lease.job) {
                    Some(now) if now.token == lease.token => {}
                    Some(now) if now.is_canceled => work.cancel(),
                    _ => work.lose(),
                }
            }
            Ok(())
        });
    }

    /// Runs `work` with the connection. Returns false if it failed.
    fn with_session(&mut self, shared: &Shared, work: impl FnOnce(&mut Session) -> Result<()>) -> bool {
        let done = (|| {
            let session = match &mut self.session {
                Some(session) => session,
                none => none.insert(shared.worker.db.session()?),
            };
            work(session)
        })();
        if let Err(error) = done {
            let error: Error = error.in_database(shared.worker.db.url());
            tracing::warn!("the heartbeat failed, trying again: {error}");
            self.session = None;
            return false;
        }
        true
    }
}

impl Shared {
    /// Fails the jobs whose handler takes longer than its timeout.
    fn end_late(&self, jobs: &mut Jobs) {
        let late: Vec<(Arc<Work>, Duration)> = jobs
            .held
            .values()
            .filter(|work| !work.is_settled())
            .filter_map(|work| {
                let timeout = self.worker.policies.timeout(work)?;
                (work.runs_for()? > timeout).then(|| (Arc::clone(work), timeout))
            })
            .collect();
        for (work, timeout) in late {
            tracing::error!(job = %work.id, "the handler took longer than {timeout:?}");
            work.time_out();
            self.finish(jobs, work, Outcome::late(timeout));
        }
    }
}
