//! Ingests files and streams: viraldb reads them row by row and stores the rows in batches, so memory use does not grow
//! with the input.
//!
//! Each format has a file that converts its rows for the tables. `source` recognizes formats, `store` writes a batch, and
//! `writer` makes batches and counts rows. A row that cannot be stored is rejected with its line and the reason; the other
//! rows are stored.

mod archive;
mod convert;
mod csv_records;
mod csv_table;
mod decode;
mod feed;
mod files;
mod found;
mod json;
mod jsonl;
mod judge;
mod moving;
mod names;
mod niche;
mod numbers;
mod pattern;
mod pipeline;
mod preview;
mod shape;
mod source;
mod store;
mod studio;
mod tabular;
mod takeout;
mod tiktok;
mod watch;
mod writer;
mod youtube_analytics;
mod youtube_api;
mod youtube_channels;
mod youtube_trending;
mod yt_dlp;

use std::io::{BufReader, Read};

pub use archive::{Input, Inputs, Skipped, inputs};
pub use feed::{Record, ingest_records, ingest_values};
pub use files::{Files, InputFile, files};
pub use preview::{Preview, preview};
use serde::{Deserialize, Serialize};
use serde_json::Value;
pub use watch::Watch;

use self::found::Sink;
use self::source::Source;
use self::writer::Writer;
use crate::error::require;
use crate::secrets::Keyring;
use crate::tables::check_table;
use crate::types::portable;
use crate::{Database, Error, Result, Timestamp};

/// Number of bytes at the start of the input that are read to recognize its format.
const HEAD: usize = 64 * 1024;

portable! {
    /// The supported input formats.
    pub enum Format {
        YoutubeTrending = "youtube-trending",
        YoutubeStudio = "youtube-studio",
        YoutubeApi = "youtube-api",
        YoutubeAnalytics = "youtube-analytics",
        YoutubeChannels = "youtube-channels",
        YtDlp = "yt-dlp",
        Tiktok = "tiktok",
        Takeout = "takeout",
        Jsonl = "jsonl",
        Csv = "csv",
    }
}

/// Options for reading an input.
#[derive(Debug, Clone, Default)]
pub struct Options<'a> {
    /// Format of the input. By default viraldb recognizes it from the beginning of the input.
    pub format: Option<Format>,
    /// Niche of the videos. By default it follows from their category. In `jsonl` and `csv` it applies only to videos
    /// without a niche.
    pub niche: Option<&'a str>,
    /// Table for the rows of `jsonl` or `csv`. The default is `discovered_videos`.
    pub table: Option<&'a str>,
    /// CSV column mapping: pairs of viraldb column and CSV column. It overrides the names that viraldb knows.
    pub map: &'a [(String, String)],
    /// Measurement time of numbers that have no time of their own.
    pub measured_at: Option<Timestamp>,
    /// Modification time of the input, used for such numbers if `measured_at` is not set. Without both, the current time
    /// is used.
    pub modified: Option<Timestamp>,
    /// Writes nothing if any row is bad.
    pub strict: bool,
    /// Writes nothing at all: each batch is stored and rolled back, and the report counts the rows that would have changed.
    /// A video in several batches counts once in each. `strict` is ignored.
    pub dry_run: bool,
    /// The encryption keys. The first one encrypts secrets that rows of `channels` and `system_configuration` contain in
    /// the clear. Without a key, such rows are rejected.
    pub keyring: Option<&'a Keyring>,
}

impl Options<'_> {
    /// Checks the options that do not depend on an input. Call it once before you read many inputs.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if the niche is empty or the table is unknown.
    pub fn check(&self) -> Result<()> {
        self.niche.map_or(Ok(()), |niche| require("niche", niche))?;
        self.table.map_or(Ok(()), check_table)
    }
}

/// The result of an ingest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// Name of the input.
    pub file: String,
    /// Format of the input; `None` for records, which have no format.
    pub format: Option<Format>,
    /// Number of rows read, both good and bad.
    pub rows: u64,
    /// Table that the `new`, `updated` and `unchanged` counts refer to.
    pub table: String,
    /// Number of rows inserted into `table`.
    pub new: u64,
    /// Number of existing rows of `table` that changed. A video that occurs several times in the input counts once if it
    /// is new. Any other row counts once per batch of up to 5,000 rows.
    pub updated: u64,
    /// Number of existing rows of `table` that did not change.
    pub unchanged: u64,
    /// Number of rows inserted into `analytics`.
    pub snapshots: u64,
    /// Number of rows inserted or changed in `trends`.
    pub trends: u64,
    /// Number of rejected rows.
    pub rejected: u64,
}

