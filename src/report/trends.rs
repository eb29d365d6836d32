//! The trends of other platforms.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use serde::{Deserialize, Serialize};

use super::{Span, sql};
use crate::db::DbConnection;
use crate::error::Result;
use crate::generation::Platform;
use crate::types::Timestamp;
use crate::types::sql::{Nullable, Text, Timestamptz};

/// The trends of a platform.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, QueryableByName)]
#[non_exhaustive]
pub struct PlatformTrends {
    /// The platform.
    #[diesel(sql_type = Text)]
    pub platform: Platform,
    /// Number of trends.
    #[diesel(sql_type = BigInt)]
    pub trends: i64,
    /// Number of trends that were collected within the span.
    #[diesel(sql_type = BigInt)]
    pub collected: i64,
    /// Views of the most viewed trend.
    #[diesel(sql_type = Nullable<BigInt>)]
    pub most_views: Option<i64>,
    /// When the newest trend was collected.
    #[diesel(sql_type = Timestamptz)]
    pub newest_at: Timestamp,
}

/// Returns the trends of each platform, the platform with the most trends first. Platforms without trends are left out.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn trends_by_platform(conn: &mut DbConnection, span: &Span) -> Result<Vec<PlatformTrends>> {
    let trends = format!(
        "SELECT platform, count(*) AS trends, count(*) FILTER (WHERE {}) AS collected, \
         max(views) AS most_views, max(collected_at) AS newest_at \
         FROM trends GROUP BY platform ORDER BY trends DESC, platform",
        sql::within(conn, span, "collected_at"),
    );
    sql::load(conn, &trends, None, "trends")
}
