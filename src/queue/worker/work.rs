//! A job that a handler is processing.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::queue::Stop;
use crate::republishing::VideoProcessingJob;

/// A job that a handler is processing. It dereferences to [`VideoProcessingJob`].
#[derive(Debug)]
pub struct Work {
    pub(super) job: VideoProcessingJob,
    pub(super) is_lost: AtomicBool,
    /// Set by whichever settles the job first: the thread of its handler, or the worker that releases it.
    pub(super) is_settled: AtomicBool,
    /// When the lease expires by the clock of this process, unless a heartbeat extends it.
    pub(super) lease_ends: Mutex<Instant>,
    pub(super) stop: Stop,
}

impl Work {
    /// Returns true if the handler should end as soon as it can, because the lease is lost or the worker is stopping.
    ///
    /// If the handler returns an error while the worker is stopping, the worker releases the job and the attempt does not
    /// count.
    pub fn should_stop(&self) -> bool {
        self.is_lost() || self.stop.is_stopped()
    }

    /// Returns true if the lease is lost, so that another worker may have the job.
    ///
    /// The lease also counts as lost if no heartbeat has succeeded for its whole length.
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
