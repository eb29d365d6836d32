//! The queue: what it got done, what failed, and what it is doing now.

use std::time::Duration;

use maud::{Markup, html};
use serde::Serialize;

use super::{Scope, ago, full, maybe_ago, nothing, short};
use crate::error::Result;
use crate::queue::{self, Activity};
use crate::report::{self, FailedAttempts, FailureCause, OldestDue, QueuePeriod};
use crate::web::chart::{Bar, Buckets, Head, Hue, Line, Unit, bars, columns, lines};
use crate::web::components::{Column, grid, panel, section, status, table, wide_panel};
use crate::{DbConnection, Timestamp};

/// The window of the current activity.
const WINDOW: Duration = Duration::from_secs(3600);
/// Maximum number of failure causes and of running jobs in the lists.
const MOST: usize = 15;

#[derive(Debug, Serialize)]
pub(in crate::web) struct Queue {
    pub periods: Vec<QueuePeriod>,
    pub failed_attempts: Vec<FailedAttempts>,
    pub failure_causes: Vec<FailureCause>,
    pub oldest_due: Vec<OldestDue>,
    pub activity: Activity,
}

impl Queue {
    pub fn read(conn: &mut DbConnection, scope: &Scope) -> Result<Self> {
        Ok(Self {
            periods: report::queue_throughput(conn, &scope.span, scope.channel)?,
            failed_attempts: report::failed_attempts(conn, &scope.span, scope.channel)?,
            failure_causes: report::failure_causes(conn, &scope.span, scope.channel, MOST as i64)?,
            oldest_due: report::oldest_due(conn)?,
            activity: queue::activity(conn, WINDOW)?,
        })
    }

    /// Returns the number of jobs that are due.
    pub fn due(&self) -> i64 {
        self.activity.types.iter().map(|of_type| of_type.due).sum()
    }

    /// Returns the number of running jobs.
    pub fn running(&self) -> usize {
        self.activity.running.len()
    }

    /// Returns the number of workers with running jobs.
    pub fn workers(&self) -> usize {
        let mut workers: Vec<_> =
            self.activity.running.iter().filter_map(|job| job.leased_by.as_deref()).collect();
        workers.dedup(); // the jobs are ordered by worker
        workers.len()
    }

    /// Returns the number of jobs that failed for good within the span.
    pub fn failed(&self) -> i64 {
        self.periods.iter().map(|period| period.failed).sum()
    }

    /// Returns the number of jobs that were completed within the span.
    pub fn completed(&self) -> i64 {
        self.periods.iter().map(|period| period.completed).sum()
    }

    pub fn render(&self, scope: &Scope) -> Markup {
        let mut lead = format!(
            "{} jobs were completed and {} failed in the last {}.",
            full(self.completed()),
            full(self.failed()),
            scope.length,
        );
        let mut panels = vec![
            panel("", &self.throughput(scope)),
            panel("", &self.waits(scope)),
            panel("", &self.causes(scope)),
        ];
        // These are about all channels.
        if scope.channel.is_none() {
            lead.push_str(&format!(" {} are due now.", full(self.due())));
            panels.push(panel("Job types now", &self.types(scope)));
            panels.push(wide_panel("Running jobs", &self.jobs(scope)));
        }
        panels.push(wide_panel("Attempts that did not complete their job", &self.attempts(scope)));
        section("queue", "Queue", &lead, &grid(&panels))
    }

    fn throughput(&self, scope: &Scope) -> Markup {
        let title = format!("Jobs finished by {}", scope.every());
        let empty = format!("No job ended in the last {}", scope.length);
        let starts: Vec<_> = self.periods.iter().map(|period| period.start.to_utc()).collect();
        let of = |count: fn(&QueuePeriod) -> i64| {
            let is_empty = self.periods.iter().all(|period| period.completed + period.failed == 0);
            self.periods.iter().map(|period| (!is_empty).then(|| count(period) as f64)).collect()
        };
        columns(
            &Head { title: &title, empty: &empty, ..Head::default() },
            &starts,
            &[
                Buckets { name: "completed", hue: Hue::Good, values: of(|period| period.completed) },
                Buckets { name: "failed", hue: Hue::Bad, values: of(|period| period.failed) },
            ],
        )
    }

    fn waits(&self, scope: &Scope) -> Markup {
        let title = format!("Wait before a job starts, by {}", scope.every());
        let points = |seconds: fn(&QueuePeriod) -> Option<f64>| {
            self.periods.iter().map(|period| (period.start.to_utc(), seconds(period))).collect()
        };
        lines(
            &Head { title: &title, unit: Unit::Seconds, empty: "No job was completed" },
            scope.axis(),
            &[
                Line { name: "average", hue: Hue::One, points: points(|period| period.average_wait_seconds) },
                Line { name: "longest", hue: Hue::Two, points: points(|period| period.longest_wait_seconds) },
            ],
        )
    }

