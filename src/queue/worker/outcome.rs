//! How a job ended.

use std::fmt::{self, Display};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::republishing::VideoProcessingJob;

/// Why a handler did not finish its job, and what happens to the job.
///
/// Everything that can be displayed converts into [`JobError::Retry`], so that `?` works in handlers.
///
/// ```
/// use std::time::Duration;
/// use viraldb::queue::JobError;
///
/// fn download(status: u16) -> Result<(), JobError> {
///     let body = std::fs::read("video.mp4")?; // retried
///     match status {
///         404 => Err(JobError::Discard("the video was deleted".to_owned())),
///         429 => Err(JobError::Snooze(Duration::from_secs(600))),
///         _ => Ok(drop(body)),
///     }
/// }
/// assert!(matches!(download(200), Err(JobError::Retry(_))));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum JobError {
    /// The attempt failed. The job is retried after the backoff, until its attempts are used up.
    Retry(String),
    /// The job can never succeed. It fails now, whatever attempts are left.
    Discard(String),
    /// The job cannot be done yet. It is queued again and due after this time; the attempt does not count.
    Snooze(Duration),
}

impl<E: Display> From<E> for JobError {
    fn from(error: E) -> Self {
        Self::Retry(error.to_string())
    }
}

/// A job whose outcome a worker has stored, for [`Worker::on_settled`](super::Worker::on_settled).
#[derive(Debug)]
#[non_exhaustive]
pub struct Settled<'a> {
    /// The job as it was claimed.
    pub job: &'a VideoProcessingJob,
    /// How the attempt ended.
    pub outcome: JobOutcome,
    /// Why the attempt failed.
    pub error: Option<&'a str>,
    /// Whether the job is due again later.
    pub is_due_again: bool,
    /// Time from the claim until the handler returned.
    pub took: Duration,
}

/// How the attempt of a worker ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobOutcome {
    /// The handler returned `Ok`.
    Completed,
    /// The handler returned an error or panicked.
    Failed,
    /// The handler returned [`JobError::Snooze`].
    Snoozed,
    /// The worker stopped, or the job waited too long for a hand.
    Released,
    /// The lease was lost before the outcome was stored.
    Lost,
}

impl JobOutcome {
    /// Returns the word for the outcome.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Completed => "completed",
            Self::Failed => "failed",
            Self::Snoozed => "snoozed",
            Self::Released => "released",
            Self::Lost => "lost",
        }
    }
}

/// A function that is told about a settled job.
type SettledFn = dyn Fn(&Settled<'_>) + Send + Sync;

/// The function that is called for each job after its outcome is stored.
#[derive(Clone, Default)]
pub(super) struct OnSettled(pub(super) Option<Arc<SettledFn>>);

impl fmt::Debug for OnSettled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("OnSettled").field(&self.0.is_some()).finish()
    }
}

/// How a job ended.
#[derive(Debug)]
pub(super) enum Outcome {
    Completed,
    Failed {
        kind: &'static str,
        error: String,
        is_final: bool,
    },
    Snoozed(Duration),
    Released,
    /// The lease was lost before the handler started, so there is nothing to store.
    Lost,
}

impl Outcome {
    pub(super) fn panicked(message: &str) -> Self {
        Self::failed("Panic", message, false)
    }

    /// The handler took longer than it may.
    pub(super) fn late(timeout: Duration) -> Self {
        Self::failed("Timeout", &format!("the handler took longer than {timeout:?}"), false)
    }

    fn failed(kind: &'static str, error: &str, is_final: bool) -> Self {
        // PostgreSQL cannot store NUL characters in text.
        let error = if error.trim().is_empty() { kind.to_owned() } else { error.replace('\0', "\u{fffd}") };
        Self::Failed { kind, error, is_final }
    }
}

impl From<JobError> for Outcome {
    fn from(error: JobError) -> Self {
        match error {
            JobError::Retry(error) => Self::failed("JobFailed", &error, false),
            JobError::Discard(error) => Self::failed("JobDiscarded", &error, true),
            JobError::Snooze(wait) => Self::Snoozed(wait),
        }
    }
}
