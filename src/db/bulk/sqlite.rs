//! How chunks take turns with other writers of a SQLite file.

use std::time::{Duration, Instant};

use super::Chunk;
use crate::db::sqlite::Checkpoint;
use crate::db::{Database, DbConnection, Session, on_backend, wake};
use crate::{Error, Result};

/// How long a chunk holds SQLite's write lock while others write. sqlite3's own handler of a busy lock asks again after
/// 53, 78 and 103 ms, so a writer that met the lock has it after 78 ms.
const SHARED: Duration = Duration::from_millis(60);

/// How long the lock stays free behind such a chunk, at least: the time in which that handler asks once.
const REST: Duration = Duration::from_millis(40);

/// The longest rest, when many programs load rows at once.
const LONGEST_REST: Duration = Duration::from_secs(2);

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
    pub(super) hold: Duration,
    rest: Duration,
    /// When another writer was noticed last.
    noticed: Option<Instant>,
    /// How long the lock was held since it was free for long enough to notice another writer.
    unseen: Duration,
}

impl Own {
    pub(super) fn new(db: &Database) -> Result<Self> {
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
        let pace = Pace { hold: SHARED, rest: Duration::ZERO, noticed: None, unseen: Duration::ZERO };
        Ok(Self { session, version, pace, held: Duration::ZERO, free_until: Instant::now() })
    }

    pub(super) fn write<T>(
        &mut self,
        db: &Database,
        work: impl FnOnce(&mut DbConnection, Chunk) -> Result<T>,
    ) -> Result<T> {
        std::thread::sleep(self.free_until.saturating_duration_since(Instant::now()));
        let asked = Instant::now();
        self.begin(db)?;
        let begun = Instant::now();
        let chunk = Chunk { end: Some(begun + self.pace.hold) };
        let done = self.session.finish(|conn| work(conn, chunk))?;
        let ended = Instant::now();
        let version = wake::version(&mut self.session)?;
        let others_wrote = std::mem::replace(&mut self.version, version) != version;
        self.held = ended - begun;
        self.pace.adapt(begun - asked, self.held, others_wrote);
        if !self.pace.rest.is_zero() {
            self.checkpoint();
        }
        self.free_until = ended + self.pace.rest;
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
    /// Decides about the next chunk after one that `waited` for the lock and `held` it.
    fn adapt(&mut self, waited: Duration, held: Duration, others_wrote: bool) {
        let now = Instant::now();
        self.unseen += held;
        if others_wrote || waited > Duration::from_millis(2) {
            self.noticed = Some(now);
            self.hold = SHARED;
            // Among many who wait for each other, each comes back later.
            self.rest = if waited > SHARED * 4 { self.rest * 2 } else { self.rest * 3 / 4 };
            self.rest = self.rest.clamp(REST, LONGEST_REST);
            self.unseen = Duration::ZERO;
        } else if self.noticed.is_some_and(|at| now - at < QUIET) {
            self.rest = REST;
        } else {
            self.hold = (self.hold * 2).min(ALONE);
            let is_unseen = self.unseen >= UNSEEN;
            self.rest = if is_unseen { LOOK_OUT } else { Duration::ZERO };
            if is_unseen {
                self.unseen = Duration::ZERO;
            }
        }
    }
}
