//! Parses points in time in arguments.

use viraldb::private::quote::quoted;
use viraldb::{Error, Result, Timestamp};

use super::duration::duration;

/// Reads a date, an RFC 3339 time, or a length of time before now, such as `2h` or `3d`.
pub(super) fn when(text: &str) -> Result<Timestamp> {
    match duration(text) {
        Ok(ago) if !ago.is_zero() => Ok(Timestamp::now() - ago),
        _ => text.parse().map_err(|_| {
            Error::invalid(quoted(text), "is not a time, a date or a length of time before now, such as 2026-11-21T08:30:00Z, 2026-11-21 or 7d")
        }),
    }
}
