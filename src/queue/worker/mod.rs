//! A worker: takes jobs as they come, keeps their leases, and settles them.

mod hands;
mod work;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::{Backoff, Claim, Stop};
use crate::config::Current;
use crate::{Database, Error, Result};

use hands::Hands;
pub use work::Work;

/// Runs a handler on jobs as they come.
///
/// It sends heartbeats at a third of the lease, completes a job whose handler returned `Ok`, and fails one
/// whose handler returned an error or panicked, with a row in `error_log` that has the correlation id of the
/// handler's log lines. Now and then it rescues the jobs of workers that died and, while it has no jobs, empties the
/// write-ahead log of SQLite. A database that does not
/// answer is tried again until it does.
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
    /// `None`: the setting `max_concurrent_jobs`.
    concurrency: Option<u32>,
    poll: Duration,
    grace: Duration,
    backoff: Backoff,
    stop: Stop,
}

impl Worker {
    /// A worker that claims so, and works on as many jobs at the same time as the setting `max_concurrent_jobs` says. The
    /// number of the claim does not matter: it takes as many as it has hands free.
    pub fn new(db: &Database, claim: Claim) -> Self {
        Self {
            db: db.clone(),
            claim,
            concurrency: None,
            poll: Duration::from_millis(25),
            grace: Duration::from_secs(30),
            backoff: Backoff::default(),
            stop: Stop::default(),
        }
    }

    /// How many jobs it works on at the same time, each on a thread of its own. Without this, the setting
    /// `max_concurrent_jobs` says so, which the worker reads when it starts and about every 30 seconds after that.
    #[must_use]
    pub const fn concurrency(mut self, jobs: u32) -> Self {
        self.concurrency = Some(jobs);
        self
    }

    /// How often it looks whether a SQLite file has changed. 25 ms unless told. PostgreSQL notifies it, but not through
    /// a pooler: there it looks twice a second.
    #[must_use]
    pub const fn poll(mut self, every: Duration) -> Self {
        self.poll = every;
        self
    }

    /// How long handlers may go on when the worker is to stop; what then still runs is released. 30 s unless
    /// told.
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long a failed attempt waits for the next.
    #[must_use]
    pub const fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// The handle that stops it, for another thread: `worker.stop().stop()`, or `worker.stop().on_signals()?` for SIGTERM and
    /// SIGINT.
    #[must_use = "it is the handle; `.stop()` on it stops the worker"]
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Works until it is stopped, and says what became of the jobs.
    ///
    /// A handler that is still running when the grace is over keeps its thread, but not its job.
    ///
    /// # Errors
    /// `Invalid` if the claim cannot be, or if the setting `max_concurrent_jobs` cannot be read when the worker starts. A
    /// database that is gone is not an error: it may come back.
    pub fn run<E: fmt::Display>(
        &self,
        handler: impl Fn(&Work) -> Result<(), E> + Send + Sync + 'static,
    ) -> Result<Done> {
        self.claim.clone().at_most(self.concurrency.unwrap_or(1)).check()?;
        let most = match self.most() {
            Ok(most) => most,
            Err(error @ Error::Invalid { .. }) => return Err(error),
            Err(_) => 1, // until the database answers
        };
        let handler = Box::new(move |work: &Work| handler(work).map_err(|error| error.to_string()));
        let hands = Arc::new(Hands::new(self.clone(), handler));
        let heart = {
            let hands = Arc::clone(&hands);
            std::thread::spawn(move || hands.keep_leases())
        };
        hands.work_until_stopped(most);
        hands.let_finish();
        let done = hands.release_the_rest();
        // It ends by itself once nothing is held; it never panics.
        let _ = heart.join();
        Ok(done)
    }

    /// How many jobs it may work on at the same time.
    fn most(&self) -> Result<u32> {
        const KEY: &str = "max_concurrent_jobs";
        match self.concurrency {
            Some(jobs) => Ok(jobs),
            None => self.db.read_newest(|c| Current::read(c, None, &[KEY])?.get(None, KEY)),
        }
    }
}

/// What became of the jobs of a worker.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Done {
    /// Their handler returned `Ok`.
    pub completed: u64,
    /// Their handler returned an error or panicked.
    pub failed: u64,
    /// Given back when the worker was stopped.
    pub released: u64,
    /// Their lease was lost before they were settled.
    pub lost: u64,
}
