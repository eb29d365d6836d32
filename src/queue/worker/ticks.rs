//! Enqueues the jobs of schedules, in the thread of a worker that claims.

use std::time::Instant;

#[cfg(feature = "schedules")]
use std::time::Duration;

#[cfg(feature = "schedules")]
use super::shared::BEAT;
use super::shared::Shared;
#[cfg(feature = "schedules")]
use crate::{Result, queue};

/// How often a worker reads when the next schedule is due. Another program may have added one.
#[cfg(feature = "schedules")]
const LOOK: Duration = Duration::from_secs(2);

/// When a worker enqueues the jobs of schedules. Without the feature `schedules`, it never does.
pub(super) struct Ticks {
    /// When a schedule is due, as far as the worker knows.
    #[cfg(feature = "schedules")]
    due: Option<Instant>,
    #[cfg(feature = "schedules")]
    look: Instant,
}

#[cfg(feature = "schedules")]
impl Ticks {
    pub(super) fn new() -> Self {
        // Claim jobs first: they are already waiting.
        Self { due: None, look: Instant::now() + BEAT * 3 }
    }

    /// Enqueues the jobs of the schedules that are due. Does nothing until then, except that it reads when that is.
    pub(super) fn run(&mut self, shared: &Shared) {
        let now = Instant::now();
        let is_due = self.due.is_some_and(|due| due <= now);
        if !is_due && now < self.look {
            return;
        }
        self.look = now + LOOK;
        if let Err(error) = self.tick(shared, is_due) {
            let error = error.in_database(shared.worker.db.url());
            tracing::warn!("cannot enqueue the jobs of schedules, trying again: {error}");
            self.due = None;
        }
    }

    fn tick(&mut self, shared: &Shared, is_due: bool) -> Result<()> {
        let db = &shared.worker.db;
        let mut pause = Duration::ZERO;
        if is_due {
            let turn = shared.turn();
            let ticked = db.write(queue::tick)?;
            drop(turn);
            match ticked.schedules {
                0 => pause = BEAT, // another worker has locked the schedules that are due
                schedules => {
                    tracing::debug!(schedules, jobs = ticked.enqueued, "enqueued the jobs of schedules");
                }
            }
        }
        let next = db.read_newest(queue::next_tick)?;
        self.due = next.and_then(|wait| Instant::now().checked_add(wait.max(pause)));
        Ok(())
    }

    /// Returns the time until which the worker may wait for jobs: `at`, or when a schedule is due if that is sooner.
    pub(super) fn before(&self, at: Instant) -> Instant {
        self.due.map_or(at, |due| due.min(at))
    }
}

#[cfg(not(feature = "schedules"))]
impl Ticks {
    pub(super) const fn new() -> Self {
        Self {}
    }

    pub(super) const fn run(&mut self, _: &Shared) {}

    pub(super) const fn before(&self, at: Instant) -> Instant {
        at
    }
}
