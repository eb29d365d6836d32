//! A worker: takes jobs as they come, keeps their leases, and settles them.

use std::any::Any;
use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Backoff, Claim, Failure, Lease, Stop, claim, complete, fail, heartbeat, release, rescue};
use crate::config::Current;
use crate::db::wake::{Topic, Waker};
use crate::republishing::VideoProcessingJob;
use crate::{CorrelationId, Database, DbConnection, Error, Result, correlation, log_error};

/// How often a worker looks whether it is to stop, and how long it waits before it tries a database again
/// that did not answer.
const BEAT: Duration = Duration::from_millis(100);

/// Jobs become due without anybody writing; so a worker that nobody wakes looks once a second.
const LOOK: Duration = Duration::from_secs(1);

/// Runs a handler on jobs as they come.
///
/// It sends heartbeats at a third of the lease, completes a job whose handler returned `Ok`, and fails one
/// whose handler returned an error or panicked, with a row in `error_log` that has the correlation id of the
/// handler's log lines. Now and then it rescues the jobs of workers that died. A database that does not
/// answer is tried again until it does.
///
/// ```
/// use viraldb::queue::{Claim, Worker};
///
/// # fn main() -> viraldb::Result<()> {
/// let db = viraldb::Database::open("sqlite::memory:")?;
/// let worker = Worker::new(&db, Claim::new("worker-1").types(["download"])).concurrency(4);
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

    /// What stops it.
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Works until it is stopped, and says what became of the jobs.
    ///
    /// A handler that is still running when the grace is over keeps its thread, but not its job.
    ///
    /// # Errors
    /// `Invalid` if the claim cannot be, or if the setting `max_concurrent_jobs` cannot be read when the worker starts. A
    /// database that is gone is no error: it may come back.
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
        let shared = Arc::new(Shared {
            worker: self.clone(),
            handler: Box::new(move |work: &Work| handler(work).map_err(|error| error.to_string())),
            hands: Mutex::default(),
            changed: Condvar::new(),
        });
        let heart = {
            let shared = Arc::clone(&shared);
            std::thread::spawn(move || shared.keep_leases())
        };
        shared.work_until_stopped(most);
        shared.let_finish();
        let done = shared.release_the_rest();
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
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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

/// A job in a handler's hands. It is used as a [`VideoProcessingJob`].
#[derive(Debug)]
pub struct Work {
    job: VideoProcessingJob,
    is_lost: AtomicBool,
    /// Set by whoever settles it: the thread of its handler, or the worker that gives it back.
    is_settled: AtomicBool,
    /// When the lease ends unless a heartbeat extends it, by our own clock.
    lease_ends: Mutex<Instant>,
    stop: Stop,
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

    fn lease_ends(&self) -> MutexGuard<'_, Instant> {
        self.lease_ends.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Deref for Work {
    type Target = VideoProcessingJob;

    fn deref(&self) -> &VideoProcessingJob {
        &self.job
    }
}

type Handler = dyn Fn(&Work) -> Result<(), String> + Send + Sync;

struct Shared {
    worker: Worker,
    handler: Box<Handler>,
    hands: Mutex<Hands>,
    changed: Condvar,
}

#[derive(Default)]
struct Hands {
    /// By lease, not by job: an attempt that has failed may be here still when the next is claimed.
    held: HashMap<Lease, Arc<Work>>,
    done: Done,
    is_over: bool,
}

impl Shared {
    fn hands(&self) -> MutexGuard<'_, Hands> {
        // Counters and a map: nothing in them is half done after a panic.
        self.hands.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait_for_a_change(&self, hands: MutexGuard<'_, Hands>) {
        drop(self.changed.wait_timeout(hands, BEAT).unwrap_or_else(PoisonError::into_inner));
    }

