//! The result of converting a row of a source, and functions that read values shared by several formats.

use serde_json::{Map, Value};

use super::Options;
use crate::compilation::{NewAnalytics, NewDiscoveredVideo};
use crate::generation::NewTrend;
use crate::quote::{one_line, quoted_json, short};
use crate::republishing::NewChannelStatistics;
use crate::{Result, Timestamp};

/// The database rows that one row of a source is converted to.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) video: Option<NewDiscoveredVideo<'static>>,
    pub(super) snapshot: Option<NewAnalytics<'static>>,
    pub(super) trend: Option<Box<NewTrend<'static>>>,
    pub(super) document: Option<Map<String, Value>>,
    pub(super) channel: Option<Box<ChannelSample>>,
    /// The origin of the measurement time.
    pub(super) timing: Timing,
}

impl Found {
    /// Returns true if the row or the user gave the measurement time of its counts.
    pub(super) fn says_when(&self) -> bool {
        self.timing == Timing::Said
    }
}

/// Statistics of a channel, identified by its YouTube id.
#[derive(Debug)]
pub(super) struct ChannelSample {
    pub(super) youtube_id: String,
    pub(super) title: String,
    pub(super) numbers: NewChannelStatistics,
}

/// The origin of the measurement time of counts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Timing {
    /// The row or the user gave it.
    #[default]
    Said,
    /// It is the modification time of the file.
    File,
    /// It is unknown, so the current time is used.
    Now,
}

/// The measurement time of counts that have no time of their own. It is the same for the whole input, so that it does not
/// depend on when each row was read.
#[derive(Debug, Clone, Copy)]
pub(super) struct When {
    pub(super) at: Timestamp,
    pub(super) timing: Timing,
}

impl When {
    pub(super) fn of(options: &Options<'_>) -> Self {
        let now = Timestamp::now();
        match (options.measured_at, options.modified) {
            (Some(at), _) => Self { at, timing: Timing::Said },
            // Limit to now: a wrong clock must not make these counts newer than all later ones.
            (None, Some(at)) => Self { at: at.min(now), timing: Timing::File },
            (None, None) => Self { at: now, timing: Timing::Now },
        }
    }
}

/// A row of a source: its line, the converted row or the reason why it is bad, and the original row in case viraldb or the
/// database rejects it.
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) found: Result<Found, String>,
    pub(super) raw: Raw,
    /// Approximate number of bytes of the row in the input.
    pub(super) size: usize,
}

impl Row {
    /// Estimates about half the memory of the row in bytes: its text, which is kept in case it is rejected, and the converted
    /// row.
    pub(super) fn weight(&self) -> usize {
        let document = self.found.as_ref().ok().and_then(|found| found.document.as_ref());
        let values = document.map_or(0, |document| document.values().map(count_values).sum());
        self.size + 250 + 100 * values
    }
}

fn count_values(value: &Value) -> usize {
    1 + match value {
        Value::Array(items) => items.iter().map(count_values).sum(),
        Value::Object(fields) => fields.values().map(count_values).sum(),
        _ => 0,
    }
}

/// Returns the original row.
pub(super) type Raw = Box<dyn FnOnce() -> Value + Send>;

/// Receives the rows of a source one by one.
pub(super) type Sink<'a> = dyn FnMut(Row) -> Result<()> + 'a;

/// Reads a count: a whole number of at least 0, as a number or as text.
pub(super) fn count(field: &str, value: &Value) -> Result<Option<i64>, String> {
    let bad = || format!("{field} is not a count: {}", quoted_json(value));
    match value {
        Value::Null => Ok(None),
        Value::Number(number) => whole(number.as_i64(), number.as_f64()).map(Some).ok_or_else(bad),
        Value::String(text) if text.trim().is_empty() => Ok(None),
        Value::String(text) => {
            whole(text.trim().parse().ok(), text.trim().parse().ok()).map(Some).ok_or_else(bad)
        }
        _ => Err(bad()),
    }
}

/// Reads a whole number that may be negative.
pub(super) fn signed(field: &str, value: &Value) -> Result<Option<i64>, String> {
    match value.as_i64() {
        Some(number) => Ok(Some(number)),
        None => count(field, value),
    }
}

/// Reads a number, which may be given as text.
pub(super) fn decimal(field: &str, value: &Value) -> Result<Option<f64>, String> {
    let number = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    number
        .filter(|number: &f64| number.is_finite())
        .map(Some)
        .ok_or_else(|| format!("{field} is not a number: {}", quoted_json(value)))
}

/// Returns the error message if a Google API responded with an error.
pub(super) fn api_error(item: &Value) -> Option<String> {
    let error = item.get("error")?;
    let said =
        |pointer: &str| error.pointer(pointer).and_then(Value::as_str).map(|text| short(&one_line(text)));
    let why = match (said("/message"), said("/errors/0/reason")) {
        (Some(message), Some(reason)) => format!("{message} ({reason})"),
        (Some(said), None) | (None, Some(said)) => said,
        (None, None) => "no reason given".to_owned(),
    };
    Some(format!("is an API error: {why}"))
}

/// Returns the hashtags in a text without the `#`.
pub(super) fn hashtags_in(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || c == ',')
        .filter(|word| word.starts_with('#'))
        .flat_map(|word| word.split('#').filter(|tag| !tag.is_empty()))
}

/// Returns a whole number of at least 0. A zero fraction, as in `7.0`, is accepted.
#[allow(clippy::cast_possible_truncation)] // within ±2^53, where a float is exact
pub(super) fn whole(integer: Option<i64>, float: Option<f64>) -> Option<i64> {
    integer
        .or_else(|| float.filter(|f| f.fract() == 0.0 && f.abs() < 9e15).map(|f| f as i64))
        .filter(|n| *n >= 0)
}

/// Returns the views per hour from publication to discovery. Returns `None` if the views or the publication time are
/// unknown, or if the video was published after `discovered`, which may be the start of a day.
#[allow(clippy::cast_precision_loss)] // a rate needs no more digits
pub(super) fn view_velocity(
    views: Option<i64>,
    published: Option<Timestamp>,
    discovered: Timestamp,
) -> Option<f64> {
    let hours = discovered.hours_since(published?);
    (hours > 0.0).then_some(views? as f64 / hours)
}
