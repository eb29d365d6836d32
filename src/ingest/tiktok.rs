//! Reads TikTok videos as scrapers print them: TikTokApi for Python (`desc`, `createTime`, `stats`) and Apify's scraper
//! (`text`, `createTimeISO`, `playCount`). Each video becomes a trend and a discovered video.

use std::borrow::Cow;

use chrono::DateTime;
use serde_json::Value;

use super::found::{Found, When, count, hashtags_in, view_velocity};
use crate::Timestamp;
use crate::compilation::NewDiscoveredVideo;
use crate::generation::{NewTrend, Platform};
use crate::quote::{quoted_json, short};
use crate::types::Json;

/// Names of the fields that contain lists of videos.
pub(super) const LISTS: &[&str] = &["itemList", "item_list", "items", "collector"];

/// Converts one video.
pub(super) fn found(item: &Value, given_niche: Option<&str>, when: When) -> Result<Found, String> {
    if !item.is_object() {
        return Err("is not a JSON object".to_owned());
    }
    // On a detail page, the video is in itemInfo.itemStruct.
    let item = ["/itemInfo/itemStruct", "/itemStruct"].iter().find_map(|at| item.pointer(at)).unwrap_or(item);
    let text = |paths: &[&str]| paths.iter().map(|path| text_at(item, path)).find(|text| !text.is_empty());

    let url = text(&["webVideoUrl", "videoWebUrl"]);
    let Some(id) = text(&["id", "videoId"]).or_else(|| id_of(url.as_deref()?)) else {
        return Err(match item.get("error").and_then(Value::as_str) {
            Some(error) => format!("the scraper reports an error: {}", short(&crate::quote::one_line(error))),
            None => "has no id".to_owned(),
        });
    };
    let creator = text(&["author.uniqueId", "author", "authorMeta.name", "authorName", "author.unique_id"]);
    let published_at = published(item)?;
    let title = text(&["desc", "text"]);
    let numbers = |fields: &[&str]| number(item, fields);
    let views = numbers(&["statsV2.playCount", "stats.playCount", "playCount"])?;
    let likes = numbers(&["statsV2.diggCount", "stats.diggCount", "diggCount"])?;
    let comments = numbers(&["statsV2.commentCount", "stats.commentCount", "commentCount"])?;
    let shares = numbers(&["statsV2.shareCount", "stats.shareCount", "shareCount"])?;
    if [views, likes, comments, shares].iter().all(Option::is_none)
        && published_at.is_none()
        && title.is_none()
    {
        return Err("has no counts, createTime or text: it is not a TikTok video".to_owned());
    }
    let url = url.unwrap_or_else(|| {
        format!("https://www.tiktok.com/@{}/video/{id}", creator.as_deref().unwrap_or_default())
    });

    let video = NewDiscoveredVideo {
        video_id: id.clone().into(),
        title: title.clone().unwrap_or_default().into(),
        channel_name: text(&["author.nickname", "authorMeta.nickName", "nickname"])
            .or_else(|| creator.clone())
            .unwrap_or_default()
            .into(),
        channel_id: text(&["author.id", "authorMeta.id", "authorId"])
            .or_else(|| creator.clone())
            .unwrap_or_default()
            .into(),
        url: url.clone().into(),
        duration_seconds: duration(item)?,
        view_count: views,
        like_count: likes,
        comment_count: comments,
        view_velocity: view_velocity(views, published_at, when.at),
        niche: given_niche.unwrap_or("other").to_owned().into(),
        discovery_source: Some("tiktok".into()),
        discovered_at: Some(when.at),
        ..Default::default()
    };
    let mut trend = NewTrend::new(Platform::Tiktok, "");
    trend.hashtags = hashtags(item, title.as_deref().unwrap_or_default());
    trend.external_id = id.into();
    trend.title = title.map(Cow::from);
    trend.creator = creator.map(Cow::from);
    (trend.views, trend.likes, trend.comments, trend.shares) = (views, likes, comments, shares);
    trend.video_url = Some(url.into());
    trend.thumbnail_url =
        text(&["video.cover", "videoMeta.coverUrl", "covers.default", "video.originCover"]).map(Cow::from);
    trend.collected_at = Some(when.at);
    Ok(Found { video: Some(video), trend: Some(Box::new(trend)), timing: when.timing, ..Default::default() })
}

/// Returns the value at a path such as `stats.playCount`. Some exports use the whole path as the name of a flat field.
fn value_at<'a>(item: &'a Value, path: &str) -> Option<&'a Value> {
    item.get(path).or_else(|| path.split_once('.').and_then(|(outer, inner)| item.get(outer)?.get(inner)))
}

