//! The storage: the size of the database and its tables, and the backups.

use maud::{Markup, html};
use serde::Serialize;

use super::{Scope, clean, full, maybe_ago, mend, nothing};
use crate::error::Result;
use crate::ops::backup::{Listed, State};
use crate::ops::{self, Report, Severity, Status, TableSize};
use crate::quote::counted;
use crate::web::chart::{Bar, Head, Hue, Line, Unit, bars, lines};
use crate::web::components::{Column, Tone, badge, empty, facts, grid, panel, section, table, wide_panel};
use crate::{Database, Engine};

/// Number of tables in the chart, and of backups in the list.
const MOST: usize = 10;
/// Maximum number of findings in the list.
const FINDINGS: usize = 50;

#[derive(Debug, Serialize)]
pub(in crate::web) struct Storage {
    pub sizes: Vec<TableSize>,
    /// The backups of the database, the newest first.
    pub backups: Vec<Listed>,
}

/// A SQLite file of at most this size in bytes is read as a whole, for the sizes of its tables and for the integrity check.
const SMALL: i64 = 256 << 20;

/// Returns true if reading the whole database would take long.
pub(in crate::web) fn is_large(status: &Status) -> bool {
    status.engine == Engine::Sqlite && status.size_bytes > SMALL
}

impl Storage {
    /// Returns the sizes of the tables, or none if reading them would take long.
    pub fn sizes(db: &Database, status: &Status) -> Result<Vec<TableSize>> {
        if is_large(status) { Ok(Vec::new()) } else { ops::sizes(db) }
    }

    pub fn render(&self, status: &Status, doctor: Option<&Report>, scope: &Scope) -> Markup {
        let lead = format!(
            "The database has {} and {}.",
            Unit::Bytes.short(status.size_bytes as f64),
            counted(self.backups.len(), "backup")
        );
        let mut charts = vec![
            panel("", &self.growth(status, scope)),
            panel("", &self.tables()),
            panel("Backups", &self.list(scope)),
            panel("Database", &about(status)),
        ];
        charts.extend(doctor.map(|doctor| wide_panel("Findings of the doctor", &findings(doctor, FINDINGS))));
        section("storage", "Storage and backups", &lead, &grid(&charts))
    }

    /// Charts the size of the data over time: the uncompressed size of each backup, and the size now.
    fn growth(&self, status: &Status, scope: &Scope) -> Markup {
        let mut points: Vec<_> = self
            .backups
            .iter()
            .rev()
            .filter_map(|backup| Some((backup.created_at?.to_utc(), Some(backup.content_bytes? as f64))))
            .collect();
        points.push((scope.now(), Some(status.size_bytes as f64)));
        let size = [Line { name: "size", hue: Hue::One, points }];
        lines(
            &Head { title: "Size of the data in each backup, and now", unit: Unit::Bytes, empty: "" },
            None,
            &size,
        )
    }

    fn tables(&self) -> Markup {
        let tables: Vec<Bar> = self
            .sizes
            .iter()
            .filter(|size| size.total_bytes > 0)
            .take(MOST)
            .map(|size| Bar {
                label: &size.table,
                value: Some(size.total_bytes as f64),
                hue: Hue::One,
                href: None,
            })
            .collect();
        let title = "Largest tables, with their indexes";
        let empty = match self.sizes.is_empty() {
            true => "SQLite would have to read the whole file; run viraldb status --sizes",
            false => "All tables are empty",
        };
        bars(&Head { title, unit: Unit::Bytes, empty }, &tables)
    }

    fn list(&self, scope: &Scope) -> Markup {
        let columns = [
            Column::text("File"),
            Column::text("Made"),
            Column::number("Size"),
            Column::number("Rows"),
            Column::text("State"),
        ];
        let rows: Vec<Vec<Markup>> = self
            .backups
            .iter()
            .take(MOST)
            .map(|backup| {
                let name = backup.file.file_name().unwrap_or_default().to_string_lossy();
                let (tone, word) = match &backup.state {
                    State::Intact => (Tone::Good, "complete".to_owned()),
                    State::NoManifest => (Tone::Warn, "has no manifest".to_owned()),
                    State::Faulty(reason) => (Tone::Bad, clean(reason)),
                };
                vec![
                    html! { (clean(&name)) },
                    maybe_ago(backup.created_at, scope),
                    html! { (Unit::Bytes.short(backup.bytes as f64)) },
                    html! { (backup.rows.map_or_else(|| "–".to_owned(), |rows| Unit::Count.full(rows as f64))) },
                    badge(tone, &word),
                ]
            })
            .collect();
        let empty = nothing("The database has no backup.", "Make one with", "viraldb backup create");
        html! {
            (table("Backups", &columns, &rows, &empty))
            @if self.backups.len() > MOST { p class="note" { "and " (self.backups.len() - MOST) " older ones" } }
        }
    }
}

/// Lists the findings of the doctor.
pub(in crate::web) fn findings(doctor: &Report, most: usize) -> Markup {
    let columns = [
        Column::text("Check"),
        Column::text("Severity"),
        Column::text("What"),
        Column::text("How to fix it"),
    ];
    let rows: Vec<Vec<Markup>> = doctor
        .findings
        .iter()
        .take(most)
        .map(|finding| {
            let tone = match finding.severity {
                Severity::Info => Tone::Muted,
                Severity::Warning => Tone::Warn,
                Severity::Error => Tone::Bad,
            };
            vec![
                html! { (finding.check) },
                badge(tone, finding.severity.as_str()),
                html! { (clean(&finding.what)) br; span class="note" { (clean(&finding.why)) } },
                mend(finding.mend.as_deref().unwrap_or("–")),
            ]
        })
        .collect();
    let healthy = empty(&format!("{} found no problem.", counted(doctor.checks.len(), "check")), &html! {});
    html! {
        div id="doctor" { (table("Findings of the doctor", &columns, &rows, &healthy)) }
        @if doctor.findings.len() > most {
            p class="note" { "and " (doctor.findings.len() - most) " more, which " code { "viraldb doctor" } " lists" }
        }
    }
}

fn about(status: &Status) -> Markup {
    let wal = status.wal_bytes.map_or_else(|| "–".to_owned(), |bytes| Unit::Bytes.short(bytes as f64));
    let rows: i64 = status.tables.iter().map(|table| table.count.rows).sum();
    facts(&[
        ("Database", html! { (clean(&status.database)) }),
        ("Engine", html! { (status.engine) " " (status.version) }),
        ("Schema", html! { (status.schema) }),
        ("Size", html! { (Unit::Bytes.short(status.size_bytes as f64)) }),
        ("WAL", html! { (wal) }),
        ("Rows", html! { (full(rows)) }),
    ])
}
