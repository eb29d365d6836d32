//! Reads reports of the YouTube Analytics API (`reports.query`), in which `columnHeaders` describes the columns of `rows`.
//! Each row becomes a row of `analytics`.

use serde_json::Value;

use super::convert::{Convert, List};
use super::found::{Found, When, api_error, count, decimal, signed};
use crate::Timestamp;
use crate::compilation::NewAnalytics;
use crate::quote::{quoted_json, short};

/// The content of a column of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Column {
    Video,
    Day,
    Month,
    Views,
    Likes,
    Comments,
    AverageViewDuration,
    SubscribersGained,
    SubscribersLost,
    EstimatedRevenue,
    ClickRate,
    /// Not stored.
    Other,
}

/// API dimensions that split a video's numbers. Used for reports that do not say which columns are dimensions.
const DIVIDING: [&str; 24] = [
    "7DayTotals",
    "30DayTotals",
    "adType",
    "ageGroup",
    "audienceType",
    "city",
    "continent",
    "country",
    "creatorContentType",
    "deviceType",
    "elapsedVideoTimeRatio",
    "gender",
    "group",
    "insightPlaybackLocationDetail",
    "insightPlaybackLocationType",
    "insightTrafficSourceDetail",
    "insightTrafficSourceType",
    "liveOrOnDemand",
    "operatingSystem",
    "playlist",
    "province",
    "sharingService",
    "subscribedStatus",
    "youtubeProduct",
];

impl Column {
    fn of(name: &str) -> Self {
        match name {
            "video" => Self::Video,
            "day" => Self::Day,
            "month" => Self::Month,
            "views" => Self::Views,
            "likes" => Self::Likes,
            "comments" => Self::Comments,
            "averageViewDuration" => Self::AverageViewDuration,
            "subscribersGained" => Self::SubscribersGained,
            "subscribersLost" => Self::SubscribersLost,
            "estimatedRevenue" => Self::EstimatedRevenue,
            "videoThumbnailImpressionsClickRate"
            | "videoThumbnailImpressionsClickThroughRate"
            | "impressionClickThroughRate"
            | "impressionsClickThroughRate" => Self::ClickRate,
            _ => Self::Other,
        }
    }

    const fn is_metric(self) -> bool {
        !matches!(self, Self::Video | Self::Day | Self::Month | Self::Other)
    }
}

/// The columns of a report.
#[derive(Debug)]
struct Columns {
    names: Vec<String>,
    columns: Vec<Column>,
}

impl Columns {
    /// Reads `columnHeaders`, or returns the reason why the report cannot be stored in `analytics`.
    fn of(headers: &Value) -> Result<Self, String> {
        let bad = || "columnHeaders is not a list of columns".to_owned();
        let mut names = Vec::new();
        let mut dividing = None;
        for header in headers.as_array().ok_or_else(bad)? {
            let name = header.get("name").unwrap_or(header).as_str().ok_or_else(bad)?;
            let is_dimension = match header.get("columnType").and_then(Value::as_str) {
                Some(kind) => kind.eq_ignore_ascii_case("dimension"),
                None => DIVIDING.contains(&name),
            };
            if is_dimension && !matches!(name, "video" | "day" | "month" | "channel") {
                dividing.get_or_insert_with(|| name.to_owned());
            }
            names.push(name.to_owned());
        }
        let columns: Vec<Column> = names.iter().map(|name| Column::of(name)).collect();
        let all = short(&names.join(", "));
        if !columns.contains(&Column::Video) {
            return Err(format!(
                "the report has no video dimension, so its numbers cannot be assigned to videos; query it with \
                 dimensions=video (columns: {all})"
            ));
        }
        if let Some(dividing) = dividing {
            return Err(format!(
                "the report splits each video's numbers by {}, but analytics keeps one row per video and time; \
                 query it with dimensions=video or dimensions=video,day",
                short(&dividing)
            ));
        }
        if !columns.iter().any(|column| column.is_metric()) {
            return Err(format!(
                "the report has none of the metrics that analytics stores, such as views; its columns: {all}"
            ));
        }
        Ok(Self { names, columns })
    }

