//! Pipeline runs: one cycle of a niche, from choosing videos to the upload.

mod lifecycle;

use std::borrow::Cow;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, MultiBackend, Page, insert_many, on_backend};
use crate::error::{Result, ResultExt, require_indexable};
use crate::schema::pipeline_runs;
use crate::types::sql::Int4;
use crate::types::{PipelineRunId, Timestamp, portable};

pub use lifecycle::Cycle;

/// One row of `pipeline_runs`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable)]
#[diesel(table_name = pipeline_runs, check_for_backend(crate::db::MultiBackend))]
#[non_exhaustive]
pub struct PipelineRun {
    /// Primary key, assigned by the database.
    pub id: PipelineRunId,
    /// Subject of the run, such as gaming.
    pub niche: String,
    /// Start of the cycle that the run covers.
    pub cycle_start: Timestamp,
    /// End of the cycle; never before its start.
    pub cycle_end: Timestamp,
    /// Status of the run.
    pub status: RunStatus,
    /// When work on the run began.
    pub started_at: Option<Timestamp>,
    /// When work on the run ended, whether it succeeded or failed.
    pub completed_at: Option<Timestamp>,
    /// Path of the finished video.
    pub video_file_path: Option<String>,
    /// Duration in seconds.
    pub video_duration_seconds: Option<f64>,
    /// File size in bytes.
    pub video_file_size_bytes: Option<i64>,
    /// YouTube's id of the uploaded video.
    pub youtube_video_id: Option<String>,
    /// URL of the uploaded video on YouTube.
    pub youtube_url: Option<String>,
    /// Why the run failed.
    pub error_message: Option<String>,
    /// How many times the run was retried.
    pub retry_count: i32,
}

/// A row to insert: `None` means the column's default. See [`PipelineRun`] for the fields.
#[derive(Debug, Clone, Serialize, Deserialize, Insertable)]
#[diesel(table_name = pipeline_runs)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
pub struct NewPipelineRun<'a> {
    pub id: Option<PipelineRunId>,
    pub niche: Cow<'a, str>,
    pub cycle_start: Timestamp,
    pub cycle_end: Timestamp,
    pub status: Option<RunStatus>,
    pub started_at: Option<Timestamp>,
    pub completed_at: Option<Timestamp>,
    pub video_file_path: Option<Cow<'a, str>>,
    pub video_duration_seconds: Option<f64>,
    pub video_file_size_bytes: Option<i64>,
    pub youtube_video_id: Option<Cow<'a, str>>,
    pub youtube_url: Option<Cow<'a, str>>,
    pub error_message: Option<Cow<'a, str>>,
    pub retry_count: Option<i32>,
}

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`PipelineRun`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = pipeline_runs)]
#[allow(missing_docs)] // documented on the row
pub struct PipelineRunChanges<'a> {
    pub niche: Option<Cow<'a, str>>,
    pub cycle_start: Option<Timestamp>,
    pub cycle_end: Option<Timestamp>,
    pub status: Option<RunStatus>,
    pub started_at: Option<Option<Timestamp>>,
    pub completed_at: Option<Option<Timestamp>>,
    pub video_file_path: Option<Option<Cow<'a, str>>>,
    pub video_duration_seconds: Option<Option<f64>>,
    pub video_file_size_bytes: Option<Option<i64>>,
    pub youtube_video_id: Option<Option<Cow<'a, str>>>,
    pub youtube_url: Option<Option<Cow<'a, str>>>,
    pub error_message: Option<Option<Cow<'a, str>>>,
    pub retry_count: Option<i32>,
}

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct PipelineRunFilter<'a> {
    pub niche: Option<&'a str>,
    pub status: Option<RunStatus>,
}

impl PipelineRunFilter<'_> {
    /// Returns the query for the matching rows.
    fn rows(&self) -> pipeline_runs::BoxedQuery<'_, MultiBackend> {
        let mut query = pipeline_runs::table.into_boxed();
        if let Some(niche) = self.niche {
            query = query.filter(pipeline_runs::niche.eq(niche));
        }
        if let Some(status) = self.status {
            query = query.filter(pipeline_runs::status.eq(status));
        }
        query
    }
}

