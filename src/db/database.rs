//! The database: opened once, shared by all threads, read and written through two verbs.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::sync::Arc;
#[cfg(feature = "sqlite")]
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
#[cfg(feature = "sqlite")]
use std::thread::ThreadId;
use std::time::Duration;

use diesel::r2d2::{ManageConnection, Pool, PooledConnection};

#[cfg(feature = "async")]
use super::nonblocking::Permits;
#[cfg(feature = "postgres")]
use super::postgres;
#[cfg(feature = "sqlite")]
use super::sqlite::{self, Access, Place};
use super::{DatabaseUrl, DbConnection, migrate};
use crate::{Error, Result};

/// How a database is opened; `Options::default()` is what [`Database::open`] uses.
#[derive(Debug, Clone)]
pub struct Options {
    /// Most connections at a time: readers on SQLite, all on PostgreSQL. At least 1; 8 unless told.
    pub connections: u32,
    /// How long to wait for another program's write lock on SQLite, and for a free connection.
    /// From 1 millisecond to 24 days; what is shorter or longer counts as these. 5 seconds unless told.
    pub busy_timeout: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self { connections: 8, busy_timeout: Duration::from_secs(5) }
    }
}

/// An open database. Cloning it is cheap; all clones share its connections.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    opener: Opener,
    /// Readers on SQLite, all connections on PostgreSQL.
    pool: Pool<Opener>,
    /// SQLite has one writer at a time.
    #[cfg(feature = "sqlite")]
    writer: Option<Writer>,
    #[cfg(feature = "async")]
    permits: Permits,
}

impl Database {
    /// Connects, applies pending migrations under a lock, checks the history, and returns.
    ///
    /// A SQLite file that is not there is made, readable by its owner only.
    ///
    /// # Errors
    /// [`Error::SchemaNewer`] and [`Error::SchemaModified`] if the database is not this program's,
    /// [`Error::UnsupportedUrl`], [`Error::Unusable`], [`Error::Busy`], [`Error::Io`] if it cannot be
    /// opened.
    ///
    /// ```
    /// # fn main() -> viraldb::Result<()> {
    /// let db = viraldb::Database::open("sqlite::memory:")?;
    /// let pending = db.read(|c| viraldb::compilation::DiscoveredVideo::pending(c, "gaming", 15))?;
    /// assert!(pending.is_empty());
    /// # Ok(())
    /// # }
    /// ```
    pub fn open(url: &str) -> Result<Self> {
        Self::open_with(url, &Options::default())
    }

    /// [`Database::open`] with options.
    pub fn open_with(url: &str, options: &Options) -> Result<Self> {
        let opener = Opener::new(url.parse()?, options)?;
        let (_made, ()) = opener.made(migrate::prepare)?; // a database in memory is gone with its last connection
        Self::with(opener)
    }

    /// Connects without changing anything.
    ///
    /// # Errors
    /// [`Error::NotInitialised`] if there is no viraldb database, [`Error::SchemaPending`] if it is
    /// older than this program, and those of [`Database::open`].
    pub fn connect(url: &str) -> Result<Self> {
        Self::connect_with(url, &Options::default())
    }

    /// [`Database::connect`] with options.
    pub fn connect_with(url: &str, options: &Options) -> Result<Self> {
        let opener = Opener::new(url.parse()?, options)?;
        let history = opener.history()?;
        if !history.is_initialised() {
            return Err(Error::NotInitialised(opener.url.to_string()));
        }
        history.require_current()?;
        Self::with(opener)
    }

    fn with(opener: Opener) -> Result<Self> {
        #[cfg(feature = "sqlite")]
        let writer = match opener.url {
            DatabaseUrl::Postgres(_) => None,
            _ => {
                Some(Writer { conn: Mutex::new(opener.establish(Access::Write)?), thread: Mutex::new(None) })
            }
        };
        let pool = Pool::builder()
            .max_size(opener.options.connections)
            .min_idle(Some(0))
            .test_on_check_out(false)
            .idle_timeout(None)
            .max_lifetime(None)
            .connection_timeout(opener.options.busy_timeout)
            .error_handler(Box::new(LogErrors))
            .build_unchecked(opener.clone());
        tracing::info!(database = %opener.url, "open");
        Ok(Self(Arc::new(Inner {
            #[cfg(feature = "async")]
            permits: Permits::new(
                opener.options.connections,
                !matches!(opener.url, DatabaseUrl::Postgres(_)),
            ),
            opener,
            pool,
            #[cfg(feature = "sqlite")]
            writer,
        })))
    }

