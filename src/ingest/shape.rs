//! Recognizes a JSON format by the keys at its beginning. If that fails, the error lists the keys.

use super::Format;
use crate::compilation::NewDiscoveredVideo;
use crate::quote::short;
use crate::{Error, Result};

/// A key of an object and its position.
#[derive(Debug, PartialEq, Eq)]
struct Key<'a> {
    /// Number of enclosing objects.
    depth: usize,
    /// Number of the outermost enclosing object, counted from 1.
    object: usize,
    name: &'a str,
    /// The value, if it is text without a line end.
    text: Option<&'a str>,
    /// The first two bytes of the value, ignoring whitespace.
    start: [u8; 2],
}

/// Reads the keys of JSON that may be cut off or broken. A string that contains a line end is ended there, and so are all
/// open objects and lists, because the next line may be a new document.
fn keys(json: &str) -> Vec<Key<'_>> {
    let bytes = json.as_bytes();
    let next = |from: usize| {
        let rest = bytes.get(from..).unwrap_or_default();
        rest.iter().position(|byte| !byte.is_ascii_whitespace()).map_or(bytes.len(), |skipped| from + skipped)
    };
    let byte = |at: usize| bytes.get(at).copied().unwrap_or_default();
    let mut keys: Vec<Key<'_>> = Vec::new();
    let (mut open, mut depth, mut object) = (Vec::new(), 0, 0);
    let mut is_value = false; // true directly before the value of the last key
    let mut at = 0;
    while at < bytes.len() {
        match byte(at) {
            b'"' => {
                let start = at + 1;
                let mut end = start;
                while end < bytes.len() && !matches!(byte(end), b'"' | b'\n') {
                    end += if byte(end) == b'\\' { 2 } else { 1 };
                }
                if byte(end) != b'"' {
                    open.clear();
                    (depth, is_value) = (0, false);
                    at = end.max(at + 1);
                    continue;
                }
                let text = json.get(start..end);
                let colon = next(end + 1);
                if byte(colon) == b':' && open.last() == Some(&b'{') {
                    let value = next(colon + 1);
                    let start = [byte(value), byte(next(value + 1))];
                    keys.push(Key { depth, object, name: text.unwrap_or_default(), text: None, start });
                    is_value = true;
                    at = value;
                    continue;
                }
                if let (true, Some(key)) = (is_value, keys.last_mut()) {
                    key.text = text;
                }
                at = end;
            }
            bracket @ (b'{' | b'[') => {
                open.push(bracket);
                if bracket == b'{' {
                    depth += 1;
                    object += usize::from(depth == 1);
                }
            }
            b'}' | b']' => depth -= usize::from(open.pop() == Some(b'{')),
            _ => {}
        }
        is_value = false;
        at += 1;
    }
    keys
}

/// Typical keys of each format, used to find the closest format.
const TYPICAL: [(Format, &[&str]); 6] = [
    (
        Format::YoutubeApi,
        &[
            "kind",
            "etag",
            "items",
            "id",
            "snippet",
            "statistics",
            "contentDetails",
            "pageInfo",
            "viewCount",
            "likeCount",
        ],
    ),
    (Format::YoutubeAnalytics, &["kind", "columnHeaders", "rows", "columnType", "dataType"]),
    (
        Format::YoutubeChannels,
        &["kind", "items", "id", "subscriberCount", "hiddenSubscriberCount", "brandingSettings"],
    ),
    (
        Format::YtDlp,
        &[
            "id",
            "title",
            "extractor",
            "webpage_url",
            "uploader",
            "uploader_id",
            "view_count",
            "upload_date",
            "entries",
            "thumbnails",
            "formats",
        ],
    ),
    (
        Format::Tiktok,
        &[
            "id",
            "desc",
            "text",
            "createTime",
            "author",
            "stats",
            "playCount",
            "diggCount",
            "webVideoUrl",
            "hashtags",
        ],
    ),
    (Format::Takeout, &["header", "title", "titleUrl", "subtitles", "time", "products"]),
];

/// Maximum number of keys in a message.
const NAMED: usize = 8;

