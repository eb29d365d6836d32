//! Real data comes in: files and streams in the formats of the field, read row by row, stored in
//! batches, so that memory does not grow with the input.
//!
//! Each format's file turns its rows into what the tables take; this one recognises formats, stores
//! batches and keeps count. A row that cannot be is rejected with its line and the reason, and the others
//! go in.

mod json;
mod jsonl;
mod niche;
mod records;
mod youtube_api;
mod youtube_trending;
mod yt_dlp;

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read};

pub(crate) use json::has_nul;
pub(crate) use jsonl::{Target, check_table, table, tables};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::compilation::{Analytics, DiscoveredVideo, NewAnalytics, NewDiscoveredVideo};
use crate::db::{on_backend, store_or_halve};
use crate::error::require;
use crate::generation::NewTrend;
use crate::quote::quoted_json;
use crate::secrets::{self, Keyring};
use crate::types::portable;
use crate::{Database, DbConnection, Error, Result, Timestamp, Upserted};

/// Rows that are stored at once.
const BATCH: usize = 5_000;

/// Bytes of the input from which on fewer rows are stored at once: what yt-dlp says of a video may be long.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Why a row with a NUL character is refused, on either engine.
pub(crate) const NUL: &str = "has a NUL character, which PostgreSQL cannot keep";

/// How much of the input is looked at to recognise its format, in bytes.
const HEAD: usize = 64 * 1024;

portable! {
    /// The formats that can be read.
    pub enum Format {
        YoutubeTrending = "youtube-trending",
        YoutubeApi = "youtube-api",
        YtDlp = "yt-dlp",
        Jsonl = "jsonl",
    }
}

/// How to read.
#[derive(Debug, Clone, Default)]
pub struct Options<'a> {
    /// Format of the input; recognised from its beginning when not given.
    pub format: Option<Format>,
    /// Niche of the videos; from their category when not given. In `jsonl` it is that of the videos which
    /// name none.
    pub niche: Option<&'a str>,
    /// Table that the rows of `jsonl` are for; `discovered_videos` when not given.
    pub table: Option<&'a str>,
    /// Write nothing if any row is bad.
    pub strict: bool,
    /// The keys; the first encrypts what rows of `channels` and `system_configuration` have in the clear where encrypted
    /// values belong. Without any these rows are rejected.
    pub keyring: Option<&'a Keyring>,
}

/// What came in.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Name of the input.
    pub file: String,
    /// Its format.
    pub format: String,
    /// Rows read, good and bad.
    pub rows: u64,
    /// Table that the counts of new, updated and unchanged rows are of.
    pub table: String,
    /// Rows of it that were not there. A video that stands in the input several times counts once.
    pub new: u64,
    /// Rows of it that were there and have changed.
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

/// What one row of a source becomes.
#[derive(Debug, Default)]
struct Found {
    video: Option<NewDiscoveredVideo<'static>>,
    snapshot: Option<NewAnalytics<'static>>,
    trend: Option<NewTrend<'static>>,
    document: Option<serde_json::Map<String, Value>>,
}

/// A row of a source: where it stands, what it becomes or why it is bad, and what it says itself, for when
/// it is rejected, by us or by the database.
struct Row {
    line: u64,
    found: Result<Found, String>,
    raw: Raw,
    /// Bytes of it in the input, more or less.
    size: usize,
}

/// Tells the row as it was given.
type Raw = Box<dyn FnOnce() -> Value>;

/// Takes the rows of a source one by one.
type Sink<'a> = dyn FnMut(Row) -> Result<()> + 'a;

