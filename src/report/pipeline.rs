//! How runs went, and where their time went.

use std::time::Duration;

use diesel::dsl;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Double};
use serde::{Deserialize, Serialize};

use super::{Span, sql};
use crate::compilation::{ReviewAction, RunStatus};
use crate::db::{DbConnection, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::pipeline_runs;
use crate::types::sql::{Bool, Nullable, Text, Timestamptz};
use crate::types::{PipelineRunId, Timestamp};

/// A run on a timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, HasQuery)]
#[diesel(table_name = pipeline_runs, check_for_backend(crate::db::MultiBackend))]
#[non_exhaustive]
pub struct RunOnTimeline {
    /// The run.
    pub id: PipelineRunId,
    /// Its niche.
    pub niche: String,
    /// Start of the cycle.
    pub cycle_start: Timestamp,
    /// End of the cycle.
    pub cycle_end: Timestamp,
    /// Status of the run.
    pub status: RunStatus,
    /// When work on it began.
    pub started_at: Option<Timestamp>,
    /// When it was uploaded or failed.
    pub completed_at: Option<Timestamp>,
}

/// Returns up to `limit` runs, newest first: those whose cycle began within the span, and older ones that are not finished. Of
/// all niches, or of one.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn run_timeline(
    conn: &mut DbConnection,
    span: &Span,
    niche: Option<&str>,
    limit: i64,
) -> Result<Vec<RunOnTimeline>> {
    const UNFINISHED: [RunStatus; 4] =
        [RunStatus::Pending, RunStatus::Running, RunStatus::Review, RunStatus::Approved];
    let within = sql::within(conn, span, "pipeline_runs.cycle_start");
    let before = format!("pipeline_runs.cycle_start < {}", sql::edge(conn, span.until));
    on_backend!(conn, |c| {
        let mut runs = RunOnTimeline::query()
            .filter(dsl::sql::<Bool>(&within).or(pipeline_runs::status.eq_any(UNFINISHED).and(dsl::sql::<
                Bool,
            >(
                &before
            ))))
            .into_boxed();
        if let Some(niche) = niche {
            runs = runs.filter(pipeline_runs::niche.eq(niche));
        }
        runs.order((pipeline_runs::cycle_start.desc(), pipeline_runs::id.desc())).limit(limit.max(0)).load(c)
    })
    .of("pipeline_runs", "")
}

/// The number of runs of a niche with one status.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, QueryableByName)]
#[non_exhaustive]
pub struct RunsOfNiche {
    /// The niche.
    #[diesel(sql_type = Text)]
    pub niche: String,
    /// The status.
    #[diesel(sql_type = Text)]
    pub status: RunStatus,
    /// Number of runs.
    #[diesel(sql_type = BigInt)]
    pub runs: i64,
}

/// Counts the runs whose cycle began within the span, by niche and status.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn runs_by_niche(conn: &mut DbConnection, span: &Span, niche: Option<&str>) -> Result<Vec<RunsOfNiche>> {
    let runs = format!(
        "SELECT niche, status, count(*) AS runs FROM pipeline_runs {} WHERE {}{} \
         GROUP BY niche, status ORDER BY niche, status",
        sql::by_index(conn, "idx_pipeline_runs_cycle_start"),
        sql::within(conn, span, "cycle_start"),
        of_niche(niche),
    );
    sql::load(conn, &runs, niche, "pipeline_runs")
}

/// How long runs stayed in a status.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, QueryableByName)]
#[non_exhaustive]
pub struct StatusTime {
    /// The status: running, review or approved.
    #[diesel(sql_type = Text)]
    pub status: RunStatus,
    /// Number of runs that were in this status.
    #[diesel(sql_type = BigInt)]
    pub runs: i64,
    /// Average time in seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub average_seconds: Option<f64>,
    /// Longest time in seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub longest_seconds: Option<f64>,
}

