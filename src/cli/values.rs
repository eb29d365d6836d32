//! Values of arguments: what `add` and `edit` take for columns, and lengths of time.

use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use crate::{Error, Json, Page, Result, bounded};

/// Which page of a list to print.
#[derive(Debug, clap::Args)]
pub(super) struct Paging<K: FromStr<Err: std::error::Error + Send + Sync> + Clone + Send + Sync + 'static> {
    /// Begin behind the row with this id
    #[arg(long, value_name = "ID", value_parser = str::parse::<K>)]
    pub(super) after: Option<K>,
    /// Most rows to print
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..))]
    pub(super) limit: i64,
}

impl<K: FromStr<Err: std::error::Error + Send + Sync> + Clone + Send + Sync> From<Paging<K>> for Page<K> {
    fn from(Paging { after, limit }: Paging<K>) -> Self {
        Self { after, limit }
    }
}

/// A value for a column that may be NULL: an empty one is NULL.
#[derive(Debug, Clone)]
pub(super) struct OrNull<T>(pub(super) Option<T>);

impl<T: FromStr> FromStr for OrNull<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text.is_empty() { Ok(Self(None)) } else { text.parse().map(Some).map(Self) }
    }
}

/// What a new row gets of it.
pub(super) fn given<T, U: From<T>>(value: Option<OrNull<T>>) -> Option<U> {
    value.and_then(|value| value.0).map(Into::into)
}

/// What a row is changed to.
pub(super) fn changed<T, U: From<T>>(value: Option<OrNull<T>>) -> Option<Option<U>> {
    value.map(|value| value.0.map(Into::into))
}

/// The longest document that is read from a file.
const DOCUMENT: u64 = 16 << 20;

/// Reads JSON, or behind an `@` the name of a file that holds it.
pub(super) fn json(text: String) -> Result<Json> {
    let (from, text) = match text.strip_prefix('@') {
        Some(path) => (path.to_owned(), read(Path::new(path), DOCUMENT)?),
        None => (format!("{:?}", text.chars().take(40).collect::<String>()), text),
    };
    serde_json::from_str(&text)
        .map(Json)
        .map_err(|error| Error::invalid(from, format!("is not JSON: {error}")))
}

/// [`json`] for a column that may be NULL.
pub(super) fn json_or_null(value: OrNull<String>) -> Result<Option<Json>> {
    value.0.map(json).transpose()
}

/// The text of a file, of so many bytes at most; `-` is standard input.
pub(super) fn read(path: &Path, most: u64) -> Result<String> {
    if path.as_os_str() == "-" {
        bounded::text(std::io::stdin().lock(), Path::new("standard input"), most)
    } else {
        bounded::file(path, most)
    }
}

/// Reads `90s`, `10m`, `1h 30m`, `30d`, or a bare number of seconds.
pub(super) fn duration(text: &str) -> Result<Duration> {
    let bad = || Error::invalid(format!("{text:?}"), "is no length of time such as 90s, 10m or 30d");
    if let Ok(seconds) = text.parse() {
        return Ok(Duration::from_secs(seconds));
    }
    let span: jiff::Span = text.parse().map_err(|_| bad())?;
    // A day is 24 hours here, whatever clocks are put forward or back.
    let length = span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).map_err(|_| bad())?;
    Duration::try_from(length).map_err(|_| bad())
}
