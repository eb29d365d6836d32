//! Reads exports of YouTube Studio's advanced mode. `Table data.csv` has one row per video, and `Chart data.csv` one row per
//! video and day. Each row becomes a row of `analytics`. `Totals.csv` contains channel totals and is not read.

mod languages;

use std::io::BufRead;

use self::languages::{LANGUAGES, Words};
use super::found::{Found, Sink};
use super::numbers::{self, Decimal};
use super::tabular::{self, Fields, Header, check_map, key};
use crate::compilation::NewAnalytics;
use crate::quote::quoted;
use crate::{Error, Result, Timestamp};

/// The reason why totals are skipped.
pub(super) const TOTALS: &str = "it contains channel totals from YouTube Studio, not numbers per video; viraldb reads Table data.csv and \
     Chart data.csv";

/// Number of rows that are sampled to find the decimal mark.
const SAMPLE: usize = 200;

/// Returns the names of a column in a language.
type Names = fn(&Words) -> &'static [&'static str];

/// Columns of `analytics`, which are the column names for `--map`, and their names in Studio.
const COLUMNS: [(&str, Names); 9] = [
    ("youtube_video_id", |words| words.content),
    ("measured_at", |words| words.date),
    ("view_count", |words| words.views),
    ("like_count", |words| words.likes),
    ("comment_count", |words| words.comments),
    ("average_view_duration_seconds", |words| words.duration),
    ("click_through_rate", |words| words.click_rate),
    ("subscriber_gain", |words| words.subscribers),
    ("estimated_revenue_usd", |words| words.revenue),
];

/// Numeric columns, and whether they are counts.
const NUMBERS: [(&str, bool); 6] = [
    ("view_count", true),
    ("like_count", true),
    ("comment_count", true),
    ("subscriber_gain", true),
    ("click_through_rate", false),
    ("estimated_revenue_usd", false),
];

/// The indexes of the columns that are read, and the decimal mark of the file.
pub(super) struct Layout {
    header: Header,
    /// The index of each of `COLUMNS`.
    places: [Option<usize>; COLUMNS.len()],
    title: Option<usize>,
    decimal: Decimal,
    /// Measurement time of rows without a date.
    measured_at: Timestamp,
}

impl Layout {
    /// Finds the columns of an input that begins with `head`. `measured_at` is the time of rows without a date.
    pub(super) fn of(
        input: &str,
        head: &[u8],
        header: Header,
        map: &[(String, String)],
        measured_at: Timestamp,
    ) -> Result<Self> {
        check_map(map, "youtube-studio", COLUMNS.iter().map(|(column, _)| *column))?;
        let mut places = [None; COLUMNS.len()];
        for ((column, words), found) in COLUMNS.iter().zip(&mut places) {
            *found = match header.mapped(input, map, column)? {
                Some(place) => Some(place),
                None if *column == "estimated_revenue_usd" => revenue(input, &header),
                None => place_of(&header, *words),
            };
        }
        let title = place_of(&header, |words| words.title);
        let default = language(&header).is_some_and(|words| words.has_decimal_comma);
        let mut layout = Self {
            places,
            title,
            decimal: if default { Decimal::Comma } else { Decimal::Point },
            measured_at,
            header,
        };
        if layout.place("youtube_video_id").is_none() {
            if is_totals_header(&layout.header) {
                return Err(Error::invalid(input, format!("cannot be ingested: {TOTALS}")));
            }
            return Err(Error::invalid(
                input,
                "has no column Content in its CSV header; in YouTube Studio, select the Content tab before you export",
            ));
        }
        if !NUMBERS.iter().any(|(column, _)| layout.place(column).is_some()) {
            let reason = format!(
                "has none of YouTube Studio's number columns, such as Views; its columns are {}; map one with --map \
                 view_count=COLUMN",
                layout.header.list()
            );
            return Err(Error::invalid(input, reason));
        }
        layout.decimal = layout.shown_decimal(head).unwrap_or(layout.decimal);
        Ok(layout)
    }

