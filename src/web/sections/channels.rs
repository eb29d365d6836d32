//! The channels: subscribers and views over time, and how much they publish.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Serialize;

use super::{Scope, full, growth, nothing, short};
use crate::error::Result;
use crate::report::{self, ChannelPeriod, Publications};
use crate::types::ChannelId;
use crate::web::chart::{Buckets, Head, Hue, Line, Unit, columns, lines, spark};
use crate::web::components::{Column, grid, panel, section, table, wide_panel};
use crate::{DbConnection, Timestamp};

/// Maximum number of channels in the table.
const MOST: i64 = 25;
/// Number of channels in a chart. More lines cannot be told apart.
const SHOWN: usize = 6;

#[derive(Debug, Serialize)]
pub(in crate::web) struct Channels {
    pub series: Vec<ChannelPeriod>,
    pub publications: Vec<Publications>,
    /// The start of each period of the span.
    #[serde(skip)]
    periods: Vec<Timestamp>,
}

/// The samples of one channel.
struct Series<'a> {
    id: ChannelId,
    name: String,
    samples: &'a [ChannelPeriod],
}

impl Series<'_> {
    /// Returns the newest count.
    fn newest(&self, count: fn(&ChannelPeriod) -> i64) -> i64 {
        self.samples.last().map_or(0, count)
    }

    /// Returns by how much a count grew within the span.
    fn growth(&self, count: fn(&ChannelPeriod) -> i64) -> i64 {
        self.newest(count).saturating_sub(self.samples.first().map_or(0, count))
    }

    fn points(&self, count: fn(&ChannelPeriod) -> i64) -> Vec<(DateTime<Utc>, Option<f64>)> {
        self.samples.iter().map(|sample| (sample.start.to_utc(), Some(count(sample) as f64))).collect()
    }
}

impl Channels {
    pub fn read(conn: &mut DbConnection, scope: &Scope) -> Result<Self> {
        Ok(Self {
            series: report::channel_series(conn, &scope.span, scope.channel, MOST)?,
            publications: report::publications(conn, &scope.span, scope.channel)?,
            periods: scope.span.periods(),
        })
    }

    /// Returns the channels, the one with the most subscribers first.
    fn channels(&self) -> Vec<Series<'_>> {
        let mut channels: Vec<Series> = self
            .series
            .chunk_by(|a, b| a.channel_id == b.channel_id)
            .filter_map(|samples| {
                let first = samples.first()?;
                Some(Series { id: first.channel_id, name: short(&first.name, 60), samples })
            })
            .collect();
        channels.sort_by_key(|channel| std::cmp::Reverse(channel.newest(|sample| sample.subscriber_count)));
        channels
    }

    /// Returns the number of videos that a channel published, or all channels.
    fn published(&self, channel: Option<ChannelId>) -> i64 {
        let of =
            self.publications.iter().filter(|row| channel.is_none_or(|channel| row.channel_id == channel));
        of.map(|row| row.videos).sum()
    }

    pub fn render(&self, scope: &Scope) -> Markup {
        let channels = self.channels();
        let lead = format!(
            "The channels published {} videos in the last {}.",
            full(self.published(None)),
            scope.length
        );
        let shown = &channels[..channels.len().min(SHOWN)];
        let chart = |title: &str, count: fn(&ChannelPeriod) -> i64| {
            let series: Vec<Line> = shown
                .iter()
                .enumerate()
                .map(|(place, channel)| Line {
                    name: &channel.name,
                    hue: Hue::of_series(place),
                    points: channel.points(count),
                })
                .collect();
            lines(
                &Head { title, empty: "No statistics of channels in this period", ..Head::default() },
                scope.axis(),
                &series,
            )
        };
        let charts = grid(&[
            panel("", &chart("Subscribers", |sample| sample.subscriber_count)),
            panel("", &chart("Views of all videos", |sample| sample.view_count)),
            wide_panel("", &self.publications(scope)),
            wide_panel("Channels", &self.table(&channels, scope)),
        ]);
        section("channels", "Channels", &lead, &charts)
    }

    fn publications(&self, scope: &Scope) -> Markup {
        let title = format!("Published videos by {}", scope.every());
        let mut totals: BTreeMap<ChannelId, (i64, String)> = BTreeMap::new();
        for row in &self.publications {
            totals.entry(row.channel_id).or_insert_with(|| (0, short(&row.name, 60))).0 += row.videos;
        }
        let mut channels: Vec<(ChannelId, (i64, String))> = totals.into_iter().collect();
        channels.sort_by_key(|(_, (videos, _))| std::cmp::Reverse(*videos));
        let starts: Vec<DateTime<Utc>> = self.periods.iter().map(|start| start.to_utc()).collect();
        let values = |is_of: &dyn Fn(ChannelId) -> bool| {
            let mut values = vec![Some(0.0); self.periods.len()];
            for row in self.publications.iter().filter(|row| is_of(row.channel_id)) {
                if let Ok(place) = self.periods.binary_search(&row.start) {
                    values[place] = values[place].map(|sum| sum + row.videos as f64);
                }
            }
            values
        };
        let shown = &channels[..channels.len().min(SHOWN)];
        let mut series: Vec<Buckets> = shown
            .iter()
            .enumerate()
            .map(|(place, (channel, (_, name)))| Buckets {
                name,
                hue: Hue::of_series(place),
                values: values(&|id| id == *channel),
            })
            .collect();
        if channels.len() > SHOWN {
            let others = values(&|id| !shown.iter().any(|(channel, _)| *channel == id));
            series.push(Buckets { name: "other channels", hue: Hue::Muted, values: others });
        }
        columns(
            &Head { title: &title, empty: "No video was published in this period", ..Head::default() },
            &starts,
            &series,
        )
    }

    fn table(&self, channels: &[Series], scope: &Scope) -> Markup {
        let last = format!("Last {}", scope.length);
        let columns = [
            Column::text("Channel"),
            Column::number("Subscribers"),
            Column::number(&last),
            Column::number("Views"),
            Column::number(&last),
            Column::number("Published"),
            Column::text("Subscribers over time"),
        ];
        let rows: Vec<Vec<Markup>> = channels
            .iter()
            .enumerate()
            .map(|(place, channel)| {
                let values: Vec<Option<f64>> =
                    channel.samples.iter().map(|sample| Some(sample.subscriber_count as f64)).collect();
                vec![
                    scope.link("channels", channel.id, &html! { (channel.name) }),
                    html! { (full(channel.newest(|sample| sample.subscriber_count))) },
                    html! { (growth(channel.growth(|sample| sample.subscriber_count))) },
                    html! { (full(channel.newest(|sample| sample.view_count))) },
                    html! { (growth(channel.growth(|sample| sample.view_count))) },
                    html! { (full(self.published(Some(channel.id)))) },
                    spark("Subscribers", Unit::Count, Hue::of_series(place), &values),
                ]
            })
            .collect();
        let empty = nothing(
            "No channel was measured in this period.",
            "Ingest statistics with",
            "viraldb ingest FILE",
        );
        table("Channels", &columns, &rows, &empty)
    }
}
