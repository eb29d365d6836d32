//! `viraldb takeover`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::ValueHint;
use indicatif::ProgressBar;

use super::Context;
use super::rejects::{Rejects, Shown};
use super::words::words;
use viraldb::ops::takeover::{self, Application, Options, Progress, Report};
use viraldb::private::files::is_of_database;
use viraldb::private::quote::{counted, short, visible};
use viraldb::secrets::Keyring;
use viraldb::{DatabaseUrl, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Database of the application: a path, sqlite://PATH, or postgres://USER@HOST/NAME
    #[arg(value_name = "SOURCE")]
    source: String,
    /// Database to import into; created or migrated if necessary [default: that of --database-url]
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// Application, if viraldb does not recognize its tables
    #[arg(long, value_name = "NAME", value_parser = words(Application::ALL, Application::as_str))]
    application: Option<Application>,
    /// Write rejected rows to this file, as JSON Lines
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    rejects: Option<PathBuf>,
    /// Import nothing if any row is rejected
    #[arg(long)]
    strict: bool,
    /// Print what would be imported, and import nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
}

const SHOWN: &[&str] = &["from", "table", "rows", "taken", "rejected"];

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let to = match &self.to {
            Some(to) => to.clone(),
            None => context.url()?,
        };
        let files: Vec<PathBuf> = [&self.source, &to].into_iter().filter_map(|name| file_of(name)).collect();
        let is_taken = |path: &Path| files.iter().any(|file| is_of_database(file, path));
        let kept = self.rejects.as_deref().map(|path| Rejects::new(path, is_taken));
        let mut kept = kept.transpose()?;
        let keyring = Keyring::from_env()?;
        let options = Options {
            application: self.application,
            dry_run: self.dry_run,
            strict: self.strict,
            keyring: Some(&keyring),
        };
        let bar = context.rows_bar();
        let mut shown = Shown::default();
        let mut rejected = 0;
        let report = takeover::takeover(
            &self.source,
            &to,
            &options,
            &mut |row| {
                rejected += 1;
                shown.add(|| format!("{} {}: {}", row.table, row.key, row.reason));
                // On the disk before anything is committed.
                kept.as_mut().map_or(Ok(()), |kept| kept.keep(&row).and_then(|()| kept.flush()))
            },
            &mut |at| advance(&bar, at),
        );
        bar.finish_and_clear();
        if let (Some(kept), true) = (&mut kept, report.is_ok() || rejected > 0) {
            kept.flush()?;
        }
        if let Ok(report) = &report {
            show(context, report, self.dry_run)?;
        }
        if !context.quiet {
            shown.print(rejected, self.rejects.is_some());
        }
        report.map(|_| ExitCode::SUCCESS)
    }
}

/// Returns the file of a source or a target on SQLite.
fn file_of(name: &str) -> Option<PathBuf> {
    match name.parse() {
        Ok(DatabaseUrl::File(path)) => Some(path),
        Ok(_) => None,
        Err(_) => Some(name.into()),
    }
}

fn show(context: &mut Context, report: &Report, is_dry: bool) -> Result<()> {
    match context.output.is_for_people() {
        false if context.output.is_document() => context.output.object(report)?,
        false => context.output.rows(&report.tables, &[])?,
        true => {
            context.output.rows(&report.tables, SHOWN)?;
            let Report { application, from, to, taken, rejected, seconds, .. } = report;
            let verb = match is_dry {
                _ if report.was_complete => "had taken",
                true => "would take",
                false => "took",
            };
            context.say(&format!(
                "{verb} {} of {application} from {from} into {to}, {rejected} rejected, {seconds:.1} s\n",
                counted(*taken, "row")
            ))?;
            if report.was_complete {
                context.say("this takeover is complete already; nothing was written\n")?;
            }
            if report.resumed > 0 {
                context.say(&format!("{} of them had been copied before\n", report.resumed))?;
            }
            for note in notes(report) {
                context.say(&format!("{note}\n"))?;
            }
        }
    }
    context.output.flush();
    Ok(())
}

/// Further notes for people.
fn notes(report: &Report) -> Vec<String> {
    let sum = |of: fn(&takeover::Taken) -> u64| report.tables.iter().map(of).sum::<u64>();
    let (emptied, sealed, withheld) = (sum(|t| t.emptied), sum(|t| t.sealed), sum(|t| t.withheld));
    let mut notes = Vec::new();
    if emptied > 0 {
        notes.push(match emptied {
            1 => "1 reference to a missing row is NULL now".to_owned(),
            _ => format!("{emptied} references to missing rows are NULL now"),
        });
    }
    if sealed > 0 {
        let are = if sealed == 1 { "is" } else { "are" };
        notes.push(format!("{} {are} encrypted now", counted(sealed, "unencrypted credential")));
    }
    if withheld > 0 {
        let were = if withheld == 1 { "was" } else { "were" };
        notes.push(format!(
            "{} {were} left out, because no key was given for encryption; set VIRALDB_KEY and run the command again, or \
             store the secrets with `viraldb secrets set`",
            counted(withheld, "unencrypted credential")
        ));
    }
    let is_column = |name: &&String| {
        report
            .tables
            .iter()
            .any(|table| name.strip_prefix(&table.from).is_some_and(|rest| rest.starts_with('.')))
    };
    let (columns, tables): (Vec<&String>, Vec<&String>) = report.left.iter().partition(is_column);
    for (what, names) in [("tables", tables), ("columns", columns)] {
        if !names.is_empty() {
            let list: Vec<String> = names.into_iter().map(|name| visible(&short(name))).collect();
            notes.push(format!("not imported, because viraldb has no such {what}: {}", list.join(", ")));
        }
    }
    notes
}

fn advance(bar: &ProgressBar, at: Progress) {
    if at.done == 0 {
        bar.reset();
        bar.set_message(at.table);
    }
    bar.set_length(at.of);
    bar.set_position(at.done);
}
