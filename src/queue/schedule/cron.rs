//! Cron expressions in a time zone.

use std::fmt;

use cronexpr::jiff;
use cronexpr::{Crontab, FallbackTimezoneOption, ParseOptions};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};

use crate::chrono::DateTime;
use crate::quote::{one_line, quoted};
use crate::{Error, Result, Timestamp};

/// The fields of an expression, in their order.
const FIELDS: [&str; 5] = ["minute", "hour", "day of the month", "month", "day of the week"];

/// Words that stand for an expression.
const SHORTCUTS: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// Times in a time zone, as a cron expression describes them.
///
/// The expression has the five fields minute, hour, day of the month, month and day of the week. Each field is `*`, a number,
/// a range `1-5`, a list `1,15` or a step `*/15`; months and days of the week also have their English names. `L`, `15W` and
/// `5#3` mean the last day of the month, the weekday nearest to the 15th, and the third Friday. The words `@hourly`, `@daily`,
/// `@midnight`, `@weekly`, `@monthly`, `@yearly` and `@annually` are accepted too.
///
/// If both days are restricted, a time matches if either of them does. If one of them begins with `*`, both must match. This
/// is what cron does.
///
/// # Daylight saving time
///
/// When clocks are set forward, some local times do not exist. When they are set back, some exist twice. This is what happens
/// to such times:
///
/// | hour field | times that do not exist | times that exist twice |
/// |---|---|---|
/// | `*` | are left out | count both times |
/// | anything else | move forward with the clock: 02:30 becomes 03:30 | count the first time |
///
/// So `*/15 * * * *` runs every 15 minutes throughout, and `30 2 * * *` runs exactly once every day.
///
/// ```
/// use viraldb::queue::Cron;
///
/// # fn main() -> viraldb::Result<()> {
/// let mornings = Cron::parse("0 6 * * *", "Europe/Berlin")?;
/// let next = mornings.next_after("2026-07-01T12:00:00Z".parse()?)?;
/// assert_eq!(next.to_string(), "2026-07-02T04:00:00Z");
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Cron {
    text: String,
    /// The expression, read as if it was in UTC: it yields local times.
    local: Crontab,
    zone: TimeZone,
    /// Whether the hour field matches every hour.
    is_every_hour: bool,
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Cron({} {})", self.text, self.zone.iana_name().unwrap_or_default())
    }
}

impl Cron {
    /// Parses an expression. `time_zone` is a name of the IANA database, such as `Europe/Berlin` or `UTC`.
    ///
    /// The database of the operating system is used if there is one, and otherwise the one that is compiled in.
    ///
    /// # Errors
    /// [`Invalid`](Error::Invalid) if the expression or the name of the time zone is invalid.
    pub fn parse(cron: &str, time_zone: &str) -> Result<Self> {
        let text = SHORTCUTS.iter().find(|(word, _)| *word == cron.trim()).map_or(cron, |(_, text)| text);
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        if fields.len() != FIELDS.len() {
            let words = "or a word such as @daily";
            let reason = format!(
                "must have five fields (minute, hour, day of the month, month, day of the week) {words}, got {}",
                quoted(cron)
            );
            return Err(Error::invalid("cron", reason));
        }
        let local = parse(&fields.join(" ")).map_err(|why| {
            // Read the fields one by one to name the invalid one.
            let is_invalid = |at: &usize| {
                let mut alone = ["*"; FIELDS.len()];
                fields.get(*at).is_some_and(|field| {
                    alone[*at] = field;
                    parse(&alone.join(" ")).is_err()
                })
            };
            let named = (0..FIELDS.len()).find(is_invalid).map(|at| format!(" in the field {}", FIELDS[at]));
            let why = if why.is_empty() { "cannot be read".to_owned() } else { why };
            Error::invalid("cron", format!("{} is invalid{}: {why}", quoted(cron), named.unwrap_or_default()))
        })?;
        let is_every_hour = matches!(fields[1], "*" | "*/1" | "0-23");
        Ok(Self { text: cron.to_owned(), local, zone: zone(time_zone)?, is_every_hour })
    }

