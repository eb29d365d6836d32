//! How a worker treats the jobs of one type.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::republishing::{JobType, VideoProcessingJob};

/// How a worker treats the jobs of one type, for [`Worker::policy`](super::Worker::policy).
///
/// ```
/// use std::time::Duration;
/// use viraldb::queue::{Claim, Policy, Worker};
/// use viraldb::republishing::JobType;
///
/// # fn main() -> viraldb::Result<()> {
/// let db = viraldb::Database::open("sqlite::memory:")?;
/// let minutes = |minutes: u64| Duration::from_secs(60 * minutes);
/// let worker = Worker::new(&db, Claim::new("worker-1"))
///     .policy(JobType::Download, Policy::new().timeout(minutes(10)).retry_after([1, 5, 60].map(minutes)));
/// # Ok(())
/// # }
/// ```
///
/// How many jobs of a type all workers run concurrently, and how many they start within a minute or a day, is a matter of the
/// settings, because all workers share these limits: see [`Worker`](super::Worker#limits).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Policy {
    pub(super) timeout: Option<Duration>,
    retry_after: Vec<Duration>,
}

impl Policy {
    /// Creates a policy without a timeout and with the backoff of the worker.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets how long the handler may take. After that the attempt fails, and [`Work::should_stop`](super::Work::should_stop)
    /// returns true.
    ///
    /// A future is dropped then. A thread cannot be ended from outside, so a handler that does not stop keeps its thread.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how long a job waits after each failed attempt, instead of the worker's backoff. The last one counts for all
    /// further attempts.
    #[must_use]
    pub fn retry_after(mut self, waits: impl IntoIterator<Item = Duration>) -> Self {
        self.retry_after = waits.into_iter().collect();
        self
    }
}

/// The policies of a worker, one for each job type.
#[derive(Debug, Clone, Default)]
pub(super) struct Policies(BTreeMap<JobType, Policy>);

impl Policies {
    pub(super) fn set(&mut self, job_type: JobType, policy: Policy) {
        self.0.insert(job_type, policy);
    }

    /// Returns true if a handler of any type has a timeout.
    pub(super) fn have_timeouts(&self) -> bool {
        self.0.values().any(|policy| policy.timeout.is_some())
    }

    pub(super) fn timeout(&self, job: &VideoProcessingJob) -> Option<Duration> {
        self.0.get(&job.job_type)?.timeout
    }

    /// Returns how long the job waits after this attempt, if its policy says so.
    pub(super) fn retry_after(&self, job: &VideoProcessingJob) -> Option<Duration> {
        let waits = &self.0.get(&job.job_type)?.retry_after;
        let attempt = usize::try_from(job.attempts.max(1)).unwrap_or(1);
        waits.get(attempt - 1).or(waits.last()).copied()
    }
}
