//! How fast a prune works beside others.

use std::time::{Duration, Instant};

#[cfg(feature = "postgres")]
use diesel::connection::SimpleConnection;

use crate::db::on_backend;
use crate::error::ResultExt;
use crate::{Database, DbConnection, Result, Session};

/// How long a transaction is to take while others write, and how many times as long the rest after it takes. On SQLite
/// others wait for the lock; on PostgreSQL for nothing but the processor and the disk.
const ON_SQLITE: (Duration, u32) = (Duration::from_millis(2), 200);
const ON_POSTGRES: (Duration, u32) = (Duration::from_millis(10), 1);

/// The longest rest.
const LONGEST: Duration = Duration::from_secs(1);

/// A connection that deletes, and how much at a time.
pub(super) struct Pace<'a> {
    db: &'a Database,
    session: Session,
    /// Most rows at a time.
    most: usize,
    /// Rows at a time, at present.
    rows: usize,
    /// What SQLite said when it was last asked whether others have written.
    version: Option<String>,
}

impl<'a> Pace<'a> {
    pub(super) fn new(db: &'a Database, most: u32) -> Result<Self> {
        // A connection of its own, so that SQLite tells the writes of this program's other threads from its own.
        let mut session = db.session()?;
        let version = version(&mut session)?;
        let most = most as usize;
        Ok(Self { db, session, most, rows: most.min(50), version })
    }

    /// Takes from the rows that are left those to delete next.
    pub(super) fn next<'b>(&self, left: &mut &'b [String]) -> Option<&'b [String]> {
        let (next, rest) = left.split_at(self.rows.min(left.len()));
        *left = rest;
        if next.is_empty() { None } else { Some(next) }
    }

    /// Runs `work` in a transaction, and rests.
    pub(super) fn write<T>(&mut self, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        let wait = self.db.busy_timeout();
        let mut start = Instant::now();
        let done = self.session.atomically(|conn| {
            start = Instant::now(); // without the time for which others had the lock
            wait_no_longer(conn, wait)?;
            work(conn)
        });
        let done = done.map_err(|error| self.db.explained(error))?;
        self.rest(start.elapsed())?;
        Ok(done)
    }

    fn rest(&mut self, took: Duration) -> Result<()> {
        let version = version(&mut self.session)?;
        let (hold, rest) = match &version {
            Some(_) => ON_SQLITE,
            None => ON_POSTGRES,
        };
        let others_write = version.is_none() || version != self.version;
        self.version = version;
        if !others_write {
            self.rows = (self.rows * 2).min(self.most);
            return Ok(());
        }
        let fits = (self.rows as f64 * hold.as_secs_f64() / took.as_secs_f64()) as usize;
        self.rows = fits.clamp(1, self.rows * 2).min(self.most);
        std::thread::sleep((took * rest).min(LONGEST));
        Ok(())
    }
}

/// What changes whenever others write; nothing where that cannot be told.
fn version(conn: &mut DbConnection) -> Result<Option<String>> {
    on_backend!(
        conn,
        sqlite => |c| crate::db::sqlite::pragma(c, "data_version").map(Some),
        postgres => |_c| Ok(None)
    )
    .of("the database", "")
}

/// A lock of another session is waited for no longer than in a `write`.
#[cfg_attr(not(feature = "postgres"), allow(unused_variables))] // SQLite's connections know it
fn wait_no_longer(conn: &mut DbConnection, wait: Duration) -> Result<()> {
    on_backend!(
        conn,
        sqlite => |_c| Ok(()),
        postgres => |c| c.batch_execute(&format!("SET LOCAL lock_timeout = {}", wait.as_millis()))
    )
    .of("the database", "")
}