/// Reads `input` into the database and says what came in; `reject` is told of each bad row.
///
/// Running the same input twice changes nothing. Rows are stored in batches of at most 5,000, each in one
/// transaction; with `strict` all are stored in one.
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
    input: impl Read,
    options: &Options<'_>,
    reject: &mut dyn FnMut(Reject) -> Result<()>,
) -> Result<Report> {
    if let Some(niche) = options.niche {
        require("niche", niche)?;
    }
    let mut input = BufReader::with_capacity(HEAD, input);
    let mut head = Vec::new();
    // Also when the format is given: a pipe hands on little at once, and whether lines are documents shows
    // in several of them.
    input.by_ref().take(HEAD as u64).read_to_end(&mut head).map_err(|error| Error::io(name, error))?;
    let format = match options.format {
        Some(format) => format,
        None => recognise(name, &head, options)?,
    };
    let mut input = head.chain(input);
    let source = match format {
        Format::Jsonl => Source::Jsonl(jsonl::table(options.table.unwrap_or("discovered_videos"))?),
        _ if options.table.is_some() => {
            return Err(Error::invalid("--table", format!("goes with jsonl, and {name} is {format}")));
        }
        Format::YoutubeTrending => Source::YoutubeTrending,
        Format::YoutubeApi => Source::YoutubeApi,
        Format::YtDlp => Source::YtDlp,
    };
    if let (Source::Jsonl(table), Some(_)) = (&source, options.niche)
        && !table.takes_niche()
    {
        let reason = format!("goes with videos, and the rows are for {}", table.name());
        return Err(Error::invalid("--niche", reason));
    }
    let report = Report {
        file: name.to_owned(),
        format: format.to_string(),
        table: match &source {
            Source::Jsonl(table) => table.name().to_owned(),
            _ => "discovered_videos".to_owned(),
        },
        ..Report::default()
    };
    let mut ingest = Ingest {
        report,
        reject,
        first_reject: None,
        batch: Vec::with_capacity(BATCH),
        batch_bytes: 0,
        committed: 0,
        source: &source,
        keyring: options.keyring,
    };
    if options.strict {
        db.write(|conn| {
            ingest.read(&mut input, options, &mut |work| work(conn))?;
            match ingest.first_reject.take() {
                Some(first) => Err(Error::Rejected { rejected: ingest.report.rejected, first }),
                None => Ok(()),
            }
        })?;
    } else {
        let read = ingest.read(&mut input, options, &mut |work| db.write(work));
        read.map_err(|error| match ingest.committed {
            0 => error,
            rows => error.with(&format!("{rows} rows of {name} are in the database, and stay")),
        })?;
    }
    Ok(ingest.report)
}

/// Where the rows come from.
enum Source {
    YoutubeTrending,
    YoutubeApi,
    YtDlp,
    Jsonl(&'static jsonl::Target),
}

/// Runs a piece of work on a connection, in a transaction of its own or in one around all.
type Write<'a> = dyn FnMut(&mut dyn FnMut(&mut DbConnection) -> Result<()>) -> Result<()> + 'a;

struct Ingest<'a> {
    report: Report,
    reject: &'a mut dyn FnMut(Reject) -> Result<()>,
    first_reject: Option<String>,
    batch: Vec<Row>,
    batch_bytes: usize,
    /// Rows that are in the database to stay.
    committed: usize,
    source: &'a Source,
    keyring: Option<&'a Keyring>,
}

