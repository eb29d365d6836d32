//! What the queue is doing now.

use std::collections::BTreeMap;
use std::time::Duration;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
use serde::{Deserialize, Serialize};

use super::is_paused;
use crate::db::clock::now;
use crate::db::{DbConnection, on_backend};
use crate::error::{Result, ResultExt};
use crate::republishing::{JobStatus, JobType};
use crate::schema::video_processing_jobs;
use crate::types::sql::Text;
use crate::types::{ChannelId, Timestamp, VideoId, VideoProcessingJobId};

/// A job that a worker is processing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery)]
#[diesel(table_name = video_processing_jobs, check_for_backend(crate::db::MultiBackend))]
#[non_exhaustive]
pub struct RunningJob {
    /// Worker that holds the lease. `None` if a program that does not use leases processes the job.
    pub leased_by: Option<String>,
    /// The job.
    pub id: VideoProcessingJobId,
    /// Type of the work.
    pub job_type: JobType,
    /// Video that is processed.
    pub video_id: VideoId,
    /// Channel that the video is made for.
    pub channel_id: ChannelId,
    /// Number of this attempt, from 1.
    pub attempts: i32,
    /// Maximum number of attempts.
    pub max_attempts: i32,
    /// When the job was claimed.
    pub started_at: Option<Timestamp>,
    /// When the lease expires unless it is renewed.
    pub lease_expires_at: Option<Timestamp>,
    /// How much of the work is done, from 0 to 1, as the worker reported it.
    pub progress: Option<f64>,
    /// What the worker is doing, as it reported it.
    pub progress_note: Option<String>,
}

/// The jobs of one type: those that wait, those that run, and those that ended recently.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct TypeActivity {
    /// The job type.
    pub job_type: JobType,
    /// Number of jobs that are due.
    pub due: i64,
    /// Number of jobs that are due later.
    pub scheduled: i64,
    /// Number of jobs that workers are processing.
    pub running: i64,
    /// Number of jobs that were completed within the window.
    pub completed: i64,
    /// Number of jobs that failed for good within the window.
    pub failed: i64,
}

/// What the queue is doing.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Activity {
    /// The time of the database.
    pub at: Timestamp,
    /// Whether workers claim no new jobs.
    pub is_paused: bool,
    /// Length of the window in seconds.
    pub window_seconds: f64,
    /// The types that have jobs that wait, run or ended within the window.
    pub types: Vec<TypeActivity>,
    /// The running jobs, by worker and then by start.
    pub running: Vec<RunningJob>,
}

/// Returns the jobs that workers are processing, by worker and then by start. Jobs without a worker come last.
///
/// ```
/// use viraldb::queue::{self, Claim};
/// # use viraldb::republishing::{JobType, NewChannel, NewVideo, NewVideoProcessingJob};
///
/// # fn main() -> viraldb::Result<()> {
/// let db = viraldb::Database::open("sqlite::memory:")?;
/// # let channel = db.write(|c| NewChannel::default().insert(c))?;
/// # let video = NewVideo { channel_id: channel.id, ..Default::default() };
/// # let video = db.write(|c| video.insert(c))?;
/// # db.write(|c| queue::enqueue(c, &NewVideoProcessingJob::new(video.id, channel.id, JobType::Download)))?;
/// db.write(|c| queue::claim(c, &Claim::new("worker-1")))?;
/// let running = db.read(queue::running)?;
/// assert_eq!(running[0].leased_by.as_deref(), Some("worker-1"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn running(conn: &mut DbConnection) -> Result<Vec<RunningJob>> {
    let mut running: Vec<RunningJob> = on_backend!(conn, |c| RunningJob::query()
        .filter(video_processing_jobs::status.eq(JobStatus::Processing))
        .load(c))
    .of("video_processing_jobs", "")?;
    running.sort_by(|a, b| {
        let key = |job: &RunningJob| (job.started_at, job.id);
        let by_worker =
            a.leased_by.is_none().cmp(&b.leased_by.is_none()).then_with(|| a.leased_by.cmp(&b.leased_by));
        by_worker.then_with(|| key(a).cmp(&key(b)))
    });
    Ok(running)
}

