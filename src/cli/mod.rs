//! The command line. Each command has one file: its arguments, one call into the library, and the printing of the result.
//!
//! Stdout receives only data. Errors, hints and progress are printed on stderr. Exit code 0 means success, 1 failure, and 2
//! wrong usage. `doctor`, `ingest`, `migrate check`, `config validate`, `secrets verify` and `backup verify` document more.

#![allow(missing_docs)] // doc comments here are the help that clap prints

mod backup;
mod cells;
mod channels;
mod clips;
mod closed;
mod color;
mod complete;
mod complete_columns;
mod completions;
mod config;
mod context;
mod doctor;
mod duration;
mod errors;
mod examples;
mod export;
mod help;
mod ingest;
mod init;
mod jobs;
mod logging;
mod man;
mod masks;
#[cfg(feature = "web")]
mod metrics;
mod migrate;
mod music;
mod optimize;
mod output;
mod paths;
mod presets;
mod prune;
mod rejects;
#[cfg(feature = "web")]
mod report;
mod restore;
mod reviews;
mod runs;
mod schedules;
mod schema;
mod screen;
mod scripts;
mod secret_input;
mod secrets;
#[cfg(feature = "web")]
mod serve;
mod shorts;
mod source_videos;
mod stats;
mod status;
mod takeover;
mod transfer;
mod trends;
mod values;
mod videos;
mod when;
mod words;

use std::error::Error as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgAction, Parser, Subcommand, ValueEnum, ValueHint};

use color::When;
use context::Context;
pub(crate) use help::parse;
use output::Output;
use schema::Diagram;
use viraldb::private::set_default_busy_timeout;
use viraldb::{CorrelationId, Error, Result, correlation};

/// The database layer of automated short-video channels: SQLite on a laptop, PostgreSQL in production
#[derive(Debug, Parser)]
#[command(name = "viraldb", max_term_width = 100, arg_required_else_help = true)]
#[command(disable_help_flag = true, disable_version_flag = true, version)]
pub(crate) struct Cli {
    #[command(flatten)]
    global: Global,
    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = GLOBAL, display_order = 1001)]
    version: Option<bool>,
    #[command(subcommand)]
    command: Command,
}

/// The heading of the options that every command takes; help lists them last.
const GLOBAL: &str = "Global options";

#[derive(Debug, clap::Args)]
#[command(next_help_heading = GLOBAL)]
struct Global {
    /// Database URL or path [default: $DATABASE_URL, then .env, then sqlite://viral.db]
    ///
    /// Accepts sqlite://PATH, a PATH that ends in .db, .sqlite or .sqlite3, and
    /// postgres://USER@HOST/NAME[?schema=SCHEMA].
    #[arg(long, global = true, value_name = "URL", value_hint = ValueHint::Url, display_order = 990)]
    database_url: Option<String>,
    /// Configuration file [default: $VIRALDB_CONFIG, then viraldb.toml]
    ///
    /// viraldb looks for viraldb.toml in the current folder, then in the user's configuration folder.
    #[arg(long, global = true, value_name = "FILE", value_hint = ValueHint::FilePath, display_order = 991)]
    config: Option<PathBuf>,
    /// Output format
    #[arg(long, global = true, value_enum, default_value_t, display_order = 992)]
    format: Asked,
    /// Print JSON; short for --format json
    #[arg(long, global = true, conflicts_with = "format", display_order = 993)]
    json: bool,
    /// Columns to print, in this order
    ///
    /// Applies to rows and to the fields of a single object, in every format. A report prints only its rows.
    #[arg(long, global = true, value_name = "COLUMNS", value_delimiter = ',', display_order = 994, add = complete_columns::columns())]
    columns: Vec<String>,
    /// When to use color
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t, display_order = 995)]
    color: When,
    /// Maximum time to wait for a lock, such as 10s or 2m
    ///
    /// The default is 5s. It is 5m for ingest without --watch, takeover, transfer, config import and
    /// secrets import-fernet.
    #[arg(long, global = true, value_name = "TIME", value_parser = duration::duration, display_order = 996)]
    wait: Option<Duration>,
    /// Log more: -v logs each step, -vv logs details
    #[arg(short, long, global = true, action = ArgAction::Count, display_order = 997)]
    verbose: u8,
    /// Print only data and errors
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = 998)]
    quiet: bool,
    /// Log format on stderr
    #[arg(long, global = true, value_enum, default_value_t, display_order = 999)]
    log_format: LogFormat,
    /// Print help; --help also shows examples
    #[arg(short, long, global = true, action = ArgAction::Help, display_order = 1000)]
    help: Option<bool>,
}

