//! Schedules the chunks of a bulk write so that other writers of a SQLite file get their turn.

use std::time::{Duration, Instant};

use super::turn::Turns;
use super::{Chunk, Manner};
use crate::db::sqlite::Checkpoint;
use crate::db::{Database, DbConnection, Session, on_backend, wake};
use crate::{Error, Result};

/// How long a brisk chunk holds SQLite's write lock while others write. SQLite's default busy handler retries after 53, 78
/// and 103 ms, so a writer that found the lock taken gets it after 78 ms.
const SHARED: Duration = Duration::from_millis(60);

/// How long a brisk chunk holds the lock after waiting for it longer than [`LONG_WAIT`]. Many others are waiting, too, and
/// each of them waits for all chunks before it.
const CROWDED: Duration = Duration::from_millis(20);

/// A wait longer than this shows that many programs want the lock.
const LONG_WAIT: Duration = Duration::from_millis(240);

/// A wait longer than this shows that another program held the lock.
const WAIT: Duration = Duration::from_millis(2);

/// The minimum time for which the lock stays free after a brisk chunk: SQLite's busy handler retries once in this time.
const REST: Duration = Duration::from_millis(40);

/// The longest rest, for when many programs load rows concurrently.
const LONGEST_REST: Duration = Duration::from_secs(3);

/// The limits of a gentle chunk while others write: how long it holds the lock, how many times as long it rests, and the
/// longest rest. A writer that finds the lock taken sleeps for 40 ms, so its 99th percentile stays low only if this is rare.
const GENTLE: Duration = Duration::from_millis(2);
const GENTLE_REST: u32 = 200;
const LONGEST_GENTLE_REST: Duration = Duration::from_millis(250);

/// The longest time for which a chunk holds the lock when no other connection has written for a while.
const ALONE: Duration = Duration::from_millis(800);

/// Chunks grow only if no other connection has written for this long.
const QUIET: Duration = Duration::from_secs(1);

/// After holding the lock for this long, release it for [`LOOK_OUT`], even if no other writer was noticed. Meanwhile the log
/// is copied into the database.
const UNSEEN: Duration = Duration::from_secs(1);

/// How long the lock stays free for a writer that was not noticed yet. Its busy handler retries ten times a second.
const LOOK_OUT: Duration = Duration::from_millis(110);

/// A separate connection to SQLite. Only a separate connection can tell the writes of this program's other threads from its
/// own.
pub(super) struct Own {
    session: Session,
    turns: Turns,
    /// The last value of `PRAGMA data_version`, which changes when another connection has written.
    version: i32,
    pub(super) pace: Pace,
    /// How long the last chunk held the lock.
    pub(super) held: Duration,
    /// The time until which the lock stays free.
    free_until: Instant,
}

/// How long a chunk holds the lock, and how long the lock stays free afterward.
pub(super) struct Pace {
    manner: Manner,
    pub(super) hold: Duration,
    rest: Duration,
    /// The last time another writer was noticed.
    noticed: Option<Instant>,
    /// The total time the lock was held since it was last free for long enough to notice another writer.
    unseen: Duration,
}

impl Own {
    pub(super) fn new(db: &Database, manner: Manner) -> Result<Self> {
        db.require_no_write()?;
        let mut session = db.session()?;
        // The larger cache keeps changed pages in memory until the chunk is committed. The commit does not checkpoint: the
        // log is copied into the database between two chunks, when nothing waits for it.
        on_backend!(
            &mut *session,
            sqlite => |c| diesel::connection::SimpleConnection::batch_execute(
                c,
                "PRAGMA cache_size = -40000; PRAGMA wal_autocheckpoint = 0"
            ),
            postgres => |_c| Ok(())
        )?;
        let version = wake::version(&mut session)?;
        let pace = Pace::new(manner);
        let turns = Turns::of(db.url());
        Ok(Self { session, turns, version, pace, held: Duration::ZERO, free_until: Instant::now() })
    }

    pub(super) fn write<T>(
        &mut self,
        db: &Database,
        work: impl FnOnce(&mut DbConnection, Chunk) -> Result<T>,
    ) -> Result<T> {
        std::thread::sleep(self.free_until.saturating_duration_since(Instant::now()));
        let turn = self.turns.take(db.busy_timeout());
        let asked = Instant::now();
        self.begin(db)?;
        let begun = Instant::now();
        let waited = begun - asked;
        let hold = self.pace.hold_after(waited);
        let is_short = turn.is_crowded || waited > WAIT || self.pace.noticed.is_some();
        let chunk = Chunk { time: Some((begun, begun + hold)), is_short };
        let done = self.session.finish(|conn| work(conn, chunk))?;
        let ended = Instant::now();
        let version = wake::version(&mut self.session)?;
        let others_wrote = std::mem::replace(&mut self.version, version) != version;
        self.held = ended - begun;
        self.pace.adapt(waited, self.held, others_wrote);
        if turn.is_crowded || !self.pace.rest.is_zero() {
            self.checkpoint();
        }
        self.free_until = ended + self.pace.rest;
        if turn.is_crowded {
            // The turn ends here. Without this pause the next long write would take the lock at once.
            std::thread::sleep((ended + REST).saturating_duration_since(Instant::now()));
        }
        Ok(done)
    }

