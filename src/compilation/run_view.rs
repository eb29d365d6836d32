//! A run with all that belongs to it.

use serde::{Deserialize, Serialize};

use super::{
    Clip, ErrorLog, ErrorLogFilter, PipelineRun, ReviewLog, ReviewLogFilter, Script, Short, TtsAudio,
};
use crate::db::{DbConnection, Page};
use crate::error::Result;
use crate::types::PipelineRunId;

/// A run with all that belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunView {
    /// The run itself.
    pub run: PipelineRun,
    /// Its clips by rank, the most viral first.
    pub clips: Vec<Clip>,
    /// What was written for it, oldest first: the last counts.
    pub scripts: Vec<Script>,
    /// What was spoken for it, oldest first: the last counts.
    pub tts_audio: Vec<TtsAudio>,
    /// Its shorts, oldest first.
    pub shorts: Vec<Short>,
    /// Its reviews, newest first.
    pub reviews: Vec<ReviewLog>,
    /// Its errors, newest first, at most [`RunView::ERRORS`].
    pub errors: Vec<ErrorLog>,
}

impl RunView {
    /// Most errors that a view holds.
    pub const ERRORS: i64 = 100;
}

impl PipelineRun {
    /// The run with all that belongs to it, as it was at one moment, by seven queries; `NotFound` if there is none.
    ///
    /// On PostgreSQL, a transaction that writes sees each of the seven by itself; see [`DbConnection::snapshot`].
    pub fn view(conn: &mut DbConnection, id: PipelineRunId) -> Result<RunView> {
        let reviews = ReviewLogFilter { pipeline_run_id: Some(id) };
        let errors = ErrorLogFilter { pipeline_run_id: Some(id), ..Default::default() };
        conn.snapshot(|conn| {
            Ok(RunView {
                run: Self::find(conn, id)?,
                clips: Clip::of_run(conn, id)?,
                scripts: Script::of_run(conn, id)?,
                tts_audio: TtsAudio::of_run(conn, id)?,
                shorts: Short::of_run(conn, id)?,
                reviews: ReviewLog::list(conn, &reviews, &Page::first(i64::MAX))?,
                errors: ErrorLog::list(conn, &errors, &Page::first(RunView::ERRORS))?,
            })
        })
    }
}
