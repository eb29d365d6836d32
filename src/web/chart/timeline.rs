//! Periods in rows over time.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::Hue;
use super::figure::{self, Data, Head, Key, percent};
use super::scale::{TimeScale, seconds};
use super::text::{NAME, Unit, date_and_time, shortened};

const ROW: f64 = 40.0;
/// The label of a row is above its bars.
const LABEL: f64 = 13.0;
const BAR_TOP: f64 = 19.0;
const BAR: f64 = 14.0;
/// A chart draws at most this many periods; the latest ones win.
const PERIODS: usize = 500;

/// One period in a row, such as a pipeline run.
#[derive(Clone, Debug)]
pub struct Period<'a> {
    /// When it started.
    pub from: DateTime<Utc>,
    /// When it ended. `None` if it goes on.
    pub until: Option<DateTime<Utc>>,
    /// Its status: the word of the legend.
    pub status: &'a str,
    /// The color of the status.
    pub hue: Hue,
    /// Its description, for the hover title and the table.
    pub label: &'a str,
    /// A page about it.
    pub href: Option<&'a str>,
}

/// One row of a timeline, such as a niche.
#[derive(Clone, Debug, Default)]
pub struct Row<'a> {
    /// The text above the row.
    pub label: &'a str,
    /// The periods in any order. Periods outside of the time axis are left out.
    pub periods: Vec<Period<'a>>,
}

/// Draws periods as bars in rows, from one time to another.
///
/// Periods with the color [`Hue::Bad`] also carry a cross, and periods that go on have an arrow at
/// their end, so that nobody has to tell them apart by color. `head.unit` is not used.
pub fn timeline(head: &Head, from: DateTime<Utc>, until: DateTime<Utc>, rows: &[Row]) -> Markup {
    let mut shown: Vec<(usize, &Period)> = rows
        .iter()
        .enumerate()
        .flat_map(|(index, row)| row.periods.iter().map(move |period| (index, period)))
        .filter(|(_, period)| period.from <= until && period.until.is_none_or(|end| end >= from))
        .collect();
    if shown.is_empty() {
        return figure::empty(head);
    }
    shown.sort_by_key(|(row, period)| (period.from, *row));
    let left_out = shown.len().saturating_sub(PERIODS);
    let shown = shown.split_off(left_out);
    let time = TimeScale::new(from, until);
    let height = rows.len() as f64 * ROW;
    let keys = keys(&shown);
    // Links inside an element with the role `img` cannot be reached by keyboard users.
    let role = if shown.iter().any(|(_, period)| period.href.is_some()) { "group" } else { "img" };
    let plot = html! {
        div class="plot wide" {
            svg role=(role) aria-label=(summary(head, rows, &shown, from, until)) height=(height) {
                g class="rows" {
                    @for (index, row) in rows.iter().enumerate() {
                        @let top = index as f64 * ROW;
                        rect class="track" y=(top + BAR_TOP) width="100%" height=(BAR) rx="2" {}
                        @let (short, long) = (shortened(row.label, 40), shortened(row.label, NAME));
                        @if short == long {
                            text y=(top + LABEL) { (long) }
                        } @else {
                            // The style sheet shows one of the two.
                            text class="long" y=(top + LABEL) { (long) title { (shortened(row.label, 1_000)) } }
                            text class="short" y=(top + LABEL) { (short) title { (shortened(row.label, 1_000)) } }
                        }
                    }
                }
                @for (row, period) in &shown { (bar(*row, period, &time, until)) }
                (figure::time_axis(&time, height, false))
            }
        }
    };
    figure::figure(head, &keys, &plot, &table(rows, &shown, left_out))
}

fn bar(row: usize, period: &Period, time: &TimeScale, until: DateTime<Utc>) -> Markup {
    let top = row as f64 * ROW + BAR_TOP;
    let (left, right) = (time.x(period.from), time.x(period.until.unwrap_or(until)));
    // Short periods stay visible. A bar at the right edge grows to the left.
    let width = (right - left).max(0.35);
    let left = left.min(100.0 - width);
    let words = format!("{}: {}\n{}", shortened(period.label, NAME), period.status, span(period));
    let drawn = html! {
        rect class=(period.hue.class()) x=(percent(left)) y=(top) width=(percent(width)) height=(BAR) rx="2" {
            title { (words) }
        }
        @if period.hue == Hue::Bad {
            text class={ "mark " (period.hue.class()) } x=(percent(left + width / 2.0)) y=(top + BAR / 2.0) dy=".35em" aria-hidden="true" { "×" }
        } @else if period.until.is_none() && width > 1.0 {
            text class={ "mark " (period.hue.class()) @if width < 5.0 { " tight" } } x=(percent(left + width)) y=(top + BAR / 2.0) dx="-5" dy=".35em" aria-hidden="true" { "›" }
        }
    };
    match period.href {
        Some(href) => html! { a href=(href) aria-label=(words.replace('\n', ", ")) { (drawn) } },
        None => drawn,
    }
}

/// Returns the statuses in order of their first period, with their numbers of periods.
fn keys<'a>(shown: &[(usize, &Period<'a>)]) -> Vec<Key<'a>> {
    let mut found: Vec<(&'a str, Hue, u32)> = Vec::new();
    for (_, period) in shown {
        match found.iter_mut().find(|key| key.0 == period.status) {
            Some(key) => key.2 += 1,
            None => found.push((period.status, period.hue, 1)),
        }
    }
    let key = |(name, hue, count)| Key { name, hue, figure: Unit::Count.full(f64::from(count)), line: false };
    found.into_iter().map(key).collect()
}

fn span(period: &Period) -> String {
    match period.until {
        Some(end) => format!(
            "{} – {} UTC ({})",
            date_and_time(period.from),
            date_and_time(end),
            Unit::Seconds.short(seconds(end - period.from))
        ),
        None => format!("since {} UTC", date_and_time(period.from)),
    }
}

fn summary(
    head: &Head,
    rows: &[Row],
    shown: &[(usize, &Period)],
    from: DateTime<Utc>,
    until: DateTime<Utc>,
) -> String {
    let counts: Vec<String> = keys(shown).iter().map(|key| format!("{} {}", key.figure, key.name)).collect();
    format!(
        "{}. {} rows from {} to {} UTC: {}. The data follow as a table.",
        head.title,
        rows.len(),
        date_and_time(from),
        date_and_time(until),
        counts.join(", ")
    )
}

fn table(rows: &[Row], shown: &[(usize, &Period)], left_out: usize) -> Data {
    let lines = shown.iter().rev().map(|(row, period)| {
        vec![
            match period.href {
                Some(href) => html! { a href=(href) { (period.label) } },
                None => html! { (period.label) },
            },
            html! { (rows.get(*row).map(|row| row.label).unwrap_or_default()) },
            html! { (period.status) },
            html! { (date_and_time(period.from)) },
            html! { (period.until.map_or_else(|| "–".to_owned(), date_and_time)) },
        ]
    });
    Data {
        columns: ["What", "Row", "Status", "From (UTC)", "Until (UTC)"].map(str::to_owned).to_vec(),
        rows: lines.collect(),
        note: if left_out > 0 { format!("The {left_out} oldest are left out.") } else { String::new() },
        numbers: 0,
    }
}
