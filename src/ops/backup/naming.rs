//! What files of backups are called, and how long they have to be.

use crate::types::Timestamp;

/// A time in the form that file names have.
pub(super) fn stamp(at: Timestamp) -> String {
    at.to_utc().format("%Y%m%dT%H%M%S%.3fZ").to_string()
}

/// What is wrong with the length of a file.
pub(super) fn length(found: u64, expected: u64) -> Option<String> {
    match found.cmp(&expected) {
        std::cmp::Ordering::Equal => None,
        _ if found == 0 => Some("is empty".to_owned()),
        std::cmp::Ordering::Less => Some(format!("is cut off: {found} of {expected} bytes")),
        std::cmp::Ordering::Greater => Some(format!("is longer than it was: {found} bytes, not {expected}")),
    }
}
