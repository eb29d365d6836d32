//! Lengths of time, as arguments say them.

use std::time::Duration;

use viraldb::private::quote::quoted;
use viraldb::{Error, Result};

/// Reads `90s`, `10m`, `1h 30m` or `30d`. A number needs its unit: who writes 30 may mean days.
pub(crate) fn duration(text: &str) -> Result<Duration> {
    let bad = || Error::invalid(quoted(text), "is not a length of time such as 90s, 10m or 30d");
    if text.trim() == "0" {
        return Ok(Duration::ZERO);
    }
    let span: jiff::Span = text.parse().map_err(|_| bad())?;
    // A day is 24 hours here, whatever clocks are put forward or back.
    let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| bad())?;
    Duration::try_from(length).map_err(|_| bad())
}
