//! The command line: one file a command, each its arguments, one call into the library, one print.
//!
//! Data goes to stdout and only data; errors, hints and progress go to stderr. Exit codes: 0 done,
//! 1 failed, 2 wrong usage, and those that `doctor`, `ingest`, `migrate check`, `config validate`, `secrets verify` and
//! `backup verify` document.

#![allow(missing_docs)] // doc comments here are the help that clap prints

mod backup;
mod channels;
mod closed;
mod completions;
mod config;
mod doctor;
mod duration;
mod errors;
mod export;
mod ingest;
mod init;
mod jobs;
mod logging;
mod masks;
mod migrate;
mod music;
mod optimize;
mod output;
mod paths;
mod presets;
mod prune;
mod rejects;
mod restore;
mod reviews;
mod runs;
mod secret_input;
mod secrets;
mod status;
mod takeover;
mod transfer;
mod trends;
mod values;
mod videos;

use std::error::Error as _;
use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use output::Output;
use viraldb::config::{Config, Options};
use viraldb::db::database_url;
use viraldb::private::quote::{short, visible};
use viraldb::private::set_default_busy_timeout;
use viraldb::{CorrelationId, Database, Result, correlation};

/// The database layer of automated short-video channels: SQLite on a laptop, PostgreSQL in production
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, arg_required_else_help = true)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Args)]
struct Global {
    /// The database: sqlite://PATH, a PATH that ends in .db, .sqlite or .sqlite3, or
    /// postgres://USER@HOST/NAME[?schema=SCHEMA]. Else DATABASE_URL, else that of .env, else sqlite://viral.db
    #[arg(long, global = true, value_name = "URL")]
    database_url: Option<String>,
    /// The configuration file; else VIRALDB_CONFIG, else viraldb.toml here or in the user's configuration folder
    #[arg(long, global = true, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How to print: for people, or one JSON document, one JSON row a line, CSV
    #[arg(long, global = true, value_enum, default_value_t)]
    format: Format,
    /// How long to wait for another program's lock, such as 10s or 2m [default: 5s; 5m for ingest without --watch, takeover,
    /// transfer, config import and secrets import-fernet]
    #[arg(long, global = true, value_name = "TIME", value_parser = duration::duration)]
    wait: Option<Duration>,
    /// Log more: -v what is done, -vv how
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    verbose: u8,
    /// Print data and errors only
    #[arg(short, long, global = true, conflicts_with = "verbose")]
    quiet: bool,
    /// Form of the log on stderr
    #[arg(long, global = true, value_enum, default_value_t)]
    log_format: LogFormat,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Format {
    #[default]
    Table,
    Json,
    Jsonl,
    Csv,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Make the database, or bring it to the newest schema
    Init(init::Args),
    /// What is in the database: versions, sizes, rows, pending work
    Status(status::Args),
    /// What is wrong with the database, or may soon be, and what mends it
    Doctor(doctor::Args),
    /// The schema's migrations
    Migrate(migrate::Args),
    /// Read files of videos into the database, or watch a folder for them
    Ingest(ingest::Args),
    /// Write rows of tables as JSON Lines or CSV
    Export(export::Args),
    /// Discovered videos
    Videos(videos::Args),
    /// Runs of the pipeline
    Runs(runs::Args),
    /// Reviews asked of a person
    Reviews(reviews::Args),
    /// Channels that videos are published on
    Channels(channels::Args),
    /// Presets for transforming videos
    Presets(presets::Args),
    /// Tracks that may replace the music of a video
    Music(music::Args),
    /// Videos that are trending on a platform
    Trends(trends::Args),
    /// The work queue
    Jobs(jobs::Args),
    /// Sealed credentials and settings, and their keys
    Secrets(secrets::Args),
    /// Errors of the pipelines
    Errors(errors::Args),
    /// Delete what is old: resolved errors, superfluous samples, finished jobs and runs
    Prune(prune::Args),
    /// Bring the planner's statistics up to date, and give back room
    Optimize(optimize::Args),
    /// Settings, and where they come from
    Config(config::Args),
    /// Backups: make, list, verify, prune, and try them
    Backup(backup::Args),
    /// Put a backup in the place of the database, which is kept
    Restore(restore::Args),
    /// Copy a database into another one, between SQLite and PostgreSQL
    Transfer(transfer::Args),
    /// Take over the database of a Python application
    Takeover(takeover::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
}

/// What a command works with.
struct Context {
    url: Option<String>,
    config: Option<PathBuf>,
    output: Output,
    quiet: bool,
}

impl Context {
    fn url(&self) -> Result<String> {
        database_url(self.url.as_deref())
    }

    /// Says what was done, unless only data is wanted.
    fn say(&mut self, text: &str) -> Result<()> {
        if self.quiet { Ok(()) } else { self.output.text(text) }
    }

    /// [`say`](Self::say) in a line of text; for programs, the object that it is about.
    fn done(&mut self, text: &str, object: &impl serde::Serialize) -> Result<()> {
        match self.output.format {
            Format::Table => self.say(&format!("{}\n", visible(text))),
            _ => self.output.object(object),
        }
    }

    /// Prints the rows of a list. If there are none, a person is told so on stderr: `none` says it.
    fn list<'de, T: Serialize + Deserialize<'de>>(
        &mut self,
        rows: &[T],
        shown: &[&str],
        none: &str,
    ) -> Result<()> {
        self.list_or(rows, shown, || Ok(none.to_owned()))
    }

    /// [`list`](Self::list) with a text that has to be looked up.
    fn list_or<'de, T: Serialize + Deserialize<'de>>(
        &mut self,
        rows: &[T],
        shown: &[&str],
        none: impl FnOnce() -> Result<String>,
    ) -> Result<()> {
        if !rows.is_empty() || self.output.format != Format::Table {
            return self.output.rows(rows, shown);
        }
        if !self.quiet {
            output::message(&output::visible(&none()?));
        }
        Ok(())
    }

    /// Progress by the rows of each table, on a terminal only.
    fn rows_bar(&self) -> ProgressBar {
        if self.quiet || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{msg:36} {wide_bar} {pos}/{len}  {per_sec}  {eta}");
        ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    }

    /// The settings of the database.
    fn config(&self, db: &Database) -> Result<Config> {
        Config::open_with(db, Options { file: self.config.clone(), ..Default::default() })
    }

    /// The database, which must be there and current.
    fn database(&self) -> Result<Database> {
        Database::connect(&self.url()?)
    }
}

/// Reads the command line. Where it cannot be understood, or help is asked for, prints what clap says and ends the program.
pub(crate) fn parse() -> Cli {
    Cli::try_parse().unwrap_or_else(|mut error| {
        for kind in [ContextKind::InvalidArg, ContextKind::InvalidSubcommand, ContextKind::InvalidValue] {
            if let Some(ContextValue::String(given)) = error.get(kind) {
                let given = visible(&short(given));
                error.insert(kind, ContextValue::String(given));
            }
        }
        let said = error.render().to_string();
        let shown = masks::without_passwords(&said);
        if shown == said {
            error.exit();
        }
        output::lines(&shown);
        std::process::exit(error.exit_code())
    })
}

/// Runs the command and says how it ended.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let Cli { global, command } = cli;
    #[cfg(feature = "sqlite")]
    viraldb::private::set_up_process();
    set_default_busy_timeout(global.wait.unwrap_or_else(|| command.wait()));
    logging::start(global.verbose, global.quiet, global.log_format);
    viraldb::config::use_file(global.config.clone());
    let mut context = Context {
        url: global.database_url,
        config: global.config,
        output: Output::new(global.format),
        quiet: global.quiet,
    };
    let id = CorrelationId::default();
    let result = correlation::unit_of_work(command.name(), id, || {
        tracing::info!("begins");
        let code = command.run(&mut context)?;
        tracing::info!("done");
        context.output.finish()?;
        Ok(code)
    });
    match result {
        Ok(code) => code,
        Err(error) => {
            report(&error);
            ExitCode::FAILURE
        }
    }
}

impl Command {
    /// How long it waits for a lock unless `--wait` says otherwise. A command that brings in many rows is rarely run by
    /// somebody who watches it, and more often at the same time as another of its kind.
    const fn wait(&self) -> Duration {
        Duration::from_secs(match self {
            // A watch tries again, and is to end soon after it is told to.
            Self::Ingest(args) if args.is_watch() => 5,
            Self::Ingest(_) | Self::Takeover(_) | Self::Transfer(_) => 300,
            Self::Config(args) if args.is_import() => 300,
            Self::Secrets(args) if args.is_import() => 300,
            _ => 5,
        })
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Status(_) => "status",
            Self::Doctor(_) => "doctor",
            Self::Migrate(_) => "migrate",
            Self::Ingest(_) => "ingest",
            Self::Export(_) => "export",
            Self::Videos(_) => "videos",
            Self::Runs(_) => "runs",
            Self::Reviews(_) => "reviews",
            Self::Channels(_) => "channels",
            Self::Presets(_) => "presets",
            Self::Music(_) => "music",
            Self::Trends(_) => "trends",
            Self::Jobs(_) => "jobs",
            Self::Secrets(_) => "secrets",
            Self::Errors(_) => "errors",
            Self::Prune(_) => "prune",
            Self::Optimize(_) => "optimize",
            Self::Config(_) => "config",
            Self::Backup(_) => "backup",
            Self::Restore(_) => "restore",
            Self::Transfer(_) => "transfer",
            Self::Takeover(_) => "takeover",
            Self::Completions(_) => "completions",
        }
    }

