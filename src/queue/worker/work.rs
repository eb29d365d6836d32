//! A job in a handler's hands.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::queue::Stop;
use crate::republishing::VideoProcessingJob;

/// A job in a handler's hands. It is used as a [`VideoProcessingJob`].
#[derive(Debug)]
pub struct Work {
    pub(super) job: VideoProcessingJob,
    pub(super) is_lost: AtomicBool,
    /// Set by what settles it first: the thread of its handler, or the worker that gives it back.
    pub(super) is_settled: AtomicBool,
    /// When the lease ends unless a heartbeat extends it, by our own clock.
    pub(super) lease_ends: Mutex<Instant>,
    pub(super) stop: Stop,
}

impl Work {
    /// Whether the handler should end as soon as it can: the lease is lost, or the worker is to stop. An error
    /// that it returns then gives the job back, and the attempt does not count.
    pub fn should_stop(&self) -> bool {
        self.is_lost() || self.stop.is_stopped()
    }

    /// Whether the lease is lost: somebody else may have the job. It is, too, when no heartbeat has got
    /// through for as long as it is.
    pub fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed) || Instant::now() >= *self.lease_ends()
    }

    pub(super) fn lease_ends(&self) -> MutexGuard<'_, Instant> {
        self.lease_ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Work {
    type Target = VideoProcessingJob;

    fn deref(&self) -> &VideoProcessingJob {
        &self.job
    }
}
