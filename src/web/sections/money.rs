//! Costs and revenue.

use chrono::{DateTime, Utc};
use maud::Markup;
use serde::Serialize;

use super::Scope;
use crate::DbConnection;
use crate::error::Result;
use crate::report::{self, MoneyPeriod};
use crate::web::chart::{Buckets, Head, Hue, Unit, columns};
use crate::web::components::{grid, panel, section};

#[derive(Debug, Serialize)]
pub(in crate::web) struct Money {
    pub periods: Vec<MoneyPeriod>,
}

impl Money {
    pub fn read(conn: &mut DbConnection, scope: &Scope) -> Result<Self> {
        Ok(Self { periods: report::money(conn, &scope.span)? })
    }

    pub fn render(&self, scope: &Scope) -> Markup {
        let cost: f64 = self.periods.iter().map(|period| period.cost_usd).sum();
        let revenue: Vec<f64> = self.periods.iter().filter_map(|period| period.revenue_usd).collect();
        let lead = format!(
            "Generated videos cost {} in the last {}; {}.",
            Unit::Dollars.full(cost),
            scope.length,
            if revenue.is_empty() {
                "no revenue is known".to_owned()
            } else {
                format!("videos earned {}", Unit::Dollars.full(revenue.iter().sum()))
            }
        );
        let starts: Vec<DateTime<Utc>> = self.periods.iter().map(|period| period.start.to_utc()).collect();
        let chart = |what: &str, name, hue, empty, values: Vec<Option<f64>>| {
            let title = format!("{what} by {}", scope.every());
            let head = Head { title: &title, unit: Unit::Dollars, empty };
            panel("", &columns(&head, &starts, &[Buckets { name, hue, values }]))
        };
        let costs =
            self.periods.iter().map(|period| (period.generated > 0).then_some(period.cost_usd)).collect();
        let revenue = self.periods.iter().map(|period| period.revenue_usd).collect();
        let charts = grid(&[
            chart(
                "Cost of generated videos",
                "cost",
                Hue::Four,
                "No generated video has a cost in this period",
                costs,
            ),
            chart(
                "Estimated revenue",
                "revenue",
                Hue::Good,
                "No sample has a revenue in this period",
                revenue,
            ),
        ]);
        section("money", "Costs and revenue", &lead, &charts)
    }
}