/// A rejected row.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Reject {
    /// Name of the input.
    pub file: String,
    /// Line on which the row begins, counted from 1.
    pub line: u64,
    /// Why the row was rejected.
    pub reason: String,
    /// The row as a JSON document, or its text.
    pub row: Value,
}

/// Reads `input` into the database and returns a report. Calls `reject` for each bad row.
///
/// Input that is compressed with gzip or zstd, or that is UTF-16 with a byte-order mark, is decoded first. For ZIP archives
/// see [`inputs`].
///
/// Ingesting the same input twice changes nothing. A separate thread reads the rows. They are stored in chunks of one
/// transaction each, or all in one transaction with `strict`. On SQLite, chunks are short while other processes write, so
/// that those can write between two chunks.
///
/// # Errors
/// - [`Error::Invalid`] if the format is not recognized, if the input does not have the given format, or if
///   an option is invalid or does not apply to the format.
/// - [`Error::Rejected`] if `strict` is set and a row is bad. Then nothing is stored.
/// - [`Error::Io`] if the input cannot be read. Rows that were read before the error may be stored.
/// - An error that `reject` returns, which ends the ingest.
///
/// ```
/// use viraldb::{Database, ingest};
///
/// # fn main() -> viraldb::Result<()> {
/// let db = Database::open("sqlite::memory:")?;
/// let lines = r#"{"video_id":"a1","title":"One","channel_name":"C","channel_id":"UC1","url":"https://x/a1","niche":"gaming"}
/// {"title":"no id"}"#;
/// let mut bad = Vec::new();
/// let report = ingest::ingest(&db, "lines", lines.as_bytes(), &ingest::Options::default(), &mut |row| {
///     bad.push(row);
///     Ok(())
/// })?;
/// assert_eq!((report.new, report.rejected), (1, 1));
/// assert_eq!(bad[0].line, 2);
/// # Ok(())
/// # }
/// ```
pub fn ingest(
    db: &Database,
    name: &str,
    input: impl Read + Send,
    options: &Options<'_>,
    reject: &mut dyn FnMut(Reject) -> Result<()>,
) -> Result<Report> {
    options.check()?;
    let mut input = BufReader::with_capacity(HEAD, decode::plain(name, input)?);
    let mut head = Vec::new();
    // Read the head even if the format is given: a pipe returns little data per read, and several lines are needed to
    // tell whether each line is a document.
    input.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(|error| Error::io(name, error))?;
    let (source, format) = Source::of(name, &head, options)?;
    let mut input = head.chain(input);
    let read = |sink: &mut Sink<'_>| source.read(name, &mut input, options.niche, sink);
    run(db, &source, Some(format), name, options, reject, read)
}

/// Stores the rows that `read` passes to its sink, and returns the report.
fn run(
    db: &Database,
    source: &Source,
    format: Option<Format>,
    name: &str,
    options: &Options<'_>,
    reject: &mut dyn FnMut(Reject) -> Result<()>,
    read: impl FnOnce(&mut Sink<'_>) -> Result<()> + Send,
) -> Result<Report> {
    let report =
        Report { file: name.to_owned(), format, table: source.table().to_owned(), ..Report::default() };
    let mut writer = Writer::new(source, report, options.keyring, reject);
    pipeline::run(read, |blocks, done| {
        writer.done = Some(done);
        if options.dry_run {
            writer.store_nothing(db, blocks)
        } else if options.strict {
            writer.store_all(db, blocks)
        } else {
            writer.store_in_chunks(db, blocks)
        }
    })
    .map_err(|error| match writer.committed {
        _ if options.strict || options.dry_run => error,
        0 if matches!(error, Error::Io { .. }) => error.with(&format!("no rows of {name} were stored")),
        0 => error,
        1 => error.with(&format!("1 row of {name} is already stored and is kept")),
        rows => error.with(&format!("{rows} rows of {name} are already stored and are kept")),
    })?;
    Ok(writer.report)
}
