//! Videos that a job generated, and whether a person approved them.

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
///
/// ```
/// use viraldb::generation::{JobVideo, JobVideoStatus, NewJobVideo};
///
/// # fn main() -> viraldb::Result<()> {
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// let new = NewJobVideo { file_path: Some("out/7.mp4".into()), ..NewJobVideo::new() };
/// let video = db.write(|c| new.insert(c))?;
/// db.write(|c| JobVideo::approve(c, video.id))?;
/// let video = db.write(|c| JobVideo::publish(c, video.id, "https://youtu.be/3C66w5Z0ixs"))?;
/// assert_eq!(video.status, JobVideoStatus::Published);
/// assert!(db.write(|c| JobVideo::reject(c, video.id)).is_err()); // only a generated video can be rejected
/// # Ok(())
/// # }
/// ```
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable, Associations,
)]
#[diesel(table_name = job_videos, check_for_backend(crate::db::MultiBackend))]
#[diesel(belongs_to(Job, foreign_key = job_id))]
#[diesel(belongs_to(JobScript, foreign_key = script_id))]
#[non_exhaustive]
pub struct JobVideo {
    /// Primary key, assigned by the database.
    pub id: JobVideoId,
    /// Job that generated the video.
    pub job_id: Option<JobId>,
    /// Script that the video was generated from.
    pub script_id: Option<JobScriptId>,
    /// Status of the video.
    pub status: JobVideoStatus,
    /// Path of the video file.
    pub file_path: Option<String>,
    /// Path of the thumbnail.
    pub thumbnail_path: Option<String>,
    /// Duration in seconds.
    pub duration_seconds: Option<f64>,
    /// Cost of the generation in US dollars.
    pub cost_usd: Option<f64>,
    /// When the row was created.
    pub created_at: Timestamp,
    /// When a person approved or rejected the video.
    pub approved_at: Option<Timestamp>,
    /// When the video was published.
    pub published_at: Option<Timestamp>,
    /// URL of the published video.
    pub published_url: Option<String>,
    /// Additional data.
    pub metadata: Option<Json>,
}

/// A row to insert: `None` means the column's default. See [`JobVideo`] for the fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = job_videos)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
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

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`JobVideo`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = job_videos)]
#[allow(missing_docs)] // documented on the row
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

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct JobVideoFilter {
    pub job_id: Option<JobId>,
    pub status: Option<JobVideoStatus>,
}

impl JobVideoFilter {
    /// Returns the query for the matching rows.
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
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no video has this id.
    pub fn find(conn: &mut DbConnection, id: JobVideoId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("job_videos", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The row `page.after`
    /// need not exist anymore.
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

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &JobVideoFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("job_videos", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &JobVideoFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("job_videos", "")?;
        Ok(row.is_some())
    }

    /// Returns the videos of a job, oldest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). A job that does not
    /// exist has no videos.
    pub fn of_job(conn: &mut DbConnection, job: JobId) -> Result<Vec<Self>> {
        on_backend!(conn, |c| Self::query().filter(job_videos::job_id.eq(job)).order(job_videos::id).load(c))
            .of("job_videos", job)
    }

    /// Returns a list of videos for each of these jobs, oldest first. The lists are in the order of `jobs`.
    ///
    /// One query loads the videos of up to 30,000 jobs.
    ///
    /// # Errors
    /// The errors of [`of_job`](Self::of_job).
    pub fn of_jobs(conn: &mut DbConnection, jobs: &[Job]) -> Result<Vec<Vec<Self>>> {
        children(jobs, |jobs| {
            on_backend!(&mut *conn, |c| Self::belonging_to(jobs)
                .select(Self::as_select())
                .order(job_videos::id)
                .load(c))
            .of("job_videos", "")
        })
    }

    /// Approves a generated video and sets `approved_at`.
    ///
    /// Like each of the following status changes, this is one statement. If two callers run it concurrently, one succeeds
    /// and the other gets `Invalid`.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if the video does not exist; [`Invalid`](crate::Error::Invalid)
    /// if it was already approved or rejected. Then nothing is changed.
    pub fn approve(conn: &mut DbConnection, id: JobVideoId) -> Result<Self> {
        Self::answer(conn, id, JobVideoStatus::Approved)
    }

    /// Rejects a generated video. This also sets `approved_at`.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if the video does not exist; [`Invalid`](crate::Error::Invalid)
    /// if it was already approved or rejected. Then nothing is changed.
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
        let rule = format!("only a generated video can become {answer}");
        answered.map_or_else(|| Err(Self::not_now(conn, id, &rule)), Ok)
    }

    /// Marks an approved video as published, records its URL, and sets `published_at` to now.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if the video does not exist; [`Invalid`](crate::Error::Invalid)
    /// if it is not approved or `url` is empty. Then nothing is changed.
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
        published
            .map_or_else(|| Err(Self::not_now(conn, id, "only an approved video can become published")), Ok)
    }

    /// Returns the error for a video that was not updated: `NotFound`, or `Invalid` with the rule.
    fn not_now(conn: &mut DbConnection, id: JobVideoId, rule: &str) -> Error {
        match Self::find(conn, id) {
            Ok(video) => Error::invalid(format!("job video {id}"), format!("is {}; {rule}", video.status)),
            Err(error) => error,
        }
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database), because no table refers
    /// to `job_videos`.
    pub fn delete(conn: &mut DbConnection, id: JobVideoId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(job_videos::table.find(id)).execute(c)).of("job_videos", id)
    }
}

impl<'a> NewJobVideo<'a> {
    /// Creates a row from its required columns; every other column gets its default.
    pub fn new() -> Self {
        Self::default()
    }
}

impl NewJobVideo<'_> {
    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the job or the script does not exist;
    /// [`Conflict`](crate::Error::Conflict) if `id` is given and already exists.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<JobVideo> {
        on_backend!(conn, |c| diesel::insert_into(job_videos::table)
            .values(self)
            .returning(JobVideo::as_returning())
            .get_result(c))
        .of("job_videos", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        insert_many::<_, Self>(conn, job_videos::table, "job_videos", rows)
    }
}

impl Document for NewJobVideo<'static> {
    const TABLE: Table = Table {
        name: "job_videos",
        id: Id::Number,
        key: &[],
        origin: &["created_at"],
        parents: &[("job_id", "jobs"), ("script_id", "job_scripts")],
        keep: &[],
        json: &["metadata"],
        times: &["created_at", "approved_at", "published_at"],
    };
}

impl JobVideoChanges<'_> {
    /// Updates the row with this id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no video has this id;
    /// [`Invalid`](crate::Error::Invalid) if the new job or script does not exist or `self` has no
    /// changes.
    pub fn update(&self, conn: &mut DbConnection, id: JobVideoId) -> Result<JobVideo> {
        on_backend!(conn, |c| diesel::update(job_videos::table.find(id))
            .set(self)
            .returning(JobVideo::as_returning())
            .get_result(c))
        .of("job_videos", id)
    }
}

portable! {
    /// Status of a generated video.
    pub enum JobVideoStatus {
        Generated = "generated",
        Approved = "approved",
        Rejected = "rejected",
        Published = "published",
    }
}
