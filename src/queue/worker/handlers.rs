//! The handlers of a worker, one for each job type.

use std::collections::BTreeMap;
use std::fmt;
#[cfg(feature = "async")]
use std::pin::Pin;
use std::sync::Arc;

use super::outcome::JobError;
use super::work::Work;
use crate::republishing::JobType;

pub(super) type BlockingHandler = dyn Fn(&Work) -> Result<(), JobError> + Send + Sync;

#[cfg(feature = "async")]
pub(super) type AsyncHandler = dyn Fn(Arc<Work>) -> JobFuture + Send + Sync;

/// The future of one attempt.
#[cfg(feature = "async")]
pub(super) type JobFuture = Pin<Box<dyn Future<Output = Result<(), JobError>> + Send>>;

/// A handler. Cloning it is cheap.
#[derive(Clone)]
pub(super) enum Handler {
    Blocking(Arc<BlockingHandler>),
    #[cfg(feature = "async")]
    Async(Arc<AsyncHandler>),
}

/// One handler for all jobs, or one for each job type.
#[derive(Clone, Default)]
pub(super) struct Handlers {
    of_all: Option<Handler>,
    by_type: BTreeMap<JobType, Handler>,
}

impl Handlers {
    /// Uses the same handler for all jobs.
    pub(super) const fn all(handler: Handler) -> Self {
        Self { of_all: Some(handler), by_type: BTreeMap::new() }
    }

    /// Adds a handler, which replaces an earlier one for the same type.
    pub(super) fn add(&mut self, job_type: JobType, handler: Handler) {
        self.by_type.insert(job_type, handler);
    }

    pub(super) fn types(&self) -> impl Iterator<Item = JobType> {
        self.by_type.keys().copied()
    }

    /// Returns the handler for a type of job.
    pub(super) fn get(&self, job_type: JobType) -> Option<&Handler> {
        self.of_all.as_ref().or_else(|| self.by_type.get(&job_type))
    }

    /// Runs the handler of the job on this thread.
    pub(super) fn run_blocking(&self, work: &Work) -> Result<(), JobError> {
        match self.get(work.job_type) {
            Some(Handler::Blocking(handler)) => handler(work),
            // The worker claims only the types that it handles.
            _ => Err(Self::missing(work)),
        }
    }

    /// Returns the error for a job that has no suitable handler.
    pub(super) fn missing(work: &Work) -> JobError {
        JobError::Retry(format!("this worker has no handler for {} jobs", work.job_type))
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.by_type.keys()).finish()
    }
}
