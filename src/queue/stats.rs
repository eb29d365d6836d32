//! Statistics of the queue.

use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double};
use serde::{Deserialize, Serialize};

use crate::db::{DbConnection, on_backend};
use crate::error::{Result, ResultExt};
use crate::republishing::JobType;
use crate::types::Timestamp;
use crate::types::sql::{Nullable, Text, Timestamptz};

/// Statistics of the jobs of one type.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, QueryableByName)]
#[non_exhaustive]
pub struct TypeStats {
    /// The job type.
    #[diesel(sql_type = Text)]
    pub job_type: JobType,
    /// Number of jobs that wait for their first attempt, or that were released or retried by hand.
    #[diesel(sql_type = BigInt)]
    pub queued: i64,
    /// Number of jobs that wait for another attempt.
    #[diesel(sql_type = BigInt)]
    pub retrying: i64,
    /// Number of jobs that workers are processing.
    #[diesel(sql_type = BigInt)]
    pub processing: i64,
    /// Number of completed jobs.
    #[diesel(sql_type = BigInt)]
    pub completed: i64,
    /// Number of failed jobs.
    #[diesel(sql_type = BigInt)]
    pub failed: i64,
    /// When the oldest due job became due, or `None` if no job is due.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub oldest_due: Option<Timestamp>,
    /// Number of jobs that were completed within the window.
    #[diesel(sql_type = BigInt)]
    pub recently_completed: i64,
    /// Completed jobs per hour within the window.
    #[diesel(sql_type = Double)]
    pub completed_per_hour: f64,
    /// Average time from `run_at` to the last claim of the jobs completed within the window, in seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub average_wait_seconds: Option<f64>,
    /// Average time from the last claim to completion of the jobs completed within the window, in seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub average_duration_seconds: Option<f64>,
}

/// Counts jobs by type and status, and measures how fast jobs were completed within a window that ends now.
///
/// Types without jobs are omitted.
///
/// ```
/// use std::time::Duration;
/// use viraldb::queue;
/// use viraldb::republishing::{JobType, NewChannel, NewVideo, NewVideoProcessingJob};
///
/// # fn main() -> viraldb::Result<()> {
/// let db = viraldb::Database::open("sqlite::memory:")?;
/// # let channel = db.write(|c| NewChannel::default().insert(c))?;
/// # let video = NewVideo { channel_id: channel.id, ..Default::default() };
/// # let video = db.write(|c| video.insert(c))?;
/// db.write(|c| queue::enqueue(c, &NewVideoProcessingJob::new(video.id, channel.id, JobType::Download)))?;
///
/// let stats = db.read(|c| queue::stats(c, Duration::from_secs(3600)))?;
/// assert_eq!((stats[0].job_type, stats[0].queued), (JobType::Download, 1));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
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

/// Returns the statement. `seconds` returns the SQL for the seconds between two timestamps, which differs by engine.
fn sql(now: &str, since: &str, hours: f64, seconds: impl Fn(&'static str, &'static str) -> String) -> String {
    let recent = format!("FILTER (WHERE status = 'completed' AND completed_at > {since})");
    // If the clock was set back between the two timestamps, count 0 seconds rather than a negative time.
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