/// Returns the format of JSON that begins with `head`.
pub(super) fn format(name: &str, head: &str) -> Result<Format> {
    let keys = keys(head);
    if let Some(format) = recognize(head, &keys) {
        return Ok(format);
    }
    let first = keys.iter().filter(|key| key.depth == 1 && key.object == 1).map(|key| key.name);
    let first: Vec<&str> = first.take(NAMED).collect();
    let columns = columns();
    let columns: Vec<&str> = columns.iter().map(String::as_str).collect();
    let formats = TYPICAL.iter().copied().chain([(Format::Jsonl, &*columns)]);
    let scores = formats.map(|(format, typical)| (likeness(&first, typical), format));
    let closest = scores.fold(None, |best: Option<(usize, Format)>, score| match best {
        Some(best) if best.0 >= score.0 => Some(best),
        _ => Some(score).filter(|score| score.0 > 0),
    });
    let named: Vec<String> = first.iter().map(|key| format!("\"{}\"", short(key))).collect();
    let closest = match closest {
        Some((_, format)) => format!("the closest format is {format}"),
        None => "no format that viraldb reads has similar keys".to_owned(),
    };
    let known: Vec<&str> = Format::ALL.iter().map(|format| format.as_str()).collect();
    Err(Error::invalid(
        format!("cannot recognize the format of {name}:"),
        format!(
            "its first keys are {}; {closest}; choose a format with --as {}, or a table for its rows with --table",
            named.join(", "),
            known.join("|")
        ),
    ))
}

fn recognize(head: &str, keys: &[Key<'_>]) -> Option<Format> {
    let any = |names: &[&str]| keys.iter().any(|key| names.contains(&key.name));
    let top = |names: &[&str]| keys.iter().any(|key| key.depth == 1 && names.contains(&key.name));
    let kinds = keys.iter().filter(|key| key.name == "kind");
    let kinds =
        kinds.filter_map(|key| Some((key.depth, key.text.filter(|text| text.starts_with("youtube"))?)));
    match kinds.min_by_key(|(depth, _)| *depth) {
        Some((_, kind)) if kind.starts_with("youtubeAnalytics#") => return Some(Format::YoutubeAnalytics),
        Some((_, "youtube#channel" | "youtube#channelListResponse")) => return Some(Format::YoutubeChannels),
        Some((_, kind)) if kind.starts_with("youtube#") => return Some(Format::YoutubeApi),
        _ => {}
    }
    let is_list_of_lists = |key: &Key<'_>| key.depth == 1 && key.name == "rows" && key.start == *b"[[";
    if top(&["columnHeaders"]) || keys.iter().any(is_list_of_lists) {
        return Some(Format::YoutubeAnalytics);
    }
    let is_error = |key: &Key<'_>| {
        head.starts_with('{') && key.depth == 1 && key.name == "error" && key.start[0] == b'{'
    };
    if keys.first().is_some_and(is_error) {
        return Some(Format::YoutubeApi);
    }
    // A list such as formats may come first and be longer than the head, so check keys at any depth.
    if any(&["extractor", "format_id", "extractor_key", "webpage_url", "ie_key", "_type", "entries"]) {
        return Some(Format::YtDlp);
    }
    if top(&["titleUrl"]) || (top(&["header"]) && top(&["time"]) && top(&["title", "products"])) {
        return Some(Format::Takeout);
    }
    let of_tiktok = [
        "authorMeta",
        "authorMeta.name",
        "createTimeISO",
        "diggCount",
        "statsV2",
        "textExtra",
        "webVideoUrl",
    ];
    if any(&of_tiktok) || (any(&["createTime"]) && any(&["desc", "author", "stats", "playCount"])) {
        return Some(Format::Tiktok);
    }
    if any(&["subscriberCount", "hiddenSubscriberCount", "brandingSettings"]) {
        return Some(Format::YoutubeChannels);
    }
    if any(&["statistics", "snippet", "contentDetails"]) {
        return Some(Format::YoutubeApi);
    }
    let columns = columns();
    let mut first = keys.iter().filter(|key| key.depth == 1 && key.object == 1);
    let is_ours = top(&["video_id"]) || first.all(|key| columns.iter().any(|column| column == key.name));
    is_ours.then_some(Format::Jsonl)
}

/// Returns the columns of `discovered_videos`, the default table for JSON Lines.
fn columns() -> Vec<String> {
    match serde_json::to_value(NewDiscoveredVideo::default()) {
        Ok(serde_json::Value::Object(row)) => row.into_iter().map(|(column, _)| column).collect(),
        _ => Vec::new(),
    }
}

