//! Lines over time.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::Hue;
use super::figure::{self, Data, HEIGHT, Head, Key, TABLE_ROWS, coordinate, percent};
use super::scale::{Scale, TimeScale, drawable, seconds};
use super::text::{NAME, date, date_and_time, shortened};

/// A line is drawn from the extremes of this many slices of the width.
const SLICES: usize = 480;

/// One series over time.
#[derive(Clone, Debug, Default)]
pub struct Line<'a> {
    /// The name in the legend.
    pub name: &'a str,
    /// The color.
    pub hue: Hue,
    /// The samples in ascending order of time. `None`, NaN and infinity leave a gap.
    pub points: Vec<(DateTime<Utc>, Option<f64>)>,
}

/// Draws one or more lines over a common time axis, which covers `span` if it is given, and all points.
///
/// A long series is reduced to the lowest and highest value of each of 480 slices, so that no peak
/// is lost. A single line that starts at zero is filled.
pub fn lines(head: &Head, span: Option<(DateTime<Utc>, DateTime<Utc>)>, series: &[Line]) -> Markup {
    let known = || {
        series
            .iter()
            .flat_map(|line| &line.points)
            .filter_map(|(at, value)| Some((*at, drawable((*value)?)?)))
    };
    let Some((first, value)) = known().next() else {
        return figure::empty(head);
    };
    let (from, until) = span.unwrap_or((first, first));
    let mut range = (from, until, value, value);
    for (at, value) in known() {
        range = (range.0.min(at), range.1.max(at), range.2.min(value), range.3.max(value));
    }
    let (from, until, low, high) = range;
    let time = TimeScale::new(from, until);
    let scale = Scale::for_lines(low, high, head.unit);
    let drawn: Vec<Drawn> = series.iter().map(|line| Drawn::new(line, &time, &scale)).collect();
    let fill = series.len() == 1 && scale.starts_at_zero();
    let keys: Vec<Key> = series
        .iter()
        .map(|line| {
            let last = line.points.iter().rev().find_map(|(_, value)| drawable((*value)?));
            let figure = last.map_or_else(|| "no data".to_owned(), |value| head.unit.short(value));
            Key { name: line.name, hue: line.hue, figure, line: true }
        })
        .collect();
    let slots = Slots::new(series, &time);
    let plot = html! {
        div class="plot" {
            svg role="img" aria-label=(summary(head, series, from, until)) height=(HEIGHT) {
                (figure::number_axis(&scale, head.unit))
                svg viewBox={ "0 0 10000 " (HEIGHT) } preserveAspectRatio="none" width="100%" height=(HEIGHT) {
                    @for (line, drawn) in series.iter().zip(&drawn) {
                        @if fill { path class={ "fill " (line.hue.class()) } d=(drawn.area) {} }
                        path class={ "line " (line.hue.class()) } d=(drawn.path) {}
                    }
                }
                @for (line, drawn) in series.iter().zip(&drawn) {
                    @for (x, y) in drawn.dots.iter().take(TABLE_ROWS) {
                        circle class=(line.hue.class()) cx=(percent(*x)) cy=(coordinate(*y)) r="3" {}
                    }
                }
                (figure::time_axis(&time, HEIGHT, true))
                @for index in 0..slots.times.len() {
                    @let (x, width) = slots.place(index, &time);
                    (figure::hover(x, width, HEIGHT, &slots.words(index, head, series)))
                }
            }
        }
    };
    figure::figure(head, &keys, &plot, &slots.table(head, series))
}

/// A line in the coordinates of the plot.
#[derive(Default)]
struct Drawn {
    path: String,
    area: String,
    /// Points without neighbors, and the last point of the line.
    dots: Vec<(f64, f64)>,
}

impl Drawn {
    fn new(line: &Line, time: &TimeScale, scale: &Scale) -> Self {
        let mut drawn = Self::default();
        let mut stretch: Vec<(f64, f64)> = Vec::new();
        for (at, value) in &line.points {
            match value.and_then(drawable) {
                Some(value) => stretch.push((time.x(*at), scale.y(value, HEIGHT))),
                None => drawn.add(&std::mem::take(&mut stretch)),
            }
        }
        drawn.add(&stretch);
        let last = line.points.iter().rev().find_map(|(at, value)| Some((*at, drawable((*value)?)?)));
        if let Some((at, value)) = last {
            let dot = (time.x(at), scale.y(value, HEIGHT));
            if drawn.dots.last() != Some(&dot) {
                drawn.dots.push(dot);
            }
        }
        drawn
    }

    /// Adds a stretch of points without a gap.
    fn add(&mut self, stretch: &[(f64, f64)]) {
        let points = reduced(stretch);
        let (Some(first), Some(last)) = (points.first(), points.last()) else { return };
        if points.len() == 1 {
            self.dots.push(*first);
            return;
        }
        let start = self.path.len();
        for (index, (x, y)) in points.iter().enumerate() {
            let command = if index == 0 { 'M' } else { 'L' };
            // Writing to a String cannot fail.
            let _ = write!(self.path, "{command}{} {}", (x * 100.0).round(), coordinate(*y));
        }
        let bottom = coordinate(HEIGHT);
        let (left, right) = ((first.0 * 100.0).round(), (last.0 * 100.0).round());
        let stretch = self.path.get(start..).unwrap_or_default();
        let _ = write!(self.area, "{stretch}L{right} {bottom}L{left} {bottom}z");
    }
}

