//! `viraldb videos`

use std::process::ExitCode;

use clap::Subcommand;

use super::Context;
use super::values::{Paging, none_in};
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
        /// Only this niche
        #[arg(long, value_name = "NAME")]
        niche: Option<String>,
        /// Only this status: pending, used, skipped, rejected, or 0 to 3
        #[arg(long, value_name = "STATUS", allow_hyphen_values = true)]
        status: Option<String>,
        #[command(flatten)]
        page: Paging<DiscoveredVideoId>,
    },
    /// List the pending videos of a niche, best first
    Pending {
        /// The niche, such as gaming
        #[arg(value_name = "NICHE")]
        niche: String,
        /// Most rows to print
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(i64).range(1..))]
        limit: i64,
    },
    /// Set what became of a video
    Mark {
        /// The platform's own id of the video
        #[arg(value_name = "VIDEO_ID", allow_hyphen_values = true)]
        video_id: String,
        /// pending, used, skipped, rejected, or 0 to 3
        #[arg(value_name = "STATUS", allow_hyphen_values = true)]
        status: String,
    },
}

const SHOWN: &[&str] =
    &["id", "video_id", "niche", "processed", "viral_score", "view_velocity", "view_count", "title"];

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        match self.command {
            Command::List { niche, status, page } => {
                let processed = status.map(|word| word.parse::<Processed>()).transpose()?;
                let filter = DiscoveredVideoFilter { niche: niche.as_deref(), processed };
                let videos = db.read(|c| DiscoveredVideo::list(c, &filter, &page.into()))?;
                let none = || none_in(&db, niche.as_deref(), "no videos");
                context.list_or(&videos, SHOWN, none)?;
            }
            Command::Pending { niche, limit } => {
                let videos = db.read(|c| DiscoveredVideo::pending(c, &niche, limit))?;
                let none = || none_in(&db, Some(&niche), "no pending videos");
                context.list_or(&videos, SHOWN, none)?;
            }
            Command::Mark { video_id, status } => {
                let status = status.parse()?;
                let video = db.write(|c| DiscoveredVideo::mark(c, &video_id, status))?;
                context.done(&format!("{} is {}", video.video_id, video.processed), &video)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
