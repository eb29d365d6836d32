//! Timestamps.

use std::fmt;
use std::ops::{Add, Sub};
use std::str::FromStr;
use std::time::Duration;

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, SecondsFormat, SubsecRound, TimeDelta, Utc};
use diesel::deserialize::FromSqlRow;
use diesel::expression::AsExpression;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{portable, sql};
use crate::{Error, Result};

/// A timestamp in UTC, with the microsecond precision that both engines store.
///
/// It prints as RFC 3339 (`2026-11-21T08:30:00Z`). It parses from RFC 3339 with any offset, from
/// `YYYY-MM-DD HH:MM:SS[.f…]`, and from a bare `YYYY-MM-DD`. The last two are read as UTC.
///
/// ```
/// use viraldb::Timestamp;
///
/// # fn main() -> viraldb::Result<()> {
/// let at: Timestamp = "2026-11-21 08:30:00".parse()?;
/// assert_eq!(at.to_string(), "2026-11-21T08:30:00Z");
/// assert_eq!(at, "2026-11-21T10:30:00+02:00".parse::<Timestamp>()?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, AsExpression, FromSqlRow)]
#[diesel(sql_type = sql::Timestamptz)]
pub struct Timestamp(DateTime<Utc>);

impl Timestamp {
    /// Returns the current time.
    pub fn now() -> Self {
        Utc::now().into()
    }

    /// Returns the timestamp as a chrono type.
    pub const fn to_utc(self) -> DateTime<Utc> {
        self.0
    }

    /// Returns the latest timestamp that both engines store, at the end of the year 9999.
    pub(crate) fn latest() -> Self {
        Self(DateTime::<Utc>::MAX_UTC).within_the_calendar()
    }

    /// Clamps the timestamp to the years 1 to 9999, because SQLite's text has only four digits for the year.
    fn within_the_calendar(self) -> Self {
        let edge = |year, month, day, second| {
            let day = NaiveDate::from_ymd_opt(year, month, day)?;
            let seconds = chrono::NaiveTime::from_num_seconds_from_midnight_opt(second, 0)?;
            Some(Self(day.and_time(seconds).and_utc()))
        };
        match (edge(1, 1, 1, 0), edge(9999, 12, 31, 86_399)) {
            (Some(first), Some(last)) => self.clamp(first, last),
            _ => self,
        }
    }

    /// Returns the hours from `earlier` to this timestamp. The result is negative if `earlier` is later.
    pub fn hours_since(self, earlier: Self) -> f64 {
        (self.0 - earlier.0).as_seconds_f64() / 3600.0
    }

    /// Returns the text that SQLite stores.
    ///
    /// It always has six fractional digits, so that equal timestamps are equal as text.
    #[cfg(any(feature = "sqlite", feature = "ops"))]
    pub(crate) fn to_sqlite(self) -> String {
        use chrono::Timelike;

        let at = self.0.naive_utc();
        let Ok(year @ 0..=9999) = u32::try_from(at.year()) else {
            return at.format("%Y-%m-%d %H:%M:%S%.6f").to_string();
        };
        // Format by hand: chrono's formatting takes longer than SQLite needs to write the row's index entry.
        let mut text = *b"0000-00-00 00:00:00.000000";
        for (range, mut number) in [
            (0..4, year),
            (5..7, at.month()),
            (8..10, at.day()),
            (11..13, at.hour()),
            (14..16, at.minute()),
            (17..19, at.second()),
            (20..26, at.nanosecond() / 1_000 % 1_000_000),
        ] {
            for digit in text[range].iter_mut().rev() {
                *digit = b'0' + (number % 10) as u8;
                number /= 10;
            }
        }
        text.iter().copied().map(char::from).collect()
    }

    /// Parses the text that [`Self::to_sqlite`] writes. Returns `None` for any other form.
    fn from_sqlite(text: &str) -> Option<Self> {
        let text: &[u8; 26] = text.as_bytes().try_into().ok()?;
        if [text[4], text[7], text[10], text[13], text[16], text[19]] != *b"-- ::." {
            return None;
        }
        let number = |range: std::ops::Range<usize>| {
            text[range].iter().try_fold(0_u32, |number, digit| {
                digit.is_ascii_digit().then(|| number * 10 + u32::from(digit - b'0'))
            })
        };
        let day = NaiveDate::from_ymd_opt(number(0..4)?.cast_signed(), number(5..7)?, number(8..10)?)?;
        let at = day.and_hms_micro_opt(number(11..13)?, number(14..16)?, number(17..19)?, number(20..26)?)?;
        Some(Self(at.and_utc()))
    }
}

/// Adds a duration. The result is at most the end of the year 9999, the last time that both engines can store.
impl Add<Duration> for Timestamp {
    type Output = Self;

    fn add(self, wait: Duration) -> Self {
        let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
        Self(self.0.checked_add_signed(wait).unwrap_or(DateTime::<Utc>::MAX_UTC)).within_the_calendar()
    }
}

