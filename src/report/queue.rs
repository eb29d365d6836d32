//! How much the queue got done, and what failed.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double};
use serde::{Deserialize, Serialize};

use super::{Span, sql};
use crate::db::DbConnection;
use crate::error::Result;
use crate::queue::AttemptOutcome;
use crate::republishing::{JobType, VideoProcessingJobId};
use crate::types::sql::{Nullable, Text, Timestamptz, Uuid};
use crate::types::{ChannelId, Timestamp};

const TABLE: &str = "video_processing_jobs";

/// The jobs that were enqueued and that ended in one hour, day or week.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, QueryableByName)]
#[non_exhaustive]
pub struct QueuePeriod {
    /// Start of the period.
    #[diesel(sql_type = Timestamptz)]
    pub start: Timestamp,
    /// Number of jobs that were enqueued.
    #[diesel(sql_type = BigInt)]
    pub enqueued: i64,
    /// Number of jobs that were completed.
    #[diesel(sql_type = BigInt)]
    pub completed: i64,
    /// Number of jobs that failed for good or were canceled.
    #[diesel(sql_type = BigInt)]
    pub failed: i64,
    /// Average time from `run_at` to the last claim of the completed jobs, in seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub average_wait_seconds: Option<f64>,
    /// Longest time from `run_at` to the last claim of the completed jobs, in seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub longest_wait_seconds: Option<f64>,
    /// Average time from the last claim to completion, in seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub average_duration_seconds: Option<f64>,
}

/// Returns what the queue got done in each period of the span, oldest first: of all channels, or of one.
///
/// The statements read the jobs that were enqueued or ended within the span.
///
/// ```
/// use std::time::Duration;
/// use viraldb::report::{self, Span};
///
/// # fn main() -> viraldb::Result<()> {
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// let span = Span::last(Duration::from_secs(24 * 3600));
/// let hours = db.read(|c| report::queue_throughput(c, &span, None))?;
/// assert_eq!(hours.len(), span.periods().len());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn queue_throughput(
    conn: &mut DbConnection,
    span: &Span,
    channel: Option<ChannelId>,
) -> Result<Vec<QueuePeriod>> {
    #[derive(QueryableByName)]
    struct Enqueued {
        #[diesel(sql_type = Timestamptz)]
        start: Timestamp,
        #[diesel(sql_type = BigInt)]
        jobs: i64,
    }
    let of = of_channel(channel);
    let enqueued = format!(
        "SELECT {} AS start, count(*) AS jobs FROM {TABLE} {} WHERE {}{of} GROUP BY 1",
        sql::start(conn, span.every, "queued_at"),
        sql::by_index(conn, "idx_jobs_queued_at"),
        sql::within(conn, span, "queued_at"),
    );
    let completed = "FILTER (WHERE status = 'completed')";
    let wait = sql::seconds(conn, "run_at", "started_at");
    let ended = format!(
        "SELECT {} AS start, CAST(0 AS bigint) AS enqueued, count(*) {completed} AS completed, \
         count(*) FILTER (WHERE status = 'failed') AS failed, \
         avg({wait}) {completed} AS average_wait_seconds, max({wait}) {completed} AS longest_wait_seconds, \
         avg({}) {completed} AS average_duration_seconds FROM {TABLE} {} WHERE {}{of} GROUP BY 1",
        sql::start(conn, span.every, "completed_at"),
        sql::seconds(conn, "started_at", "completed_at"),
        sql::by_index(conn, "idx_jobs_completed_at"),
        sql::within(conn, span, "completed_at"),
    );
    let (enqueued, ended): (Vec<Enqueued>, Vec<QueuePeriod>) = conn.snapshot(|conn| {
        Ok((sql::load(conn, &enqueued, None, TABLE)?, sql::load(conn, &ended, None, TABLE)?))
    })?;
    let mut periods =
        span.fill(ended.into_iter().map(|period| (period.start, period)), |start| QueuePeriod {
            start,
            enqueued: 0,
            completed: 0,
            failed: 0,
            average_wait_seconds: None,
            longest_wait_seconds: None,
            average_duration_seconds: None,
        });
    for Enqueued { start, jobs } in enqueued {
        if let Ok(place) = periods.binary_search_by_key(&start, |period| period.start) {
            periods[place].enqueued = jobs;
        }
    }
    Ok(periods)
}

/// The attempts of one job type that ended in the same way without completing their job.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, QueryableByName)]
#[non_exhaustive]
pub struct FailedAttempts {
    /// The job type.
    #[diesel(sql_type = Text)]
    pub job_type: JobType,
    /// How the attempts ended.
    #[diesel(sql_type = Text)]
    pub outcome: AttemptOutcome,
    /// Number of attempts.
    #[diesel(sql_type = BigInt)]
    pub attempts: i64,
    /// Number of different jobs.
    #[diesel(sql_type = BigInt)]
    pub jobs: i64,
    /// When the last of these attempts ended.
    #[diesel(sql_type = Timestamptz)]
    pub last_at: Timestamp,
}

