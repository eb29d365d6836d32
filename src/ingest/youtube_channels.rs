//! Reads `channels.list` responses of the YouTube Data API v3. Each item becomes a row of `channel_statistics` if its
//! channel is in `channels`.

use std::collections::HashMap;

use serde_json::Value;

use super::found::{ChannelSample, Found, When, api_error, count};
use crate::quote::short;
use crate::republishing::{Channel, NewChannelStatistics};
use crate::types::ChannelId;
use crate::{DbConnection, Result};

/// Converts one item of the response's `items`.
pub(super) fn found(item: &Value, when: When) -> Result<Found, String> {
    let text = |at: &str| item.pointer(at).and_then(Value::as_str).map(str::trim).unwrap_or_default();
    if let Some(error) = api_error(item) {
        return Err(error);
    }
    match text("/kind") {
        "" | "youtube#channel" => {}
        "youtube#channelListResponse" => {
            return Err("the response has no items: the channel does not exist".to_owned());
        }
        other => return Err(format!("is a {}, not a channel", short(other))),
    }
    let youtube_id = match text("/id") {
        "" => return Err("has no id".to_owned()),
        id => id.to_owned(),
    };
    if !item.get("statistics").is_some_and(Value::is_object) {
        return Err("has no statistics; request part=statistics from channels.list".to_owned());
    }
    let number =
        |field: &str| count(field, item.pointer(&format!("/statistics/{field}")).unwrap_or(&Value::Null));
    let is_hidden = item.pointer("/statistics/hiddenSubscriberCount") == Some(&Value::Bool(true));
    let video_count = number("videoCount")?.map(i32::try_from).transpose();
    let numbers = NewChannelStatistics {
        subscriber_count: if is_hidden { None } else { number("subscriberCount")? },
        view_count: number("viewCount")?,
        video_count: video_count.map_err(|_| "videoCount is out of range for video_count".to_owned())?,
        timestamp: Some(when.at),
        ..Default::default()
    };
    let sample = ChannelSample { youtube_id, title: text("/snippet/title").to_owned(), numbers };
    Ok(Found { channel: Some(Box::new(sample)), ..Default::default() })
}

/// Looks up the channels of a batch. The sample of an unknown channel is removed from its row. Returns the index of each
/// such row and the reason.
pub(super) fn resolve(conn: &mut DbConnection, rows: &mut [Found]) -> Result<Vec<(usize, String)>> {
    let ids: Vec<&str> = rows.iter().filter_map(|row| Some(&*row.channel.as_ref()?.youtube_id)).collect();
    if ids.is_empty() {
        return Ok(Vec::new());
    }
    let known: HashMap<String, ChannelId> = Channel::ids_of_many(conn, &ids)?;
    let mut refused = Vec::new();
    for (place, row) in rows.iter_mut().enumerate() {
        let Some(sample) = &mut row.channel else { continue };
        match known.get(&sample.youtube_id) {
            Some(id) => sample.numbers.channel_id = *id,
            None => {
                let title = if sample.title.is_empty() {
                    String::new()
                } else {
                    format!(" ({})", short(&sample.title))
                };
                refused.push((
                    place,
                    format!(
                        "channel {}{title} is not in channels; add it with `viraldb channels add`",
                        short(&sample.youtube_id)
                    ),
                ));
                row.channel = None;
            }
        }
    }
    Ok(refused)
}

/// Returns the statistics of the channels that were found.
pub(super) fn numbers(rows: &[Found]) -> Vec<NewChannelStatistics> {
    rows.iter().filter_map(|row| Some(row.channel.as_ref()?.numbers.clone())).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::ingest::Options;

    fn read(item: &Value) -> Result<ChannelSample, String> {
        let options = Options { measured_at: "2026-05-01".parse().ok(), ..Options::default() };
        found(item, When::of(&options)).map(|found| *found.channel.unwrap())
    }

    #[test]
    fn items_become_channel_statistics() {
        let item = json!({
            "kind": "youtube#channel", "id": "UC1", "snippet": { "title": "One" },
            "statistics": { "viewCount": "5000000000", "subscriberCount": "12", "hiddenSubscriberCount": false, "videoCount": "3" },
        });
        let sample = read(&item).unwrap();
        let numbers = sample.numbers;
        assert_eq!((&*sample.youtube_id, &*sample.title), ("UC1", "One"));
        assert_eq!(
            (numbers.view_count, numbers.subscriber_count, numbers.video_count),
            (Some(5_000_000_000), Some(12), Some(3))
        );
        assert_eq!(numbers.timestamp, "2026-05-01".parse().ok());
        let hidden = json!({ "id": "UC1", "statistics": { "viewCount": "5", "subscriberCount": "0", "hiddenSubscriberCount": true } });
        assert_eq!(read(&hidden).unwrap().numbers.subscriber_count, None);
    }

    #[test]
    fn errors_say_what_is_wrong() {
        let reason = |item: Value| read(&item).unwrap_err();
        assert_eq!(
            reason(json!({ "kind": "youtube#video", "id": "x" })),
            "is a youtube#video, not a channel"
        );
        assert_eq!(reason(json!({ "statistics": {} })), "has no id");
        assert!(reason(json!({ "id": "UC1" })).contains("part=statistics"));
        assert!(
            reason(json!({ "kind": "youtube#channelListResponse" })).contains("the channel does not exist")
        );
        assert!(reason(json!({ "id": "UC1", "statistics": { "viewCount": "x" } })).contains("viewCount"));
        assert!(
            reason(json!({ "id": "UC1", "statistics": { "videoCount": 3_000_000_000_u64 } }))
                .contains("videoCount")
        );
        assert_eq!(reason(json!(null)), "has no id");
    }
}