    /// Returns the first time after `at`.
    ///
    /// # Errors
    /// [`Invalid`](Error::Invalid) if there is none in the four years after `at`, as for 30 February.
    pub fn next_after(&self, at: Timestamp) -> Result<Timestamp> {
        const DAY: i64 = 24 * 3600 * 1_000_000;
        let start = at.to_utc().timestamp_micros();
        let instant = |micros| jiff::Timestamp::from_microsecond(micros).map_err(|_| self.never(at));
        // Clocks are rarely changed, and by less than a day. The smallest offset that is near makes the search begin early
        // enough for times that moved or that exist twice.
        let mut offset = i64::MAX;
        for near in [start.saturating_sub(DAY), start, start.saturating_add(DAY)] {
            offset = offset.min(self.zone.to_offset(instant(near)?).seconds().into());
        }
        let mut local = instant(start.saturating_add(offset * 1_000_000))?;
        let mut best: Option<jiff::Timestamp> = None;
        loop {
            let time = self.local.find_next(local).map_err(|_| self.never(at))?;
            local = time.timestamp();
            let time = time.datetime();
            let resolved = self.zone.to_ambiguous_zoned(time);
            let (times, is_certain) = match (resolved.offset(), self.is_every_hour) {
                (AmbiguousOffset::Unambiguous { offset }, _) => {
                    ([offset.to_timestamp(time).ok(), None], true)
                }
                (AmbiguousOffset::Gap { .. }, true) => ([None, None], false),
                // The offset from before the change, which is what moves the time forward.
                (AmbiguousOffset::Gap { before, .. }, false)
                | (AmbiguousOffset::Fold { before, .. }, false) => {
                    ([before.to_timestamp(time).ok(), None], false)
                }
                (AmbiguousOffset::Fold { before, after }, true) => {
                    ([before.to_timestamp(time).ok(), after.to_timestamp(time).ok()], false)
                }
            };
            let later = times.into_iter().flatten().filter(|time| time.as_microsecond() > start);
            best = later.chain(best).min();
            // After a time that exists once, all times are later. Before it, one that moved may be later than the next.
            if let (true, Some(best)) = (is_certain, best) {
                let best = DateTime::from_timestamp_micros(best.as_microsecond());
                return best.map(Timestamp::from).ok_or_else(|| self.never(at));
            }
        }
    }

    /// Returns the next `count` times after `at`.
    ///
    /// # Errors
    /// Those of [`next_after`](Self::next_after).
    pub fn next_times(&self, at: Timestamp, count: usize) -> Result<Vec<Timestamp>> {
        let mut last = at;
        let times = (0..count).map(|_| {
            last = self.next_after(last)?;
            Ok(last)
        });
        times.collect()
    }

    /// Returns a time as the local time of the zone with its offset, such as `2026-07-02T06:00:00+02:00`.
    pub fn local_time(&self, at: Timestamp) -> String {
        match jiff::Timestamp::from_microsecond(at.to_utc().timestamp_micros()) {
            Ok(time) => time.to_zoned(self.zone.clone()).strftime("%Y-%m-%dT%H:%M:%S%:z").to_string(),
            Err(_) => at.to_string(),
        }
    }

    fn never(&self, at: Timestamp) -> Error {
        Error::invalid("cron", format!("{} has no time in the four years after {at}", quoted(&self.text)))
    }
}

/// Reads an expression as local times. The error is the reason alone, which may be empty.
fn parse(text: &str) -> Result<Crontab, String> {
    let mut options = ParseOptions::default();
    options.fallback_timezone_option = FallbackTimezoneOption::UTC;
    cronexpr::parse_crontab_with(text, options).map_err(|error| {
        // The message shows the expression, and the reason after a mark below the place.
        let message = error.to_string();
        one_line(message.rsplit_once("^ ").map_or(message.as_str(), |(_, reason)| reason))
    })
}

