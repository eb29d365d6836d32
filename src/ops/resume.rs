//! The command that resumes a paused queue.

use crate::config::ConfigOverride;
use crate::{DbConnection, Error, Result};

/// Returns the command that resumes a paused queue: it changes the layer that takes effect.
///
/// # Errors
/// `Database` if the query fails.
pub fn resume_command(conn: &mut DbConnection) -> Result<&'static str> {
    match ConfigOverride::find(conn, "queue_paused") {
        Ok(_) => Ok("viraldb config set queue_paused false --override"),
        Err(Error::NotFound { .. }) => Ok("viraldb config set queue_paused false"),
        Err(error) => Err(error),
    }
}
