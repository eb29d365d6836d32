//! Words written by a language model for one run.

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
    /// Number the database gives it.
    pub id: ScriptId,
    /// Run the script was written for.
    pub pipeline_run_id: PipelineRunId,
    /// Words before the first clip.
    pub opening_text: Option<String>,
    /// Words after the last clip.
    pub closing_text: Option<String>,
    /// The whole script, clip by clip.
    pub full_script_json: Option<Json>,
    /// Length of the script in characters.
    pub total_char_count: Option<i32>,
    /// Length when spoken, in seconds.
    pub estimated_duration_seconds: Option<f64>,
    /// Model that wrote it.
    pub llm_model_used: Option<String>,
    /// When it was written.
    pub generated_at: Timestamp,
}

/// What is known of a new row; `None` leaves a column to its default. The fields are those of
/// [`Script`].
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = scripts)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // as the row's
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

/// What is to change in a row: `None` leaves a column alone, `Some(None)` writes NULL. The fields are
/// those of [`Script`].
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = scripts)]
#[allow(missing_docs)] // as the row's
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

/// Which rows to list; `None` asks nothing of a column.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // as the row's
pub struct ScriptFilter {
    pub pipeline_run_id: Option<PipelineRunId>,
}

impl ScriptFilter {
    /// The rows that it asks for.
    fn rows(&self) -> scripts::BoxedQuery<'_, MultiBackend> {
        let mut query = scripts::table.into_boxed();
        if let Some(pipeline_run_id) = self.pipeline_run_id {
            query = query.filter(scripts::pipeline_run_id.eq(pipeline_run_id));
        }
        query
    }
}

impl Script {
    /// The row with this id; `NotFound` if there is none.
    pub fn find(conn: &mut DbConnection, id: ScriptId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("scripts", id)
    }

    /// Rows, newest first.
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

    /// How many rows there are.
    pub fn count(conn: &mut DbConnection, filter: &ScriptFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("scripts", "")
    }

    /// Returns true if there is such a row.
    pub fn exists(conn: &mut DbConnection, filter: &ScriptFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("scripts", "")?;
        Ok(row.is_some())
    }

    /// The scripts of a run, oldest first.
    pub fn of_run(conn: &mut DbConnection, run: PipelineRunId) -> Result<Vec<Self>> {
        on_backend!(conn, |c| Self::query()
            .filter(scripts::pipeline_run_id.eq(run))
            .order(scripts::id)
            .load(c))
        .of("scripts", run)
    }

    /// The scripts of each of these runs, oldest first: the first list is that of the first one. One query loads those of 30,000.
    pub fn of_runs(conn: &mut DbConnection, runs: &[PipelineRun]) -> Result<Vec<Vec<Self>>> {
        children(runs, |runs| {
            on_backend!(&mut *conn, |c| Self::belonging_to(runs)
                .select(Self::as_select())
                .order(scripts::id)
                .load(c))
            .of("scripts", "")
        })
    }

    /// Deletes a row; the count is 0 if there is none.
    pub fn delete(conn: &mut DbConnection, id: ScriptId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(scripts::table.find(id)).execute(c)).of("scripts", id)
    }
}

impl<'a> NewScript<'a> {
    /// A row with what it must have, and every other column left to its default.
    pub fn new(pipeline_run_id: PipelineRunId) -> Self {
        Self { pipeline_run_id, ..Self::default() }
    }
}

impl NewScript<'_> {
    /// Inserts the row and returns it with its defaults.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<Script> {
        on_backend!(conn, |c| diesel::insert_into(scripts::table)
            .values(self)
            .returning(Script::as_returning())
            .get_result(c))
        .of("scripts", "")
    }

    /// Inserts all rows, or none if one of them does not fit, and returns their count.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        insert_many::<_, Self>(conn, scripts::table, "scripts", rows)
    }
}

impl Document for NewScript<'static> {
    const TABLE: Table = Table {
        name: "scripts",
        id: Id::Number,
        key: &[],
        keep: &[],
        json: &["full_script_json"],
        times: &["generated_at"],
    };
}

impl ScriptChanges<'_> {
    /// Changes the row with this id and returns it; `NotFound` if there is none.
    pub fn update(&self, conn: &mut DbConnection, id: ScriptId) -> Result<Script> {
        on_backend!(conn, |c| diesel::update(scripts::table.find(id))
            .set(self)
            .returning(Script::as_returning())
            .get_result(c))
        .of("scripts", id)
    }
}