/// Returns how long the runs whose cycle began within the span stayed in each status, in the order of the statuses.
///
/// A run is *running* from its start to its first review, or to its end if it had no review. It is in *review* from its first
/// review to the last answer. An uploaded run was *approved* from the last answer to its end. Times that are not over yet do
/// not count.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn time_in_status(conn: &mut DbConnection, span: &Span, niche: Option<&str>) -> Result<Vec<StatusTime>> {
    let times = format!(
        "WITH run AS (SELECT status, started_at, completed_at, \
            (SELECT min(sent_at) FROM review_log WHERE pipeline_run_id = pipeline_runs.id) AS sent_at, \
            (SELECT max(responded_at) FROM review_log WHERE pipeline_run_id = pipeline_runs.id) AS responded_at, \
            EXISTS (SELECT 1 FROM review_log WHERE pipeline_run_id = pipeline_runs.id AND responded_at IS NULL) AS waits \
            FROM pipeline_runs {} WHERE {}{}), \
         spent (place, status, seconds) AS (\
            SELECT 1, 'running', {} FROM run UNION ALL SELECT 2, 'review', {} FROM run WHERE NOT waits \
            UNION ALL SELECT 3, 'approved', {} FROM run WHERE status = 'uploaded') \
         SELECT status, count(*) AS runs, avg(seconds) AS average_seconds, max(seconds) AS longest_seconds \
         FROM spent WHERE seconds IS NOT NULL GROUP BY place, status ORDER BY place",
        sql::by_index(conn, "idx_pipeline_runs_cycle_start"),
        sql::within(conn, span, "cycle_start"),
        of_niche(niche),
        sql::seconds(conn, "started_at", "coalesce(sent_at, completed_at)"),
        sql::seconds(conn, "sent_at", "responded_at"),
        sql::seconds(conn, "responded_at", "completed_at"),
    );
    sql::load(conn, &times, niche, "pipeline_runs")
}

/// The reviews with one answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, QueryableByName)]
#[non_exhaustive]
pub struct ReviewAnswers {
    /// The answer, or `None` for reviews that are open.
    #[diesel(sql_type = Nullable<Text>)]
    pub action: Option<ReviewAction>,
    /// Whether the run was held because no one answered in time.
    #[diesel(sql_type = Bool)]
    pub auto_held: bool,
    /// Number of reviews.
    #[diesel(sql_type = BigInt)]
    pub reviews: i64,
    /// Average time until the answer, in seconds.
    #[diesel(sql_type = Nullable<Double>)]
    pub average_seconds: Option<f64>,
}

/// Counts the reviews that were requested within the span, by answer, the most frequent first.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn review_answers(
    conn: &mut DbConnection,
    span: &Span,
    niche: Option<&str>,
) -> Result<Vec<ReviewAnswers>> {
    let niches = niche.map(|_| " AND pipeline_run_id IN (SELECT id FROM pipeline_runs WHERE niche = $1)");
    let answers = format!(
        "SELECT action, auto_held, count(*) AS reviews, avg({}) AS average_seconds FROM review_log {} WHERE {}{} \
         GROUP BY action, auto_held ORDER BY reviews DESC, action NULLS LAST, auto_held",
        sql::seconds(conn, "sent_at", "responded_at"),
        sql::by_index(conn, "idx_review_log_sent_at"),
        sql::within(conn, span, "sent_at"),
        niches.unwrap_or_default(),
    );
    sql::load(conn, &answers, niche, "review_log")
}

/// The reviews that wait for an answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, QueryableByName)]
#[non_exhaustive]
pub struct WaitingReviews {
    /// Number of reviews.
    #[diesel(sql_type = BigInt)]
    pub reviews: i64,
    /// Number of these reviews that were requested more than a day ago.
    #[diesel(sql_type = BigInt)]
    pub late: i64,
    /// When the oldest of them was requested.
    #[diesel(sql_type = Nullable<Timestamptz>)]
    pub oldest_at: Option<Timestamp>,
}

/// Counts the reviews that wait for an answer: of all niches, or of one. [`ReviewLog::open`](crate::compilation::ReviewLog::open)
/// lists them.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn waiting_reviews(conn: &mut DbConnection, niche: Option<&str>) -> Result<WaitingReviews> {
    let a_day_ago = sql::edge(conn, Timestamp::now() - Duration::from_secs(86_400));
    let waiting = format!(
        "SELECT count(*) AS reviews, count(*) FILTER (WHERE review_log.sent_at < {a_day_ago}) AS late, \
         min(review_log.sent_at) AS oldest_at \
         FROM pipeline_runs JOIN review_log ON review_log.pipeline_run_id = pipeline_runs.id \
         WHERE pipeline_runs.status = 'review'{} AND review_log.responded_at IS NULL AND review_log.action IS NULL \
         AND NOT EXISTS (SELECT 1 FROM review_log AS newer \
            WHERE newer.pipeline_run_id = pipeline_runs.id AND newer.id > review_log.id)",
        of_niche(niche),
    );
    let none = WaitingReviews { reviews: 0, late: 0, oldest_at: None };
    Ok(sql::load(conn, &waiting, niche, "review_log")?.pop().unwrap_or(none))
}

/// Returns the condition that a row belongs to the niche, which is the first parameter.
fn of_niche(niche: Option<&str>) -> &'static str {
    if niche.is_some() { " AND niche = $1" } else { "" }
}
