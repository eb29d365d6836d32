//! `viraldb scripts`

use std::process::ExitCode;

use clap::Subcommand;

use super::Context;
use super::complete::{runs, scripts};
use super::values::Paging;
use viraldb::Result;
use viraldb::compilation::{PipelineRunId, Script, ScriptFilter, ScriptId};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List scripts, newest first
    List {
        /// Show only the scripts of this run
        #[arg(long, value_name = "ID", add = runs())]
        run: Option<PipelineRunId>,
        #[command(flatten)]
        page: Paging<ScriptId>,
    },
    /// Show a script
    Show {
        /// Id of the script
        #[arg(value_name = "ID", add = scripts())]
        id: ScriptId,
    },
}

/// Columns of a table of scripts.
pub(super) const SHOWN: &[&str] =
    &["id", "pipeline_run_id", "generated_at", "llm_model_used", "total_char_count", "opening_text"];

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        match self.command {
            Command::List { run, page } => {
                let filter = ScriptFilter { pipeline_run_id: run };
                let scripts = db.read(|c| Script::list(c, &filter, &page.into()))?;
                context.list(&scripts, SHOWN, "no scripts")?;
            }
            Command::Show { id } => {
                let script = db.read(|c| Script::find(c, id))?;
                context.output.row(&script)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