/// The words of `--format`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Asked {
    /// A table for people
    #[default]
    Table,
    /// One JSON document
    Json,
    /// One JSON object per line
    Jsonl,
    /// CSV with a header
    Csv,
    #[value(hide = true)]
    Mermaid,
    #[value(hide = true)]
    Dot,
    #[value(hide = true)]
    Markdown,
}

impl Asked {
    /// Returns the diagram that only `schema` prints, and its word.
    const fn diagram(self) -> Option<(Diagram, &'static str)> {
        match self {
            Self::Table | Self::Json | Self::Jsonl | Self::Csv => None,
            Self::Mermaid => Some((Diagram::Mermaid, "mermaid")),
            Self::Dot => Some((Diagram::Dot, "dot")),
            Self::Markdown => Some((Diagram::Markdown, "markdown")),
        }
    }
}

/// How rows and objects are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Table,
    Json,
    Jsonl,
    Csv,
}

impl From<Asked> for Format {
    fn from(asked: Asked) -> Self {
        match asked {
            Asked::Json => Self::Json,
            Asked::Jsonl => Self::Jsonl,
            Asked::Csv => Self::Csv,
            Asked::Table | Asked::Mermaid | Asked::Dot | Asked::Markdown => Self::Table,
        }
    }
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create the database, or migrate it to the current schema
    Init(init::Args),
    /// Read files of videos and statistics into the database
    ///
    /// Invalid rows are rejected, and the others are stored. A row that is stored again updates its counts.
    ///
    /// Files may be compressed with gzip or zstd, or be UTF-16 with a byte-order mark. viraldb reads each CSV and JSON file of a
    /// ZIP archive. A CSV may be delimited by commas, semicolons, tabs or vertical bars.
    ///
    /// In a folder and its subfolders, viraldb reads the .csv, .tsv, .txt, .json, .jsonl, .ndjson and .zip files, also with .gz
    /// or .zst. It reads each file once, and skips hidden files and unfinished downloads (.part, .tmp, .crdownload). If a file
    /// of a folder or pattern cannot be read, viraldb reports it and continues. If a named file cannot be read, the command
    /// ends.
    ///
    /// Exit code 0 means that all rows were stored, 3 that rows were rejected, and 1 that a file could not be read or stored, or
    /// that --strict stored nothing of a file. A watch exits with 0 when it is stopped.
    Ingest(ingest::Args),
    /// Show versions, size, row counts and pending work
    Status(status::Args),
    /// Write an HTML report with charts
    ///
    /// The report is one file: no other file, no script, and no connection to the internet is needed to read it, so it also works
    /// as an attachment.
    #[cfg(feature = "web")]
    Report(report::Args),
    /// Serve a dashboard of live pages, metrics and a JSON API
    ///
    /// The dashboard only reads, unless --allow-actions is given. It listens on this machine only, unless visitors must log in:
    /// other addresses need --auth-file or --token-file.
    #[cfg(feature = "web")]
    Serve(serve::Args),

