//! Claims jobs for the hands of a worker.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::hands;
use super::shared::{BEAT, Shared};
use super::work::Work;
use crate::db::wake::{Topic, Waker};
use crate::queue::{Lease, claim, rescue};
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
    let mut claims =
        Claims { waker: None, pause: SHORTEST_PAUSE, rescue_at: Instant::now(), empty_at: Instant::now() };
    while !stop.is_stopped() {
        release_late(shared);
        let mut jobs = shared.jobs();
        let wants = jobs.wants();
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
    shared.jobs().stopped = Some(Instant::now());
}

/// What the thread that claims keeps from one claim to the next.
struct Claims {
    waker: Option<Waker>,
    /// How long to wait after a change of the database that made no job due.
    pause: Duration,
    rescue_at: Instant,
    empty_at: Instant,
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
            self.rescue_at = Instant::now() + worker.claim.length().min(Duration::from_secs(30));
        }
        // Claim a power of two, so that only a few different statements are prepared.
        let wanted = worker.claim.clone().at_most(1 << wants.min(MOST).ilog2());
        let turn = shared.turn();
        let before = Instant::now();
        let claimed = worker.db.write(|c| claim(c, &wanted))?;
        drop(turn);
        if !claimed.is_empty() {
            self.pause = SHORTEST_PAUSE;
            let lease_ends = before + wanted.length();
            let claimed: Vec<_> =
                claimed.into_iter().map(|job| Arc::new(Work::new(job, lease_ends, worker.stop()))).collect();
            shared.jobs().held.extend(claimed.iter().map(|work| (Lease::from(&work.job), Arc::clone(work))));
            hands::give(shared, claimed);
            return Ok(());
        }
        if is_idle && Instant::now() >= self.empty_at {
            self.empty_at = Instant::now() + EMPTY;
            empty_log(&worker.db);
        }
        let deadline = Instant::now() + LOOK;
        if waker.tells_every_change() {
            std::thread::sleep(self.pause);
            self.pause = (self.pause * 2).min(worker.poll);
        }
        while !worker.stop.is_stopped() && Instant::now() < deadline {
            if waker.wait(BEAT)? {
                return Ok(());
            }
            self.pause = SHORTEST_PAUSE;
            release_late(shared);
        }
        Ok(())
    }
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
}

/// Releases the jobs that wait for a hand, if they have waited for too long.
fn release_late(shared: &Shared) {
    let mut jobs = shared.jobs();
    let Some((since, _)) = jobs.buffer.front() else { return };
    let waited = since.elapsed();
    if waited > WAIT && jobs.running >= jobs.most {
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
