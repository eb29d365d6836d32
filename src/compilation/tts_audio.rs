//! Voice recordings of a run's script, made by text-to-speech.

use std::borrow::Cow;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::PipelineRun;
use crate::db::json_upsert::{Document, Id, Table};
use crate::db::{DbConnection, MultiBackend, Page, children, insert_many, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::tts_audio;
use crate::types::sql::Int4;
use crate::types::{PipelineRunId, Timestamp, TtsAudioId};

/// One row of `tts_audio`.
#[derive(
    Debug, Clone, PartialEq, Serialize, Deserialize, HasQuery, QueryableByName, Identifiable, Associations,
)]
#[diesel(table_name = tts_audio, check_for_backend(crate::db::MultiBackend))]
#[diesel(belongs_to(PipelineRun, foreign_key = pipeline_run_id))]
#[non_exhaustive]
pub struct TtsAudio {
    /// Primary key, assigned by the database.
    pub id: TtsAudioId,
    /// Run that the recording belongs to.
    pub pipeline_run_id: PipelineRunId,
    /// Speech engine that made the recording.
    pub engine_used: String,
    /// Voice profile of the engine.
    pub voice_profile: Option<String>,
    /// Path of the audio file.
    pub audio_file_path: Option<String>,
    /// Duration in seconds.
    pub duration_seconds: Option<f64>,
    /// When the recording was made.
    pub generated_at: Timestamp,
}

/// A row to insert: `None` means the column's default. See [`TtsAudio`] for the fields.
#[derive(Debug, Clone, Default, Serialize, Deserialize, Insertable)]
#[diesel(table_name = tts_audio)]
#[serde(deny_unknown_fields)]
#[allow(missing_docs)] // documented on the row
pub struct NewTtsAudio<'a> {
    pub id: Option<TtsAudioId>,
    pub pipeline_run_id: PipelineRunId,
    pub engine_used: Cow<'a, str>,
    pub voice_profile: Option<Cow<'a, str>>,
    pub audio_file_path: Option<Cow<'a, str>>,
    pub duration_seconds: Option<f64>,
    pub generated_at: Option<Timestamp>,
}

/// Changes to a row: `None` keeps the stored value, and `Some(None)` stores NULL. See [`TtsAudio`] for the fields.
#[derive(Debug, Clone, Default, AsChangeset)]
#[diesel(table_name = tts_audio)]
#[allow(missing_docs)] // documented on the row
pub struct TtsAudioChanges<'a> {
    pub pipeline_run_id: Option<PipelineRunId>,
    pub engine_used: Option<Cow<'a, str>>,
    pub voice_profile: Option<Option<Cow<'a, str>>>,
    pub audio_file_path: Option<Option<Cow<'a, str>>>,
    pub duration_seconds: Option<Option<f64>>,
    pub generated_at: Option<Timestamp>,
}

/// Selects rows for `list`, `count` and `exists`; a `None` field matches every row.
#[derive(Debug, Clone, Default)]
#[allow(missing_docs)] // documented on the row
pub struct TtsAudioFilter {
    pub pipeline_run_id: Option<PipelineRunId>,
}

impl TtsAudioFilter {
    /// Returns the query for the matching rows.
    fn rows(&self) -> tts_audio::BoxedQuery<'_, MultiBackend> {
        let mut query = tts_audio::table.into_boxed();
        if let Some(pipeline_run_id) = self.pipeline_run_id {
            query = query.filter(tts_audio::pipeline_run_id.eq(pipeline_run_id));
        }
        query
    }
}

impl TtsAudio {
    /// Returns the row with this id.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no recording has this id.
    pub fn find(conn: &mut DbConnection, id: TtsAudioId) -> Result<Self> {
        on_backend!(conn, |c| Self::query().find(id).first(c)).of("tts_audio", id)
    }

    /// Returns one page of the matching rows, newest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). The row `page.after`
    /// need not exist anymore.
    pub fn list(
        conn: &mut DbConnection,
        filter: &TtsAudioFilter,
        page: &Page<TtsAudioId>,
    ) -> Result<Vec<Self>> {
        let mut query = filter.rows();
        if let Some(after) = page.after {
            query = query.filter(tts_audio::id.lt(after));
        }
        query
            .select(Self::as_select())
            .order(tts_audio::id.desc())
            .limit(page.at_most())
            .load(conn)
            .of("tts_audio", "")
    }

