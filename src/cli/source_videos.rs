//! `viraldb source-videos`

use std::process::ExitCode;

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser as NonEmpty;

use super::Context;
use super::complete::{channels, presets, source_videos};
use super::values::{Paging, at_least_one, channel_id, find_channel, json};
use super::words::words;
use viraldb::republishing::{
    DownloadStatus, NewVideo, PublicationStatus, TransformationPresetId, TransformationStatus, Video,
    VideoFilter, VideoId, VideoMove, VideoStatus,
};
use viraldb::{Result, Timestamp};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List source videos, newest first
    List {
        /// Show only the videos of this channel, by its id or YouTube's
        #[arg(long, value_name = "ID", add = channels())]
        channel: Option<String>,
        /// Show only videos with this status, which is the furthest stage they reached
        #[arg(long, value_name = "STATUS", value_parser = words(VideoStatus::ALL, VideoStatus::as_str))]
        status: Option<VideoStatus>,
        /// Show only videos with this download status
        #[arg(long, value_name = "STATUS", value_parser = words(DownloadStatus::ALL, DownloadStatus::as_str))]
        download_status: Option<DownloadStatus>,
        /// Show only videos with this transformation status
        #[arg(long, value_name = "STATUS", value_parser = words(TransformationStatus::ALL, TransformationStatus::as_str))]
        transformation_status: Option<TransformationStatus>,
        /// Show only videos with this publication status
        #[arg(long, value_name = "STATUS", value_parser = words(PublicationStatus::ALL, PublicationStatus::as_str))]
        publication_status: Option<PublicationStatus>,
        #[command(flatten)]
        page: Paging<VideoId>,
    },
    /// Show a source video
    Show {
        /// Id of the video
        #[arg(value_name = "ID", add = source_videos())]
        id: VideoId,
    },
    /// Add a source video and print its id
    Add {
        /// URL of the source
        #[arg(value_name = "SOURCE_URL", value_parser = NonEmpty::new())]
        source_url: String,
        /// Title of the source
        #[arg(value_name = "SOURCE_TITLE", value_parser = NonEmpty::new())]
        source_title: String,
        /// Channel to publish the video on, by its id or YouTube's
        #[arg(long, value_name = "ID", add = channels())]
        channel: String,
        /// Platform of the source
        #[arg(long, value_name = "NAME", default_value = "youtube", value_parser = NonEmpty::new())]
        source_platform: String,
        /// Creator of the source
        #[arg(long, value_name = "NAME")]
        source_creator: Option<String>,
        /// Transformation preset to use instead of the channel's
        #[arg(long, value_name = "ID", add = presets())]
        preset: Option<TransformationPresetId>,
        /// Further information, as JSON or @FILE
        #[arg(long, value_name = "JSON")]
        metadata: Option<String>,
    },
    /// Move a source video to the next status of its download, transformation or publication
    Move {
        /// Id of the video
        #[arg(value_name = "ID", add = source_videos())]
        id: VideoId,
        #[command(flatten)]
        to: To,
    },
    /// Schedule the publication of a source video, or change its time
    Schedule {
        /// Id of the video
        #[arg(value_name = "ID", add = source_videos())]
        id: VideoId,
        /// Time of the publication, such as 2026-12-24T18:00:00Z
        #[arg(value_name = "SCHEDULED_PUBLICATION_AT")]
        at: Timestamp,
    },
    /// Put the failed steps of a source video back to pending
    Retry {
        /// Id of the video
        #[arg(value_name = "ID", add = source_videos())]
        id: VideoId,
    },
    /// List the source videos whose scheduled time has come, longest due first
    Due {
        /// Maximum number of rows to print
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = at_least_one)]
        limit: i64,
    },
}

/// One of the three statuses.
#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct To {
    /// New download status
    #[arg(long, value_name = "STATUS", value_parser = words(DownloadStatus::ALL, DownloadStatus::as_str))]
    download: Option<DownloadStatus>,
    /// New transformation status
    #[arg(long, value_name = "STATUS", value_parser = words(TransformationStatus::ALL, TransformationStatus::as_str))]
    transformation: Option<TransformationStatus>,
    /// New publication status; use schedule for scheduled
    #[arg(long, value_name = "STATUS", value_parser = words(PublicationStatus::ALL, PublicationStatus::as_str))]
    publication: Option<PublicationStatus>,
}

impl To {
    fn moves(&self) -> impl Iterator<Item = VideoMove> {
        let download = self.download.map(VideoMove::Download);
        let transformation = self.transformation.map(VideoMove::Transformation);
        let publication = self.publication.map(VideoMove::Publication);
        [download, transformation, publication].into_iter().flatten()
    }
}

const LISTED: &[&str] = &[
    "id",
    "status",
    "channel_id",
    "source_platform",
    "scheduled_publication_at",
    "youtube_video_id",
    "source_title",
];

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        match self.command {
            Command::List {
                channel,
                status,
                download_status,
                transformation_status,
                publication_status,
                page,
            } => {
                let channel_id = channel_id(&db, channel.as_deref())?;
                let filter = VideoFilter {
                    channel_id,
                    download_status,
                    transformation_status,
                    publication_status,
                    status,
                };
                let videos = db.read(|c| Video::list(c, &filter, &page.into()))?;
                context.list(
                    &videos,
                    LISTED,
                    "no source videos; add one with `viraldb source-videos add`",
                )?;
            }
            Command::Show { id } => {
                let video = db.read(|c| Video::find(c, id))?;
                context.output.row(&video)?;
            }
            Command::Add {
                source_url,
                source_title,
                channel,
                source_platform,
                source_creator,
                preset,
                metadata,
            } => {
                let metadata = metadata.map(json).transpose()?;
                let video = db.write(|c| {
                    let channel = find_channel(c, &channel)?.id;
                    let new = NewVideo {
                        source_creator: source_creator.map(Into::into),
                        transformation_preset_id: preset,
                        metadata,
                        ..NewVideo::new(channel, source_url, source_title, source_platform)
                    };
                    new.insert(c)
                })?;
                context.done(&video.id.to_string(), &video)?;
            }
            Command::Move { id, to } => {
                let video = db.write(|c| {
                    let mut video = None;
                    for to in to.moves() {
                        video = Some(Video::move_to(c, id, to)?);
                    }
                    video.map_or_else(|| Video::find(c, id), Ok)
                })?;
                told(context, &video)?;
            }
            Command::Schedule { id, at } => {
                let video = db.write(|c| Video::schedule(c, id, at))?;
                context.done(&format!("video {id} is scheduled for {at}"), &video)?;
            }
            Command::Retry { id } => {
                let video = db.write(|c| Video::retry(c, id))?;
                told(context, &video)?;
            }
            Command::Due { limit } => {
                let videos = db.read_newest(|c| Video::due(c, Timestamp::now(), limit))?;
                context.list(&videos, LISTED, "no source videos are due")?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn told(context: &mut Context, video: &Video) -> Result<()> {
    context.done(&format!("video {} is {}", video.id, video.status), video)
}
