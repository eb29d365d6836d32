//! Values of arguments: columns of `add` and `edit`, and pages of lists.

use std::path::Path;
use std::str::FromStr;

use super::complete::channels;
use viraldb::compilation::niches;
use viraldb::config::Registry;
use viraldb::private::bounded;
use viraldb::private::quote::{quoted, short};
use viraldb::republishing::{Channel, ChannelId};
use viraldb::{Database, DbConnection, Error, Json, Page, Result};

/// The page of a list to print.
#[derive(Debug, clap::Args)]
pub(super) struct Paging<K: FromStr<Err: std::error::Error + Send + Sync> + Clone + Send + Sync + 'static> {
    /// Continue after the row with this id
    #[arg(long, value_name = "ID", value_parser = str::parse::<K>)]
    pub(super) after: Option<K>,
    /// Maximum number of rows to print
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = at_least_one)]
    pub(super) limit: i64,
}

impl<K: FromStr<Err: std::error::Error + Send + Sync> + Clone + Send + Sync> From<Paging<K>> for Page<K> {
    fn from(Paging { after, limit }: Paging<K>) -> Self {
        Self { after, limit }
    }
}

/// Parses a number of rows.
pub(super) fn at_least_one(text: &str) -> Result<i64> {
    text.parse()
        .ok()
        .filter(|count| *count > 0)
        .ok_or_else(|| Error::invalid(quoted(text), "is not a whole number of at least 1"))
}

/// The channel whose settings apply.
#[derive(Debug, clap::Args)]
pub(super) struct OfChannel {
    /// Use the settings of this channel, by its id or YouTube's
    #[arg(long, value_name = "ID", add = channels())]
    pub(super) channel: Option<String>,
}

impl OfChannel {
    pub(super) fn id(&self, db: &Database) -> Result<Option<ChannelId>> {
        channel_id(db, self.channel.as_deref())
    }
}

/// Returns the id of a channel that is given by its id or YouTube's.
pub(super) fn channel_id(db: &Database, named: Option<&str>) -> Result<Option<ChannelId>> {
    let find = |id: &str| db.read_newest(|c| find_channel(c, id)).map(|channel| channel.id);
    named.map(find).transpose()
}

/// Returns the help of an option whose default is a setting. The default comes from the registry, so that both agree.
pub(super) fn by_setting(help: &str, key: &str) -> String {
    let default =
        Registry::default().get(key).map_or_else(|error| error.to_string(), |key| key.default.to_string());
    // Put the default on its own line, so that clap does not wrap it.
    format!("{help}\n[default: setting {key}, {default}]")
}

/// A value for a column that may be NULL: an empty argument means NULL.
#[derive(Debug, Clone)]
pub(super) struct OrNull<T>(pub(super) Option<T>);

impl<T: FromStr> FromStr for OrNull<T> {
    type Err = T::Err;

    fn from_str(text: &str) -> Result<Self, T::Err> {
        if text.is_empty() { Ok(Self(None)) } else { text.parse().map(Some).map(Self) }
    }
}

/// Returns the value for a new row.
pub(super) fn given<T, U: From<T>>(value: Option<OrNull<T>>) -> Option<U> {
    value.and_then(|value| value.0).map(Into::into)
}

/// Returns the value for a changed row: `None` leaves the column alone, `Some(None)` makes it NULL.
pub(super) fn changed<T, U: From<T>>(value: Option<OrNull<T>>) -> Option<Option<U>> {
    value.map(|value| value.0.map(Into::into))
}

/// Finds a channel by its id or by YouTube's.
pub(super) fn find_channel(c: &mut DbConnection, id: &str) -> Result<Channel> {
    match id.parse() {
        Ok(id) => Channel::find(c, id),
        Err(_) => Channel::find_by_youtube_channel_id(c, id),
    }
}

/// Returns the name of the current user.
pub(super) fn user() -> Result<String> {
    Ok(viraldb::private::variable("USER")?.unwrap_or_else(|| "viraldb".to_owned()))
}

/// Maximum size of a document that is read from a file, in bytes.
const DOCUMENT: u64 = 16 << 20;

/// Parses JSON. An argument that begins with `@` is the name of a file with the JSON.
pub(super) fn json(text: String) -> Result<Json> {
    let (from, text) = match text.strip_prefix('@') {
        Some(path) => (path.to_owned(), read(Path::new(path), DOCUMENT)?),
        None => (quoted(&text), text),
    };
    serde_json::from_str(&text)
        .map(Json)
        .map_err(|error| Error::invalid(from, format!("is not valid JSON: {error}")))
}

/// Parses JSON for a column that may be NULL.
pub(super) fn json_or_null(value: OrNull<String>) -> Result<Option<Json>> {
    value.0.map(json).transpose()
}

/// Reads a text file of at most `most` bytes; `-` is standard input.
pub(super) fn read(path: &Path, most: u64) -> Result<String> {
    if path.as_os_str() == "-" {
        bounded::text(std::io::stdin().lock(), Path::new("standard input"), most)
    } else {
        bounded::file(path, most)
    }
}

/// Maximum number of niches that a message names.
pub(super) const NICHES: usize = 20;

/// Returns the text for an empty list: `none`, and the known niches if `niche` is not one of them.
pub(super) fn none_in(db: &Database, niche: Option<&str>, none: &str) -> Result<String> {
    let Some(niche) = niche else { return Ok(none.to_owned()) };
    let known = db.read(|c| niches(c, i64::MAX))?;
    if known.iter().any(|known| known == niche) {
        return Ok(format!("{none} in niche {}", short(niche)));
    }
    let named = known.iter().take(NICHES).map(|niche| short(niche)).collect::<Vec<_>>().join(", ");
    let known = match known.len() {
        0 => "no niche has videos yet; add them with `viraldb ingest`".to_owned(),
        1..=NICHES => format!("known niches: {named}"),
        more => format!("known niches: {named} and {} more", more - NICHES),
    };
    Ok(format!("{none}: unknown niche {}; {known}", quoted(niche)))
}
