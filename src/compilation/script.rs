//! Scripts that a language model wrote for a run.

use std::borrow::Cow;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::PipelineRun;
use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, MultiBackend, Page, children, insert_many, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::scripts;
use crate::types::sql::Int4;
use crate::types::{Json, PipelineRunId, ScriptId, Timestamp};

/// One row of `scripts`.
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable, Associations,
)]
#[diesel(table_name = scripts, check_for_backend(crate::db::MultiBackend))]
#[diesel(belongs_to(PipelineRun, foreign_key = pipeline_run_id))]
#[non_exhaustive]
pub struct Script {
    /// Primary key, assigned by the database.
    pub id: ScriptId,
    /// Run that the script belongs to.
    pub pipeline_run_id: PipelineRunId,
    /// Text before the first clip.
    pub opening_text: Option<String>,
    /// Text after the last clip.
    pub closing_text: Option<String>,
    /// The whole script, clip by clip.
    pub full_script_json: Option<Json>,
    /// Length of the script in characters.
    pub total_char_count: Option<i32>,
    /// Estimated duration when spoken, in seconds.
    pub estimated_duration_seconds: Option<f64>,
    /// Language model that wrote the script.
    pub llm_model_used: Option<String>,
    /// When the script was written.
    pub generated_at: Timestamp,
}

/// A row to insert: `None` means the column's default. See [`Script`] for the fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = scripts)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
pub struct NewScript<'a> {
    pub id: Option<ScriptId>,
    pub pipeline_run_id: PipelineRunId,
    pub opening_text: Option<Cow<'a, str>>,
    pub closing_text: Option<Cow<'a, str>>,
    pub full_script_json: Option<Json>,
    pub total_char_count: Option<i32>,
    pub estimated_duration_seconds: Option<f64>,
    pub llm_model_used: Option<Cow<'a, str>>,
    pub generated_at: Option<Timestamp>,
}

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`Script`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = scripts)]
#[allow(missing_docs)] // documented on the row
pub struct ScriptChanges<'a> {
    pub pipeline_run_id: Option<PipelineRunId>,
    pub opening_text: Option<Option<Cow<'a, str>>>,
    pub closing_text: Option<Option<Cow<'a, str>>>,
    pub full_script_json: Option<Option<Json>>,
    pub total_char_count: Option<Option<i32>>,
    pub estimated_duration_seconds: Option<Option<f64>>,
    pub llm_model_used: Option<Option<Cow<'a, str>>>,
    pub generated_at: Option<Timestamp>,
}

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct ScriptFilter {
    pub pipeline_run_id: Option<PipelineRunId>,
}

impl ScriptFilter {
    /// Returns the query for the matching rows.
    fn rows(&self) -> scripts::BoxedQuery<'_, MultiBackend> {
        let mut query = scripts::table.into_boxed();
        if let Some(pipeline_run_id) = self.pipeline_run_id {
            query = query.filter(scripts::pipeline_run_id.eq(pipeline_run_id));
        }
        query
    }
}

impl Script {
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no script has this id.
    pub fn find(conn: &mut DbConnection, id: ScriptId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("scripts", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The row `page.after`
    /// need not exist anymore.
    pub fn list(conn: &mut DbConnection, filter: &ScriptFilter, page: &Page<ScriptId>) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(scripts::id.lt(after));
        }
        query
            .select(Self::as_select())
            .order(scripts::id.desc())
            .limit(page.at_most())
            .load(conn)
            .of("scripts", "")
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &ScriptFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("scripts", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &ScriptFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("scripts", "")?;
        Ok(row.is_some())
    }

    /// Returns the scripts of a run, oldest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). A run that does not
    /// exist has no scripts.
    pub fn of_run(conn: &mut DbConnection, run: PipelineRunId) -> Result<Vec<Self>> {
        on_backend!(conn, |c| Self::query()
            .filter(scripts::pipeline_run_id.eq(run))
            .order(scripts::id)
            .load(c))
        .of("scripts", run)
    }

    /// Returns a list of scripts for each of these runs, oldest first. The lists are in the order of `runs`.
    ///
    /// One query loads the scripts of up to 30,000 runs.
    ///
    /// # Errors
    /// The errors of [`of_run`](Self::of_run).
    pub fn of_runs(conn: &mut DbConnection, runs: &[PipelineRun]) -> Result<Vec<Vec<Self>>> {
        children(runs, |runs| {
            on_backend!(&mut *conn, |c| Self::belonging_to(runs)
                .select(Self::as_select())
                .order(scripts::id)
                .load(c))
            .of("scripts", "")
        })
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database), because no table refers
    /// to `scripts`.
    pub fn delete(conn: &mut DbConnection, id: ScriptId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(scripts::table.find(id)).execute(c)).of("scripts", id)
    }
}

impl<'a> NewScript<'a> {
    /// Creates a row from its required columns; every other column gets its default.
    pub fn new(pipeline_run_id: PipelineRunId) -> Self {
        Self { pipeline_run_id, ..Self::default() }
    }
}

impl NewScript<'_> {
    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the run does not exist;
    /// [`Conflict`](crate::Error::Conflict) if `id` is given and already exists.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<Script> {
        on_backend!(conn, |c| diesel::insert_into(scripts::table)
            .values(self)
            .returning(Script::as_returning())
            .get_result(c))
        .of("scripts", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        insert_many::<_, Self>(conn, scripts::table, "scripts", rows)
    }
}

impl Document for NewScript<'static> {
    const TABLE: Table = Table {
        name: "scripts",
        id: Id::Number,
        key: &[],
        origin: &["pipeline_run_id", "generated_at"],
        parents: &[("pipeline_run_id", "pipeline_runs")],
        keep: &[],
        json: &["full_script_json"],
        times: &["generated_at"],
    };
}

impl ScriptChanges<'_> {
    /// Updates the row with this id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no script has this id;
    /// [`Invalid`](crate::Error::Invalid) if the new run does not exist or `self` has no changes.
    pub fn update(&self, conn: &mut DbConnection, id: ScriptId) -> Result<Script> {
        on_backend!(conn, |c| diesel::update(scripts::table.find(id))
            .set(self)
            .returning(Script::as_returning())
            .get_result(c))
        .of("scripts", id)
    }
}
