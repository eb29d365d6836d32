//! The page of a channel.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::cells::{children, facts};
use crate::browse::{self, ChannelView, Point, Series};
use crate::web::chart::{Head, Hue, Line, lines};
use crate::web::components::{grid, panel, section, wide_panel};

/// A series by day with fewer points is shown by hour.
const FEW: usize = 4;

/// Returns the page of a channel.
pub fn channel(view: &ChannelView, actions: Option<&Markup>) -> Markup {
    let Ok(of) = browse::table("channels") else { return html! {} };
    let key = &view.channel.key;
    html! {
        @if let Some(actions) = actions { div class="actions" { (actions) } }
        (section("statistics", "Statistics", "", &grid(&[
            panel("", &chart("Subscribers", &view.series, &[("subscribers", |point| point.subscribers)])),
            panel("", &chart("Views of all videos", &view.series, &[("views", |point| point.views)])),
        ])))
        (section("channel", "Channel", "", &wide_panel("", &facts(of, &view.channel, &["name"]))))
        (section("videos", "Videos", "", &wide_panel("", &children(
            "Videos", &view.videos, key,
            &["source_title", "status", "source_platform", "published_at", "created_at"],
            ("The channel has no videos.", "viraldb source-videos add"),
        ))))
        (section("jobs", "Jobs", "", &wide_panel("", &children(
            "Jobs", &view.jobs, key,
            &["id", "job_type", "status", "attempts", "queued_at", "completed_at", "error_message"],
            ("The channel has no jobs.", ""),
        ))))
    }
}

/// A count of a point.
type Count = fn(&Point) -> Option<i64>;

/// Returns a chart of counts over time.
pub(super) fn chart(title: &str, series: &Series, counts: &[(&str, Count)]) -> Markup {
    let is_by_hour = series.days.len() < FEW && series.hours.len() > series.days.len();
    let points = if is_by_hour { &series.hours } else { &series.days };
    let drawn: Vec<Line> = counts
        .iter()
        .enumerate()
        .map(|(place, (name, count))| Line {
            name,
            hue: Hue::of_series(place),
            points: points
                .iter()
                .map(|point| (point.at.to_utc(), count(point).map(|count| count as f64)))
                .collect::<Vec<(DateTime<Utc>, Option<f64>)>>(),
        })
        .collect();
    lines(&Head { title, empty: "It was not measured in the last year", ..Head::default() }, None, &drawn)
}