/// Keeps the first, lowest, highest and last point of each slice of the width.
fn reduced(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    if points.len() <= SLICES * 2 {
        return points.to_vec();
    }
    let slice = |point: &(f64, f64)| (point.0 / 100.0 * SLICES as f64) as usize;
    let mut kept = Vec::with_capacity(SLICES * 4);
    for chunk in points.chunk_by(|a, b| slice(a) == slice(b)) {
        let by_height = |a: &usize, b: &usize| chunk[*a].1.total_cmp(&chunk[*b].1);
        let low = (0..chunk.len()).min_by(by_height).unwrap_or_default();
        let high = (0..chunk.len()).max_by(by_height).unwrap_or_default();
        let mut indexes = vec![0, low, high, chunk.len() - 1];
        indexes.sort_unstable();
        indexes.dedup();
        kept.extend(indexes.into_iter().filter_map(|index| chunk.get(index)));
    }
    kept
}

/// The times that can be pointed at, with the value of each line at that time.
struct Slots {
    times: Vec<DateTime<Utc>>,
    values: Vec<Vec<Option<f64>>>,
    /// True if the slots summarize several points.
    summarized: bool,
    length: f64,
}

impl Slots {
    fn new(series: &[Line], time: &TimeScale) -> Self {
        let mut times: Vec<DateTime<Utc>> =
            series.iter().flat_map(|line| line.points.iter().map(|point| point.0)).collect();
        times.sort_unstable();
        times.dedup();
        // The last time of a slot stands for it.
        let size = times.len().div_ceil(TABLE_ROWS).max(1);
        let summarized = size > 1;
        let times: Vec<DateTime<Utc>> =
            times.chunks(size).filter_map(|chunk| chunk.last().copied()).collect();
        let values = series.iter().map(|line| last_in_each(line, &times)).collect();
        Self { times, values, summarized, length: seconds(time.length()) }
    }

    /// Returns the left edge and the width of a slot in percent.
    fn place(&self, index: usize, time: &TimeScale) -> (f64, f64) {
        let x = |index: usize| self.times.get(index).map(|at| time.x(*at));
        let here = x(index).unwrap_or_default();
        let left = index.checked_sub(1).and_then(x).map_or(0.0, |before| (before + here) / 2.0);
        let right = x(index + 1).map_or(100.0, |after| (here + after) / 2.0);
        (left, right - left)
    }

    fn time(&self, at: DateTime<Utc>) -> String {
        let daily =
            self.length >= 3.0 * 86_400.0 && self.times.iter().all(|at| at.time() == chrono::NaiveTime::MIN);
        if daily { date(at) } else { date_and_time(at) }
    }

    fn words(&self, index: usize, head: &Head, series: &[Line]) -> String {
        let mut words = self.times.get(index).map(|at| self.time(*at)).unwrap_or_default();
        for (line, values) in series.iter().zip(&self.values) {
            if let Some(value) = values.get(index).copied().flatten() {
                let _ = write!(words, "\n{}: {}", shortened(line.name, NAME), head.unit.full(value));
            }
        }
        words
    }

    fn table(&self, head: &Head, series: &[Line]) -> Data {
        let columns = std::iter::once("Time (UTC)".to_owned())
            .chain(series.iter().map(|line| shortened(line.name, NAME).into_owned()));
        let rows = self.times.iter().enumerate().rev().map(|(index, at)| {
            let cells = self.values.iter().map(|values| {
                let value = values.get(index).copied().flatten();
                html! { (value.map_or_else(|| "–".to_owned(), |value| head.unit.full(value))) }
            });
            std::iter::once(html! { (self.time(*at)) }).chain(cells).collect()
        });
        let note =
            if self.summarized { "Each row is the last value of several.".to_owned() } else { String::new() };
        Data { columns: columns.collect(), rows: rows.collect(), note, numbers: series.len() }
    }
}

/// Returns the last value of a line in each slot.
fn last_in_each(line: &Line, times: &[DateTime<Utc>]) -> Vec<Option<f64>> {
    let mut points = line.points.iter().peekable();
    times
        .iter()
        .map(|end| {
            let mut last = None;
            while let Some((_, value)) = points.next_if(|(at, _)| at <= end) {
                last = value.and_then(drawable).or(last);
            }
            last
        })
        .collect()
}

fn summary(head: &Head, series: &[Line], from: DateTime<Utc>, until: DateTime<Utc>) -> String {
    let mut words =
        format!("{}. Lines from {} to {} UTC", head.title, date_and_time(from), date_and_time(until));
    for line in series {
        let mut known = line.points.iter().filter_map(|(_, value)| drawable((*value)?));
        let first = known.next();
        let last = known.next_back().or(first);
        if let (Some(first), Some(last)) = (first, last) {
            let _ = write!(
                words,
                "; {}: from {} to {}",
                shortened(line.name, NAME),
                head.unit.full(first),
                head.unit.full(last)
            );
        }
    }
    words.push_str(". The data follow as a table.");
    words
}