    /// Where the database is; prints with the password masked.
    pub fn url(&self) -> &DatabaseUrl {
        &self.0.opener.url
    }

    /// The migrations and how far the database is with them.
    pub fn history(&self) -> Result<migrate::History> {
        self.0.opener.history()
    }

    #[cfg(feature = "async")]
    pub(super) fn permits(&self) -> &Permits {
        &self.0.permits
    }

    /// A connection of its own that only reads.
    #[cfg(feature = "sqlite")]
    pub(crate) fn reader(&self) -> Result<DbConnection> {
        self.0.opener.reader()
    }

    /// The size of SQLite's write-ahead log in bytes; nothing for a database without one.
    pub(crate) fn wal_bytes(&self) -> Option<u64> {
        let DatabaseUrl::File(path) = self.url() else { return None };
        Some(std::fs::metadata(super::url::beside(path, "-wal")).map_or(0, |file| file.len()))
    }

    /// Reads. On SQLite the connection cannot write; on PostgreSQL it is a READ ONLY transaction.
    ///
    /// Each statement sees what was committed when it began; `conn.transaction` around several gives
    /// them one view on SQLite.
    pub fn read<T>(&self, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        let result = match self.url() {
            DatabaseUrl::Postgres(_) => self.begun("BEGIN READ ONLY").and_then(|mut slot| slot.finish(work)),
            _ => self.pooled().and_then(|mut slot| work(&mut slot.conn)),
        };
        result.map_err(|error| self.0.opener.explained(error))
    }

    /// Writes, in one transaction: IMMEDIATE on SQLite. An error rolls all of it back.
    ///
    /// # Errors
    /// Those of `work`, and `Invalid` on SQLite for a write within a write of the same thread.
    pub fn write<T>(&self, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        #[cfg(feature = "sqlite")]
        if let Some(writer) = &self.0.writer {
            return self
                .writer(writer)
                .and_then(|mut writing| writing.conn.atomically(work))
                .map_err(|error| self.0.opener.explained(error));
        }
        self.begun("BEGIN")
            .and_then(|mut slot| slot.finish(work))
            .map_err(|error| self.0.opener.explained(error))
    }

    /// A connection of one's own, which reads and writes; each write outside a transaction is one of
    /// its own.
    pub fn session(&self) -> Result<Session> {
        let session = match self.url() {
            DatabaseUrl::Postgres(_) => self.pooled().map(Held::Pooled),
            #[cfg(feature = "sqlite")]
            _ => self.0.opener.establish(Access::Write).map(|conn| Held::Own(Box::new(conn))),
            #[cfg(not(feature = "sqlite"))]
            _ => self.pooled().map(Held::Pooled),
        };
        session.map(Session).map_err(|error| self.0.opener.explained(error))
    }

    fn pooled(&self) -> Result<PooledConnection<Opener>> {
        // The pool says only that time is up: why, a connection outside it shows.
        self.0.pool.get().map_err(|_| match self.0.opener.reader() {
            Err(cause) => cause,
            Ok(_) => Error::Busy {
                database: self.url().to_string(),
                reason: format!("all {} connections were in use for too long", self.0.pool.max_size()),
            },
        })
    }

    /// A connection with a transaction begun, in which a lock is waited for no longer than we were told;
    /// PgBouncer keeps no setting longer than a transaction. Pooled connections may have died since their last use,
    /// which shows here, before anything was done on them: each is given up for another one.
    fn begun(&self, sql: &str) -> Result<PooledConnection<Opener>> {
        let wait = self.0.opener.options.busy_timeout.as_millis();
        let sql = format!("{sql}; SET LOCAL lock_timeout = {wait}");
        let mut tries = self.0.pool.max_size() + 1;
        loop {
            let mut slot = self.pooled()?;
            match slot.conn.begin(&sql) {
                Ok(()) => return Ok(slot),
                Err(error) => {
                    slot.broken = true;
                    tries -= 1;
                    if tries == 0 {
                        return Err(error);
                    }
                }
            }
        }
    }

