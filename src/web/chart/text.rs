//! Numbers and times as short texts, for axes, labels and tables.

use std::borrow::Cow;

use chrono::{DateTime, Utc};

/// The unit of the values of a chart. It decides how numbers are written and which ticks are round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Unit {
    /// A plain number: `950`, `1.2k`, `3.4M`.
    #[default]
    Count,
    /// US dollars: `$0.35`, `$1.2k`.
    Dollars,
    /// A duration in seconds: `0.4 s`, `12 min`, `3 h`, `2 d`.
    Seconds,
    /// A size in bytes, in powers of 1,024: `512 B`, `1.5 MiB`.
    Bytes,
    /// A percentage from 0 to 100: `12%`.
    Percent,
}

impl Unit {
    /// Returns the value as a short text for axes and cards. NaN and infinity become an en dash.
    pub fn short(self, value: f64) -> String {
        if !value.is_finite() {
            return "–".to_owned();
        }
        let sign = if value < 0.0 { "−" } else { "" };
        let size = value.abs();
        match self {
            Self::Count => format!("{sign}{}", decimal(size)),
            Self::Dollars if size < 1_000.0 && size.fract() != 0.0 => format!("{sign}${size:.2}"),
            Self::Dollars => format!("{sign}${}", decimal(size)),
            Self::Seconds => format!("{sign}{}", duration(size)),
            Self::Bytes => format!("{sign}{}", bytes(size)),
            Self::Percent => format!("{sign}{}%", significant(size)),
        }
    }

    /// Returns the value in full for tables and hover titles: `12,345`, `$1,204.50`.
    ///
    /// Durations and sizes stay short, because nobody reads 86,400 seconds.
    pub fn full(self, value: f64) -> String {
        if !value.is_finite() {
            return "–".to_owned();
        }
        let sign = if value < 0.0 { "−" } else { "" };
        let size = value.abs();
        match self {
            Self::Count if size < 1e15 => {
                format!("{sign}{}", grouped(size, if size.fract() == 0.0 { 0 } else { 2 }))
            }
            Self::Dollars if size < 1e15 => format!("{sign}${}", grouped(size, 2)),
            _ => self.short(value),
        }
    }
}

/// Returns a size as `950`, `1.2k`, `3.4M`, `5.6B` or `7.8T`, and as a power of ten beyond that.
fn decimal(size: f64) -> String {
    const STEPS: [(f64, &str); 5] = [(1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"), (1.0, "")];
    if size >= 1e15 {
        return power(size);
    }
    for (index, (step, suffix)) in STEPS.into_iter().enumerate() {
        // 999,950 would be written as 1000k, so it gets the next suffix.
        let next = index.checked_sub(1).and_then(|before| STEPS.get(before));
        if size >= step {
            let scaled = size / step;
            return match next {
                Some((_, larger)) if scaled >= 999.5 => format!("1{larger}"),
                _ => format!("{}{suffix}", significant(scaled)),
            };
        }
    }
    significant(size)
}

/// Returns a number with two or three significant digits and no trailing zeros.
fn significant(size: f64) -> String {
    let text = match size {
        size if size >= 100.0 || size == 0.0 => format!("{size:.0}"),
        size if size >= 0.995 => format!("{size:.1}"),
        size if size >= 0.001 => format!("{size:.3}"),
        size => return power(size),
    };
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

/// Returns a number as a power of ten: `2.5e18`.
fn power(size: f64) -> String {
    format!("{size:.1e}").replace(".0e", "e")
}

/// Returns a number with thousands separators and a fixed number of decimals.
fn grouped(size: f64, decimals: usize) -> String {
    let text = format!("{size:.decimals$}");
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let mut grouped = String::with_capacity(text.len() + whole.len() / 3);
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped.push_str(rest);
    grouped
}

/// Returns a duration in its largest fitting unit.
fn duration(seconds: f64) -> String {
    const STEPS: [(f64, &str); 4] = [(86_400.0, "d"), (3_600.0, "h"), (60.0, "min"), (1.0, "s")];
    for (step, suffix) in STEPS {
        // 59.96 minutes would be written as 60 min, which is 1 h.
        if seconds >= step * 0.9995 && (step > 1.0 || seconds >= 1.0) {
            return format!(
                "{} {suffix}",
                if seconds / step >= 1e6 { decimal(seconds / step) } else { significant(seconds / step) }
            );
        }
    }
    match seconds {
        0.0 => "0 s".to_owned(),
        seconds => format!("{} ms", significant(seconds * 1_000.0)),
    }
}

/// Returns a size in powers of 1,024.
fn bytes(size: f64) -> String {
    const SUFFIXES: [&str; 6] = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
    let mut scaled = size;
    let mut suffix = SUFFIXES[0];
    for larger in &SUFFIXES[1..] {
        if scaled < 999.5 {
            break;
        }
        scaled /= 1_024.0;
        suffix = larger;
    }
    if scaled >= 1e6 {
        format!("{} {suffix}", power(scaled))
    } else {
        format!("{} {suffix}", significant(scaled))
    }
}

/// Returns a time for tables and hover titles: `Nov 21, 2026 08:30`.
pub fn date_and_time(at: DateTime<Utc>) -> String {
    at.format("%b %-d, %Y %H:%M").to_string()
}

/// Returns a day for tables and hover titles: `Nov 21, 2026`.
pub fn date(at: DateTime<Utc>) -> String {
    at.format("%b %-d, %Y").to_string()
}

/// Names are cut to this many characters in legends, hover titles and text alternatives.
pub(super) const NAME: usize = 100;

/// Returns a text cut to at most `longest` characters. The last one is an ellipsis if some are missing.
pub(super) fn shortened(text: &str, longest: usize) -> Cow<'_, str> {
    if text.chars().nth(longest).is_none() {
        return text.into();
    }
    let end = text.char_indices().nth(longest.saturating_sub(1)).map_or(text.len(), |(index, _)| index);
    format!("{}…", text.get(..end).unwrap_or_default()).into()
}