fn zone(name: &str) -> Result<TimeZone> {
    TimeZone::get(name).or_else(|_| TimeZoneDatabase::bundled().get(name)).map_err(|_| {
        let reason = format!(
            "{} is unknown; expected a name of the IANA database such as Europe/Berlin or UTC",
            quoted(name)
        );
        Error::invalid("time zone", reason)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next(cron: &str, zone: &str, after: &str, count: usize) -> Vec<String> {
        let times = Cron::parse(cron, zone).unwrap().next_times(after.parse().unwrap(), count).unwrap();
        times.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn times_follow_the_clock_of_the_zone() {
        let mornings = Cron::parse("0 6 * * *", "Europe/Berlin").unwrap();
        assert_eq!(mornings.local_time("2026-07-02T04:00:00Z".parse().unwrap()), "2026-07-02T06:00:00+02:00");
        assert_eq!(next("0 6 * * *", "UTC", "2026-07-01T06:00:00Z", 1), ["2026-07-02T06:00:00Z"]);
        assert_eq!(
            next("0 6 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", 3),
            ["2026-10-24T04:00:00Z", "2026-10-25T05:00:00Z", "2026-10-26T05:00:00Z"]
        );
        assert_eq!(next("@weekly", "UTC", "2026-12-01T10:00:00.5Z", 1), ["2026-12-06T00:00:00Z"]);
        assert_eq!(next("0 0 29 FEB *", "UTC", "2026-01-01T00:00:00Z", 1), ["2028-02-29T00:00:00Z"]);
        for (word, _) in SHORTCUTS {
            assert_eq!(next(word, "Asia/Kolkata", "2026-12-01T10:00:00Z", 2).len(), 2, "{word}");
        }
    }

    #[test]
    fn fixed_hours_come_once_a_day_when_clocks_change() {
        // On 2026-03-29 the clocks of Berlin go from 02:00 to 03:00, at 01:00 UTC.
        for (after, expected) in [
            ("2026-03-28T01:30:00Z", ["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]),
            ("2026-03-29T01:10:00Z", ["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]),
        ] {
            assert_eq!(next("30 2 * * *", "Europe/Berlin", after, 2), expected);
        }
        // A time that moved onto another one counts once.
        assert_eq!(
            next("30 2,3 * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", 2),
            ["2026-03-29T01:30:00Z", "2026-03-30T00:30:00Z"]
        );
        // On 2026-10-25 they go from 03:00 back to 02:00, at 01:00 UTC.
        for after in ["2026-10-24T00:30:00Z", "2026-10-25T00:15:00Z"] {
            assert_eq!(
                next("30 2 * * *", "Europe/Berlin", after, 2),
                ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]
            );
        }
        for after in ["2026-10-25T00:30:00Z", "2026-10-25T01:15:00Z", "2026-10-25T01:30:00Z"] {
            assert_eq!(next("30 2 * * *", "Europe/Berlin", after, 1), ["2026-10-26T01:30:00Z"]);
        }
        // On Lord Howe Island clocks change by half an hour, so a time can move past another one.
        assert_eq!(
            next("20,35 2 * * *", "Australia/Lord_Howe", "2026-10-03T15:00:00Z", 2),
            ["2026-10-03T15:35:00Z", "2026-10-03T15:50:00Z"]
        );
    }

    #[test]
    fn every_hour_has_its_times_when_clocks_change() {
        for day in ["2026-03-29", "2026-10-25"] {
            let after = format!("{day}T00:10:00Z");
            let expected = ["00:15", "00:30", "00:45", "01:00", "01:15", "01:30", "01:45", "02:00"];
            let expected = expected.map(|time| format!("{day}T{time}:00Z"));
            assert_eq!(next("*/15 * * * *", "Europe/Berlin", &after, 8), expected);
        }
        // Samoa left out 30 December 2011.
        assert_eq!(
            next("0 12 * * *", "Pacific/Apia", "2011-12-29T00:00:00Z", 3),
            ["2011-12-29T22:00:00Z", "2011-12-30T22:00:00Z", "2011-12-31T22:00:00Z"]
        );
    }

    #[test]
    fn errors_name_the_field_and_fit_on_one_line() {
        for (cron, zone, expected) in [
            ("61 * * * *", "UTC", "cron \"61 * * * *\" is invalid in the field minute: "),
            ("0 6 * * FUNDAY", "UTC", "cron \"0 6 * * FUNDAY\" is invalid in the field day of the week: "),
            ("0 6 * *", "UTC", "cron must have five fields"),
            ("0 6 * * * UTC", "UTC", "cron must have five fields"),
            ("", "UTC", "cron must have five fields"),
            ("@reboot", "UTC", "cron must have five fields"),
            ("0 6 * * *", "Europe/Atlantis", "time zone \"Europe/Atlantis\" is unknown; "),
            ("0 6 * * *", "+02:00", "time zone \"+02:00\" is unknown; "),
            ("0 6 * * *", "", "time zone \"\" is unknown; "),
        ] {
            let error = Cron::parse(cron, zone).unwrap_err().to_string();
            assert!(error.starts_with(expected) && !error.contains('\n'), "{error}");
        }
        let never = Cron::parse("0 0 30 2 *", "UTC").unwrap();
        let error = never.next_after("2026-01-01T00:00:00Z".parse().unwrap()).unwrap_err().to_string();
        assert_eq!(error, "cron \"0 0 30 2 *\" has no time in the four years after 2026-01-01T00:00:00Z");
    }
}
