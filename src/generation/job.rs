//! Jobs that turn a theme into generated videos.

use std::borrow::Cow;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::db::clock::now;
use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, MultiBackend, Page, insert_many, on_backend};
use crate::error::{Error, Result, ResultExt, require};
use crate::schema::jobs;
use crate::types::sql::Int4;
use crate::types::{JobId, Json, Timestamp, portable};

/// One row of `jobs`.
///
/// ```
/// use viraldb::generation::{Job, JobStatus, NewJob};
///
/// # fn main() -> viraldb::Result<()> {
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// let new = NewJob { theme: Some("cats".into()), ..NewJob::new() };
/// let job = db.write(|c| new.insert(c))?;
/// db.write(|c| Job::start(c, job.id))?;
/// db.write(|c| Job::advance(c, job.id, "render"))?;
/// db.write(|c| Job::fail(c, job.id, "no credits left"))?;
/// let job = db.write(|c| Job::retry(c, job.id))?;
/// assert_eq!((job.status, job.stage.as_deref()), (JobStatus::Pending, Some("render")));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable)]
#[diesel(table_name = jobs, check_for_backend(crate::db::MultiBackend))]
#[non_exhaustive]
pub struct Job {
    /// Primary key, assigned by the database.
    pub id: JobId,
    /// Status of the job.
    pub status: JobStatus,
    /// Current stage of the work.
    pub stage: Option<String>,
    /// Topic of the videos.
    pub theme: Option<String>,
    /// When the row was created.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Option<Timestamp>,
    /// Why the job failed.
    pub error_message: Option<String>,
    /// Additional data.
    pub metadata: Option<Json>,
}

/// A row to insert: `None` means the column's default. See [`Job`] for the fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = jobs)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
pub struct NewJob<'a> {
    pub id: Option<JobId>,
    pub status: Option<JobStatus>,
    pub stage: Option<Cow<'a, str>>,
    pub theme: Option<Cow<'a, str>>,
    pub created_at: Option<Timestamp>,
    pub updated_at: Option<Timestamp>,
    pub error_message: Option<Cow<'a, str>>,
    pub metadata: Option<Json>,
}

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`Job`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = jobs)]
#[allow(missing_docs)] // documented on the row
pub struct JobChanges<'a> {
    pub status: Option<JobStatus>,
    pub stage: Option<Option<Cow<'a, str>>>,
    pub theme: Option<Option<Cow<'a, str>>>,
    pub error_message: Option<Option<Cow<'a, str>>>,
    pub metadata: Option<Option<Json>>,
}

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct JobFilter {
    pub status: Option<JobStatus>,
}

impl JobFilter {
    /// Returns the query for the matching rows.
    fn rows(&self) -> jobs::BoxedQuery<'_, MultiBackend> {
        let mut query = jobs::table.into_boxed();
        if let Some(status) = self.status {
            query = query.filter(jobs::status.eq(status));
        }
        query
    }
}

