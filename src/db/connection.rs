//! A connection to either engine.

use diesel::connection::{AnsiTransactionManager, TransactionManager, TransactionManagerStatus};
#[cfg(feature = "postgres")]
use diesel::pg::PgConnection;
#[cfg(feature = "sqlite")]
use diesel::sqlite::SqliteConnection;

use crate::Result;

/// A connection to SQLite or to PostgreSQL.
///
/// It is a Diesel connection, so your own queries against [`crate::schema`] run on it. Such queries have limits that viraldb's
/// own functions do not have: Diesel supports no `ON CONFLICT`, no inserts of slices and no `as_returning()` there, and it
/// builds the SQL again on each call. [`on_backend!`](crate::on_backend) avoids these limits.
///
/// The [errors of the database](crate::Error#errors-of-the-database) can occur in every function that takes a connection.
#[derive(diesel::MultiConnection)]
#[allow(missing_docs)] // the names of the variants are clear
pub enum DbConnection {
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteConnection),
    #[cfg(feature = "postgres")]
    Postgres(PgConnection),
}

/// Prints the engine.
impl std::fmt::Debug for DbConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "DbConnection::Sqlite",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "DbConnection::Postgres",
        })
    }
}

/// Runs Diesel code with the connection type of the engine, so that Diesel's whole query builder is available:
/// `ON CONFLICT`, `RETURNING`, slices. Diesel also caches the prepared statements of such code.
///
/// A single closure is compiled once for each engine, with that engine's connection type. With two closures, each engine has
/// its own code. Write both closures even if your program is built for one engine only; the other one is left out. Inside the
/// closures, `Backend` is Diesel's backend of the engine.
///
/// ```
/// use viraldb::diesel::prelude::*;
/// use viraldb::schema::music;
/// use viraldb::{Database, on_backend};
///
/// # fn main() -> viraldb::Result<()> {
/// let db = Database::open("sqlite::memory:")?;
/// let paths = ["a.mp3", "b.mp3"];
///
/// // Insert a slice; each row is a tuple of columns.
/// let rows: Vec<_> =
///     paths.iter().map(|path| (music::id.eq(viraldb::republishing::MusicId::default()), music::name.eq(path), music::file_path.eq(path))).collect();
/// let inserted = db.write(|c| Ok(on_backend!(c, |c| diesel::insert_into(music::table).values(&rows).execute(c))?))?;
/// assert_eq!(inserted, 2);
///
/// // Use RETURNING.
/// let name: String = db.write(|c| {
///     Ok(on_backend!(c, |c| diesel::update(music::table.filter(music::file_path.eq("a.mp3")))
///         .set(music::name.eq("Waltz"))
///         .returning(music::name)
///         .get_result(c))?)
/// })?;
/// assert_eq!(name, "Waltz");
///
/// // Use different code for each engine.
/// let version: String = db.read(|c| {
///     Ok(on_backend!(
///         c,
///         sqlite => |c| diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>("sqlite_version()")).get_result(c),
///         postgres => |c| diesel::select(diesel::dsl::sql::<diesel::sql_types::Text>("version()")).get_result(c),
///     )?)
/// })?;
/// assert!(version.starts_with('3'));
/// # Ok(())
/// # }
/// ```
#[macro_export]
macro_rules! on_backend {
    ($conn:expr, |$c:ident| $body:expr) => {
        $crate::on_backend!($conn, sqlite => |$c| $body, postgres => |$c| $body)
    };
    ($conn:expr, sqlite => |$s:ident| $sqlite:expr, postgres => |$p:ident| $postgres:expr $(,)?) => {
        $crate::__match_engine!($conn, |$s| $sqlite, |$p| $postgres)
    };
}