    /// The writer. A panic in the middle of a write poisons it; the next one gets a new connection.
    ///
    /// Who finds it taken waits as for the lock of the file, for the same reasons.
    #[cfg(feature = "sqlite")]
    fn writer<'a>(&self, writer: &'a Writer) -> Result<Writing<'a>> {
        let me = std::thread::current().id();
        if *writer.thread() == Some(me) {
            return Err(Error::invalid(
                "a write within a write",
                "would wait for itself; use the connection that the outer one was given",
            ));
        }
        let start = std::time::Instant::now();
        let conn = loop {
            match writer.conn.try_lock() {
                Ok(conn) => break conn,
                Err(TryLockError::WouldBlock) => std::thread::sleep(match start.elapsed() {
                    // Most writes are over by then.
                    waited if waited < Duration::from_micros(400) => Duration::from_micros(100),
                    // A thread of ours holds it, and for no longer than it must.
                    waited => sqlite::pause(waited.min(Duration::from_millis(299))),
                }),
                Err(TryLockError::Poisoned(poisoned)) => {
                    let mut conn = poisoned.into_inner();
                    *conn = self.0.opener.establish(Access::Write)?;
                    writer.conn.clear_poison();
                    break conn;
                }
            }
        };
        *writer.thread() = Some(me);
        Ok(Writing { conn, writer })
    }
}

/// The one connection that writes, and the thread that is using it.
#[cfg(feature = "sqlite")]
struct Writer {
    conn: Mutex<DbConnection>,
    thread: Mutex<Option<ThreadId>>,
}

#[cfg(feature = "sqlite")]
impl Writer {
    fn thread(&self) -> MutexGuard<'_, Option<ThreadId>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The writer while a thread has it.
#[cfg(feature = "sqlite")]
struct Writing<'a> {
    conn: MutexGuard<'a, DbConnection>,
    writer: &'a Writer,
}

#[cfg(feature = "sqlite")]
impl Drop for Writing<'_> {
    fn drop(&mut self) {
        *self.writer.thread() = None;
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(self.url()).finish()
    }
}

/// A connection of one's own; see [`Database::session`]. It is used as a [`DbConnection`].
pub struct Session(Held);

enum Held {
    #[cfg(feature = "sqlite")]
    Own(Box<DbConnection>),
    Pooled(PooledConnection<Opener>),
}

impl Deref for Session {
    type Target = DbConnection;