    fn work_until_stopped(self: &Arc<Self>, mut most: u32) {
        let Worker { db, claim: wanted, poll, stop, .. } = &self.worker;
        let mut waker = None;
        let mut rescue_at = Instant::now();
        while !stop.is_stopped() {
            let hands = self.hands();
            let free = most.saturating_sub(hands.held.len() as u32);
            if free == 0 {
                self.wait_for_a_change(hands);
                continue;
            }
            drop(hands);
            let result = (|| {
                // Listening comes before looking, so that what comes between is not missed.
                let waker = match &mut waker {
                    Some(waker) => waker,
                    none => none.insert(Waker::new(db, Topic::Jobs, *poll)?),
                };
                if Instant::now() >= rescue_at {
                    db.write(rescue)?;
                    most = match self.worker.most() {
                        Err(error @ Error::Invalid { .. }) => {
                            tracing::warn!("the worker goes on with {most} jobs at the same time: {error}");
                            most
                        }
                        read => read?,
                    };
                    rescue_at = Instant::now() + self.worker.claim.length().min(Duration::from_secs(30));
                }
                // Powers of two, so that few different statements are kept prepared.
                let wanted = wanted.clone().at_most(1 << free.ilog2());
                let before = Instant::now();
                let jobs = db.write(|c| claim(c, &wanted))?;
                let deadline = Instant::now() + LOOK;
                if jobs.is_empty() {
                    while !stop.is_stopped() && Instant::now() < deadline && !waker.wait(BEAT)? {}
                }
                Ok::<_, Error>((jobs, before + wanted.length()))
            })();
            match result {
                Ok((jobs, lease_ends)) => jobs.into_iter().for_each(|job| self.take(job, lease_ends)),
                Err(error) => {
                    let error = error.in_database(db.url());
                    tracing::warn!("the queue cannot be read, trying again: {error}");
                    waker = None;
                    std::thread::sleep(BEAT);
                }
            }
        }
    }

    /// Works on a job on a thread of its own.
    fn take(self: &Arc<Self>, job: VideoProcessingJob, lease_ends: Instant) {
        let work = Arc::new(Work {
            job,
            is_lost: false.into(),
            is_settled: false.into(),
            lease_ends: lease_ends.into(),
            stop: self.worker.stop(),
        });
        let lease = Lease::from(&work.job);
        self.hands().held.insert(lease, Arc::clone(&work));
        let (shared, job) = (Arc::clone(self), Arc::clone(&work));
        let thread = std::thread::Builder::new().spawn(move || {
            let unit = || correlation::unit_of_work("job", CorrelationId::default(), || shared.settle(&job));
            let count = catch_unwind(AssertUnwindSafe(unit)).unwrap_or(|done| &mut done.lost);
            let mut hands = shared.hands();
            // A job that was released when the grace was over is counted already.
            if hands.held.remove(&lease).is_some() {
                *count(&mut hands.done) += 1;
            }
            shared.changed.notify_all();
        });
        if let Err(error) = thread {
            tracing::error!("no thread for a job, it is given back: {error}");
            self.give_back(&work);
            std::thread::sleep(BEAT);
        }
    }

    /// Gives a job back that nobody has settled; says whether the database answered.
    fn give_back(&self, work: &Work) -> bool {
        if work.is_settled.swap(true, Ordering::Relaxed) {
            return true;
        }
        let released = self.worker.db.write(|c| release(c, &work.job));
        work.is_lost.store(true, Ordering::Relaxed);
        let mut hands = self.hands();
        if hands.held.remove(&Lease::from(&work.job)).is_some() {
            match &released {
                Ok(_) => hands.done.released += 1,
                Err(error) => {
                    tracing::warn!(job = %work.id, "not released: {error}");
                    hands.done.lost += 1;
                }
            }
        }
        !released.is_err_and(|error| !error.is_of_row())
    }

    /// Runs the handler and writes down what came of it; returns the counter it belongs to.
    fn settle(&self, work: &Work) -> fn(&mut Done) -> &mut u64 {
        tracing::info!(job = %work.id, job_type = %work.job_type, attempt = work.attempts, "working");
        let result = match catch_unwind(AssertUnwindSafe(|| (self.handler)(work))) {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(("JobFailed", error)),
            Err(panic) => Err(("Panic", message(&*panic))),
        };
        if work.is_settled.swap(true, Ordering::Relaxed) {
            return |done| &mut done.released;
        }
        let lease = Lease::from(&work.job);
        match result {
            Ok(()) => self.write(work, |c| complete(c, lease), |done| &mut done.completed),
            Err(("JobFailed", _)) if work.should_stop() => {
                self.write(work, |c| release(c, lease), |done| &mut done.released)
            }
            Err((kind, error)) => {
                // PostgreSQL keeps no NUL in a text.
                let error =
                    if error.trim().is_empty() { kind.to_owned() } else { error.replace('\0', "\u{fffd}") };
                tracing::error!(job = %work.id, "{error}");
                let failure = Failure { backoff: self.worker.backoff, ..Failure::new(&*error) };
                self.write(
                    work,
                    |c| {
                        let job = fail(c, lease, &failure)?;
                        log_error(c, work.job_type.as_str(), kind, &error, None, None)?;
                        Ok(job)
                    },
                    |done| &mut done.failed,
                )
            }
        }
    }

