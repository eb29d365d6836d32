//! The history of attempts that did not complete their job.

use diesel::dsl::sql;
use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::db::{DbConnection, Page, insert_many, on_backend};
use crate::error::{Result, ResultExt};
use crate::republishing::{VideoProcessingJob, VideoProcessingJobId};
use crate::schema::viraldb_job_attempts;
use crate::types::sql::{Bool, Uuid};
use crate::types::{JobAttemptId, Timestamp, portable};

/// One row of `viraldb_job_attempts`: an attempt that did not complete its job.
///
/// viraldb writes a row when an attempt [fails](super::fail), when its lease expires, and when a job is
/// [canceled](super::cancel) while a worker holds it. The attempt that completes a job has no row; the job itself shows it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, Identifiable, Associations)]
#[diesel(table_name = viraldb_job_attempts, check_for_backend(crate::db::MultiBackend))]
#[diesel(belongs_to(VideoProcessingJob, foreign_key = job_id))]
#[non_exhaustive]
pub struct JobAttempt {
    /// Primary key. viraldb generates version 7 UUIDs.
    pub id: JobAttemptId,
    /// The job.
    pub job_id: VideoProcessingJobId,
    /// Number of the attempt, from 1.
    pub attempt: i32,
    /// How the attempt ended.
    pub outcome: AttemptOutcome,
    /// Worker that held the lease.
    pub worker: Option<String>,
    /// Why the attempt failed.
    pub error: Option<String>,
    /// When the job was claimed.
    pub started_at: Option<Timestamp>,
    /// When the attempt ended.
    pub ended_at: Timestamp,
}

/// A row to insert. See [`JobAttempt`] for the fields.
#[derive(Debug, Insertable)]
#[diesel(table_name = viraldb_job_attempts)]
pub(super) struct NewJobAttempt {
    id: JobAttemptId,
    job_id: VideoProcessingJobId,
    attempt: i32,
    outcome: AttemptOutcome,
    worker: Option<String>,
    error: Option<String>,
    started_at: Option<Timestamp>,
    ended_at: Timestamp,
}

impl JobAttempt {
    /// Returns the attempts of a job, oldest first.
    ///
    /// # Errors
    /// Only the [errors of the database](crate::Error#errors-of-the-database).
    pub fn of_job(conn: &mut DbConnection, job: VideoProcessingJobId) -> Result<Vec<Self>> {
        on_backend!(conn, |c| Self::query()
            .filter(viraldb_job_attempts::job_id.eq(job))
            .order((viraldb_job_attempts::ended_at, viraldb_job_attempts::id))
            .load(c))
        .of("viraldb_job_attempts", job)
    }

    /// Returns one page of the attempts that ended at `since` or later, newest first.
    ///
    /// # Errors
    /// Only the [errors of the database](crate::Error#errors-of-the-database). If the row `page.after` was deleted, the page
    /// is empty.
    pub fn list(
        conn: &mut DbConnection,
        since: Option<Timestamp>,
        page: &Page<JobAttemptId>,
    ) -> Result<Vec<Self>> {
        let mut query = viraldb_job_attempts::table.into_boxed::<crate::db::MultiBackend>();
        if let Some(since) = since {
            query = query.filter(viraldb_job_attempts::ended_at.ge(since));
        }
        if let Some(after) = page.after {
            query = query.filter(
                sql::<Bool>("(ended_at, id) < (SELECT ended_at, id FROM viraldb_job_attempts WHERE id = ")
                    .bind::<Uuid, _>(after)
                    .sql(")"),
            );
        }
        query
            .select(Self::as_select())
            .order((viraldb_job_attempts::ended_at.desc(), viraldb_job_attempts::id.desc()))
            .limit(page.at_most())
            .load(conn)
            .of("viraldb_job_attempts", "")
    }
}

impl NewJobAttempt {
    /// Returns the attempt of a job that has just ended with the error of the job. `worker` held its lease.
    pub(super) fn of(job: &VideoProcessingJob, outcome: AttemptOutcome, worker: Option<String>) -> Self {
        Self {
            id: JobAttemptId::default(),
            job_id: job.id,
            attempt: job.attempts.max(1), // another program may have claimed the job without counting
            outcome,
            worker,
            error: job.error_message.clone(),
            started_at: job.started_at,
            ended_at: job.updated_at,
        }
    }

    pub(super) fn insert(&self, conn: &mut DbConnection) -> Result<usize> {
        Self::insert_many(conn, std::slice::from_ref(self))
    }

    pub(super) fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        insert_many::<_, Self>(conn, viraldb_job_attempts::table, "viraldb_job_attempts", rows)
    }
}

portable! {
    /// How an attempt ended that did not complete its job.
    pub enum AttemptOutcome {
        Failed = "failed",
        Lost = "lost",
        Canceled = "canceled",
    }
}
