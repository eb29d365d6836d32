//! Stacked columns over time.

use chrono::{DateTime, TimeDelta, Utc};
use maud::{Markup, html};

use super::Hue;
use super::figure::{self, Data, HEIGHT, Head, Key, TABLE_ROWS};
use super::scale::{Scale, TimeScale, drawable, seconds};
use super::text::{NAME, date, date_and_time, shortened};

/// The values of one series in buckets of time, such as the completed jobs of each hour.
#[derive(Clone, Debug, Default)]
pub struct Buckets<'a> {
    /// The name in the legend.
    pub name: &'a str,
    /// The color.
    pub hue: Hue,
    /// One value for each bucket. Missing values and values that are not finite draw nothing.
    pub values: Vec<Option<f64>>,
}

/// Draws stacked columns, one for each bucket of time.
///
/// `starts` holds the start of each bucket in ascending order; a bucket ends where the next one
/// starts. Negative values are stacked below zero. Neighboring buckets are added up if there are
/// more than 240, so this chart is for values that can be added, such as counts and costs.
pub fn columns(head: &Head, starts: &[DateTime<Utc>], series: &[Buckets]) -> Markup {
    let merged = Merged::new(starts, series);
    let Some((low, high)) = merged.range() else {
        return figure::empty(head);
    };
    let scale = Scale::around(low.min(0.0), high.max(0.0), head.unit);
    let Some((from, until)) = merged.ends.first().map(|end| end.0).zip(merged.ends.last().map(|end| end.1))
    else {
        return figure::empty(head);
    };
    let time = TimeScale::new(from, until);
    let mut paths = vec![String::new(); series.len()];
    let mut hovers = Vec::with_capacity(merged.ends.len());
    for (index, (start, end)) in merged.ends.iter().enumerate() {
        let (left, right) = (time.x(*start), time.x(*end));
        let gap = ((right - left) * 0.12).min(0.4);
        let (mut above, mut below) = (0.0, 0.0);
        for (path, values) in paths.iter_mut().zip(&merged.values) {
            let value = values.get(index).copied().flatten().unwrap_or(0.0);
            let base = if value < 0.0 { &mut below } else { &mut above };
            let (y0, y1) = (scale.y(*base, HEIGHT), scale.y(*base + value, HEIGHT));
            *base += value;
            if value != 0.0 {
                // The smallest value is still visible, or one failure among 10,000 jobs would be lost.
                let height = (y0 - y1).abs().max(1.0);
                let top = if value < 0.0 { y0 } else { y0 - height };
                figure::push_box(path, (left + gap) * 100.0, top, (right - left - 2.0 * gap) * 100.0, height);
            }
        }
        hovers.push(figure::hover(left, right - left, HEIGHT, &merged.words(index, head, series)));
    }
    let totals: Vec<f64> = merged.values.iter().map(|values| values.iter().flatten().sum()).collect();
    let keys: Vec<Key> = series
        .iter()
        .zip(&totals)
        .map(|(one, total)| Key {
            name: one.name,
            hue: one.hue,
            figure: head.unit.short(*total),
            line: false,
        })
        .collect();
    let plot = html! {
        div class="plot" {
            svg role="img" aria-label=(merged.summary(head, series, &totals)) height=(HEIGHT) {
                (figure::number_axis(&scale, head.unit))
                svg viewBox={ "0 0 10000 " (HEIGHT) } preserveAspectRatio="none" width="100%" height=(HEIGHT) {
                    @for (one, path) in series.iter().zip(&paths) {
                        path class=(one.hue.class()) d=(path) {}
                    }
                }
                (figure::time_axis(&time, HEIGHT, true))
                @for hover in &hovers { (hover) }
            }
        }
    };
    figure::figure(head, &keys, &plot, &merged.table(head, series))
}

/// The buckets, with neighbors added up where there are too many.
struct Merged {
    ends: Vec<(DateTime<Utc>, DateTime<Utc>)>,
    values: Vec<Vec<Option<f64>>>,
    /// How many buckets were added up to one.
    size: usize,
}