    /// Takes the write lock. As long as other writers make progress, keeps waiting for up to six times the busy timeout.
    fn begin(&mut self, db: &Database) -> Result<()> {
        let patience = Instant::now() + db.busy_timeout() * 6;
        loop {
            let version = wake::version(&mut self.session)?;
            match self.session.begin("BEGIN IMMEDIATE") {
                Err(Error::Busy { .. })
                    if Instant::now() < patience && wake::version(&mut self.session)? != version => {}
                result => return result,
            }
        }
    }

    /// Copies the log into the database while others may write, so that they do not have to do it.
    fn checkpoint(&mut self) {
        let copied = on_backend!(
            &mut *self.session,
            sqlite => |c| Checkpoint::passive(c).map(drop),
            postgres => |_c| Ok(())
        );
        // The rows are already committed, so this is not an error. If the cause persists, the next chunk fails with it.
        if let Err(error) = copied {
            tracing::info!("cannot copy the write-ahead log into the database: {error}");
        }
    }
}

impl Drop for Own {
    /// Copies the rest of the log, so that the next writer does not have to do it.
    fn drop(&mut self) {
        self.checkpoint();
    }
}

impl Pace {
    const fn new(manner: Manner) -> Self {
        let hold = match manner {
            Manner::Brisk => SHARED,
            Manner::Gentle => GENTLE,
        };
        Self { manner, hold, rest: Duration::ZERO, noticed: None, unseen: Duration::ZERO }
    }

    /// Returns how long a chunk may hold the lock after it `waited` for the lock.
    fn hold_after(&self, waited: Duration) -> Duration {
        match waited {
            waited if waited > LONG_WAIT => self.hold.min(CROWDED),
            waited if waited > WAIT => self.hold.min(SHARED),
            _ => self.hold,
        }
    }

    /// Sets the pace of the next chunk, after a chunk that `waited` for the lock and `held` it.
    fn adapt(&mut self, waited: Duration, held: Duration, others_wrote: bool) {
        let now = Instant::now();
        self.unseen += held;
        if others_wrote || waited > WAIT {
            self.noticed = Some(now);
            self.share(waited, held);
            self.unseen = Duration::ZERO;
        } else if self.noticed.is_some_and(|at| now - at < QUIET) {
            self.share(waited, held);
        } else {
            self.hold = (self.hold * 2).min(ALONE);
            let is_unseen = self.unseen >= UNSEEN;
            self.rest = if is_unseen { LOOK_OUT } else { Duration::ZERO };
            if is_unseen {
                self.unseen = Duration::ZERO;
            }
        }
    }

    /// Shortens the next chunk and sets a rest for other writers, after a chunk that `waited` for the lock and `held` it.
    fn share(&mut self, waited: Duration, held: Duration) {
        match self.manner {
            Manner::Gentle => {
                self.hold = GENTLE;
                self.rest = (held * GENTLE_REST).min(LONGEST_GENTLE_REST);
            }
            Manner::Brisk => {
                self.hold = SHARED;
                // When many writers compete for the lock, each of them rests longer.
                self.rest = if waited > LONG_WAIT { self.rest * 2 } else { self.rest * 3 / 4 };
                self.rest = self.rest.clamp(REST, LONGEST_REST);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn a_chunk_is_shorter_after_a_longer_wait() {
        let mut pace = Pace::new(Manner::Brisk);
        assert_eq!((pace.hold_after(MS), pace.hold_after(MS * 300)), (SHARED, CROWDED));
        for _ in 0..9 {
            pace.adapt(Duration::ZERO, SHARED, false);
        }
        assert_eq!(pace.hold_after(MS), ALONE);
        assert_eq!((pace.hold_after(MS * 3), pace.hold_after(MS * 300)), (SHARED, CROWDED));
    }

    #[test]
    fn chunks_rest_while_others_write_and_longer_if_many_do() {
        let mut pace = Pace::new(Manner::Brisk);
        pace.adapt(Duration::ZERO, SHARED, true);
        assert_eq!((pace.hold, pace.rest), (SHARED, REST));
        for _ in 0..9 {
            pace.adapt(MS * 300, CROWDED, true);
        }
        assert_eq!((pace.hold, pace.rest), (SHARED, LONGEST_REST));
    }

    #[test]
    fn a_gentle_chunk_rests_two_hundred_times_as_long_as_it_worked() {
        let mut pace = Pace::new(Manner::Gentle);
        pace.adapt(Duration::ZERO, MS, true);
        assert_eq!((pace.hold, pace.rest), (GENTLE, MS * 200));
        pace.adapt(Duration::ZERO, MS * 60, true);
        assert_eq!(pace.rest, LONGEST_GENTLE_REST);
    }

    #[test]
    fn the_lock_is_released_briefly_after_each_second_of_holding_it() {
        let mut pace = Pace::new(Manner::Brisk);
        let mut rests = Vec::new();
        for _ in 0..4 {
            pace.adapt(Duration::ZERO, MS * 500, false);
            rests.push(pace.rest);
        }
        assert_eq!(rests, [Duration::ZERO, LOOK_OUT, Duration::ZERO, LOOK_OUT]);
    }
}