impl Ingest<'_> {
    fn read(&mut self, input: &mut impl BufRead, options: &Options<'_>, write: &mut Write<'_>) -> Result<()> {
        let source = self.source;
        let niche = options.niche;
        let name = self.report.file.clone();
        let mut sink = |row: Row| {
            self.report.rows += 1;
            self.batch_bytes += row.size;
            self.batch.push(row);
            if self.batch.len() < BATCH && self.batch_bytes < BATCH_BYTES {
                Ok(())
            } else {
                self.flush(write)
            }
        };
        match source {
            Source::YoutubeTrending => youtube_trending::read(&name, input, niche, &mut sink)?,
            Source::YoutubeApi => {
                json::read(input, "items", &mut |item| youtube_api::found(item, niche), &mut sink)?
            }
            Source::YtDlp => json::read(input, "entries", &mut |item| yt_dlp::found(item, niche), &mut sink)?,
            Source::Jsonl(target) => jsonl::read(input, target, niche, &mut sink)?,
        }
        self.flush(write)
    }

    /// Stores the batch. A row that the database will not have is found by halving, and rejected.
    fn flush(&mut self, write: &mut Write<'_>) -> Result<()> {
        let mut good = Vec::with_capacity(self.batch.len());
        let mut bad = Vec::new();
        self.batch_bytes = 0;
        for Row { line, found, raw, .. } in std::mem::take(&mut self.batch) {
            match found {
                Ok(found) => good.push((found, line, raw)),
                Err(reason) => bad.push((line, reason, raw)),
            }
        }
        // By time of measurement, so that the newest numbers are the last to be stored.
        good.sort_by_key(|(found, ..)| found.snapshot.as_ref().and_then(|s| s.measured_at));
        let (mut good, mut given): (Vec<Found>, Vec<_>) =
            good.into_iter().map(|(found, line, raw)| (found, Some((line, raw)))).unzip();
        let mut refused = Vec::new();
        let mut unsealed = Vec::new();
        let mut stored = Stored::default();
        let (source, keyring) = (self.source, self.keyring);
        write(&mut |conn| {
            stored = Stored::default();
            // What is known is looked at first and written later: nobody may come between.
            on_backend!(
                &mut *conn,
                sqlite => |_c| Ok::<(), diesel::result::Error>(()),
                postgres => |c| crate::db::postgres::lock_ingest(c)
            )?;
            if let Source::Jsonl(target) = source {
                unsealed.extend(seal(conn, keyring, target.name(), &mut good)?);
            }
            let count = good.len();
            refused = store_or_halve(conn, count, &mut |conn, part| {
                let done = store(conn, source, good.get_mut(part).unwrap_or_default())?;
                stored.rows += done.rows;
                stored.snapshots += done.snapshots;
                stored.trends += done.trends;
                Ok(())
            })?;
            Ok(())
        })?;
        stored.add_to(&mut self.report);
        self.committed += good.len() - unsealed.len() - refused.len();
        tracing::info!(file = self.report.file, rows = self.report.rows, "stored so far");
        for (place, reason) in unsealed.into_iter().chain(refused) {
            if let Some((line, raw)) = given.get_mut(place).and_then(Option::take) {
                bad.push((line, reason, raw));
            }
        }
        bad.sort_by_key(|(line, ..)| *line);
        bad.into_iter().try_for_each(|(line, reason, raw)| self.rejected(line, reason, raw()))
    }

    fn rejected(&mut self, line: u64, reason: String, row: Value) -> Result<()> {
        self.report.rejected += 1;
        let file = self.report.file.clone();
        self.first_reject.get_or_insert_with(|| format!("{file} line {line}: {reason}"));
        (self.reject)(Reject { file, line, reason, row })
    }
}

/// What one batch changed.
#[derive(Debug, Clone, Copy, Default)]
struct Stored {
    rows: Upserted,
    snapshots: usize,
    trends: Upserted,
}

impl Stored {
    fn add_to(self, report: &mut Report) {
        report.new += self.rows.new as u64;
        report.updated += self.rows.updated as u64;
        report.unchanged += self.rows.unchanged as u64;
        report.snapshots += self.snapshots as u64;
        report.trends += (self.trends.new + self.trends.updated) as u64;
    }
}

/// Encrypts what documents have in the clear where encrypted values belong. A document that cannot be stored so is taken
/// out of its row; returns its place, and why.
fn seal(
    conn: &mut DbConnection,
    keyring: Option<&Keyring>,
    table: &str,
    rows: &mut [Found],
) -> Result<Vec<(usize, String)>> {
    if !secrets::has_sealed_columns(table) {
        return Ok(Vec::new());
    }
    let none = Keyring::default();
    let documents = rows.iter_mut().enumerate().filter_map(|(at, row)| Some((at, row.document.as_mut()?)));
    let (places, mut documents): (Vec<usize>, Vec<_>) = documents.unzip();
    let refused = secrets::seal_documents(conn, keyring.unwrap_or(&none), table, &mut documents)?;
    let refused = refused.into_iter().filter_map(|(at, reason)| Some((*places.get(at)?, reason)));
    let refused: Vec<_> = refused.collect();
    for (place, _) in &refused {
        if let Some(row) = rows.get_mut(*place) {
            row.document = None;
        }
    }
    Ok(refused)
}

