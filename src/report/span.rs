//! The period of time that a report covers.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{Datelike, NaiveTime, TimeDelta, Timelike};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::series::Every;
use crate::types::Timestamp;

/// Maximum number of periods in a span. A chart cannot show more, and a query returns a row for each.
const MOST: i64 = 2_000;

/// A span of time, divided into hours, days or weeks in UTC.
///
/// ```
/// use viraldb::report::Span;
/// use viraldb::series::Every;
///
/// # fn main() -> viraldb::Result<()> {
/// let span = Span::new("2026-11-20".parse()?, "2026-11-23".parse()?, Every::Day)?;
/// assert_eq!(span.periods().len(), 3);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Span {
    /// Beginning of the span, inclusive.
    pub since: Timestamp,
    /// End of the span, exclusive.
    pub until: Timestamp,
    /// Length of a period.
    pub every: Every,
}

impl Span {
    /// Creates a span.
    ///
    /// # Errors
    /// `Invalid` if the span does not end after it begins, or has more than 2,000 periods.
    pub fn new(since: Timestamp, until: Timestamp, every: Every) -> Result<Self> {
        let span = || format!("the period from {since} to {until}");
        if until <= since {
            return Err(Error::invalid(span(), "must end after it begins"));
        }
        let periods = (until.to_utc() - since.to_utc()).num_seconds() / length(every).num_seconds();
        if periods >= MOST {
            let reason = format!(
                "has more than {MOST} periods of one {every}; choose a shorter span or longer periods"
            );
            return Err(Error::invalid(span(), reason));
        }
        Ok(Self { since, until, every })
    }

    /// Returns the span that ends now. It has hours up to three days, days up to four months, and weeks beyond. A span longer
    /// than 30 years becomes one of 30 years.
    pub fn last(length: Duration) -> Self {
        const DAY: Duration = Duration::from_secs(86_400);
        let length = length.clamp(Duration::from_secs(1), 30 * 365 * DAY);
        let every = match length {
            _ if length <= 3 * DAY => Every::Hour,
            _ if length <= 123 * DAY => Every::Day,
            _ => Every::Week,
        };
        let until = Timestamp::now();
        Self { since: until - length, until, every }
    }

    /// Returns the length of the span.
    pub fn length(&self) -> Duration {
        (self.until.to_utc() - self.since.to_utc()).to_std().unwrap_or_default()
    }

    /// Returns the start of each period that overlaps the span, oldest first.
    pub fn periods(&self) -> Vec<Timestamp> {
        let until = self.until.to_utc();
        let starts = std::iter::successors(Some(start_of(self.since, self.every).to_utc()), |start| {
            start.checked_add_signed(length(self.every))
        });
        starts.take_while(|start| *start < until).map(Timestamp::from).collect()
    }

    /// Returns one row for each period: the row that starts with the period, or else an empty one.
    pub(super) fn fill<T>(
        &self,
        rows: impl IntoIterator<Item = (Timestamp, T)>,
        empty: impl Fn(Timestamp) -> T,
    ) -> Vec<T> {
        let mut rows: HashMap<Timestamp, T> = rows.into_iter().collect();
        self.periods().into_iter().map(|start| rows.remove(&start).unwrap_or_else(|| empty(start))).collect()
    }
}

/// Returns the start of the period that contains a time. A week starts on Monday.
fn start_of(at: Timestamp, every: Every) -> Timestamp {
    let at = at.to_utc();
    let day = at.date_naive();
    let start = match every {
        Every::Hour => day.and_time(NaiveTime::MIN) + TimeDelta::hours(i64::from(at.hour())),
        Every::Day => day.and_time(NaiveTime::MIN),
        Every::Week => {
            let monday = TimeDelta::days(i64::from(day.weekday().num_days_from_monday()));
            day.checked_sub_signed(monday).unwrap_or(day).and_time(NaiveTime::MIN)
        }
    };
    start.and_utc().into()
}

const fn length(every: Every) -> TimeDelta {
    match every {
        Every::Hour => TimeDelta::hours(1),
        Every::Day => TimeDelta::days(1),
        Every::Week => TimeDelta::weeks(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_period_contains_the_beginning_of_the_span() {
        let starts =
            |every| Span::new(at("2026-12-02 10:30:00"), at("2026-12-08 00:00:00"), every).unwrap().periods();
        assert_eq!(starts(Every::Week), [at("2026-11-30"), at("2026-12-07")]);
        let days = starts(Every::Day);
        assert_eq!((days[0], days.len()), (at("2026-12-02"), 6), "the end is exclusive");
        assert_eq!(starts(Every::Hour)[0], at("2026-12-02 10:00:00"));
    }

    #[test]
    fn a_span_that_is_too_long_or_reversed_is_invalid() {
        assert!(Span::new(at("2026-01-01"), at("2026-01-01"), Every::Day).is_err());
        let error = Span::new(at("2026-01-01"), at("2027-01-01"), Every::Hour).unwrap_err().to_string();
        assert!(error.contains("more than 2000 periods of one hour"), "{error}");
    }

    #[test]
    fn the_last_span_chooses_its_periods_by_its_length() {
        let every = |days: u64| Span::last(Duration::from_secs(days * 86_400)).every;
        assert_eq!([every(1), every(30), every(365)], [Every::Hour, Every::Day, Every::Week]);
        assert!(Span::last(Duration::MAX).periods().len() < MOST as usize);
    }
}
