//! What a row of a source becomes, and how the values that several formats share are read.

use serde_json::Value;

use crate::compilation::{NewAnalytics, NewDiscoveredVideo};
use crate::generation::NewTrend;
use crate::quote::quoted_json;
use crate::{Result, Timestamp};

/// What one row of a source becomes.
#[derive(Debug, Default)]
pub(super) struct Found {
    pub(super) video: Option<NewDiscoveredVideo<'static>>,
    pub(super) snapshot: Option<NewAnalytics<'static>>,
    pub(super) trend: Option<Box<NewTrend<'static>>>,
    pub(super) document: Option<serde_json::Map<String, Value>>,
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
