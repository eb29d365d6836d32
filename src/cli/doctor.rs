//! `viraldb doctor`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueHint;

use super::Context;
use super::output::visible;
use super::words::words;
use viraldb::Result;
use viraldb::ops::{self, Check, Examination, Finding, Mended, Report, Severity, Verdict};
use viraldb::private::quote::counted;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Read every row
    ///
    /// On SQLite this runs integrity_check instead of quick_check, and looks for rows that break the checks of their tables.
    /// On PostgreSQL it looks for rows with missing parents.
    #[arg(long)]
    deep: bool,
    /// Fix what can be fixed without losing data
    ///
    /// These are sequences, jobs with expired leases, missing indexes and triggers, the size of the WAL, a file that every
    /// user may read, and statistics.
    #[arg(long)]
    fix: bool,
    /// Run only these checks, separated by commas
    #[arg(long, value_name = "CHECKS", value_delimiter = ',', value_parser = words(Check::ALL, Check::as_str))]
    only: Vec<Check>,
    /// Folder of the backups [default: backups next to the SQLite file, or ./backups]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    backups: Option<PathBuf>,
}

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
        if context.output.is_for_people() {
            for_people(context, &report)?;
        } else if context.output.is_document() {
            context.output.object(&report)?;
        } else {
            context.list(&report.findings, COLUMNS, "no findings")?;
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
        "{}: {}, {}, {}\n",
        counted(checks.len(), "check"),
        counted(count(Severity::Error), "error"),
        counted(count(Severity::Warning), "warning"),
        counted(count(Severity::Info), "note")
    ))
}

fn line(word: &str, text: &str) -> String {
    format!("{:24} {word:<4}  {}\n", "", visible(text))
}
