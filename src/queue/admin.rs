//! Operations of schedulers and operators on jobs that they have not claimed.

use std::collections::HashMap;

use diesel::dsl::auto_type;
use diesel::prelude::*;

use super::attempt::{AttemptOutcome, NewJobAttempt};
use super::lease::{Lease, without_lease};
use super::wait::release_stale;
use crate::db::clock::{Moment, now};
use crate::db::{DbConnection, on_backend};
use crate::error::{Error, Result, ResultExt};
use crate::republishing::{JobStatus, VideoProcessingJob};
use crate::schema::video_processing_jobs as jobs;
use crate::types::{Json, LeaseToken, VideoProcessingJobId};
use crate::{Database, Timestamp};

/// Maximum number of jobs that one statement changes, so that no statement holds its locks for long.
const BATCH: i64 = 1_000;

/// The error of a canceled job. Other programs read this word, so it keeps its spelling.
pub(super) const CANCELED: &str = "cancelled";

/// Counts of the jobs whose lease had expired.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[non_exhaustive]
pub struct Rescued {
    /// Jobs that will be retried.
    pub retrying: usize,
    /// Jobs that ended as `failed` because their attempts were used up.
    pub failed: usize,
}

/// Returns jobs with an expired lease to the queue, because their workers probably died.
///
/// Such a job becomes `retrying` and is due immediately. If its attempts are used up, it ends as `failed` instead. One call
/// handles at most 1,000 jobs; call again while it finds any, or use [`rescue_all`].
///
/// The call also makes the jobs due that [wait](super::enqueue_after) only for jobs that another program has completed.
///
/// A job that is `processing` without a lease stays as it is. A program that does not use leases set that status, and may
/// still be working on the job. If you know that it is not, return the job to the queue with [`cancel`] and [`retry`].
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn rescue(conn: &mut DbConnection) -> Result<Rescued> {
    const WHY: &str = "the lease expired before the worker finished";
    let now = now();
    conn.atomically(|conn| {
        let expired = || {
            jobs::table
                .filter(jobs::status.eq(JobStatus::Processing).and(jobs::lease_expires_at.le(now.nullable())))
                .select((jobs::id, jobs::attempts, jobs::max_attempts, jobs::leased_by))
                .limit(BATCH)
        };
        let expired: Vec<(VideoProcessingJobId, i32, i32, Option<String>)> = on_backend!(
            &mut *conn,
            sqlite => |c| expired().load(c),
            // Concurrent rescues share the jobs: neither waits for the other.
            postgres => |c| expired().for_update().skip_locked().load(c),
        )
        .of("video_processing_jobs", "")?;
        let mut workers = HashMap::new();
        let (mut over, mut left) = (Vec::new(), Vec::new());
        for (id, attempts, most, worker) in expired {
            workers.insert(id, worker);
            if attempts >= most { over.push(id) } else { left.push(id) }
        }
        let lapsed = || {
            let why = (jobs::error_message.eq(Some(WHY)), jobs::error_details.eq(None::<Json>));
            (why, jobs::updated_at.eq(now), without_lease())
        };
        let (retrying, failed): (Vec<VideoProcessingJob>, Vec<VideoProcessingJob>) =
            on_backend!(&mut *conn, |c| {
                let retrying = diesel::update(jobs::table.filter(jobs::id.eq_any(left)))
                    .set((jobs::status.eq(JobStatus::Retrying), jobs::run_at.eq(now), lapsed()))
                    .returning(VideoProcessingJob::as_returning())
                    .load(c)?;
                let failed = diesel::update(jobs::table.filter(jobs::id.eq_any(over)))
                    .set((
                        jobs::status.eq(JobStatus::Failed),
                        jobs::completed_at.eq(now.nullable()),
                        lapsed(),
                    ))
                    .returning(VideoProcessingJob::as_returning())
                    .load(c)?;
                Ok((retrying, failed))
            })
            .of("video_processing_jobs", "")?;
        let attempts: Vec<NewJobAttempt> = retrying
            .iter()
            .chain(&failed)
            .map(|job| NewJobAttempt::of(job, AttemptOutcome::Lost, workers.remove(&job.id).flatten()))
            .collect();
        NewJobAttempt::insert_many(conn, &attempts)?;
        release_stale(conn)?;
        Ok(Rescued { retrying: retrying.len(), failed: failed.len() })
    })
}

/// Calls [`rescue`] until no expired lease is left, with up to 1,000 jobs in each transaction.
///
/// # Errors
/// The errors of [`Database::write`]. Jobs that were rescued before the error stay rescued.
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

