//! Tiny lines for tables and cards.

use std::fmt::Write as _;

use maud::{Markup, html};

use super::figure::coordinate;
use super::scale::drawable;
use super::{Hue, Unit};

const WIDTH: f64 = 96.0;
const HEIGHT: f64 = 24.0;
/// Keeps the line and its last point within the picture.
const EDGE: f64 = 3.0;

/// Draws a line without axes. The values have equal distances; a missing value leaves a gap.
///
/// `name` says what the line shows, such as `Views in the last 30 days`. The text alternative adds
/// the first and the last value.
pub fn spark(name: &str, unit: Unit, hue: Hue, values: &[Option<f64>]) -> Markup {
    let values = thinned(values);
    let known: Vec<f64> = values.iter().flatten().copied().collect();
    let (Some(first), Some(last)) = (known.first(), known.last()) else {
        return html! { span class="nothing" { "no data" } };
    };
    let low = known.iter().copied().fold(f64::INFINITY, f64::min);
    let high = known.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let x = |index: usize| {
        let last = values.len().saturating_sub(1).max(1) as f64;
        EDGE + index as f64 / last * (WIDTH - 2.0 * EDGE)
    };
    let y = |value: f64| {
        let share = if high > low { (value - low) / (high - low) } else { 0.5 };
        HEIGHT - EDGE - share * (HEIGHT - 2.0 * EDGE)
    };
    let mut path = String::new();
    let mut gap = true;
    for (index, value) in values.iter().enumerate() {
        if let Some(value) = value {
            let command = if gap { 'M' } else { 'L' };
            // Writing to a String cannot fail.
            let _ = write!(path, "{command}{} {}", coordinate(x(index)), coordinate(y(*value)));
        }
        gap = value.is_none();
    }
    let end = values.iter().rposition(Option::is_some).unwrap_or_default();
    let words = format!("{name}: from {} to {}", unit.full(*first), unit.full(*last));
    html! {
        svg class={ "spark " (hue.class()) } role="img" aria-label=(words)
            viewBox={ "0 0 " (WIDTH) " " (HEIGHT) } width=(WIDTH) height=(HEIGHT) {
            title { (words) }
            path class="line" d=(path) {}
            circle cx=(coordinate(x(end))) cy=(coordinate(y(*last))) r="2.5" {}
        }
    }
}

/// Reduces long input to the last value of each of 96 slices, one for each pixel.
fn thinned(values: &[Option<f64>]) -> Vec<Option<f64>> {
    let size = values.len().div_ceil(WIDTH as usize).max(1);
    values.chunks(size).map(|chunk| chunk.iter().rev().find_map(|value| drawable((*value)?))).collect()
}
