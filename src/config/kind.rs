//! The type of a setting, with the range or the words that limit its values.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::types::any_of;

/// The type of a setting and the values that it accepts.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Kind {
    /// A boolean. As text, also `1`, `yes`, `on`, `0`, `no` and `off`.
    Bool,
    /// A whole number within a range, both ends included.
    Integer {
        /// Minimum.
        #[serde(default = "lowest")]
        min: i64,
        /// Maximum.
        #[serde(default = "highest")]
        max: i64,
    },
    /// A number within a range, both ends included.
    Number {
        /// Minimum.
        #[serde(default = "lowest_number")]
        min: f64,
        /// Maximum.
        #[serde(default = "highest_number")]
        max: f64,
    },
    /// Any text.
    Text,
    /// One of a fixed set of words.
    Word {
        /// The allowed words.
        words: Cow<'static, [Cow<'static, str>]>,
    },
    /// Any JSON value.
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
    /// Returns the kind that accepts only these words.
    pub const fn words(words: &'static [Cow<'static, str>]) -> Self {
        Self::Word { words: Cow::Borrowed(words) }
    }

    /// Returns true if no value can satisfy this kind.
    pub(super) fn is_empty(&self) -> bool {
        match self {
            Self::Integer { min, max } => min > max,
            Self::Number { min, max } => min > max,
            Self::Word { words } => words.is_empty(),
            Self::Bool | Self::Text | Self::Json => false,
        }
    }

    /// Returns the value in its canonical form, or an error that says what the setting expects.
    pub(super) fn read(&self, value: &Value) -> Result<Value, String> {
        // The environment, overrides and columns written by other programs hold text.
        let value = match (value, self) {
            (Value::String(text), Self::Bool | Self::Integer { .. } | Self::Number { .. }) => {
                &of_text(text.trim(), self)
            }
            // Bare text that another program wrote is parsed as JSON if it is valid JSON.
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
        if fits { Ok(value.clone()) } else { Err(format!("must be {self}")) }
    }
}

/// Parses a number or a boolean from text. The text may be in quotes, because some programs write JSON strings.
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

/// Describes the expected value; messages put "must be" before it.
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
            Self::Word { words } if words.is_empty() => f.write_str("one of an empty list of words"),
            Self::Word { words } => {
                let words: Vec<&str> = words.iter().map(|word| &**word).collect();
                f.write_str(&any_of(&words))
            }
            Self::Json => f.write_str("JSON"),
        }
    }
}
