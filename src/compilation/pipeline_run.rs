//! One cycle of a niche, from choosing its videos to the upload.

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
    /// Number the database gives it.
    pub id: PipelineRunId,
    /// Subject of the run.
    pub niche: String,
    /// Start of the cycle the run covers.
    pub cycle_start: Timestamp,
    /// End of that cycle; not before its start.
    pub cycle_end: Timestamp,
    /// How far the run is.
    pub status: RunStatus,
    /// When work began.
    pub started_at: Option<Timestamp>,
    /// When work ended, well or badly.
    pub completed_at: Option<Timestamp>,
    /// Path of the finished video.
    pub video_file_path: Option<String>,
    /// Its length in seconds.
    pub video_duration_seconds: Option<f64>,
    /// Its size in bytes.
    pub video_file_size_bytes: Option<i64>,
    /// YouTube's id after the upload.
    pub youtube_video_id: Option<String>,
    /// YouTube's address after the upload.
    pub youtube_url: Option<String>,
    /// Why the run failed.
    pub error_message: Option<String>,
    /// How often the run was tried again.
    pub retry_count: i32,
}

/// What is known of a new row; `None` leaves a column to its default. The fields are those of
/// [`PipelineRun`].
#[derive(Debug, Clone, Serialize, Deserialize, Insertable)]
#[diesel(table_name = pipeline_runs)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // as the row's
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

/// What is to change in a row: `None` leaves a column alone, `Some(None)` writes NULL. The fields are
/// those of [`PipelineRun`].
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = pipeline_runs)]
#[allow(missing_docs)] // as the row's
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

/// Which rows to list; `None` asks nothing of a column.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // as the row's
pub struct PipelineRunFilter<'a> {
    pub niche: Option<&'a str>,
    pub status: Option<RunStatus>,
}

impl PipelineRunFilter<'_> {
    /// The rows that it asks for.
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
    /// The row with this id; `NotFound` if there is none.
    pub fn find(conn: &mut DbConnection, id: PipelineRunId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("pipeline_runs", id)
    }

    /// Rows, newest first.
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

    /// How many rows there are.
    pub fn count(conn: &mut DbConnection, filter: &PipelineRunFilter<'_>) -> Result<i64> {
        filter.rows().count().get_result(conn).of("pipeline_runs", "")
    }

    /// Returns true if there is such a row.
    pub fn exists(conn: &mut DbConnection, filter: &PipelineRunFilter<'_>) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("pipeline_runs", "")?;
        Ok(row.is_some())
    }

    /// The runs with a status, newest first.
    pub fn with_status(
        conn: &mut DbConnection,
        status: RunStatus,
        page: &Page<PipelineRunId>,
    ) -> Result<Vec<Self>> {
        Self::list(conn, &PipelineRunFilter { status: Some(status), ..Default::default() }, page)
    }

    /// Deletes a row; the count is 0 if there is none.
    pub fn delete(conn: &mut DbConnection, id: PipelineRunId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(pipeline_runs::table.find(id)).execute(c))
            .of("pipeline_runs", id)
    }
}

impl<'a> NewPipelineRun<'a> {
    /// A row with what it must have, and every other column left to its default.
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
    /// Refuses a text that is too long for an index.
    fn require_indexable(&self) -> Result<()> {
        require_indexable("niche", Some(&self.niche))
    }

    /// Inserts the row and returns it with its defaults.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<PipelineRun> {
        self.require_indexable()?;
        on_backend!(conn, |c| diesel::insert_into(pipeline_runs::table)
            .values(self)
            .returning(PipelineRun::as_returning())
            .get_result(c))
        .of("pipeline_runs", "")
    }

    /// Inserts all rows, or none if one of them does not fit, and returns their count.
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
        keep: &[],
        json: &[],
        times: &["cycle_start", "cycle_end", "started_at", "completed_at"],
    };
}

impl PipelineRunChanges<'_> {
    /// Changes the row with this id and returns it; `NotFound` if there is none. A status is written as it is
    /// given; [`PipelineRun::move_to`] holds to the order.
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
    /// How far the run is.
    pub enum RunStatus {
        Pending = "pending",
        Running = "running",
        Review = "review",
        Approved = "approved",
        Uploaded = "uploaded",
        Failed = "failed",
    }
}