// A `cfg` inside the macro would check the features of the crate that uses the macro, so define the macro once per feature set.
#[cfg(all(feature = "sqlite", feature = "postgres"))]
#[doc(hidden)]
#[macro_export]
macro_rules! __match_engine {
    ($conn:expr, |$s:ident| $sqlite:expr, |$p:ident| $postgres:expr) => {
        match $conn {
            $crate::DbConnection::Sqlite($s) => {
                #[allow(dead_code)]
                type Backend = $crate::diesel::sqlite::Sqlite;
                $sqlite
            }
            $crate::DbConnection::Postgres($p) => {
                #[allow(dead_code)]
                type Backend = $crate::diesel::pg::Pg;
                $postgres
            }
        }
    };
}

#[cfg(all(feature = "sqlite", not(feature = "postgres")))]
#[doc(hidden)]
#[macro_export]
macro_rules! __match_engine {
    ($conn:expr, |$s:ident| $sqlite:expr, |$p:ident| $postgres:expr) => {
        match $conn {
            $crate::DbConnection::Sqlite($s) => {
                #[allow(dead_code)]
                type Backend = $crate::diesel::sqlite::Sqlite;
                $sqlite
            }
        }
    };
}

#[cfg(all(feature = "postgres", not(feature = "sqlite")))]
#[doc(hidden)]
#[macro_export]
macro_rules! __match_engine {
    ($conn:expr, |$s:ident| $sqlite:expr, |$p:ident| $postgres:expr) => {
        match $conn {
            $crate::DbConnection::Postgres($p) => {
                #[allow(dead_code)]
                type Backend = $crate::diesel::pg::Pg;
                $postgres
            }
        }
    };
}
pub(crate) use on_backend;

impl DbConnection {
    /// Runs `work` atomically: in a new transaction (IMMEDIATE on SQLite), or in a savepoint if a transaction is already open.
    /// If `work` fails, everything it did is rolled back.
    ///
    /// ```
    /// use viraldb::compilation::ErrorLog;
    /// use viraldb::{Database, Error, log_error};
    ///
    /// # fn main() -> viraldb::Result<()> {
    /// let db = Database::open("sqlite::memory:")?;
    /// db.write(|c| {
    ///     let batch = c.atomically(|c| {
    ///         log_error(c, "discovery", "TimeoutError", "no answer in 30 s", None, None)?;
    ///         Err::<(), Error>(Error::invalid("the batch", "is empty"))
    ///     });
    ///     assert!(batch.is_err());
    ///     assert_eq!(ErrorLog::count(c, &Default::default())?, 0); // the row was rolled back
    ///     Ok(())
    /// })?;
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of `work`, and the [errors of the database](crate::Error#errors-of-the-database) if the transaction cannot begin
    /// or commit. On SQLite this is mostly [`Error::Busy`](crate::Error::Busy): another connection holds the write lock.
    pub fn atomically<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let begin = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "BEGIN IMMEDIATE",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => "BEGIN",
        };
        self.begin(begin)?;
        self.finish(work)
    }

    /// Runs `work`, which must only read, on one snapshot of the database: in a new transaction, or in the transaction that is
    /// already open. An open transaction is a snapshot on SQLite and in a [`read`](crate::Database::read). In a `write` on
    /// PostgreSQL it is not: there each statement sees the rows that were committed when the statement started.
    ///
    /// # Errors
    /// The errors of `work`, and the [errors of the database](crate::Error#errors-of-the-database) if a new transaction cannot begin
    /// or end.
    pub fn snapshot<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        if self.is_dirty() {
            return work(self);
        }
        let begin = match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite(_) => "BEGIN",
            #[cfg(feature = "postgres")]
            Self::Postgres(_) => super::postgres::BEGIN_READ,
        };
        self.begin(begin)?;
        self.finish(work)
    }

    /// Makes queries of the open transaction fail if PostgreSQL's row-level security would hide rows. Without this, a copy of a
    /// table would silently lack the hidden rows.
    pub(crate) fn refuse_hidden_rows(&mut self) -> Result<()> {
        on_backend!(
            self,
            sqlite => |_c| Ok::<(), diesel::result::Error>(()),
            postgres => |c| diesel::connection::SimpleConnection::batch_execute(c, super::postgres::REFUSE_HIDDEN_ROWS)
        )?;
        Ok(())
    }

    /// Opens a transaction with `sql`, or a savepoint if a transaction is already open.
    pub(crate) fn begin(&mut self, sql: &str) -> Result<()> {
        on_backend!(self, |c| match AnsiTransactionManager::transaction_manager_status_mut(c) {
            TransactionManagerStatus::Valid(status) if status.transaction_depth().is_none() => {
                AnsiTransactionManager::begin_transaction_sql(c, sql)
            }
            _ => AnsiTransactionManager::begin_transaction(c),
        })?;
        Ok(())
    }

    /// Runs `work` in the transaction that `begin` opened. Commits it, or rolls it back if `work` fails.
    pub(crate) fn finish<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        match work(self) {
            Ok(value) => {
                on_backend!(self, |c| AnsiTransactionManager::commit_transaction(c))?;
                Ok(value)
            }
            Err(error) => {
                // Report the first error. If the rollback fails, the transaction manager marks the connection as broken.
                let _ = on_backend!(self, |c| AnsiTransactionManager::rollback_transaction(c));
                Err(error)
            }
        }
    }

    /// Returns true if a transaction is open or its state is unknown after an error.
    pub(crate) fn is_dirty(&mut self) -> bool {
        on_backend!(self, |c| match AnsiTransactionManager::transaction_manager_status_mut(c) {
            TransactionManagerStatus::Valid(status) => status.transaction_depth().is_some(),
            TransactionManagerStatus::InError => true,
        })
    }
}

