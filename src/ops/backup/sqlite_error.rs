//! Converts SQLite's errors to viraldb's errors.

use std::path::Path;

use rusqlite::ErrorCode;

use crate::Error;
use crate::error::{DISK_ERROR, DISK_FULL};

/// Converts an error of SQLite into one that names the file.
pub(super) fn failed(path: &Path, error: rusqlite::Error) -> Error {
    let (database, reason) = (path.display().to_string(), error.to_string());
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Error::Busy {
            database,
            reason: "another program held the lock for too long; try again".to_owned(),
        },
        Some(ErrorCode::NotADatabase | ErrorCode::DatabaseCorrupt) => Error::Unusable {
            database,
            reason: format!(
                "is damaged or not a SQLite database: {reason}; replace it with a backup: `viraldb restore`"
            ),
        },
        Some(ErrorCode::DiskFull) => Error::Unusable { database, reason: DISK_FULL.to_owned() },
        Some(ErrorCode::SystemIoFailure) => Error::Unusable { database, reason: DISK_ERROR.to_owned() },
        _ => Error::Unusable { database, reason },
    }
}
