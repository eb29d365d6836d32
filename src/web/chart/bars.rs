//! Horizontal bars for rankings and histograms.

use maud::{Markup, html};

use super::Hue;
use super::figure::{self, Head, percent};
use super::scale::drawable;
use super::text::shortened;

/// One bar.
#[derive(Clone, Debug, Default)]
pub struct Bar<'a> {
    /// The text above the bar.
    pub label: &'a str,
    /// The length of the bar. `None`, NaN and infinity draw no bar.
    pub value: Option<f64>,
    /// A page about it. The label becomes a link.
    pub href: Option<&'a str>,
    /// The color.
    pub hue: Hue,
}

/// Draws horizontal bars in the given order.
///
/// The chart is a list with a text, a number and a bar in each entry. A screen reader reads it as a
/// list, so it needs no table next to it. Bars for negative values have their length and the class
/// `below`.
pub fn bars(head: &Head, bars: &[Bar]) -> Markup {
    let known = || bars.iter().filter_map(|bar| drawable(bar.value?));
    if known().next().is_none() {
        return figure::empty(head);
    }
    let longest = known().map(f64::abs).fold(0.0, f64::max);
    html! {
        figure class="chart" {
            figcaption { (head.title) }
            ol class="bars" {
                @for bar in bars {
                    @let value = bar.value.and_then(drawable);
                    @let share = value.map_or(0.0, |value| if longest > 0.0 { value.abs() / longest * 100.0 } else { 0.0 });
                    li {
                        @let label = shortened(bar.label, 200);
                        span class="label" title=(label) {
                            @match bar.href {
                                Some(href) => a href=(href) { (label) },
                                None => (label),
                            }
                        }
                        span class="value" { (value.map_or_else(|| "–".to_owned(), |value| head.unit.full(value))) }
                        svg aria-hidden="true" height="8" {
                            rect class="track" width="100%" height="8" rx="2" {}
                            @if share > 0.0 {
                                rect class={ (bar.hue.class()) @if value.is_some_and(|value| value < 0.0) { " below" } }
                                    width=(percent(share.max(0.5))) height="8" rx="2" {}
                            }
                        }
                    }
                }
            }
        }
    }
}
