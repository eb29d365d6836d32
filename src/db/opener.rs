//! How connections to one database are opened, for the pool and for ourselves.

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

/// Opens connections to one database, for the pool and for ourselves.
#[derive(Clone)]
pub(crate) struct Opener {
    pub(crate) url: DatabaseUrl,
    #[cfg(feature = "sqlite")]
    place: Place,
    pub(super) options: Options,
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

    /// How long a lock is waited for.
    pub(crate) const fn busy_timeout(&self) -> Duration {
        self.options.busy_timeout
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

    /// A connection that writes, to a file with write-ahead logging from now on. A file of another program, in which
    /// ours have no room, stays as it is.
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

    /// The migrations and how far this database is with them. Writes nothing.
    pub(crate) fn history(&self) -> Result<History> {
        let mut conn = self.reader()?;
        History::read(&mut conn).map_err(|error| self.explained(error))
    }

    /// Why a database without a migration of ours is none of viraldb's: nothing is in it, or somebody else's tables, among
    /// which ours have no room.
    pub(crate) fn not_initialised(&self) -> Error {
        self.no_room().unwrap_or_else(|| Error::NotInitialised(self.url.to_string()))
    }

    /// What keeps pending migrations from being applied, if it is somebody else's tables, or that they cannot be looked at.
    pub(crate) fn no_room(&self) -> Option<Error> {
        let room = self.reader().and_then(|mut conn| room::require_names(&mut conn));
        room.err().map(|error| self.explained(error))
    }

    /// The error of a database that this program has closed.
    pub(super) fn closed(&self) -> Error {
        let reason = "was closed by this program; open it again".to_owned();
        Error::Unusable { database: self.url.to_string(), reason }
    }

    /// A connection that only reads, as far as the engine can hold it to that.
    pub(crate) fn reader(&self) -> Result<DbConnection> {
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

    /// A connection to a SQLite file that waits for no lock.
    #[cfg(feature = "sqlite")]
    pub(super) fn impatient(&self) -> Result<DbConnection> {
        let options = Options { busy_timeout: Duration::from_millis(1), ..self.options.clone() };
        Self { options, ..self.clone() }.establish(Access::Write)
    }

    /// A connection. One that writes sets write-ahead logging again if the file has lost it.
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

    /// A connection to a file that stays in its journal mode.
    #[cfg(feature = "sqlite")]
    fn unchanged(&self, access: Access) -> Result<DbConnection> {
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
            reason: format!(
                "another program held its write lock for {:?}; {who}; wait longer with --wait TIME, or \
                 Options::busy_timeout",
                self.options.busy_timeout
            ),
        }
    }
}