impl Merged {
    fn new(starts: &[DateTime<Utc>], series: &[Buckets]) -> Self {
        let size = starts.len().div_ceil(TABLE_ROWS).max(1);
        let last = match starts {
            [.., before, last] => *last - *before,
            _ => TimeDelta::hours(1),
        };
        let ends = starts
            .chunks(size)
            .enumerate()
            .filter_map(|(index, chunk)| {
                let next = starts.get((index + 1) * size).copied();
                let end = next.or_else(|| chunk.last()?.checked_add_signed(last));
                chunk.first().copied().zip(end)
            })
            .collect();
        let add = |chunk: &[Option<f64>]| {
            let found: Vec<f64> = chunk.iter().flatten().copied().filter_map(drawable).collect();
            (!found.is_empty()).then(|| found.iter().sum())
        };
        let values = series
            .iter()
            .map(|one| one.values[..one.values.len().min(starts.len())].chunks(size).map(add).collect())
            .collect();
        Self { ends, values, size }
    }

    /// Returns the lowest and the highest stack, or `None` if there is no value.
    fn range(&self) -> Option<(f64, f64)> {
        let mut range: Option<(f64, f64)> = None;
        for index in 0..self.ends.len() {
            let at = || self.values.iter().filter_map(|values| values.get(index).copied().flatten());
            let Some(_) = at().next() else { continue };
            let above: f64 = at().filter(|value| *value > 0.0).sum();
            let below: f64 = at().filter(|value| *value < 0.0).sum();
            let (low, high) = range.unwrap_or((below, above));
            range = Some((low.min(below), high.max(above)));
        }
        range
    }

    fn time(&self, index: usize) -> String {
        let Some((start, end)) = self.ends.get(index) else { return String::new() };
        let length = seconds(*end - *start);
        match length {
            length if length < 86_400.0 => format!("{}–{}", date_and_time(*start), end.format("%H:%M")),
            length if length < 2.0 * 86_400.0 => date(*start),
            _ => format!("{} – {}", date(*start), date(*end - TimeDelta::seconds(1))),
        }
    }

    fn words(&self, index: usize, head: &Head, series: &[Buckets]) -> String {
        let mut words = self.time(index);
        for (one, values) in series.iter().zip(&self.values) {
            let value = values.get(index).copied().flatten();
            let text = value.map_or_else(|| "–".to_owned(), |value| head.unit.full(value));
            words.push_str(&format!("\n{}: {text}", shortened(one.name, NAME)));
        }
        words
    }

    fn summary(&self, head: &Head, series: &[Buckets], totals: &[f64]) -> String {
        let mut words = format!("{}. Columns", head.title);
        if let (Some((from, _)), Some((_, until))) = (self.ends.first(), self.ends.last()) {
            words.push_str(&format!(" from {} to {} UTC", date_and_time(*from), date_and_time(*until)));
        }
        for (one, total) in series.iter().zip(totals) {
            words.push_str(&format!("; {}: {} in total", shortened(one.name, NAME), head.unit.full(*total)));
        }
        words.push_str(". The data follow as a table.");
        words
    }

    fn table(&self, head: &Head, series: &[Buckets]) -> Data {
        let columns = std::iter::once("Time (UTC)".to_owned())
            .chain(series.iter().map(|one| shortened(one.name, NAME).into_owned()));
        let rows = (0..self.ends.len()).rev().map(|index| {
            let cells = self.values.iter().map(|values| {
                let value = values.get(index).copied().flatten();
                html! { (value.map_or_else(|| "–".to_owned(), |value| head.unit.full(value))) }
            });
            std::iter::once(html! { (self.time(index)) }).chain(cells).collect()
        });
        let note = match self.size {
            1 => String::new(),
            size => format!("Each row adds up {size} intervals."),
        };
        Data { columns: columns.collect(), rows: rows.collect(), note, numbers: series.len() }
    }
}
