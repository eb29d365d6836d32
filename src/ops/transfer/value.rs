//! How a value of each of the schema's types is read, written, and compared.
//!
//! On the way a value is the bytes that PostgreSQL's binary COPY has for it. SQLite's values are brought to that form
//! when they are read, and back when they are written.

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
    /// A byte for the version, always 1, and the document's text. With `bare`, text that is no JSON stands on SQLite
    /// for a JSON string.
    Json { bare: bool },
}

/// What a value must not be, because the database that it goes into does not keep it.
#[derive(Debug, Clone, Copy)]
pub(super) enum Keeps {
    Sqlite,
    Postgres,
}

/// The version of `jsonb` that PostgreSQL sends and takes.
const JSONB: u8 = 1;

/// Why a setting is refused that would be read as text on SQLite.
const UNREAD: &str = "is nested deeper than 127 levels, or holds a number that is too large for 64 bits; viraldb does not \
                      read such a setting";

/// The start of 2000, from which PostgreSQL counts, in microseconds of Unix time.
const EPOCH: i64 = 946_684_800_000_000;

/// Zero, and what is no number, as they are hashed: the engines keep neither the sign of the one nor the bits of the
/// other.
const ZERO: [u8; 8] = 0_f64.to_be_bytes();
const NOT_A_NUMBER: [u8; 8] = f64::NAN.to_be_bytes();

/// Columns that the database computes. They are not copied.
pub(super) const COMPUTED: [(&str, &str); 1] = [("videos", "status")];

impl Kind {
    /// The kind of a type as `schema.rs` names it.
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

    /// Adds what a value is hashed as.
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

    /// Refuses what the other database does not keep.
    pub(super) fn fits(self, value: &[u8], keeps: Keeps) -> Result<(), &'static str> {
        match (self, keeps) {
            (Self::Text, Keeps::Postgres) if value.contains(&0) => {
                Err("holds the character NUL, which PostgreSQL does not keep in text")
            }
            (Self::Double, Keeps::Sqlite) if f64::from_be_bytes(fixed(value)?).is_nan() => {
                Err("is NaN, which SQLite does not keep")
            }
            (Self::Json { bare: true }, Keeps::Sqlite)
                if serde_json::from_slice::<serde_json::Value>(document(value)?).is_err() =>
            {
                Err(UNREAD)
            }
            (Self::Time, Keeps::Sqlite) if moment(value).is_err() => {
                Err("lies outside the years 0 to 9999, which SQLite keeps")
            }
            _ => Ok(()),
        }
    }

    /// Refuses a document that serde_json does not read as it is.
    pub(super) fn require_readable(self, value: &[u8]) -> Result<(), &'static str> {
        match self {
            Self::Json { .. } => json::require_readable(document(value)?),
            _ => Ok(()),
        }
    }

    /// The value as people write it; of a key.
    pub(in crate::ops) fn shown(self, value: &[u8]) -> String {
        let shown = match self {
            Self::Big => fixed(value).map(|bytes| i64::from_be_bytes(bytes).to_string()),
            Self::Uuid => fixed(value).map(|bytes| uuid::Uuid::from_bytes(bytes).to_string()),
            _ => Ok(quoted(&String::from_utf8_lossy(value))),
        };
        shown.unwrap_or_default()
    }
}

/// A value of SQLite's as it is read: an INTEGER or a REAL in 8 bytes, or the bytes of a TEXT.
#[cfg(feature = "sqlite")]
pub(super) fn from_sqlite(kind: Kind, value: &[u8], row: &mut Vec<u8>) -> Result<(), String> {
    use super::row::push;

    let text = || std::str::from_utf8(value).map_err(|_| "is not UTF-8".to_owned());
    match kind {
        Kind::Big | Kind::Double => push(row, value),
        Kind::Int => {
            let number = i64::from_be_bytes(fixed(value)?);
            let number =
                i32::try_from(number).map_err(|_| format!("is {number}, which is no number of 32 bits"))?;
            push(row, &number.to_be_bytes());
        }
        Kind::Bool => match i64::from_be_bytes(fixed(value)?) {
            0 => push(row, &[0]),
            1 => push(row, &[1]),
            number => return Err(format!("is {number}, which is neither 0 nor 1")),
        },
        Kind::Text => push(row, text()?.as_bytes()),
        Kind::Uuid => {
            let uuid = uuid::Uuid::parse_str(text()?).map_err(|error| format!("is no UUID: {error}"))?;
            push(row, uuid.as_bytes());
        }
        Kind::Time => {
            let at: Timestamp = text()?.parse().map_err(|error: crate::Error| error.to_string())?;
            push(row, &(at.to_utc().timestamp_micros() - EPOCH).to_be_bytes());
        }
        Kind::Json { bare } => {
            let mut document = vec![JSONB];
            // As `ConfigValue` reads it.
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

/// A value as SQLite takes it.
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

/// A moment that SQLite keeps; infinity is none.
fn moment(value: &[u8]) -> Result<Timestamp, &'static str> {
    use chrono::{DateTime, Datelike, Utc};

    let micros = i64::from_be_bytes(fixed(value)?).checked_add(EPOCH);
    micros
        .and_then(DateTime::<Utc>::from_timestamp_micros)
        .filter(|at| (0..=9999).contains(&at.year()))
        .map(Timestamp::from)
        .ok_or("is no moment that SQLite keeps")
}

/// The text of a document.
fn document(value: &[u8]) -> Result<&[u8], &'static str> {
    match value {
        [JSONB, text @ ..] => Ok(text),
        _ => Err("is jsonb of an unknown version"),
    }
}

fn fixed<const N: usize>(value: &[u8]) -> Result<[u8; N], &'static str> {
    value.try_into().map_err(|_| "is not of the type that the schema says")
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use super::super::row;
    use super::*;

    /// What SQLite holds as it is read, brought to the form of the way and back.
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
    fn values_come_back_as_they_were() {
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
    fn what_is_not_of_its_type_is_refused() {
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
    fn zero_has_no_sign_in_a_digest() {
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
