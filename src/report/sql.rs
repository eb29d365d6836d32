//! The SQL fragments of reports that differ by engine.

use diesel::prelude::*;
use diesel::sql_types::Text;

use super::Span;
use crate::db::{DbConnection, MultiBackend, clock};
use crate::error::{Result, ResultExt};
use crate::series::Every;
use crate::types::Timestamp;

/// Returns the expression for the start of the period that contains the time in a column.
pub(super) fn start(conn: &DbConnection, every: Every, column: &str) -> String {
    match conn {
        #[cfg(feature = "sqlite")]
        DbConnection::Sqlite(_) => match every {
            Every::Hour => format!("substr({column}, 1, 13) || ':00:00'"),
            Every::Day => format!("substr({column}, 1, 10) || ' 00:00:00'"),
            // Go back six days and then forward to the next Monday. This never passes the year 9999, SQLite's last year.
            Every::Week => format!("date(substr({column}, 1, 10), '-6 days', 'weekday 1') || ' 00:00:00'"),
        },
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(_) => {
            format!("pg_catalog.date_trunc('{every}', {column} AT TIME ZONE 'UTC') AT TIME ZONE 'UTC'")
        }
    }
}

/// Returns the expression for the seconds from one time to another. If the clock was set back between the two, it is 0. It is
/// NULL if one of them is NULL.
pub(super) fn seconds(conn: &DbConnection, from: &str, to: &str) -> String {
    let seconds = match conn {
        #[cfg(feature = "sqlite")]
        DbConnection::Sqlite(_) => format!("unixepoch({to}, 'subsec') - unixepoch({from}, 'subsec')"),
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(_) => format!("CAST(extract(epoch FROM {to} - {from}) AS double precision)"),
    };
    format!("CASE WHEN {to} > {from} THEN {seconds} WHEN {to} <= {from} THEN CAST(0 AS double precision) END")
}

/// Returns the condition that the time in a column is within the span.
pub(super) fn within(conn: &DbConnection, span: &Span, column: &str) -> String {
    let [since, until] = [span.since, span.until].map(|at| clock::literal(conn, at));
    format!("{column} >= {since} AND {column} < {until}")
}

/// Returns a time as SQL, for comparisons with `<` or `>=`.
pub(super) fn edge(conn: &DbConnection, at: Timestamp) -> String {
    clock::literal(conn, at)
}

/// Returns the hint that makes SQLite use an index. PostgreSQL chooses it by itself.
///
/// Without table statistics, SQLite's planner often prefers an index that has the order of the groups, and reads all rows.
pub(super) fn by_index(conn: &DbConnection, #[allow(unused)] index: &str) -> String {
    match conn {
        #[cfg(feature = "sqlite")]
        DbConnection::Sqlite(_) => format!("INDEXED BY {index}"),
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(_) => String::new(),
    }
}

/// Runs a query. Its only parameter, `$1`, is the text if there is one.
pub(super) fn load<T>(
    conn: &mut DbConnection,
    sql: &str,
    text: Option<&str>,
    table: &'static str,
) -> Result<Vec<T>>
where
    T: QueryableByName<MultiBackend> + 'static,
{
    let query = diesel::sql_query(sql);
    match text {
        Some(text) => query.bind::<Text, _>(text).load(conn),
        None => query.load(conn),
    }
    .of(table, "")
}