    /// List and show discovered videos, and mark what became of them
    Videos(videos::Args),
    /// Start pipeline runs and move them through their statuses
    Runs(runs::Args),
    /// List the clips of a run
    Clips(clips::Args),
    /// List the scripts of a run
    Scripts(scripts::Args),
    /// List the shorts of a run
    Shorts(shorts::Args),
    /// Ask a person to review a run, and record the answer
    Reviews(reviews::Args),
    /// Enqueue, claim and finish jobs
    Jobs(jobs::Args),
    /// Enqueue jobs again and again, by cron expressions
    Schedules(schedules::Args),
    /// Manage the channels that videos are published on
    Channels(channels::Args),
    /// Add source videos and move them to publication
    ///
    /// Source videos are the rows of `videos`: what a channel downloads, transforms and publishes again.
    SourceVideos(source_videos::Args),
    /// Manage transformation presets
    Presets(presets::Args),
    /// Manage replacement music tracks
    Music(music::Args),
    /// Manage trending videos of other platforms
    Trends(trends::Args),
    /// Show statistics of videos and channels over time
    Stats(stats::Args),

    /// Show and change settings
    Config(config::Args),
    /// Store encrypted credentials and manage their keys
    Secrets(secrets::Args),

    /// Check the database for problems
    ///
    /// Each finding says what is wrong, why it matters, and how to fix it.
    ///
    /// Exit code 0 means no problems (notes are not problems), 1 the database could not be opened, 3 warnings, 4 errors.
    Doctor(doctor::Args),
    /// Print metrics for Prometheus
    ///
    /// The output is Prometheus text. A scheduled task can write it to the folder of node_exporter's textfile collector.
    #[cfg(feature = "web")]
    Metrics(metrics::Args),
    /// Create, verify and prune backups
    Backup(backup::Args),
    /// Replace the database with a backup
    Restore(restore::Args),
    /// Delete old rows by the retention settings
    ///
    /// The settings error_retention_days and archive_retention_days say how long rows are kept. viraldb deletes in small
    /// transactions. If prune is interrupted, run it again to continue.
    Prune(prune::Args),
    /// Update the query planner's statistics and reclaim space
    Optimize(optimize::Args),
    /// Write the rows of tables as JSON Lines or CSV
    Export(export::Args),
    /// Copy a database to another one, also between SQLite and PostgreSQL
    Transfer(transfer::Args),
    /// Import the database of a Python application
    ///
    /// viraldb knows viral_channel on SQLite, and channel-manager and ViralForge on SQLite and PostgreSQL. It only reads the
    /// source. Credentials that the source keeps unencrypted are encrypted with the key of VIRALDB_KEY or VIRALDB_KEY_FILE.
    /// Without a key they are left out.
    ///
    /// Other programs can write to the target at the same time. If the takeover is interrupted, run the same command again: it
    /// copies the missing rows.
    Takeover(takeover::Args),
    /// Apply, revert and inspect schema migrations
    Migrate(migrate::Args),
    /// Describe the tables of the database
    ///
    /// Reads the tables of the live database: columns, keys, indexes and comments.
    ///
    /// `--format mermaid` and `--format dot` print an ER diagram, `--format markdown` a reference, `--format json` everything.
    /// `--format csv` and a table for people print one row per column.
    Schema(schema::Args),
    /// List, log and resolve errors of the pipelines
    Errors(errors::Args),

    /// Print a completion script for a shell
    ///
    /// Add the script to the configuration of your shell. The script asks viraldb itself, so commands, words, ids, niches
    /// and columns complete, and an update of viraldb needs no new script.
    Completions(completions::Args),
    /// Print the man page, or write all man pages to a folder
    Man(man::Args),
}