/// Returns the text or whole number at a path as text. Anything else is empty.
fn text_at(item: &Value, path: &str) -> String {
    match value_at(item, path) {
        Some(Value::String(text)) => text.trim().to_owned(),
        Some(Value::Number(number)) if !number.is_f64() => number.to_string(),
        _ => String::new(),
    }
}

/// Returns the first count that is present and valid. Several paths are tried, because `stats` overflows where `statsV2` does
/// not.
fn number(item: &Value, paths: &[&str]) -> Result<Option<i64>, String> {
    let mut bad = None;
    for path in paths {
        let Some(value) = value_at(item, path) else { continue };
        match count(path, value) {
            Ok(Some(number)) => return Ok(Some(number)),
            Ok(None) => {}
            Err(reason) => drop(bad.get_or_insert(reason)),
        }
    }
    bad.map_or(Ok(None), Err)
}

/// Returns the id at the end of a video's URL.
fn id_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("/video/").or_else(|| url.split_once("/photo/"))?;
    let id: String = rest.chars().take_while(char::is_ascii_digit).collect();
    (!id.is_empty()).then_some(id)
}

/// Returns the publication time, given as seconds since 1970 (a number or text) or as a timestamp.
fn published(item: &Value) -> Result<Option<Timestamp>, String> {
    for field in ["createTimeISO", "createTime"] {
        let Some(value) = item.get(field) else { continue };
        let bad = || format!("{field} is not a time: {}", quoted_json(value));
        let seconds = match value {
            Value::Null => continue,
            Value::String(text) if text.trim().is_empty() => continue,
            Value::String(text) => match text.trim().parse::<Timestamp>() {
                Ok(at) => return Ok(Some(at)),
                Err(_) => text.trim().parse::<i64>().map_err(|_| bad())?,
            },
            #[allow(clippy::cast_possible_truncation)]
            // the cast saturates, and from_timestamp checks the range
            other => other.as_i64().or_else(|| other.as_f64().map(|f| f as i64)).ok_or_else(bad)?,
        };
        return Ok(Some(DateTime::from_timestamp(seconds, 0).ok_or_else(bad)?.into()));
    }
    Ok(None)
}

/// Returns the duration in seconds. A fraction is rounded.
#[allow(clippy::cast_possible_truncation)] // checked against the range
fn duration(item: &Value) -> Result<Option<i32>, String> {
    let Some(value) =
        ["video.duration", "videoMeta.duration", "duration"].iter().find_map(|at| value_at(item, at))
    else {
        return Ok(None);
    };
    let seconds = match value {
        Value::Null => return Ok(None),
        Value::String(text) if text.trim().is_empty() => return Ok(None),
        Value::String(text) => text.trim().parse().ok(),
        other => other.as_f64(),
    };
    match seconds.map(f64::round) {
        Some(seconds) if (0.0..2e9).contains(&seconds) => Ok(Some(seconds as i32)),
        _ => Err(format!("duration is not a number of seconds: {}", quoted_json(value))),
    }
}

