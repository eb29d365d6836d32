//! Many rows, written in chunks that leave room for other writers.
//!
//! SQLite has one write lock for the whole file. A large transaction is cheap for the one who writes: each page that it
//! changes goes into the write-ahead log once. For everybody else it is a wait. So a chunk is long while nobody else
//! writes, and short as soon as somebody does, with a rest behind it in which the others come to their turn. On
//! PostgreSQL writers do not wait for each other, and a chunk is as large as it is given.

use std::time::{Duration, Instant};

#[cfg(feature = "sqlite")]
use super::Session;
use super::{Database, DatabaseUrl, DbConnection};
use crate::Result;
#[cfg(feature = "sqlite")]
use crate::db::on_backend;
#[cfg(feature = "sqlite")]
use crate::{Error, db::sqlite::Checkpoint};

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

/// After so much time with the lock, it is free for [`LOOK_OUT`], even if nobody seems to want it.
const UNSEEN: Duration = Duration::from_millis(1_500);

/// How long the lock stays free for a writer that was not seen yet: its handler asks ten times a second.
const LOOK_OUT: Duration = Duration::from_millis(110);

/// How long a chunk is to take on PostgreSQL.
const ON_POSTGRES: Duration = Duration::from_secs(1);

/// Writes many rows, chunk by chunk.
pub(crate) struct Bulk<'a> {
    db: &'a Database,
    /// How long the last chunk took.
    took: Duration,
    #[cfg(feature = "sqlite")]
    own: Option<Own>,
}

/// A connection of its own to SQLite: only so can it tell the writes of this program's other threads from its own.
#[cfg(feature = "sqlite")]
struct Own {
    session: Session,
    /// What `PRAGMA data_version` said last; it changes when another connection has written.
    version: i32,
    pace: Pace,
    /// How long the last chunk held the lock.
    held: Duration,
}

/// How long the lock is held, and how long it is free after that.
#[cfg(feature = "sqlite")]
struct Pace {
    hold: Duration,
    rest: Duration,
    /// When another writer was noticed last.
    noticed: Option<Instant>,
    /// How long the lock was held since it was free for long enough to notice another writer.
    unseen: Duration,
}

/// A chunk that is being written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk {
    end: Option<Instant>,
}

impl Chunk {
    /// Whether it has held the lock for as long as it may: what is left belongs into the next one.
    pub(crate) fn is_over(self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }
}

impl<'a> Bulk<'a> {
    pub(crate) fn new(db: &'a Database) -> Result<Self> {
        Ok(Self {
            db,
            took: Duration::ZERO,
            #[cfg(feature = "sqlite")]
            own: match db.url() {
                DatabaseUrl::Postgres(_) => None,
                _ => Some(Own::new(db)?),
            },
        })
    }

    /// How many rows the next chunk is to have, if the last one had so many: as many as fit into the time for which it may
    /// hold the lock, and at most twice as many.
    pub(crate) fn next_rows(&self, last: usize) -> usize {
        let hold = {
            #[cfg(feature = "sqlite")]
            {
                self.own.as_ref().map_or(ON_POSTGRES, |own| own.pace.hold)
            }
            #[cfg(not(feature = "sqlite"))]
            ON_POSTGRES
        };
        let fits = last as f64 * hold.as_secs_f64() / self.took.as_secs_f64().max(1e-6);
        (fits as usize).min(last * 2)
    }

    /// Runs `work` in a transaction. It is to look at the chunk now and then, and to come back soon once that is over.
    /// An error rolls all of it back.
    pub(crate) fn write<T>(&mut self, work: impl FnOnce(&mut DbConnection, Chunk) -> Result<T>) -> Result<T> {
        let mut begun = Instant::now();
        let work = |conn: &mut DbConnection, chunk: Chunk| {
            begun = Instant::now(); // without the time for which others had the lock
            work(conn, chunk)
        };
        #[cfg(feature = "sqlite")]
        if let Some(own) = &mut self.own {
            let done = own.write(self.db, work).map_err(|error| self.db.explained(error))?;
            self.took = own.held;
            return Ok(done);
        }
        let done = self.db.write(|conn| work(conn, Chunk { end: None }))?;
        self.took = begun.elapsed();
        Ok(done)
    }
}

#[cfg(feature = "sqlite")]
impl Own {
    fn new(db: &Database) -> Result<Self> {
        db.require_no_write()?;
        let mut session = db.session()?;
        // Pages that are changed stay in memory until the chunk is committed. The log is copied into the database
        // between two chunks, when nobody waits for it, and not by the commit.
        on_backend!(
            &mut *session,
            sqlite => |c| diesel::connection::SimpleConnection::batch_execute(
                c,
                "PRAGMA cache_size = -48000; PRAGMA wal_autocheckpoint = 0"
            ),
            postgres => |_c| Ok(())
        )?;
        let version = super::wake::version(&mut session)?;
        let pace = Pace { hold: SHARED, rest: Duration::ZERO, noticed: None, unseen: Duration::ZERO };
        Ok(Self { session, version, pace, held: Duration::ZERO })
    }

    fn write<T>(
        &mut self,
        db: &Database,
        work: impl FnOnce(&mut DbConnection, Chunk) -> Result<T>,
    ) -> Result<T> {
        let asked = Instant::now();
        self.begin(db)?;
        let begun = Instant::now();
        let chunk = Chunk { end: Some(begun + self.pace.hold) };
        let done = self.session.finish(|conn| work(conn, chunk))?;
        let ended = Instant::now();
        self.checkpoint();
        let version = super::wake::version(&mut self.session)?;
        let others_wrote = std::mem::replace(&mut self.version, version) != version;
        self.held = ended - begun;
        self.pace.adapt(begun - asked, self.held, others_wrote);
        std::thread::sleep((ended + self.pace.rest).saturating_duration_since(Instant::now()));
        Ok(done)
    }

    /// Takes the lock. As long as others come to their turn meanwhile, ours comes too, though it may take longer than
    /// one lock is waited for.
    fn begin(&mut self, db: &Database) -> Result<()> {
        let patience = Instant::now() + db.busy_timeout() * 6;
        loop {
            let version = super::wake::version(&mut self.session)?;
            match self.session.begin("BEGIN IMMEDIATE") {
                Err(Error::Busy { .. })
                    if Instant::now() < patience && super::wake::version(&mut self.session)? != version => {}
                result => return result,
            }
        }
    }

    /// Copies the log into the database. Readers and other writers are not kept waiting, and need not do it themselves.
    fn checkpoint(&mut self) {
        let copied = on_backend!(
            &mut *self.session,
            sqlite => |c| Checkpoint::passive(c).map(drop),
            postgres => |_c| Ok(())
        );
        // The rows are committed, and stay so; what keeps the log from being copied will stop the next chunk.
        if let Err(error) = copied {
            tracing::warn!("the write-ahead log could not be copied into the database: {error}");
        }
    }
}

#[cfg(feature = "sqlite")]
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
