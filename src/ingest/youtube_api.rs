//! Reads `videos.list` responses of the YouTube Data API v3. Counts are text, and durations are ISO 8601.

use jiff::{Span, SpanRelativeTo, Unit};
use serde_json::Value;

use super::found::{Found, When, api_error, count, view_velocity};
use super::niche;
use crate::Timestamp;
use crate::compilation::{NewAnalytics, NewDiscoveredVideo};
use crate::quote::{quoted, short};

/// Converts one item of the response's `items`.
pub(super) fn found(item: &Value, given_niche: Option<&str>, when: When) -> Result<Found, String> {
    let text =
        |pointer: &str| item.pointer(pointer).and_then(Value::as_str).map(str::trim).unwrap_or_default();
    let number =
        |field: &str| count(field, item.pointer(&format!("/statistics/{field}")).unwrap_or(&Value::Null));
    if let Some(error) = api_error(item) {
        return Err(error);
    }
    match text("/kind") {
        "youtube#channel" | "youtube#channelListResponse" => {
            return Err("is a channel, not a video; read it with --as youtube-channels".to_owned());
        }
        "youtube#video" | "youtube#searchResult" | "youtube#playlistItem" => {}
        kind if kind.ends_with("ListResponse") => return Err("the response has no items".to_owned()),
        kind if kind.starts_with("youtube#") => return Err(format!("is a {}, not a video", short(kind))),
        _ => {}
    }
    // `search.list` puts the id into an object. In `playlistItems.list`, the id of the item is not the id of the video.
    let ids = ["/snippet/resourceId/videoId", "/id", "/id/videoId"];
    let video_id = ids.map(text).into_iter().find(|id| !id.is_empty()).unwrap_or_default();
    if video_id.is_empty() {
        return Err("has no id".to_owned());
    }
    if !["snippet", "statistics", "contentDetails"].iter().any(|part| item.get(part).is_some()) {
        return Err("has no snippet, statistics or contentDetails".to_owned());
    }
    let published_at = match text("/snippet/publishedAt") {
        "" => None,
        at => {
            Some(at.parse::<Timestamp>().map_err(|_| format!("publishedAt is not a time: {}", quoted(at)))?)
        }
    };
    let category_id = match item.pointer("/snippet/categoryId") {
        None | Some(Value::Null) => None,
        Some(value) => count("categoryId", value)?.and_then(|n| i32::try_from(n).ok()),
    };
    let duration_seconds = match text("/contentDetails/duration") {
        "" => None,
        duration => Some(
            seconds(duration)
                .ok_or_else(|| format!("duration is not an ISO 8601 duration: {}", quoted(duration)))?,
        ),
    };
    let (view_count, like_count, comment_count) =
        (number("viewCount")?, number("likeCount")?, number("commentCount")?);
    let video = NewDiscoveredVideo {
        video_id: video_id.to_owned().into(),
        title: text("/snippet/title").to_owned().into(),
        channel_name: text("/snippet/channelTitle").to_owned().into(),
        channel_id: text("/snippet/channelId").to_owned().into(),
        url: format!("https://www.youtube.com/watch?v={video_id}").into(),
        category_id,
        duration_seconds,
        view_count,
        like_count,
        comment_count,
        view_velocity: view_velocity(view_count, published_at, when.at),
        niche: niche::of(given_niche, category_id),
        discovery_source: Some("youtube_api".into()),
        discovered_at: Some(when.at),
        ..Default::default()
    };
    let snapshot = NewAnalytics {
        youtube_video_id: video_id.to_owned().into(),
        measured_at: Some(when.at),
        view_count,
        like_count,
        comment_count,
        ..Default::default()
    };
    let snapshot = [view_count, like_count, comment_count].iter().any(Option::is_some).then_some(snapshot);
    Ok(Found { video: Some(video), snapshot, timing: when.timing, ..Default::default() })
}

/// Returns the seconds of a duration such as `PT1H2M3S` or `P1DT2H`. YouTube uses `P0D` for a running stream.
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
    fn durations_are_read_as_seconds() {
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