    /// Converts a row of the report.
    fn row(&self, row: &Value, when: When) -> Result<Found, String> {
        let values = row.as_array().ok_or("the row is not a list of values")?;
        if values.len() != self.columns.len() {
            return Err(format!(
                "the row has {} values, but the report has {} columns",
                values.len(),
                self.columns.len()
            ));
        }
        let value = |column: Column| {
            let place = self.columns.iter().position(|other| *other == column)?;
            Some((self.names.get(place)?.as_str(), values.get(place)?))
        };
        let decimal = |column| value(column).map_or(Ok(None), |(name, value)| decimal(name, value));
        let signed = |column| value(column).map_or(Ok(None), |(name, value)| signed(name, value));

        let video = value(Column::Video).and_then(|(_, value)| value.as_str()).unwrap_or_default().trim();
        if video.is_empty() {
            return Err("the row has no video".to_owned());
        }
        let period = match (value(Column::Day), value(Column::Month)) {
            (Some((name, day)), _) => Some(date(name, day, "")?),
            (None, Some((name, month))) => Some(date(name, month, "-01")?),
            (None, None) => None,
        };
        let view_count = value(Column::Views).map_or(Ok(None), |(name, value)| count(name, value))?;
        let (like_count, comment_count) = (signed(Column::Likes)?, signed(Column::Comments)?);
        // A total cannot be negative. Within a day or month, a video can lose more likes than it gains.
        for (name, number) in [("likes", like_count), ("comments", comment_count)] {
            if period.is_none() && number.is_some_and(|number| number < 0) {
                return Err(format!("{name} is negative: {}", number.unwrap_or_default()));
            }
        }
        let average_view_duration_seconds =
            not_negative("averageViewDuration", decimal(Column::AverageViewDuration)?)?;
        let click_through_rate = decimal(Column::ClickRate)?.map(share).transpose()?;
        let snapshot = NewAnalytics {
            youtube_video_id: video.to_owned().into(),
            measured_at: Some(period.unwrap_or(when.at)),
            view_count,
            like_count,
            comment_count,
            average_view_duration_seconds,
            click_through_rate,
            subscriber_gain: gain(signed(Column::SubscribersGained)?, signed(Column::SubscribersLost)?)?,
            estimated_revenue_usd: decimal(Column::EstimatedRevenue)?,
            ..Default::default()
        };
        Ok(Found { snapshot: Some(snapshot), ..Default::default() })
    }
}

/// Returns the start of a day or month. `rest` completes a month to a date.
fn date(name: &str, value: &Value, rest: &str) -> Result<Timestamp, String> {
    let text = value.as_str().unwrap_or_default().trim();
    let bad = |_| format!("{name} is not a date: {}", quoted_json(value));
    format!("{text}{rest}").parse::<Timestamp>().map_err(bad)
}

fn not_negative(name: &str, number: Option<f64>) -> Result<Option<f64>, String> {
    match number {
        Some(number) if number < 0.0 => Err(format!("{name} is negative: {number}")),
        _ => Ok(number),
    }
}

/// Returns a click-through rate as a fraction from 0 to 1. A rate above 1 is a percentage.
fn share(rate: f64) -> Result<f64, String> {
    match rate {
        0.0..=1.0 => Ok(rate),
        // Round, so that 5.2 percent becomes exactly 0.052.
        1.0..=100.0 => Ok((rate * 1e8).round() / 1e10),
        _ => Err(format!("the click-through rate is not from 0 to 1, or a percentage up to 100: {rate}")),
    }
}

/// Returns the net subscriber gain.
fn gain(gained: Option<i64>, lost: Option<i64>) -> Result<Option<i32>, String> {
    if gained.is_none() && lost.is_none() {
        return Ok(None);
    }
    gained
        .unwrap_or_default()
        .checked_sub(lost.unwrap_or_default())
        .and_then(|gain| i32::try_from(gain).ok())
        .map(Some)
        .ok_or_else(|| {
            "subscribersGained minus subscribersLost is out of range for subscriber_gain".to_owned()
        })
}

