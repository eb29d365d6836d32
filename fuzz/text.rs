//! Fuzzes the parsers of short texts: URLs, durations and timestamps.

use proptest::prelude::*;
use viraldb::{DatabaseUrl, Timestamp};

use crate::duration::duration;
use crate::mutate::mutated_text;
use crate::runner::{check_message, expect, fuzz};

/// A password that does not occur in other texts by chance.
const SECRET: &str = "s3cr3tPlanted";

/// Returns the printed form of a URL, or the message of its error.
fn shown(url: &str) -> String {
    url.parse::<DatabaseUrl>().map_or_else(|error| error.to_string(), |url| format!("{url} {url:?}"))
}

#[test]
fn urls() {
    let scheme = prop_oneof![
        Just("postgres://"),
        Just("postgresql://"),
        Just("mysql://"),
        Just("postgresql+psycopg://")
    ];
    let part = "[a-z0-9%._\\[\\]:/?=&,+-]{0,12}";
    // The password is where libpq expects it.
    let given = (scheme, "[a-z]{0,6}", "[a-zA-Z0-9%!$*]{0,6}", part, part)
        .prop_map(|(scheme, user, more, host, rest)| format!("{scheme}{user}:{SECRET}{more}@{host}/{rest}"));
    fuzz("urls with a password", given, |url| check_message(&shown(&url), SECRET));
    let query = ("[a-z]{0,6}", "[a-z0-9.]{0,9}", "[a-zA-Z0-9%]{0,6}").prop_map(|(user, host, more)| {
        format!("postgres://{user}@{host}/d?sslmode=require&password={SECRET}{more}")
    });
    fuzz("urls with a password in the query", query, |url| check_message(&shown(&url), SECRET));

    let base = prop_oneof![
        Just("postgres://me:pw@host:5432,other:1/name?sslmode=require&pgbouncer=true".to_owned()),
        Just("postgresql+asyncpg://me@%2Fvar%2Frun/name".to_owned()),
        Just("sqlite:///var/lib/viral.db".to_owned()),
        Just("sqlite::memory:".to_owned()),
        "\\PC{0,40}",
    ];
    fuzz("urls, printed and read", mutated_text(base), |text| {
        let Ok(url) = text.parse::<DatabaseUrl>() else { return check_message(&shown(&text), "") };
        // Add the scheme, because viraldb recognizes a path without one only by its extension.
        let printed = match &url {
            // Only a path without a scheme may contain a question mark.
            DatabaseUrl::File(path) if path.display().to_string().contains('?') => path.display().to_string(),
            // To viraldb a third slash means the root folder. To SQLAlchemy it means the current folder.
            DatabaseUrl::File(path) if path.is_absolute() => format!("sqlite:///{}", path.display()),
            DatabaseUrl::File(path) => format!("sqlite://{}", path.display()),
            DatabaseUrl::Memory => "sqlite::memory:".to_owned(),
            DatabaseUrl::Postgres(_) => url.to_string(),
        };
        // The name and value of an unknown parameter are masked, so the URL cannot be read back.
        if printed.split(['?', '&']).any(|parameter| parameter == "***") {
            return check_message(&printed, "");
        }
        let again = printed.parse::<DatabaseUrl>();
        let is_same = again.as_ref().is_ok_and(|again| match &url {
            DatabaseUrl::Postgres(_) => again.to_string() == printed,
            _ => *again == url,
        });
        expect(is_same, || format!("{printed:?} was read back as {again:?}"))
    });
}

/// Parses a duration like the command line, and returns its `Debug` form.
fn length(text: &str) -> Result<String, String> {
    duration(text).map(|read| format!("{read:?}")).map_err(|error| error.to_string())
}

#[test]
fn durations() {
    let units = [("s", 1), ("m", 60), ("h", 3_600), ("d", 86_400)];
    fuzz("lengths of time", (1..100_000_u64, 0..units.len()), |(count, unit)| {
        let (unit, seconds) = units[unit];
        let expected = format!("{:?}", std::time::Duration::from_secs(count * seconds));
        let read = length(&format!("{count}{unit}"));
        expect(read.as_deref() == Ok(&*expected), || format!("{count}{unit} was read as {read:?}"))
    });
    let pairs = (1..1_000_u64, 0..60_u64, 0..60_u64).prop_map(|(hours, minutes, seconds)| {
        (format!("{hours}h {minutes}m {seconds}s"), hours * 3_600 + minutes * 60 + seconds)
    });
    fuzz("lengths of time in parts", pairs, |(text, seconds)| {
        let expected = format!("{:?}", std::time::Duration::from_secs(seconds));
        let read = length(&text);
        expect(read.as_deref() == Ok(&*expected), || format!("{text} was read as {read:?}"))
    });
    let base = prop_oneof![
        Just("1h 30m".to_owned()),
        Just("90s".to_owned()),
        Just("P1DT2H".to_owned()),
        "\\PC{0,20}",
        "[0-9.smhdwy -]{0,30}"
    ];
    fuzz("texts as lengths of time", mutated_text(base), |text| {
        length(&text).map_or_else(|message| check_message(&message, ""), |_| Ok(()))
    });
}

#[test]
fn times() {
    // Timestamps from the year 1 to 9999.
    let moments = (-62_135_596_800_i64..253_402_300_799, 0..1_000_000_u32);
    fuzz("times, printed and read", (moments, -1_439..1_440_i32), |((seconds, micros), minutes)| {
        let moment = chrono::DateTime::from_timestamp(seconds, micros * 1_000).unwrap();
        let time = Timestamp::from(moment);
        let again: Timestamp =
            time.to_string().parse().map_err(|error| TestCaseError::fail(format!("{time}: {error}")))?;
        expect(again == time, || format!("{time} became {again}"))?;
        // Read the same timestamp with another UTC offset.
        let offset = chrono::FixedOffset::east_opt(minutes * 60).unwrap();
        let text = moment.with_timezone(&offset).to_rfc3339();
        if text.len() == "2026-11-21T08:30:00+00:00".len() {
            let again: Timestamp =
                text.parse().map_err(|error| TestCaseError::fail(format!("{text}: {error}")))?;
            expect(again == time, || format!("{text} became {again}, expected {time}"))?;
        }
        Ok(())
    });
    let base = prop_oneof![
        Just("2026-11-21T08:30:00Z".to_owned()),
        Just("2026-11-21 08:30:00.123456".to_owned()),
        Just("2026-11-21T08:30:00.999999999+23:59".to_owned()),
        Just("2026-02-28".to_owned()),
        "\\PC{0,30}",
    ];
    fuzz("texts as times", mutated_text(base), |text| match text.parse::<Timestamp>() {
        Err(error) => check_message(&error.to_string(), ""),
        Ok(time) => {
            let again = time.to_string().parse::<Timestamp>();
            expect(again.as_ref().is_ok_and(|again| *again == time), || {
                format!("{text} was read as {time}, which was read back as {again:?}")
            })
        }
    });
}
