//! Reads, writes and compares a value of each of the schema's types.
//!
//! During a transfer, a value has the form of PostgreSQL's binary COPY. Values of SQLite are converted to that form when
//! they are read and converted back when they are written.

use super::json;
use crate::quote::quoted;
use crate::types::Timestamp;

/// A type of the schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ops) enum Kind {
    /// 8 bytes.
    Big,
    /// 4 bytes.
    Int,
    /// One byte, 0 or 1.
    Bool,
    /// 8 bytes, IEEE 754.
    Double,
    /// UTF-8.
    Text,
    /// 16 bytes.
    Uuid,
    /// 8 bytes: microseconds since the start of 2000.
    Time,
    /// A version byte, always 1, and the text of the document. With `bare`, SQLite text that is not JSON means a JSON
    /// string.
    Json { bare: bool },
}

/// The engine of the target, which cannot store every value.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keeps {
    Sqlite,
    Postgres,
}

/// The version of `jsonb` in PostgreSQL's binary format.
const JSONB: u8 = 1;

/// The reason for rejecting a setting that is JSON but that viraldb would read as bare text on SQLite.
const UNREAD: &str = "is nested deeper than 127 levels or contains a number that is too large for 64 bits; viraldb cannot \
                      read such a setting";

/// The start of the year 2000, PostgreSQL's epoch, in microseconds of Unix time.
const EPOCH: i64 = 946_684_800_000_000;

/// The hashed forms of zero and NaN. The engines preserve neither the sign of zero nor the bits of NaN.
const ZERO: [u8; 8] = 0_f64.to_be_bytes();
const NOT_A_NUMBER: [u8; 8] = f64::NAN.to_be_bytes();

/// Columns that the database computes. They are not copied.
pub(super) const COMPUTED: [(&str, &str); 1] = [("videos", "status")];

impl Kind {
    /// Returns the kind of a type that is named as in `schema.rs`.
    pub(super) fn of(sql_type: &str) -> Option<Self> {
        let sql_type =
            sql_type.strip_prefix("Nullable<").and_then(|inner| inner.strip_suffix('>')).unwrap_or(sql_type);
        Some(match sql_type {
            "Bool" => Self::Bool,
            "Int8" => Self::Big,
            "Int4" => Self::Int,
            "Text" => Self::Text,
            "Float8" => Self::Double,
            "Timestamptz" => Self::Time,
            "Uuid" => Self::Uuid,
            "Jsonb" => Self::Json { bare: false },
            _ => return None,
        })
    }

    /// Appends the form of a value that is hashed.
    pub(super) fn canonical(self, value: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
        match self {
            Self::Double => out.extend(match f64::from_be_bytes(fixed(value)?) {
                0.0 => ZERO,
                number if number.is_nan() => NOT_A_NUMBER,
                number => number.to_be_bytes(),
            }),
            Self::Json { .. } => return json::canonical(document(value)?, out),
            _ => out.extend(value),
        }
        Ok(())
    }

    /// Returns an error if the target's engine cannot store the value.
    pub(super) fn fits(self, value: &[u8], keeps: Keeps) -> Result<(), &'static str> {
        match (self, keeps) {
            (Self::Text, Keeps::Postgres) if value.contains(&0) => {
                Err("contains the NUL character, which PostgreSQL cannot store in text")
            }
            (Self::Double, Keeps::Sqlite) if f64::from_be_bytes(fixed(value)?).is_nan() => {
                Err("is NaN, which SQLite cannot store")
            }
            (Self::Json { bare: true }, Keeps::Sqlite)
                if serde_json::from_slice::<serde_json::Value>(document(value)?).is_err() =>
            {
                Err(UNREAD)
            }
            (Self::Time, Keeps::Sqlite) if moment(value).is_err() => {
                Err("is outside the years 0 to 9999, the range that viraldb can store in SQLite")
            }
            _ => Ok(()),
        }
    }

    /// Returns an error for a JSON document that serde_json cannot read without loss.
    pub(super) fn require_readable(self, value: &[u8]) -> Result<(), &'static str> {
        match self {
            Self::Json { .. } => json::require_readable(document(value)?),
            _ => Ok(()),
        }
    }

    /// Formats a key for messages.
    pub(in crate::ops) fn shown(self, value: &[u8]) -> String {
        let shown = match self {
            Self::Big => fixed(value).map(|bytes| i64::from_be_bytes(bytes).to_string()),
            Self::Uuid => fixed(value).map(|bytes| uuid::Uuid::from_bytes(bytes).to_string()),
            _ => Ok(quoted(&String::from_utf8_lossy(value))),
        };
        shown.unwrap_or_default()
    }
}

