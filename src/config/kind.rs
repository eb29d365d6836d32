//! What a setting may be: its type, and the range or the words of its values.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What a setting may be.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Kind {
    /// true or false; in text also 1, yes, on, 0, no, off.
    Bool,
    /// A whole number within a range, both ends included.
    Integer {
        /// Least.
        #[serde(default = "lowest")]
        min: i64,
        /// Most.
        #[serde(default = "highest")]
        max: i64,
    },
    /// A number within a range, both ends included.
    Number {
        /// Least.
        #[serde(default = "lowest_number")]
        min: f64,
        /// Most.
        #[serde(default = "highest_number")]
        max: f64,
    },
    /// Any text.
    Text,
    /// One of some words.
    Word {
        /// The words.
        words: Cow<'static, [Cow<'static, str>]>,
    },
    /// Any JSON.
    Json,
}

const fn lowest() -> i64 {
    i64::MIN
}

const fn highest() -> i64 {
    i64::MAX
}

const fn lowest_number() -> f64 {
    f64::MIN
}

const fn highest_number() -> f64 {
    f64::MAX
}

impl Kind {
    /// One of these words.
    pub const fn words(words: &'static [Cow<'static, str>]) -> Self {
        Self::Word { words: Cow::Borrowed(words) }
    }

    /// Whether no value is one of it.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Integer { min, max } => min > max,
            Self::Number { min, max } => min > max,
            Self::Word { words } => words.is_empty(),
            Self::Bool | Self::Text | Self::Json => false,
        }
    }

    /// The value in its one form, if it can be one of this setting; else what it should be.
    pub(super) fn read(&self, value: &Value) -> Result<Value, String> {
        // Environments, overrides and other programs' columns hold text.
        let value = match (value, self) {
            (Value::String(text), Self::Bool | Self::Integer { .. } | Self::Number { .. }) => {
                &of_text(text.trim(), self)
            }
            // Bare text that another program wrote reads as JSON where it can be.
            (Value::Number(number), Self::Bool) => &of_text(&number.to_string(), self),
            (Value::Number(_) | Value::Bool(_), Self::Text | Self::Word { .. }) => {
                &Value::String(value.to_string())
            }
            (value, _) => value,
        };
        let fits = match self {
            Self::Bool => value.is_boolean(),
            Self::Integer { min, max } => {
                value.as_i64().is_some_and(|number| (*min..=*max).contains(&number))
            }
            Self::Number { min, max } => value.as_f64().is_some_and(|number| (*min..=*max).contains(&number)),
            Self::Text => value.is_string(),
            Self::Word { words } => {
                value.as_str().is_some_and(|word| words.iter().any(|known| known == word))
            }
            Self::Json => true,
        };
        if fits { Ok(value.clone()) } else { Err(format!("is not {self}")) }
    }
}

/// A number or a truth in text, which may stand in quotes: some programs write JSON where text is meant.
fn of_text(text: &str, kind: &Kind) -> Value {
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).map_or(text, str::trim);
    match (kind, text.to_ascii_lowercase().as_str()) {
        (Kind::Bool, "true" | "1" | "yes" | "on") => true.into(),
        (Kind::Bool, "false" | "0" | "no" | "off") => false.into(),
        (Kind::Integer { .. } | Kind::Number { .. }, _) => {
            serde_json::from_str(text).ok().filter(Value::is_number).unwrap_or_else(|| text.into())
        }
        _ => text.into(),
    }
}

/// What a value has to be, behind "is not".
impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Bool => f.write_str("true or false"),
            Self::Integer { min: i64::MIN, max: i64::MAX } => f.write_str("a whole number"),
            Self::Integer { min, max: i64::MAX } => write!(f, "a whole number from {min} up"),
            Self::Integer { min: i64::MIN, max } => write!(f, "a whole number up to {max}"),
            Self::Integer { min, max } => write!(f, "a whole number from {min} to {max}"),
            Self::Number { min, max } if (*min, *max) == (f64::MIN, f64::MAX) => f.write_str("a number"),
            Self::Number { min, max } => write!(f, "a number from {min} to {max}"),
            Self::Text => f.write_str("text"),
            Self::Word { words } if words.is_empty() => f.write_str("one of no words"),
            Self::Word { words } => write!(f, "one of {}", words.join(", ")),
            Self::Json => f.write_str("JSON"),
        }
    }
}
