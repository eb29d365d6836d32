//! Converts values of the Python applications to the schema's types.

use chrono::{DateTime, Datelike, NaiveDateTime};
use serde_json::Value as Json;

use super::application::IsWord;
use crate::Timestamp;
use crate::ops::transfer::Kind;
use crate::quote::short;
use crate::tables::{NUL, has_nul};

/// A value of an application's table. On SQLite any column may contain any of these. From PostgreSQL everything is read as
/// text.
#[derive(Debug, Clone, PartialEq)]
#[cfg_attr(not(feature = "sqlite"), allow(dead_code))] // only SQLite has numbers in any column
pub(super) enum Value {
    Null,
    Integer(i64),
    Real(f64),
    Text(String),
    /// Bytes, or text that is not UTF-8.
    Bytes(Vec<u8>),
}

impl Value {
    /// Creates a value from bytes that were read as text.
    pub(super) fn of_text(bytes: Vec<u8>) -> Self {
        String::from_utf8(bytes).map_or_else(|bad| Self::Bytes(bad.into_bytes()), Self::Text)
    }

    /// Decodes hexadecimal digits to bytes.
    #[cfg(feature = "postgres")]
    pub(super) fn unhexed(&self) -> Self {
        let Self::Text(digits) = self else { return self.clone() };
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
        Self::Bytes(digits.as_bytes().chunks(2).filter_map(byte).collect())
    }

    /// Converts the value to JSON, to report a rejected row.
    pub(super) fn to_json(&self) -> Json {
        match self {
            Self::Null => Json::Null,
            Self::Integer(number) => (*number).into(),
            Self::Real(number) => (*number).into(),
            Self::Text(text) => text.as_str().into(),
            Self::Bytes(bytes) => String::from_utf8_lossy(bytes).into(),
        }
    }

    /// Returns the approximate size in memory, in bytes.
    pub(super) const fn size(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Bytes(bytes) => bytes.len(),
            _ => 8,
        }
    }

    fn shown(&self) -> String {
        short(&self.to_json().to_string())
    }
}

/// Converts a value to the JSON form of a column.
///
/// # Errors
/// The reason for which the value cannot be converted.
pub(super) fn convert(kind: Kind, word: Option<IsWord>, value: &Value) -> Result<Json, String> {
    let no = |what: &str| Err(format!("{} is {what}", value.shown()));
    match (kind, value) {
        (_, Value::Null) => Ok(Json::Null),
        // Blank text means that there was no value.
        (_, Value::Text(text))
            if text.trim().is_empty()
                && (word.is_some() || !matches!(kind, Kind::Text | Kind::Json { bare: true })) =>
        {
            Ok(Json::Null)
        }
        (Kind::Big, _) => whole(value).map_or_else(|| no("not a 64-bit whole number"), |n| Ok(n.into())),
        (Kind::Int, _) => match whole(value).map(i32::try_from) {
            Some(Ok(number)) => Ok(number.into()),
            _ => no("not a 32-bit whole number"),
        },
        (Kind::Double, _) => match number(value).filter(|number| number.is_finite()) {
            Some(number) => Ok(number.into()),
            None => no("not a number"),
        },
        (Kind::Bool, _) => match whole(value) {
            Some(0) => Ok(false.into()),
            Some(1) => Ok(true.into()),
            _ => no("not a boolean"),
        },
        (Kind::Text, _) => match (text(value), word) {
            (None, _) => no("not UTF-8"),
            (Some(text), _) if text.contains('\0') => Err(NUL.to_owned()),
            (Some(text), None) => Ok(text.into()),
            (Some(text), Some(is_word)) => one_of(&text, is_word).map(Json::from),
        },
        (Kind::Uuid, Value::Bytes(bytes)) if bytes.len() == 16 => {
            uuid::Uuid::from_slice(bytes).map_or_else(|_| no("not a UUID"), |id| Ok(id.to_string().into()))
        }
        (Kind::Uuid, _) => match text(value).and_then(|text| text.trim().parse::<uuid::Uuid>().ok()) {
            Some(id) => Ok(id.to_string().into()),
            None => no("not a UUID"),
        },
        (Kind::Time, _) => match time(value) {
            Some(at) => Ok(at.to_string().into()),
            None => no("not a timestamp"),
        },
        // A column that SQLAlchemy declares as JSON has numeric affinity on SQLite, so it stores numbers as such.
        (Kind::Json { .. }, Value::Integer(number)) => Ok((*number).into()),
        (Kind::Json { .. }, Value::Real(number)) => Ok((*number).into()),
        (Kind::Json { bare }, _) => {
            let Some(text) = text(value) else { return no("not UTF-8") };
            match serde_json::from_str::<Json>(&text) {
                Ok(document) if has_nul(&document) => Err(NUL.to_owned()),
                Ok(document) => Ok(document),
                Err(_) if bare && text.contains('\0') => Err(NUL.to_owned()),
                Err(_) if bare => Ok(text.into()),
                Err(error) => Err(format!("{} is not JSON: {error}", value.shown())),
            }
        }
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Real(number) => Some(number.to_string()),
        Value::Bytes(bytes) => std::str::from_utf8(bytes).ok().map(str::to_owned),
        Value::Null => None,
    }
}

