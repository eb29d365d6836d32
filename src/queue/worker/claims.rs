//! Claims jobs for the hands of a worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::hands;
use super::shared::{BEAT, Shared};
#[cfg(feature = "async")]
use super::tasks;
use super::ticks::Ticks;
use super::work::Work;
use crate::db::eager::eagerly;
use crate::db::wake::{Topic, Waker};
use crate::queue::limit::{Limits, Taker};
use crate::queue::{Claim, Lease, claim, rescue};
use crate::republishing::VideoProcessingJob;
use crate::{Database, Error, Result};

/// How long a worker waits for a notification before it checks the queue anyway, because a job can become due without any
/// write.
const LOOK: Duration = Duration::from_secs(1);

/// How often an idle worker empties SQLite's write-ahead log.
///
/// A reader that has ended since may have caused the log to grow. Without another writer it would stay that large.
const EMPTY: Duration = Duration::from_secs(60);

/// The first pause after a change that made no job due. It doubles with each of them, so that a program that writes all the
/// time does not make the worker claim all the time.
const SHORTEST_PAUSE: Duration = Duration::from_micros(250);

/// Maximum number of jobs in one claim.
const MOST: u32 = 1_024;

/// How long a job may wait for a hand before it is released, so that another worker can have it.
///
/// Jobs are claimed ahead only if they start sooner. They wait longer if the handlers suddenly take longer than before.
const WAIT: Duration = Duration::from_millis(250);

/// Claims jobs until the worker is stopped.
pub(super) fn claim_until_stopped(shared: &Arc<Shared>) {
    let (db, stop) = (&shared.worker.db, &shared.worker.stop);
    let now = Instant::now();
    let mut claims = Claims {
        waker: None,
        pause: SHORTEST_PAUSE,
        rescue_at: now,
        empty_at: now,
        ticks: Ticks::new(),
        left: shared.worker.limit,
        is_woken: false,
        found_none: false,
    };
    while !stop.is_stopped() && !claims.found_none {
        release_late(shared);
        claims.ticks.run(shared);
        let mut jobs = shared.jobs();
        let left = claims.left.unwrap_or(u32::MAX);
        if left == 0 && jobs.held.is_empty() {
            break;
        }
        let wants = jobs.wants().min(left);
        jobs.is_full = wants == 0;
        if wants == 0 {
            drop(shared.wait(&shared.changed, jobs, BEAT));
            continue;
        }
        let is_idle = jobs.held.is_empty();
        drop(jobs);
        if let Err(error) = claims.claim(shared, wants, is_idle) {
            let error = error.in_database(db.url());
            tracing::warn!("cannot read the queue, trying again: {error}");
            claims.waker = None;
            std::thread::sleep(BEAT);
        }
    }
    let mut jobs = shared.jobs();
    jobs.stopped = Some(Instant::now());
    jobs.held.values().for_each(|work| work.wake());
}

/// What the thread that claims keeps from one claim to the next.
struct Claims {
    waker: Option<Waker>,
    /// How long to wait after a change of the database that made no job due.
    pause: Duration,
    rescue_at: Instant,
    empty_at: Instant,
    ticks: Ticks,
    /// How many jobs the worker may still claim, if the program has limited their number.
    left: Option<u32>,
    /// Whether a change of the database has ended the last wait.
    is_woken: bool,
    /// Whether no job was due, and the worker ends for that reason.
    found_none: bool,
}

impl Claims {
    /// Claims jobs, or waits until there may be some.
    fn claim(&mut self, shared: &Arc<Shared>, wants: u32, is_idle: bool) -> Result<()> {
        let Shared { worker, .. } = &**shared;
        // Listen before looking, so that a job inserted in between is not missed.
        let waker = match &mut self.waker {
            Some(waker) => waker,
            none => none.insert(Waker::new(&worker.db, Topic::Jobs, worker.poll)?),
        };
        if Instant::now() >= self.rescue_at {
            worker.db.write(rescue)?;
            shared.set_most(worker.most())?;
            shared.set_limits(worker.limits())?;
            self.rescue_at = Instant::now() + worker.claim.length().min(Duration::from_secs(30));
        }
        // Claim a power of two, so that only a few different statements are prepared.
        let wanted = worker.claim.clone().at_most(1 << wants.min(MOST).ilog2());
        let turn = shared.turn();
        let before = Instant::now();
        let is_limited = !shared.jobs().limited.is_empty();
        let claim = || match is_limited {
            true => claim_limited(shared, wanted),
            false => worker.db.write(|c| claim(c, &wanted)),
        };
        // The program that enqueued a job may still hold the lock when the change wakes an idle worker.
        let claimed = match std::mem::take(&mut self.is_woken) && is_idle {
            true => eagerly(claim)?,
            false => claim()?,
        };
        drop(turn);
        if !claimed.is_empty() {
            self.pause = SHORTEST_PAUSE;
            self.left = self.left.map(|left| left.saturating_sub(claimed.len() as u32));
            let lease_ends = before + worker.claim.length();
            let claimed: Vec<_> =
                claimed.into_iter().map(|job| Arc::new(Work::new(job, lease_ends, worker.stop()))).collect();
            worker.counters.claimed(&claimed);
            let mut jobs = shared.jobs();
            for work in &claimed {
                jobs.limited.claimed(work);
                jobs.held.insert(Lease::from(&work.job), Arc::clone(work));
            }
            drop(jobs);
            give(shared, claimed);
            return Ok(());
        }
        if is_idle && worker.until_empty {
            self.found_none = true;
            return Ok(());
        }
        if is_idle && Instant::now() >= self.empty_at {
            self.empty_at = Instant::now() + EMPTY;
            empty_log(&worker.db);
        }
        let deadline = self.ticks.before(Instant::now() + LOOK);
        if waker.tells_every_change() {
            std::thread::sleep(self.pause);
            self.pause = (self.pause * 2).min(worker.poll);
        }
        while !worker.stop.is_stopped() && Instant::now() < deadline {
            let wait = shared.jobs().limited.wait().unwrap_or(BEAT).min(BEAT);
            self.is_woken = !wait.is_zero() && waker.wait(wait)?;
            if wait.is_zero() || self.is_woken {
                return Ok(());
            }
            self.pause = SHORTEST_PAUSE;
            release_late(shared);
        }
        Ok(())
    }
}

