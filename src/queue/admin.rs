//! What schedulers and operators do with jobs that they do not hold.

use diesel::prelude::*;

use super::lease::without_lease;
use crate::db::clock::now;
use crate::db::{DbConnection, on_backend};
use crate::error::{Error, Result, ResultExt};
use crate::republishing::{JobStatus, VideoProcessingJob};
use crate::schema::video_processing_jobs as jobs;
use crate::types::{Json, VideoProcessingJobId};
use crate::{Database, Timestamp};

/// Jobs that one statement touches, so that none holds its locks for long.
const BATCH: i64 = 1_000;

/// What became of jobs whose lease had expired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Rescued {
    /// Back to work.
    pub retrying: usize,
    /// Ended, because their attempts were used up.
    pub failed: usize,
}

/// Takes back the jobs of workers that died: those whose lease has expired go back to work at once, or end
/// as `failed` if their attempts are used up. At most 1,000 a call; call again while it finds any.
///
/// A job that is `processing` without a lease is not touched: a program that knows no leases set the status, and may
/// be at work on it for as long as it likes. Who knows that it is not puts the job back by [`cancel`] and [`retry`].
pub fn rescue(conn: &mut DbConnection) -> Result<Rescued> {
    const WHY: &str = "the lease expired before the worker finished";
    let now = now();
    conn.atomically(|conn| {
        let expired = || {
            jobs::table
                .filter(jobs::status.eq(JobStatus::Processing).and(jobs::lease_expires_at.le(now.nullable())))
                .select((jobs::id, jobs::attempts, jobs::max_attempts))
                .limit(BATCH)
        };
        let expired: Vec<(VideoProcessingJobId, i32, i32)> = on_backend!(
            &mut *conn,
            sqlite => |c| expired().load(c),
            // Two who rescue at once share the jobs; neither waits for the other.
            postgres => |c| expired().for_update().skip_locked().load(c),
        )
        .of("video_processing_jobs", "")?;
        let (over, left): (Vec<_>, Vec<_>) =
            expired.into_iter().partition(|(_, attempts, most)| attempts >= most);
        let ids = |jobs: Vec<(VideoProcessingJobId, i32, i32)>| {
            jobs.into_iter().map(|job| job.0).collect::<Vec<_>>()
        };
        let (over, left) = (ids(over), ids(left));
        let lapsed = || {
            let why = (jobs::error_message.eq(Some(WHY)), jobs::error_details.eq(None::<Json>));
            (why, jobs::updated_at.eq(now), without_lease())
        };
        on_backend!(conn, |c| {
            let retrying = diesel::update(jobs::table.filter(jobs::id.eq_any(left)))
                .set((jobs::status.eq(JobStatus::Retrying), jobs::run_at.eq(now), lapsed()))
                .execute(c)?;
            let failed = diesel::update(jobs::table.filter(jobs::id.eq_any(over)))
                .set((jobs::status.eq(JobStatus::Failed), jobs::completed_at.eq(now.nullable()), lapsed()))
                .execute(c)?;
            Ok(Rescued { retrying, failed })
        })
        .of("video_processing_jobs", "")
    })
}

/// Rescues until no expired lease is left, 1,000 jobs in each transaction.
pub fn rescue_all(db: &Database) -> Result<Rescued> {
    let mut sum = Rescued::default();
    loop {
        let rescued = db.write(rescue)?;
        if rescued == Rescued::default() {
            return Ok(sum);
        }
        sum.retrying += rescued.retrying;
        sum.failed += rescued.failed;
    }
}

/// Puts a failed job back in the queue, due now and with all its attempts.
///
/// # Errors
/// `NotFound`; `Invalid` if it has not failed; `Conflict` if another unfinished job has its `unique_key` by
/// now.
pub fn retry(conn: &mut DbConnection, id: VideoProcessingJobId) -> Result<VideoProcessingJob> {
    let now = now();
    let retried = on_backend!(&mut *conn, |c| diesel::update(
        jobs::table.filter(jobs::id.eq(id).and(jobs::status.eq(JobStatus::Failed)))
    )
    .set((
        jobs::status.eq(JobStatus::Queued),
        jobs::attempts.eq(0),
        jobs::run_at.eq(now),
        jobs::completed_at.eq(None::<Timestamp>),
        jobs::duration.eq(None::<i32>),
        jobs::updated_at.eq(now),
    ))
    .returning(VideoProcessingJob::as_returning())
    .get_result(c)
    .optional())
    .of("video_processing_jobs", id)?;
    retried.map_or_else(|| Err(not_now(conn, id, "only a failed job is retried")), Ok)
}

/// Ends a job that is not finished as `failed`. Its worker, if it has one, learns of it by its next heartbeat.
///
/// # Errors
/// `NotFound`; `Invalid` if it is finished.
pub fn cancel(conn: &mut DbConnection, id: VideoProcessingJobId) -> Result<VideoProcessingJob> {
    let now = now();
    let unfinished = [JobStatus::Queued, JobStatus::Retrying, JobStatus::Processing];
    let cancelled = on_backend!(&mut *conn, |c| diesel::update(
        jobs::table.filter(jobs::id.eq(id).and(jobs::status.eq_any(unfinished)))
    )
    .set((
        jobs::status.eq(JobStatus::Failed),
        jobs::error_message.eq(Some("cancelled")),
        jobs::error_details.eq(None::<Json>),
        jobs::completed_at.eq(now.nullable()),
        jobs::updated_at.eq(now),
        without_lease(),
    ))
    .returning(VideoProcessingJob::as_returning())
    .get_result(c)
    .optional())
    .of("video_processing_jobs", id)?;
    cancelled.map_or_else(|| Err(not_now(conn, id, "only an unfinished job is cancelled")), Ok)
}

/// Why a job was not there to be changed.
fn not_now(conn: &mut DbConnection, id: VideoProcessingJobId, rule: &str) -> Error {
    match VideoProcessingJob::find(conn, id) {
        Ok(job) => Error::invalid(format!("job {id}"), format!("is {}; {rule}", job.status)),
        Err(error) => error,
    }
}
