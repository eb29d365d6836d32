//! Reads info JSON of yt-dlp for any site that yt-dlp supports: one object, JSON Lines, or a playlist with `entries`. Every
//! video becomes a discovered video. A TikTok video also becomes a trend.

use std::time::Duration;

use chrono::DateTime;
use serde_json::Value;

use super::found::{Found, Timing, When, count, hashtags_in, view_velocity};
use super::niche;
use crate::Timestamp;
use crate::compilation::{NewAnalytics, NewDiscoveredVideo};
use crate::generation::{NewTrend, Platform};
use crate::quote::quoted_json;
use crate::types::Json;

/// Converts one info object.
pub(super) fn found(item: &Value, given_niche: Option<&str>, when: When) -> Result<Found, String> {
    if item.is_null() {
        return Err("is null: yt-dlp could not get this video".to_owned());
    }
    let text = |fields: &[&str]| {
        let mut values = fields.iter().filter_map(|field| match item.get(field) {
            Some(Value::String(text)) => Some(text.trim().to_owned()),
            Some(Value::Number(number)) => Some(number.to_string()),
            _ => None,
        });
        values.find(|text| !text.is_empty()).unwrap_or_default()
    };
    let number = |field: &str| count(field, item.get(field).unwrap_or(&Value::Null));

    let video_id = text(&["id"]);
    if video_id.is_empty() {
        return Err("has no id".to_owned());
    }
    let kind = (text(&["_type"]), text(&["ie_key"]));
    if matches!(&*kind.0, "playlist" | "multi_video")
        || kind.1.ends_with("Tab")
        || kind.1.ends_with("Playlist")
        || kind.1.ends_with("User")
    {
        return Err("is a playlist, not a video".to_owned());
    }
    let site = text(&["extractor_key", "extractor", "ie_key"]).to_lowercase();
    let When { at: discovered_at, timing } = match moment(item, "epoch") {
        Some(at) if is_past(at) => When { at, timing: Timing::Said },
        _ => when,
    };
    let published_at =
        moment(item, "timestamp").or_else(|| moment(item, "release_timestamp")).or_else(|| day(item));
    let category_id = item
        .get("categories")
        .and_then(Value::as_array)
        .and_then(|names| names.iter().filter_map(Value::as_str).find_map(niche::category_of_name));
    let view_count = number("view_count")?;
    let like_count = number("like_count")?;
    let comment_count = number("comment_count")?;
    let url = match text(&["webpage_url", "original_url", "url"]) {
        url if url.is_empty() && site.starts_with("youtube") => {
            format!("https://www.youtube.com/watch?v={video_id}")
        }
        url => url,
    };
    let video = NewDiscoveredVideo {
        video_id: video_id.clone().into(),
        title: text(&["title", "fulltitle"]).into(),
        channel_name: text(&["channel", "uploader", "creator", "uploader_id"]).into(),
        channel_id: text(&["channel_id", "uploader_id"]).into(),
        url: url.clone().into(),
        category_id,
        duration_seconds: seconds(item)?,
        view_count,
        like_count,
        comment_count,
        view_velocity: view_velocity(view_count, published_at, discovered_at),
        niche: niche::of(given_niche, category_id),
        discovery_source: Some("yt_dlp".into()),
        discovered_at: Some(discovered_at),
        ..Default::default()
    };
    // The snapshot prevents an older file from reverting the counts.
    let has_counts = [view_count, like_count, comment_count].iter().any(Option::is_some);
    let snapshot = (site.starts_with("youtube") && has_counts).then(|| NewAnalytics {
        youtube_video_id: video_id.clone().into(),
        measured_at: Some(discovered_at),
        view_count,
        like_count,
        comment_count,
        ..Default::default()
    });
    let trend = if site.starts_with("tiktok") {
        let mut trend = NewTrend::new(Platform::Tiktok, "");
        trend.external_id = video_id.into();
        trend.title = optional(text(&["title", "fulltitle"]));
        trend.creator = optional(text(&["uploader", "channel", "creator", "uploader_id"]));
        trend.hashtags = hashtags(item);
        (trend.views, trend.likes, trend.comments) = (view_count, like_count, comment_count);
        trend.shares = number("repost_count")?;
        trend.video_url = optional(url);
        trend.thumbnail_url = optional(text(&["thumbnail"]));
        trend.collected_at = Some(discovered_at);
        Some(Box::new(trend))
    } else {
        None
    };
    Ok(Found { video: Some(video), snapshot, trend, timing, ..Default::default() })
}

fn optional(text: String) -> Option<std::borrow::Cow<'static, str>> {
    (!text.is_empty()).then(|| text.into())
}

/// Returns true unless the time is more than a day in the future. With such a time, later measurements would never count as
/// newer.
fn is_past(at: Timestamp) -> bool {
    at <= Timestamp::now() + Duration::from_secs(24 * 60 * 60)
}

/// Reads a field with seconds since 1970.
fn moment(item: &Value, field: &str) -> Option<Timestamp> {
    #[allow(clippy::cast_possible_truncation)] // whole seconds are enough
    let seconds =
        item.get(field).and_then(|value| value.as_i64().or_else(|| value.as_f64().map(|f| f as i64)))?;
    DateTime::from_timestamp(seconds, 0).map(Timestamp::from)
}

/// Reads `upload_date`, which has the form `YYYYMMDD`.
fn day(item: &Value) -> Option<Timestamp> {
    let day = item.get("upload_date")?.as_str()?;
    format!("{}-{}-{}", day.get(0..4)?, day.get(4..6)?, day.get(6..8)?).parse().ok()
}

/// Returns the duration in seconds. A fraction is rounded.
#[allow(clippy::cast_possible_truncation)] // checked against the range
fn seconds(item: &Value) -> Result<Option<i32>, String> {
    match item.get("duration") {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_f64().map(f64::round) {
            Some(seconds) if (0.0..2e9).contains(&seconds) => Ok(Some(seconds as i32)),
            _ => Err(format!("duration is not a number of seconds: {}", quoted_json(value))),
        },
    }
}

/// Returns the tags, or the hashtags in the description if there are no tags.
fn hashtags(item: &Value) -> Option<Json> {
    let tags: Vec<Value> = match item.get("tags").and_then(Value::as_array) {
        Some(tags) if !tags.is_empty() => tags.iter().filter(|tag| tag.is_string()).cloned().collect(),
        _ => {
            let text = item.get("description").and_then(Value::as_str).unwrap_or_default();
            hashtags_in(text).map(Value::from).collect()
        }
    };
    (!tags.is_empty()).then(|| Json(Value::Array(tags)))
}
