//! A worker: claims jobs as they become due, extends their leases, and completes, fails or releases them.

#[cfg(feature = "async")]
mod async_worker;
mod claims;
mod counters;
mod handlers;
mod hands;
mod heart;
mod limited;
mod outcome;
mod pace;
mod policy;
#[cfg(feature = "async")]
mod runtime;
mod settle;
mod shared;
#[cfg(feature = "async")]
mod tasks;
mod ticks;
mod work;

use std::sync::Arc;
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::limit::Limits;
use super::{Backoff, Claim, JobCommand, Stop};
use crate::config::Current;
use crate::republishing::JobType;
use crate::{Database, Error, Result};

pub use counters::{Counters, Counts, Histogram};
use handlers::{Handler, Handlers};
use outcome::OnSettled;
pub use outcome::{JobError, JobOutcome, Settled};
use policy::Policies;
pub use policy::Policy;
use shared::Shared;
pub use work::Work;

/// Runs a handler on jobs as they become due.
///
/// - The worker sends heartbeats after every third of the lease.
/// - It completes a job if the handler returns `Ok`, and fails it if the handler returns an error or panics. A failure also
///   adds a row to `error_log`, with the correlation id of the handler's log lines.
/// - From time to time it rescues the jobs of dead workers. While it has no jobs, it empties SQLite's write-ahead log.
/// - With the feature `schedules`, it enqueues the jobs of `JobSchedule`s when they are due.
/// - If the database does not answer, the worker retries until it does.
///
/// Handlers run on threads, or with the feature `async` as futures on tokio: see `run_async`.
///
/// # Limits
///
/// All workers on a database share these settings, which a worker reads when it starts and about every 30 seconds after that:
///
/// - `max_concurrent_scrapes`, `max_concurrent_downloads`, `max_concurrent_renders` (transform and music_replace jobs) and
///   `max_concurrent_publishes`: how many handlers of these jobs run concurrently. A worker that was given a
///   [`concurrency`](Self::concurrency) of its own obeys them only if somebody has set them, not if they have their defaults.
/// - `max_concurrent_jobs_per_channel`: how many handlers run concurrently for one channel. A channel may have its own value.
/// - `max_scrapes_per_minute`, `max_downloads_per_minute` and `max_publishes_per_day`: how many jobs start within any minute
///   or any 24 hours.
///
/// [`claim`](super::claim) and the command `viraldb jobs claim` do not obey them.
///
/// ```
/// use viraldb::queue::{Claim, Worker};
/// use viraldb::republishing::JobType;
///
/// # fn main() -> viraldb::Result<()> {
/// let db = viraldb::Database::open("sqlite::memory:")?;
/// let worker = Worker::new(&db, Claim::new("worker-1").types([JobType::Download])).concurrency(4);
/// let stop = worker.stop(); // for another thread; `stop.on_signals()?` for SIGTERM and Ctrl-C
/// # stop.stop();
/// let done = worker.run(|job| {
///     println!("downloading {}", job.video_id);
///     std::fs::create_dir_all("/tmp/videos")
/// })?;
/// println!("{} completed, {} failed", done.completed, done.failed);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Worker {
    db: Database,
    claim: Claim,
    /// `None` means the setting `max_concurrent_jobs`.
    concurrency: Option<u32>,
    /// `None` means that the worker decides.
    prefetch: Option<u32>,
    poll: Duration,
    grace: Duration,
    backoff: Backoff,
    policies: Policies,
    counters: Counters,
    handlers: Handlers,
    /// How many jobs the worker claims before it ends.
    limit: Option<u32>,
    /// Whether the worker ends when no job is due.
    until_empty: bool,
    on_settled: OnSettled,
    stop: Stop,
}

