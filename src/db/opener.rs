//! Opens connections to a database, for the pool and for viraldb's own use.

use std::time::Duration;

use super::migrate::history::History;
use super::migrate::room;
use super::options::{Options, in_range};
#[cfg(feature = "postgres")]
use super::postgres;
#[cfg(feature = "sqlite")]
use super::sqlite::{self, Access, Place};
use super::{DatabaseUrl, DbConnection};
use crate::{Error, Result};

/// Opens connections to one database, for the pool and for viraldb's own use.
#[derive(Clone)]
pub(crate) struct Opener {
    pub(crate) url: DatabaseUrl,
    #[cfg(feature = "sqlite")]
    place: Place,
    pub(super) options: Options,
}

impl Opener {
    pub(crate) fn new(url: DatabaseUrl, options: &Options) -> Result<Self> {
        let engine = url.engine();
        if !engine.is_built() {
            return Err(Error::UnsupportedUrl {
                url: url.to_string(),
                reason: format!(
                    "this viraldb was built without {engine}; build it with `--features {}`",
                    engine.feature()
                ),
            });
        }
        if options.connections == 0 {
            return Err(Error::invalid("connections", "must be at least 1, got 0"));
        }
        let busy_timeout = in_range(options.busy_timeout);
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

    /// Returns how long connections wait for a lock.
    pub(crate) const fn busy_timeout(&self) -> Duration {
        self.options.busy_timeout
    }

    /// Runs `work` on a connection for migrations and returns the connection with the result. If the SQLite file does not
    /// exist, it is created; it is deleted again if `work` fails and leaves it without a migration.
    pub(crate) fn made<T>(
        &self,
        work: impl FnOnce(&mut DbConnection) -> Result<T>,
    ) -> Result<(DbConnection, T)> {
        let done = |mut conn| work(&mut conn).map(|value| (conn, value));
        #[cfg(feature = "sqlite")]
        if let DatabaseUrl::File(path) = &self.url {
            let is_new = sqlite::create(path)?;
            let result = self.in_wal().and_then(done);
            // If the file is locked, another program already uses it, so keep it.
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

    /// Opens a write connection and turns on write-ahead logging. If the file has conflicting tables of another program, this
    /// fails before it changes the file.
    #[cfg(feature = "sqlite")]
    fn in_wal(&self) -> Result<DbConnection> {
        let mut conn = self.unchanged(Access::Write)?;
        room::require_names(&mut conn)?;
        super::on_backend!(
            &mut conn,
            sqlite => |c| sqlite::set_wal(c, self.options.busy_timeout),
            postgres => |_c| Ok(())
        )?;
        Ok(conn)
    }

    /// Returns the migrations and which of them are applied to this database. Writes nothing.
    pub(crate) fn history(&self) -> Result<History> {
        let mut conn = self.reader()?;
        History::read(&mut conn).map_err(|error| self.explained(error))
    }

    /// Returns the error for a database without viraldb's migrations: it contains conflicting tables of another program, or it
    /// is not initialized.
    pub(crate) fn not_initialised(&self) -> Error {
        self.no_room().unwrap_or_else(|| Error::NotInitialised(self.url.to_string()))
    }

    /// Returns the error that would stop pending migrations: tables of another program have the same names, or the tables
    /// cannot be read. Returns `None` if there is no conflict.
    pub(crate) fn no_room(&self) -> Option<Error> {
        let room = self.reader().and_then(|mut conn| room::require_names(&mut conn));
        room.err().map(|error| self.explained(error))
    }

    /// Returns the error for a database that this program has closed.
    pub(super) fn closed(&self) -> Error {
        let reason = "was closed by this program; open it again".to_owned();
        Error::Unusable { database: self.url.to_string(), reason }
    }

    /// Opens a connection for reading. SQLite enforces that it is read-only; PostgreSQL does so only within a READ ONLY
    /// transaction.
    pub(crate) fn reader(&self) -> Result<DbConnection> {
        #[cfg(feature = "sqlite")]
        if !matches!(self.url, DatabaseUrl::Postgres(_)) {
            return self.establish(Access::Read);
        }
        self.for_migration()
    }

    /// Opens a connection outside the pool, for migrations.
    pub(crate) fn for_migration(&self) -> Result<DbConnection> {
        match &self.url {
            #[cfg(feature = "postgres")]
            DatabaseUrl::Postgres(url) => postgres::establish(url)
                .map(DbConnection::Postgres)
                .map_err(|error| error.in_database(&self.url)),
            #[cfg(feature = "sqlite")]
            _ => self.establish(Access::Write),
            #[cfg(not(all(feature = "sqlite", feature = "postgres")))]
            #[allow(unreachable_patterns)] // `new` has already rejected the other engine
            _ => Err(Error::UnsupportedUrl {
                url: self.url.to_string(),
                reason: "this viraldb was built without its database engine".to_owned(),
            }),
        }
    }

    /// Opens a connection to a SQLite file that does not wait for locks.
    #[cfg(feature = "sqlite")]
    pub(super) fn impatient(&self) -> Result<DbConnection> {
        let options = Options { busy_timeout: Duration::from_millis(1), ..self.options.clone() };
        Self { options, ..self.clone() }.establish(Access::Write)
    }

    /// Opens a connection. A write connection turns on write-ahead logging again if the file has lost it.
    #[cfg(feature = "sqlite")]
    pub(super) fn establish(&self, access: Access) -> Result<DbConnection> {
        let mut conn = self.unchanged(access)?;
        if let (Place::File(path), Access::Write, DbConnection::Sqlite(conn)) =
            (&self.place, access, &mut conn)
        {
            sqlite::restore_wal(conn, path);
        }
        Ok(conn)
    }

    /// Opens a connection without changing the journal mode of the file.
    #[cfg(feature = "sqlite")]
    fn unchanged(&self, access: Access) -> Result<DbConnection> {
        if let Place::File(path) = &self.place {
            sqlite::look_at(path)?;
        }
        sqlite::establish(&self.place, access, self.options.busy_timeout)
            .map(DbConnection::Sqlite)
            .map_err(|error| self.explained(error))
    }

    /// Adds the name of the database to an error, and for a locked SQLite file the programs that have it open.
    pub(crate) fn explained(&self, error: Error) -> Error {
        #[cfg(feature = "sqlite")]
        if matches!(&error, Error::Busy { database, .. } if database.is_empty()) {
            match &self.url {
                DatabaseUrl::File(path) => return self.busy(path),
                DatabaseUrl::Memory => return self.busy_in_memory(),
                DatabaseUrl::Postgres(_) => {}
            }
        }
        error.in_database(&self.url)
    }

    /// Returns the error for a locked database in memory, which only this program can lock.
    #[cfg(feature = "sqlite")]
    fn busy_in_memory(&self) -> Error {
        Error::Busy {
            database: self.url.to_string(),
            reason: format!(
                "another thread of this program held the write lock for {:?}; keep its transactions shorter, or wait \
                 longer with Options::busy_timeout",
                self.options.busy_timeout
            ),
        }
    }

    /// Returns the error for a locked file, with the programs that have it open.
    #[cfg(feature = "sqlite")]
    fn busy(&self, path: &std::path::Path) -> Error {
        let holders = sqlite::holders(path);
        let who = match holders.as_slice() {
            [] => format!("find it with `fuser -v {}`", path.display()),
            holders => format!("open in {}", holders.join(", ")),
        };
        Error::Busy {
            database: path.display().to_string(),
            reason: format!(
                "another program held the write lock for {:?}; {who}; wait longer with --wait TIME, or \
                 Options::busy_timeout",
                self.options.busy_timeout
            ),
        }
    }
}