    fn causes(&self, scope: &Scope) -> Markup {
        let title = format!("Failed jobs by type and error, last {}", scope.length);
        let labels: Vec<String> = self
            .failure_causes
            .iter()
            .map(|cause| {
                let error = cause.error.as_deref().unwrap_or("no error message");
                format!("{}: {}", cause.job_type, short(error, 100))
            })
            .collect();
        let failures: Vec<Bar> = self
            .failure_causes
            .iter()
            .zip(&labels)
            .map(|(cause, label)| Bar { label, value: Some(cause.jobs as f64), hue: Hue::Bad, href: None })
            .collect();
        bars(&Head { title: &title, empty: "No job failed", ..Head::default() }, &failures)
    }

    fn types(&self, scope: &Scope) -> Markup {
        let columns = [
            Column::text("Type"),
            Column::number("Due"),
            Column::number("Scheduled"),
            Column::number("Running"),
            Column::text("Oldest due"),
        ];
        let rows: Vec<Vec<Markup>> = self
            .activity
            .types
            .iter()
            .map(|of_type| {
                let oldest = self.oldest_due.iter().find(|due| due.job_type == of_type.job_type);
                vec![
                    html! { (of_type.job_type) },
                    html! { (full(of_type.due)) },
                    html! { (full(of_type.scheduled)) },
                    html! { (full(of_type.running)) },
                    maybe_ago(oldest.map(|due| due.run_at), scope),
                ]
            })
            .collect();
        let empty =
            nothing("No job waits or runs.", "Enqueue one with", "viraldb jobs enqueue download --video ID");
        table("Job types now", &columns, &rows, &empty)
    }

    fn jobs(&self, scope: &Scope) -> Markup {
        let columns = [
            Column::text("Worker"),
            Column::text("Type"),
            Column::text("Job"),
            Column::number("Attempt"),
            Column::text("Started"),
            Column::text("Progress"),
        ];
        let rows: Vec<Vec<Markup>> = self
            .activity
            .running
            .iter()
            .take(MOST)
            .map(|job| {
                let progress = match (job.progress, &job.progress_note) {
                    (None, None) => "–".to_owned(),
                    (progress, note) => {
                        let percent = progress.map(|part| Unit::Percent.short(100.0 * part)).unwrap_or_default();
                        format!("{percent} {}", short(note.as_deref().unwrap_or_default(), 60))
                    }
                };
                vec![
                    html! { (job.leased_by.as_deref().map_or_else(|| "unknown".to_owned(), |name| short(name, 60))) },
                    html! { (job.job_type) },
                    scope.link("jobs", job.id, &html! { code { (job.id) } }),
                    html! { (job.attempts) " of " (job.max_attempts) },
                    maybe_ago(job.started_at, scope),
                    html! { (progress.trim()) },
                ]
            })
            .collect();
        let empty = nothing(
            "No job is running.",
            "Start a worker with",
            "viraldb jobs work --type download -- COMMAND",
        );
        let more = self.activity.running.len().saturating_sub(MOST);
        html! {
            (table("Running jobs", &columns, &rows, &empty))
            @if more > 0 { p class="note" { "and " (full(more as i64)) " more" } }
        }
    }

    fn attempts(&self, scope: &Scope) -> Markup {
        let columns = [
            Column::text("Type"),
            Column::text("Outcome"),
            Column::number("Attempts"),
            Column::number("Jobs"),
            Column::text("Last"),
        ];
        let rows: Vec<Vec<Markup>> = self
            .failed_attempts
            .iter()
            .map(|row| {
                vec![
                    html! { (row.job_type) },
                    status(row.outcome.as_str()),
                    html! { (full(row.attempts)) },
                    html! { (full(row.jobs)) },
                    ago(row.last_at, scope),
                ]
            })
            .collect();
        let words = format!("Every attempt of the last {} completed its job.", scope.length);
        table(
            "Attempts that did not complete their job",
            &columns,
            &rows,
            &super::super::components::empty(&words, &html! {}),
        )
    }

    /// Returns the type whose oldest job has been due for the longest time, and since when.
    pub fn longest_due(&self) -> Option<(String, Timestamp)> {
        self.oldest_due.first().map(|due| (due.job_type.to_string(), due.run_at))
    }
}
