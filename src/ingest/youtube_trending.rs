//! The "YouTube Trending Video Dataset": CSV, one row a video a day, the same video back on later days
//! with higher counts. A row is a discovered video, and a snapshot of its counts at that day.

use std::io::{BufRead, Cursor, Read};

use csv::{ByteRecord, ReaderBuilder, StringRecord};
use serde_json::{Map, Value};

use super::{Found, NUL, Row, Sink, count, niche, view_velocity};
use crate::compilation::{NewAnalytics, NewDiscoveredVideo};
use crate::{Error, Result, Timestamp};

/// Stands behind the input. After an input that ends well it is a record of its own, with this field;
/// after one that ends inside a quoted field its quote ends that field instead.
const END: &[u8] = b"\n\"\n";
const END_FIELD: &[u8] = b"\n";

/// Places of the columns that are read.
struct Columns {
    names: StringRecord,
    video_id: usize,
    title: usize,
    published_at: usize,
    channel_id: usize,
    channel_title: usize,
    category_id: Option<usize>,
    trending_date: usize,
    view_count: usize,
    likes: usize,
    comment_count: usize,
}

impl Columns {
    fn find(names: StringRecord) -> Result<Self> {
        let place = |name: &str| names.iter().position(|column| column.trim() == name);
        let must = |name: &str| {
            place(name).ok_or_else(|| {
                Error::invalid("youtube-trending", format!("has no column {name} in its header"))
            })
        };
        Ok(Self {
            video_id: must("video_id")?,
            title: must("title")?,
            published_at: must("publishedAt")?,
            channel_id: must("channelId")?,
            channel_title: must("channelTitle")?,
            category_id: place("categoryId"),
            trending_date: must("trending_date")?,
            view_count: must("view_count")?,
            likes: must("likes")?,
            comment_count: must("comment_count")?,
            names,
        })
    }
}

pub(super) fn read(input: &mut impl BufRead, given_niche: Option<&str>, sink: &mut Sink<'_>) -> Result<()> {
    let mut reader = ReaderBuilder::new().flexible(true).from_reader(Read::chain(input, Cursor::new(END)));
    let header = reader.headers().map_err(unreadable)?.clone();
    let columns = Columns::find(header)?;
    let mut record = ByteRecord::new();
    let mut next = ByteRecord::new();
    let mut has_record = reader.read_byte_record(&mut record).map_err(unreadable)?;
    while has_record && !is_end(&record) {
        has_record = reader.read_byte_record(&mut next).map_err(unreadable)?;
        let line = record.position().map_or(0, csv::Position::line);
        let found = if has_record {
            found(&record, &columns, given_niche)
        } else {
            Err("the file ends inside a quoted field".to_owned())
        };
        let raw = if found.is_err() { raw(&record, &columns) } else { Value::Null };
        sink(Row { line, found, raw })?;
        std::mem::swap(&mut record, &mut next);
    }
    Ok(())
}

fn is_end(record: &ByteRecord) -> bool {
    record.len() == 1 && record.get(0) == Some(END_FIELD)
}

fn unreadable(error: csv::Error) -> Error {
    match error.into_kind() {
        csv::ErrorKind::Io(source) => Error::io("the input", source),
        csv::ErrorKind::Utf8 { .. } => Error::invalid("youtube-trending", "has a header that is not UTF-8"),
        other => Error::invalid("youtube-trending", format!("cannot be read: {other:?}")),
    }
}

fn found(record: &ByteRecord, columns: &Columns, given_niche: Option<&str>) -> Result<Found, String> {
    if record.len() != columns.names.len() {
        return Err(format!("has {} fields instead of {}", record.len(), columns.names.len()));
    }
    let name = |place: usize| columns.names.get(place).unwrap_or_default();
    if let Some(place) = record.iter().position(|field| std::str::from_utf8(field).is_err()) {
        return Err(format!("{} is not UTF-8", name(place)));
    }
    if record.as_slice().contains(&0) {
        return Err(NUL.to_owned());
    }
    let text = |place: usize| {
        record.get(place).and_then(|field| std::str::from_utf8(field).ok()).unwrap_or_default().trim()
    };
    let number = |place: usize| count(name(place), &Value::from(text(place)));
    let time = |place: usize| {
        text(place).parse::<Timestamp>().map_err(|_| format!("{} is no time: {:?}", name(place), text(place)))
    };

    let video_id = text(columns.video_id);
    // A spreadsheet makes #NAME? of an id that begins like a formula.
    if video_id.is_empty() || video_id == "#NAME?" {
        return Err("has no video_id".to_owned());
    }
    let measured_at = time(columns.trending_date)?;
    let published_at = time(columns.published_at)?;
    let view_count = number(columns.view_count)?;
    let like_count = number(columns.likes)?;
    let comment_count = number(columns.comment_count)?;
    let category_id = match columns.category_id.map(text) {
        None | Some("") => None,
        Some(text) => Some(text.parse::<i32>().map_err(|_| format!("categoryId is no number: {text:?}"))?),
    };
    let video = NewDiscoveredVideo {
        video_id: video_id.to_owned().into(),
        title: text(columns.title).to_owned().into(),
        channel_name: text(columns.channel_title).to_owned().into(),
        channel_id: text(columns.channel_id).to_owned().into(),
        url: format!("https://www.youtube.com/watch?v={video_id}").into(),
        category_id,
        view_count,
        like_count,
        comment_count,
        view_velocity: view_velocity(view_count, Some(published_at), measured_at),
        niche: given_niche
            .unwrap_or_else(|| category_id.map_or("other", niche::of_category))
            .to_owned()
            .into(),
        discovery_source: Some("youtube_trending".into()),
        discovered_at: Some(measured_at),
        ..Default::default()
    };
    let snapshot = NewAnalytics {
        youtube_video_id: video_id.to_owned().into(),
        measured_at: Some(measured_at),
        view_count,
        like_count,
        comment_count,
        ..Default::default()
    };
    Ok(Found { video: Some(video), snapshot: Some(snapshot), ..Default::default() })
}

/// The row as a document of its columns; fields without a column have their number for a name.
fn raw(record: &ByteRecord, columns: &Columns) -> Value {
    let fields = record.iter().enumerate().map(|(place, field)| {
        let name = columns.names.get(place).map_or_else(|| (place + 1).to_string(), str::to_owned);
        (name, Value::from(String::from_utf8_lossy(field)))
    });
    Value::Object(fields.collect::<Map<_, _>>())
}