/// Takes the ingest lock until the transaction ends, so that no other transaction inserts rows between the lookup of known
/// rows and the insert of new ones. On SQLite the write transaction itself is such a lock.
pub(crate) fn lock_ingest(conn: &mut DbConnection) -> Result<()> {
    on_backend!(
        conn,
        sqlite => |_c| Ok::<(), diesel::result::Error>(()),
        postgres => |c| super::postgres::lock_ingest(c)
    )?;
    Ok(())
}

/// One page of results: up to `limit` rows after the row with key `after` (keyset pagination).
///
/// Pages stay consistent while rows are inserted and deleted, and a later page costs no more than the first.
///
/// ```
/// use viraldb::compilation::{DiscoveredVideo, DiscoveredVideoFilter};
/// use viraldb::{Database, Page};
///
/// # fn main() -> viraldb::Result<()> {
/// let db = Database::open("sqlite::memory:")?;
/// let filter = DiscoveredVideoFilter::default();
/// let mut page = Page::first(100);
/// loop {
///     let videos = db.read(|c| DiscoveredVideo::list(c, &filter, &page))?;
///     let Some(last) = videos.last() else { break };
///     println!("{} videos, the last one is {}", videos.len(), last.title);
///     page = Page::after(last.id, 100);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<K> {
    /// The key of the last row of the previous page; `None` for the first page.
    pub after: Option<K>,
    /// The maximum number of rows; a negative limit returns no rows.
    pub limit: i64,
}

impl<K> Page<K> {
    /// Returns the first page.
    pub const fn first(limit: i64) -> Self {
        Self { after: None, limit }
    }

    /// Returns the page after the row with this key.
    pub const fn after(key: K, limit: i64) -> Self {
        Self { after: Some(key), limit }
    }

    /// Returns the limit for SQL, at least 0. A negative limit would mean all rows to SQLite and an error to PostgreSQL.
    pub(crate) fn at_most(&self) -> i64 {
        self.limit.max(0)
    }
}

/// The result of an upsert: rows that were inserted, or updated if their key already existed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Upserted {
    /// The number of inserted rows.
    pub new: usize,
    /// The number of existing rows that were changed.
    pub updated: usize,
    /// The number of existing rows that already had the given values.
    pub unchanged: usize,
}

impl std::ops::AddAssign for Upserted {
    fn add_assign(&mut self, other: Self) {
        self.new += other.new;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
    }
}
