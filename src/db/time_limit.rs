//! Time limits for queries whose cost is unknown, such as a filter that no index supports.

use std::time::{Duration, Instant};

use super::{DbConnection, on_backend};
use crate::{Error, Result};

#[cfg(feature = "sqlite")]
thread_local! {
    /// When SQLite stops the query that this thread runs.
    static DEADLINE: std::cell::Cell<Option<Instant>> = const { std::cell::Cell::new(None) };
}

/// Returns true if the query that this thread runs has used up its time. SQLite's progress handler calls it.
#[cfg(feature = "sqlite")]
pub(super) fn is_over() -> bool {
    DEADLINE.get().is_some_and(|deadline| Instant::now() >= deadline)
}

/// Runs `work`, which must only read, and stops its queries when they take longer than `limit`. SQLite counts the time of all
/// queries together, PostgreSQL the time of each.
///
/// The limit works on every connection that viraldb opened.
///
/// # Errors
/// `Invalid`, which says `what` took too long and what `to_do`, and the errors of `work`.
pub(crate) fn within<T>(
    conn: &mut DbConnection,
    limit: Duration,
    what: &str,
    to_do: &str,
    work: impl FnOnce(&mut DbConnection) -> Result<T>,
) -> Result<T> {
    let began = Instant::now();
    let result = on_backend!(
        &mut *conn,
        sqlite => |_c| {
            let before = DEADLINE.replace(Some(began + limit));
            let result = work(conn);
            DEADLINE.set(before);
            result
        },
        postgres => |_c| conn.snapshot(|conn| {
            // A limit of 0 would mean no limit.
            let before = set_limit(conn, &format!("{}ms", limit.as_millis().max(1)))?;
            let value = work(conn)?;
            set_limit(conn, &before)?;
            Ok(value)
        }),
    );
    result.map_err(|error| match error {
        Error::Database { .. } if began.elapsed() >= limit => {
            Error::invalid(what, format!("took longer than {} s; {to_do}", limit.as_secs_f64()))
        }
        error => error,
    })
}

/// Sets PostgreSQL's time limit for the rest of the transaction and returns the previous one.
#[cfg(feature = "postgres")]
fn set_limit(conn: &mut DbConnection, limit: &str) -> Result<String> {
    use diesel::prelude::*;
    use diesel::sql_types::Text;

    #[derive(QueryableByName)]
    struct Before {
        #[diesel(sql_type = Text)]
        limit: String,
    }
    let sql = "WITH before AS MATERIALIZED (SELECT pg_catalog.current_setting('statement_timeout') AS \"limit\") \
               SELECT before.\"limit\", pg_catalog.set_config('statement_timeout', $1, true) FROM before";
    let before: Before = on_backend!(
        conn,
        sqlite => |_c| Err(diesel::result::Error::NotFound),
        postgres => |c| diesel::sql_query(sql).bind::<Text, _>(limit).get_result(c),
    )?;
    Ok(before.limit)
}