impl Worker {
    /// Creates a worker that claims jobs of the types and with the lease of `claim`.
    ///
    /// By default it runs as many jobs concurrently as the setting `max_concurrent_jobs` says. [`Claim::at_most`] has no
    /// effect here: the worker claims as many jobs as it can start.
    pub fn new(db: &Database, claim: Claim) -> Self {
        Self {
            db: db.clone(),
            claim,
            concurrency: None,
            prefetch: None,
            poll: Duration::from_millis(25),
            grace: Duration::from_secs(30),
            backoff: Backoff::default(),
            policies: Policies::default(),
            counters: Counters::default(),
            handlers: Handlers::default(),
            limit: None,
            until_empty: false,
            on_settled: OnSettled::default(),
            stop: Stop::default(),
        }
    }

    /// Sets how many jobs the worker runs concurrently: on threads of a fixed pool, or in tasks on tokio.
    ///
    /// Default: the setting `max_concurrent_jobs`, which the worker reads when it starts and about every 30 seconds after
    /// that.
    #[must_use]
    pub const fn concurrency(mut self, jobs: u32) -> Self {
        self.concurrency = Some(jobs);
        self
    }

    /// Sets how many jobs the worker claims ahead of those that it can start, at most 10,000. 0 turns this off.
    ///
    /// By default the worker decides by how long its handlers take: it claims as many jobs ahead as they finish within
    /// 50 ms, up to 2,000. It claims none ahead if a handler takes longer, so that no job waits here while another worker has
    /// nothing to do. If jobs have waited for 250 ms nevertheless, it releases them. With a number of your own, the worker
    /// keeps the jobs.
    #[must_use]
    pub const fn prefetch(mut self, jobs: u32) -> Self {
        self.prefetch = Some(jobs);
        self
    }

    /// Sets how often the worker checks whether a SQLite file has changed. Default: 25 ms.
    ///
    /// PostgreSQL notifies the worker instead. Through a pooler it cannot, so the worker checks twice a second there.
    #[must_use]
    pub const fn poll(mut self, every: Duration) -> Self {
        self.poll = every;
        self
    }

    /// Sets how long handlers may continue after the worker was told to stop. Default: 30 s.
    ///
    /// After that, the worker releases the jobs that are still running.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets how long a job waits after a failed attempt.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Sets how the worker treats the jobs of one type: the timeout of its handler, and how long a job waits after a failed
    /// attempt.
    #[must_use]
    pub fn policy(mut self, job_type: JobType, policy: Policy) -> Self {
        self.policies.set(job_type, policy);
        self
    }

    /// Returns the handle of the worker's counters, for metrics.
    ///
    /// ```
    /// use viraldb::queue::{Claim, Worker};
    ///
    /// # fn main() -> viraldb::Result<()> {
    /// # let db = viraldb::Database::open("sqlite::memory:")?;
    /// let worker = Worker::new(&db, Claim::new("worker-1"));
    /// let counters = worker.counters();
    /// for (job_type, counts) in counters.snapshot() {
    ///     println!("{job_type}: {} completed in {} s", counts.completed, counts.duration.sum_seconds);
    /// }
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn counters(&self) -> Counters {
        self.counters.clone()
    }

    /// Makes [`run`](Self::run) return once no job is due and all claimed jobs are settled, instead of waiting for more.
    ///
    /// A paused queue counts as empty, and so does one whose due jobs have to wait because of a limit.
    #[must_use]
    pub const fn until_empty(mut self) -> Self {
        self.until_empty = true;
        self
    }

    /// Makes [`run`](Self::run) return once the worker has claimed this number of jobs and settled them.
    #[must_use]
    pub const fn limit(mut self, jobs: u32) -> Self {
        self.limit = Some(jobs);
        self
    }