/// Appends a value that was read from SQLite to a row. `value` is an INTEGER or a REAL in 8 bytes, or the bytes of a TEXT.
#[cfg(feature = "sqlite")]
pub(super) fn from_sqlite(kind: Kind, value: &[u8], row: &mut Vec<u8>) -> Result<(), String> {
    use super::row::push;

    let text = || std::str::from_utf8(value).map_err(|_| "is not UTF-8".to_owned());
    match kind {
        Kind::Big | Kind::Double => push(row, value),
        Kind::Int => {
            let number = i64::from_be_bytes(fixed(value)?);
            let number =
                i32::try_from(number).map_err(|_| format!("is {number}, which does not fit in 32 bits"))?;
            push(row, &number.to_be_bytes());
        }
        Kind::Bool => match i64::from_be_bytes(fixed(value)?) {
            0 => push(row, &[0]),
            1 => push(row, &[1]),
            number => return Err(format!("is {number}, but a boolean must be 0 or 1")),
        },
        Kind::Text => push(row, text()?.as_bytes()),
        Kind::Uuid => {
            let uuid = uuid::Uuid::parse_str(text()?).map_err(|error| format!("is not a UUID: {error}"))?;
            push(row, uuid.as_bytes());
        }
        Kind::Time => {
            let at: Timestamp = text()?.parse().map_err(|error: crate::Error| error.to_string())?;
            push(row, &(at.to_utc().timestamp_micros() - EPOCH).to_be_bytes());
        }
        Kind::Json { bare } => {
            let mut document = vec![JSONB];
            // `ConfigValue` reads the text in the same way.
            let is_read = !bare || serde_json::from_slice::<serde_json::Value>(value).is_ok();
            if !is_read && !json::is_malformed(value) {
                return Err(UNREAD.to_owned());
            }
            if !is_read {
                document.extend(serde_json::Value::from(text()?).to_string().bytes());
            } else {
                document.extend(value);
            }
            push(row, &document);
        }
    }
    Ok(())
}

/// A value that can be bound to an SQLite statement.
#[cfg(feature = "sqlite")]
#[derive(Debug, PartialEq)]
pub(super) enum Bound<'a> {
    Null,
    Integer(i64),
    Real(f64),
    Text(std::borrow::Cow<'a, str>),
}

#[cfg(feature = "sqlite")]
impl<'a> Bound<'a> {
    pub(super) fn new(kind: Kind, value: Option<&'a [u8]>) -> Result<Self, &'static str> {
        let Some(value) = value else { return Ok(Self::Null) };
        let text = |value: &'a [u8]| {
            std::str::from_utf8(value).map(|t| Self::Text(t.into())).map_err(|_| "is not UTF-8")
        };
        Ok(match kind {
            Kind::Big => Self::Integer(i64::from_be_bytes(fixed(value)?)),
            Kind::Int => Self::Integer(i32::from_be_bytes(fixed(value)?).into()),
            Kind::Bool => Self::Integer(u8::from_be_bytes(fixed(value)?).into()),
            Kind::Double => Self::Real(f64::from_be_bytes(fixed(value)?)),
            Kind::Text => text(value)?,
            Kind::Json { .. } => text(document(value)?)?,
            Kind::Uuid => Self::Text(uuid::Uuid::from_bytes(fixed(value)?).to_string().into()),
            Kind::Time => Self::Text(moment(value)?.to_sqlite().into()),
        })
    }
}

/// Returns a timestamp that viraldb can store in SQLite. Infinity is an error.
fn moment(value: &[u8]) -> Result<Timestamp, &'static str> {
    use chrono::{DateTime, Datelike, Utc};

    let micros = i64::from_be_bytes(fixed(value)?).checked_add(EPOCH);
    micros
        .and_then(DateTime::<Utc>::from_timestamp_micros)
        .filter(|at| (0..=9999).contains(&at.year()))
        .map(Timestamp::from)
        .ok_or("is not a timestamp that viraldb can store in SQLite")
}

