//! Jobs that wait until other jobs are completed.

use std::collections::HashSet;

use diesel::dsl::{auto_type, sql};
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::enqueue::enqueue_many;
use crate::db::{DbConnection, insert_many, on_backend};
use crate::error::{Error, Result, ResultExt};
use crate::republishing::{JobStatus, NewVideoProcessingJob, VideoProcessingJobId};
use crate::schema::{video_processing_jobs as jobs, viraldb_job_waits};
use crate::types::sql::Bool;
use crate::types::{JobWaitId, Timestamp};

/// One row of `viraldb_job_waits`: a job that waits until another one is completed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, HasQuery, Identifiable)]
#[diesel(table_name = viraldb_job_waits, check_for_backend(crate::db::MultiBackend))]
#[non_exhaustive]
pub struct JobWait {
    /// Primary key. viraldb generates version 7 UUIDs.
    pub id: JobWaitId,
    /// The job that waits.
    pub job_id: VideoProcessingJobId,
    /// The job that it waits for.
    pub waits_for: VideoProcessingJobId,
    /// When the waiting job is due, once it waits for no other.
    pub run_at: Timestamp,
}

/// A row to insert. See [`JobWait`] for the fields.
#[derive(Debug, Insertable)]
#[diesel(table_name = viraldb_job_waits)]
struct NewJobWait {
    id: JobWaitId,
    job_id: VideoProcessingJobId,
    waits_for: VideoProcessingJobId,
    run_at: Timestamp,
}

impl JobWait {
    /// Returns what a job waits for.
    ///
    /// # Errors
    /// Only the [errors of the database](crate::Error#errors-of-the-database).
    pub fn of_job(conn: &mut DbConnection, job: VideoProcessingJobId) -> Result<Vec<Self>> {
        on_backend!(conn, |c| Self::query()
            .filter(viraldb_job_waits::job_id.eq(job))
            .order((viraldb_job_waits::waits_for, viraldb_job_waits::id))
            .load(c))
        .of("viraldb_job_waits", job)
    }
}

