//! The successor of a job.

use super::enqueue::enqueue_many;
use super::lease::{Lease, complete};
use crate::db::DbConnection;
use crate::error::Result;
use crate::republishing::{NewVideoProcessingJob, VideoProcessingJob};

/// Completes a job and adds its successors to the queue, in one transaction: either all of it happens, or nothing.
///
/// A successor is skipped if an unfinished job has the same `unique_key`.
///
/// # Errors
/// The errors of [`complete`] and [`enqueue_many`]. Nothing is changed then.
pub fn complete_and_enqueue(
    conn: &mut DbConnection,
    lease: impl Into<Lease>,
    successors: &[NewVideoProcessingJob<'_>],
) -> Result<VideoProcessingJob> {
    let lease = lease.into();
    conn.atomically(|conn| {
        let job = complete(conn, lease)?;
        enqueue_many(conn, successors)?;
        Ok(job)
    })
}
