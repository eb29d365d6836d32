//! Inserts many rows into one table.

use diesel::prelude::*;
use diesel::query_builder::InsertStatement;
use diesel::query_dsl::methods::ExecuteDsl;

use super::{DbConnection, on_backend};
use crate::error::{Result, ResultExt};

/// Inserts all rows, or none if one of them is rejected, and returns their count. On SQLite rows are inserted one by one,
/// because a VALUES list of varying length is never cached as a prepared statement. On PostgreSQL each statement inserts many
/// rows.
pub(crate) fn insert_many<'a, T, R>(
    conn: &mut DbConnection,
    table: T,
    name: &'static str,
    rows: &'a [R],
) -> Result<usize>
where
    T: Copy,
    &'a R: OnSqlite<T>,
    &'a [R]: OnPostgres<T>,
{
    conn.atomically(|conn| {
        on_backend!(
            conn,
            sqlite => |c| rows.iter().map(|row| row.insert_on_sqlite(table, c)).sum::<QueryResult<_>>(),
            postgres => |c| rows
                .chunks(super::postgres::CHUNK)
                .map(|rows| rows.insert_on_postgres(table, c))
                .sum::<QueryResult<_>>(),
        )
        .of(name, "")
    })
}

/// A row that can be inserted into `T` on SQLite. Every type is one if SQLite is not compiled in.
pub(crate) trait OnSqlite<T> {
    #[cfg(feature = "sqlite")]
    fn insert_on_sqlite(self, table: T, conn: &mut SqliteConnection) -> QueryResult<usize>;
}

#[cfg(feature = "sqlite")]
impl<T: Table, R: Insertable<T>> OnSqlite<T> for R
where
    InsertStatement<T, R::Values>: ExecuteDsl<SqliteConnection>,
{
    fn insert_on_sqlite(self, table: T, conn: &mut SqliteConnection) -> QueryResult<usize> {
        diesel::insert_into(table).values(self).execute(conn)
    }
}

#[cfg(not(feature = "sqlite"))]
impl<T, R> OnSqlite<T> for R {}

/// Rows that can be inserted into `T` on PostgreSQL. Every type is one if PostgreSQL is not compiled in.
pub(crate) trait OnPostgres<T> {
    #[cfg(feature = "postgres")]
    fn insert_on_postgres(self, table: T, conn: &mut PgConnection) -> QueryResult<usize>;
}

#[cfg(feature = "postgres")]
impl<T: Table, R: Insertable<T>> OnPostgres<T> for R
where
    InsertStatement<T, R::Values>: ExecuteDsl<PgConnection>,
{
    fn insert_on_postgres(self, table: T, conn: &mut PgConnection) -> QueryResult<usize> {
        diesel::insert_into(table).values(self).execute(conn)
    }
}

#[cfg(not(feature = "postgres"))]
impl<T, R> OnPostgres<T> for R {}
