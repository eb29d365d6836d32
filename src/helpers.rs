//! Five functions under the names that existing pipeline code already calls.

use crate::compilation::{DiscoveredVideo, ErrorLog, NewErrorLog, PipelineRunId};
use crate::error::require;
use crate::{Database, DbConnection, Result, Session};

/// Opens the database and migrates it to the current schema version. See [`Database::open`].
///
/// # Errors
/// The errors of [`Database::open`].
pub fn init_db(url: &str) -> Result<Database> {
    Database::open(url)
}

/// Opens a dedicated connection. See [`Database::session`].
///
/// The functions [`get_pending_videos`], [`mark_video_processed`] and [`log_error`] take it. They also accept the connection
/// that `read` and `write` pass to their closures.
///
/// ```
/// use viraldb::{get_pending_videos, get_session, init_db, log_error};
///
/// # fn main() -> viraldb::Result<()> {
/// let db = init_db("sqlite::memory:")?;
/// let mut session = get_session(&db)?;
/// assert!(get_pending_videos(&mut session, "gaming")?.is_empty());
/// log_error(&mut session, "discovery", "TimeoutError", "no answer in 30 s", None, None)?;
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// The errors of [`Database::session`].
pub fn get_session(db: &Database) -> Result<Session> {
    db.session()
}

/// Returns all pending videos of a niche, best first. [`DiscoveredVideo::pending`] takes a limit.
///
/// # Errors
/// `Invalid` if `niche` is empty.
pub fn get_pending_videos(session: &mut DbConnection, niche: &str) -> Result<Vec<DiscoveredVideo>> {
    DiscoveredVideo::pending(session, niche, i64::MAX)
}

/// Sets the status of a video: 0 pending, 1 used, 2 skipped, 3 rejected. `video_id` is the id on the video's platform.
///
/// # Errors
/// `Invalid` for any other status or an empty id, `NotFound` for an unknown video.
pub fn mark_video_processed(
    session: &mut DbConnection,
    video_id: &str,
    status: i32,
) -> Result<DiscoveredVideo> {
    require("video_id", video_id)?;
    DiscoveredVideo::mark(session, video_id, status.try_into()?)
}

/// Inserts a row into `error_log`, with the correlation id of the current unit of work, and returns the row.
///
/// # Errors
/// `Invalid` if `module`, `error_type` or `message` is empty, or if the run does not exist.
pub fn log_error(
    session: &mut DbConnection,
    module: &str,
    error_type: &str,
    message: &str,
    pipeline_run_id: Option<PipelineRunId>,
    stack_trace: Option<&str>,
) -> Result<ErrorLog> {
    require("module", module)?;
    require("error_type", error_type)?;
    require("message", message)?;
    NewErrorLog {
        pipeline_run_id,
        module: module.into(),
        error_type: error_type.into(),
        error_message: message.into(),
        stack_trace: stack_trace.map(Into::into),
        correlation_id: crate::correlation::current(),
        ..Default::default()
    }
    .insert(session)
}
