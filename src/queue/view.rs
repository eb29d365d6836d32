//! A job with its history, and the retry of many jobs.

use std::collections::HashSet;

use diesel::dsl::sql;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::admin::retried;
use super::{JobAttempt, JobWait};
use crate::Database;
use crate::db::clock::now;
use crate::db::{DbConnection, on_backend};
use crate::error::{Result, ResultExt};
use crate::republishing::{JobStatus, VideoProcessingJob, VideoProcessingJobFilter, VideoProcessingJobId};
use crate::schema::video_processing_jobs as jobs;
use crate::types::sql::Bool;

/// Maximum number of jobs that one transaction changes.
const BATCH: i64 = 1_000;

/// A job, the attempts that did not complete it, and what it waits for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct JobView {
    /// The job.
    #[serde(flatten)]
    pub job: VideoProcessingJob,
    /// The attempts that did not complete the job, oldest first.
    pub history: Vec<JobAttempt>,
    /// The jobs that it waits for.
    pub waits_for: Vec<VideoProcessingJobId>,
}

/// Returns a job with its history and what it waits for.
///
/// # Errors
/// [`NotFound`](crate::Error::NotFound) if no job has this id.
pub fn view(conn: &mut DbConnection, id: VideoProcessingJobId) -> Result<JobView> {
    let job = VideoProcessingJob::find(conn, id)?;
    let history = JobAttempt::of_job(conn, id)?;
    let waits_for = JobWait::of_job(conn, id)?.into_iter().map(|wait| wait.waits_for).collect();
    Ok(JobView { job, history, waits_for })
}

/// Counts of the failed jobs that were retried together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Retried {
    /// Jobs that are queued again.
    pub queued: usize,
    /// Jobs that stay failed, because another unfinished job has the same `unique_key`.
    pub skipped: usize,
}

/// Returns all matching failed jobs to the queue, each like [`retry`](super::retry), with up to 1,000 jobs in each transaction.
///
/// The status of the filter does not count. Of several failed jobs with the same `unique_key`, only the one enqueued first is
/// retried.
///
/// ```
/// use viraldb::queue;
/// use viraldb::republishing::{JobType, VideoProcessingJobFilter};
///
/// # fn main() -> viraldb::Result<()> {
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// let filter = VideoProcessingJobFilter {
///     job_type: Some(JobType::Download),
///     error: Some("HTTP 503".to_owned()),
///     ..Default::default()
/// };
/// let retried = queue::retry_all(&db, &filter)?;
/// println!("{} jobs are queued again", retried.queued);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The errors of [`Database::write`]. Jobs that were retried before the error stay so.
pub fn retry_all(db: &Database, filter: &VideoProcessingJobFilter) -> Result<Retried> {
    let mut sum = Retried::default();
    let mut last = None;
    loop {
        let (retried, newest) = db.write(|conn| retry_some(conn, filter, last))?;
        sum.queued += retried.queued;
        sum.skipped += retried.skipped;
        match newest {
            Some(newest) => last = Some(newest),
            None => return Ok(sum),
        }
    }
}

/// Retries the next jobs after `last`, in the order of their ids. Returns the last one, or `None` if none is left.
fn retry_some(
    conn: &mut DbConnection,
    filter: &VideoProcessingJobFilter,
    last: Option<VideoProcessingJobId>,
) -> Result<(Retried, Option<VideoProcessingJobId>)> {
    let filter = VideoProcessingJobFilter { status: None, ..filter.clone() };
    let mut failed = filter
        .rows()
        // The batches follow the primary key, so that all of them together read the table once. With a plain condition
        // the database could read all failed jobs for each batch.
        .filter(sql::<Bool>("(video_processing_jobs.status = 'failed') IS TRUE"))
        .select((jobs::id, jobs::unique_key))
        .order(jobs::id)
        .limit(BATCH);
    if let Some(last) = last {
        failed = failed.filter(jobs::id.gt(last));
    }
    let failed: Vec<(VideoProcessingJobId, Option<String>)> =
        failed.load(conn).of("video_processing_jobs", "")?;
    let Some((newest, _)) = failed.last() else { return Ok((Retried::default(), None)) };
    let newest = *newest;
    let keys: Vec<&String> = failed.iter().filter_map(|(_, key)| key.as_ref()).collect();
    let unfinished = [JobStatus::Queued, JobStatus::Retrying, JobStatus::Processing];
    let taken: Vec<Option<String>> = on_backend!(&mut *conn, |c| jobs::table
        .filter(jobs::unique_key.eq_any(&keys).and(jobs::status.eq_any(unfinished)))
        .select(jobs::unique_key)
        .load(c))
    .of("video_processing_jobs", "")?;
    let mut taken: HashSet<String> = taken.into_iter().flatten().collect();
    let count = failed.len();
    let again: Vec<VideoProcessingJobId> = failed
        .into_iter()
        .filter(|(_, key)| key.as_ref().is_none_or(|key| taken.insert(key.clone())))
        .map(|(id, _)| id)
        .collect();
    let queued = on_backend!(conn, |c| diesel::update(
        jobs::table.filter(jobs::id.eq_any(&again).and(jobs::status.eq(JobStatus::Failed)))
    )
    .set(retried(now()))
    .execute(c))
    .of("video_processing_jobs", "")?;
    Ok((Retried { queued, skipped: count - queued }, Some(newest)))
}