    /// Returns the number of matching rows.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database).
    pub fn count(conn: &mut DbConnection, filter: &TtsAudioFilter) -> Result<i64> {
        filter.rows().count().get_result(conn).of("tts_audio", "")
    }

    /// Returns true if at least one row matches.
    ///
    /// # Errors
    /// The errors of [`count`](Self::count).
    pub fn exists(conn: &mut DbConnection, filter: &TtsAudioFilter) -> Result<bool> {
        let row: Option<i32> =
            filter.rows().select(1.into_sql::<Int4>()).first(conn).optional().of("tts_audio", "")?;
        Ok(row.is_some())
    }

    /// Returns the recordings of a run, oldest first.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database). A run that does not
    /// exist has no recordings.
    pub fn of_run(conn: &mut DbConnection, run: PipelineRunId) -> Result<Vec<Self>> {
        on_backend!(conn, |c| Self::query()
            .filter(tts_audio::pipeline_run_id.eq(run))
            .order(tts_audio::id)
            .load(c))
        .of("tts_audio", run)
    }

    /// Returns a list of recordings for each of these runs, oldest first. The lists are in the order of `runs`.
    ///
    /// One query loads the recordings of up to 30,000 runs.
    ///
    /// # Errors
    /// The errors of [`of_run`](Self::of_run).
    pub fn of_runs(conn: &mut DbConnection, runs: &[PipelineRun]) -> Result<Vec<Vec<Self>>> {
        children(runs, |runs| {
            on_backend!(&mut *conn, |c| Self::belonging_to(runs)
                .select(Self::as_select())
                .order(tts_audio::id)
                .load(c))
            .of("tts_audio", "")
        })
    }

    /// Deletes a row and returns the number of rows deleted, which is 0 if the row did not exist.
    ///
    /// # Errors
    /// Only [errors of the database](crate::Error#errors-of-the-database), because no table refers
    /// to `tts_audio`.
    pub fn delete(conn: &mut DbConnection, id: TtsAudioId) -> Result<usize> {
        on_backend!(conn, |c| diesel::delete(tts_audio::table.find(id)).execute(c)).of("tts_audio", id)
    }
}

impl<'a> NewTtsAudio<'a> {
    /// Creates a row from its required columns; every other column gets its default.
    pub fn new(pipeline_run_id: PipelineRunId, engine_used: impl Into<Cow<'a, str>>) -> Self {
        Self { pipeline_run_id, engine_used: engine_used.into(), ..Self::default() }
    }
}

impl NewTtsAudio<'_> {
    /// Inserts the row and returns it with its defaults filled in.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the run does not exist;
    /// [`Conflict`](crate::Error::Conflict) if `id` is given and already exists.
    pub fn insert(&self, conn: &mut DbConnection) -> Result<TtsAudio> {
        on_backend!(conn, |c| diesel::insert_into(tts_audio::table)
            .values(self)
            .returning(TtsAudio::as_returning())
            .get_result(c))
        .of("tts_audio", "")
    }

    /// Inserts all rows and returns their count. If one of them is rejected, none is inserted.
    ///
    /// # Errors
    /// The errors of [`insert`](Self::insert), for any of the rows.
    pub fn insert_many(conn: &mut DbConnection, rows: &[Self]) -> Result<usize> {
        insert_many::<_, Self>(conn, tts_audio::table, "tts_audio", rows)
    }
}

impl Document for NewTtsAudio<'static> {
    const TABLE: Table = Table {
        name: "tts_audio",
        id: Id::Number,
        key: &[],
        origin: &["pipeline_run_id", "generated_at"],
        parents: &[("pipeline_run_id", "pipeline_runs")],
        keep: &[],
        json: &[],
        times: &["generated_at"],
    };
}

impl TtsAudioChanges<'_> {
    /// Updates the row with this id and returns it.
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no recording has this id;
    /// [`Invalid`](crate::Error::Invalid) if the new run does not exist or `self` has no changes.
    pub fn update(&self, conn: &mut DbConnection, id: TtsAudioId) -> Result<TtsAudio> {
        on_backend!(conn, |c| diesel::update(tts_audio::table.find(id))
            .set(self)
            .returning(TtsAudio::as_returning())
            .get_result(c))
        .of("tts_audio", id)
    }
}