/// Gives claimed jobs to the threads or tasks that run the handlers.
fn give(shared: &Arc<Shared>, claimed: Vec<Arc<Work>>) {
    #[cfg(feature = "async")]
    if let Some(runtime) = &shared.runtime {
        return tasks::give(shared, runtime, claimed);
    }
    hands::give(shared, claimed);
}

impl Shared {
    /// Takes over the setting `max_concurrent_jobs`, unless it is invalid.
    fn set_most(&self, read: Result<u32>) -> Result<()> {
        let mut jobs = self.jobs();
        match read {
            Err(error @ Error::Invalid { .. }) => {
                tracing::warn!("cannot read the new concurrency, keeping {}: {error}", jobs.most);
            }
            read => jobs.most = read?,
        }
        self.work.notify_all(); // threads that are not needed any more end
        Ok(())
    }

    /// Takes over the limits that workers share, unless a setting is invalid.
    fn set_limits(&self, read: Result<Limits>) -> Result<()> {
        let limits = match read {
            Err(error @ Error::Invalid { .. }) => {
                tracing::warn!("cannot read the new limits, keeping the former ones: {error}");
                return Ok(());
            }
            read => read?,
        };
        let jobs = &mut *self.jobs();
        jobs.limited.set(limits, jobs.held.values());
        Ok(())
    }
}

/// Claims jobs of which all workers together may run only a number, or start only a number within a period.
fn claim_limited(shared: &Shared, wanted: Claim) -> Result<Vec<VideoProcessingJob>> {
    let worker = &shared.worker;
    let mut jobs = shared.jobs();
    let (prefetch, pace, hands) = (jobs.prefetch, jobs.pace, jobs.most);
    let ahead = |hands| prefetch.unwrap_or_else(|| pace.ahead(hands));
    let (types, channels) = jobs.limited.claimable(worker.claim.requested(), hands, &ahead);
    let limits = Arc::clone(&jobs.limited.limits);
    let taker = Taker {
        limits: &limits,
        holder: jobs.limited.holder,
        length: worker.claim.length(),
        hands,
        ahead: &ahead,
        claimed: jobs.limited.counts(),
    };
    let unused = jobs.limited.unused();
    drop(jobs);
    if types.is_empty() && unused.is_empty() {
        return Ok(Vec::new());
    }
    let (is_none, wanted) = (types.is_empty(), wanted.types(types).except(channels));
    let (taken, kept) = worker.db.write(|c| {
        let claimed = if is_none { Vec::new() } else { claim(c, &wanted)? };
        let taken = taker.take(c, claimed)?;
        let unused: Vec<_> =
            unused.iter().filter(|(limited, _)| !taken.slots.contains_key(limited)).copied().collect();
        let kept = taker.set_slots(c, &unused)?;
        Ok((taken, kept))
    })?;
    let mut jobs = shared.jobs();
    jobs.limited.taken(&taken);
    jobs.limited.kept(&kept);
    Ok(taken.jobs)
}

/// Releases the jobs that wait for a hand, if they have waited for too long.
fn release_late(shared: &Shared) {
    let mut jobs = shared.jobs();
    let Some((since, _)) = jobs.buffer.front() else { return };
    let waited = since.elapsed();
    let may_start = jobs.buffer.iter().any(|(_, work)| jobs.limited.may_start(work));
    if waited > WAIT && (jobs.running >= jobs.most || !may_start) {
        tracing::debug!(jobs = jobs.buffer.len(), "releasing jobs that wait for a hand");
        jobs.pace.record(waited);
        shared.release_buffered(&mut jobs);
    }
}

/// Empties SQLite's write-ahead log if that is possible without waiting.
fn empty_log(db: &Database) {
    match db.empty_wal() {
        Ok(true) => tracing::debug!("emptied the write-ahead log"),
        Ok(false) => {}
        Err(error) => tracing::debug!("cannot empty the write-ahead log: {error}"),
    }
}
