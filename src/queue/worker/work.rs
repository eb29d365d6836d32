//! A job that a handler is processing.

use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;

use super::outcome::JobError;
use crate::queue::Stop;
use crate::queue::progress::Progress;
use crate::republishing::VideoProcessingJob;
use crate::{CorrelationId, Timestamp};

/// How often [`Work::stopped`] looks, in addition to the changes that wake it: the worker may notice a stop late if the
/// database does not answer.
#[cfg(feature = "async")]
const LOOK: Duration = Duration::from_secs(1);

/// A job that a handler is processing. It dereferences to [`VideoProcessingJob`].
#[derive(Debug)]
pub struct Work {
    pub(super) job: VideoProcessingJob,
    is_lost: AtomicBool,
    /// Set by whichever settles the job first: the thread of its handler, or the worker that releases it.
    is_settled: AtomicBool,
    is_canceled: AtomicBool,
    /// Whether the handler takes longer than its timeout.
    is_late: AtomicBool,
    /// Whether the handler runs, and since when.
    is_running: AtomicBool,
    started: OnceLock<Instant>,
    /// How long the job waited since it was due, and how long the handler took.
    waited: OnceLock<Duration>,
    took: OnceLock<Duration>,
    /// When the lease expires by the clock of this process, unless a heartbeat extends it.
    lease_ends: Mutex<Instant>,
    /// The progress that is not stored yet.
    progress: Mutex<Option<Progress>>,
    /// The correlation id of the handler's log lines.
    pub(super) correlation_id: CorrelationId,
    stop: Stop,
    /// Wakes the futures that wait until they should stop.
    #[cfg(feature = "async")]
    changed: tokio::sync::Notify,
    /// When the job was claimed.
    pub(super) since: Instant,
}

impl Work {
    /// Returns true if the handler should end as soon as it can, because the job was [canceled](crate::queue::cancel), its
    /// lease is lost, its [timeout](crate::queue::Policy::timeout) is over, or the worker is stopping.
    ///
    /// If the handler returns an error while the worker is stopping, the worker releases the job and the attempt does not
    /// count.
    pub fn should_stop(&self) -> bool {
        self.is_lost() || self.stop.is_stopped()
    }

    /// Waits until [`should_stop`](Self::should_stop) returns true. For `tokio::select!` in the handlers of
    /// [`Worker::run_async`](super::Worker::run_async).
    ///
    /// # Panics
    /// If it is polled outside a tokio runtime, or in one without a timer (`enable_time` or `enable_all`).
    ///
    /// ```
    /// use std::sync::Arc;
    /// use viraldb::queue::{JobError, Work};
    ///
    /// async fn download(work: Arc<Work>) -> Result<(), JobError> {
    ///     tokio::select! {
    ///         connected = tokio::net::TcpStream::connect("example.com:443") => Ok(drop(connected?)),
    ///         () = work.stopped() => Err("stopped halfway".into()),
    ///     }
    /// }
    /// ```
    #[cfg(feature = "async")]
    pub async fn stopped(&self) {
        loop {
            // Register before looking, so that a change in between is not missed.
            let changed = self.changed.notified();
            if self.should_stop() {
                return;
            }
            let next_look = (Instant::now() + LOOK).min(*self.lease_ends());
            // An expired timeout is not an error: look again.
            let _ = tokio::time::timeout_at(next_look.into(), changed).await;
        }
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

    /// Returns true if somebody has [canceled](crate::queue::cancel) the job while it runs. The worker learns it within about
    /// a second.
    pub fn is_canceled(&self) -> bool {
        self.is_canceled.load(Ordering::Relaxed)
    }

    /// Reports how much of the work is done, from 0 to 1, and what the handler is doing. `viraldb jobs show` shows both.
    ///
    /// The worker stores the last report about every second, so a handler may report as often as it likes. A fraction outside
    /// the range is stored as 0 or 1.
    ///
    /// ```
    /// # fn transcode(job: &viraldb::queue::Work, frames: u32) {
    /// for frame in 0..frames {
    ///     job.report(f64::from(frame) / f64::from(frames), "transcoding");
    /// }
    /// # }
    /// ```
    pub fn report(&self, fraction: f64, note: impl Into<String>) {
        let progress = Progress::new(fraction, note.into());
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(progress);
    }

    /// Returns true if the worker is stopping, and claims no more jobs.
    pub(in crate::queue) fn is_stopping(&self) -> bool {
        self.stop.is_stopped()
    }

    pub(super) fn new(job: VideoProcessingJob, lease_ends: Instant, stop: Stop) -> Self {
        Self {
            job,
            is_lost: false.into(),
            is_settled: false.into(),
            is_canceled: false.into(),
            is_late: false.into(),
            is_running: false.into(),
            started: OnceLock::new(),
            waited: OnceLock::new(),
            took: OnceLock::new(),
            lease_ends: lease_ends.into(),
            progress: Mutex::default(),
            correlation_id: CorrelationId::default(),
            stop,
            #[cfg(feature = "async")]
            changed: tokio::sync::Notify::new(),
            since: Instant::now(),
        }
    }

    /// Marks the start and the end of the handler.
    pub(super) fn set_running(&self, is_running: bool) {
        let started = self.started.get_or_init(Instant::now);
        if is_running {
            // By the clock of this process: on a clock that is behind that of the database, the job has not waited.
            let waited = Timestamp::now().to_utc() - self.job.run_at.to_utc();
            self.waited.get_or_init(|| waited.to_std().unwrap_or_default());
        } else {
            self.took.get_or_init(|| started.elapsed());
        }
        self.is_running.store(is_running, Ordering::Relaxed);
    }

    /// Returns the span of the attempt, for the log.
    pub(super) fn span(&self) -> tracing::Span {
        tracing::info_span!(
            "unit_of_work",
            unit = "job",
            correlation_id = %self.correlation_id,
            job = %self.id,
            job_type = %self.job_type,
            attempt = self.attempts,
            wait_ms = self.waited.get().map(Duration::as_millis),
        )
    }

    /// Returns how long the job waited until its handler started, and how long the handler took.
    pub(super) fn times(&self) -> Option<(Duration, Duration)> {
        Some((*self.waited.get()?, *self.took.get()?))
    }

    pub(super) fn is_running(&self) -> bool {
        self.is_running.load(Ordering::Relaxed)
    }

    /// Returns how long the handler has been running, if it runs.
    pub(super) fn runs_for(&self) -> Option<Duration> {
        self.started.get().filter(|_| self.is_running()).map(Instant::elapsed)
    }

    /// Marks the job as canceled. Its lease is lost.
    pub(super) fn cancel(&self) {
        self.is_canceled.store(true, Ordering::Relaxed);
        self.lose();
    }

    /// Marks the handler as too late. The lease no longer counts.
    pub(super) fn time_out(&self) {
        self.is_late.store(true, Ordering::Relaxed);
        self.lose();
    }

    /// Waits until the handler is too late.
    #[cfg(feature = "async")]
    pub(super) async fn is_late(&self) {
        loop {
            // Register before looking, so that a change in between is not missed.
            let changed = self.changed.notified();
            if self.is_late.load(Ordering::Relaxed) {
                return;
            }
            changed.await;
        }
    }

    /// Takes the progress that is not stored yet.
    pub(super) fn take_progress(&self) -> Option<Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).take()
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
        self.wake();
    }

    /// Wakes the futures that wait in [`stopped`](Self::stopped), after anything that [`should_stop`](Self::should_stop)
    /// asks for has changed.
    pub(super) fn wake(&self) {
        #[cfg(feature = "async")]
        self.changed.notify_waiters();
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
