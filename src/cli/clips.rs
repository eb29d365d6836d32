//! `viraldb clips`

use std::process::ExitCode;

use clap::Subcommand;

use super::Context;
use super::complete::{clips, runs};
use super::values::Paging;
use viraldb::Result;
use viraldb::compilation::{Clip, ClipFilter, ClipId, PipelineRunId};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List clips, newest first
    List {
        /// Show only the clips of this run
        #[arg(long, value_name = "ID", add = runs())]
        run: Option<PipelineRunId>,
        #[command(flatten)]
        page: Paging<ClipId>,
    },
    /// Show a clip
    Show {
        /// Id of the clip
        #[arg(value_name = "ID", add = clips())]
        id: ClipId,
    },
}

/// Columns of a table of clips.
pub(super) const SHOWN: &[&str] = &[
    "id",
    "pipeline_run_id",
    "rank_position",
    "discovered_video_id",
    "start_time_seconds",
    "end_time_seconds",
    "extraction_method",
    "clip_file_path",
];

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        match self.command {
            Command::List { run, page } => {
                let filter = ClipFilter { pipeline_run_id: run, ..Default::default() };
                let clips = db.read(|c| Clip::list(c, &filter, &page.into()))?;
                context.list(&clips, SHOWN, "no clips")?;
            }
            Command::Show { id } => {
                let clip = db.read(|c| Clip::find(c, id))?;
                context.output.row(&clip)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
