//! `viraldb doctor`

use std::path::PathBuf;
use std::process::ExitCode;

use super::output::visible;
use super::{Context, Format};
use viraldb::Result;
use viraldb::ops::{self, Check, Examination, Finding, Mended, Report, Severity, Verdict};

/// Each finding says what is so, why it matters, and what mends it.
///
/// Exit 0 if there is nothing worse than to be known, 1 if the database could not be opened, 3 with warnings, 4 with
/// errors.
#[derive(Debug, clap::Args)]
#[command(after_help = CHECKS)]
pub(super) struct Args {
    /// Read every row: SQLite's integrity_check in place of its quick_check, and the rows that break the checks of
    /// their tables; on PostgreSQL rows that refer to none
    #[arg(long)]
    deep: bool,
    /// Mend what can be mended without losing anything: sequences, jobs past their leases, missing indexes and
    /// triggers, the size of the WAL, a file that everybody may read, statistics
    #[arg(long)]
    fix: bool,
    /// Only this check; may be given several times, or several with commas
    #[arg(long, value_name = "CHECK", value_delimiter = ',')]
    only: Vec<Check>,
    /// Folder of the backups [default: backups beside the SQLite file, or here]
    #[arg(long, value_name = "DIR")]
    backups: Option<PathBuf>,
}

const CHECKS: &str = "\
Checks: open, version, file_system, permissions, disk_space, journal_mode, wal, free_pages, integrity, foreign_keys, \
shapes, history, transfer, drift, sequences, jobs, runs, secrets, backups, statistics, unused_indexes, autovacuum, replica, schema_rights, collation";

const COLUMNS: &[&str] = &["check", "severity", "what", "why", "mend"];

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let asked = Examination {
            deep: self.deep,
            fix: self.fix,
            only: self.only,
            backups: self.backups,
            config: context.config.clone(),
            keyring: None,
        };
        let report = ops::doctor(&context.url()?, &asked)?;
        match context.output.format {
            Format::Json => context.output.object(&report)?,
            Format::Jsonl | Format::Csv => context.output.rows(&report.findings, COLUMNS)?,
            Format::Table => for_people(context, &report)?,
        }
        Ok(match report.verdict {
            Verdict::Healthy => ExitCode::SUCCESS,
            Verdict::Unknown => ExitCode::FAILURE,
            Verdict::Warnings => ExitCode::from(3),
            Verdict::Errors => ExitCode::from(4),
        })
    }
}

fn for_people(context: &mut Context, report: &Report) -> Result<()> {
    let Report { database, engine, version, schema, checks, findings, mended, .. } = report;
    let mut head = format!("{database} · {engine}");
    for part in [version, schema].into_iter().flatten() {
        head += &format!(" {part}");
    }
    context.say(&format!("{}\n", visible(&head)))?;
    for Mended { check, what, done, .. } in mended {
        let text = format!("{:<8} {check:<15} {}\n", "mended", visible(what));
        context.output.text(&text)?;
        context.output.text(&line("did", done))?;
    }
    for Finding { check, severity, what, why, mend, .. } in findings {
        let text = format!("{:<8} {check:<15} {}\n", severity.as_str(), visible(what));
        context.output.text(&text)?;
        context.output.text(&line("why", why))?;
        if let Some(mend) = mend {
            context.output.text(&line("mend", mend))?;
        }
    }
    let count = |severity| findings.iter().filter(|finding| finding.severity == severity).count();
    context.say(&format!(
        "{} checked: errors {}, warnings {}, to be known {}\n",
        checks.len(),
        count(Severity::Error),
        count(Severity::Warning),
        count(Severity::Info)
    ))
}

fn line(word: &str, text: &str) -> String {
    format!("{:24} {word:<4}  {}\n", "", visible(text))
}
