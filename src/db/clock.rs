//! The clock of the database, as a Diesel expression for both engines.
//!
//! On PostgreSQL it is the server's time at the start of the statement, so that workers on several machines share one clock.
//! On SQLite it is the system time, because a SQLite file is shared only by processes on one machine.

use std::time::Duration;

use diesel::QueryResult;
use diesel::expression::{AppearsOnTable, Expression, SelectableExpression, ValidGrouping, is_aggregate};
use diesel::query_builder::{AstPass, QueryFragment, QueryId};

use super::DbConnection;
use crate::types::Timestamp;
use crate::types::sql::Timestamptz;

/// Returns the current time as an expression.
pub(crate) fn now() -> Moment {
    after(Duration::ZERO)
}

/// Returns the current time plus `wait` as an expression.
pub(crate) fn after(wait: Duration) -> Moment {
    Moment { at: Timestamp::now() + wait, seconds: wait.as_secs_f64() }
}

/// Returns a timestamp as SQL, for comparison with a column by `<` or `>=`.
///
/// SQLite compares timestamps as text. Other programs write fewer fractional digits, and a shorter text sorts first. So this
/// returns the shortest text of the timestamp.
pub(crate) fn literal(conn: &DbConnection, at: Timestamp) -> String {
    match conn {
        #[cfg(feature = "sqlite")]
        DbConnection::Sqlite(_) => {
            let text = at.to_sqlite();
            format!("'{}'", text.trim_end_matches('0').trim_end_matches('.'))
        }
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(_) => format!("timestamptz '{at}'"),
    }
}

/// The expression that [`now`] and [`after`] return.
#[derive(Debug, Clone, Copy, QueryId)]
pub(crate) struct Moment {
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))] // PostgreSQL uses its own clock
    at: Timestamp,
    #[cfg_attr(not(feature = "postgres"), allow(dead_code))] // on SQLite `at` already includes the wait
    seconds: f64,
}

impl Expression for Moment {
    type SqlType = Timestamptz;
}

impl<Source> AppearsOnTable<Source> for Moment {}
impl<Source> SelectableExpression<Source> for Moment {}
impl<Group> ValidGrouping<Group> for Moment {
    type IsAggregate = is_aggregate::Never;
}

#[cfg(feature = "sqlite")]
impl QueryFragment<diesel::sqlite::Sqlite> for Moment {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::sqlite::Sqlite>) -> QueryResult<()> {
        out.push_bind_param::<Timestamptz, Timestamp>(&self.at)
    }
}

#[cfg(feature = "postgres")]
impl QueryFragment<diesel::pg::Pg> for Moment {
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, diesel::pg::Pg>) -> QueryResult<()> {
        out.push_sql("(pg_catalog.statement_timestamp() + pg_catalog.make_interval(secs => ");
        out.push_bind_param::<diesel::sql_types::Double, f64>(&self.seconds)?;
        out.push_sql("))");
        Ok(())
    }
}