/// Returns the attempts within the span that did not complete their job, by job type and outcome.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn failed_attempts(
    conn: &mut DbConnection,
    span: &Span,
    channel: Option<ChannelId>,
) -> Result<Vec<FailedAttempts>> {
    let attempts = format!(
        "SELECT job.job_type, attempt.outcome, count(*) AS attempts, count(DISTINCT attempt.job_id) AS jobs, \
         max(attempt.ended_at) AS last_at FROM viraldb_job_attempts AS attempt \
         {} JOIN {TABLE} AS job ON job.id = attempt.job_id WHERE {}{} \
         GROUP BY job.job_type, attempt.outcome ORDER BY attempts DESC, job.job_type, attempt.outcome",
        sql::by_index(conn, "idx_viraldb_job_attempts_ended_at"),
        sql::within(conn, span, "attempt.ended_at"),
        of_channel(channel),
    );
    sql::load(conn, &attempts, None, "viraldb_job_attempts")
}

/// The failed jobs of one type with the same error message.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, QueryableByName)]
#[non_exhaustive]
pub struct FailureCause {
    /// The job type.
    #[diesel(sql_type = Text)]
    pub job_type: JobType,
    /// The first 200 characters of the error message. `None` if the jobs have no message.
    #[diesel(sql_type = Nullable<Text>)]
    pub error: Option<String>,
    /// Number of failed jobs.
    #[diesel(sql_type = BigInt)]
    pub jobs: i64,
    /// When the last of them failed.
    #[diesel(sql_type = Timestamptz)]
    pub last_at: Timestamp,
}

/// Returns why jobs failed for good within the span: up to `limit` pairs of type and error message, the most frequent first.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn failure_causes(
    conn: &mut DbConnection,
    span: &Span,
    channel: Option<ChannelId>,
    limit: i64,
) -> Result<Vec<FailureCause>> {
    let causes = format!(
        "SELECT job_type, substr(error_message, 1, 200) AS error, count(*) AS jobs, max(completed_at) AS last_at \
         FROM {TABLE} {} WHERE {} AND status = 'failed'{} \
         GROUP BY 1, 2 ORDER BY jobs DESC, last_at DESC, 1, 2 NULLS LAST LIMIT {}",
        sql::by_index(conn, "idx_jobs_completed_at"),
        sql::within(conn, span, "completed_at"),
        of_channel(channel),
        limit.max(0),
    );
    sql::load(conn, &causes, None, TABLE)
}

/// The oldest due job of a type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, QueryableByName)]
#[non_exhaustive]
pub struct OldestDue {
    /// The job type.
    #[diesel(sql_type = Text)]
    pub job_type: JobType,
    /// The job that became due first.
    #[diesel(sql_type = Uuid)]
    pub id: VideoProcessingJobId,
    /// When it became due.
    #[diesel(sql_type = Timestamptz)]
    pub run_at: Timestamp,
}

/// Returns the oldest due job of each type, the oldest first. Types without due jobs are left out.
///
/// The statement steps from priority to priority in the index of claims, so that it reads few rows however many wait.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn oldest_due(conn: &mut DbConnection) -> Result<Vec<OldestDue>> {
    let types: Vec<String> = JobType::ALL.iter().map(|job_type| format!("('{job_type}')")).collect();
    let waiting = format!(
        "FROM {TABLE} AS job {} WHERE status IN ('queued', 'retrying')",
        sql::by_index(conn, "idx_jobs_claim_type")
    );
    let now = sql::edge(conn, Timestamp::now());
    let oldest = format!(
        "WITH RECURSIVE types (job_type) AS (VALUES {types}), \
         level (job_type, priority) AS (\
            SELECT job_type, (SELECT max(job.priority) {waiting} AND job.job_type = types.job_type) FROM types \
            UNION ALL \
            SELECT job_type, (SELECT max(job.priority) {waiting} AND job.job_type = level.job_type AND job.priority < level.priority) \
            FROM level WHERE priority IS NOT NULL), \
         first (job_type, id) AS (\
            SELECT job_type, (SELECT job.id {waiting} AND job.job_type = level.job_type AND job.priority = level.priority \
                AND job.run_at < {now} ORDER BY job.run_at, job.queued_at LIMIT 1) \
            FROM level WHERE priority IS NOT NULL), \
         ranked AS (\
            SELECT job.job_type, job.id, job.run_at, \
            row_number() OVER (PARTITION BY job.job_type ORDER BY job.run_at, job.id) AS place \
            FROM first CROSS JOIN {TABLE} AS job WHERE job.id = first.id) \
         SELECT job_type, id, run_at FROM ranked WHERE place = 1 ORDER BY run_at, job_type",
        types = types.join(", "),
    );
    sql::load(conn, &oldest, None, TABLE)
}

/// Returns the condition that a job belongs to the channel.
fn of_channel(channel: Option<ChannelId>) -> String {
    channel.map(|channel| format!(" AND channel_id = '{channel}'")).unwrap_or_default()
}