    fn deref(&self) -> &DbConnection {
        match &self.0 {
            #[cfg(feature = "sqlite")]
            Held::Own(conn) => conn,
            Held::Pooled(slot) => &slot.conn,
        }
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut DbConnection {
        match &mut self.0 {
            #[cfg(feature = "sqlite")]
            Held::Own(conn) => conn,
            Held::Pooled(slot) => &mut slot.conn,
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}

/// A connection in the pool.
pub(crate) struct Slot {
    conn: DbConnection,
    broken: bool,
}

impl Slot {
    fn finish<T>(&mut self, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        let result = self.conn.finish(work);
        #[cfg(feature = "postgres")]
        if let Err(error) = &result {
            self.broken |= error.is_lost_connection();
        }
        result
    }
}

/// Opens connections to one database, for the pool and for ourselves.
#[derive(Clone)]
pub(crate) struct Opener {
    pub(crate) url: DatabaseUrl,
    #[cfg(feature = "sqlite")]
    place: Place,
    options: Options,
}

impl Opener {
    pub(crate) fn new(url: DatabaseUrl, options: &Options) -> Result<Self> {
        let missing = |feature: &str| Error::UnsupportedUrl {
            url: url.to_string(),
            reason: format!(
                "this viraldb was built without {0}; build it with `--features {feature}`",
                url.engine()
            ),
        };
        match &url {
            DatabaseUrl::Postgres(_) if !cfg!(feature = "postgres") => return Err(missing("postgres")),
            DatabaseUrl::File(_) | DatabaseUrl::Memory if !cfg!(feature = "sqlite") => {
                return Err(missing("sqlite"));
            }
            _ => {}
        }
        if options.connections == 0 {
            return Err(Error::invalid("connections", "is 0; at least one is needed"));
        }
        // PostgreSQL takes its lock_timeout as an int of milliseconds, and 0 as for ever.
        let range = Duration::from_millis(1)..=Duration::from_millis(i32::MAX as u64);
        let busy_timeout = options.busy_timeout.clamp(*range.start(), *range.end());
        Ok(Self {
            #[cfg(feature = "sqlite")]
            place: match &url {
                DatabaseUrl::File(path) => Place::File(path.clone()),
                _ => Place::Memory(uuid::Uuid::now_v7().to_string()),
            },
            options: Options { busy_timeout, ..options.clone() },
            url,
        })
    }

    /// Runs `work` on a connection for the one who migrates, and returns both. A SQLite file that is not
    /// there is made, and is gone again if `work` fails before anything is in it.
    pub(crate) fn made<T>(
        &self,
        work: impl FnOnce(&mut DbConnection) -> Result<T>,
    ) -> Result<(DbConnection, T)> {
        let done = |mut conn| work(&mut conn).map(|value| (conn, value));
        #[cfg(feature = "sqlite")]
        if let DatabaseUrl::File(path) = &self.url {
            let is_new = sqlite::create(path)?;
            let result = self.in_wal().and_then(done);
            // A lock shows that somebody else uses the file by now.
            if is_new
                && matches!(&result, Err(error) if !matches!(error, Error::Busy { .. }))
                && !self.history().is_ok_and(|history| history.is_initialised())
            {
                sqlite::remove(path);
            }
            return result.map_err(|error| self.explained(error));
        }
        self.for_migration().and_then(done).map_err(|error| self.explained(error))
    }

    /// A connection that writes, to a file with write-ahead logging from now on.
    #[cfg(feature = "sqlite")]
    fn in_wal(&self) -> Result<DbConnection> {
        let mut conn = self.establish(Access::Write)?;
        super::on_backend!(
            &mut conn,
            sqlite => |c| sqlite::set_wal(c, self.options.busy_timeout),
            postgres => |_c| Ok(())
        )?;
        Ok(conn)
    }

    /// The migrations and how far this database is with them. Writes nothing.
    pub(crate) fn history(&self) -> Result<migrate::History> {
        let mut conn = self.reader()?;
        migrate::History::read(&mut conn).map_err(|error| self.explained(error))
    }

    /// A connection that only reads, as far as the engine can hold it to that.
    fn reader(&self) -> Result<DbConnection> {
        #[cfg(feature = "sqlite")]
        if !matches!(self.url, DatabaseUrl::Postgres(_)) {
            return self.establish(Access::Read);
        }
        self.for_migration()
    }

    /// A connection outside the pool, for the one who migrates.
    pub(crate) fn for_migration(&self) -> Result<DbConnection> {
        match &self.url {
            #[cfg(feature = "postgres")]
            DatabaseUrl::Postgres(url) => postgres::establish(url)
                .map(DbConnection::Postgres)
                .map_err(|error| error.in_database(&self.url)),
            #[cfg(feature = "sqlite")]
            _ => self.establish(Access::Write),
            #[cfg(not(all(feature = "sqlite", feature = "postgres")))]
            #[allow(unreachable_patterns)] // `new` let only the compiled engine through
            _ => Err(Error::UnsupportedUrl {
                url: self.url.to_string(),
                reason: "is of another engine".to_owned(),
            }),
        }
    }

    #[cfg(feature = "sqlite")]
    fn establish(&self, access: Access) -> Result<DbConnection> {
        if let Place::File(path) = &self.place {
            sqlite::look_at(path)?;
        }
        sqlite::establish(&self.place, access, self.options.busy_timeout)
            .map(DbConnection::Sqlite)
            .map_err(|error| self.explained(error))
    }

    /// Names the database, and who holds it when it is locked.
    pub(crate) fn explained(&self, error: Error) -> Error {
        #[cfg(feature = "sqlite")]
        if let (Error::Busy { database, .. }, DatabaseUrl::File(path)) = (&error, &self.url)
            && database.is_empty()
        {
            return self.busy(path);
        }
        error.in_database(&self.url)
    }

    /// Who to look for when a file stays locked.
    #[cfg(feature = "sqlite")]
    fn busy(&self, path: &std::path::Path) -> Error {
        let holders = sqlite::holders(path);
        let who = match holders.as_slice() {
            [] => format!("`fuser -v {}` names who has it open", path.display()),
            holders => format!("open in {}", holders.join(", ")),
        };
        Error::Busy {
            database: path.display().to_string(),
            reason: format!("another program held its write lock for {:?}; {who}", self.options.busy_timeout),
        }
    }
}

impl ManageConnection for Opener {
    type Connection = Slot;
    type Error = Error;

    fn connect(&self) -> Result<Slot> {
        self.reader().map(|conn| Slot { conn, broken: false })
    }

    /// Never asked: a transaction begins each use, which shows as much in the same round trip.
    fn is_valid(&self, _: &mut Slot) -> Result<()> {
        Ok(())
    }

    fn has_broken(&self, slot: &mut Slot) -> bool {
        slot.broken || slot.conn.is_dirty() || std::thread::panicking()
    }
}

#[derive(Debug)]
struct LogErrors;

impl diesel::r2d2::HandleError<Error> for LogErrors {
    fn handle_error(&self, error: Error) {
        tracing::warn!("a connection could not be opened: {error}");
    }
}
