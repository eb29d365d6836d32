//! Ingests rows that a program supplies directly, without a file.

use std::io::{self, Read};

use serde::Serialize;
use serde_json::Value;

use super::found::{Found, Row, Sink};
use super::source::Source;
use super::{Options, Reject, Report, ingest, run};
use crate::compilation::{NewAnalytics, NewDiscoveredVideo};
use crate::generation::NewTrend;
use crate::tables::{NUL, has_nul};
use crate::{Database, Result};

/// Data of one video for [`ingest_records`]. Each part is optional and is stored in a separate table.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Record {
    /// The row for `discovered_videos`. Its counts replace the stored ones, unless the stored ones are newer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub video: Option<NewDiscoveredVideo<'static>>,
    /// The row for `analytics`. It is inserted unless one with the same video and time exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<NewAnalytics<'static>>,
    /// The row for `trends`. It is inserted or updated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trend: Option<NewTrend<'static>>,
}

impl From<NewDiscoveredVideo<'static>> for Record {
    fn from(video: NewDiscoveredVideo<'static>) -> Self {
        Self { video: Some(video), ..Self::default() }
    }
}

impl From<NewAnalytics<'static>> for Record {
    fn from(snapshot: NewAnalytics<'static>) -> Self {
        Self { snapshot: Some(snapshot), ..Self::default() }
    }
}

impl From<NewTrend<'static>> for Record {
    fn from(trend: NewTrend<'static>) -> Self {
        Self { trend: Some(trend), ..Self::default() }
    }
}

impl Record {
    /// Returns the reason why the record cannot be stored, or `None` if it can.
    fn fault(&self) -> Option<String> {
        let ids = [
            ("video.video_id", self.video.as_ref().map(|video| &video.video_id)),
            ("snapshot.youtube_video_id", self.snapshot.as_ref().map(|snapshot| &snapshot.youtube_video_id)),
            ("trend.external_id", self.trend.as_ref().map(|trend| &trend.external_id)),
        ];
        if ids.iter().all(|(_, id)| id.is_none()) {
            return Some("the record has no video, snapshot or trend".to_owned());
        }
        if let Some((name, _)) = ids.iter().find(|(_, id)| id.is_some_and(|id| id.is_empty())) {
            return Some(format!("{name} is empty"));
        }
        match serde_json::to_value(self) {
            Ok(value) => has_nul(&value).then(|| NUL.to_owned()),
            Err(error) => Some(error.to_string()),
        }
    }
}

/// Stores records from an iterator and returns a report, like [`ingest`]. Calls `reject` for each bad record; its `line` is
/// the number of the record, counted from 1.
///
/// A separate thread calls the iterator while earlier records are stored. It waits when storing is slower, so memory use
/// does not grow with the number of records. Only `strict` and `dry_run` of `options` are used. Storing the same records
/// again changes nothing if videos and snapshots have times (`discovered_at`, `measured_at`).
///
/// # Errors
/// [`Rejected`](crate::Error::Rejected) if `strict` is set and a record is bad; nothing is stored then.
/// Without `strict`, the error of a database that fails partway says how many records were stored before.
///
/// ```
/// use viraldb::compilation::{NewAnalytics, NewDiscoveredVideo};
/// use viraldb::{Database, ingest};
///
/// # fn main() -> viraldb::Result<()> {
/// let db = Database::open("sqlite::memory:")?;
/// let at = "2026-05-01T08:00:00Z".parse()?;
/// let videos = (0..1_000).map(move |number| ingest::Record {
///     video: Some(NewDiscoveredVideo {
///         video_id: format!("video{number}").into(),
///         title: "Title".into(),
///         niche: "gaming".into(),
///         view_count: Some(number),
///         discovered_at: Some(at),
///         ..Default::default()
///     }),
///     snapshot: Some(NewAnalytics {
///         youtube_video_id: format!("video{number}").into(),
///         measured_at: Some(at),
///         view_count: Some(number),
///         ..Default::default()
///     }),
///     ..Default::default()
/// });
/// let report = ingest::ingest_records(&db, "my crawler", videos, &ingest::Options::default(), &mut |_| Ok(()))?;
/// assert_eq!((report.new, report.snapshots, report.rejected), (1_000, 1_000, 0));
/// # Ok(())
/// # }
/// ```
pub fn ingest_records<I>(
    db: &Database,
    name: &str,
    records: I,
    options: &Options<'_>,
    reject: &mut dyn FnMut(Reject) -> Result<()>,
) -> Result<Report>
where
    I: IntoIterator,
    I::IntoIter: Send,
    I::Item: Into<Record>,
{
    let records = records.into_iter();
    let read = |sink: &mut Sink<'_>| {
        (1..).zip(records).try_for_each(|(line, record)| {
            let record: Record = record.into();
            let found = match record.fault() {
                Some(fault) => Err(fault),
                None => Ok(Found {
                    video: record.video.clone(),
                    snapshot: record.snapshot.clone(),
                    trend: record.trend.clone().map(Box::new),
                    ..Found::default()
                }),
            };
            let raw = Box::new(move || serde_json::to_value(record).unwrap_or_default());
            sink(Row { line, found, raw, size: RECORD })
        })
    };
    run(db, &Source::Records, None, name, options, reject, read)
}

/// Assumed size of a record in bytes of input. Files of videos have about as many bytes per row.
const RECORD: usize = 640;

/// Stores JSON values from an iterator. The values are items or whole responses of a format that [`ingest`] reads, or rows
/// for `options.table`. Otherwise it works like [`ingest`]. The `line` of a bad value is its number, counted from 1.
///
/// # Errors
/// The errors of [`ingest`].
///
/// ```
/// use serde_json::json;
/// use viraldb::{Database, ingest};
///
/// # fn main() -> viraldb::Result<()> {
/// let db = Database::open("sqlite::memory:")?;
/// let infos = [json!({"id": "a1", "extractor_key": "Youtube", "title": "One", "view_count": 7}), json!({"title": "no id"})];
/// let options = ingest::Options { format: Some(ingest::Format::YtDlp), ..Default::default() };
/// let report = ingest::ingest_values(&db, "yt-dlp", infos, &options, &mut |_| Ok(()))?;
/// assert_eq!((report.new, report.rejected), (1, 1));
/// # Ok(())
/// # }
/// ```
pub fn ingest_values<I>(
    db: &Database,
    name: &str,
    values: I,
    options: &Options<'_>,
    reject: &mut dyn FnMut(Reject) -> Result<()>,
) -> Result<Report>
where
    I: IntoIterator<Item = Value>,
    I::IntoIter: Send,
{
    let lines = Lines { values: values.into_iter(), line: Vec::new(), read: 0 };
    ingest(db, name, lines, options, reject)
}

/// Reads values as JSON Lines.
struct Lines<I> {
    values: I,
    /// The current value as text.
    line: Vec<u8>,
    /// Number of bytes of `line` that were read.
    read: usize,
}

impl<I: Iterator<Item = Value>> Read for Lines<I> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.read == self.line.len() {
            let Some(value) = self.values.next() else { return Ok(0) };
            self.line.clear();
            serde_json::to_writer(&mut self.line, &value)?;
            self.line.push(b'\n');
            self.read = 0;
        }
        let count = self.line.get(self.read..).unwrap_or_default().read(out)?;
        self.read += count;
        Ok(count)
    }
}
