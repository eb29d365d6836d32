//! The progress that a worker reports.

use diesel::dsl::auto_type;
use diesel::prelude::*;

use super::lease::{Lease, is_held, or_lost};
use crate::db::clock::{Moment, now};
use crate::db::prepared::Prepared;
use crate::db::{DbConnection, on_backend};
use crate::error::{Result, ResultExt};
use crate::republishing::VideoProcessingJob;
use crate::schema::video_processing_jobs as jobs;

/// How much of the work is done, from 0 to 1, and what the worker is doing.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Progress {
    fraction: f64,
    note: String,
}

impl Progress {
    pub(super) fn new(fraction: f64, note: String) -> Self {
        let fraction = if fraction.is_nan() { 0.0 } else { fraction.clamp(0.0, 1.0) };
        // PostgreSQL cannot store NUL characters in text.
        Self { fraction, note: note.replace('\0', "\u{fffd}") }
    }
}

#[auto_type]
fn reported<'a>(progress: &'a Progress, now: Moment) -> _ {
    let fraction: Option<f64> = Some(progress.fraction);
    let note: Option<&'a str> = Some(&progress.note);
    (jobs::progress.eq(fraction), jobs::progress_note.eq(note), jobs::updated_at.eq(now))
}

/// Records how much of a job is done, from 0 to 1, and what the worker is doing. A [`Worker`](super::Worker) does so for its
/// handlers: see [`Work::report`](super::Work::report).
///
/// The next attempt begins without progress. A fraction outside the range is stored as 0 or 1.
///
/// # Errors
/// [`Error::LeaseLost`](crate::Error::LeaseLost) if the lease has expired or another worker has claimed the job. Nothing is
/// changed then.
pub fn report_progress(
    conn: &mut DbConnection,
    lease: impl Into<Lease>,
    fraction: f64,
    note: &str,
) -> Result<VideoProcessingJob> {
    struct Report;
    let (lease, now, progress) = (lease.into(), now(), Progress::new(fraction, note.to_owned()));
    let result = on_backend!(conn, |c| {
        let report = diesel::update(jobs::table.filter(is_held(lease, now)))
            .set(reported(&progress, now))
            .returning(VideoProcessingJob::as_returning());
        Prepared(Report, report).get_result(c)
    });
    or_lost(result, lease)
}

/// Records the progress of jobs. Lost leases are left out.
pub(super) fn report_many(conn: &mut DbConnection, reports: &[(Lease, Progress)]) -> Result<()> {
    conn.atomically(|conn| {
        on_backend!(
            conn,
            sqlite => |c| {
                struct ReportOne;
                let now = now();
                for (lease, progress) in reports {
                    let report = diesel::update(jobs::table.filter(is_held(*lease, now)))
                        .set(reported(progress, now))
                        .returning(jobs::id);
                    Prepared(ReportOne, report).load::<crate::types::VideoProcessingJobId>(c)?;
                }
                Ok(())
            },
            postgres => |c| {
                use diesel::sql_types::{Array, Double};

                use crate::types::sql::{Nullable, Text, Uuid};
                diesel::sql_query(
                    "UPDATE video_processing_jobs AS job SET progress = report.progress, \
                     progress_note = report.note, updated_at = pg_catalog.statement_timestamp() \
                     FROM unnest($1, $2, $3, $4) AS report (job, token, progress, note) \
                     WHERE job.id = report.job AND CASE WHEN job.lease_token = report.token \
                     AND job.status = 'processing' \
                     AND job.lease_expires_at > pg_catalog.statement_timestamp() THEN true ELSE false END",
                )
                .bind::<Array<Uuid>, _>(reports.iter().map(|(lease, _)| lease.job).collect::<Vec<_>>())
                .bind::<Array<Nullable<Uuid>>, _>(reports.iter().map(|(lease, _)| lease.token).collect::<Vec<_>>())
                .bind::<Array<Double>, _>(reports.iter().map(|(_, progress)| progress.fraction).collect::<Vec<_>>())
                .bind::<Array<Text>, _>(reports.iter().map(|(_, progress)| &*progress.note).collect::<Vec<_>>())
                .execute(c)
                .map(drop)
            },
        )
        .of("video_processing_jobs", "")
    })
}
