//! `viraldb shorts`

use std::process::ExitCode;

use clap::Subcommand;

use super::Context;
use super::complete::{runs, shorts};
use super::values::Paging;
use super::words::words;
use viraldb::Result;
use viraldb::compilation::{PipelineRunId, Short, ShortFilter, ShortId, ShortStatus};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List shorts, newest first
    List {
        /// Show only the shorts of this run
        #[arg(long, value_name = "ID", add = runs())]
        run: Option<PipelineRunId>,
        /// Show only shorts with this status
        #[arg(long, value_name = "STATUS", value_parser = words(ShortStatus::ALL, ShortStatus::as_str))]
        status: Option<ShortStatus>,
        #[command(flatten)]
        page: Paging<ShortId>,
    },
    /// Show a short
    Show {
        /// Id of the short
        #[arg(value_name = "ID", add = shorts())]
        id: ShortId,
    },
}

/// Columns of a table of shorts.
pub(super) const SHOWN: &[&str] =
    &["id", "pipeline_run_id", "clip_id", "status", "duration_seconds", "title", "youtube_url"];

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        match self.command {
            Command::List { run, status, page } => {
                let filter = ShortFilter { pipeline_run_id: run, status };
                let shorts = db.read(|c| Short::list(c, &filter, &page.into()))?;
                context.list(&shorts, SHOWN, "no shorts")?;
            }
            Command::Show { id } => {
                let short = db.read(|c| Short::find(c, id))?;
                context.output.row(&short)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
