//! The database: opened once, shared by all threads, read and written through two verbs.

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
    /// Where `read` reads, if not there.
    replica: Option<Replica>,
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
    /// opened, or the replica that `VIRALDB_READ_URL` names.
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

    /// [`Database::open`] with options.
    pub fn open_with(url: &str, options: &Options) -> Result<Self> {
        let opener = Opener::new(url.parse()?, options)?;
        let (_made, history) = opener.made(|conn| migrate::prepare(conn, &opener.url))?; // a database in memory is gone with its last connection
        warn_of_transfer(&opener, &history);
        Self::with(opener)
    }

    /// [`Database::open`] for the transfer that the database holds, which need not be told of it.
    pub(crate) fn open_for_transfer(url: &str) -> Result<Self> {
        let opener = Opener::new(url.parse()?, &Options::default())?;
        let (_made, _) = opener.made(|conn| migrate::prepare(conn, &opener.url))?;
        Self::with(opener)
    }

    /// Connects without changing anything, except that a SQLite file which has lost write-ahead logging gets it back.
    ///
    /// # Errors
    /// [`Error::NotInitialised`] if there is no viraldb database, [`Error::SchemaPending`] if it is
    /// older than this program, and those of [`Database::open`].
    pub fn connect(url: &str) -> Result<Self> {
        Self::connect_with(url, &Options::from_environment()?)
    }

    /// [`Database::connect`] with options.
    pub fn connect_with(url: &str, options: &Options) -> Result<Self> {
        let opener = Opener::new(url.parse()?, options)?;
        let history = opener.history()?;
        if !history.is_initialised() {
            return Err(opener.not_initialised());
        }
        if let Err(error) = history.require_current() {
            // Those that are pending may have no room.
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

    /// Where the database is; prints with the password masked.
    pub fn url(&self) -> &DatabaseUrl {
        &self.0.main.opener().url
    }

    /// The migrations and how far the database is with them.
    pub fn history(&self) -> Result<migrate::History> {
        self.0.main.opener().history()
    }

    #[cfg(feature = "async")]
    pub(super) fn permits(&self) -> &Permits {
        &self.0.permits
    }

    /// A connection of its own that only reads.
    #[cfg(feature = "sqlite")]
    pub(crate) fn reader(&self) -> Result<DbConnection> {
        self.0.main.opener().reader()
    }

    /// A connection of its own that only reads, to a database in whatever state; `None` if there is no such file.
    pub(crate) fn look_at(url: &str) -> Result<Option<DbConnection>> {
        match Opener::new(url.parse()?, &Options::default())?.reader() {
            Ok(conn) => Ok(Some(conn)),
            Err(Error::NotInitialised(_)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The size of SQLite's write-ahead log in bytes; nothing for a database without one.
    pub(crate) fn wal_bytes(&self) -> Option<u64> {
        let DatabaseUrl::File(path) = self.url() else { return None };
        Some(std::fs::metadata(super::beside(path, "-wal")).map_or(0, |file| file.len()))
    }

    /// Empties SQLite's write-ahead log if nobody reads or writes at this moment, and says whether it did. It waits for
    /// nobody.
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
                    // First without the writer's lock, so that it is held for a moment only.
                    Ok::<_, Error>(Checkpoint::passive(c)?.is_whole() && Checkpoint::truncate(c)?.busy == 0)
                },
                postgres => |_c| Ok(false)
            );
            is_empty.map_err(|error| self.explained(error))
        }
        #[cfg(not(feature = "sqlite"))]
        Ok(false)
    }

    /// An error of a [`session`](Self::session), as [`read`](Self::read) and [`write`](Self::write) give theirs.
    pub(crate) fn explained(&self, error: Error) -> Error {
        self.0.main.opener().explained(error)
    }

    /// How long locks are waited for.
    #[cfg(feature = "sqlite")]
    pub(crate) fn busy_timeout(&self) -> Duration {
        self.0.main.opener().busy_timeout()
    }

    /// Whether a path is the file of the database, or one that SQLite keeps beside it; nobody may write there.
    pub fn is_own_file(&self, path: &Path) -> bool {
        matches!(self.url(), DatabaseUrl::File(file) if super::files::is_of_database(file, path))
    }

    /// Returns the identities of the files of a SQLite database, so that many paths can be compared with them.
    pub(crate) fn own_files(&self) -> Vec<Identity> {
        match self.url() {
            DatabaseUrl::File(file) => super::files::identities_of_database(file),
            _ => Vec::new(),
        }
    }

    /// Reads. On SQLite the connection cannot write; on PostgreSQL it is a READ ONLY transaction.
    ///
    /// On PostgreSQL all statements of `work` see one moment, that of the first; on SQLite each sees what was
    /// committed when it began. Several that belong together go into [`DbConnection::snapshot`], which gives them
    /// one moment on either engine.
    ///
    /// With a replica ([`Options::read_url`]) it reads there, and what was written last may not have come there yet.
    ///
    /// # Errors
    /// Those of `work`, and [`Error::Unusable`] if the replica was promoted meanwhile: its rows go their own way from
    /// then on. That is noticed within five seconds.
    pub fn read<T>(&self, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        match &self.0.replica {
            Some(replica) => replica.read(&self.0.main, work),
            None => self.0.main.read(work),
        }
    }

    /// [`read`](Self::read), of what was written last: never on a replica.
    pub fn read_newest<T>(&self, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        self.0.main.read(work)
    }

    /// Writes, in one transaction: IMMEDIATE on SQLite. An error rolls all of it back.
    ///
    /// # Errors
    /// Those of `work`, and `Invalid` on SQLite for a write within a write of the same thread.
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

    /// Returns when the database has answered, for a health check: the server or the file, and the replica if there is
    /// one. It takes a connection as [`read`](Self::read) does, and no lock.
    ///
    /// # Errors
    /// [`Error::Disconnected`], [`Error::Unusable`] or [`Error::Busy`].
    pub fn ping(&self) -> Result<()> {
        let answer = |c: &mut DbConnection| Ok(c.batch_execute("SELECT 1")?);
        self.read_newest(answer)?;
        if self.0.replica.is_some() { self.read(answer) } else { Ok(()) }
    }

    /// The connections to the main server or file, for metrics.
    ///
    /// How long queries take is what Diesel's instrumentation tells:
    /// `diesel::connection::set_default_instrumentation` holds for every connection that is opened afterwards.
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

    /// Closes all connections, of all clones, and returns when they are closed: a SQLite file then has no `-wal` beside
    /// it unless another program has it open, and may be moved. What is called on the database afterwards fails.
    ///
    /// Reads and writes that are under way end first, and on PostgreSQL sessions; on SQLite a [`session`](Self::session)
    /// keeps its own connection until it is dropped. Without `close`, the connections are closed when the last
    /// clone is dropped.
    ///
    /// # Errors
    /// [`Error::Busy`] if some are still in use after [`Options::busy_timeout`]. They are closed when they are given back.
    /// `Invalid` within a write of the same thread.
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
            "{in_use} of its connections were in use for too long; they are closed when they are given back"
        );
        Err(Error::Busy { database: self.url().to_string(), reason })
    }

    /// Refuses a write within a write of the same thread.
    #[cfg(feature = "sqlite")]
    pub(super) fn require_no_write(&self) -> Result<()> {
        self.0.writer.as_ref().map_or(Ok(()), Writer::require_no_write)
    }

    /// A connection of one's own, which reads and writes; each write outside a transaction is one of
    /// its own, and each read sees what was committed when it began. [`DbConnection::snapshot`] and
    /// [`DbConnection::atomically`] are its transactions. It is alive when it is handed out; whoever keeps it sees
    /// it die.
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

/// Who opens a database into which a transfer is under way would take it for whole.
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

/// A connection of one's own; see [`Database::session`]. It is used as a [`DbConnection`].
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
