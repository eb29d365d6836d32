//! One connection, on either engine.

use diesel::connection::{AnsiTransactionManager, TransactionManager, TransactionManagerStatus};
#[cfg(feature = "postgres")]
use diesel::pg::PgConnection;
#[cfg(feature = "sqlite")]
use diesel::sqlite::SqliteConnection;

use crate::Result;

/// A connection to SQLite or to PostgreSQL.
///
/// It is a Diesel connection itself, so one's own queries against [`crate::schema`] run on it. There
/// Diesel has limits that viraldb's own functions do not have: no `ON CONFLICT`, no insert of a slice,
/// no `as_returning()`, and the SQL is built anew on each call. [`on_backend!`](crate::on_backend) goes past them.
#[derive(diesel::MultiConnection)]
#[allow(missing_docs)] // the variants say it
pub enum DbConnection {
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteConnection),
    #[cfg(feature = "postgres")]
    Postgres(PgConnection),
}

/// Which engine it is on.
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

/// Runs Diesel code with the connection of the engine it is on, so that all of Diesel's query builder is there:
/// `ON CONFLICT`, `RETURNING`, slices. Diesel also keeps the prepared statements of such code.
///
/// One closure is compiled once for each engine, with that engine's connection type. Two closures give each engine its own
/// code; both are written also where a program is built for one engine only, and the other one is left out. `Backend`
/// names Diesel's backend inside.
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
/// // A slice: each row a tuple of columns.
/// let rows: Vec<_> =
///     paths.iter().map(|path| (music::id.eq(viraldb::republishing::MusicId::default()), music::name.eq(path), music::file_path.eq(path))).collect();
/// let inserted = db.write(|c| Ok(on_backend!(c, |c| diesel::insert_into(music::table).values(&rows).execute(c))?))?;
/// assert_eq!(inserted, 2);
///
/// // RETURNING
/// let name: String = db.write(|c| {
///     Ok(on_backend!(c, |c| diesel::update(music::table.filter(music::file_path.eq("a.mp3")))
///         .set(music::name.eq("Waltz"))
///         .returning(music::name)
///         .get_result(c))?)
/// })?;
/// assert_eq!(name, "Waltz");
///
/// // Code of its own for each engine
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

// A `cfg` within the macro would ask for the features of the crate that uses it.
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
    /// Runs `work` so that all of it happens or nothing: in a transaction of its own, IMMEDIATE on
    /// SQLite, or in a savepoint of the transaction that is open already.
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

    /// Runs `work`, which only reads, so that all of it sees one moment: in a transaction of its own, or in the
    /// one that is open already. That is of one moment on SQLite and in a [`read`](crate::Database::read); in a
    /// `write` on PostgreSQL each statement sees what was committed when it began.
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

    /// Makes queries of the open transaction fail where PostgreSQL's row-level security would leave rows out. Without
    /// this, a copy of a table silently lacks the rows that a policy hides.
    pub(crate) fn refuse_hidden_rows(&mut self) -> Result<()> {
        on_backend!(
            self,
            sqlite => |_c| Ok::<(), diesel::result::Error>(()),
            postgres => |c| diesel::connection::SimpleConnection::batch_execute(c, super::postgres::REFUSE_HIDDEN_ROWS)
        )?;
        Ok(())
    }

    /// Opens a transaction with `sql`, or a savepoint in the one that is open.
    pub(crate) fn begin(&mut self, sql: &str) -> Result<()> {
        on_backend!(self, |c| match AnsiTransactionManager::transaction_manager_status_mut(c) {
            TransactionManagerStatus::Valid(status) if status.transaction_depth().is_none() => {
                AnsiTransactionManager::begin_transaction_sql(c, sql)
            }
            _ => AnsiTransactionManager::begin_transaction(c),
        })?;
        Ok(())
    }

    /// Runs `work` in the transaction that `begin` opened; commits, or rolls back if `work` fails.
    pub(crate) fn finish<T>(&mut self, work: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        match work(self) {
            Ok(value) => {
                on_backend!(self, |c| AnsiTransactionManager::commit_transaction(c))?;
                Ok(value)
            }
            Err(error) => {
                // The first error is the one to report; a connection that cannot roll back is known
                // as broken from here on.
                let _ = on_backend!(self, |c| AnsiTransactionManager::rollback_transaction(c));
                Err(error)
            }
        }
    }

    /// Whether a transaction is open, or was left in a state that nobody knows.
    pub(crate) fn is_dirty(&mut self) -> bool {
        on_backend!(self, |c| match AnsiTransactionManager::transaction_manager_status_mut(c) {
            TransactionManagerStatus::Valid(status) => status.transaction_depth().is_some(),
            TransactionManagerStatus::InError => true,
        })
    }
}

/// Lets one transaction at a time look up which rows are known and insert the others: nobody may come between. On SQLite
/// the transaction itself does.
pub(crate) fn lock_ingest(conn: &mut DbConnection) -> Result<()> {
    on_backend!(
        conn,
        sqlite => |_c| Ok::<(), diesel::result::Error>(()),
        postgres => |c| super::postgres::lock_ingest(c)
    )?;
    Ok(())
}

/// A page of a list: at most `limit` rows, beginning behind the row whose key is `after`.
///
/// Pages hold while rows come and go, and a later page costs no more than the first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Page<K> {
    /// Key of the last row of the page before; `None` is the first page.
    pub after: Option<K>,
    /// Most rows to return; none if it is negative.
    pub limit: i64,
}

impl<K> Page<K> {
    /// The first page.
    pub const fn first(limit: i64) -> Self {
        Self { after: None, limit }
    }

    /// The page behind the row with this key.
    pub const fn after(key: K, limit: i64) -> Self {
        Self { after: Some(key), limit }
    }

    /// The limit for both engines: a negative one is all rows to SQLite and an error to PostgreSQL.
    pub(crate) fn at_most(&self) -> i64 {
        self.limit.max(0)
    }
}

/// What became of rows that were inserted or, where their key was known, updated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Upserted {
    /// Rows that were not there.
    pub new: usize,
    /// Rows that were there and are changed.
    pub updated: usize,
    /// Rows that were there just so.
    pub unchanged: usize,
}

impl std::ops::AddAssign for Upserted {
    fn add_assign(&mut self, other: Self) {
        self.new += other.new;
        self.updated += other.updated;
        self.unchanged += other.unchanged;
    }
}
