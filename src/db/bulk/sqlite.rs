//! How chunks take turns with other writers of a SQLite file.

use std::time::{Duration, Instant};

use super::turn::Turns;
use super::{Chunk, Manner};
use crate::db::sqlite::Checkpoint;
use crate::db::{Database, DbConnection, Session, on_backend, wake};
use crate::{Error, Result};

/// How long a brisk chunk holds SQLite's write lock while others write. sqlite3's own handler of a busy lock asks again
/// after 53, 78 and 103 ms, so a writer that met the lock has it after 78 ms.
const SHARED: Duration = Duration::from_millis(60);

/// How long it holds the lock that it waited for longer than [`LONG_WAIT`]: many others are waiting, too, and each of them
/// waits for all chunks that come first.
const CROWDED: Duration = Duration::from_millis(20);

/// A wait that shows that many programs want the lock.
const LONG_WAIT: Duration = Duration::from_millis(240);

/// A wait for the lock that shows that another program had it.
const WAIT: Duration = Duration::from_millis(2);

/// How long the lock stays free after a brisk chunk, at least: the time in which that handler asks once.
const REST: Duration = Duration::from_millis(40);

/// The longest rest, when many programs load rows at once.
const LONGEST_REST: Duration = Duration::from_secs(3);

/// How long a gentle chunk holds the lock while others write, how many times as long it rests, and at most how long. A
/// writer that meets the lock sleeps for 40 ms, so the 99th percentile stays low as long as few writes meet it.
const GENTLE: Duration = Duration::from_millis(2);
const GENTLE_REST: u32 = 200;
const LONGEST_GENTLE_REST: Duration = Duration::from_millis(250);

/// How long a chunk holds the lock when nobody else has written for a while.
const ALONE: Duration = Duration::from_millis(800);

/// How long nobody else must have written for chunks to grow.
const QUIET: Duration = Duration::from_secs(1);

/// After so much time with the lock, it is free for [`LOOK_OUT`], even if nobody seems to want it. The log is copied into
/// the database meanwhile.
const UNSEEN: Duration = Duration::from_secs(1);

/// How long the lock stays free for a writer that was not seen yet: its handler asks ten times a second.
const LOOK_OUT: Duration = Duration::from_millis(110);

/// A connection of its own to SQLite: only so can it tell the writes of this program's other threads from its own.
pub(super) struct Own {
    session: Session,
    turns: Turns,
    /// What `PRAGMA data_version` said last; it changes when another connection has written.
    version: i32,
    pub(super) pace: Pace,
    /// How long the last chunk held the lock.
    pub(super) held: Duration,
    /// Until when the lock stays free.
    free_until: Instant,
}

/// How long the lock is held, and how long it is free after that.
pub(super) struct Pace {
    manner: Manner,
    pub(super) hold: Duration,
    rest: Duration,
    /// When another writer was noticed last.
    noticed: Option<Instant>,
    /// How long the lock was held since it was free for long enough to notice another writer.
    unseen: Duration,
}

impl Own {
    pub(super) fn new(db: &Database, manner: Manner) -> Result<Self> {
        db.require_no_write()?;
        let mut session = db.session()?;
        // Pages that are changed stay in memory until the chunk is committed. The log is copied into the database
        // between two chunks, when nobody waits for it, and not by the commit.
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
            // The next long write would begin at once.
            std::thread::sleep((ended + REST).saturating_duration_since(Instant::now()));
        }
        Ok(done)
    }

    /// Takes the lock. As long as others come to their turn meanwhile, ours comes too, though it may take longer than
    /// one lock is waited for.
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

    /// Copies the log into the database while others may write. They need not do it themselves then.
    fn checkpoint(&mut self) {
        let copied = on_backend!(
            &mut *self.session,
            sqlite => |c| Checkpoint::passive(c).map(drop),
            postgres => |_c| Ok(())
        );
        // The rows are committed, and stay so. What keeps the log from being copied is an error of the next chunk.
        if let Err(error) = copied {
            tracing::info!("the write-ahead log could not be copied into the database: {error}");
        }
    }
}

impl Drop for Own {
    /// The next writer need not copy what the last chunks left in the log.
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

    /// How long a chunk may hold the lock for which it has waited.
    fn hold_after(&self, waited: Duration) -> Duration {
        match waited {
            waited if waited > LONG_WAIT => self.hold.min(CROWDED),
            waited if waited > WAIT => self.hold.min(SHARED),
            _ => self.hold,
        }
    }

    /// Decides about the next chunk after one that `waited` for the lock and `held` it.
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

    /// Makes room for others after a chunk that `waited` for the lock and `held` it.
    fn share(&mut self, waited: Duration, held: Duration) {
        match self.manner {
            Manner::Gentle => {
                self.hold = GENTLE;
                self.rest = (held * GENTLE_REST).min(LONGEST_GENTLE_REST);
            }
            Manner::Brisk => {
                self.hold = SHARED;
                // Among many who wait for each other, each comes back later.
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
    fn a_chunk_is_shorter_the_longer_it_waited() {
        let mut pace = Pace::new(Manner::Brisk);
        assert_eq!((pace.hold_after(MS), pace.hold_after(MS * 300)), (SHARED, CROWDED));
        for _ in 0..9 {
            pace.adapt(Duration::ZERO, SHARED, false);
        }
        assert_eq!(pace.hold_after(MS), ALONE);
        assert_eq!((pace.hold_after(MS * 3), pace.hold_after(MS * 300)), (SHARED, CROWDED));
    }

    #[test]
    fn chunks_rest_while_others_write_and_longer_among_many() {
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
    fn the_lock_is_free_for_a_moment_in_each_second_that_it_was_held() {
        let mut pace = Pace::new(Manner::Brisk);
        let mut rests = Vec::new();
        for _ in 0..4 {
            pace.adapt(Duration::ZERO, MS * 500, false);
            rests.push(pace.rest);
        }
        assert_eq!(rests, [Duration::ZERO, LOOK_OUT, Duration::ZERO, LOOK_OUT]);
    }
}