    /// Writes, again and again while the database does not answer and the lease is ours.
    fn write(
        &self,
        work: &Work,
        settle: impl Fn(&mut DbConnection) -> Result<VideoProcessingJob>,
        count: fn(&mut Done) -> &mut u64,
    ) -> fn(&mut Done) -> &mut u64 {
        let mut give_up = Instant::now() + self.worker.claim.length();
        let mut is_stopped = false;
        loop {
            if self.worker.stop.is_stopped() && !is_stopped {
                is_stopped = true;
                give_up = give_up.min(Instant::now() + self.worker.grace);
            }
            match self.worker.db.write(&settle) {
                Ok(job) => {
                    tracing::info!(job = %job.id, status = %job.status, "settled");
                    return count;
                }
                Err(error) => {
                    tracing::warn!(job = %work.id, "{error}");
                    if error.is_of_row() || Instant::now() >= give_up {
                        return |done| &mut done.lost;
                    }
                    std::thread::sleep(BEAT);
                }
            }
        }
    }

    /// Extends every lease at a third of its length.
    fn keep_leases(&self) {
        let length = self.worker.claim.length();
        let mut next = Instant::now() + length / 3;
        // A connection of its own: handlers may have taken all the others.
        let mut session = None;
        loop {
            let hands = self.hands();
            if hands.is_over {
                return;
            }
            if Instant::now() < next {
                let left = next.saturating_duration_since(Instant::now()).min(BEAT);
                drop(self.changed.wait_timeout(hands, left).unwrap_or_else(PoisonError::into_inner));
                continue;
            }
            let mut held: Vec<Arc<Work>> = hands.held.values().map(Arc::clone).collect();
            drop(hands);
            next = Instant::now() + length / 3;
            if held.is_empty() {
                continue;
            }
            // One order for all who change several rows, so that none waits for another in a circle.
            held.sort_unstable_by_key(|work| work.id.0);
            let kept = (|| {
                let session = match &mut session {
                    Some(session) => session,
                    none => none.insert(self.worker.db.session()?),
                };
                let lease_ends = Instant::now() + length;
                session.atomically(|c| {
                    for work in &held {
                        match heartbeat(c, &work.job, length) {
                            Err(Error::LeaseLost { .. }) => work.is_lost.store(true, Ordering::Relaxed),
                            result => drop(result?),
                        }
                    }
                    Ok(())
                })?;
                held.iter().for_each(|work| *work.lease_ends() = lease_ends);
                Ok::<_, Error>(())
            })();
            if let Err(error) = kept {
                let error = error.in_database(self.worker.db.url());
                tracing::warn!("no heartbeat, trying again: {error}");
                session = None;
                next = Instant::now() + BEAT;
            }
        }
    }

    /// Waits for the handlers that run, at most for the grace.
    fn let_finish(&self) {
        let deadline = Instant::now() + self.worker.grace;
        loop {
            let hands = self.hands();
            if hands.held.is_empty() || Instant::now() >= deadline {
                return;
            }
            self.wait_for_a_change(hands);
        }
    }

    /// Gives back what still runs, and ends the heartbeats.
    fn release_the_rest(&self) -> Done {
        let mut held: Vec<Arc<Work>> = self.hands().held.values().map(Arc::clone).collect();
        // The leases of the others end by themselves if the database is gone.
        let done = held.iter().position(|work| !self.give_back(work)).map_or(held.len(), |failed| failed + 1);
        for work in held.drain(done..).filter(|work| !work.is_settled.swap(true, Ordering::Relaxed)) {
            let mut hands = self.hands();
            work.is_lost.store(true, Ordering::Relaxed);
            hands.done.lost += u64::from(hands.held.remove(&Lease::from(&work.job)).is_some());
        }
        // Left are those whose handlers returned in time; they are being written down.
        loop {
            let mut hands = self.hands();
            if hands.held.is_empty() {
                hands.is_over = true;
                self.changed.notify_all();
                return hands.done;
            }
            self.wait_for_a_change(hands);
        }
    }
}

/// What a panic said.
fn message(panic: &(dyn Any + Send)) -> String {
    match (panic.downcast_ref::<&str>(), panic.downcast_ref::<String>()) {
        (Some(text), _) => (*text).to_owned(),
        (_, Some(text)) => text.clone(),
        _ => "the handler panicked".to_owned(),
    }
}
