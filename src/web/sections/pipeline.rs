//! The pipeline: runs on a timeline, where their time goes, and how people answer reviews.

use std::collections::BTreeMap;

use maud::{Markup, html};
use serde::Serialize;

use super::{Scope, ago, duration, full, nothing, short};
use crate::DbConnection;
use crate::compilation::{ReviewLog, RunStatus};
use crate::error::Result;
use crate::quote::counted;
use crate::report::{self, ReviewAnswers, RunOnTimeline, RunsOfNiche, StatusTime, WaitingReviews};
use crate::web::chart::{Bar, Head, Hue, Period, Row, Unit, bars, timeline};
use crate::web::components::{Column, grid, panel, section, table, wide_panel};

/// Maximum number of runs on the timeline.
const RUNS: i64 = 600;
/// Maximum number of niches on the timeline and in the table, and of open reviews.
const MOST: usize = 20;

#[derive(Debug, Serialize)]
pub(in crate::web) struct Pipeline {
    pub runs: Vec<RunOnTimeline>,
    pub by_niche: Vec<RunsOfNiche>,
    pub time_in_status: Vec<StatusTime>,
    pub review_answers: Vec<ReviewAnswers>,
    pub waiting_reviews: WaitingReviews,
    /// The reviews that have waited longest. Empty on a page about one niche.
    pub open_reviews: Vec<ReviewLog>,
}

impl Pipeline {
    pub fn read(conn: &mut DbConnection, scope: &Scope) -> Result<Self> {
        Ok(Self {
            runs: report::run_timeline(conn, &scope.span, scope.niche(), RUNS)?,
            by_niche: report::runs_by_niche(conn, &scope.span, scope.niche())?,
            time_in_status: report::time_in_status(conn, &scope.span, scope.niche())?,
            review_answers: report::review_answers(conn, &scope.span, scope.niche())?,
            waiting_reviews: report::waiting_reviews(conn, scope.niche())?,
            open_reviews: if scope.niche.is_some() {
                Vec::new()
            } else {
                ReviewLog::open(conn, MOST as i64)?
            },
        })
    }

    /// Returns the number of runs with a status within the span.
    pub fn count(&self, status: RunStatus) -> i64 {
        self.by_niche.iter().filter(|row| row.status == status).map(|row| row.runs).sum()
    }

    pub fn render(&self, scope: &Scope) -> Markup {
        let lead = format!(
            "{} runs began in the last {}: {} were uploaded, {} failed. {} reviews wait for an answer.",
            full(self.by_niche.iter().map(|row| row.runs).sum()),
            scope.length,
            full(self.count(RunStatus::Uploaded)),
            full(self.count(RunStatus::Failed)),
            full(self.waiting_reviews.reviews),
        );
        let mut panels = vec![
            wide_panel("", &self.timeline(scope)),
            panel("", &self.times()),
            panel("", &self.answers(scope)),
            panel("Runs by niche", &self.niches()),
        ];
        if scope.niche.is_none() {
            panels.push(panel("Reviews that wait for an answer", &self.open(scope)));
        }
        section("pipeline", "Pipeline", &lead, &grid(&panels))
    }

    fn timeline(&self, scope: &Scope) -> Markup {
        let title = format!("Runs by niche and cycle, last {}", scope.length);
        let mut runs_of: BTreeMap<&str, usize> = BTreeMap::new();
        for run in &self.runs {
            *runs_of.entry(&run.niche).or_default() += 1;
        }
        let hidden = runs_of.len().saturating_sub(MOST);
        let mut niches: Vec<&str> = runs_of.keys().copied().collect();
        niches.sort_by_key(|niche| std::cmp::Reverse(runs_of[niche]));
        niches.truncate(MOST);
        niches.sort_unstable();
        let labels: Vec<(String, String, Option<String>)> = self
            .runs
            .iter()
            .map(|run| {
                let label = format!("run {}: {}", run.id, run.status);
                (label, run.status.to_string(), scope.page_of("runs", run.id))
            })
            .collect();
        let names: Vec<String> = niches.iter().map(|niche| short(niche, 60)).collect();
        let rows: Vec<Row> = niches
            .iter()
            .zip(&names)
            .map(|(niche, label)| {
                let of_niche = self.runs.iter().zip(&labels).filter(|(run, _)| run.niche == *niche);
                let periods = of_niche.map(|(run, (label, status, href))| Period {
                    from: run.started_at.unwrap_or(run.cycle_start).to_utc(),
                    until: match (run.completed_at, run.started_at) {
                        (Some(end), _) => Some(end.to_utc()),
                        (None, None) => Some(run.cycle_end.to_utc()), // it did not begin yet
                        (None, Some(_)) => None,
                    },
                    status,
                    hue: Hue::of_status(status),
                    label,
                    href: href.as_deref(),
                });
                Row { label, periods: periods.collect() }
            })
            .collect();
        let head = Head { title: &title, empty: "No run began", ..Head::default() };
        html! {
            (timeline(&head, scope.span.since.to_utc(), scope.now(), &rows))
            @if self.runs.len() as i64 == RUNS { p class="note" { "Only the newest " (RUNS) " runs are shown." } }
            @if hidden > 0 { p class="note" { "and " (counted(hidden, "more niche")) " with fewer runs" } }
        }
    }

