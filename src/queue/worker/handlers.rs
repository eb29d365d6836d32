//! The handlers of a worker, one for each job type.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use super::outcome::JobError;
use super::work::Work;
use crate::republishing::JobType;

pub(super) type Handler = dyn Fn(&Work) -> Result<(), JobError> + Send + Sync;

/// One handler for each job type.
#[derive(Clone, Default)]
pub(super) struct Handlers(BTreeMap<JobType, Arc<Handler>>);

impl Handlers {
    /// Adds a handler, which replaces an earlier one for the same type.
    pub(super) fn add(&mut self, job_type: JobType, handler: Arc<Handler>) {
        self.0.insert(job_type, handler);
    }

    pub(super) fn types(&self) -> impl Iterator<Item = JobType> {
        self.0.keys().copied()
    }

    pub(super) fn handles(&self, job_type: JobType) -> bool {
        self.0.contains_key(&job_type)
    }

    /// Runs the handler for the type of the job.
    pub(super) fn run(&self, work: &Work) -> Result<(), JobError> {
        match self.0.get(&work.job_type) {
            Some(handler) => handler(work),
            // The worker claims only the types that it handles.
            None => Err(JobError::Retry(format!("this worker has no handler for {} jobs", work.job_type))),
        }
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}
