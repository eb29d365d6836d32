//! How the queue is doing.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double};
use serde::{Deserialize, Serialize};

use crate::db::{DbConnection, on_backend};
use crate::error::{Result, ResultExt};
use crate::republishing::JobType;
use crate::types::Timestamp;
use crate::types::sql::{Nullable, Text, Timestamptz};

/// The jobs of one type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, QueryableByName)]
#[non_exhaustive]
pub struct TypeStats {
    /// Type of job.
    #[diesel(sql_type = Text)]
    pub job_type: JobType,
    /// Waiting, and not because an attempt failed.
    #[diesel(sql_type = BigInt)]
    pub queued: i64,
    /// Waiting for another attempt.
    #[diesel(sql_type = BigInt)]
    pub retrying: i64,
    /// Being worked on.
    #[diesel(sql_type = BigInt)]
    pub processing: i64,
    /// Finished.
    #[diesel(sql_type = BigInt)]
    pub completed: i64,
    /// Given up.
    #[diesel(sql_type = BigInt)]
    pub failed: i64,
    /// Since when the oldest of the jobs that are due has been; none is due if there is none.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub oldest_due: Option<Timestamp>,
    /// How many were finished within the window.
    #[diesel(sql_type = BigInt)]
    pub recently_completed: i64,
    /// How many that is in an hour.
    #[diesel(sql_type = Double)]
    pub completed_per_hour: f64,
    /// How long these waited on average from `run_at` to their last claim, in seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub average_wait_seconds: Option<f64>,
    /// How long these took on average from their last claim to the end, in seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub average_duration_seconds: Option<f64>,
}

/// Counts jobs by type and status, and how fast they were finished within a window that ends now. Types
/// without jobs are left out.
pub fn stats(conn: &mut DbConnection, window: Duration) -> Result<Vec<TypeStats>> {
    let now = Timestamp::now();
    let since = now - window;
    let hours = window.as_secs_f64().max(1e-3) / 3600.0;
    on_backend!(
        conn,
        sqlite => |c| {
            let seconds = |from, to| format!("unixepoch({to}, 'subsec') - unixepoch({from}, 'subsec')");
            diesel::sql_query(sql("?1", "?2", hours, seconds))
                .bind::<Timestamptz, _>(now)
                .bind::<Timestamptz, _>(since)
                .load(c)
        },
        postgres => |c| {
            let seconds = |from, to| format!("CAST(extract(epoch FROM {to} - {from}) AS double precision)");
            diesel::sql_query(sql("$1", "$2", hours, seconds))
                .bind::<Timestamptz, _>(now)
                .bind::<Timestamptz, _>(since)
                .load(c)
        },
    )
    .of("video_processing_jobs", "")
}

/// The statement of either engine; `seconds` says how it subtracts one time from another.
fn sql(now: &str, since: &str, hours: f64, seconds: impl Fn(&'static str, &'static str) -> String) -> String {
    let recent = format!("FILTER (WHERE status = 'completed' AND completed_at > {since})");
    // A clock that was set back between the two gives no negative time.
    let between = |from, to| {
        format!("CASE WHEN {to} > {from} THEN {} WHEN {to} <= {from} THEN 0 END", seconds(from, to))
    };
    let wait = between("run_at", "started_at");
    let duration = between("started_at", "completed_at");
    format!(
        "SELECT job_type, \
         count(*) FILTER (WHERE status = 'queued') AS queued, \
         count(*) FILTER (WHERE status = 'retrying') AS retrying, \
         count(*) FILTER (WHERE status = 'processing') AS processing, \
         count(*) FILTER (WHERE status = 'completed') AS completed, \
         count(*) FILTER (WHERE status = 'failed') AS failed, \
         min(run_at) FILTER (WHERE status IN ('queued', 'retrying') AND run_at <= {now}) AS oldest_due, \
         count(*) {recent} AS recently_completed, \
         CAST(count(*) {recent} AS double precision) / CAST({hours} AS double precision) AS completed_per_hour, \
         avg({wait}) {recent} AS average_wait_seconds, \
         avg({duration}) {recent} AS average_duration_seconds \
         FROM video_processing_jobs GROUP BY job_type ORDER BY job_type"
    )
}
