//! The costs of generated videos, and the revenue.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double};
use serde::{Deserialize, Serialize};

use super::{Span, sql};
use crate::db::DbConnection;
use crate::error::Result;
use crate::types::Timestamp;
use crate::types::sql::Timestamptz;

/// Larger amounts, infinity and NaN are left out: nothing costs that much, and a sum with them could overflow.
const LARGEST: &str = "1e15";

/// The costs and the revenue of an hour, day or week.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct MoneyPeriod {
    /// Start of the period.
    pub start: Timestamp,
    /// Sum of `cost_usd` of the generated videos, in US dollars.
    pub cost_usd: f64,
    /// Number of generated videos with a known cost.
    pub generated: i64,
    /// Sum of `estimated_revenue_usd`, in US dollars. `None` if no sample of the period has it.
    pub revenue_usd: Option<f64>,
}

/// Returns the costs and the revenue in each period of the span, oldest first.
///
/// The revenue is the sum of the samples that were measured in the period. It is correct for reports of the YouTube Analytics
/// API by day or month, whose samples hold the revenue of that day or month alone.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn money(conn: &mut DbConnection, span: &Span) -> Result<Vec<MoneyPeriod>> {
    #[derive(QueryableByName)]
    struct Sum {
        #[diesel(sql_type = Timestamptz)]
        start: Timestamp,
        #[diesel(sql_type = Double)]
        usd: f64,
        #[diesel(sql_type = BigInt)]
        rows: i64,
    }
    let sum = |conn: &DbConnection, table: &str, index: &str, column: &str, time: &str| {
        format!(
            "SELECT {} AS start, sum({column}) AS usd, count(*) AS rows FROM {table} {} \
             WHERE {} AND {column} IS NOT NULL AND abs({column}) < CAST({LARGEST} AS double precision) GROUP BY 1",
            sql::start(conn, span.every, time),
            sql::by_index(conn, index),
            sql::within(conn, span, time),
        )
    };
    let costs = sum(conn, "job_videos", "idx_job_videos_created_at", "cost_usd", "created_at");
    let revenue = sum(conn, "analytics", "idx_analytics_revenue", "estimated_revenue_usd", "measured_at");
    let (costs, revenue): (Vec<Sum>, Vec<Sum>) = conn.snapshot(|conn| {
        Ok((sql::load(conn, &costs, None, "job_videos")?, sql::load(conn, &revenue, None, "analytics")?))
    })?;
    let empty = |start| MoneyPeriod { start, cost_usd: 0.0, generated: 0, revenue_usd: None };
    let rows = costs
        .into_iter()
        .map(|sum| (sum.start, MoneyPeriod { cost_usd: sum.usd, generated: sum.rows, ..empty(sum.start) }));
    let mut periods = span.fill(rows, empty);
    for sum in revenue {
        if let Ok(place) = periods.binary_search_by_key(&sum.start, |period| period.start) {
            periods[place].revenue_usd = Some(sum.usd);
        }
    }
    Ok(periods)
}
