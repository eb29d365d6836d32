//! Shorts: short videos made from the clips of a run.

use std::borrow::Cow;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Clip, PipelineRun};
use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, MultiBackend, Page, children, insert_many, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::shorts;
use crate::types::sql::Int4;
use crate::types::{ClipId, PipelineRunId, ShortId, Timestamp, portable};

/// One row of `shorts`.
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable, Associations,
)]
#[diesel(table_name = shorts, check_for_backend(crate::db::MultiBackend))]
#[diesel(belongs_to(PipelineRun, foreign_key = pipeline_run_id))]
#[diesel(belongs_to(Clip, foreign_key = clip_id))]
#[non_exhaustive]
pub struct Short {
    /// Primary key, assigned by the database.
    pub id: ShortId,
    /// Run that the short belongs to.
    pub pipeline_run_id: PipelineRunId,
    /// Clip that the short was made from.
    pub clip_id: Option<ClipId>,
    /// Path of the video file.
    pub file_path: Option<String>,
    /// Duration in seconds.
    pub duration_seconds: Option<f64>,
    /// Title for the upload.
    pub title: Option<String>,
    /// Description for the upload.
    pub description: Option<String>,
    /// YouTube's id of the uploaded short.
    pub youtube_video_id: Option<String>,
    /// URL of the uploaded short on YouTube.
    pub youtube_url: Option<String>,
    /// Status of the short.
    pub status: ShortStatus,
    /// When the short was uploaded.
    pub uploaded_at: Option<Timestamp>,
}

/// A row to insert: `None` means the column's default. See [`Short`] for the fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = shorts)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
pub struct NewShort<'a> {
    pub id: Option<ShortId>,
    pub pipeline_run_id: PipelineRunId,
    pub clip_id: Option<ClipId>,
    pub file_path: Option<Cow<'a, str>>,
    pub duration_seconds: Option<f64>,
    pub title: Option<Cow<'a, str>>,
    pub description: Option<Cow<'a, str>>,
    pub youtube_video_id: Option<Cow<'a, str>>,
    pub youtube_url: Option<Cow<'a, str>>,
    pub status: Option<ShortStatus>,
    pub uploaded_at: Option<Timestamp>,
}

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`Short`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = shorts)]
#[allow(missing_docs)] // documented on the row
pub struct ShortChanges<'a> {
    pub pipeline_run_id: Option<PipelineRunId>,
    pub clip_id: Option<Option<ClipId>>,
    pub file_path: Option<Option<Cow<'a, str>>>,
    pub duration_seconds: Option<Option<f64>>,
    pub title: Option<Option<Cow<'a, str>>>,
    pub description: Option<Option<Cow<'a, str>>>,
    pub youtube_video_id: Option<Option<Cow<'a, str>>>,
    pub youtube_url: Option<Option<Cow<'a, str>>>,
    pub status: Option<ShortStatus>,
    pub uploaded_at: Option<Option<Timestamp>>,
}

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct ShortFilter {
    pub pipeline_run_id: Option<PipelineRunId>,
    pub status: Option<ShortStatus>,
}

impl ShortFilter {
    /// Returns the query for the matching rows.
    fn rows(&self) -> shorts::BoxedQuery<'_, MultiBackend> {
        let mut query = shorts::table.into_boxed();
        if let Some(pipeline_run_id) = self.pipeline_run_id {
            query = query.filter(shorts::pipeline_run_id.eq(pipeline_run_id));
        }
        if let Some(status) = self.status {
            query = query.filter(shorts::status.eq(status));
        }
        query
    }
}

impl Short {
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no short has this id.
    pub fn find(conn: &mut DbConnection, id: ShortId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("shorts", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The row `page.after`
    /// need not exist anymore.
    pub fn list(conn: &mut DbConnection, filter: &ShortFilter, page: &Page<ShortId>) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(shorts::id.lt(after));
        }
        query
            .select(Self::as_select())
            .order(shorts::id.desc())
            .limit(page.at_most())
            .load(conn)
            .of("shorts", "")
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &ShortFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("shorts", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &ShortFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("shorts", "")?;
        Ok(row.is_some())
    }

    /// Returns the shorts of a run, oldest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). A run that does not
    /// exist has no shorts.
    pub fn of_run(conn: &mut DbConnection, run: PipelineRunId) -> Result<Vec<Self>> {
        on_backend!(conn, |c| Self::query().filter(shorts::pipeline_run_id.eq(run)).order(shorts::id).load(c))
            .of("shorts", run)
    }

    /// Returns a list of shorts for each of these runs, oldest first. The lists are in the order of `runs`.
    ///
    /// One query loads the shorts of up to 30,000 runs.
    ///
    /// # Errors
    /// The errors of [`of_run`](Self::of_run).
    pub fn of_runs(conn: &mut DbConnection, runs: &[PipelineRun]) -> Result<Vec<Vec<Self>>> {
        children(runs, |runs| {
            on_backend!(&mut *conn, |c| Self::belonging_to(runs)
                .select(Self::as_select())
                .order(shorts::id)
                .load(c))
            .of("shorts", "")
        })
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database), because no table refers
    /// to `shorts`.
    pub fn delete(conn: &mut DbConnection, id: ShortId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(shorts::table.find(id)).execute(c)).of("shorts", id)
    }
}

impl<'a> NewShort<'a> {
    /// Creates a row from its required columns; every other column gets its default.
    pub fn new(pipeline_run_id: PipelineRunId) -> Self {
        Self { pipeline_run_id, ..Self::default() }
    }
}

impl NewShort<'_> {
    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the run or the clip does not exist;
    /// [`Conflict`](crate::Error::Conflict) if `id` is given and already exists.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<Short> {
        on_backend!(conn, |c| diesel::insert_into(shorts::table)
            .values(self)
            .returning(Short::as_returning())
            .get_result(c))
        .of("shorts", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        insert_many::<_, Self>(conn, shorts::table, "shorts", rows)
    }
}

impl Document for NewShort<'static> {
    const TABLE: Table = Table {
        name: "shorts",
        id: Id::Number,
        key: &[],
        origin: &["pipeline_run_id", "clip_id"],
        parents: &[("pipeline_run_id", "pipeline_runs"), ("clip_id", "clips")],
        keep: &[],
        json: &[],
        times: &["uploaded_at"],
    };
}

impl ShortChanges<'_> {
    /// Updates the row with this id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no short has this id;
    /// [`Invalid`](crate::Error::Invalid) if the new run or clip does not exist or `self` has no
    /// changes.
    pub fn update(&self, conn: &mut DbConnection, id: ShortId) -> Result<Short> {
        on_backend!(conn, |c| diesel::update(shorts::table.find(id))
            .set(self)
            .returning(Short::as_returning())
            .get_result(c))
        .of("shorts", id)
    }
}

portable! {
    /// Status of a short.
    pub enum ShortStatus {
        Pending = "pending",
        Review = "review",
        Uploaded = "uploaded",
        Failed = "failed",
    }
}