/// Converts a sequence of reports, each with its own columns.
pub(super) struct Reports {
    when: When,
    columns: Option<Result<Columns, String>>,
}

impl Reports {
    pub(super) const fn new(when: When) -> Self {
        Self { when, columns: None }
    }
}

impl Convert for Reports {
    fn is_list(&self, field: &str) -> bool {
        field == "rows"
    }

    fn begin(&mut self) {
        self.columns = None;
    }

    fn field(&mut self, name: &str, value: &Value) {
        if name == "columnHeaders" {
            self.columns = Some(Columns::of(value));
        }
    }

    fn list(&self) -> List {
        match &self.columns {
            None => List::Keep,
            Some(Ok(_)) => List::Convert,
            Some(Err(reason)) => List::Reject(reason.clone()),
        }
    }

    fn item(&mut self, item: &Value) -> Result<Found, String> {
        match &self.columns {
            Some(Ok(columns)) => columns.row(item, self.when),
            Some(Err(reason)) => Err(reason.clone()),
            None => Err("is not a report: it has no columnHeaders".to_owned()),
        }
    }

    fn without_list(&mut self, document: &Value) -> Option<Result<Found, String>> {
        if let Some(error) = api_error(document) {
            return Some(Err(error));
        }
        match &self.columns {
            Some(Ok(_)) if document.get("columnHeaders").is_some() => None, // the query returned no data
            _ => Some(self.item(document)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ingest::found::Row;
    use crate::ingest::{Options, json};

    fn read(input: &str) -> Vec<(u64, Result<NewAnalytics<'static>, String>)> {
        let options = Options { measured_at: "2026-05-01".parse().ok(), ..Options::default() };
        let mut rows = Vec::new();
        json::read(
            "reports",
            &mut input.as_bytes(),
            &mut Reports::new(When::of(&options)),
            &mut |row: Row| {
                rows.push((row.line, row.found.map(|found| found.snapshot.unwrap())));
                Ok(())
            },
        )
        .unwrap();
        rows
    }

    fn report(names: &[&str], rows: Value) -> Value {
        let is_dimension = |name: &str| matches!(name, "video" | "day" | "month" | "country");
        let headers = names.iter().map(|name| json!({ "name": name, "columnType": if is_dimension(name) { "DIMENSION" } else { "METRIC" } }));
        json!({ "columnHeaders": headers.collect::<Vec<_>>(), "rows": rows })
    }

    #[test]
    fn rows_become_video_snapshots() {
        let names = [
            "video",
            "views",
            "likes",
            "comments",
            "averageViewDuration",
            "subscribersGained",
            "subscribersLost",
            "estimatedRevenue",
            "videoThumbnailImpressionsClickRate",
            "shares",
        ];
        let rows = read(
            &report(
                &names,
                json!([
                    ["a", 8200, "300", 7.0, 31.5, 5, 8, 21.3, 0.052, 9],
                    ["b", null, null, null, null, null, 2, null, 5.2, null]
                ]),
            )
            .to_string(),
        );
        let a = rows[0].1.as_ref().unwrap();
        assert_eq!((a.view_count, a.like_count, a.comment_count), (Some(8200), Some(300), Some(7)));
        assert_eq!((a.average_view_duration_seconds, a.click_through_rate), (Some(31.5), Some(0.052)));
        assert_eq!((a.subscriber_gain, a.estimated_revenue_usd), (Some(-3), Some(21.3)));
        assert_eq!(a.measured_at, "2026-05-01".parse().ok());
        let b = rows[1].1.as_ref().unwrap();
        assert_eq!((b.view_count, b.subscriber_gain, b.click_through_rate), (None, Some(-2), Some(0.052)));
    }

    #[test]
    fn day_or_month_becomes_the_measurement_time() {
        let rows = read(
            &report(&["day", "video", "views", "likes"], json!([["2026-03-04", "a", 1, -2]])).to_string(),
        );
        assert_eq!(rows[0].1.as_ref().unwrap().measured_at, "2026-03-04".parse().ok());
        assert_eq!(rows[0].1.as_ref().unwrap().like_count, Some(-2));
        let rows = read(&report(&["video", "month", "views"], json!([["a", "2026-03", 1]])).to_string());
        assert_eq!(rows[0].1.as_ref().unwrap().measured_at, "2026-03-01".parse().ok());
    }

    #[test]
    fn reports_are_read_alone_in_arrays_and_as_lines() {
        let one = report(&["video", "views"], json!([["a", 1]]));
        let two = report(&["views", "video"], json!([[2, "b"], [3, "c"]]));
        let ids = |input: String| {
            read(&input)
                .into_iter()
                .map(|(line, row)| (line, row.unwrap().youtube_video_id.into_owned()))
                .collect::<Vec<_>>()
        };
        let expected =
            |lines: [u64; 3]| lines.into_iter().zip(["a", "b", "c"].map(str::to_owned)).collect::<Vec<_>>();
        assert_eq!(ids(format!("[{one},{two}]")), expected([1, 1, 1]));
        assert_eq!(ids(format!("{one}\n{two}\n")), expected([1, 2, 2]));
        assert_eq!(ids(format!("{one:#}\n{two:#}")).len(), 3);
        // The columns come last.
        let last = r#"{"rows":[
["a",1],
["b",2]
],"columnHeaders":[{"name":"video"},{"name":"views"}]}"#;
        assert_eq!(ids(last.to_owned()), [(2, "a".to_owned()), (3, "b".to_owned())]);
        assert!(read(r#"{"columnHeaders":[{"name":"video"},{"name":"views"}]}"#).is_empty(), "no data");
        assert!(read(r#"{"columnHeaders":[{"name":"video"},{"name":"views"}],"rows":null}"#).is_empty());
    }

    #[test]
    fn unsuitable_reports_are_rejected_once() {
        let reason = |input: String| {
            let rows = read(&input);
            assert_eq!(rows.len(), 1, "{rows:?}");
            rows.into_iter().next().unwrap().1.unwrap_err()
        };
        let rows = json!([["2026-01-01", 1], ["2026-01-02", 2]]);
        assert!(reason(report(&["day", "views"], rows.clone()).to_string()).contains("no video dimension"));
        assert!(
            reason(report(&["video", "country", "views"], rows.clone()).to_string()).contains("by country")
        );
        assert!(reason(report(&["video", "shares"], rows).to_string()).contains("none of the metrics"));
        assert!(reason(r#"{"columnHeaders":7,"rows":[[1]]}"#.to_owned()).contains("not a list of columns"));
        assert!(reason(r#"{"rows":[[1]]}"#.to_owned()).contains("no field that describes its items"));
        assert!(reason(r#"{"a":1}"#.to_owned()).contains("no columnHeaders"));
        assert!(
            reason(r#"{"error":{"message":"Forbidden","errors":[{"reason":"forbidden"}]}}"#.to_owned())
                .contains("Forbidden (forbidden)")
        );
    }

    #[test]
    fn bad_rows_do_not_affect_other_rows() {
        let rows = json!([["a", 1], 7, ["b"], [null, 1], ["c", "many"], ["d", -1], ["e", 1e300], {"video": "f"}, ["g", 2]]);
        let rows = read(&report(&["video", "views"], rows).to_string());
        assert_eq!(rows.iter().filter(|row| row.1.is_ok()).count(), 2, "{rows:?}");
        assert_eq!(rows.len(), 9);
        let rows = read(
            &report(&["video", "day", "likes"], json!([["a", "yesterday", 1], ["a", "2026-99-01", 1]]))
                .to_string(),
        );
        assert!(
            rows.iter().all(|row| row.1.as_ref().is_err_and(|reason| reason.contains("day is not a date")))
        );
    }
}