fn store(conn: &mut DbConnection, source: &Source, rows: &mut [Found]) -> Result<Stored> {
    if let Source::Jsonl(target) = source {
        let documents: Vec<_> = rows.iter().filter_map(|found| found.document.clone()).collect();
        return Ok(Stored { rows: target.store(conn, &documents)?, ..Stored::default() });
    }
    leave_newer_counts(conn, rows)?;
    let mut stored = Stored::default();
    let videos: Vec<_> = rows.iter_mut().filter_map(|found| found.video.clone()).collect();
    stored.rows = NewDiscoveredVideo::insert_or_update_many(conn, &videos)?;
    let snapshots: Vec<_> = rows.iter().filter_map(|found| found.snapshot.clone()).collect();
    if !snapshots.is_empty() {
        stored.snapshots = NewAnalytics::insert_new_many(conn, &snapshots)?;
    }
    let trends: Vec<_> = rows.iter().filter_map(|found| found.trend.clone()).collect();
    if !trends.is_empty() {
        stored.trends = NewTrend::insert_or_update_many(conn, &trends)?;
    }
    Ok(stored)
}

/// Takes the counts out of rows that were measured before what the database knows of their video, or are
/// known already: an old file adds snapshots, it does not set the video back.
fn leave_newer_counts(conn: &mut DbConnection, rows: &mut [Found]) -> Result<()> {
    let ids: Vec<&str> =
        rows.iter().filter_map(|found| found.snapshot.as_ref().map(|s| &*s.youtube_video_id)).collect();
    if ids.is_empty() {
        return Ok(());
    }
    let discovered: HashMap<String, Timestamp> =
        DiscoveredVideo::discovered(conn, &ids)?.into_iter().collect();
    let measured: HashMap<String, Timestamp> = Analytics::newest(conn, &ids)?.into_iter().collect();
    for found in rows {
        let (Some(video), Some(snapshot)) = (&mut found.video, &found.snapshot) else { continue };
        let at = snapshot.measured_at;
        if discovered.get(&*video.video_id).is_some_and(|seen| at < Some(*seen))
            || measured.get(&*video.video_id).is_some_and(|newest| at <= Some(*newest))
        {
            (video.view_count, video.like_count, video.comment_count) = (None, None, None);
        }
    }
    Ok(())
}

/// Recognises a format by how it begins.
fn recognise(name: &str, head: &[u8], options: &Options<'_>) -> Result<Format> {
    let text = String::from_utf8_lossy(head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head));
    let text = text.trim_start();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if text.starts_with(['{', '[']) {
        return Ok(if options.table.is_some() {
            Format::Jsonl
        } else if has(&["\"youtube#video"]) || is_api_error(text) {
            Format::YoutubeApi
        } else if has(&[
            "\"extractor\"",
            // Its list comes before all else, and may be longer than the head.
            "\"format_id\"",
            "\"extractor_key\"",
            "\"webpage_url\"",
            "\"ie_key\"",
            "\"_type\"",
            "\"entries\"",
        ]) {
            Format::YtDlp
        } else if has(&["\"statistics\"", "\"snippet\"", "\"contentDetails\""]) {
            Format::YoutubeApi
        } else {
            Format::Jsonl
        });
    }
    let header = text.lines().next().unwrap_or_default();
    if header.contains("video_id") && header.contains("trending_date") {
        return Ok(Format::YoutubeTrending);
    }
    let known: Vec<&str> = Format::ALL.iter().map(|format| format.as_str()).collect();
    let what = if text.is_empty() { "is empty" } else { "is of no format we recognise" };
    Err(Error::invalid(name, format!("{what}; name it with --as {}", known.join("|"))))
}

/// Whether it is what the YouTube API answers when it refuses.
fn is_api_error(text: &str) -> bool {
    text.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with("\"error\""))
}

/// A count that may come as a number or as the text of one.
fn count(field: &str, value: &Value) -> Result<Option<i64>, String> {
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
fn whole(integer: Option<i64>, float: Option<f64>) -> Option<i64> {
    integer
        .or_else(|| float.filter(|f| f.fract() == 0.0 && f.abs() < 9e15).map(|f| f as i64))
        .filter(|n| *n >= 0)
}

/// Views per hour from publication to discovery; none if either is unknown, or if the video came out
/// after the day whose list it is on began.
#[allow(clippy::cast_precision_loss)] // a rate needs no more digits
fn view_velocity(views: Option<i64>, published: Option<Timestamp>, discovered: Timestamp) -> Option<f64> {
    let hours = discovered.hours_since(published?);
    (hours > 0.0).then_some(views? as f64 / hours)
}