/// Counts the keys that equal or resemble a typical key.
fn likeness(keys: &[&str], typical: &[&str]) -> usize {
    let plain = |key: &str| key.replace(['_', '-', '.'], "").to_lowercase();
    let typical: Vec<String> = typical.iter().map(|key| plain(key)).collect();
    let is_like = |key: &&&str| {
        let key = plain(key);
        typical.iter().any(|other| *other == key || strsim::jaro_winkler(other, &key) > 0.9)
    };
    keys.iter().filter(is_like).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_record_their_depth_and_object() {
        let names = |json: &'static str| {
            keys(json).iter().map(|key| (key.depth, key.object, key.name)).collect::<Vec<_>>()
        };
        assert_eq!(
            names(r#"[{"a":{"b":"c"},"d":["e",{"f":1}]},{"g":2"#),
            [(1, 1, "a"), (2, 1, "b"), (1, 1, "d"), (2, 1, "f"), (1, 2, "g")]
        );
        assert_eq!(names("{\"a\":1}\n{\"b\":\"x\\\"y\",\"c\" : {"), [(1, 1, "a"), (1, 2, "b"), (1, 2, "c")]);
        assert_eq!(names("{\"a\":1,\"tit\n{\"b\":2}"), [(1, 1, "a"), (1, 2, "b")], "a line that is cut off");
        assert_eq!(keys(r#"{"kind": "youtube#x", "n": 1}"#)[0].text, Some("youtube#x"));
        assert_eq!(keys(r#"{"n": 1, "x": [ [1]]}"#)[1].start, *b"[[");
        for broken in [
            "",
            "{",
            "}",
            "]]]}}}",
            "\"",
            "{\"",
            "{\"a",
            "{\"a\\",
            "{\"a\":",
            "{\"ä\":\"ö",
            "[[[[{{{{",
            "{\"a\":\"\\",
        ] {
            keys(broken);
        }
    }

    #[test]
    fn formats_are_recognized_by_their_content() {
        let cases = [
            (r#"{"kind":"youtubeAnalytics#resultTable","columnHeaders":[]}"#, Format::YoutubeAnalytics),
            (r#"[{"columnHeaders":[{"name":"video"}],"rows":[]}]"#, Format::YoutubeAnalytics),
            (r#"{"rows": [ ["a",1],"#, Format::YoutubeAnalytics),
            (
                r#"{"items":[{"id":"UC","kind":"youtube#channel"}],"kind":"youtube#channelListResponse"}"#,
                Format::YoutubeChannels,
            ),
            (r#"{"id":"UC","statistics":{"hiddenSubscriberCount":false}}"#, Format::YoutubeChannels),
            (
                r#"{"items":[{"id":{"kind":"youtube#channel"},"kind":"youtube#searchResult"}],"kind":"youtube#searchListResponse"}"#,
                Format::YoutubeApi,
            ),
            (r#"{"kind":"youtube#searchResult","id":{"kind":"youtube#channel"}}"#, Format::YoutubeApi),
            (r#"{"items":[{"snippet":{"title":"\"extractor\""}}]}"#, Format::YoutubeApi),
            (r#"{ "error": { "code": 403 } }"#, Format::YoutubeApi),
            (r#"{"id":"x","formats":[{"format_id":"1"},{"url":"#, Format::YtDlp),
            (r#"{"entries":[null],"_type":"playlist"}"#, Format::YtDlp),
            (r#"[{"header":"YouTube","title":"Watched x","time":"2024-01-02T03:04:05Z"}]"#, Format::Takeout),
            (r#"[{"titleUrl":"https://x","title":"extractor"}]"#, Format::Takeout),
            (r#"{"id":"1","desc":"d","createTime":1}"#, Format::Tiktok),
            (r#"[{"text":"t","webVideoUrl":"u"}]"#, Format::Tiktok),
            (r#"{"video_id":"a","title":"extractor"}"#, Format::Jsonl),
            (r#"{"title":"no id"}"#, Format::Jsonl),
            ("{}", Format::Jsonl),
        ];
        for (json, expected) in cases {
            assert_eq!(format("in", json).unwrap(), expected, "{json}");
        }
    }

    #[test]
    fn unrecognized_json_reports_its_keys_and_the_closest_format() {
        let said = |json: &str| format("in.json", json).unwrap_err().to_string();
        let message = said(r#"{"id":1,"webpageUrl":"u","uploadDate":"d","viewcount":1}"#);
        assert!(message.contains(r#"its first keys are "id", "webpageUrl", "uploadDate", "viewcount"; the closest format is yt-dlp"#), "{message}");
        let message = said(r#"[{"foo":{"a":1},"bar":2}]"#);
        assert!(
            message.contains(r#"its first keys are "foo", "bar"; no format that viraldb reads"#),
            "{message}"
        );
        assert!(said(r#"{"Video ID":"x"}"#).contains("--as youtube-trending|"));
    }
}
