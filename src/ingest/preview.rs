//! What an ingest would do: how an input is understood, and a run that is undone.

use std::io::{Cursor, Read};

use serde::Serialize;
use serde_json::{Map, Value, json};

use super::found::Found;
use super::source::Source;
use super::{Format, HEAD, Options, decode};
use crate::db::json_upsert;
use crate::secrets::has_sealed_columns;
use crate::{Database, DbConnection, Error, Result};

/// How many rows are shown.
const SHOWN: usize = 3;

/// How an input is understood.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Preview {
    /// Its format.
    pub format: Format,
    /// Table that the counts of a [`Report`](super::Report) would be of.
    pub table: String,
    /// Columns of a CSV that are read: what each becomes, and its name in the file. Empty for other formats.
    pub mapping: Vec<(String, String)>,
    /// The first three rows as they would be stored, each by its table. Values of tables with encrypted columns are not
    /// shown.
    pub rows: Vec<Map<String, Value>>,
}

/// Tells how `input` is understood, and returns an input that reads the same from its beginning. Only its first 64 KiB
/// are looked at.
///
/// # Errors
/// As [`ingest`](super::ingest) before it reads rows.
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

/// What a row becomes, by table.
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

/// Runs a piece of work in a transaction and rolls it back.
pub(super) fn undo(db: &Database, work: &mut dyn FnMut(&mut DbConnection) -> Result<()>) -> Result<()> {
    let mut is_done = false;
    let ended = db.write(|conn| {
        work(conn)?;
        is_done = true;
        Err::<(), _>(undone())
    });
    if is_done { Ok(()) } else { ended }
}

/// Ends what is not to go on; nobody sees it.
fn undone() -> Error {
    Error::invalid("the dry run", "was undone")
}
