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
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable)]
#[diesel(table_name = jobs, check_for_backend(crate::db::MultiBackend))]
#[non_exhaustive]
pub struct Job {
    /// Number the database gives it.
    pub id: JobId,
    /// How far the job is.
    pub status: JobStatus,
    /// What it is doing.
    pub stage: Option<String>,
    /// What the videos are to be about.
    pub theme: Option<String>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When the row last changed.
    pub updated_at: Option<Timestamp>,
    /// Why it failed.
    pub error_message: Option<String>,
    /// Whatever else is known about it.
    pub metadata: Option<Json>,
}

/// What is known of a new row; `None` leaves a column to its default. The fields are those of
/// [`Job`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = jobs)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // as the row's
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

/// What is to change in a row: `None` leaves a column alone, `Some(None)` writes NULL. The fields are
/// those of [`Job`].
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = jobs)]
#[allow(missing_docs)] // as the row's
pub struct JobChanges<'a> {
    pub status: Option<JobStatus>,
    pub stage: Option<Option<Cow<'a, str>>>,
    pub theme: Option<Option<Cow<'a, str>>>,
    pub error_message: Option<Option<Cow<'a, str>>>,
    pub metadata: Option<Option<Json>>,
}

/// Which rows to list; `None` asks nothing of a column.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // as the row's
pub struct JobFilter {
    pub status: Option<JobStatus>,
}

impl JobFilter {
    /// The rows that it asks for.
    fn rows(&self) -> jobs::BoxedQuery<'_, MultiBackend> {
        let mut query = jobs::table.into_boxed();
        if let Some(status) = self.status {
            query = query.filter(jobs::status.eq(status));
        }
        query
    }
}

impl Job {
    /// The row with this id; `NotFound` if there is none.
    pub fn find(conn: &mut DbConnection, id: JobId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("jobs", id)
    }

    /// Rows, newest first.
    pub fn list(conn: &mut DbConnection, filter: &JobFilter, page: &Page<JobId>) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(jobs::id.lt(after));
        }
        query.select(Self::as_select()).order(jobs::id.desc()).limit(page.at_most()).load(conn).of("jobs", "")
    }

    /// How many rows there are.
    pub fn count(conn: &mut DbConnection, filter: &JobFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("jobs", "")
    }

    /// Returns true if there is such a row.
    pub fn exists(conn: &mut DbConnection, filter: &JobFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("jobs", "")?;
        Ok(row.is_some())
    }

    /// Begins a pending job; it keeps the stage it was in before a retry, to go on from there.
    ///
    /// Like each of the moves that follow, it is one statement: of two callers at once one makes the move,
    /// and the other is told that the job is not where it would have to be.
    ///
    /// # Errors
    /// `NotFound`; `Invalid`, and nothing is changed, if it is not pending.
    pub fn start(conn: &mut DbConnection, id: JobId) -> Result<Self> {
        let change = JobChanges { status: Some(JobStatus::Running), ..Default::default() };
        change.update_if(conn, id, &[JobStatus::Pending], "only a pending job becomes running")
    }

    /// Notes which stage a running job has come to.
    ///
    /// # Errors
    /// `NotFound`; `Invalid`, and nothing is changed, if it is not running or the stage has no name.
    pub fn advance(conn: &mut DbConnection, id: JobId, stage: &str) -> Result<Self> {
        require("stage", stage)?;
        let change = JobChanges { stage: Some(Some(stage.into())), ..Default::default() };
        change.update_if(conn, id, &[JobStatus::Running], "only a running job comes to another stage")
    }

    /// Ends a running job as completed.
    ///
    /// # Errors
    /// `NotFound`; `Invalid`, and nothing is changed, if it is not running.
    pub fn complete(conn: &mut DbConnection, id: JobId) -> Result<Self> {
        let change = JobChanges { status: Some(JobStatus::Completed), ..Default::default() };
        change.update_if(conn, id, &[JobStatus::Running], "only a running job becomes completed")
    }

    /// Ends a pending or running job as failed, in the stage it is in, and notes why.
    ///
    /// # Errors
    /// `NotFound`; `Invalid`, and nothing is changed, if it has ended or the message is empty.
    pub fn fail(conn: &mut DbConnection, id: JobId, message: &str) -> Result<Self> {
        require("error_message", message)?;
        let change = JobChanges {
            status: Some(JobStatus::Failed),
            error_message: Some(Some(message.into())),
            ..Default::default()
        };
        let unfinished = [JobStatus::Pending, JobStatus::Running];
        change.update_if(conn, id, &unfinished, "only a pending or running job becomes failed")
    }

    /// Makes a failed job pending again; why it failed is forgotten, its stage is kept.
    ///
    /// # Errors
    /// `NotFound`; `Invalid`, and nothing is changed, if it has not failed.
    pub fn retry(conn: &mut DbConnection, id: JobId) -> Result<Self> {
        let change =
            JobChanges { status: Some(JobStatus::Pending), error_message: Some(None), ..Default::default() };
        change.update_if(conn, id, &[JobStatus::Failed], "only a failed job becomes pending")
    }

    /// Deletes a row; the count is 0 if there is none.
    pub fn delete(conn: &mut DbConnection, id: JobId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(jobs::table.find(id)).execute(c)).of("jobs", id)
    }
}

impl<'a> NewJob<'a> {
    /// A row with what it must have, and every other column left to its default.
    pub fn new() -> Self {
        Self::default()
    }
}

impl NewJob<'_> {
    /// Inserts the row and returns it with its defaults.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<Job> {
        on_backend!(conn, |c| diesel::insert_into(jobs::table)
            .values(self)
            .returning(Job::as_returning())
            .get_result(c))
        .of("jobs", "")
    }

    /// Inserts all rows, or none if one of them does not fit, and returns their count.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        insert_many::<_, Self>(conn, jobs::table, "jobs", rows)
    }
}

impl Document for NewJob<'static> {
    const TABLE: Table = Table {
        name: "jobs",
        id: Id::Number,
        key: &[],
        keep: &[],
        json: &["metadata"],
        times: &["created_at", "updated_at"],
    };
}

impl JobChanges<'_> {
    /// Changes the row with this id and returns it; `NotFound` if there is none.
    pub fn update(&self, conn: &mut DbConnection, id: JobId) -> Result<Job> {
        on_backend!(conn, |c| diesel::update(jobs::table.find(id))
            .set((self, jobs::updated_at.eq(Timestamp::now())))
            .returning(Job::as_returning())
            .get_result(c))
        .of("jobs", id)
    }

    /// Changes the job if it has one of these states; `Invalid` with the rule if it has another one.
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
    /// How far the job is.
    pub enum JobStatus {
        Pending = "pending",
        Running = "running",
        Completed = "completed",
        Failed = "failed",
    }
}
