//! What a row of a source becomes, and how the values that several formats share are read.

use serde_json::{Map, Value};

use super::Options;
use crate::compilation::{NewAnalytics, NewDiscoveredVideo};
use crate::generation::NewTrend;
use crate::quote::{quoted_json, short};
use crate::republishing::NewChannelStatistics;
use crate::{Result, Timestamp};

/// What one row of a source becomes.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) video: Option<NewDiscoveredVideo<'static>>,
    pub(super) snapshot: Option<NewAnalytics<'static>>,
    pub(super) trend: Option<Box<NewTrend<'static>>>,
    pub(super) document: Option<Map<String, Value>>,
    pub(super) channel: Option<Box<ChannelSample>>,
    /// How the time of its counts is known.
    pub(super) timing: Timing,
}

impl Found {
    /// Whether the row says itself when its counts were measured, or the user does.
    pub(super) fn says_when(&self) -> bool {
        self.timing == Timing::Said
    }
}

/// Numbers of a channel, which the database knows by YouTube's id.
#[derive(Debug)]
pub(super) struct ChannelSample {
    pub(super) youtube_id: String,
    pub(super) title: String,
    pub(super) numbers: NewChannelStatistics,
}

/// How the time is known at which counts were measured.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Timing {
    /// The row says it, or the user.
    #[default]
    Said,
    /// It is the modification time of the file.
    File,
    /// It is not known; the counts are taken to be those of now.
    Now,
}

/// When the counts of an input were measured that say no time themselves. One time for the whole input, so that its
/// rows do not differ by when they were read.
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
            // A clock that is wrong must not make counts newer than all that follow.
            (None, Some(at)) => Self { at: at.min(now), timing: Timing::File },
            (None, None) => Self { at: now, timing: Timing::Now },
        }
    }
}

/// A row of a source: where it stands, what it becomes or why it is bad, and what it says itself, for when
/// it is rejected, by us or by the database.
pub(super) struct Row {
    pub(super) line: u64,
    pub(super) found: Result<Found, String>,
    pub(super) raw: Raw,
    /// Bytes of it in the input, more or less.
    pub(super) size: usize,
}

impl Row {
    /// About half the bytes of memory that the row takes: its text, which is kept for a reject, and what it becomes.
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

/// Tells the row as it was given.
pub(super) type Raw = Box<dyn FnOnce() -> Value + Send>;

/// Takes the rows of a source one by one.
pub(super) type Sink<'a> = dyn FnMut(Row) -> Result<()> + 'a;

/// A count that may come as a number or as the text of one.
pub(super) fn count(field: &str, value: &Value) -> Result<Option<i64>, String> {
    let bad = || format!("{field} is no count: {}", quoted_json(value));
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

/// A whole number that may be negative.
pub(super) fn signed(field: &str, value: &Value) -> Result<Option<i64>, String> {
    match value.as_i64() {
        Some(number) => Ok(Some(number)),
        None => count(field, value),
    }
}

/// A number that may come as text.
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

/// What an API of Google says if it answers with an error.
pub(super) fn api_error(item: &Value) -> Option<String> {
    let error = item.get("error")?;
    let said = |pointer: &str| error.pointer(pointer).and_then(Value::as_str).unwrap_or("no reason");
    Some(format!(
        "is an error of the API: {} ({})",
        short(&crate::quote::one_line(said("/message"))),
        short(said("/errors/0/reason"))
    ))
}

/// The words of a text that begin with a hash, without it.
pub(super) fn hashtags_in(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| c.is_whitespace() || c == ',')
        .filter(|word| word.starts_with('#'))
        .flat_map(|word| word.split('#').filter(|tag| !tag.is_empty()))
}

/// A number that is whole and not negative, also when it is written with a fraction of nothing.
#[allow(clippy::cast_possible_truncation)] // within ±2^53, where a float is exact
pub(super) fn whole(integer: Option<i64>, float: Option<f64>) -> Option<i64> {
    integer
        .or_else(|| float.filter(|f| f.fract() == 0.0 && f.abs() < 9e15).map(|f| f as i64))
        .filter(|n| *n >= 0)
}

/// Views per hour from publication to discovery; none if either is unknown, or if the video came out
/// after the day whose list it is on began.
#[allow(clippy::cast_precision_loss)] // a rate needs no more digits
pub(super) fn view_velocity(
    views: Option<i64>,
    published: Option<Timestamp>,
    discovered: Timestamp,
) -> Option<f64> {
    let hours = discovered.hours_since(published?);
    (hours > 0.0).then_some(views? as f64 / hours)
}