    /// Returns the index of a column.
    fn place(&self, column: &str) -> Option<usize> {
        COLUMNS
            .iter()
            .zip(&self.places)
            .find(|((known, _), _)| *known == column)
            .and_then(|(_, place)| *place)
    }

    /// Returns the decimal mark that most numbers of the first rows show, if any.
    fn shown_decimal(&self, head: &[u8]) -> Option<Decimal> {
        let (mut points, mut commas) = (0, 0);
        tabular::sample(head, &self.header, SAMPLE, &mut |fields| {
            for (column, is_count) in NUMBERS {
                let Some(place) = self.place(column) else { continue };
                match Decimal::shown_by(fields.text(place), is_count) {
                    Some(Decimal::Point) => points += 1,
                    Some(Decimal::Comma) => commas += 1,
                    None => {}
                }
            }
        });
        match points.cmp(&commas) {
            std::cmp::Ordering::Greater => Some(Decimal::Point),
            std::cmp::Ordering::Less => Some(Decimal::Comma),
            std::cmp::Ordering::Equal => None,
        }
    }

    /// Returns pairs of viraldb column and CSV column.
    pub(super) fn mapping(&self) -> Vec<(String, String)> {
        COLUMNS
            .iter()
            .zip(&self.places)
            .filter_map(|((column, _), place)| {
                Some(((*column).to_owned(), self.header.name((*place)?).to_owned()))
            })
            .collect()
    }
}

/// Returns the index of the column with these names in any language.
fn place_of(header: &Header, words: Names) -> Option<usize> {
    LANGUAGES.iter().find_map(|language| header.find(words(language)))
}

/// Returns the language that matches the most columns.
fn language(header: &Header) -> Option<&'static Words> {
    let count = |words: &Words| {
        COLUMNS.iter().filter(|(_, names)| header.find(names(words)).is_some()).count()
            + usize::from(header.find(words.title).is_some())
    };
    // Reverse the order, because `max_by_key` returns the last of several maxima.
    LANGUAGES.iter().rev().max_by_key(|words| count(words)).filter(|words| count(words) > 0)
}

/// Returns the index of the column with revenue in US dollars. Revenue in another currency is ignored with a warning.
fn revenue(input: &str, header: &Header) -> Option<usize> {
    let mut other = None;
    for (place, name) in header.names.iter().enumerate() {
        let (name, currency) = split_currency(name);
        let is_revenue =
            LANGUAGES.iter().any(|words| words.revenue.iter().any(|word| key(word) == key(name)));
        match currency {
            _ if !is_revenue => {}
            None | Some("USD" | "US$" | "$") => return Some(place),
            Some(_) => other = Some(place),
        }
    }
    if let Some(place) = other {
        tracing::warn!(
            file = input,
            column = header.name(place),
            "revenue is not in US dollars, so estimated_revenue_usd stays empty"
        );
    }
    None
}

/// Splits a name such as `Estimated revenue (USD)` into the name and the currency.
fn split_currency(name: &str) -> (&str, Option<&str>) {
    let name = name.trim();
    let inside = name.strip_suffix([')', '）']).and_then(|rest| rest.rsplit_once(['(', '（']));
    inside.map_or((name, None), |(name, currency)| (name, Some(currency.trim())))
}

/// Returns true for the header of an export with rows of videos.
pub(super) fn is_header(header: &Header) -> bool {
    let has = |words| place_of(header, words).is_some();
    has(|words| words.content)
        && has(|words| words.title)
        && COLUMNS.iter().skip(2).any(|(_, words)| has(*words))
}

/// Returns the required columns that a header lacks, and the number of all required columns.
pub(super) fn lacks(header: &Header) -> (Vec<&'static str>, usize) {
    let needed: [(&str, Names); 3] = [
        ("Content", |words| words.content),
        ("Video title", |words| words.title),
        ("Views", |words| words.views),
    ];
    let lacking = needed.into_iter().filter(|(_, words)| place_of(header, *words).is_none());
    (lacking.map(|(name, _)| name).collect(), needed.len())
}

/// Returns true if a text begins like an export of totals, with one row per day and no videos.
pub(super) fn is_totals(head: &[u8]) -> bool {
    Header::of("", head).is_ok_and(|header| is_totals_header(&header))
}