impl Job {
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no job has this id.
    pub fn find(conn: &mut DbConnection, id: JobId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("jobs", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The row `page.after`
    /// need not exist anymore.
    pub fn list(conn: &mut DbConnection, filter: &JobFilter, page: &Page<JobId>) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(jobs::id.lt(after));
        }
        query.select(Self::as_select()).order(jobs::id.desc()).limit(page.at_most()).load(conn).of("jobs", "")
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &JobFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("jobs", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &JobFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("jobs", "")?;
        Ok(row.is_some())
    }

    /// Starts a pending job. The job keeps the stage it had before a retry, so it can continue from there.
    ///
    /// Like each of the following status changes, this is one statement. If two callers run it concurrently, one succeeds
    /// and the other gets `Invalid`.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if the job does not exist; [`Invalid`](crate::Error::Invalid) if
    /// it is not pending. Then nothing is changed.
    pub fn start(conn: &mut DbConnection, id: JobId) -> Result<Self> {
        let change = JobChanges { status: Some(JobStatus::Running), ..Default::default() };
        change.update_if(conn, id, &[JobStatus::Pending], "only a pending job can become running")
    }

    /// Records the stage that a running job has reached.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if the job does not exist; [`Invalid`](crate::Error::Invalid) if
    /// it is not running or `stage` is empty. Then nothing is changed.
    pub fn advance(conn: &mut DbConnection, id: JobId, stage: &str) -> Result<Self> {
        require("stage", stage)?;
        let change = JobChanges { stage: Some(Some(stage.into())), ..Default::default() };
        change.update_if(conn, id, &[JobStatus::Running], "only a running job can change its stage")
    }

    /// Marks a running job as completed.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if the job does not exist; [`Invalid`](crate::Error::Invalid) if
    /// it is not running. Then nothing is changed.
    pub fn complete(conn: &mut DbConnection, id: JobId) -> Result<Self> {
        let change = JobChanges { status: Some(JobStatus::Completed), ..Default::default() };
        change.update_if(conn, id, &[JobStatus::Running], "only a running job can become completed")
    }

    /// Marks a pending or running job as failed and records the message. The job keeps its stage.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if the job does not exist; [`Invalid`](crate::Error::Invalid) if
    /// it has already ended or `message` is empty. Then nothing is changed.
    pub fn fail(conn: &mut DbConnection, id: JobId, message: &str) -> Result<Self> {
        require("error_message", message)?;
        let change = JobChanges {
            status: Some(JobStatus::Failed),
            error_message: Some(Some(message.into())),
            ..Default::default()
        };
        let unfinished = [JobStatus::Pending, JobStatus::Running];
        change.update_if(conn, id, &unfinished, "only a pending or running job can become failed")
    }

    /// Makes a failed job pending again. The error message is cleared; the stage is kept.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if the job does not exist; [`Invalid`](crate::Error::Invalid) if
    /// it has not failed. Then nothing is changed.
    pub fn retry(conn: &mut DbConnection, id: JobId) -> Result<Self> {
        let change =
            JobChanges { status: Some(JobStatus::Pending), error_message: Some(None), ..Default::default() };
        change.update_if(conn, id, &[JobStatus::Failed], "only a failed job can become pending")
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if a script or a video refers to the job.
    pub fn delete(conn: &mut DbConnection, id: JobId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(jobs::table.find(id)).execute(c)).of("jobs", id)
    }
}

impl<'a> NewJob<'a> {
    /// Creates a row from its required columns; every other column gets its default.
    pub fn new() -> Self {
        Self::default()
    }
}

impl NewJob<'_> {
    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Conflict`](crate::Error::Conflict) if `id` is given and already exists.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<Job> {
        on_backend!(conn, |c| diesel::insert_into(jobs::table)
            .values(self)
            .returning(Job::as_returning())
            .get_result(c))
        .of("jobs", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        insert_many::<_, Self>(conn, jobs::table, "jobs", rows)
    }
}

impl Document for NewJob<'static> {
    const TABLE: Table = Table {
        name: "jobs",
        id: Id::Number,
        key: &[],
        origin: &["created_at"],
        parents: &[],
        keep: &[],
        json: &["metadata"],
        times: &["created_at", "updated_at"],
    };
}

impl JobChanges<'_> {
    /// Updates the row with this id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no job has this id.
    pub fn update(&self, conn: &mut DbConnection, id: JobId) -> Result<Job> {
        on_backend!(conn, |c| diesel::update(jobs::table.find(id))
            .set((self, jobs::updated_at.eq(Timestamp::now())))
            .returning(Job::as_returning())
            .get_result(c))
        .of("jobs", id)
    }

    /// Updates the job if its status is one of `from`. Otherwise returns `Invalid` with the rule.
    fn update_if(&self, conn: &mut DbConnection, id: JobId, from: &[JobStatus], rule: &str) -> Result<Job> {
        let moved = on_backend!(&mut *conn, |c| diesel::update(
            jobs::table.filter(jobs::id.eq(id).and(jobs::status.eq_any(from)))
        )
        .set((self, jobs::updated_at.eq(now().nullable())))
        .returning(Job::as_returning())
        .get_result(c)
        .optional())
        .of("jobs", id)?;
        match moved {
            Some(job) => Ok(job),
            None => {
                let job = Job::find(conn, id)?;
                Err(Error::invalid(format!("job {id}"), format!("is {}; {rule}", job.status)))
            }
        }
    }
}

portable! {
    /// Status of a generation job.
    pub enum JobStatus {
        Pending = "pending",
        Running = "running",
        Completed = "completed",
        Failed = "failed",
    }
}
