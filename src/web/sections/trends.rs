//! The trends of other platforms.

use maud::{Markup, html};
use serde::Serialize;

use super::{Scope, ago, full, known, nothing, short};
use crate::DbConnection;
use crate::error::Result;
use crate::generation::{Platform, Trend};
use crate::report::{self, PlatformTrends};
use crate::web::chart::{Bar, Head, Hue, bars};
use crate::web::components::{Column, grid, panel, section, table, wide_panel};

/// Length of the list of each platform.
const TOP: i64 = 10;

#[derive(Debug, Serialize)]
pub(in crate::web) struct Trends {
    pub platforms: Vec<PlatformTrends>,
    pub most_viewed: Vec<Trend>,
}

impl Trends {
    pub fn read(conn: &mut DbConnection, scope: &Scope) -> Result<Self> {
        let mut most_viewed = Vec::new();
        for platform in Platform::ALL {
            most_viewed.extend(Trend::most_viewed(conn, *platform, TOP)?);
        }
        Ok(Self { platforms: report::trends_by_platform(conn, &scope.span)?, most_viewed })
    }

    pub fn render(&self, scope: &Scope) -> Markup {
        let lead = format!(
            "{} trends were collected in the last {}.",
            full(self.platforms.iter().map(|row| row.collected).sum()),
            scope.length
        );
        let mut panels = vec![wide_panel("Platforms", &self.table(scope))];
        for (place, platform) in Platform::ALL.iter().enumerate() {
            let title = format!("Most viewed on {platform}");
            let trends: Vec<&Trend> =
                self.most_viewed.iter().filter(|trend| trend.platform == *platform).collect();
            let labels: Vec<String> = trends
                .iter()
                .map(|trend| short(trend.title.as_deref().unwrap_or(&trend.external_id), 90))
                .collect();
            let trends: Vec<Bar> = trends
                .iter()
                .zip(&labels)
                .map(|(trend, label)| Bar {
                    label,
                    value: trend.views.map(|views| views as f64),
                    hue: Hue::of_series(place),
                    href: None,
                })
                .collect();
            panels.push(panel(
                "",
                &bars(&Head { title: &title, empty: "No trends", ..Head::default() }, &trends),
            ));
        }
        section("trends", "Trends", &lead, &grid(&panels))
    }

    fn table(&self, scope: &Scope) -> Markup {
        let last = format!("Last {}", scope.length);
        let columns = [
            Column::text("Platform"),
            Column::number("Trends"),
            Column::number(&last),
            Column::number("Most views"),
            Column::text("Newest"),
        ];
        let rows: Vec<Vec<Markup>> = self
            .platforms
            .iter()
            .map(|row| {
                vec![
                    html! { (row.platform) },
                    html! { (full(row.trends)) },
                    html! { (full(row.collected)) },
                    html! { (known(row.most_views)) },
                    ago(row.newest_at, scope),
                ]
            })
            .collect();
        let empty = nothing("No trends.", "Ingest them with", "viraldb ingest FILE");
        table("Platforms", &columns, &rows, &empty)
    }
}
