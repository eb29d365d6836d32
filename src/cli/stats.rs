//! `viraldb stats`

use std::process::ExitCode;

use clap::{Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use super::Context;
use super::complete::{channels, measured_videos};
use super::values::{channel_id, find_channel};
use super::when::when;
use super::words::words;
use viraldb::compilation::Analytics;
use viraldb::republishing::{ChannelStatistics, VideoId, VideoStatistics};
use viraldb::series::{Every, Growth, Sample};
use viraldb::{Result, Timestamp};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the statistics of a video over time
    ///
    /// A YouTube id shows the rows of analytics, the id of a source video those of video_statistics.
    Video {
        /// YouTube's id of the video, or the id of a source video
        #[arg(value_name = "ID", allow_hyphen_values = true, add = measured_videos())]
        id: String,
        #[command(flatten)]
        span: Span,
        #[command(flatten)]
        every: Period,
    },
    /// Show the statistics of a channel over time
    Channel {
        /// Id of the channel, or YouTube's id of it
        #[arg(value_name = "ID", add = channels())]
        id: String,
        #[command(flatten)]
        span: Span,
        #[command(flatten)]
        every: Period,
    },
    /// Show how much videos or channels grew
    Growth {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        span: Span,
        /// YouTube ids of videos, ids of source videos, or ids of channels; write -- before an id that begins with a dash
        #[arg(value_name = "ID", required = true)]
        ids: Vec<String>,
    },
    /// List the videos or channels that grew most
    Top {
        #[command(flatten)]
        of: Of,
        #[command(flatten)]
        span: Span,
        /// Maximum number of rows to print
        #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(i64).range(1..=10_000))]
        limit: i64,
    },
}

/// The series of `growth` and `top`.
#[derive(Debug, clap::Args)]
struct Of {
    /// Which statistics to read
    #[arg(long, value_enum, value_name = "WHAT", default_value_t)]
    of: Subject,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum)]
enum Subject {
    /// Videos on YouTube, by their YouTube ids (analytics)
    #[default]
    Videos,
    /// Source videos, by their ids (video_statistics)
    SourceVideos,
    /// Channels, by their ids or YouTube's (channel_statistics)
    Channels,
}

/// From when to when.
#[derive(Debug, clap::Args)]
struct Span {
    /// Start of the period: a date, a time, or a length before now such as 12h or 7d
    #[arg(long, value_name = "TIME", default_value = "7d", value_parser = when)]
    since: Timestamp,
    /// End of the period [default: now]
    #[arg(long, value_name = "TIME", value_parser = when)]
    until: Option<Timestamp>,
}

impl Span {
    fn ends(&self) -> (Timestamp, Timestamp) {
        // The end of the period is exclusive, so add a second to include a sample that was measured just now.
        (self.since, self.until.unwrap_or_else(|| Timestamp::now() + std::time::Duration::from_secs(1)))
    }
}

#[derive(Debug, clap::Args)]
struct Period {
    /// Print the last sample of each period, in UTC
    #[arg(long, value_name = "PERIOD", default_value = "day", value_parser = words(Every::ALL, Every::as_str))]
    every: Every,
}

/// Columns of a table of samples.
pub(super) const ANALYTICS: &[&str] =
    &["measured_at", "view_count", "like_count", "comment_count", "click_through_rate", "subscriber_gain"];
const VIDEO: &[&str] = &["timestamp", "view_count", "like_count", "comment_count"];
const CHANNEL: &[&str] =
    &["timestamp", "subscriber_count", "view_count", "video_count", "total_views", "total_videos"];

/// How a video grew between two samples.
#[derive(Debug, Serialize, Deserialize)]
struct VideoGrowth {
    id: String,
    from: Timestamp,
    to: Timestamp,
    view_count: Option<i64>,
    view_growth: Option<i64>,
    views_per_hour: Option<f64>,
    like_growth: Option<i64>,
    comment_growth: Option<i64>,
}

/// Columns of the growth of videos.
pub(super) const VIDEO_GROWTH: &[&str] =
    &["id", "from", "to", "view_count", "view_growth", "views_per_hour", "like_growth", "comment_growth"];

impl From<Growth<Analytics>> for VideoGrowth {
    fn from(growth: Growth<Analytics>) -> Self {
        Self {
            from: growth.first.measured_at(),
            to: growth.last.measured_at(),
            view_count: growth.last.view_count,
            view_growth: growth.of(|row| row.view_count),
            views_per_hour: growth.per_hour(|row| row.view_count),
            like_growth: growth.of(|row| row.like_count),
            comment_growth: growth.of(|row| row.comment_count),
            id: growth.last.youtube_video_id,
        }
    }
}

