//! The discovered videos: the top lists, and their ages.

use maud::Markup;
use serde::Serialize;

use super::{Scope, full, short};
use crate::DbConnection;
use crate::error::Result;
use crate::report::{self, TopBy, TopVideo, VideoAge};
use crate::web::chart::{Bar, Head, Hue, bars};
use crate::web::components::{grid, panel, section};

/// Length of the top lists.
const TOP: i64 = 10;

#[derive(Debug, Serialize)]
pub(in crate::web) struct Videos {
    pub by_views: Vec<TopVideo>,
    pub by_velocity: Vec<TopVideo>,
    pub by_growth: Vec<TopVideo>,
    pub ages: Vec<VideoAge>,
}

impl Videos {
    pub fn read(conn: &mut DbConnection, scope: &Scope) -> Result<Self> {
        let mut top = |by| report::top_videos(conn, &scope.span, scope.niche(), by, TOP);
        Ok(Self {
            by_views: top(TopBy::Views)?,
            by_velocity: top(TopBy::Velocity)?,
            by_growth: top(TopBy::Growth)?,
            ages: report::video_ages(conn, scope.niche())?,
        })
    }

    pub fn render(&self, scope: &Scope) -> Markup {
        let all: i64 = self.ages.iter().map(|age| age.videos).sum();
        let lead = format!(
            "The lists compare the videos that were discovered in the last {}, out of {} in the database.",
            scope.length,
            full(all)
        );
        let charts = grid(&[
            panel(
                "",
                &list("Most views", &self.by_views, Hue::One, scope, |video| {
                    video.view_count.map(|views| views as f64)
                }),
            ),
            panel(
                "",
                &list(
                    "Most views per hour since publication",
                    &self.by_velocity,
                    Hue::Three,
                    scope,
                    |video| video.view_velocity,
                ),
            ),
            panel(
                "",
                &list(
                    &format!("Most new views in the last {}", scope.length),
                    &self.by_growth,
                    Hue::Two,
                    scope,
                    |video| video.growth.map(|growth| growth as f64),
                ),
            ),
            panel("", &self.ages()),
        ]);
        section("videos", "Videos", &lead, &charts)
    }

    fn ages(&self) -> Markup {
        let labels: Vec<String> = self
            .ages
            .iter()
            .map(|age| match (age.from_days, age.to_days) {
                (0, Some(to)) => format!("under {to} day"),
                (from, Some(to)) => format!("{from} to {to} days"),
                (from, None) => format!("over {from} days"),
            })
            .collect();
        let is_empty = self.ages.iter().all(|age| age.videos == 0);
        let ages: Vec<Bar> = self
            .ages
            .iter()
            .zip(&labels)
            .map(|(age, label)| Bar {
                label,
                value: (!is_empty).then_some(age.videos as f64),
                hue: Hue::Muted,
                href: None,
            })
            .collect();
        bars(&Head { title: "Videos by time since discovery", empty: "No videos", ..Head::default() }, &ages)
    }
}

fn list(
    title: &str,
    videos: &[TopVideo],
    hue: Hue,
    scope: &Scope,
    value: fn(&TopVideo) -> Option<f64>,
) -> Markup {
    let labels: Vec<(String, Option<String>)> = videos
        .iter()
        .map(|video| {
            let label = format!("{} – {}", short(&video.title, 90), short(&video.channel_name, 40));
            (label, scope.page_of("videos", &video.video_id))
        })
        .collect();
    let videos: Vec<Bar> = videos
        .iter()
        .zip(&labels)
        .map(|(video, (label, href))| Bar { label, value: value(video), hue, href: href.as_deref() })
        .collect();
    bars(&Head { title, empty: "No videos in this period", ..Head::default() }, &videos)
}
