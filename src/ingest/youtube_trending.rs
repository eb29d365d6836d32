//! Reads the "YouTube Trending Video Dataset": CSV with one row per video and day. A video may appear again on later days
//! with higher counts. Each row becomes a discovered video and a snapshot of its counts on that day.
//!
//! viraldb reads two layouts: the layout since 2020, and the layout of 2017 (`views`, `publish_time`, dates such as
//! `17.14.11`). The layout of 2017 has no channel ids, so the `channel_id` of its videos is empty.

use std::io::BufRead;

use chrono::{NaiveDate, NaiveTime};
use serde_json::Value;

use super::found::{Found, Sink, count, view_velocity};
use super::niche;
use super::tabular::{self, Fields, Header, check_map};
use crate::compilation::{NewAnalytics, NewDiscoveredVideo};
use crate::quote::quoted;
use crate::{Error, Result, Timestamp};

/// Column names for `--map`, and their names in the files, the usual name first. Case and underscores are ignored.
const COLUMNS: [(&str, &[&str]); 10] = [
    ("video_id", &["video_id"]),
    ("title", &["title"]),
    ("published_at", &["publishedAt", "publish_time"]),
    ("channel_id", &["channelId"]),
    ("channel_name", &["channelTitle", "channel_name"]),
    ("category_id", &["categoryId"]),
    ("measured_at", &["trending_date"]),
    ("view_count", &["view_count", "views"]),
    ("like_count", &["likes", "like_count"]),
    ("comment_count", &["comment_count", "comments"]),
];

/// Optional columns.
const OPTIONAL: [&str; 2] = ["channel_id", "category_id"];

/// The indexes of the columns that are read.
pub(super) struct Layout {
    header: Header,
    video_id: usize,
    title: usize,
    published_at: usize,
    channel_id: Option<usize>,
    channel_name: usize,
    category_id: Option<usize>,
    measured_at: usize,
    view_count: usize,
    like_count: usize,
    comment_count: usize,
}

impl Layout {
    pub(super) fn of(input: &str, header: Header, map: &[(String, String)]) -> Result<Self> {
        check_map(map, "youtube-trending", COLUMNS.iter().map(|(column, _)| *column))?;
        let place = |column: &str| -> Result<Option<usize>> {
            let mapped = header.mapped(input, map, column)?;
            Ok(mapped.or_else(|| header.find(names(column))))
        };
        let must = |column: &str| {
            place(column)?.ok_or_else(|| {
                let name = names(column).first().copied().unwrap_or_default();
                Error::invalid(input, format!("has no column {name} in its CSV header"))
            })
        };
        Ok(Self {
            video_id: must("video_id")?,
            title: must("title")?,
            published_at: must("published_at")?,
            channel_id: place("channel_id")?,
            channel_name: must("channel_name")?,
            category_id: place("category_id")?,
            measured_at: must("measured_at")?,
            view_count: must("view_count")?,
            like_count: must("like_count")?,
            comment_count: must("comment_count")?,
            header,
        })
    }

    /// Returns pairs of viraldb column and CSV column.
    pub(super) fn mapping(&self) -> Vec<(String, String)> {
        let places = [
            ("video_id", Some(self.video_id)),
            ("title", Some(self.title)),
            ("published_at", Some(self.published_at)),
            ("channel_id", self.channel_id),
            ("channel_name", Some(self.channel_name)),
            ("category_id", self.category_id),
            ("measured_at", Some(self.measured_at)),
            ("view_count", Some(self.view_count)),
            ("like_count", Some(self.like_count)),
            ("comment_count", Some(self.comment_count)),
        ];
        places
            .into_iter()
            .filter_map(|(column, place)| Some((column.to_owned(), self.header.name(place?).to_owned())))
            .collect()
    }
}

/// Returns the names of a column in the files.
fn names(column: &str) -> &'static [&'static str] {
    COLUMNS.iter().find(|(known, _)| *known == column).map_or(&[], |(_, names)| names)
}

/// Returns true if a header has the columns that identify the format.
pub(super) fn is_header(header: &Header) -> bool {
    ["video_id", "measured_at"].iter().all(|column| header.find(names(column)).is_some())
}

