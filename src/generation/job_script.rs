//! Scripts that a job wrote, each with the prompt that its video is generated from.

use std::borrow::Cow;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::Job;
use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, MultiBackend, Page, children, insert_many, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::job_scripts;
use crate::types::sql::Int4;
use crate::types::{JobId, JobScriptId, Json, Timestamp};

/// One row of `job_scripts`.
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable, Associations,
)]
#[diesel(table_name = job_scripts, check_for_backend(crate::db::MultiBackend))]
#[diesel(belongs_to(Job, foreign_key = job_id))]
#[non_exhaustive]
pub struct JobScript {
    /// Primary key, assigned by the database.
    pub id: JobScriptId,
    /// Job that wrote the script.
    pub job_id: Option<JobId>,
    /// Prompt for the model that generates the video.
    pub video_prompt: String,
    /// Scenes, in order.
    pub scenes: Json,
    /// Text to show over the video.
    pub text_overlays: Option<Json>,
    /// Text to speak over the video.
    pub voiceover_script: Option<String>,
    /// Title for publication.
    pub title: Option<String>,
    /// Description for publication.
    pub description: Option<String>,
    /// Hashtags for publication: an array of strings.
    pub hashtags: Option<Json>,
    /// When the row was created.
    pub created_at: Timestamp,
}

/// A row to insert: `None` means the column's default. See [`JobScript`] for the fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = job_scripts)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
pub struct NewJobScript<'a> {
    pub id: Option<JobScriptId>,
    pub job_id: Option<JobId>,
    pub video_prompt: Cow<'a, str>,
    pub scenes: Json,
    pub text_overlays: Option<Json>,
    pub voiceover_script: Option<Cow<'a, str>>,
    pub title: Option<Cow<'a, str>>,
    pub description: Option<Cow<'a, str>>,
    pub hashtags: Option<Json>,
    pub created_at: Option<Timestamp>,
}

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`JobScript`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = job_scripts)]
#[allow(missing_docs)] // documented on the row
pub struct JobScriptChanges<'a> {
    pub job_id: Option<Option<JobId>>,
    pub video_prompt: Option<Cow<'a, str>>,
    pub scenes: Option<Json>,
    pub text_overlays: Option<Option<Json>>,
    pub voiceover_script: Option<Option<Cow<'a, str>>>,
    pub title: Option<Option<Cow<'a, str>>>,
    pub description: Option<Option<Cow<'a, str>>>,
    pub hashtags: Option<Option<Json>>,
}

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct JobScriptFilter {
    pub job_id: Option<JobId>,
}

impl JobScriptFilter {
    /// Returns the query for the matching rows.
    fn rows(&self) -> job_scripts::BoxedQuery<'_, MultiBackend> {
        let mut query = job_scripts::table.into_boxed();
        if let Some(job_id) = self.job_id {
            query = query.filter(job_scripts::job_id.eq(job_id));
        }
        query
    }
}

impl JobScript {
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no script has this id.
    pub fn find(conn: &mut DbConnection, id: JobScriptId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("job_scripts", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The row `page.after`
    /// need not exist anymore.
    pub fn list(
        conn: &mut DbConnection,
        filter: &JobScriptFilter,
        page: &Page<JobScriptId>,
    ) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(job_scripts::id.lt(after));
        }
        query
            .select(Self::as_select())
            .order(job_scripts::id.desc())
            .limit(page.at_most())
            .load(conn)
            .of("job_scripts", "")
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &JobScriptFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("job_scripts", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &JobScriptFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("job_scripts", "")?;
        Ok(row.is_some())
    }

    /// Returns the scripts of a job, oldest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). A job that does not
    /// exist has no scripts.
    pub fn of_job(conn: &mut DbConnection, job: JobId) -> Result<Vec<Self>> {
        on_backend!(conn, |c| Self::query()
            .filter(job_scripts::job_id.eq(job))
            .order(job_scripts::id)
            .load(c))
        .of("job_scripts", job)
    }

    /// Returns a list of scripts for each of these jobs, oldest first. The lists are in the order of `jobs`.
    ///
    /// One query loads the scripts of up to 30,000 jobs.
    ///
    /// # Errors
    /// The errors of [`of_job`](Self::of_job).
    pub fn of_jobs(conn: &mut DbConnection, jobs: &[Job]) -> Result<Vec<Vec<Self>>> {
        children(jobs, |jobs| {
            on_backend!(&mut *conn, |c| Self::belonging_to(jobs)
                .select(Self::as_select())
                .order(job_scripts::id)
                .load(c))
            .of("job_scripts", "")
        })
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if a video refers to the script.
    pub fn delete(conn: &mut DbConnection, id: JobScriptId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(job_scripts::table.find(id)).execute(c)).of("job_scripts", id)
    }
}

impl<'a> NewJobScript<'a> {
    /// Creates a row from its required columns; every other column gets its default.
    pub fn new(video_prompt: impl Into<Cow<'a, str>>, scenes: Json) -> Self {
        Self { video_prompt: video_prompt.into(), scenes, ..Self::default() }
    }
}

impl NewJobScript<'_> {
    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the job does not exist;
    /// [`Conflict`](crate::Error::Conflict) if `id` is given and already exists.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<JobScript> {
        on_backend!(conn, |c| diesel::insert_into(job_scripts::table)
            .values(self)
            .returning(JobScript::as_returning())
            .get_result(c))
        .of("job_scripts", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        insert_many::<_, Self>(conn, job_scripts::table, "job_scripts", rows)
    }
}

impl Document for NewJobScript<'static> {
    const TABLE: Table = Table {
        name: "job_scripts",
        id: Id::Number,
        key: &[],
        origin: &["created_at"],
        parents: &[("job_id", "jobs")],
        keep: &[],
        json: &["scenes", "text_overlays", "hashtags"],
        times: &["created_at"],
    };
}

impl JobScriptChanges<'_> {
    /// Updates the row with this id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no script has this id;
    /// [`Invalid`](crate::Error::Invalid) if the new job does not exist or `self` has no changes.
    pub fn update(&self, conn: &mut DbConnection, id: JobScriptId) -> Result<JobScript> {
        on_backend!(conn, |c| diesel::update(job_scripts::table.find(id))
            .set(self)
            .returning(JobScript::as_returning())
            .get_result(c))
        .of("job_scripts", id)
    }
}
