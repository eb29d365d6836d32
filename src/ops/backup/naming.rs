//! Timestamps in the names of backups, and the expected size of their files.

use crate::types::Timestamp;

/// Formats a timestamp for a file name, such as `20261121T083000.123Z`.
pub(super) fn stamp(at: Timestamp) -> String {
    at.to_utc().format("%Y%m%dT%H%M%S%.3fZ").to_string()
}

/// Returns what is wrong with the length of a file, or `None` if it is the expected length.
pub(super) fn length(found: u64, expected: u64) -> Option<String> {
    match found.cmp(&expected) {
        std::cmp::Ordering::Equal => None,
        _ if found == 0 => Some("is empty".to_owned()),
        std::cmp::Ordering::Less => Some(format!("is cut off: {found} of {expected} bytes")),
        std::cmp::Ordering::Greater => {
            Some(format!("is longer than expected: {found} bytes instead of {expected}"))
        }
    }
}