/// Returns the text of a JSON document.
fn document(value: &[u8]) -> Result<&[u8], &'static str> {
    match value {
        [JSONB, text @ ..] => Ok(text),
        _ => Err("has an unknown jsonb version"),
    }
}

fn fixed<const N: usize>(value: &[u8]) -> Result<[u8; N], &'static str> {
    value.try_into().map_err(|_| "does not have the type of its column in the schema")
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use super::super::row;
    use super::*;

    /// Converts a value that was read from SQLite to the transfer format and back.
    fn there_and_back(kind: Kind, native: &[u8]) -> Result<Bound<'static>, String> {
        let mut bytes = Vec::new();
        row::begin(&mut bytes, 1);
        from_sqlite(kind, native, &mut bytes)?;
        let value = row::fields(&bytes).next().flatten();
        Ok(match Bound::new(kind, value)? {
            Bound::Text(text) => Bound::Text(text.into_owned().into()),
            Bound::Integer(number) => Bound::Integer(number),
            Bound::Real(number) => Bound::Real(number),
            Bound::Null => Bound::Null,
        })
    }

    #[test]
    fn values_survive_a_round_trip() {
        for number in [0, 1, -1, i64::MIN, i64::MAX] {
            assert_eq!(there_and_back(Kind::Big, &number.to_be_bytes()), Ok(Bound::Integer(number)));
        }
        for number in [0.0, -0.0, 1e300, 5e-324, f64::INFINITY, f64::MAX, 0.1] {
            let Ok(Bound::Real(back)) = there_and_back(Kind::Double, &number.to_be_bytes()) else {
                panic!("{number}")
            };
            assert_eq!(back.to_bits(), number.to_bits());
        }
        let texts = [
            (Kind::Text, ""),
            (Kind::Text, "a\0b\u{fffd}"),
            (Kind::Uuid, "0190a000-0000-7000-8000-00000000000a"),
            (Kind::Time, "0000-01-01 00:00:00.000000"),
            (Kind::Time, "1969-12-31 23:59:59.999999"),
            (Kind::Time, "9999-12-31 23:59:59.999999"),
            (Kind::Json { bare: false }, " {\"a\" : 1}"),
            (Kind::Json { bare: true }, "5"),
        ];
        for (kind, text) in texts {
            assert_eq!(there_and_back(kind, text.as_bytes()), Ok(Bound::Text(text.into())), "{text}");
        }
        assert_eq!(
            there_and_back(Kind::Json { bare: true }, b"on \"x\""),
            Ok(Bound::Text(r#""on \"x\"""#.into()))
        );
        assert_eq!(
            there_and_back(Kind::Time, b"2026-01-01 00:00:00"),
            Ok(Bound::Text("2026-01-01 00:00:00.000000".into()))
        );
    }

    #[test]
    fn values_of_the_wrong_type_are_rejected() {
        for (kind, native) in [
            (Kind::Int, &(1_i64 << 31).to_be_bytes()[..]),
            (Kind::Bool, &2_i64.to_be_bytes()),
            (Kind::Bool, b"true"),
            (Kind::Text, b"\xff"),
            (Kind::Uuid, b"x"),
            (Kind::Time, b"tomorrow"),
        ] {
            assert!(there_and_back(kind, native).is_err(), "{kind:?}");
        }
        let infinity = i64::MAX.to_be_bytes();
        assert!(Kind::Time.fits(&infinity, Keeps::Sqlite).is_err());
        assert!(Kind::Double.fits(&f64::NAN.to_be_bytes(), Keeps::Sqlite).is_err());
        assert!(Kind::Double.fits(&f64::INFINITY.to_be_bytes(), Keeps::Sqlite).is_ok());
    }

    #[test]
    fn digest_ignores_the_sign_of_zero() {
        let canonical = |number: f64| {
            let mut out = Vec::new();
            Kind::Double.canonical(&number.to_be_bytes(), &mut out).unwrap();
            out
        };
        assert_eq!(canonical(-0.0), canonical(0.0));
        assert_ne!(canonical(5e-324), canonical(0.0));
        assert_eq!(canonical(f64::NAN), canonical(-f64::NAN));
    }
}