impl PipelineRun {
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no run has this id.
    pub fn find(conn: &mut DbConnection, id: PipelineRunId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("pipeline_runs", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The row `page.after`
    /// need not exist anymore.
    pub fn list(
        conn: &mut DbConnection,
        filter: &PipelineRunFilter<'_>,
        page: &Page<PipelineRunId>,
    ) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(pipeline_runs::id.lt(after));
        }
        query
            .select(Self::as_select())
            .order(pipeline_runs::id.desc())
            .limit(page.at_most())
            .load(conn)
            .of("pipeline_runs", "")
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &PipelineRunFilter<'_>) -> Result<i64> {
        filter.rows().count().get_result(conn).of("pipeline_runs", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &PipelineRunFilter<'_>) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("pipeline_runs", "")?;
        Ok(row.is_some())
    }

    /// Returns one page of the runs with this status, newest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The run `page.after`
    /// need not exist anymore.
    pub fn with_status(
        conn: &mut DbConnection,
        status: RunStatus,
        page: &Page<PipelineRunId>,
    ) -> Result<Vec<Self>> {
        Self::list(conn, &PipelineRunFilter { status: Some(status), ..Default::default() }, page)
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if a clip, a script, a voice recording, a short, a review
    /// or an error refers to the run.
    pub fn delete(conn: &mut DbConnection, id: PipelineRunId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(pipeline_runs::table.find(id)).execute(c))
            .of("pipeline_runs", id)
    }
}

impl<'a> NewPipelineRun<'a> {
    /// Creates a row from its required columns; every other column gets its default.
    pub fn new(niche: impl Into<Cow<'a, str>>, cycle_start: Timestamp, cycle_end: Timestamp) -> Self {
        Self {
            id: None,
            niche: niche.into(),
            cycle_start,
            cycle_end,
            status: None,
            started_at: None,
            completed_at: None,
            video_file_path: None,
            video_duration_seconds: None,
            video_file_size_bytes: None,
            youtube_video_id: None,
            youtube_url: None,
            error_message: None,
            retry_count: None,
        }
    }
}

impl NewPipelineRun<'_> {
    /// Rejects text that is too long for an indexed column.
    fn require_indexable(&self) -> Result<()> {
        require_indexable("niche", Some(&self.niche))
    }

    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if `cycle_end` is before `cycle_start` or `niche` has
    /// more than 2,600 bytes; [`Conflict`](crate::Error::Conflict) if `id` is given and already
    /// exists.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<PipelineRun> {
        self.require_indexable()?;
        on_backend!(conn, |c| diesel::insert_into(pipeline_runs::table)
            .values(self)
            .returning(PipelineRun::as_returning())
            .get_result(c))
        .of("pipeline_runs", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        rows.iter().try_for_each(Self::require_indexable)?;
        insert_many::<_, Self>(conn, pipeline_runs::table, "pipeline_runs", rows)
    }
}

impl Document for NewPipelineRun<'static> {
    const TABLE: Table = Table {
        name: "pipeline_runs",
        id: Id::Number,
        key: &[],
        origin: &["niche", "cycle_start"],
        parents: &[],
        keep: &[],
        json: &[],
        times: &["cycle_start", "cycle_end", "started_at", "completed_at"],
    };
}

impl PipelineRunChanges<'_> {
    /// Updates the row with this id and returns it.
    ///
    /// Any status is accepted. Use [`PipelineRun::move_to`] to enforce the order of statuses.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no run has this id;
    /// [`Invalid`](crate::Error::Invalid) if its cycle would end before it begins, `niche` has more
    /// than 2,600 bytes, or `self` has no changes.
    pub fn update(&self, conn: &mut DbConnection, id: PipelineRunId) -> Result<PipelineRun> {
        require_indexable("niche", self.niche.as_ref())?;
        on_backend!(conn, |c| diesel::update(pipeline_runs::table.find(id))
            .set(self)
            .returning(PipelineRun::as_returning())
            .get_result(c))
        .of("pipeline_runs", id)
    }
}

portable! {
    /// Status of a pipeline run.
    pub enum RunStatus {
        Pending = "pending",
        Running = "running",
        Review = "review",
        Approved = "approved",
        Uploaded = "uploaded",
        Failed = "failed",
    }
}
