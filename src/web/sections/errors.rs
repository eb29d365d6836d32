//! The errors of the pipelines.

use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Serialize;

use super::{Scope, ago, full, short};
use crate::compilation::{ErrorLog, ErrorLogFilter};
use crate::error::Result;
use crate::report::{self, ErrorPeriod};
use crate::web::chart::{Buckets, Head, Hue, columns};
use crate::web::components::{Column, empty, grid, section, table, wide_panel};
use crate::{DbConnection, Page, Timestamp};

/// Number of modules in the chart.
const MODULES: i64 = 6;
/// Maximum number of unresolved errors in the list.
const NEWEST: i64 = 20;

#[derive(Debug, Serialize)]
pub(in crate::web) struct Errors {
    pub modules: Vec<ErrorPeriod>,
    pub unresolved: Vec<ErrorLog>,
    /// The start of each period of the span.
    #[serde(skip)]
    periods: Vec<Timestamp>,
}

impl Errors {
    pub fn read(conn: &mut DbConnection, scope: &Scope) -> Result<Self> {
        let unresolved = ErrorLogFilter { resolved: Some(false), ..Default::default() };
        Ok(Self {
            modules: report::errors_by_module(conn, &scope.span, MODULES)?,
            unresolved: ErrorLog::list(conn, &unresolved, &Page::first(NEWEST))?,
            periods: scope.span.periods(),
        })
    }

    pub fn render(&self, scope: &Scope) -> Markup {
        let lead = format!(
            "The {MODULES} modules with the most errors had {} in the last {}.",
            full(self.modules.iter().map(|row| row.errors).sum()),
            scope.length
        );
        let charts = grid(&[
            wide_panel("", &self.chart(scope)),
            wide_panel("Newest unresolved errors", &self.list(scope)),
        ]);
        section("errors", "Errors", &lead, &charts)
    }

    fn chart(&self, scope: &Scope) -> Markup {
        let title = format!("Errors by {} and module", scope.every());
        let starts: Vec<DateTime<Utc>> = self.periods.iter().map(|start| start.to_utc()).collect();
        let modules: Vec<&[ErrorPeriod]> = self.modules.chunk_by(|a, b| a.module == b.module).collect();
        let names: Vec<String> = modules
            .iter()
            .map(|rows| rows.first().map_or_else(String::new, |row| short(&row.module, 60)))
            .collect();
        let series: Vec<Buckets> = modules
            .iter()
            .zip(&names)
            .enumerate()
            .map(|(place, (rows, name))| {
                let mut values = vec![Some(0.0); self.periods.len()];
                for row in *rows {
                    if let Ok(place) = self.periods.binary_search(&row.start) {
                        values[place] = Some(row.errors as f64);
                    }
                }
                Buckets { name, hue: Hue::of_series(place), values }
            })
            .collect();
        columns(
            &Head { title: &title, empty: "No errors in this period", ..Head::default() },
            &starts,
            &series,
        )
    }

    fn list(&self, scope: &Scope) -> Markup {
        let columns = [
            Column::text("Error"),
            Column::text("Module"),
            Column::text("Type"),
            Column::text("Message"),
            Column::text("Occurred"),
        ];
        let rows: Vec<Vec<Markup>> = self
            .unresolved
            .iter()
            .map(|error| {
                vec![
                    scope.link("tables/error_log", error.id, &html! { (error.id) }),
                    html! { (short(&error.module, 60)) },
                    html! { (short(&error.error_type, 60)) },
                    html! { (short(&error.error_message, 200)) },
                    ago(error.occurred_at, scope),
                ]
            })
            .collect();
        table("Newest unresolved errors", &columns, &rows, &empty("Every error is resolved.", &html! {}))
    }
}