/// Returns what the queue is doing: the running jobs, and the number of jobs by type. Jobs count as completed or failed if
/// they ended within a window that ends now.
///
/// The statements read the jobs that wait, run, or ended within the window. They do not read older finished jobs.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn activity(conn: &mut DbConnection, window: Duration) -> Result<Activity> {
    let at: Timestamp = on_backend!(&mut *conn, |c| diesel::select(now()).get_result(c))?;
    let is_paused = is_paused(conn)?;
    let running = running(conn)?;
    let mut types = BTreeMap::new();
    for job in &running {
        of_type(&mut types, job.job_type).running += 1;
    }
    for (job_type, [due, scheduled]) in waiting(conn, at)? {
        let counts = of_type(&mut types, job_type);
        (counts.due, counts.scheduled) = (due, scheduled);
    }
    for (job_type, [completed, failed]) in ended(conn, at - window)? {
        let counts = of_type(&mut types, job_type);
        (counts.completed, counts.failed) = (completed, failed);
    }
    Ok(Activity {
        at,
        is_paused,
        window_seconds: window.as_secs_f64(),
        types: types.into_values().collect(),
        running,
    })
}

fn of_type(types: &mut BTreeMap<JobType, TypeActivity>, job_type: JobType) -> &mut TypeActivity {
    let none = TypeActivity { job_type, due: 0, scheduled: 0, running: 0, completed: 0, failed: 0 };
    types.entry(job_type).or_insert(none)
}

/// Two counts of the jobs of one type.
#[derive(QueryableByName)]
struct Counts {
    #[diesel(sql_type = Text)]
    job_type: JobType,
    #[diesel(sql_type = BigInt)]
    first: i64,
    #[diesel(sql_type = BigInt)]
    second: i64,
}

type ByType = Vec<(JobType, [i64; 2])>;

/// Counts the jobs that are due, and those that are due later.
fn waiting(conn: &mut DbConnection, at: Timestamp) -> Result<ByType> {
    // Without table statistics, SQLite's planner would choose the index on `status` and read the rows.
    count(conn, "INDEXED BY idx_jobs_claim_type", at, |at| {
        let waiting = "status IN ('queued', 'retrying')";
        (format!("run_at <= {at}"), format!("run_at > {at}"), waiting.to_owned())
    })
}

/// Counts the jobs that were completed, and those that failed for good.
fn ended(conn: &mut DbConnection, since: Timestamp) -> Result<ByType> {
    // SQLite's planner would choose the index on `job_type`, because it has the order of the groups.
    count(conn, "INDEXED BY idx_jobs_completed_at", since, |since| {
        let [completed, failed] = ["completed", "failed"].map(|status| format!("status = '{status}'"));
        (completed, failed, format!("completed_at > {since}"))
    })
}

/// Counts the jobs of each type for which the first or the second condition is true, among those for which the third is true.
/// `hint` is the index hint for SQLite.
fn count(
    conn: &mut DbConnection,
    #[cfg_attr(not(feature = "sqlite"), allow(unused))] hint: &str,
    at: Timestamp,
    conditions: impl Fn(&str) -> (String, String, String),
) -> Result<ByType> {
    let statement = |hint: &str, at: &str| {
        let (first, second, among) = conditions(at);
        format!(
            "SELECT job_type, count(*) FILTER (WHERE {first}) AS first, count(*) FILTER (WHERE {second}) AS second \
             FROM video_processing_jobs {hint} WHERE {among} GROUP BY job_type"
        )
    };
    let at = crate::db::clock::literal(conn, at);
    let counts: Vec<Counts> = on_backend!(
        conn,
        sqlite => |c| diesel::sql_query(statement(hint, &at)).load(c),
        postgres => |c| diesel::sql_query(statement("", &at)).load(c),
    )
    .of("video_processing_jobs", "")?;
    Ok(counts.into_iter().map(|row| (row.job_type, [row.first, row.second])).collect())
}
