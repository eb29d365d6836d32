//! `viraldb errors`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueHint};

use super::Context;
use super::complete::{errors, runs};
use super::values::{Paging, read};
use super::when::when;
use viraldb::compilation::{ErrorLog, ErrorLogFilter, ErrorLogId, PipelineRunId};
use viraldb::private::quote::counted;
use viraldb::{Result, Timestamp, log_error};

/// Maximum size of a stack trace, in bytes.
const LONGEST: u64 = 16 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List unresolved errors, newest first
    List {
        /// Show only errors of this module
        #[arg(long, value_name = "NAME")]
        module: Option<String>,
        /// Include resolved errors
        #[arg(long)]
        all: bool,
        /// Show only errors since this time: a time, a date, or a length before now such as 2h or 3d
        #[arg(long, value_name = "TIME", value_parser = when)]
        since: Option<Timestamp>,
        /// Show only errors before this time
        #[arg(long, value_name = "TIME", value_parser = when)]
        until: Option<Timestamp>,
        #[command(flatten)]
        page: Paging<ErrorLogId>,
    },
    /// Log an error
    Log {
        /// Module of the program that failed
        #[arg(long, value_name = "NAME")]
        module: String,
        /// Type of the error, such as TimeoutError
        #[arg(long = "type", value_name = "TYPE")]
        error_type: String,
        /// Run that failed
        #[arg(long, value_name = "ID", add = runs())]
        run: Option<PipelineRunId>,
        /// File with the stack trace; - reads standard input
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        stack_trace: Option<PathBuf>,
        /// Error message
        #[arg(value_name = "ERROR_MESSAGE")]
        message: String,
    },
    /// Mark errors as resolved
    Resolve {
        /// Ids of the errors
        #[arg(value_name = "ID", required_unless_present = "module", conflicts_with = "module", add = errors())]
        ids: Vec<ErrorLogId>,
        /// Resolve all errors of this module
        #[arg(long, value_name = "NAME")]
        module: Option<String>,
    },
}

const SHOWN: &[&str] =
    &["id", "occurred_at", "module", "error_type", "error_message", "pipeline_run_id", "resolved"];

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        match self.command {
            Command::List { module, all, since, until, page } => {
                let resolved = if all { None } else { Some(false) };
                let filter = ErrorLogFilter {
                    module: module.as_deref(),
                    resolved,
                    since,
                    until,
                    ..Default::default()
                };
                let found = db.read(|c| ErrorLog::list(c, &filter, &page.into()))?;
                context.list(&found, SHOWN, if all { "no errors" } else { "no unresolved errors" })?;
            }
            Command::Log { module, error_type, run, stack_trace, message } => {
                let stack_trace = stack_trace.as_deref().map(|file| read(file, LONGEST)).transpose()?;
                let error =
                    db.write(|c| log_error(c, &module, &error_type, &message, run, stack_trace.as_deref()))?;
                context.done(&format!("logged error {}", error.id), &error)?;
            }
            Command::Resolve { ids, module } => {
                let count = db.write(|c| match &module {
                    Some(module) => ErrorLog::resolve_module(c, module),
                    None => ErrorLog::resolve_many(c, &ids),
                })?;
                context.done(
                    &format!("resolved {}", counted(count, "error")),
                    &serde_json::json!({ "resolved": count }),
                )?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
