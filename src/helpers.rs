//! Five functions under the names that code written for such pipelines already calls.

use crate::compilation::{DiscoveredVideo, ErrorLog, NewErrorLog, PipelineRunId};
use crate::error::require;
use crate::{Database, DbConnection, Result, Session};

/// Opens the database and makes it current; [`Database::open`].
pub fn init_db(url: &str) -> Result<Database> {
    Database::open(url)
}

/// A connection of one's own; [`Database::session`]. The functions below take it, and the connection of
/// a `read` or `write` just as well.
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
pub fn get_session(db: &Database) -> Result<Session> {
    db.session()
}

/// All pending videos of a niche, best first; [`DiscoveredVideo::pending`] takes a limit.
///
/// # Errors
/// `Invalid` for an empty niche.
pub fn get_pending_videos(session: &mut DbConnection, niche: &str) -> Result<Vec<DiscoveredVideo>> {
    DiscoveredVideo::pending(session, niche, i64::MAX)
}

/// Sets what became of the video with the platform's own id: 0 pending, 1 used, 2 skipped, 3 rejected.
///
/// # Errors
/// `Invalid` for any other status and for an empty id, `NotFound` for an unknown video.
pub fn mark_video_processed(
    session: &mut DbConnection,
    video_id: &str,
    status: i32,
) -> Result<DiscoveredVideo> {
    require("video_id", video_id)?;
    DiscoveredVideo::mark(session, video_id, status.try_into()?)
}

/// Keeps an error, with the correlation id of the unit of work that is under way, and returns the row.
///
/// # Errors
/// `Invalid` if `module`, `error_type` or `message` is empty, or if there is no such run.
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
