//! The parts that all charts share: the frame with title, legend and data table, and the axes.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::Hue;
use super::scale::{Scale, TimeScale};
use super::text::{NAME, Unit, shortened};

/// The height of the plot in CSS pixels, without its labels.
pub(super) const HEIGHT: f64 = 180.0;

/// A data table has at most this many rows. Longer series are summarized.
pub(super) const TABLE_ROWS: usize = 240;

/// The title of a chart and what its values measure.
#[derive(Clone, Copy, Debug, Default)]
pub struct Head<'a> {
    /// The title: what is measured and by what, such as `Jobs finished by hour`.
    pub title: &'a str,
    /// The unit of the values.
    pub unit: Unit,
    /// Words for a chart without values, such as `No jobs finished in this period`.
    /// If empty, the chart says `No data in this period`.
    pub empty: &'a str,
}

/// One entry of a legend.
pub(super) struct Key<'a> {
    pub(super) name: &'a str,
    pub(super) hue: Hue,
    /// The total or the last value.
    pub(super) figure: String,
    /// True for a line, false for an area.
    pub(super) line: bool,
}

/// A table with the values of a chart. The first cell of a row is its header.
pub(super) struct Data {
    pub(super) columns: Vec<String>,
    pub(super) rows: Vec<Vec<Markup>>,
    /// Explains how the rows summarize a longer series. Empty if they do not.
    pub(super) note: String,
    /// The number of columns with numbers, counted from the right.
    pub(super) numbers: usize,
}

/// Returns a chart in its frame.
pub(super) fn figure(head: &Head, keys: &[Key], plot: &Markup, data: &Data) -> Markup {
    html! {
        figure class="chart" {
            figcaption { (head.title) }
            @if !keys.is_empty() {
                ul class="legend" {
                    @for key in keys {
                        li {
                            (swatch(key.hue, key.line))
                            (shortened(key.name, NAME))
                            @if !key.figure.is_empty() { " " b { (key.figure) } }
                        }
                    }
                }
            }
            (plot)
            details class="data" {
                summary { "Data" span class="hidden" { " of " (head.title) } }
                @if !data.note.is_empty() { p class="note" { (data.note) } }
                div class="scroll" tabindex="0" role="group" aria-label={ "Data of " (head.title) } {
                    table {
                        thead { tr {
                            @for (index, column) in data.columns.iter().enumerate() {
                                th scope="col" class=[data.class(index)] { (column) }
                            }
                        } }
                        tbody {
                            @for row in &data.rows {
                                tr {
                                    @for (index, cell) in row.iter().enumerate() {
                                        @if index == 0 { th scope="row" { (cell) } }
                                        @else { td class=[data.class(index)] { (cell) } }
                                    }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

impl Data {
    fn class(&self, index: usize) -> Option<&'static str> {
        (index + self.numbers >= self.columns.len()).then_some("num")
    }
}

/// Returns the frame of a chart without values.
pub(super) fn empty(head: &Head) -> Markup {
    let words = if head.empty.is_empty() { "No data in this period" } else { head.empty };
    html! {
        figure class="chart" {
            figcaption { (head.title) }
            p class="nothing" { (words) }
        }
    }
}

/// Returns the mark that connects a name in a legend with its color.
fn swatch(hue: Hue, line: bool) -> Markup {
    html! {
        svg class={ "swatch " (hue.class()) } viewBox="0 0 16 12" aria-hidden="true" {
            @if line { path class="line" d="M1 6H15" {} }
            @else { rect x="2" y="0" width="12" height="12" rx="2" {} }
        }
    }
}

/// Returns the horizontal grid lines with the numbers to their left.
pub(super) fn number_axis(scale: &Scale, unit: Unit) -> Markup {
    html! {
        g class="y" {
            @for tick in scale.ticks() {
                @let y = coordinate(scale.y(tick, HEIGHT));
                line class=[(tick == 0.0).then_some("zero")] x1="0" x2="100%" y1=(y) y2=(y) {}
                text x="-8" y=(y) dy=".32em" { (unit.short(tick)) }
            }
        }
    }
}

/// Returns the times below a plot.
///
/// `gutter` is true if there is room to the left of the plot, where the numbers are.
pub(super) fn time_axis(scale: &TimeScale, height: f64, gutter: bool) -> Markup {
    let bottom = coordinate(height);
    let end = coordinate(height + 5.0);
    let label = coordinate(height + 18.0);
    html! {
        g class="x" {
            @for tick in scale.ticks() {
                @let x = percent(tick.x);
                line x1=(x) x2=(x) y1=(bottom) y2=(end) {}
                // A label at an edge stays within the chart.
                @let place = match tick.x { x if x < 6.0 && !gutter => "start", x if x > 98.0 => "end", _ => "mid" };
                text class=(if tick.minor { format!("{place} minor") } else { place.to_owned() })
                    x=(x) y=(label) { (tick.label) }
            }
        }
    }
}

/// Returns an invisible rectangle over the whole height that shows `words` while the pointer is on it.
pub(super) fn hover(x: f64, width: f64, height: f64, words: &str) -> Markup {
    html! {
        rect class="hover" x=(percent(x)) width=(percent(width)) height=(coordinate(height)) { title { (words) } }
    }
}

/// Returns a coordinate with at most one decimal.
pub(super) fn coordinate(value: f64) -> String {
    let mut text = format!("{value:.1}");
    if text.ends_with(".0") {
        text.truncate(text.len() - 2);
    }
    if text == "-0" { "0".to_owned() } else { text }
}

/// Returns a percentage with at most two decimals.
pub(super) fn percent(value: f64) -> String {
    let text = format!("{value:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{}%", if text == "-0" { "0" } else { text })
}

/// Appends a filled rectangle to the data of a path.
pub(super) fn push_box(path: &mut String, x: f64, y: f64, width: f64, height: f64) {
    // Writing to a String cannot fail.
    let _ = write!(
        path,
        "M{} {}h{}v{}H{}z",
        coordinate(x),
        coordinate(y),
        coordinate(width),
        coordinate(height),
        coordinate(x)
    );
}
