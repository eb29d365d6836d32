//! Parses lengths of time in arguments.

use std::time::Duration;

use viraldb::private::quote::quoted;
use viraldb::{Error, Result};

/// Parses `90s`, `10m`, `1h 30m` or `30d`. A number needs a unit, because 30 alone could mean days.
pub(crate) fn duration(text: &str) -> Result<Duration> {
    let bad = || Error::invalid(quoted(text), "is not a length of time such as 90s, 10m or 30d");
    if text.trim() == "0" {
        return Ok(Duration::ZERO);
    }
    let span: jiff::Span = text.parse().map_err(|_| bad())?;
    // A day is always 24 hours, without daylight saving.
    let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| bad())?;
    Duration::try_from(length).map_err(|_| bad())
}
