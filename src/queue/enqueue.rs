//! Putting jobs in.

use diesel::prelude::*;

use crate::db::{DbConnection, on_backend};
use crate::error::{Error, Result, ResultExt};
use crate::republishing::{JobStatus, NewVideoProcessingJob, VideoProcessingJob};
use crate::schema::video_processing_jobs as jobs;

/// Puts a job in the queue; `None` if an unfinished job has its `unique_key`.
///
/// What is not given is left to its default: priority 0 (higher goes first), due now, 3 attempts.
///
/// # Errors
/// `Invalid` if the video or the channel is not there, or if the job has a status other than `queued`.
pub fn enqueue(
    conn: &mut DbConnection,
    job: &NewVideoProcessingJob<'_>,
) -> Result<Option<VideoProcessingJob>> {
    require_waiting(job)?;
    on_backend!(conn, |c| diesel::insert_into(jobs::table)
        .values(job)
        .on_conflict_do_nothing()
        .returning(VideoProcessingJob::as_returning())
        .get_result(c)
        .optional())
    .of("video_processing_jobs", job.id)
}

/// Puts jobs in the queue, or none if one of them does not fit. Returns how many it put in: a job whose
/// `unique_key` an unfinished job has is left out.
pub fn enqueue_many(conn: &mut DbConnection, rows: &[NewVideoProcessingJob<'_>]) -> Result<usize> {
    rows.iter().try_for_each(require_waiting)?;
    conn.atomically(|conn| {
        on_backend!(
            conn,
            sqlite => |c| rows
                .iter()
                .map(|row| diesel::insert_into(jobs::table).values(row).on_conflict_do_nothing().execute(c))
                .sum::<QueryResult<_>>(),
            postgres => |c| rows
                .chunks(crate::db::postgres::CHUNK)
                .map(|rows| diesel::insert_into(jobs::table).values(rows).on_conflict_do_nothing().execute(c))
                .sum::<QueryResult<_>>(),
        )
        .of("video_processing_jobs", "")
    })
}

fn require_waiting(job: &NewVideoProcessingJob<'_>) -> Result<()> {
    match job.status {
        None | Some(JobStatus::Queued) => Ok(()),
        Some(status) => Err(Error::invalid("status", format!("of a new job is queued, not {status}"))),
    }
}