#[allow(clippy::cast_precision_loss)] // SQLite converts in the same way
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Real(number) => Some(*number),
        Value::Text(text) => text.trim().parse().ok(),
        Value::Null | Value::Bytes(_) => None,
    }
}

/// Returns a whole number. Text, booleans and numbers with a zero fraction are accepted.
#[allow(clippy::cast_possible_truncation)] // within ±2^53, where floats are exact
fn whole(value: &Value) -> Option<i64> {
    match value {
        Value::Integer(number) => return Some(*number),
        Value::Text(text) => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "t" => return Some(1),
            "false" | "f" => return Some(0),
            text => {
                if let Ok(number) = text.parse() {
                    return Some(number);
                }
            }
        },
        _ => {}
    }
    number(value).filter(|number| number.fract() == 0.0 && number.abs() < 9e15).map(|number| number as i64)
}

/// A number below this is a time in seconds since 1970, and a larger one is in milliseconds. In seconds, this is the year
/// 5138.
const SECONDS: f64 = 1e11;

/// A number below this is not a time, but for example a year. In seconds, this is the year 1973.
const NO_TIME: f64 = 1e8;

fn time(value: &Value) -> Option<Timestamp> {
    let at = match value {
        Value::Text(text) => {
            let text = text.trim();
            match text.parse::<Timestamp>() {
                Ok(at) => at,
                Err(_) => other_time(text)?,
            }
        }
        Value::Null | Value::Bytes(_) => return None,
        _ => {
            let number = number(value).filter(|number| *number >= NO_TIME)?;
            let seconds = if number.abs() < SECONDS { number } else { number / 1_000.0 };
            #[allow(clippy::cast_possible_truncation)] // saturates to a year that is rejected below
            DateTime::from_timestamp_micros((seconds * 1e6).round() as i64)?.into()
        }
    };
    (1..=9999).contains(&at.to_utc().year()).then_some(at)
}

/// Parses timestamps that [`Timestamp`] does not accept:
///
/// - without a time zone, as Python's `isoformat()` writes them,
/// - with a time zone, as Python's `str()` and PostgreSQL write them,
/// - with a comma before the fraction, as Python's `logging` writes them,
/// - in the basic format of ISO 8601, and without seconds.
fn other_time(text: &str) -> Option<Timestamp> {
    let text = text.trim_end_matches(" UTC").replacen('T', " ", 1).replacen(',', ".", 1);
    if let Ok(at) = DateTime::parse_from_str(&text, "%Y-%m-%d %H:%M:%S%.f%#z") {
        return Some(at.to_utc().into());
    }
    ["%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%d %H:%M", "%Y%m%d %H%M%S"]
        .iter()
        .find_map(|form| NaiveDateTime::parse_from_str(&text, form).ok())
        .map(|at| at.and_utc().into())
}

