//! `viraldb migrate`

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Subcommand, ValueHint};

use super::Context;
use super::backup::{Programs, advance, progress};
use super::output;
use viraldb::db::migrate::{self, Direction, Migration, State, Verdict};
use viraldb::ops::backup::{self, Create};
use viraldb::private::quote::quoted;
use viraldb::{Error, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Apply the pending migrations
    ///
    /// viraldb first backs up a database that holds rows.
    Run(Before),
    /// Revert the newest migrations, with their tables and rows
    ///
    /// viraldb first backs up a database that holds rows.
    Revert(Count),
    /// Revert the newest migrations and apply them again; their rows are lost
    ///
    /// viraldb first backs up a database that holds rows.
    Redo(Count),
    /// List the migrations and their state
    Status,
    /// Check whether the schema is current
    ///
    /// Exit code 0 means current, 3 pending migrations, 4 a different history, and 5 a database of a newer viraldb.
    Check,
    /// Print the SQL of the pending or the named migrations
    Sql(Sql),
}

#[derive(Debug, clap::Args)]
struct Count {
    /// Number of migrations
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..))]
    count: u16,
    /// All migrations
    #[arg(long, conflicts_with = "count")]
    all: bool,
    #[command(flatten)]
    before: Before,
}

/// The backup before a migration changes rows.
#[derive(Debug, clap::Args)]
pub(super) struct Before {
    /// Migrate without a backup
    #[arg(long)]
    no_backup: bool,
    /// Folder of the backup [default: backups next to the SQLite file, or ./backups]
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath, conflicts_with = "no_backup")]
    backup_to: Option<PathBuf>,
    #[command(flatten)]
    programs: Programs,
}

impl Before {
    /// Makes a backup if `is_due` returns true.
    pub(super) fn back_up(
        self,
        context: &mut Context,
        url: &str,
        is_due: fn(&str) -> Result<bool>,
    ) -> Result<Option<PathBuf>> {
        if self.no_backup || !is_due(url)? {
            return Ok(None);
        }
        let options = Create { to: self.backup_to, pg_bin: self.programs.pg_bin, ..Default::default() };
        let bar = progress(context);
        let made = backup::create(url, &options, &mut |at| advance(&bar, at));
        bar.finish_and_clear();
        let (file, _) = made.map_err(|error| {
            error.with("nothing was migrated; use --no-backup to migrate without a backup")
        })?;
        if context.output.is_for_people() {
            context.say(&format!("backed up to {}\n", file.display()))?;
        }
        Ok(Some(file))
    }
}

/// Adds the path of the backup to the error of a failed migration.
pub(super) fn with_backup<T>(result: Result<T>, backup: Option<&Path>) -> Result<T> {
    match backup {
        Some(file) => result.map_err(|error| error.with(&format!("the backup is {}", file.display()))),
        None => result,
    }
}

impl Count {
    fn parts(self) -> (usize, Before) {
        (if self.all { usize::MAX } else { self.count.into() }, self.before)
    }
}

#[derive(Debug, clap::Args)]
struct Sql {
    /// Names or versions of migrations
    #[arg(value_name = "NAME")]
    names: Vec<String>,
    /// Print all migrations
    #[arg(long, conflicts_with = "names")]
    all: bool,
    /// Print the SQL that reverts them, newest first
    #[arg(long)]
    down: bool,
}

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let url = context.url()?;
        match self.command {
            Command::Run(before) => {
                let backup = before.back_up(context, &url, backup::is_due_before_run)?;
                done(context, "applied", backup, || migrate::run(&url))
            }
            Command::Revert(count) => {
                let (count, before) = count.parts();
                let backup = before.back_up(context, &url, backup::is_due_before_revert)?;
                done(context, "reverted", backup, || migrate::revert(&url, count))
            }
            Command::Redo(count) => {
                let (count, before) = count.parts();
                let backup = before.back_up(context, &url, backup::is_due_before_revert)?;
                done(context, "applied again", backup, || migrate::redo(&url, count))
            }
            Command::Status => {
                let history = migrate::status(&url)?;
                context.output.rows(&history.entries, &["version", "name", "state", "recorded_at"])?;
                if !history.foreign.is_empty() && !context.quiet {
                    context.output.flush();
                    let others = history.foreign.join(", ");
                    output::message(&format!(
                        "migrations of other programs, which viraldb does not change: {others}"
                    ));
                }
                Ok(ExitCode::SUCCESS)
            }
            Command::Check => check(context, &url),
            Command::Sql(sql) => sql.run(context, &url),
        }
    }
}

/// Runs migrations after the backup, and prints their names.
fn done(
    context: &mut Context,
    verb: &str,
    backup: Option<PathBuf>,
    act: impl FnOnce() -> Result<Vec<&'static str>>,
) -> Result<ExitCode> {
    let names = with_backup(act(), backup.as_deref())?;
    if context.output.is_for_people() {
        for name in &names {
            context.say(&format!("{verb} {name}\n"))?;
        }
        if names.is_empty() {
            context.say("nothing to do\n")?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut done = serde_json::json!({ verb.replace(' ', "_"): names });
    if let Some(backup) = backup {
        done["backup"] = serde_json::json!(backup);
    }
    context.output.object(&done)?;
    Ok(ExitCode::SUCCESS)
}

fn check(context: &mut Context, url: &str) -> Result<ExitCode> {
    let history = migrate::status(url)?;
    let (word, code) = match history.verdict() {
        Verdict::Current => ("current", 0),
        Verdict::Pending => ("pending", 3),
        Verdict::Differs => ("differs", 4),
        Verdict::Newer => ("newer", 5),
    };
    let concerned: Vec<_> = history.entries.iter().filter(|entry| entry.state != State::Applied).collect();
    if context.output.is_for_people() {
        context.output.text(&format!("{word}\n"))?;
        for entry in concerned {
            let name = if entry.name.is_empty() { &entry.version } else { &entry.name };
            context.output.text(&format!("{}  {name}\n", entry.state))?;
        }
    } else {
        context.output.object(&serde_json::json!({ "verdict": word, "migrations": concerned }))?;
    }
    Ok(ExitCode::from(code))
}

impl Sql {
    fn run(self, context: &mut Context, url: &str) -> Result<ExitCode> {
        let embedded = migrate::embedded(url)?;
        let mut chosen: Vec<&Migration> = if self.all {
            embedded.iter().collect()
        } else if self.names.is_empty() {
            migrate::status(url)?.pending().collect()
        } else {
            let find = |name: &String| {
                let known =
                    embedded.iter().find(|migration| migration.name == *name || migration.version() == *name);
                known.ok_or_else(|| {
                    let names: Vec<&str> = embedded.iter().map(|migration| migration.name).collect();
                    Error::invalid(
                        format!("unknown migration {};", quoted(name)),
                        format!("expected {}", names.join(", ")),
                    )
                })
            };
            self.names.iter().map(find).collect::<Result<_>>()?
        };
        let direction = if self.down { Direction::Down } else { Direction::Up };
        if self.down {
            chosen.reverse();
        }
        context.output.raw(&migrate::sql(url, &chosen, direction)?)?;
        Ok(ExitCode::SUCCESS)
    }
}