/// Returns true for the header of an export of totals.
pub(super) fn is_totals_header(header: &Header) -> bool {
    let has = |words| place_of(header, words).is_some();
    // Require that every column except the date is a known number, because other CSV files may have a date and views, too.
    let known = COLUMNS.iter().skip(2).filter(|(_, words)| has(*words)).count();
    has(|words| words.date) && !has(|words| words.content) && known > 0 && known + 1 == header.names.len()
}

pub(super) fn read(name: &str, input: &mut impl BufRead, layout: &Layout, sink: &mut Sink<'_>) -> Result<()> {
    tabular::read(name, input, &layout.header, &|fields| found(fields, layout), sink)
}

/// Converts a row. Returns `None` for the totals row.
fn found(fields: &Fields<'_>, layout: &Layout) -> Result<Option<Found>, String> {
    let text = |column: &str| layout.place(column).map_or("", |place| fields.text(place));
    let video_id = text("youtube_video_id");
    if is_total(video_id, layout.title.map(|place| fields.text(place))) {
        return Ok(None);
    }
    if video_id.is_empty() {
        return Err("has no video id".to_owned());
    }
    let parse = |column: &str| Parse {
        column: layout.place(column).map_or("", |place| layout.header.name(place)),
        text: text(column),
    };
    let decimal = layout.decimal;
    let count =
        |column: &str| parse(column).with("count", |text| numbers::whole(text).filter(|count| *count >= 0));
    let measured_at = match layout.place("measured_at") {
        Some(_) => parse("measured_at").with("date", day)?.ok_or("has no date")?,
        None => layout.measured_at,
    };
    let snapshot = NewAnalytics {
        youtube_video_id: video_id.to_owned().into(),
        measured_at: Some(measured_at),
        view_count: count("view_count")?,
        like_count: count("like_count")?,
        comment_count: count("comment_count")?,
        average_view_duration_seconds: parse("average_view_duration_seconds")
            .with("duration", |text| numbers::seconds(text, decimal))?,
        click_through_rate: parse("click_through_rate").with("percentage from 0 to 100", |text| {
            numbers::share(text, decimal).filter(|share| (0.0..=1.0).contains(share))
        })?,
        subscriber_gain: parse("subscriber_gain")
            .with("whole number", |text| numbers::whole(text).and_then(|number| number.try_into().ok()))?,
        estimated_revenue_usd: parse("estimated_revenue_usd")
            .with("amount", |text| numbers::real(text, decimal))?,
        ..Default::default()
    };
    Ok(Some(Found { snapshot: Some(snapshot), ..Default::default() }))
}

/// Returns true for the totals row, which has a word such as "Total" in the video column, in the language of the account.
fn is_total(video_id: &str, title: Option<&str>) -> bool {
    let is_known = || LANGUAGES.iter().any(|words| words.total.iter().any(|word| key(word) == key(video_id)));
    let is_id = video_id.len() == 11
        && video_id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    !is_id && !video_id.is_empty() && (is_known() || title == Some(""))
}

/// A field to parse.
struct Parse<'a> {
    column: &'a str,
    text: &'a str,
}

impl Parse<'_> {
    /// Parses the field with `read`. Returns `None` if it is empty or a dash, which Studio writes for unknown values. `what` is
    /// the expected type, for the error.
    fn with<T>(&self, what: &str, read: impl Fn(&str) -> Option<T>) -> Result<Option<T>, String> {
        match self.text {
            "" | "-" | "–" | "—" => Ok(None),
            text => read(text)
                .map(Some)
                .ok_or_else(|| format!("{} is not a {what}: {}", self.column, quoted(text))),
        }
    }
}

/// Reads a date such as 2026-05-01 or May 1, 2026.
fn day(text: &str) -> Option<Timestamp> {
    let english = || {
        let day = chrono::NaiveDate::parse_from_str(text, "%b %d, %Y").ok()?;
        Some(day.and_time(chrono::NaiveTime::MIN).and_utc().into())
    };
    text.parse().ok().or_else(english)
}

#[cfg(test)]
mod tests;