impl From<Growth<VideoStatistics>> for VideoGrowth {
    fn from(growth: Growth<VideoStatistics>) -> Self {
        Self {
            from: growth.first.measured_at(),
            to: growth.last.measured_at(),
            view_count: Some(growth.last.view_count),
            view_growth: growth.of(|row| row.view_count),
            views_per_hour: growth.per_hour(|row| row.view_count),
            like_growth: growth.of(|row| row.like_count),
            comment_growth: growth.of(|row| row.comment_count),
            id: growth.last.video_id.to_string(),
        }
    }
}

/// How a channel grew between two samples.
#[derive(Debug, Serialize, Deserialize)]
struct ChannelGrowth {
    id: String,
    from: Timestamp,
    to: Timestamp,
    subscriber_count: i64,
    subscriber_growth: Option<i64>,
    view_growth: Option<i64>,
    views_per_hour: Option<f64>,
    video_growth: Option<i64>,
}

/// Columns of the growth of channels.
pub(super) const CHANNEL_GROWTH: &[&str] = &[
    "id",
    "from",
    "to",
    "subscriber_count",
    "subscriber_growth",
    "view_growth",
    "views_per_hour",
    "video_growth",
];

impl From<Growth<ChannelStatistics>> for ChannelGrowth {
    fn from(growth: Growth<ChannelStatistics>) -> Self {
        Self {
            from: growth.first.measured_at(),
            to: growth.last.measured_at(),
            subscriber_count: growth.last.subscriber_count,
            subscriber_growth: growth.of(|row| row.subscriber_count),
            view_growth: growth.of(|row| row.view_count),
            views_per_hour: growth.per_hour(|row| row.view_count),
            video_growth: growth.of(|row| i64::from(row.video_count)),
            id: growth.last.channel_id.to_string(),
        }
    }
}

const NONE: &str = "no statistics in this period; widen it with --since";

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        match self.command {
            Command::Video { id, span, every: Period { every } } => {
                let (from, to) = span.ends();
                match id.parse::<VideoId>() {
                    Ok(video) => {
                        let rows = db.read(|c| VideoStatistics::thinned(c, video, from, to, every))?;
                        context.list(&rows, VIDEO, NONE)?;
                    }
                    Err(_) => {
                        let rows = db.read(|c| Analytics::thinned(c, &id, from, to, every))?;
                        context.list(&rows, ANALYTICS, NONE)?;
                    }
                }
            }
            Command::Channel { id, span, every: Period { every } } => {
                let (from, to) = span.ends();
                let rows = db.read(|c| {
                    let channel = find_channel(c, &id)?.id;
                    ChannelStatistics::thinned(c, channel, from, to, every)
                })?;
                context.list(&rows, CHANNEL, NONE)?;
            }
            Command::Growth { of: Of { of }, span, ids } => {
                let (from, to) = span.ends();
                match of {
                    Subject::Videos => {
                        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
                        let grown = db.read(|c| Analytics::growth_of(c, &ids, from, to))?;
                        print_videos(context, grown)?;
                    }
                    Subject::SourceVideos => {
                        let ids: Vec<VideoId> = ids.iter().map(|id| id.parse()).collect::<Result<_>>()?;
                        let grown = db.read(|c| VideoStatistics::growth_of(c, &ids, from, to))?;
                        print_videos(context, grown)?;
                    }
                    Subject::Channels => {
                        let ids =
                            ids.iter().map(|id| channel_id(&db, Some(id))).collect::<Result<Vec<_>>>()?;
                        let ids: Vec<_> = ids.into_iter().flatten().collect();
                        let grown = db.read(|c| ChannelStatistics::growth_of(c, &ids, from, to))?;
                        print_channels(context, grown)?;
                    }
                }
            }
            Command::Top { of: Of { of }, span, limit } => {
                let (from, to) = span.ends();
                match of {
                    Subject::Videos => {
                        let grown = db.read(|c| Analytics::top_growth(c, from, to, limit))?;
                        print_videos(context, grown)?;
                    }
                    Subject::SourceVideos => {
                        let grown = db.read(|c| VideoStatistics::top_growth(c, from, to, limit))?;
                        print_videos(context, grown)?;
                    }
                    Subject::Channels => {
                        let grown = db.read(|c| ChannelStatistics::top_growth(c, from, to, limit))?;
                        print_channels(context, grown)?;
                    }
                }
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn print_videos<T>(context: &mut Context, grown: Vec<Growth<T>>) -> Result<()>
where
    VideoGrowth: From<Growth<T>>,
{
    let rows: Vec<VideoGrowth> = grown.into_iter().map(Into::into).collect();
    context.list(&rows, VIDEO_GROWTH, NONE)
}

fn print_channels(context: &mut Context, grown: Vec<Growth<ChannelStatistics>>) -> Result<()> {
    let rows: Vec<ChannelGrowth> = grown.into_iter().map(Into::into).collect();
    context.list(&rows, CHANNEL_GROWTH, NONE)
}