/// Subtracts a duration. The result is at least the start of the year 1, the first time that both engines can store.
impl Sub<Duration> for Timestamp {
    type Output = Self;

    fn sub(self, wait: Duration) -> Self {
        let wait = TimeDelta::from_std(wait).unwrap_or(TimeDelta::MAX);
        Self(self.0.checked_sub_signed(wait).unwrap_or(DateTime::<Utc>::MIN_UTC)).within_the_calendar()
    }
}

/// Truncates the time to microseconds. SQLite rejects times outside the years 0 to 9999.
impl From<DateTime<Utc>> for Timestamp {
    fn from(at: DateTime<Utc>) -> Self {
        Self(at.trunc_subsecs(6))
    }
}

impl From<Timestamp> for DateTime<Utc> {
    fn from(at: Timestamp) -> Self {
        at.0
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0.to_rfc3339_opts(SecondsFormat::AutoSi, true))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    /// Parses any of the forms that [`Timestamp`] lists.
    ///
    /// # Errors
    /// `Invalid` if the text has another form, or the time is outside the years 0000 to 9999 in UTC.
    fn from_str(text: &str) -> Result<Self> {
        if let Some(at) = Self::from_sqlite(text) {
            return Ok(at);
        }
        let read = DateTime::parse_from_rfc3339(text).map(|at| at.to_utc());
        let read = read
            .or_else(|_| NaiveDateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f").map(|at| at.and_utc()));
        let read = read.or_else(|_| {
            NaiveDate::parse_from_str(text, "%Y-%m-%d")
                .map(|day| day.and_time(chrono::NaiveTime::MIN).and_utc())
        });
        let invalid = |reason: &str| Error::invalid(crate::quote::quoted(text), reason);
        match read {
            // PostgreSQL can store other years, but SQLite's text cannot, and the printed form does not parse.
            Ok(at) if !(0..=9999).contains(&at.year()) => {
                Err(invalid("is outside the years 0000 to 9999 in UTC"))
            }
            Ok(at) => Ok(at.into()),
            Err(_) => Err(invalid("is not a valid time; expected a time such as 2026-11-21T08:30:00Z")),
        }
    }
}

impl Serialize for Timestamp {
    fn serialize<S: Serializer>(&self, to: S) -> std::result::Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Timestamp {
    fn deserialize<D: Deserializer<'de>>(from: D) -> std::result::Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(serde::de::Error::custom)
    }
}

portable!(impl Timestamp: Timestamptz,
    postgres => |at, out| diesel::serialize::ToSql::<diesel::sql_types::Timestamptz, diesel::pg::Pg>::to_sql(&at.0, out),
    |raw| diesel::deserialize::FromSql::<diesel::sql_types::Timestamptz, diesel::pg::Pg>::from_sql(raw).map(Self),
    sqlite => |at| at.to_sqlite(),
    |text| Ok(text.parse()?));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_text_forms_parse_to_the_same_timestamp() {
        let at: Timestamp = "2020-08-12T10:20:30.5Z".parse().unwrap();
        for text in ["2020-08-12T12:20:30.5+02:00", "2020-08-12 10:20:30.5", "2020-08-12 10:20:30.500000"] {
            assert_eq!(text.parse::<Timestamp>().unwrap(), at, "{text}");
        }
        assert_eq!(at.to_string(), "2020-08-12T10:20:30.500Z");
        assert_eq!("2020-08-12".parse::<Timestamp>().unwrap().to_string(), "2020-08-12T00:00:00Z");
        for text in ["", "yesterday", "2020-13-01", "2020-08-12 25:00:00", "12:00:00"] {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }

    #[test]
    fn years_that_sqlite_cannot_store_are_rejected() {
        for text in [
            "-12026-11-21 08:30:00.123456",
            "+12026-11-21",
            "9999-12-31T23:59:59-01:00",
            "0000-01-01T00:00:00+01:00",
        ] {
            let error = text.parse::<Timestamp>().unwrap_err().to_string();
            assert!(error.ends_with("is outside the years 0000 to 9999 in UTC"), "{error}");
        }
        assert!("9999-12-31T23:59:59Z".parse::<Timestamp>().is_ok());
    }

    #[cfg(feature = "sqlite")]
    #[test]
    fn sqlite_text_has_a_fixed_width_and_sorts_chronologically() {
        let earlier: Timestamp = "2020-08-12T10:20:30Z".parse().unwrap();
        let later: Timestamp = "2020-08-12T10:20:30.000001Z".parse().unwrap();
        assert_eq!(earlier.to_sqlite(), "2020-08-12 10:20:30.000000");
        assert!(earlier.to_sqlite() < later.to_sqlite());
        for text in ["0000-01-01 00:00:00.000000", "2024-02-29 23:59:59.999999", "9999-12-31 12:34:56.789012"]
        {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_sqlite(), text);
        }
        for text in ["2023-02-29 00:00:00.000000", "2024-02-29 24:00:00.000000", "2024-02-29 00:00:00.00000x"]
        {
            assert!(text.parse::<Timestamp>().is_err(), "{text}");
        }
    }
}
