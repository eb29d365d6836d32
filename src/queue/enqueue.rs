//! Adding jobs.

use std::collections::{HashMap, HashSet};

use diesel::prelude::*;

#[cfg(feature = "postgres")]
use super::insert::InsertMany;
use crate::config::Current;
use crate::db::{DbConnection, on_backend};
use crate::error::{Error, Result, ResultExt, require};
use crate::republishing::{JobStatus, NewVideoProcessingJob, VideoProcessingJob};
use crate::schema::video_processing_jobs as jobs;
use crate::types::ChannelId;

/// How many jobs one statement inserts on PostgreSQL.
#[cfg(feature = "postgres")]
const BATCH: usize = 1_000;

/// Adds a job to the queue. Returns `None` if an unfinished job has the same `unique_key`.
///
/// By default a job has priority 0 (higher priorities run first), is due now, and has as many attempts as the setting
/// `default_retry_attempts` of its channel says.
///
/// # Errors
/// `Invalid` if the video or the channel does not exist, the job has a status other than `queued` or an empty key, or the
/// setting is invalid. `Conflict` if a job with the same `id` exists. `Io` if the configuration file cannot be read.
pub fn enqueue(
    conn: &mut DbConnection,
    job: &NewVideoProcessingJob<'_>,
) -> Result<Option<VideoProcessingJob>> {
    require_waiting(job)?;
    let attempts = Attempts::read(conn, std::iter::once(job))?;
    let job = &attempts.given_to(job);
    let queued = on_backend!(&mut *conn, |c| diesel::insert_into(jobs::table)
        .values(job)
        .on_conflict_do_nothing()
        .returning(VideoProcessingJob::as_returning())
        .get_result(c)
        .optional())
    .of("video_processing_jobs", job.id)?;
    if queued.is_none() {
        require_new(conn, &[job], 0)?;
    }
    Ok(queued)
}

/// Adds jobs to the queue and returns how many it added.
///
/// A job is skipped if an unfinished job has the same `unique_key`. The defaults are the same as for [`enqueue`].
///
/// # Errors
/// The errors of [`enqueue`]. No job is added then.
pub fn enqueue_many(conn: &mut DbConnection, rows: &[NewVideoProcessingJob<'_>]) -> Result<usize> {
    rows.iter().try_for_each(require_waiting)?;
    // Every caller inserts in the same order of keys, so that two callers with the same keys cannot deadlock.
    let mut rows: Vec<&NewVideoProcessingJob<'_>> = rows.iter().collect();
    rows.sort_by(|a, b| a.unique_key.cmp(&b.unique_key));
    conn.atomically(|conn| {
        let attempts = Attempts::read(conn, rows.iter().copied())?;
        let given: Vec<_> = rows.iter().map(|row| attempts.given_to(row)).collect();
        let rows: Vec<_> = given.iter().collect();
        let queued = on_backend!(
            &mut *conn,
            sqlite => |c| rows
                .iter()
                .map(|row| diesel::insert_into(jobs::table).values(*row).on_conflict_do_nothing().execute(c))
                .sum::<QueryResult<_>>(),
            postgres => |c| rows
                .chunks(BATCH)
                .map(|rows| match InsertMany::new(rows) {
                    Some(insert) => insert.execute(c),
                    None => {
                        diesel::insert_into(jobs::table).values(rows.to_vec()).on_conflict_do_nothing().execute(c)
                    }
                })
                .sum::<QueryResult<_>>(),
        )
        .of("video_processing_jobs", "")?;
        if queued < rows.len() {
            require_new(conn, &rows, queued)?;
        }
        Ok(queued)
    })
}

/// The setting `default_retry_attempts` of each channel, for jobs that do not give their own number of attempts.
struct Attempts(HashMap<ChannelId, i32>);

impl Attempts {
    const KEY: &str = "default_retry_attempts";

    fn read<'a, 'b: 'a>(
        conn: &mut DbConnection,
        rows: impl Iterator<Item = &'a NewVideoProcessingJob<'b>>,
    ) -> Result<Self> {
        let channels: HashSet<ChannelId> =
            rows.filter(|row| row.max_attempts.is_none()).map(|row| row.channel_id).collect();
        if channels.is_empty() {
            return Ok(Self(HashMap::new()));
        }
        let current = Current::read(conn, channels.iter().copied(), &[Self::KEY])?;
        // The insert reports a channel that does not exist.
        let known = channels.into_iter().filter(|channel| current.knows(*channel));
        known
            .map(|channel| Ok((channel, current.get(Some(channel), Self::KEY)?)))
            .collect::<Result<_>>()
            .map(Self)
    }

    fn given_to<'a>(&self, job: &NewVideoProcessingJob<'a>) -> NewVideoProcessingJob<'a> {
        let attempts = job.max_attempts.or_else(|| self.0.get(&job.channel_id).copied());
        NewVideoProcessingJob { max_attempts: attempts, ..job.clone() }
    }
}

/// Returns a conflict if more of the jobs exist than were just added.
///
/// In that case some were skipped because of their `id`, and not because of their `unique_key`.
fn require_new(conn: &mut DbConnection, rows: &[&NewVideoProcessingJob<'_>], queued: usize) -> Result<()> {
    let mut there = 0;
    for rows in rows.chunks(crate::db::IDS) {
        let count: i64 = on_backend!(&mut *conn, |c| jobs::table
            .filter(jobs::id.eq_any(rows.iter().map(|row| row.id)))
            .count()
            .get_result(c))
        .of("video_processing_jobs", "")?;
        there += usize::try_from(count).unwrap_or_default();
    }
    if there <= queued {
        return Ok(());
    }
    Err(Error::Conflict {
        table: "video_processing_jobs",
        constraint: "video_processing_jobs_pkey".to_owned(),
        message: format!("{} of these ids are already taken; give each job its own id", there - queued),
    })
}

fn require_waiting(job: &NewVideoProcessingJob<'_>) -> Result<()> {
    if let Some(key) = &job.unique_key {
        require("unique_key", key)?;
    }
    job.require_indexable()?;
    match job.status {
        None | Some(JobStatus::Queued) => Ok(()),
        Some(status) => Err(Error::invalid("status", format!("of a new job must be queued, got {status}"))),
    }
}
