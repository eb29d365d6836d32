//! The errors of the pipelines over time.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use serde::{Deserialize, Serialize};

use super::{Span, sql};
use crate::db::DbConnection;
use crate::error::Result;
use crate::types::Timestamp;
use crate::types::sql::{Text, Timestamptz};

/// The errors of a module in an hour, day or week.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, QueryableByName)]
#[non_exhaustive]
pub struct ErrorPeriod {
    /// Module of the program.
    #[diesel(sql_type = Text)]
    pub module: String,
    /// Start of the period.
    #[diesel(sql_type = Timestamptz)]
    pub start: Timestamp,
    /// Number of errors.
    #[diesel(sql_type = BigInt)]
    pub errors: i64,
    /// Number of these errors that are not resolved.
    #[diesel(sql_type = BigInt)]
    pub unresolved: i64,
}

/// Counts the errors within the span, by module and period: of the `limit` modules with the most errors in the span. Periods
/// without an error are left out.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn errors_by_module(conn: &mut DbConnection, span: &Span, limit: i64) -> Result<Vec<ErrorPeriod>> {
    let errors = format!(
        "WITH counted AS (SELECT module, {} AS start, count(*) AS errors, \
            count(*) FILTER (WHERE NOT resolved) AS unresolved \
            FROM error_log {} WHERE {} GROUP BY 1, 2), \
         worst AS (SELECT module, sum(errors) AS errors FROM counted GROUP BY module \
            ORDER BY 2 DESC, module LIMIT {}) \
         SELECT counted.module, counted.start, counted.errors, counted.unresolved \
         FROM worst JOIN counted ON counted.module = worst.module \
         ORDER BY worst.errors DESC, counted.module, counted.start",
        sql::start(conn, span.every, "occurred_at"),
        sql::by_index(conn, "idx_error_log_occurred_at"),
        sql::within(conn, span, "occurred_at"),
        limit.max(0),
    );
    sql::load(conn, &errors, None, "error_log")
}