/// Returns the changes that queue a failed job again.
#[auto_type]
pub(super) fn retried(now: Moment) -> _ {
    let status: JobStatus = JobStatus::Queued;
    let never: Option<Timestamp> = None;
    let no_duration: Option<i32> = None;
    (
        jobs::status.eq(status),
        jobs::attempts.eq(0_i32),
        jobs::run_at.eq(now),
        jobs::completed_at.eq(never),
        jobs::duration.eq(no_duration),
        jobs::updated_at.eq(now),
    )
}

/// Returns a failed job to the queue. It is due now and has all its attempts again.
///
/// # Errors
/// `NotFound` if the job does not exist, `Invalid` if it has not failed, `Conflict` if an unfinished job now has the same
/// `unique_key`.
pub fn retry(conn: &mut DbConnection, id: VideoProcessingJobId) -> Result<VideoProcessingJob> {
    let now = now();
    let retried = on_backend!(&mut *conn, |c| diesel::update(
        jobs::table.filter(jobs::id.eq(id).and(jobs::status.eq(JobStatus::Failed)))
    )
    .set(retried(now))
    .returning(VideoProcessingJob::as_returning())
    .get_result(c)
    .optional())
    .of("video_processing_jobs", id)?;
    retried.map_or_else(|| Err(not_now(conn, id, "only failed jobs can be retried")), Ok)
}

/// Cancels an unfinished job: it ends as `failed`. If a worker holds the job, its next heartbeat reports the lost lease, and
/// a [`Worker`](super::Worker) tells its handler within about a second.
///
/// # Errors
/// `NotFound` if the job does not exist, `Invalid` if it is already finished.
pub fn cancel(conn: &mut DbConnection, id: VideoProcessingJobId) -> Result<VideoProcessingJob> {
    let now = now();
    let unfinished = [JobStatus::Queued, JobStatus::Retrying, JobStatus::Processing];
    conn.atomically(|conn| {
        let held = || {
            jobs::table
                .filter(jobs::id.eq(id).and(jobs::status.eq(JobStatus::Processing)))
                .select(jobs::leased_by)
        };
        let held: Option<Option<String>> = on_backend!(
            &mut *conn,
            sqlite => |c| held().first(c).optional(),
            postgres => |c| held().for_update().first(c).optional(),
        )
        .of("video_processing_jobs", id)?;
        let canceled: Option<VideoProcessingJob> = on_backend!(&mut *conn, |c| diesel::update(
            jobs::table.filter(jobs::id.eq(id).and(jobs::status.eq_any(unfinished)))
        )
        .set((
            jobs::status.eq(JobStatus::Failed),
            jobs::error_message.eq(Some(CANCELED)),
            jobs::error_details.eq(None::<Json>),
            jobs::completed_at.eq(now.nullable()),
            jobs::updated_at.eq(now),
            without_lease(),
        ))
        .returning(VideoProcessingJob::as_returning())
        .get_result(c)
        .optional())
        .of("video_processing_jobs", id)?;
        let Some(canceled) = canceled else {
            return Err(not_now(conn, id, "only unfinished jobs can be canceled"));
        };
        if let Some(worker) = held {
            NewJobAttempt::of(&canceled, AttemptOutcome::Canceled, worker).insert(conn)?;
        }
        Ok(canceled)
    })
}

/// Who holds a job.
pub(super) struct Holder {
    pub(super) token: Option<LeaseToken>,
    /// Whether the job was canceled.
    pub(super) is_canceled: bool,
}

/// Returns who holds the jobs of these leases. Deleted jobs are left out.
pub(super) fn held_by<'a>(
    conn: &mut DbConnection,
    leases: impl IntoIterator<Item = &'a Lease>,
) -> Result<HashMap<VideoProcessingJobId, Holder>> {
    let ids: Vec<VideoProcessingJobId> = leases.into_iter().map(|lease| lease.job).collect();
    let mut holders = HashMap::new();
    for ids in ids.chunks(crate::db::IDS) {
        type Row = (VideoProcessingJobId, Option<LeaseToken>, JobStatus, Option<String>);
        let rows: Vec<Row> = on_backend!(&mut *conn, |c| jobs::table
            .filter(jobs::id.eq_any(ids))
            .select((jobs::id, jobs::lease_token, jobs::status, jobs::error_message))
            .load(c))
        .of("video_processing_jobs", "")?;
        holders.extend(rows.into_iter().map(|(id, token, status, error)| {
            let is_canceled = status == JobStatus::Failed && error.as_deref() == Some(CANCELED);
            (id, Holder { token, is_canceled })
        }));
    }
    Ok(holders)
}

/// Returns the error for a job that was not changed: it does not exist, or `rule` excludes its status.
fn not_now(conn: &mut DbConnection, id: VideoProcessingJobId, rule: &str) -> Error {
    match VideoProcessingJob::find(conn, id) {
        Ok(job) => Error::invalid(format!("job {id}"), format!("is {}; {rule}", job.status)),
        Err(error) => error,
    }
}