/// Adds jobs to the queue that wait until all jobs of `after` are completed, and returns how many it added.
///
/// Until then a waiting job is `queued`, and its `run_at` is in the year 9999, so that no worker claims it, whichever program
/// it belongs to. Then it is due at the `run_at` that it was enqueued with, or at once. Jobs of `after` that are completed
/// already do not count. If one of them fails, the waiting jobs stay; they become due once it is [retried](super::retry) and
/// completed, or deleted. To give them up, [cancel](super::cancel) them.
///
/// A job is skipped if an unfinished job has the same `unique_key`.
///
/// ```
/// use viraldb::queue::{self, Claim};
/// use viraldb::republishing::{JobType, NewVideoProcessingJob};
///
/// # fn main() -> viraldb::Result<()> {
/// let db = viraldb::Database::open("sqlite::memory:")?;
/// # let channel = db.write(|c| viraldb::republishing::NewChannel::default().insert(c))?;
/// # let video = viraldb::republishing::NewVideo { channel_id: channel.id, ..Default::default() };
/// # let video = db.write(|c| video.insert(c))?;
/// let [download, publish] =
///     [JobType::Download, JobType::Publish].map(|work| NewVideoProcessingJob::new(video.id, channel.id, work));
/// db.write(|c| {
///     queue::enqueue(c, &download)?;
///     queue::enqueue_after(c, &[publish], &[download.id])
/// })?;
/// let claim = Claim::new("worker-1").at_most(10);
/// let claimed = db.write(|c| queue::claim(c, &claim))?;
/// assert_eq!(claimed.len(), 1); // the download
/// db.write(|c| queue::complete(c, &claimed[0]))?;
/// assert_eq!(db.write(|c| queue::claim(c, &claim))?[0].job_type, JobType::Publish);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// `NotFound` if a job of `after` does not exist, and the errors of [`enqueue`](super::enqueue). No job is added then.
pub fn enqueue_after(
    conn: &mut DbConnection,
    rows: &[NewVideoProcessingJob<'_>],
    after: &[VideoProcessingJobId],
) -> Result<usize> {
    conn.atomically(|conn| {
        let unfinished = unfinished(conn, after)?;
        if unfinished.is_empty() {
            return enqueue_many(conn, rows);
        }
        let (now, latest) = (Timestamp::now(), Timestamp::latest());
        let waiting: Vec<NewVideoProcessingJob<'_>> =
            rows.iter().map(|row| NewVideoProcessingJob { run_at: Some(latest), ..row.clone() }).collect();
        let count = enqueue_many(conn, &waiting)?;
        let ids: Vec<VideoProcessingJobId> = rows.iter().map(|row| row.id).collect();
        let added: HashSet<VideoProcessingJobId> =
            existing(conn, &ids)?.into_iter().map(|job| job.0).collect();
        let mut waits = Vec::new();
        for row in rows.iter().filter(|row| added.contains(&row.id)) {
            let run_at = row.run_at.unwrap_or(now);
            let wait = |waits_for: &_| NewJobWait {
                id: JobWaitId::default(),
                job_id: row.id,
                waits_for: *waits_for,
                run_at,
            };
            waits.extend(unfinished.iter().map(wait));
        }
        insert_many::<_, NewJobWait>(conn, viraldb_job_waits::table, "viraldb_job_waits", &waits)?;
        Ok(count)
    })
}

/// Returns the jobs of `after` that are not completed, in a fixed order, and keeps them from being completed meanwhile.
fn unfinished(conn: &mut DbConnection, after: &[VideoProcessingJobId]) -> Result<Vec<VideoProcessingJobId>> {
    let mut after = after.to_vec();
    after.sort_unstable();
    after.dedup();
    let found = existing(conn, &after)?;
    let known: HashSet<VideoProcessingJobId> = found.iter().map(|job| job.0).collect();
    if let Some(missing) = after.iter().find(|job| !known.contains(job)) {
        return Err(Error::NotFound { table: "video_processing_jobs", key: missing.to_string() });
    }
    Ok(found.into_iter().filter(|job| job.1 != JobStatus::Completed).map(|job| job.0).collect())
}

/// Returns those of the jobs that exist. On PostgreSQL they are locked, so that no transaction completes them before this one
/// ends.
fn existing(
    conn: &mut DbConnection,
    ids: &[VideoProcessingJobId],
) -> Result<Vec<(VideoProcessingJobId, JobStatus)>> {
    let mut found = Vec::with_capacity(ids.len());
    for ids in ids.chunks(crate::db::IDS) {
        let these =
            || jobs::table.filter(jobs::id.eq_any(ids)).select((jobs::id, jobs::status)).order(jobs::id);
        let these: Vec<(VideoProcessingJobId, JobStatus)> = on_backend!(
            &mut *conn,
            sqlite => |c| these().load(c),
            postgres => |c| these().for_share().load(c),
        )
        .of("video_processing_jobs", "")?;
        found.extend(these);
    }
    Ok(found)
}

/// Makes the jobs due that wait only for these jobs, which are completed now. A trigger does so once the last wait of a job is
/// deleted.
pub(super) fn release_waiting(conn: &mut DbConnection, completed: &[VideoProcessingJobId]) -> Result<()> {
    on_backend!(
        conn,
        sqlite => |c| {
            use crate::db::prepared::Prepared;
            use crate::types::sql::Int4;

            struct AnyWait;
            // Most programs use no waits. Then this lookup is all that they cost.
            let any = Prepared(AnyWait, viraldb_job_waits::table.select(1.into_sql::<Int4>()).limit(1));
            if any.load::<i32>(c)?.is_empty() {
                return Ok(());
            }
            for completed in completed.chunks(crate::db::IDS) {
                diesel::delete(waits_for(completed)).execute(c)?;
            }
            Ok(())
        },
        postgres => |c| diesel::delete(waits_for(completed)).execute(c).map(drop),
    )
    .of("viraldb_job_waits", "")
}

#[auto_type]
fn waits_for<'a>(completed: &'a [VideoProcessingJobId]) -> _ {
    viraldb_job_waits::table.filter(viraldb_job_waits::waits_for.eq_any(completed))
}

/// Makes the jobs due that wait only for jobs that another program has completed. Reads the jobs that are waited for, because
/// there are few of them and many that are completed.
pub(super) fn release_stale(conn: &mut DbConnection) -> Result<()> {
    const PAGE: i64 = 1_000;
    let mut last = VideoProcessingJobId::from(uuid::Uuid::nil());
    loop {
        let waited: Vec<VideoProcessingJobId> = on_backend!(&mut *conn, |c| viraldb_job_waits::table
            .filter(viraldb_job_waits::waits_for.gt(last))
            .select(viraldb_job_waits::waits_for)
            .distinct()
            .order(viraldb_job_waits::waits_for)
            .limit(PAGE)
            .load(c))
        .of("viraldb_job_waits", "")?;
        let Some(newest) = waited.last() else { return Ok(()) };
        last = *newest;
        // With a plain condition PostgreSQL could read the index on `status`, with the entries of all completed jobs.
        let is_completed = || sql::<Bool>("(video_processing_jobs.status = 'completed') IS TRUE");
        let completed: Vec<VideoProcessingJobId> = on_backend!(&mut *conn, |c| jobs::table
            .filter(jobs::id.eq_any(&waited).and(is_completed()))
            .select(jobs::id)
            .load(c))
        .of("video_processing_jobs", "")?;
        if !completed.is_empty() {
            release_waiting(conn, &completed)?;
        }
    }
}
