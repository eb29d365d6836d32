//! Shows what an ingest would do: how an input is interpreted, and a dry run that is rolled back.

use std::io::{Cursor, Read};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::found::Found;
use super::source::Source;
use super::{Format, HEAD, Options, decode};
use crate::db::json_upsert;
use crate::secrets::has_sealed_columns;
use crate::{Database, DbConnection, Error, Result};

/// Number of rows in a preview.
const SHOWN: usize = 3;

/// How viraldb interprets an input.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Preview {
    /// Format of the input.
    pub format: Format,
    /// Table that the counts of a [`Report`](super::Report) would refer to.
    pub table: String,
    /// The CSV columns that are read: pairs of viraldb column and column name in the file. Empty for other formats.
    pub mapping: Vec<(String, String)>,
    /// Up to three rows as they would be stored. Each one maps table names to rows. Values of tables with encrypted columns
    /// are hidden.
    pub rows: Vec<Map<String, Value>>,
}

/// Returns how viraldb interprets `input`, and a reader that returns the whole input again from the beginning. Only the
/// first 64 KiB are examined.
///
/// # Errors
/// The errors that [`ingest`](super::ingest) returns before it reads rows.
///
/// ```
/// use viraldb::ingest::{Options, preview};
///
/// # fn main() -> viraldb::Result<()> {
/// let csv = "Content,Video title,Views\nAbC123_-xyz,Title,\"8,200\"\n";
/// let (preview, _) = preview("table.csv", csv.as_bytes(), &Options::default())?;
/// assert_eq!(preview.format.as_str(), "youtube-studio");
/// assert_eq!(preview.rows[0]["analytics"]["view_count"], 8200);
/// # Ok(())
/// # }
/// ```
pub fn preview<'a>(
    name: &str,
    input: impl Read + Send + 'a,
    options: &Options<'_>,
) -> Result<(Preview, Box<dyn Read + Send + 'a>)> {
    let mut input = decode::plain(name, input)?;
    let mut head = Vec::new();
    input.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(|error| Error::io(name, error))?;
    let (source, format) = Source::of(name, &head, options)?;
    let mut rows = Vec::new();
    let mut is_full = false;
    let read = source.read(name, &mut &*head, options.niche, &mut |row| {
        if let Ok(found) = row.found {
            rows.push(shown(found, &source)?);
        }
        is_full = rows.len() == SHOWN;
        if is_full { Err(undone()) } else { Ok(()) }
    });
    if !is_full {
        read?;
    }
    let preview = Preview { format, table: source.table().to_owned(), mapping: source.mapping(), rows };
    Ok((preview, Box::new(Cursor::new(head).chain(input))))
}

/// Returns the rows that a source row is converted to, by table.
fn shown(found: Found, source: &Source) -> Result<Map<String, Value>> {
    let mut tables = Map::new();
    let mut add = |table: &str, mut row: Map<String, Value>| {
        row.retain(|_, value| !value.is_null());
        if has_sealed_columns(table) {
            row.values_mut().for_each(|value| *value = json!("(not shown)"));
        }
        tables.insert(table.to_owned(), Value::Object(row));
    };
    let Found { video, snapshot, trend, document, channel, timing: _ } = found;
    if let Some(video) = video {
        add("discovered_videos", json_upsert::from_row(&video)?);
    }
    if let Some(snapshot) = snapshot {
        add("analytics", json_upsert::from_row(&snapshot)?);
    }
    if let Some(trend) = trend {
        add("trends", json_upsert::from_row(&*trend)?);
    }
    if let Some(channel) = channel {
        add("channel_statistics", json_upsert::from_row(&channel.numbers)?);
    }
    if let Some(document) = document {
        add(source.table(), document);
    }
    Ok(tables)
}

/// Runs `work` in a transaction and rolls the transaction back.
pub(super) fn undo(db: &Database, work: &mut dyn FnMut(&mut DbConnection) -> Result<()>) -> Result<()> {
    let mut is_done = false;
    let ended = db.write(|conn| {
        work(conn)?;
        is_done = true;
        Err::<(), _>(undone())
    });
    if is_done { Ok(()) } else { ended }
}

/// The error that stops a preview or rolls back a dry run. It is never shown.
fn undone() -> Error {
    Error::invalid("the dry run", "was undone")
}
