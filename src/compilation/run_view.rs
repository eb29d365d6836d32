//! A run with everything that belongs to it.

use serde::{Deserialize, Serialize};

use super::{
    Clip, ErrorLog, ErrorLogFilter, PipelineRun, ReviewLog, ReviewLogFilter, Script, Short, TtsAudio,
};
use crate::db::{DbConnection, Page};
use crate::error::Result;
use crate::types::PipelineRunId;

/// A run with everything that belongs to it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct RunView {
    /// The run.
    pub run: PipelineRun,
    /// Clips by rank, the most viral first.
    pub clips: Vec<Clip>,
    /// Scripts, oldest first. The last one is current.
    pub scripts: Vec<Script>,
    /// Voice recordings, oldest first. The last one is current.
    pub tts_audio: Vec<TtsAudio>,
    /// Shorts, oldest first.
    pub shorts: Vec<Short>,
    /// Reviews, newest first.
    pub reviews: Vec<ReviewLog>,
    /// Errors, newest first, at most [`RunView::ERRORS`].
    pub errors: Vec<ErrorLog>,
}

impl RunView {
    /// Maximum number of errors in a view.
    pub const ERRORS: i64 = 100;
}

impl PipelineRun {
    /// Returns the run with everything that belongs to it.
    ///
    /// The seven queries read one snapshot. The exception is a PostgreSQL transaction that writes, where each query may
    /// see newer data; see [`DbConnection::snapshot`].
    ///
    /// # Errors
    /// [`NotFound`](crate::Error::NotFound) if no run has this id.
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
