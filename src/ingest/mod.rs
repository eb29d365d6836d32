//! Real data comes in: files and streams in the formats of the field, read row by row, stored in
//! batches, so that memory does not grow with the input.
//!
//! Each format's file turns its rows into what the tables take; `source` recognises formats, `store` writes
//! a batch, and this file makes batches and keeps count. A row that cannot be stored is rejected with its
//! line and the reason, and the others go in.

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

/// How much of the input is looked at to recognise its format, in bytes.
const HEAD: usize = 64 * 1024;

portable! {
    /// The formats that can be read.
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

/// How to read.
#[derive(Debug, Clone, Default)]
pub struct Options<'a> {
    /// Format of the input; recognised from its beginning when not given.
    pub format: Option<Format>,
    /// Niche of the videos; from their category when not given. In `jsonl` and `csv` it is that of the videos which
    /// name none.
    pub niche: Option<&'a str>,
    /// Table that the rows of `jsonl` or `csv` are for; `discovered_videos` when not given.
    pub table: Option<&'a str>,
    /// Columns of a CSV: the name of ours, and the name in the CSV. They win over the names that viraldb knows.
    pub map: &'a [(String, String)],
    /// When the numbers were measured that say no time themselves.
    pub measured_at: Option<Timestamp>,
    /// When the input was last modified: the time of such numbers if `measured_at` is not given. Without both it is now.
    pub modified: Option<Timestamp>,
    /// Write nothing if any row is bad.
    pub strict: bool,
    /// Write nothing at all: each batch is stored and rolled back, and the counts are of what would have changed. A video
    /// of several batches counts in each. `strict` is not looked at.
    pub dry_run: bool,
    /// The keys; the first encrypts what rows of `channels` and `system_configuration` have in the clear where encrypted
    /// values belong. Without any these rows are rejected.
    pub keyring: Option<&'a Keyring>,
}

impl Options<'_> {
    /// Checks what does not depend on an input, before many are read.
    ///
    /// # Errors
    /// `Invalid` for an empty niche and for an unknown table.
    pub fn check(&self) -> Result<()> {
        self.niche.map_or(Ok(()), |niche| require("niche", niche))?;
        self.table.map_or(Ok(()), check_table)
    }
}

/// What came in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Report {
    /// Name of the input.
    pub file: String,
    /// Its format.
    pub format: String,
    /// Rows read, good and bad.
    pub rows: u64,
    /// Table that the counts of new, updated and unchanged rows are of.
    pub table: String,
    /// Rows of it that were not there.
    pub new: u64,
    /// Rows of it that were there and have changed. A video that the input names several times counts once if it is new;
    /// any other row counts once in each batch of up to 5,000 rows.
    pub updated: u64,
    /// Rows of it that were there just so.
    pub unchanged: u64,
    /// Rows of `analytics` that were not there.
    pub snapshots: u64,
    /// Rows of `trends` that were not there or have changed.
    pub trends: u64,
    /// Bad rows.
    pub rejected: u64,
}

/// A bad row.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Reject {
    /// Name of the input.
    pub file: String,
    /// Line the row begins on, from 1.
    pub line: u64,
    /// Why it is bad.
    pub reason: String,
    /// The row: a JSON document, or the text of it.
    pub row: Value,
}

/// Reads `input` into the database and says what came in; `reject` is told of each bad row.
///
/// An input that is compressed with gzip or zstd, or is UTF-16 with a byte-order mark, is read as what it holds; for a ZIP
/// archive see [`inputs`].
///
/// Running the same input twice changes nothing. Rows are read on a thread of their own, and stored in chunks of one
/// transaction each; with `strict` all are stored in one. On SQLite a chunk is short while others write, and between
/// chunks they come to their turn.
///
/// # Errors
/// `Invalid` if the format is not recognised or the input is not of the format given; `Rejected` if
/// `strict` and a row is bad.
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
    // Also when the format is given: a pipe hands on little at once, and whether lines are documents shows
    // in several of them.
    input.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(|error| Error::io(name, error))?;
    let (source, format) = Source::of(name, &head, options)?;
    let mut input = head.chain(input);
    let read = |sink: &mut Sink<'_>| source.read(name, &mut input, options.niche, sink);
    run(db, &source, format.as_str(), name, options, reject, read)
}

/// Stores what `read` hands to its sink, and reports.
fn run(
    db: &Database,
    source: &Source,
    format: &str,
    name: &str,
    options: &Options<'_>,
    reject: &mut dyn FnMut(Reject) -> Result<()>,
    read: impl FnOnce(&mut Sink<'_>) -> Result<()> + Send,
) -> Result<Report> {
    let report = Report {
        file: name.to_owned(),
        format: format.to_owned(),
        table: source.table().to_owned(),
        ..Report::default()
    };
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
        0 if matches!(error, Error::Io { .. }) => error.with(&format!("no row of {name} is in the database")),
        0 => error,
        rows => error.with(&format!("{rows} rows of {name} are in the database, and stay")),
    })?;
    Ok(writer.report)
}
