//! Jobs that turn a theme into generated videos.

use std::borrow::Cow;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::db::document::{Document, Id, Table};
use crate::db::{DbConnection, Page, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::jobs;
use crate::types::{JobId, Json, Timestamp, portable};

/// One row of `jobs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, Identifiable)]
#[diesel(table_name = jobs)]
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

impl Job {
    /// The row with this id; `NotFound` if there is none.
    pub fn find(conn: &mut DbConnection, id: JobId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("jobs", id)
    }

    /// Rows, newest first.
    pub fn list(conn: &mut DbConnection, filter: &JobFilter, page: &Page<JobId>) -> Result<Vec<Self>> {
        on_backend!(conn, |c| {
            let mut query = Self::query().into_boxed::<Backend>();
            if let Some(status) = filter.status {
                query = query.filter(jobs::status.eq(status));
            }
            if let Some(after) = page.after {
                query = query.filter(jobs::id.lt(after));
            }
            query.order(jobs::id.desc()).limit(page.limit).load(c)
        })
        .of("jobs", "")
    }

    /// Deletes a row; the count is 0 if there is none.
    pub fn delete(conn: &mut DbConnection, id: JobId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(jobs::table.find(id)).execute(c)).of("jobs", id)
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
        conn.atomically(|conn| {
            on_backend!(
                conn,
                sqlite => |c| rows
                    .iter()
                    .map(|row| diesel::insert_into(jobs::table).values(row).execute(c))
                    .sum::<QueryResult<_>>(),
                postgres => |c| rows
                    .chunks(crate::db::postgres::CHUNK)
                    .map(|rows| diesel::insert_into(jobs::table).values(rows).execute(c))
                    .sum::<QueryResult<_>>(),
            )
            .of("jobs", "")
        })
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
