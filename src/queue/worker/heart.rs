//! Extends the leases of the jobs that a worker holds.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use super::shared::{BEAT, Shared};
use super::work::Work;
use crate::Error;
use crate::queue::Lease;
use crate::queue::batch::{Change, change_many};

/// Extends all leases after every third of their length, until the worker is over.
pub(super) fn beat_until_over(shared: &Shared) {
    let length = shared.worker.claim.length();
    let mut next = Instant::now() + length / 3;
    // Use a dedicated connection, because handlers may occupy all connections of the pool.
    let mut session = None;
    loop {
        let jobs = shared.jobs();
        if jobs.is_over {
            return;
        }
        if Instant::now() < next {
            let left = next.saturating_duration_since(Instant::now()).min(BEAT);
            drop(shared.wait(&shared.changed, jobs, left));
            continue;
        }
        let held: Vec<(Lease, Arc<Work>)> =
            jobs.held.iter().map(|(lease, work)| (*lease, Arc::clone(work))).collect();
        drop(jobs);
        next = Instant::now() + length / 3;
        if held.is_empty() {
            continue;
        }
        let kept = (|| {
            let session = match &mut session {
                Some(session) => session,
                none => none.insert(shared.worker.db.session()?),
            };
            let lease_ends = Instant::now() + length;
            let lost = change_many(session, held.iter().map(|(lease, _)| *lease), Change::extend(length))?;
            let lost: HashSet<Lease> = lost.into_iter().collect();
            for (lease, work) in &held {
                if lost.contains(lease) { work.lose() } else { *work.lease_ends() = lease_ends }
            }
            Ok::<_, Error>(())
        })();
        if let Err(error) = kept {
            let error = error.in_database(shared.worker.db.url());
            tracing::warn!("the heartbeat failed, trying again: {error}");
            session = None;
            next = Instant::now() + BEAT;
        }
    }
}
