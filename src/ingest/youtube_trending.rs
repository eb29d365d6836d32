//! The "YouTube Trending Video Dataset": CSV, one row a video a day, the same video back on later days
//! with higher counts. A row is a discovered video, and a snapshot of its counts at that day.

use std::io::BufRead;
use std::sync::Arc;

use csv::{ByteRecord, StringRecord};
use serde_json::{Map, Value};

use super::found::{Found, Row, Sink, count, view_velocity};
use super::records::{Records, Taken};
use super::{NUL, niche};
use crate::compilation::{NewAnalytics, NewDiscoveredVideo};
use crate::quote::quoted;
use crate::{Error, Result, Timestamp};

/// Places of the columns that are read.
struct Columns {
    names: Arc<StringRecord>,
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
    fn find(input: &str, names: StringRecord) -> Result<Self> {
        let place = |name: &str| names.iter().position(|column| column.trim() == name);
        let must = |name: &str| {
            place(name).ok_or_else(|| {
                Error::invalid(input, format!("has no column {name} in the header of its CSV"))
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
            names: Arc::new(names),
        })
    }
}

pub(super) fn read(
    name: &str,
    input: &mut impl BufRead,
    given_niche: Option<&str>,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let unreadable = |error| Error::io(name, error);
    let mut records = Records::new(input);
    let header = records.next(&|_| Ok(())).map_err(unreadable)?.map(|taken| taken.record);
    let header = StringRecord::from_byte_record(header.unwrap_or_default())
        .map_err(|_| Error::invalid(name, "has a header that is not UTF-8"))?;
    let columns = Columns::find(name, header)?;
    while let Some(Taken { record, line, found, is_text }) =
        records.next(&|record| found(record, &columns, given_niche)).map_err(unreadable)?
    {
        let size = record.as_slice().len();
        let names = Arc::clone(&columns.names);
        let raw = Box::new(move || {
            if is_text {
                String::from_utf8_lossy(record.as_slice()).into()
            } else {
                document(&record, &names)
            }
        });
        sink(Row { line, found, raw, size })?;
    }
    Ok(())
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
        text(place)
            .parse::<Timestamp>()
            .map_err(|_| format!("{} is no time: {}", name(place), quoted(text(place))))
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
        Some(text) => {
            Some(text.parse::<i32>().map_err(|_| format!("categoryId is no number: {}", quoted(text)))?)
        }
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
        niche: niche::of(given_niche, category_id),
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
fn document(record: &ByteRecord, names: &StringRecord) -> Value {
    let fields = record.iter().enumerate().map(|(place, field)| {
        let name = names.get(place).map_or_else(|| (place + 1).to_string(), str::to_owned);
        (name, Value::from(String::from_utf8_lossy(field)))
    });
    Value::Object(fields.collect::<Map<_, _>>())
}