    /// Sets a function that the worker calls for each job after its outcome is stored.
    #[must_use]
    pub fn on_settled(mut self, settled: impl Fn(&Settled<'_>) + Send + Sync + 'static) -> Self {
        self.on_settled = OnSettled(Some(Arc::new(settled)));
        self
    }

    /// Returns the handle that stops the worker from another thread: `worker.stop().stop()`.
    ///
    /// `worker.stop().on_signals()?` stops the worker on SIGTERM and SIGINT.
    #[must_use = "it is the handle; `.stop()` on it stops the worker"]
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Sets the handle that stops the worker, such as one that several workers share.
    #[must_use]
    pub fn stop_with(mut self, stop: Stop) -> Self {
        self.stop = stop;
        self
    }

    /// Runs the worker until it is stopped, and returns how many jobs ended in which way.
    ///
    /// A handler that is still running after the grace period keeps its thread but loses its job.
    ///
    /// # Errors
    /// `Invalid` if the claim or the number of jobs to claim ahead is invalid, or if the setting `max_concurrent_jobs` is invalid when the worker starts. An
    /// unreachable database is not an error, because it may come back.
    pub fn run<E: Into<JobError>>(
        &self,
        handler: impl Fn(&Work) -> Result<(), E> + Send + Sync + 'static,
    ) -> Result<Done> {
        let handler = Handler::Blocking(Arc::new(move |work: &Work| handler(work).map_err(Into::into)));
        self.run_with(self.claim.clone(), Handlers::all(handler), |_| {})
    }

    /// Runs the worker with these handlers. `prepare` may change how it runs them.
    fn run_with(&self, claim: Claim, handlers: Handlers, prepare: impl FnOnce(&mut Shared)) -> Result<Done> {
        claim.clone().at_most(self.concurrency.unwrap_or(1)).check()?;
        if let Some(jobs @ 10_001..) = self.prefetch {
            return Err(Error::invalid("prefetch", format!("must be at most 10000, got {jobs}")));
        }
        let most = match self.most() {
            Ok(most) => most,
            Err(error @ Error::Invalid { .. }) => return Err(error),
            Err(_) => 1, // only until the database answers
        };
        let mut shared = Shared::new(Self { claim, ..self.clone() }, handlers, most);
        prepare(&mut shared);
        let shared = Arc::new(shared);
        std::thread::scope(|scope| {
            // Both threads end once the worker is over.
            scope.spawn(|| heart::beat_until_over(&shared));
            scope.spawn(|| settle::settle_until_over(&shared));
            claims::claim_until_stopped(&shared);
            let done = shared.close();
            shared.return_slots();
            Ok(done)
        })
    }

    /// Runs the worker like [`run`](Self::run), with a command for each job.
    ///
    /// After the worker was told to stop, the commands may continue for the [grace](Self::grace) period. Then they are ended,
    /// and their jobs are released. The worker claims no jobs ahead.
    ///
    /// # Errors
    /// The errors of `run`, and `Invalid` if the program of the command is not found.
    pub fn run_command(&self, command: &JobCommand) -> Result<Done> {
        command.check()?;
        let command = command.clone().grace(self.grace);
        // Release a job only after its command has ended.
        let worker = self.clone().prefetch(0).grace(command.longest_stop());
        worker.run(move |work| command.run(work))
    }

    /// Adds the handler for one type of job, for [`run_handlers`](Self::run_handlers).
    ///
    /// The handler gets the job and the data that it carries, read by serde. A job whose data cannot be read fails at once,
    /// because it would fail again.
    ///
    /// ```
    /// use serde::{Deserialize, Serialize};
    /// use viraldb::queue::{self, Claim, Worker};
    /// use viraldb::republishing::{JobType, NewVideoProcessingJob};
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Download {
    ///     quality: String,
    /// }
    ///
    /// # fn main() -> viraldb::Result<()> {
    /// let db = viraldb::Database::open("sqlite::memory:")?;
    /// # let channel = db.write(|c| viraldb::republishing::NewChannel::default().insert(c))?;
    /// # let video = viraldb::republishing::NewVideo { channel_id: channel.id, ..Default::default() };
    /// # let video = db.write(|c| video.insert(c))?;
    /// let job = NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download)
    ///     .with_payload(&Download { quality: "1080p".to_owned() })?;
    /// db.write(|c| queue::enqueue(c, &job))?;
    ///
    /// let worker = Worker::new(&db, Claim::new("worker-1"));
    /// let stop = worker.stop();
    /// let done = worker
    ///     .on(JobType::Download, move |job, download: Download| {
    ///         println!("downloading {} in {}", job.video_id, download.quality);
    /// #       stop.stop();
    ///         std::fs::create_dir_all(std::env::temp_dir())
    ///     })
    ///     .on(JobType::Publish, |job, _: Option<()>| {
    ///         println!("publishing {}", job.video_id);
    ///         Ok::<_, String>(())
    ///     })
    ///     .run_handlers()?;
    /// assert_eq!(done.completed, 1);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn on<P: DeserializeOwned, E: Into<JobError>>(
        mut self,
        job_type: JobType,
        handler: impl Fn(&Work, P) -> Result<(), E> + Send + Sync + 'static,
    ) -> Self {
        let handler = move |work: &Work| handler(work, work.payload()?).map_err(Into::into);
        self.handlers.add(job_type, Handler::Blocking(Arc::new(handler)));
        self
    }

    /// Runs the worker like [`run`](Self::run), with the handlers that [`on`](Self::on) has added.
    ///
    /// The worker claims the types of its claim, or all types that have a handler if the claim names none.
    ///
    /// # Errors
    /// The errors of [`run`](Self::run), and `Invalid` if there is no handler, or none for a type of the claim, or an async
    /// one.
    pub fn run_handlers(&self) -> Result<Done> {
        let claim = self.handled_claim()?;
        #[cfg(feature = "async")]
        let is_async = |wanted: &&JobType| matches!(self.handlers.get(**wanted), Some(Handler::Async(_)));
        #[cfg(feature = "async")]
        if let Some(other) = claim.requested().iter().find(is_async) {
            let reason = format!("has an async handler for {other} jobs; call `run_handlers_async`");
            return Err(Error::invalid("worker", reason));
        }
        self.run_with(claim, self.handlers.clone(), |_| {})
    }

    /// Returns the claim for the types that have a handler.
    fn handled_claim(&self) -> Result<Claim> {
        let claim = match self.claim.requested() {
            [] => self.claim.clone().types(self.handlers.types()),
            _ => self.claim.clone(),
        };
        if claim.requested().is_empty() {
            return Err(Error::invalid("worker", "has no handler; add one with `on`"));
        }
        if let Some(missing) = claim.requested().iter().find(|wanted| self.handlers.get(**wanted).is_none()) {
            let reason =
                format!("has no handler for {missing} jobs; add one with `on`, or do not claim them");
            return Err(Error::invalid("worker", reason));
        }
        Ok(claim)
    }

    /// Returns the limits that workers share.
    fn limits(&self) -> Result<Limits> {
        self.db.read_newest(|c| Limits::read(c, self.concurrency.is_none()))
    }

    /// Returns how many jobs the worker may run concurrently.
    fn most(&self) -> Result<u32> {
        const KEY: &str = "max_concurrent_jobs";
        match self.concurrency {
            Some(jobs) => Ok(jobs),
            None => self.db.read_newest(|c| Current::read(c, None, &[KEY])?.get(None, KEY)),
        }
    }
}

/// Counts of the jobs of a worker by their outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Done {
    /// Jobs whose handler returned `Ok`.
    pub completed: u64,
    /// Jobs whose handler returned an error or panicked.
    pub failed: u64,
    /// Jobs whose handler returned [`JobError::Snooze`].
    pub snoozed: u64,
    /// Jobs that were released because the worker stopped, or because they waited too long for a hand.
    pub released: u64,
    /// Jobs whose lease was lost before they were settled.
    pub lost: u64,
}
