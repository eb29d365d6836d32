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
/// no `as_returning()`, and the SQL is built anew on each call. Match on it to go past them.
#[derive(diesel::MultiConnection)]
#[allow(missing_docs)] // the variants say it
pub enum DbConnection {
    #[cfg(feature = "sqlite")]
    Sqlite(SqliteConnection),
    #[cfg(feature = "postgres")]
    Postgres(PgConnection),
}

/// The same Diesel code, compiled once for each engine with its concrete type: the whole DSL is there
/// and prepared statements are cached. `Backend` names the engine inside. With two closures, each
/// engine gets its own code.
macro_rules! on_backend {
    ($conn:expr, |$c:ident| $body:expr) => {
        $crate::db::on_backend!($conn, sqlite => |$c| $body, postgres => |$c| $body)
    };
    ($conn:expr, sqlite => |$s:ident| $sqlite:expr, postgres => |$p:ident| $postgres:expr $(,)?) => {
        match $conn {
            #[cfg(feature = "sqlite")]
            $crate::db::DbConnection::Sqlite($s) => {
                #[allow(dead_code)]
                type Backend = diesel::sqlite::Sqlite;
                $sqlite
            }
            #[cfg(feature = "postgres")]
            $crate::db::DbConnection::Postgres($p) => {
                #[allow(dead_code)]
                type Backend = diesel::pg::Pg;
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
#[derive(Debug, Clone)]
pub struct Page<K> {
    /// Key of the last row of the page before; `None` is the first page.
    pub after: Option<K>,
    /// Most rows to return.
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
}

/// What became of rows that were inserted or, where their key was known, updated.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
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
