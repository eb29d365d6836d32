//! Videos a job generated, and whether a person approved them.

use std::borrow::Cow;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Job, JobScript};
use crate::db::clock::now;
use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, MultiBackend, Page, children, insert_many, on_backend};
use crate::error::{Error, Result, ResultExt, require};
use crate::schema::job_videos;
use crate::types::sql::Int4;
use crate::types::{JobId, JobScriptId, JobVideoId, Json, Timestamp, portable};

/// One row of `job_videos`.
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable, Associations,
)]
#[diesel(table_name = job_videos, check_for_backend(crate::db::MultiBackend))]
#[diesel(belongs_to(Job, foreign_key = job_id))]
#[diesel(belongs_to(JobScript, foreign_key = script_id))]
#[non_exhaustive]
pub struct JobVideo {
    /// Number the database gives it.
    pub id: JobVideoId,
    /// Job that generated it.
    pub job_id: Option<JobId>,
    /// Script it was generated from.
    pub script_id: Option<JobScriptId>,
    /// How far the video is.
    pub status: JobVideoStatus,
    /// Path of the file.
    pub file_path: Option<String>,
    /// Path of its picture.
    pub thumbnail_path: Option<String>,
    /// Its length in seconds.
    pub duration_seconds: Option<f64>,
    /// What its generation cost, in US dollars.
    pub cost_usd: Option<f64>,
    /// When the row was made.
    pub created_at: Timestamp,
    /// When a person approved or rejected it; the status says which.
    pub approved_at: Option<Timestamp>,
    /// When it was published.
    pub published_at: Option<Timestamp>,
    /// Where it was published.
    pub published_url: Option<String>,
    /// Whatever else is known about it.
    pub metadata: Option<Json>,
}

/// What is known of a new row; `None` leaves a column to its default. The fields are those of
/// [`JobVideo`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = job_videos)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // as the row's
pub struct NewJobVideo<'a> {
    pub id: Option<JobVideoId>,
    pub job_id: Option<JobId>,
    pub script_id: Option<JobScriptId>,
    pub status: Option<JobVideoStatus>,
    pub file_path: Option<Cow<'a, str>>,
    pub thumbnail_path: Option<Cow<'a, str>>,
    pub duration_seconds: Option<f64>,
    pub cost_usd: Option<f64>,
    pub created_at: Option<Timestamp>,
    pub approved_at: Option<Timestamp>,
    pub published_at: Option<Timestamp>,
    pub published_url: Option<Cow<'a, str>>,
    pub metadata: Option<Json>,
}

/// What is to change in a row: `None` leaves a column alone, `Some(None)` writes NULL. The fields are
/// those of [`JobVideo`].
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = job_videos)]
#[allow(missing_docs)] // as the row's
pub struct JobVideoChanges<'a> {
    pub job_id: Option<Option<JobId>>,
    pub script_id: Option<Option<JobScriptId>>,
    pub status: Option<JobVideoStatus>,
    pub file_path: Option<Option<Cow<'a, str>>>,
    pub thumbnail_path: Option<Option<Cow<'a, str>>>,
    pub duration_seconds: Option<Option<f64>>,
    pub cost_usd: Option<Option<f64>>,
    pub approved_at: Option<Option<Timestamp>>,
    pub published_at: Option<Option<Timestamp>>,
    pub published_url: Option<Option<Cow<'a, str>>>,
    pub metadata: Option<Option<Json>>,
}

/// Which rows to list; `None` asks nothing of a column.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // as the row's
pub struct JobVideoFilter {
    pub job_id: Option<JobId>,
    pub status: Option<JobVideoStatus>,
}

impl JobVideoFilter {
    /// The rows that it asks for.
    fn rows(&self) -> job_videos::BoxedQuery<'_, MultiBackend> {
        let mut query = job_videos::table.into_boxed();
        if let Some(job_id) = self.job_id {
            query = query.filter(job_videos::job_id.eq(job_id));
        }
        if let Some(status) = self.status {
            query = query.filter(job_videos::status.eq(status));
        }
        query
    }
}

impl JobVideo {
    /// The row with this id; `NotFound` if there is none.
    pub fn find(conn: &mut DbConnection, id: JobVideoId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("job_videos", id)
    }

