//! `viraldb takeover`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::ProgressBar;

use super::rejects::{Rejects, Shown};
use super::{Context, Format};
use viraldb::ops::takeover::{self, Application, Options, Progress, Report};
use viraldb::private::files::is_of_database;
use viraldb::private::quote::{short, visible};
use viraldb::secrets::Keyring;
use viraldb::{DatabaseUrl, Result};

/// Known are viral_channel on SQLite, and channel-manager and ViralForge on SQLite and PostgreSQL. The source is only
/// read. Credentials that it keeps unencrypted are sealed with the key of VIRALDB_KEY or VIRALDB_KEY_FILE, or left out.
///
/// Other programs can write to a SQLite target meanwhile. If the takeover is interrupted, run the same command again: it
/// copies the rows that are missing.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The application's database: the path of a SQLite file, sqlite://PATH, or postgres://USER@HOST/NAME
    #[arg(value_name = "SOURCE")]
    source: String,
    /// The database to take it into, made or migrated if it has to be [default: the database of --database-url]
    #[arg(long, value_name = "URL")]
    to: Option<String>,
    /// The application, if the tables do not tell: viral_channel, channel-manager, viralforge
    #[arg(long, value_name = "NAME")]
    application: Option<Application>,
    /// Keep rejected rows here, as JSON Lines
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Take nothing if a row of the source is rejected
    #[arg(long)]
    strict: bool,
    /// Only say what would be taken
    #[arg(long)]
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

/// The file that a source or a target is, if it is one.
fn file_of(name: &str) -> Option<PathBuf> {
    match name.parse() {
        Ok(DatabaseUrl::File(path)) => Some(path),
        Ok(_) => None,
        Err(_) => Some(name.into()),
    }
}

fn show(context: &mut Context, report: &Report, is_dry: bool) -> Result<()> {
    match context.output.format {
        Format::Json => context.output.object(report)?,
        Format::Table => {
            context.output.rows(&report.tables, SHOWN)?;
            let Report { application, from, to, taken, rejected, seconds, .. } = report;
            let verb = match is_dry {
                _ if report.was_complete => "had taken",
                true => "would take",
                false => "took",
            };
            context.say(&format!(
                "{verb} {taken} rows of {application} from {from} into {to}, {rejected} rejected, {seconds:.1} s\n"
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
        _ => context.output.rows(&report.tables, &[])?,
    }
    context.output.flush();
    Ok(())
}

/// What else there is to know, for people.
fn notes(report: &Report) -> Vec<String> {
    let sum = |of: fn(&takeover::Taken) -> u64| report.tables.iter().map(of).sum::<u64>();
    let (emptied, sealed, withheld) = (sum(|t| t.emptied), sum(|t| t.sealed), sum(|t| t.withheld));
    let mut notes = Vec::new();
    if emptied > 0 {
        notes.push(format!("{emptied} references to rows that are not there are empty now"));
    }
    if sealed > 0 {
        notes.push(format!("{sealed} credentials that were not encrypted are sealed now"));
    }
    if withheld > 0 {
        notes.push(format!(
            "{withheld} credentials are left out, because they were not encrypted and there is no key to seal them; \
             give one in VIRALDB_KEY, or set them with `viraldb secrets set`"
        ));
    }
    if !report.left.is_empty() {
        let list: Vec<String> = report.left.iter().map(|name| visible(&short(name))).collect();
        notes.push(format!("without a place here: {}", list.join(", ")));
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
