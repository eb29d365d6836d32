//! Answers of `videos.list` of the YouTube Data API v3: counts are text, lengths ISO 8601.

use jiff::{Span, SpanRelativeTo, Unit};
use serde_json::Value;

use super::found::{Found, count, view_velocity};
use super::niche;
use crate::Timestamp;
use crate::compilation::NewDiscoveredVideo;
use crate::quote::{quoted, short};

/// One item of the answer's `items`.
pub(super) fn found(item: &Value, given_niche: Option<&str>) -> Result<Found, String> {
    let text =
        |pointer: &str| item.pointer(pointer).and_then(Value::as_str).map(str::trim).unwrap_or_default();
    let number =
        |field: &str| count(field, item.pointer(&format!("/statistics/{field}")).unwrap_or(&Value::Null));
    if let Some(error) = item.get("error") {
        let said = |pointer: &str| error.pointer(pointer).and_then(Value::as_str).unwrap_or("no reason");
        return Err(format!(
            "is an error of the API: {} ({})",
            short(&crate::error::one_line(said("/message"))),
            short(said("/errors/0/reason"))
        ));
    }
    // `search.list` and `playlistItems.list` put the id into an object.
    let video_id = match text("/id") {
        "" => text("/id/videoId"),
        id => id,
    };
    if video_id.is_empty() {
        return Err("has no id".to_owned());
    }
    if !["snippet", "statistics", "contentDetails"].iter().any(|part| item.get(part).is_some()) {
        return Err("has no snippet, statistics or contentDetails".to_owned());
    }
    let now = Timestamp::now();
    let published_at = match text("/snippet/publishedAt") {
        "" => None,
        at => Some(at.parse::<Timestamp>().map_err(|_| format!("publishedAt is no time: {}", quoted(at)))?),
    };
    let category_id = match item.pointer("/snippet/categoryId") {
        None | Some(Value::Null) => None,
        Some(value) => count("categoryId", value)?.and_then(|n| i32::try_from(n).ok()),
    };
    let duration_seconds = match text("/contentDetails/duration") {
        "" => None,
        duration => Some(
            seconds(duration)
                .ok_or_else(|| format!("duration is no ISO 8601 duration: {}", quoted(duration)))?,
        ),
    };
    let view_count = number("viewCount")?;
    let video = NewDiscoveredVideo {
        video_id: video_id.to_owned().into(),
        title: text("/snippet/title").to_owned().into(),
        channel_name: text("/snippet/channelTitle").to_owned().into(),
        channel_id: text("/snippet/channelId").to_owned().into(),
        url: format!("https://www.youtube.com/watch?v={video_id}").into(),
        category_id,
        duration_seconds,
        view_count,
        like_count: number("likeCount")?,
        comment_count: number("commentCount")?,
        view_velocity: view_velocity(view_count, published_at, now),
        niche: niche::of(given_niche, category_id),
        discovery_source: Some("youtube_api".into()),
        discovered_at: Some(now),
        ..Default::default()
    };
    Ok(Found { video: Some(video), ..Default::default() })
}

/// The seconds of `PT1H2M3S`, `P1DT2H` and the like; YouTube gives `P0D` for a stream that runs.
#[allow(clippy::cast_possible_truncation)] // checked against the range
fn seconds(duration: &str) -> Option<i32> {
    let span: Span = duration.parse().ok()?;
    let seconds = span.total((Unit::Second, SpanRelativeTo::days_are_24_hours())).ok()?;
    (duration.starts_with('P') && (0.0..2e9).contains(&seconds)).then_some(seconds as i32)
}

#[cfg(test)]
mod tests {
    use super::seconds;

    #[test]
    fn durations() {
        let cases = [
            ("PT4M13S", 253),
            ("PT1H2M3S", 3723),
            ("P1DT2H", 93_600),
            ("P0D", 0),
            ("PT0S", 0),
            ("P1W", 604_800),
        ];
        for (text, expected) in cases {
            assert_eq!(seconds(text), Some(expected), "{text}");
        }
        for text in ["", "4:13", "PT", "P", "PT4X"] {
            assert_eq!(seconds(text), None, "{text}");
        }
    }
}