/// Groups of words with the same meaning.
const SAME: &[&[&str]] = &[
    &["pending", "queued", "waiting"],
    &["running", "processing", "in_progress", "started", "downloading", "publishing"],
    &["completed", "complete", "done", "finished", "success", "succeeded", "downloaded", "transformed"],
    &["review", "in_review", "pending_review", "awaiting_review"],
    &["failed", "failure", "error", "errored"],
    &["retrying", "retry"],
    &["published", "uploaded"],
    &["approve", "approved"],
    &["reject", "rejected"],
    &["skip", "skipped"],
    &["hold", "held", "on_hold"],
    &["medium", "med"],
    &["youtube", "youtube_shorts"],
    &["tiktok", "tik_tok"],
];

/// Returns the word of a column that a text means. The text may be
///
/// - the word itself,
/// - the name of an enum member, which SQLAlchemy stores instead of its value (`PENDING`),
/// - the `str()` of an enum member (`Status.PENDING`), or
/// - a synonym.
fn one_of(text: &str, is_word: IsWord) -> Result<String, String> {
    let member = text.rsplit('.').next().unwrap_or(text).trim();
    let plain = member.to_lowercase().replace([' ', '-'], "_");
    let same = SAME.iter().find(|words| words.contains(&&*plain)).copied().unwrap_or_default();
    std::iter::once(&*plain)
        .chain(same.iter().copied())
        .find(|word| is_word(word).is_ok())
        .map(str::to_owned)
        .ok_or_else(|| is_word(text).err().map(|error| error.to_string()).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::republishing::{DownloadStatus, JobStatus};

    fn text(text: &str) -> Value {
        Value::Text(text.to_owned())
    }

    fn time_of(value: &Value) -> Option<String> {
        convert(Kind::Time, None, value).ok().map(|at| at.as_str().unwrap().to_owned())
    }

    #[test]
    fn numbers_and_booleans_may_be_text() {
        let big = |value: &Value| convert(Kind::Big, None, value);
        for value in [Value::Integer(7), Value::Real(7.0), text("7"), text(" 7.0 ")] {
            assert_eq!(big(&value), Ok(json!(7)), "{value:?}");
        }
        for value in [Value::Real(7.5), text("many"), text("1e300"), Value::Bytes(vec![7])] {
            assert!(big(&value).unwrap_err().ends_with("is not a 64-bit whole number"), "{value:?}");
        }
        assert_eq!(big(&Value::Integer(i64::MAX)), Ok(json!(i64::MAX)));
        let beyond = Value::Integer(1 << 31);
        assert_eq!(
            convert(Kind::Int, None, &beyond),
            Err("2147483648 is not a 32-bit whole number".to_owned())
        );
        let boolean = |value: &Value| convert(Kind::Bool, None, value);
        assert_eq!(boolean(&text("true")), Ok(json!(true)));
        assert_eq!(boolean(&Value::Integer(0)), Ok(json!(false)));
        assert!(boolean(&Value::Integer(2)).is_err());
        assert!(convert(Kind::Double, None, &text("NaN")).is_err());
        assert!(convert(Kind::Double, None, &Value::Real(f64::INFINITY)).is_err());
        assert_eq!(convert(Kind::Double, None, &Value::Integer(2)), Ok(json!(2.0)));
    }

    #[test]
    fn timestamps_in_all_forms_of_python_are_accepted() {
        for at in [
            text("2024-03-01 10:20:30.500000"),
            text("2024-03-01T10:20:30.5"),
            text("2024-03-01 10:20:30.5+00"),
            text("2024-03-01 12:20:30.500000+02:00"),
            text("2024-03-01T08:20:30.5-0200"),
            text("2024-03-01T10:20:30.5Z"),
            text("2024-03-01 10:20:30,500"),
            text("2024-03-01 10:20:30.5 UTC"),
            Value::Real(1_709_288_430.5),
            Value::Integer(1_709_288_430_500),
        ] {
            assert_eq!(time_of(&at).as_deref(), Some("2024-03-01T10:20:30.500Z"), "{at:?}");
        }
        assert_eq!(time_of(&text("2024-03-01 10:20")).as_deref(), Some("2024-03-01T10:20:00Z"));
        assert_eq!(time_of(&text("2024-03-01")).as_deref(), Some("2024-03-01T00:00:00Z"));
        assert_eq!(time_of(&text("20240301T102000")).as_deref(), Some("2024-03-01T10:20:00Z"));
        for at in ["yesterday", "2024-13-01 00:00:00", "infinity", "0044-03-15 12:00:00 BC", "T"] {
            assert_eq!(time_of(&text(at)), None, "{at:?}");
        }
        for at in [Value::Real(1e300), Value::Integer(2024), Value::Integer(i64::MAX), Value::Bytes(vec![1])]
        {
            assert_eq!(time_of(&at), None, "{at:?}");
        }
    }

    #[test]
    fn enum_names_and_synonyms_are_converted_to_words() {
        let job = |word: &str| one_of(word, |text| text.parse::<JobStatus>().map(drop));
        for (word, expected) in [
            ("queued", "queued"),
            ("QUEUED", "queued"),
            ("JobStatus.RETRYING", "retrying"),
            (" Done ", "completed"),
            ("in-progress", "processing"),
            ("pending", "queued"),
        ] {
            assert_eq!(job(word).as_deref(), Ok(expected), "{word}");
        }
        assert_eq!(
            job("cancelled"),
            Err("unknown value \"cancelled\"; expected queued, processing, completed, failed or retrying"
                .to_owned())
        );
        let download = |word: &str| one_of(word, |text| text.parse::<DownloadStatus>().map(drop));
        assert_eq!(download("PENDING").as_deref(), Ok("pending"));
        assert_eq!(download("COMPLETED").as_deref(), Ok("downloaded"));
        assert_eq!(download("in_progress").as_deref(), Ok("downloading"));
        assert!(download("").is_err());
    }

    #[test]
    fn blank_text_is_null_except_in_text_columns() {
        let json = Kind::Json { bare: false };
        for kind in [Kind::Big, Kind::Int, Kind::Bool, Kind::Double, Kind::Uuid, Kind::Time, json] {
            assert_eq!(convert(kind, None, &text(" ")), Ok(Json::Null), "{kind:?}");
        }
        let job: IsWord = |text| text.parse::<JobStatus>().map(drop);
        assert_eq!(convert(Kind::Text, Some(job), &text("")), Ok(Json::Null));
        assert_eq!(convert(Kind::Text, None, &text("")), Ok(json!("")));
        assert_eq!(convert(Kind::Json { bare: true }, None, &text("")), Ok(json!("")));
    }

    #[test]
    fn documents_uuids_and_text_are_converted_or_rejected() {
        let document = |value: &Value| convert(Kind::Json { bare: false }, None, value);
        assert_eq!(document(&text("{\"a\": [1]}")), Ok(json!({"a": [1]})));
        assert_eq!(document(&text("null")), Ok(Json::Null));
        assert_eq!(document(&Value::Integer(5)), Ok(json!(5)));
        for bad in ["{'a': 1}", "{\"a\": NaN}", "{"] {
            assert!(document(&text(bad)).unwrap_err().contains("is not JSON"), "{bad}");
        }
        assert_eq!(document(&text("\"\\u0000\"")), Err(NUL.to_owned()));
        assert_eq!(convert(Kind::Json { bare: true }, None, &text("on")), Ok(json!("on")));
        let id = "0190b5a0-0000-7000-8000-0000000000ab";
        for value in [
            text(id),
            text(&id.to_uppercase()),
            text(&id.replace('-', "")),
            Value::Bytes(id.parse::<uuid::Uuid>().unwrap().as_bytes().to_vec()),
        ] {
            assert_eq!(convert(Kind::Uuid, None, &value), Ok(json!(id)), "{value:?}");
        }
        assert!(convert(Kind::Uuid, None, &text("7")).is_err());
        assert!(convert(Kind::Uuid, None, &text("sixteen letters.")).is_err());
        assert_eq!(convert(Kind::Text, None, &Value::Integer(7)), Ok(json!("7")));
        assert_eq!(convert(Kind::Text, None, &Value::Bytes(b"as bytes".to_vec())), Ok(json!("as bytes")));
        assert_eq!(convert(Kind::Text, None, &text("a\0b")), Err(NUL.to_owned()));
        assert!(convert(Kind::Text, None, &Value::Bytes(vec![0xff])).unwrap_err().ends_with("is not UTF-8"));
    }
}