/// Runs the command and returns its exit code.
pub(crate) fn run(cli: Cli) -> ExitCode {
    let Cli { global, command, .. } = cli;
    #[cfg(feature = "sqlite")]
    viraldb::private::set_up_process();
    set_default_busy_timeout(global.wait.unwrap_or_else(|| command.wait()));
    global.color.apply();
    logging::start(global.verbose, global.quiet, global.log_format);
    viraldb::config::use_file(global.config.clone());
    let asked = if global.json { Asked::Json } else { global.format };
    let mut context = Context {
        url: global.database_url,
        config: global.config,
        diagram: asked.diagram().map(|(diagram, _)| diagram),
        output: Output::new(asked.into(), global.columns),
        quiet: global.quiet,
    };
    let id = CorrelationId::default();
    let result = correlation::unit_of_work(command.name(), id, || {
        tracing::info!("begins");
        command.accepts(asked)?;
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
    /// How long the command waits for a lock without `--wait`. Imports wait longer: they often run unattended, and at the
    /// same time as other imports.
    const fn wait(&self) -> Duration {
        Duration::from_secs(match self {
            // A watch retries by itself, and must stop soon after a signal.
            Self::Ingest(args) if args.is_watch() => 5,
            Self::Ingest(_) | Self::Takeover(_) | Self::Transfer(_) => 300,
            Self::Config(args) if args.is_import() => 300,
            Self::Secrets(args) if args.is_import() => 300,
            _ => 5,
        })
    }

    /// Rejects the output formats that only `schema` has.
    fn accepts(&self, asked: Asked) -> Result<()> {
        match asked.diagram() {
            Some((_, word)) if !matches!(self, Self::Schema(_)) => {
                let reason = "only `viraldb schema` has this format; use table, json, jsonl or csv";
                Err(Error::invalid(format!("cannot print {} as {word};", self.name()), reason))
            }
            _ => Ok(()),
        }
    }

    const fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Status(_) => "status",
            #[cfg(feature = "web")]
            Self::Metrics(_) => "metrics",
            #[cfg(feature = "web")]
            Self::Report(_) => "report",
            #[cfg(feature = "web")]
            Self::Serve(_) => "serve",
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
            Self::Schedules(_) => "schedules",
            Self::Secrets(_) => "secrets",
            Self::Errors(_) => "errors",
            Self::Prune(_) => "prune",
            Self::Optimize(_) => "optimize",
            Self::Config(_) => "config",
            Self::Backup(_) => "backup",
            Self::Restore(_) => "restore",
            Self::Transfer(_) => "transfer",
            Self::Takeover(_) => "takeover",
            Self::Clips(_) => "clips",
            Self::Scripts(_) => "scripts",
            Self::Shorts(_) => "shorts",
            Self::SourceVideos(_) => "source-videos",
            Self::Stats(_) => "stats",
            Self::Schema(_) => "schema",
            Self::Man(_) => "man",
            Self::Completions(_) => "completions",
        }
    }

    fn run(self, context: &mut Context) -> Result<ExitCode> {
        match self {
            Self::Init(args) => args.run(context),
            Self::Status(args) => args.run(context),
            #[cfg(feature = "web")]
            Self::Metrics(args) => args.run(context),
            #[cfg(feature = "web")]
            Self::Report(args) => args.run(context),
            #[cfg(feature = "web")]
            Self::Serve(args) => args.run(context),
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
            Self::Schedules(args) => args.run(context),
            Self::Secrets(args) => args.run(context),
            Self::Errors(args) => args.run(context),
            Self::Prune(args) => args.run(context),
            Self::Optimize(args) => args.run(context),
            Self::Config(args) => args.run(context),
            Self::Backup(args) => args.run(context),
            Self::Restore(args) => args.run(context),
            Self::Transfer(args) => args.run(context),
            Self::Takeover(args) => args.run(context),
            Self::Clips(args) => args.run(context),
            Self::Scripts(args) => args.run(context),
            Self::Shorts(args) => args.run(context),
            Self::SourceVideos(args) => args.run(context),
            Self::Stats(args) => args.run(context),
            Self::Schema(args) => args.run(context),
            Self::Man(args) => args.run(context),
            Self::Completions(args) => args.run(context),
        }
    }
}

/// Prints an error and its chain of causes on one line, without repeating a cause.
fn report(error: &viraldb::Error) {
    let mut text = viraldb::private::quote::one_line(&error.to_string());
    // The message of a file already has that of the operating system.
    let mut cause = if matches!(error, Error::Io { .. }) { None } else { error.source() };
    while let Some(error) = cause {
        let next = viraldb::private::quote::one_line(&error.to_string());
        if !text.contains(&next) {
            text = format!("{text}: {next}");
        }
        cause = error.source();
    }
    output::message(&format!("error: {text}"));
}