/// Returns the required columns that a header lacks, and the number of all required columns.
pub(super) fn lacks(header: &Header) -> (Vec<&'static str>, usize) {
    let needed: Vec<_> = COLUMNS.iter().filter(|(column, _)| !OPTIONAL.contains(column)).collect();
    let lacking = needed.iter().filter(|(_, names)| header.find(names).is_none());
    (lacking.filter_map(|(_, names)| names.first().copied()).collect(), needed.len())
}

pub(super) fn read(
    name: &str,
    input: &mut impl BufRead,
    layout: &Layout,
    given_niche: Option<&str>,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let convert = |fields: &Fields<'_>| found(fields, layout, given_niche).map(Some);
    tabular::read(name, input, &layout.header, &convert, sink)
}

fn found(fields: &Fields<'_>, layout: &Layout, given_niche: Option<&str>) -> Result<Found, String> {
    let name = |place: usize| layout.header.name(place);
    let text = |place: usize| fields.text(place);
    let number = |place: usize| count(name(place), &Value::from(text(place)));
    let time = |place: usize| {
        time(text(place)).ok_or_else(|| format!("{} is not a time: {}", name(place), quoted(text(place))))
    };

    let video_id = text(layout.video_id);
    // A spreadsheet replaces an id that begins like a formula with #NAME?.
    if video_id.is_empty() || video_id == "#NAME?" {
        return Err("has no video_id".to_owned());
    }
    let measured_at = time(layout.measured_at)?;
    let published_at = time(layout.published_at)?;
    let view_count = number(layout.view_count)?;
    let like_count = number(layout.like_count)?;
    let comment_count = number(layout.comment_count)?;
    let category_id = match layout.category_id.map(|place| (place, text(place))) {
        None | Some((_, "")) => None,
        Some((place, text)) => Some(
            text.parse::<i32>()
                .map_err(|_| format!("{} is not a whole number: {}", name(place), quoted(text)))?,
        ),
    };
    let video = NewDiscoveredVideo {
        video_id: video_id.to_owned().into(),
        title: text(layout.title).to_owned().into(),
        channel_name: text(layout.channel_name).to_owned().into(),
        channel_id: layout.channel_id.map(text).unwrap_or_default().to_owned().into(),
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

/// Reads a timestamp, or a date of the layout of 2017: year, day and month with two digits each.
fn time(text: &str) -> Option<Timestamp> {
    if let Ok(at) = text.parse() {
        return Some(at);
    }
    let mut parts = text.split('.').map(|part| {
        let is_short = part.len() == 2 && part.bytes().all(|digit| digit.is_ascii_digit());
        part.parse::<u8>().ok().filter(|_| is_short)
    });
    let (year, day, month) = (parts.next()??, parts.next()??, parts.next()??);
    if parts.next().is_some() {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(2000 + i32::from(year), month.into(), day.into())?;
    Some(date.and_time(NaiveTime::MIN).and_utc().into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_2017_are_year_day_month() {
        let read = |text| time(text).map(|at| at.to_string());
        assert_eq!(read("17.14.11").as_deref(), Some("2017-11-14T00:00:00Z"));
        assert_eq!(read("2020-08-12T00:00:00Z").as_deref(), Some("2020-08-12T00:00:00Z"));
        for text in ["", "17.11.14", "17.14", "17.14.11.1", "+1.14.11", "2017.14.11", "17.31.02", "17-14-11"]
        {
            assert_eq!(read(text), None, "{text}");
        }
    }

    #[test]
    fn headers_of_both_layouts_match_in_any_case() {
        let layout = |text: &str, map: &[(String, String)]| {
            Layout::of("in", Header::of("in", text.as_bytes()).unwrap(), map)
                .map_err(|error| error.to_string())
        };
        let old =
            "Video_Id,trending date,TITLE,channel_title,category_id,publish_time,views,likes,comment_count\n";
        let found = layout(old, &[]).ok().unwrap();
        assert_eq!((found.video_id, found.measured_at, found.view_count, found.channel_id), (0, 1, 6, None));
        let map = [("view_count".to_owned(), "likes".to_owned())];
        assert_eq!(layout(old, &map).ok().unwrap().view_count, 7);
        let said = layout(old, &[("vews".to_owned(), "likes".to_owned())]).err().unwrap();
        assert!(
            said.starts_with("--map \"vews\" is not a column of youtube-trending; its columns are video_id,"),
            "{said}"
        );
        let said = layout("video_id,trending_date\n", &[]).err().unwrap();
        assert_eq!(said, "in has no column title in its CSV header");
    }
}
