//! How fast a prune works beside others.

use std::time::{Duration, Instant};

use crate::db::on_backend;
use crate::error::ResultExt;
use crate::{Database, DbConnection, Result, Session};

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
    version: String,
}

/// What is aimed at while others write.
struct Aim {
    /// How long a transaction takes.
    hold: Duration,
    /// How many times as long the rest takes.
    rest: u32,
    others_write: bool,
}

impl<'a> Pace<'a> {
    pub(super) fn new(db: &'a Database, most: u32) -> Result<Self> {
        let most = most as usize;
        // A connection of its own, so that SQLite tells the writes of this program's other threads from its own.
        Ok(Self { db, session: db.session()?, most, rows: most.min(50), version: String::new() })
    }

    /// How many rows to delete next.
    pub(super) const fn rows(&self) -> usize {
        self.rows
    }

    /// Runs `work` in a transaction, and rests.
    pub(super) fn write<T>(&mut self, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        let mut start = Instant::now();
        let done = self.session.atomically(|conn| {
            start = Instant::now(); // without the time for which others had the lock
            wait_no_longer(conn)?;
            work(conn)
        });
        let done = done.map_err(|error| self.db.explained(error))?;
        self.rest(start.elapsed())?;
        Ok(done)
    }

    fn rest(&mut self, took: Duration) -> Result<()> {
        let version = &mut self.version;
        let aim = on_backend!(
            &mut *self.session,
            sqlite => |c| crate::db::sqlite::pragma(c, "data_version").map(|now| Aim {
                hold: Duration::from_millis(2),
                rest: 200,
                others_write: std::mem::replace(version, now.clone()) != now,
            }),
            // Who deletes holds no lock that others wait for, and takes processor and disk from them.
            postgres => |_c| {
                version.clear();
                Ok(Aim { hold: Duration::from_millis(10), rest: 1, others_write: true })
            }
        )
        .of("the database", "")?;
        if !aim.others_write {
            self.rows = (self.rows * 2).min(self.most);
            return Ok(());
        }
        let fits = (self.rows as f64 * aim.hold.as_secs_f64() / took.as_secs_f64()) as usize;
        self.rows = fits.clamp(1, self.rows * 2).min(self.most);
        std::thread::sleep((took * aim.rest).min(LONGEST));
        Ok(())
    }
}

/// A lock of another session is waited for no longer than in a `write`.
fn wait_no_longer(conn: &mut DbConnection) -> Result<()> {
    use diesel::connection::SimpleConnection;
    on_backend!(conn, sqlite => |_c| Ok(()), postgres => |c| c.batch_execute("SET LOCAL lock_timeout = '5s'"))
        .of("the database", "")
}
