//! A few rows of every table, with values that are difficult to export and ingest.

use serde_json::{Map, Value, json};

use crate::make;

const TEXTS: [&str; 3] = [
    "a \"quote\", a 'quote', a comma,\n\ta tab and a line, \\n \\u0041 {} NULL",
    "ünï\u{301} 🎬👨\u{200d}👩\u{200d}👧 עברית 日本 \u{feff}\u{2028}\u{7f}\u{1b}[31m",
    " ' OR 1=1; -- =SUM(A1) \r\n%s $1 ?1 ",
];
const FLOATS: [f64; 3] = [0.1, 1e300, -5e-324];
const BIG: [i64; 3] = [i64::MAX, i64::MIN, 9_007_199_254_740_993];
const INTS: [i64; 3] = [i32::MAX as i64, i32::MIN as i64, -1];
const TIMES: [&str; 3] =
    ["2026-11-21T08:30:00.000001Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z"];

fn document(n: usize) -> Value {
    match n {
        0 => {
            json!({"z": [1, 2.5, -0.1, 1e300, null, true, {"deep": {"er": [[], {}, ""]}}], "a": TEXTS[0], "ключ": TEXTS[1]})
        }
        1 => json!([9_007_199_254_740_993_i64, "x", {"": 0.30000000000000004}]),
        _ => json!({}),
    }
}

const DOCUMENTS: &[&str] = &[
    "full_script_json",
    "posting_schedule",
    "content_filters",
    "metadata_template",
    "settings",
    "transformation_params",
    "final_tags",
    "metadata",
    "processing_history",
    "error_details",
    "parameters",
    "hashtags",
    "scenes",
    "text_overlays",
];
const BOOLS: &[&str] =
    &["resolved", "auto_held", "is_active", "is_default", "phase2_enabled", "music_replaced", "encrypted"];
const BIG_INTS: &[&str] = &[
    "view_count",
    "like_count",
    "comment_count",
    "subscriber_count",
    "total_views",
    "views",
    "likes",
    "comments",
    "shares",
    "download_size",
    "transformed_size",
    "video_file_size_bytes",
    "file_size",
];
const SMALL_INTS: &[&str] = &[
    "category_id",
    "rank_position",
    "total_char_count",
    "subscriber_gain",
    "retry_count",
    "priority",
    "usage_count",
    "video_count",
    "total_videos",
    "duration",
    "download_duration",
    "processing_duration",
];

/// Returns a value for a column that accepts any value of its type.
fn free_value(table: &str, column: &str, n: usize) -> Value {
    match column {
        "value" if table == "system_configuration" => match n {
            0 => document(0),
            1 => json!("viraldb: no, text"),
            _ => json!(0.1),
        },
        "api_credentials_encrypted" | "github_secret_key_encrypted" => format!("gAAAA{n}ciphertext").into(),
        "attempts" | "max_attempts" => json!(n + 1),
        "processed" => json!(n),
        "encrypted" => json!(false),
        "is_default" => json!(n == 0),
        "duration_seconds" if table == "discovered_videos" => INTS[n].into(),
        "correlation_id" | "lease_token" => format!("0190a000-0000-7000-8000-0000000000{n:02x}").into(),
        "cycle_start" => TIMES[1].into(),
        _ if DOCUMENTS.contains(&column) => document(n),
        _ if BOOLS.contains(&column) => json!(n != 1),
        _ if BIG_INTS.contains(&column) => BIG[n].into(),
        _ if SMALL_INTS.contains(&column) => INTS[n].into(),
        _ if column.ends_with("_at") || ["timestamp", "cycle_end"].contains(&column) => TIMES[n].into(),
        _ if column.ends_with("_seconds") || column.ends_with("_usd") => FLOATS[n].into(),
        "progress" => [0.0, 1.0 / 3.0, 1.0][n].into(),
        "view_velocity" | "viral_score" | "click_through_rate" => FLOATS[n].into(),
        // Each row gets another value, because the column may be unique.
        _ => format!("{} {n}", TEXTS[n]).into(),
    }
}

/// Returns the value for columns that refer to other rows or accept only certain words, if the contract has none.
fn fixed_value(table: &str, column: &str) -> Option<Value> {
    Some(match (table, column) {
        ("shorts", "clip_id")
        | ("error_log", "pipeline_run_id")
        | ("job_scripts" | "job_videos", "job_id") => json!(1),
        ("job_videos", "script_id") => json!(1),
        ("channels", "effect_preset_id") | ("videos", "transformation_preset_id") => json!(make::PRESET),
        ("videos", "music_track_id") => json!(make::PRESET),
        ("review_log", "action") => json!("redo_script"),
        _ => return None,
    })
}

fn is_word(column: &str) -> bool {
    column == "status"
        || column.ends_with("_status")
        || ["content_id_risk", "job_type", "platform"].contains(&column)
}

/// Returns the rows of each table, parents first. The first three rows have every column, the last only the required ones.
pub(super) fn rows() -> Vec<(&'static str, Vec<Map<String, Value>>)> {
    make::contract()
        .into_iter()
        .map(|contract| {
            let (given, defaults) =
                (contract.given.as_object().unwrap(), contract.defaults.as_object().unwrap());
            let refers = |column: &str| {
                column.ends_with("_id")
                    && given.contains_key(column)
                    && (given[column].is_number() || given[column].as_str().is_some_and(|id| id.len() == 36))
            };
            let id = |n: usize| match given.get("id").and_then(Value::as_str) {
                Some(first) if n == 0 => Some(json!(first)),
                Some(first) => Some(format!("{}{n:02x}", &first[..34]).into()),
                None => defaults.contains_key("id").then(|| json!([1, 2, 9_007_199_254_740_993_i64, 4][n])),
            };
            let mut rows: Vec<Map<String, Value>> = (0..3)
                .map(|n| {
                    given
                        .iter()
                        .chain(defaults)
                        .filter(|(column, _)| !(contract.table == "videos" && *column == "status"))
                        .map(|(column, usual)| {
                            let value = match column.as_str() {
                                "id" => id(n).unwrap(),
                                column if refers(column) => usual.clone(),
                                column => fixed_value(contract.table, column).unwrap_or_else(|| {
                                    if is_word(column) {
                                        usual.clone()
                                    } else {
                                        free_value(contract.table, column, n)
                                    }
                                }),
                            };
                            (column.clone(), value)
                        })
                        .collect()
                })
                .collect();
            let mut least = given.clone();
            for column in ["video_id", "external_id", "youtube_channel_id", "key"] {
                if let Some(name) = least.get_mut(column)
                    && !refers(column)
                {
                    *name = json!("another");
                }
            }
            if let Some(sealed) = least.get_mut("api_credentials_encrypted") {
                *sealed = json!("");
            }
            if let Some(id) = id(3) {
                least.insert("id".to_owned(), id);
            }
            rows.push(least);
            (contract.table, rows)
        })
        .collect()
}