/// Returns the hashtags without duplicates, from the first field that has any, or else from the text.
fn hashtags(item: &Value, text: &str) -> Option<Json> {
    let named = |list: &str, name: &str| -> Vec<String> {
        let tags = item.get(list).and_then(Value::as_array).into_iter().flatten();
        tags.filter_map(|tag| tag.get(name).unwrap_or(tag).as_str())
            .map(|tag| tag.trim().trim_start_matches('#').to_owned())
            .filter(|tag| !tag.is_empty())
            .collect()
    };
    let mut places = [("challenges", "title"), ("textExtra", "hashtagName"), ("hashtags", "name")]
        .into_iter()
        .map(|(list, name)| named(list, name))
        .filter(|tags| !tags.is_empty());
    let mut tags: Vec<String> =
        places.next().unwrap_or_else(|| hashtags_in(text).map(str::to_owned).collect());
    let mut seen = std::collections::HashSet::new();
    tags.retain(|tag| seen.insert(tag.clone()));
    (!tags.is_empty()).then(|| Json(tags.into()))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ingest::Options;

    fn read(item: &Value) -> Result<(NewDiscoveredVideo<'static>, NewTrend<'static>), String> {
        let options = Options { measured_at: "2026-05-01".parse().ok(), ..Options::default() };
        let found = found(item, None, When::of(&options))?;
        Ok((found.video.unwrap(), *found.trend.unwrap()))
    }

    #[test]
    fn tiktokapi_dumps_are_read() {
        let item = json!({
            "id": "7300000000000000001", "desc": "dance #fyp", "createTime": "1700000000",
            "author": { "uniqueId": "u1", "id": "1", "nickname": "Ü" },
            "stats": { "diggCount": 10, "shareCount": 2, "commentCount": 3, "playCount": -5 },
            "statsV2": { "playCount": "1000" },
            "video": { "duration": 15, "cover": "https://c" },
        });
        let (video, trend) = read(&item).unwrap();
        assert_eq!(
            (trend.views, trend.likes, trend.comments, trend.shares),
            (Some(1000), Some(10), Some(3), Some(2))
        );
        assert_eq!((trend.creator.as_deref(), trend.hashtags.unwrap().0), (Some("u1"), json!(["fyp"])));
        assert_eq!(trend.video_url.as_deref(), Some("https://www.tiktok.com/@u1/video/7300000000000000001"));
        assert_eq!((&*video.channel_name, &*video.channel_id, video.duration_seconds), ("Ü", "1", Some(15)));
        assert_eq!(trend.collected_at, "2026-05-01".parse().ok());
        assert!(video.view_velocity.is_some());
    }

    #[test]
    fn apify_rows_are_read() {
        let nested = json!({
            "id": "73", "text": "t", "createTimeISO": "2024-01-02T03:04:05.000Z", "playCount": 7, "diggCount": "6",
            "shareCount": 5, "commentCount": 4, "webVideoUrl": "https://www.tiktok.com/@n/video/73",
            "authorMeta": { "name": "n", "nickName": "N", "id": "9" }, "videoMeta": { "duration": 12.4 },
            "hashtags": [{ "name": "a" }, { "name": "" }, { "name": "b" }, { "name": "a" }],
        });
        let (video, trend) = read(&nested).unwrap();
        assert_eq!(
            (trend.views, trend.likes, trend.shares, trend.comments),
            (Some(7), Some(6), Some(5), Some(4))
        );
        assert_eq!(trend.hashtags.unwrap().0, json!(["a", "b"]));
        assert_eq!((video.duration_seconds, &*video.channel_name), (Some(12), "N"));
        let flat = json!({
            "text": "t", "playCount": 7, "webVideoUrl": "https://www.tiktok.com/@n/video/73?x=1",
            "authorMeta.name": "n", "videoMeta.duration": 12,
        });
        let (video, trend) = read(&flat).unwrap();
        assert_eq!(
            (&*video.video_id, trend.creator.as_deref(), video.duration_seconds),
            ("73", Some("n"), Some(12))
        );
    }

    #[test]
    fn other_layouts_are_read() {
        let with = |more: Value| {
            let mut item = json!({ "id": 73, "desc": "x", "author": "u", "playCount": 1 });
            item.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
            read(&item)
        };
        assert_eq!(with(json!({})).unwrap().1.creator.as_deref(), Some("u"));
        let tags = |more| with(more).unwrap().1.hashtags.map(|tags| tags.0);
        assert_eq!(
            tags(json!({ "challenges": [{ "title": "c" }], "textExtra": [{ "hashtagName": "t" }] })),
            Some(json!(["c"]))
        );
        assert_eq!(
            tags(json!({ "challenges": null, "textExtra": [{ "hashtagName": "t" }, 3] })),
            Some(json!(["t"]))
        );
        assert_eq!(tags(json!({})), None);
        let page = json!({ "itemInfo": { "itemStruct": { "id": "5", "stats": { "playCount": 2 } } } });
        assert_eq!(read(&page).unwrap().1.external_id, "5");
    }

    #[test]
    fn errors_name_the_bad_field() {
        let reason = |item: Value| read(&item).unwrap_err();
        assert_eq!(reason(json!(7)), "is not a JSON object");
        assert_eq!(reason(json!({ "desc": "x" })), "has no id");
        assert_eq!(
            reason(json!({ "error": "Post not found" })),
            "the scraper reports an error: Post not found"
        );
        assert!(reason(json!({ "id": "1" })).contains("not a TikTok video"));
        assert!(reason(json!({ "id": "1", "playCount": "many" })).contains("playCount"));
        assert!(
            reason(json!({ "id": "1", "playCount": 1, "createTime": 9e99 }))
                .contains("createTime is not a time")
        );
        assert!(
            reason(json!({ "id": "1", "playCount": 1, "createTime": {} }))
                .contains("createTime is not a time")
        );
        assert!(
            reason(json!({ "id": "1", "playCount": 1, "video": { "duration": -4 } })).contains("duration")
        );
    }
}