    /// Rows, newest first.
    pub fn list(
        conn: &mut DbConnection,
        filter: &JobVideoFilter,
        page: &Page<JobVideoId>,
    ) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(job_videos::id.lt(after));
        }
        query
            .select(Self::as_select())
            .order(job_videos::id.desc())
            .limit(page.at_most())
            .load(conn)
            .of("job_videos", "")
    }

    /// How many rows there are.
    pub fn count(conn: &mut DbConnection, filter: &JobVideoFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("job_videos", "")
    }

    /// Returns true if there is such a row.
    pub fn exists(conn: &mut DbConnection, filter: &JobVideoFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("job_videos", "")?;
        Ok(row.is_some())
    }

    /// The videos of a job, oldest first.
    pub fn of_job(conn: &mut DbConnection, job: JobId) -> Result<Vec<Self>> {
        on_backend!(conn, |c| Self::query().filter(job_videos::job_id.eq(job)).order(job_videos::id).load(c))
            .of("job_videos", job)
    }

    /// The videos of each of these jobs, oldest first: the first list is that of the first one. One query loads those of 30,000.
    pub fn of_jobs(conn: &mut DbConnection, jobs: &[Job]) -> Result<Vec<Vec<Self>>> {
        children(jobs, |jobs| {
            on_backend!(&mut *conn, |c| Self::belonging_to(jobs)
                .select(Self::as_select())
                .order(job_videos::id)
                .load(c))
            .of("job_videos", "")
        })
    }

    /// A person's yes to a generated video; `approved_at` is the time of the answer.
    ///
    /// Like each of the moves that follow, it is one statement: of two callers at once one makes the move,
    /// and the other is told that the video is not where it would have to be.
    ///
    /// # Errors
    /// `NotFound`; `Invalid`, and nothing is changed, if it was answered before.
    pub fn approve(conn: &mut DbConnection, id: JobVideoId) -> Result<Self> {
        Self::answer(conn, id, JobVideoStatus::Approved)
    }

    /// A person's no to a generated video; `approved_at` is the time of the answer here too.
    ///
    /// # Errors
    /// `NotFound`; `Invalid`, and nothing is changed, if it was answered before.
    pub fn reject(conn: &mut DbConnection, id: JobVideoId) -> Result<Self> {
        Self::answer(conn, id, JobVideoStatus::Rejected)
    }

    fn answer(conn: &mut DbConnection, id: JobVideoId, answer: JobVideoStatus) -> Result<Self> {
        let generated = job_videos::id.eq(id).and(job_videos::status.eq(JobVideoStatus::Generated));
        let answered = on_backend!(&mut *conn, |c| diesel::update(job_videos::table.filter(generated))
            .set((job_videos::status.eq(answer), job_videos::approved_at.eq(now().nullable())))
            .returning(Self::as_returning())
            .get_result(c)
            .optional())
        .of("job_videos", id)?;
        let rule = format!("only a generated video becomes {answer}");
        answered.map_or_else(|| Err(Self::not_now(conn, id, &rule)), Ok)
    }

    /// Notes where an approved video was published; `published_at` is now.
    ///
    /// # Errors
    /// `NotFound`; `Invalid`, and nothing is changed, if it is not approved or the URL is empty.
    pub fn publish(conn: &mut DbConnection, id: JobVideoId, url: &str) -> Result<Self> {
        require("published_url", url)?;
        let approved = job_videos::id.eq(id).and(job_videos::status.eq(JobVideoStatus::Approved));
        let published = on_backend!(&mut *conn, |c| diesel::update(job_videos::table.filter(approved))
            .set((
                job_videos::status.eq(JobVideoStatus::Published),
                job_videos::published_at.eq(now().nullable()),
                job_videos::published_url.eq(url),
            ))
            .returning(Self::as_returning())
            .get_result(c)
            .optional())
        .of("job_videos", id)?;
        published.map_or_else(|| Err(Self::not_now(conn, id, "only an approved video becomes published")), Ok)
    }

    /// Why a video was not there to be changed.
    fn not_now(conn: &mut DbConnection, id: JobVideoId, rule: &str) -> Error {
        match Self::find(conn, id) {
            Ok(video) => Error::invalid(format!("job video {id}"), format!("is {}; {rule}", video.status)),
            Err(error) => error,
        }
    }

    /// Deletes a row; the count is 0 if there is none.
    pub fn delete(conn: &mut DbConnection, id: JobVideoId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(job_videos::table.find(id)).execute(c)).of("job_videos", id)
    }
}

impl<'a> NewJobVideo<'a> {
    /// A row with what it must have, and every other column left to its default.
    pub fn new() -> Self {
        Self::default()
    }
}

impl NewJobVideo<'_> {
    /// Inserts the row and returns it with its defaults.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<JobVideo> {
        on_backend!(conn, |c| diesel::insert_into(job_videos::table)
            .values(self)
            .returning(JobVideo::as_returning())
            .get_result(c))
        .of("job_videos", "")
    }

    /// Inserts all rows, or none if one of them does not fit, and returns their count.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        insert_many::<_, Self>(conn, job_videos::table, "job_videos", rows)
    }
}

impl Document for NewJobVideo<'static> {
    const TABLE: Table = Table {
        name: "job_videos",
        id: Id::Number,
        key: &[],
        keep: &[],
        json: &["metadata"],
        times: &["created_at", "approved_at", "published_at"],
    };
}

impl JobVideoChanges<'_> {
    /// Changes the row with this id and returns it; `NotFound` if there is none.
    pub fn update(&self, conn: &mut DbConnection, id: JobVideoId) -> Result<JobVideo> {
        on_backend!(conn, |c| diesel::update(job_videos::table.find(id))
            .set(self)
            .returning(JobVideo::as_returning())
            .get_result(c))
        .of("job_videos", id)
    }
}

portable! {
    /// How far the video is.
    pub enum JobVideoStatus {
        Generated = "generated",
        Approved = "approved",
        Rejected = "rejected",
        Published = "published",
    }
}