    fn times(&self) -> Markup {
        let labels: Vec<String> = self
            .time_in_status
            .iter()
            .map(|row| format!("{} (longest {})", row.status, duration(row.longest_seconds)))
            .collect();
        let times: Vec<Bar> = self
            .time_in_status
            .iter()
            .zip(&labels)
            .map(|(row, label)| {
                let hue = Hue::of_status(row.status.as_str());
                Bar { label, value: row.average_seconds, hue, href: None }
            })
            .collect();
        let head =
            Head { title: "Average time in each status", unit: Unit::Seconds, empty: "No run left a status" };
        bars(&head, &times)
    }

    fn answers(&self, scope: &Scope) -> Markup {
        let title = format!("Review answers, last {}", scope.length);
        let labels: Vec<String> = self
            .review_answers
            .iter()
            .map(|row| {
                let answer =
                    row.action.map_or_else(|| "no answer yet".to_owned(), |action| action.to_string());
                let held = if row.auto_held { ", held automatically" } else { "" };
                match row.average_seconds {
                    Some(_) => format!("{answer}{held} (after {} on average)", duration(row.average_seconds)),
                    None => format!("{answer}{held}"),
                }
            })
            .collect();
        let answers: Vec<Bar> = self
            .review_answers
            .iter()
            .zip(&labels)
            .enumerate()
            .map(|(place, (row, label))| {
                let hue = if row.action.is_none() { Hue::Muted } else { Hue::of_series(place) };
                Bar { label, value: Some(row.reviews as f64), hue, href: None }
            })
            .collect();
        bars(&Head { title: &title, empty: "No review was requested", ..Head::default() }, &answers)
    }

    fn niches(&self) -> Markup {
        let mut columns = vec![Column::text("Niche")];
        columns.extend(RunStatus::ALL.iter().map(|status| Column::number(status.as_str())));
        // The rows are ordered by niche.
        let mut niches: Vec<(i64, &str)> = self
            .by_niche
            .chunk_by(|a, b| a.niche == b.niche)
            .filter_map(|rows| Some((rows.iter().map(|row| row.runs).sum(), rows.first()?.niche.as_str())))
            .collect();
        niches.sort_by_key(|(runs, _)| std::cmp::Reverse(*runs));
        let rows: Vec<Vec<Markup>> = niches
            .iter()
            .take(MOST)
            .map(|(_, niche)| {
                let of = |status: &RunStatus| {
                    let row = self.by_niche.iter().find(|row| row.niche == *niche && row.status == *status);
                    html! { (full(row.map_or(0, |row| row.runs))) }
                };
                std::iter::once(html! { (short(niche, 60)) }).chain(RunStatus::ALL.iter().map(of)).collect()
            })
            .collect();
        let empty = nothing("No run began.", "Start one with", "viraldb runs start NICHE");
        html! {
            (table("Runs by niche", &columns, &rows, &empty))
            @if niches.len() > MOST { p class="note" { "and " (counted(niches.len() - MOST, "more niche")) " with fewer runs" } }
        }
    }

    fn open(&self, scope: &Scope) -> Markup {
        let rows: Vec<Vec<Markup>> = self
            .open_reviews
            .iter()
            .map(|review| {
                let run = review.pipeline_run_id;
                vec![scope.link("runs", run, &html! { "Run " (run) }), ago(review.sent_at, scope)]
            })
            .collect();
        let empty = super::super::components::empty("Every review is answered.", &html! {});
        table(
            "Reviews that wait for an answer",
            &[Column::text("Run"), Column::text("Requested")],
            &rows,
            &empty,
        )
    }
}
