//! `viraldb videos`

use std::process::ExitCode;

use clap::Subcommand;

use super::complete::{niche, videos};
use super::values::{Paging, at_least_one, none_in};
use super::words::processed;
use super::{Context, runs, stats};
use viraldb::Result;
use viraldb::compilation::{DiscoveredVideo, DiscoveredVideoFilter, DiscoveredVideoId, Processed};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List videos, newest first
    List {
        /// Show only videos of this niche
        #[arg(long, value_name = "NICHE", add = niche())]
        niche: Option<String>,
        /// Show only videos with this status
        #[arg(long, value_name = "STATUS", value_parser = processed())]
        status: Option<Processed>,
        #[command(flatten)]
        page: Paging<DiscoveredVideoId>,
    },
    /// Show a video with its newest counts and its runs
    Show {
        /// Id of the video on its platform
        #[arg(value_name = "VIDEO_ID", allow_hyphen_values = true, add = videos())]
        video_id: String,
    },
    /// List the pending videos of a niche, best first
    Pending {
        /// Niche, such as gaming
        #[arg(value_name = "NICHE", add = niche())]
        niche: String,
        /// Maximum number of rows to print
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = at_least_one)]
        limit: i64,
    },
    /// Mark a video as used, skipped, rejected or pending again
    Mark {
        /// Id of the video on its platform
        #[arg(value_name = "VIDEO_ID", allow_hyphen_values = true, add = videos())]
        video_id: String,
        /// New status
        #[arg(value_name = "STATUS", value_parser = processed())]
        status: Processed,
    },
}

const SHOWN: &[&str] =
    &["id", "video_id", "niche", "processed", "viral_score", "view_velocity", "view_count", "title"];

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        match self.command {
            Command::List { niche, status, page } => {
                let filter = DiscoveredVideoFilter { niche: niche.as_deref(), processed: status };
                let videos = db.read(|c| DiscoveredVideo::list(c, &filter, &page.into()))?;
                let none = || none_in(&db, niche.as_deref(), "no videos");
                context.list_or(&videos, SHOWN, none)?;
            }
            Command::Show { video_id } => {
                let view = db.read(|c| DiscoveredVideo::view(c, &video_id))?;
                if !context.output.is_for_people() {
                    context.output.object(&view)?;
                    return Ok(ExitCode::SUCCESS);
                }
                context.output.row(&view.video)?;
                context.output.section("newest counts", view.latest.as_slice(), stats::ANALYTICS)?;
                context.output.section("runs", &view.runs, runs::LISTED)?;
            }
            Command::Pending { niche, limit } => {
                let videos = db.read(|c| DiscoveredVideo::pending(c, &niche, limit))?;
                let none = || none_in(&db, Some(&niche), "no pending videos");
                context.list_or(&videos, SHOWN, none)?;
            }
            Command::Mark { video_id, status } => {
                let video = db.write(|c| DiscoveredVideo::mark(c, &video_id, status))?;
                context.done(&format!("{} is {}", video.video_id, video.processed), &video)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
