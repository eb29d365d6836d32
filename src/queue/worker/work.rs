//! A job that a handler is processing.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use serde::de::DeserializeOwned;

use super::outcome::JobError;
use crate::queue::Stop;
use crate::republishing::VideoProcessingJob;

/// A job that a handler is processing. It dereferences to [`VideoProcessingJob`].
#[derive(Debug)]
pub struct Work {
    pub(super) job: VideoProcessingJob,
    is_lost: AtomicBool,
    /// Set by whichever settles the job first: the thread of its handler, or the worker that releases it.
    is_settled: AtomicBool,
    /// When the lease expires by the clock of this process, unless a heartbeat extends it.
    lease_ends: Mutex<Instant>,
    stop: Stop,
}

impl Work {
    /// Returns true if the handler should end as soon as it can, because the lease is lost or the worker is stopping.
    ///
    /// If the handler returns an error while the worker is stopping, the worker releases the job and the attempt does not
    /// count.
    pub fn should_stop(&self) -> bool {
        self.is_lost() || self.stop.is_stopped()
    }

    /// Reads the data that the job carries. A job without data is read as JSON's null: for `Option<P>` it is `None`.
    ///
    /// # Errors
    /// [`JobError::Discard`] if the data is not a `P`, because it will not be one in the next attempt either.
    pub fn payload<P: DeserializeOwned>(&self) -> Result<P, JobError> {
        let payload = self.job.payload.as_ref().map_or(&serde_json::Value::Null, |payload| &payload.0);
        P::deserialize(payload).map_err(|error| JobError::Discard(format!("invalid payload: {error}")))
    }

    /// Returns true if the lease is lost, so that another worker may have the job.
    ///
    /// The lease also counts as lost if no heartbeat has succeeded for its whole length.
    pub fn is_lost(&self) -> bool {
        self.is_lost.load(Ordering::Relaxed) || Instant::now() >= *self.lease_ends()
    }

    pub(super) fn new(job: VideoProcessingJob, lease_ends: Instant, stop: Stop) -> Self {
        Self { job, is_lost: false.into(), is_settled: false.into(), lease_ends: lease_ends.into(), stop }
    }

    /// Marks the job as settled. Returns false if it already was.
    pub(super) fn settle(&self) -> bool {
        !self.is_settled.swap(true, Ordering::Relaxed)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.is_settled.load(Ordering::Relaxed)
    }

    /// Marks the lease as lost.
    pub(super) fn lose(&self) {
        self.is_lost.store(true, Ordering::Relaxed);
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