    fn run(self, context: &mut Context) -> Result<ExitCode> {
        match self {
            Self::Init(args) => args.run(context),
            Self::Status(args) => args.run(context),
            Self::Doctor(args) => args.run(context),
            Self::Migrate(args) => args.run(context),
            Self::Ingest(args) => args.run(context),
            Self::Export(args) => args.run(context),
            Self::Videos(args) => args.run(context),
            Self::Runs(args) => args.run(context),
            Self::Reviews(args) => args.run(context),
            Self::Channels(args) => args.run(context),
            Self::Presets(args) => args.run(context),
            Self::Music(args) => args.run(context),
            Self::Trends(args) => args.run(context),
            Self::Jobs(args) => args.run(context),
            Self::Secrets(args) => args.run(context),
            Self::Errors(args) => args.run(context),
            Self::Prune(args) => args.run(context),
            Self::Optimize(args) => args.run(context),
            Self::Config(args) => args.run(context),
            Self::Backup(args) => args.run(context),
            Self::Restore(args) => args.run(context),
            Self::Transfer(args) => args.run(context),
            Self::Takeover(args) => args.run(context),
            Self::Completions(args) => args.run(context),
        }
    }
}

/// One line with the chain of causes, each once.
fn report(error: &viraldb::Error) {
    let mut text = viraldb::private::quote::one_line(&error.to_string());
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = viraldb::private::quote::one_line(&error.to_string());
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    output::message(&format!("error: {text}"));
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn arguments_do_not_contradict_each_other() {
        super::Cli::command().debug_assert();
    }
}
