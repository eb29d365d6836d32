//! The database handle: opened once, shared by all threads, used through `read` and `write`.

use std::fmt;
use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::Arc;
#[cfg(feature = "sqlite")]
use std::time::Duration;

use diesel::connection::SimpleConnection;

use super::files::Identity;
use super::opener::Opener;
use super::options::Options;
#[cfg(feature = "async")]
use super::permits::Permits;
use super::pool::{Connections, Pooled};
use super::replica::Replica;
use super::source::Source;
#[cfg(feature = "sqlite")]
use super::sqlite::Access;
#[cfg(feature = "sqlite")]
use super::writer::Writer;
use super::{DatabaseUrl, DbConnection, migrate, unfinished};
use crate::{Error, Result};

/// An open database. Cloning it is cheap; all clones share its connections.
#[derive(Clone)]
pub struct Database(Arc<Inner>);

struct Inner {
    main: Source,
    /// The replica that `read` uses, if there is one.
    replica: Option<Replica>,
    /// The only connection that writes to SQLite; `None` on PostgreSQL.
    #[cfg(feature = "sqlite")]
    writer: Option<Writer>,
    #[cfg(feature = "async")]
    permits: Permits,
}

impl Database {
    /// Opens a database: connects, checks its migration history, and applies pending migrations under a lock.
    ///
    /// If the SQLite file does not exist, viraldb creates it so that only its owner can read it.
    ///
    /// # Errors
    /// - [`Error::SchemaNewer`] and [`Error::SchemaModified`] if the migrations applied to the database differ from those of
    ///   this program.
    /// - [`Error::UnsupportedUrl`], [`Error::Unusable`], [`Error::Disconnected`], [`Error::Busy`] and [`Error::Io`] if viraldb
    ///   cannot open the database or the replica that `VIRALDB_READ_URL` names.
    /// - `Invalid` if a migration fails, and the errors of [`Options::from_environment`].
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
        Self::open_with(url, &Options::from_environment()?)
    }

    /// Opens a database with options; see [`Database::open`].
    ///
    /// # Errors
    /// The errors of [`Database::open`], and `Invalid` if [`Options::connections`] is 0.
    pub fn open_with(url: &str, options: &Options) -> Result<Self> {
        let opener = Opener::new(url.parse()?, options)?;
        // Keep this connection open, because an in-memory database disappears when its last connection closes.
        let (_made, history) = opener.made(|conn| migrate::prepare(conn, &opener.url))?;
        warn_of_transfer(&opener, &history);
        Self::with(opener)
    }

    /// Opens the target database of a transfer, without the warning about an unfinished transfer.
    pub(crate) fn open_for_transfer(url: &str) -> Result<Self> {
        let opener = Opener::new(url.parse()?, &Options::default())?;
        let (_made, _) = opener.made(|conn| migrate::prepare(conn, &opener.url))?;
        Self::with(opener)
    }

    /// Connects to a database without applying migrations or changing anything else, with one exception: if a SQLite file has
    /// lost write-ahead logging, viraldb turns it back on.
    ///
    /// # Errors
    /// [`Error::NotInitialised`] if there is no viraldb database, [`Error::SchemaPending`] if migrations are pending, and the
    /// errors of [`Database::open`].
    pub fn connect(url: &str) -> Result<Self> {
        Self::connect_with(url, &Options::from_environment()?)
    }

    /// Connects to a database with options; see [`Database::connect`].
    ///
    /// # Errors
    /// The errors of [`Database::connect`], and `Invalid` if [`Options::connections`] is 0.
    pub fn connect_with(url: &str, options: &Options) -> Result<Self> {
        let opener = Opener::new(url.parse()?, options)?;
        let history = opener.history()?;
        if !history.is_initialised() {
            return Err(opener.not_initialised());
        }
        if let Err(error) = history.require_current() {
            // If tables of another program block the pending migrations, report that instead, because `migrate run` would fail.
            return Err(match error {
                Error::SchemaPending(_) => opener.no_room().unwrap_or(error),
                error => error,
            });
        }
        warn_of_transfer(&opener, &history);
        Self::with(opener)
    }

    fn with(opener: Opener) -> Result<Self> {
        #[cfg(feature = "sqlite")]
        let writer = match opener.url {
            DatabaseUrl::Postgres(_) => None,
            _ => Some(Writer::new(opener.establish(Access::Write)?)),
        };
        #[cfg(feature = "async")]
        let permits =
            Permits::new(opener.options.connections, !matches!(opener.url, DatabaseUrl::Postgres(_)));
        let main = Source::new(opener);
        let replica = Replica::of(&main)?;
        tracing::info!(database = %main.opener().url, "open");
        Ok(Self(Arc::new(Inner {
            main,
            replica,
            #[cfg(feature = "sqlite")]
            writer,
            #[cfg(feature = "async")]
            permits,
        })))
    }

    /// Returns the URL of the database. When you print the URL, its password is masked.
    pub fn url(&self) -> &DatabaseUrl {
        &self.0.main.opener().url
    }

    /// Returns the migration history: all migrations, and which of them are applied to the database.
    ///
    /// # Errors
    /// [`Error::NotInitialised`] if the SQLite file no longer exists; [`Error::Disconnected`], [`Error::Unusable`],
    /// [`Error::Busy`] or [`Error::Io`] if the database cannot be read.
    pub fn history(&self) -> Result<migrate::History> {
        self.0.main.opener().history()
    }

    #[cfg(feature = "async")]
    pub(super) fn permits(&self) -> &Permits {
        &self.0.permits
    }

    /// Opens a separate read-only connection.
    #[cfg(feature = "sqlite")]
    pub(crate) fn reader(&self) -> Result<DbConnection> {
        self.0.main.opener().reader()
    }

    /// Opens a separate read-only connection to a database, whatever its schema version. Returns `None` if the SQLite file does
    /// not exist.
    pub(crate) fn look_at(url: &str) -> Result<Option<DbConnection>> {
        match Opener::new(url.parse()?, &Options::default())?.reader() {
            Ok(conn) => Ok(Some(conn)),
            Err(Error::NotInitialised(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Returns the size of SQLite's write-ahead log in bytes, or `None` if the database is not a SQLite file.
    pub(crate) fn wal_bytes(&self) -> Option<u64> {
        let DatabaseUrl::File(path) = self.url() else { return None };
        Some(std::fs::metadata(super::beside(path, "-wal")).map_or(0, |file| file.len()))
    }

    /// Empties SQLite's write-ahead log if no other connection is reading or writing, and returns whether it did. Never waits
    /// for a lock.
    pub(crate) fn empty_wal(&self) -> Result<bool> {
        if self.wal_bytes().is_none_or(|bytes| bytes == 0) {
            return Ok(false);
        }
        #[cfg(feature = "sqlite")]
        {
            use super::sqlite::Checkpoint;

            let mut conn = self.0.main.opener().impatient()?;
            let is_empty = super::on_backend!(
                &mut conn,
                sqlite => |c| {
                    // Copy most pages without the write lock first, so that the lock is held only briefly.
                    Ok::<_, Error>(Checkpoint::passive(c)?.is_whole() && Checkpoint::truncate(c)?.busy == 0)
                },
                postgres => |_c| Ok(false)
            );
            is_empty.map_err(|error| self.explained(error))
        }
        #[cfg(not(feature = "sqlite"))]
        Ok(false)
    }

    /// Adds the name of the database to an error from a [`session`](Self::session), as [`read`](Self::read) and
    /// [`write`](Self::write) do.
    pub(crate) fn explained(&self, error: Error) -> Error {
        self.0.main.opener().explained(error)
    }

    /// Returns true if all writes of this database go through one connection, so that they take turns.
    pub(crate) fn writes_in_turns(&self) -> bool {
        !matches!(self.url(), DatabaseUrl::Postgres(_))
    }

    /// Returns how long connections wait for a lock.
    #[cfg(feature = "sqlite")]
    pub(crate) fn busy_timeout(&self) -> Duration {
        self.0.main.opener().busy_timeout()
    }

    /// Returns true if a path is the database file or one of the files that SQLite keeps next to it. Programs must not write
    /// other data there.
    pub fn is_own_file(&self, path: &Path) -> bool {
        matches!(self.url(), DatabaseUrl::File(file) if super::files::is_of_database(file, path))
    }

    /// Returns the identities of the files of a SQLite database, so that the caller can compare many paths with them.
    pub(crate) fn own_files(&self) -> Vec<Identity> {
        match self.url() {
            DatabaseUrl::File(file) => super::files::identities_of_database(file),
            _ => Vec::new(),
        }
    }

    /// Runs `work` on a read-only connection. On PostgreSQL, `work` runs in a READ ONLY transaction.
    ///
    /// On PostgreSQL all statements of `work` see the same snapshot, taken at the first statement. On SQLite each statement
    /// sees the rows that were committed when the statement started. Use [`DbConnection::snapshot`] for statements that must
    /// see the same snapshot on either engine.
    ///
    /// If there is a replica ([`Options::read_url`]), `work` runs there and might not see the latest writes yet.
    ///
    /// # Errors
    /// - The errors of `work`, and [`Error::Unusable`] if `work` writes.
    /// - [`Error::Busy`] if no connection becomes free within [`Options::busy_timeout`].
    /// - [`Error::Disconnected`] if the server cannot be reached or the connection is lost.
    /// - [`Error::Unusable`] if the database was closed or cannot be opened, or if the replica was promoted, because its rows
    ///   then differ from those of the primary. viraldb notices a promotion within five seconds.
    pub fn read<T>(&self, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        match &self.0.replica {
            Some(replica) => replica.read(&self.0.main, work),
            None => self.0.main.read(work),
        }
    }

    /// Runs `work` like [`read`](Self::read), but never on a replica, so that it sees the latest writes.
    ///
    /// # Errors
    /// The errors of [`read`](Self::read), except that of a promoted replica.
    pub fn read_newest<T>(&self, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        self.0.main.read(work)
    }

    /// Runs `work` in one write transaction (IMMEDIATE on SQLite). Commits it, or rolls it back if `work` fails.
    ///
    /// # Errors
    /// - The errors of `work`, and on SQLite `Invalid` if `work` itself calls `write`.
    /// - [`Error::Busy`] if another program holds SQLite's write lock, or all connections to PostgreSQL are in use, for longer
    ///   than [`Options::busy_timeout`].
    /// - [`Error::Disconnected`] if the server cannot be reached or the connection is lost. Read [`Error::is_retryable`]
    ///   before you retry.
    /// - [`Error::Unusable`] if the database was closed, is read-only, or its disk is full.
    pub fn write<T>(&self, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        #[cfg(feature = "sqlite")]
        if let Some(writer) = &self.0.writer {
            return writer
                .take(self.0.main.opener().options.busy_timeout, || {
                    self.0.main.opener().establish(Access::Write)
                })
                .and_then(|writing| writing.ok_or_else(|| self.0.main.opener().closed())?.atomically(work))
                .map_err(|error| self.0.main.opener().explained(error));
        }
        self.0
            .main
            .begun("BEGIN")
            .and_then(|mut conn| conn.finish(work))
            .map_err(|error| self.0.main.opener().explained(error))
    }

    /// Checks that the server or file answers, and the replica if there is one. Use this for health checks.
    ///
    /// The check uses a pooled connection, as [`read`](Self::read) does, and takes no lock.
    ///
    /// # Errors
    /// [`Error::Disconnected`], [`Error::Unusable`] or [`Error::Busy`].
    pub fn ping(&self) -> Result<()> {
        let answer = |c: &mut DbConnection| Ok(c.batch_execute("SELECT 1")?);
        self.read_newest(answer)?;
        if self.0.replica.is_some() { self.read(answer) } else { Ok(()) }
    }

    /// Returns the number of connections to the main server or file, for metrics.
    ///
    /// To measure queries, use Diesel's instrumentation: `diesel::connection::set_default_instrumentation` applies to every
    /// connection that is opened afterward.
    ///
    /// ```
    /// # fn main() -> viraldb::Result<()> {
    /// let db = viraldb::Database::open("sqlite::memory:")?;
    /// db.ping()?;
    /// let now = db.connections();
    /// assert_eq!((now.open, now.idle), (1, 1));
    /// # Ok(())
    /// # }
    /// ```
    pub fn connections(&self) -> Connections {
        self.0.main.connections()
    }

    /// Closes all connections of this database and its clones, and returns when they are closed. A SQLite database then has no
    /// `-wal` file and can be moved, unless another program has the database open. Later calls on this database fail.
    ///
    /// `close` waits for running reads and writes, and on PostgreSQL for sessions. On SQLite a [`session`](Self::session) keeps
    /// its own connection until it is dropped. Without `close`, the connections are closed when the last clone is dropped.
    ///
    /// # Errors
    /// [`Error::Busy`] if connections are still in use after [`Options::busy_timeout`]; each of them is closed when it is
    /// returned. `Invalid` if `close` is called inside a write on the same thread.
    pub fn close(&self) -> Result<()> {
        #[cfg(feature = "sqlite")]
        if let Some(writer) = &self.0.writer {
            writer.require_no_write()?;
            writer.close();
        }
        let wait = self.0.main.opener().options.busy_timeout;
        let in_use =
            self.0.main.close(wait) + self.0.replica.as_ref().map_or(0, |replica| replica.close(wait));
        if in_use == 0 {
            return Ok(());
        }
        let reason = format!(
            "{in_use} of its connections were in use for too long; they are closed as soon as they are returned"
        );
        Err(Error::Busy { database: self.url().to_string(), reason })
    }

    /// Fails if this thread is already inside a write.
    #[cfg(feature = "sqlite")]
    pub(super) fn require_no_write(&self) -> Result<()> {
        self.0.writer.as_ref().map_or(Ok(()), Writer::require_no_write)
    }

    /// Returns a dedicated connection for reading and writing.
    ///
    /// Outside a transaction each write commits by itself, and each read sees the rows that were committed when the read
    /// started. Use [`DbConnection::snapshot`] and [`DbConnection::atomically`] for transactions. viraldb checks the connection
    /// before returning it, but does not replace a connection that is lost later.
    ///
    /// # Errors
    /// - [`Error::Unusable`] if the database was closed or cannot be opened.
    /// - On SQLite [`Error::NotInitialised`] or [`Error::Io`] if the file no longer exists or cannot be read.
    /// - On PostgreSQL [`Error::Disconnected`] if the server cannot be reached, and [`Error::Busy`] if no connection becomes
    ///   free within [`Options::busy_timeout`].
    pub fn session(&self) -> Result<Session> {
        if self.0.main.is_closed() {
            return Err(self.0.main.opener().closed());
        }
        let session = match self.url() {
            DatabaseUrl::Postgres(_) => {
                self.0.main.alive(|conn| Ok(conn.batch_execute("SELECT 1")?)).map(Held::Pooled)
            }
            #[cfg(feature = "sqlite")]
            _ => self.0.main.opener().establish(Access::Write).map(|conn| Held::Own(Box::new(conn))),
            #[cfg(not(feature = "sqlite"))]
            _ => self.0.main.take().map(Held::Pooled),
        };
        session.map(Session).map_err(|error| self.0.main.opener().explained(error))
    }
}

/// Warns that the database contains an unfinished transfer, because the database would otherwise look complete.
fn warn_of_transfer(opener: &Opener, history: &migrate::History) {
    if let Some(copied) = history.transferred {
        tracing::warn!("{} {}", opener.url, unfinished::reason(copied, &opener.url));
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Database").field(self.url()).finish()
    }
}

/// A dedicated connection; see [`Database::session`]. It dereferences to [`DbConnection`].
pub struct Session(Held);

enum Held {
    #[cfg(feature = "sqlite")]
    Own(Box<DbConnection>),
    Pooled(Pooled),
}

impl Deref for Session {
    type Target = DbConnection;

    fn deref(&self) -> &DbConnection {
        match &self.0 {
            #[cfg(feature = "sqlite")]
            Held::Own(conn) => conn,
            Held::Pooled(conn) => conn,
        }
    }
}

impl DerefMut for Session {
    fn deref_mut(&mut self) -> &mut DbConnection {
        match &mut self.0 {
            #[cfg(feature = "sqlite")]
            Held::Own(conn) => conn,
            Held::Pooled(conn) => conn,
        }
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Session")
    }
}
