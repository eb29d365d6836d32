//! `viraldb errors`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;

use super::Context;
use super::values::{Paging, read};
use viraldb::compilation::{ErrorLog, ErrorLogFilter, ErrorLogId, PipelineRunId};
use viraldb::{Result, log_error};

/// The longest stack trace that is read.
const LONGEST: u64 = 16 << 20;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List the errors nobody has dealt with, newest first
    List {
        /// Only of this module
        #[arg(long, value_name = "NAME")]
        module: Option<String>,
        /// Also those that are dealt with
        #[arg(long)]
        all: bool,
        #[command(flatten)]
        page: Paging<ErrorLogId>,
    },
    /// Keep an error
    Log {
        /// Part of the program it happened in
        #[arg(long, value_name = "NAME")]
        module: String,
        /// Kind of error, such as TimeoutError
        #[arg(long = "type", value_name = "TYPE")]
        error_type: String,
        /// Run it happened in
        #[arg(long, value_name = "ID")]
        run: Option<PipelineRunId>,
        /// File that holds the stack trace; - is standard input
        #[arg(long, value_name = "FILE")]
        stack_trace: Option<PathBuf>,
        /// What went wrong
        #[arg(value_name = "MESSAGE")]
        message: String,
    },
    /// Mark errors as dealt with
    Resolve {
        /// Numbers of errors
        #[arg(value_name = "ID", required_unless_present = "module", conflicts_with = "module")]
        ids: Vec<ErrorLogId>,
        /// All of this module
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
            Command::List { module, all, page } => {
                let resolved = if all { None } else { Some(false) };
                let filter = ErrorLogFilter { module: module.as_deref(), resolved, ..Default::default() };
                let errors = db.read(|c| ErrorLog::list(c, &filter, &page.into()))?;
                context.list(&errors, SHOWN, if all { "no errors" } else { "no unresolved errors" })?;
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
                context.done(&format!("resolved {count}"), &serde_json::json!({ "resolved": count }))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
