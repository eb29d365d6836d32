//! `viraldb trends`

use std::process::ExitCode;

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser as NonEmpty;

use super::Context;
use super::complete::trends;
use super::values::{OrNull, Paging, changed, given, json_or_null};
use super::words::words;
use viraldb::Result;
use viraldb::generation::{NewTrend, Platform, Trend, TrendChanges, TrendFilter, TrendId};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List trends, newest first
    List {
        /// Show only trends of this platform
        #[arg(long, value_name = "PLATFORM", value_parser = words(Platform::ALL, Platform::as_str))]
        platform: Option<Platform>,
        #[command(flatten)]
        page: Paging<TrendId>,
    },
    /// Show a trend
    Show {
        /// Id of the trend
        #[arg(value_name = "ID", add = trends())]
        id: TrendId,
    },
    /// Add a trend and print its id
    Add {
        /// Platform of the video
        #[arg(value_name = "PLATFORM", value_parser = words(Platform::ALL, Platform::as_str))]
        platform: Platform,
        /// Id of the video on its platform
        #[arg(value_name = "EXTERNAL_ID", allow_hyphen_values = true, value_parser = NonEmpty::new())]
        external_id: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change a trend; an empty value, as in --title "", clears a column
    #[command(override_usage = "viraldb trends edit <ID> <OPTIONS>")]
    #[command(mut_group("trend", |group| group.required(true).args(["platform", "external_id"])))]
    Edit {
        /// Id of the trend
        #[arg(value_name = "ID", add = trends())]
        id: TrendId,
        /// Platform of the video
        #[arg(long, value_name = "PLATFORM", value_parser = words(Platform::ALL, Platform::as_str))]
        platform: Option<Platform>,
        /// Id of the video on its platform
        #[arg(long, value_name = "ID", allow_hyphen_values = true, value_parser = NonEmpty::new())]
        external_id: Option<String>,
        #[command(flatten)]
        fields: Fields,
    },
    /// Delete a trend
    Remove {
        /// Id of the trend
        #[arg(value_name = "ID", add = trends())]
        id: TrendId,
    },
}

#[derive(Debug, clap::Args)]
#[group(id = "trend", multiple = true)]
struct Fields {
    /// Title of the video
    #[arg(long, value_name = "TEXT")]
    title: Option<OrNull<String>>,
    /// Creator of the video
    #[arg(long, value_name = "NAME")]
    creator: Option<OrNull<String>>,
    /// Hashtags, as a JSON array of strings or @FILE
    #[arg(long, value_name = "JSON")]
    hashtags: Option<OrNull<String>>,
    /// Number of views
    #[arg(long, value_name = "N")]
    views: Option<OrNull<i64>>,
    /// Number of likes
    #[arg(long, value_name = "N")]
    likes: Option<OrNull<i64>>,
    /// Number of comments
    #[arg(long, value_name = "N")]
    comments: Option<OrNull<i64>>,
    /// Number of shares
    #[arg(long, value_name = "N")]
    shares: Option<OrNull<i64>>,
    /// URL of the video
    #[arg(long, value_name = "URL")]
    video_url: Option<OrNull<String>>,
    /// URL of the thumbnail
    #[arg(long, value_name = "URL")]
    thumbnail_url: Option<OrNull<String>>,
    /// Further information, as JSON or @FILE
    #[arg(long, value_name = "JSON")]
    metadata: Option<OrNull<String>>,
}

const LISTED: &[&str] = &["id", "platform", "external_id", "views", "likes", "creator", "title"];

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        match self.command {
            Command::List { platform, page } => {
                let filter = TrendFilter { platform };
                let found = db.read(|c| Trend::list(c, &filter, &page.into()))?;
                context.list(&found, LISTED, "no trends")?;
            }
            Command::Show { id } => {
                let trend = db.read(|c| Trend::find(c, id))?;
                context.output.row(&trend)?;
            }
            Command::Add { platform, external_id, fields } => {
                let new = NewTrend {
                    title: given(fields.title),
                    creator: given(fields.creator),
                    hashtags: fields.hashtags.map_or(Ok(None), json_or_null)?,
                    views: given(fields.views),
                    likes: given(fields.likes),
                    comments: given(fields.comments),
                    shares: given(fields.shares),
                    video_url: given(fields.video_url),
                    thumbnail_url: given(fields.thumbnail_url),
                    metadata: fields.metadata.map_or(Ok(None), json_or_null)?,
                    ..NewTrend::new(platform, &external_id)
                };
                let trend = db.write(|c| new.insert(c))?;
                context.done(&trend.id.to_string(), &trend)?;
            }
            Command::Edit { id, platform, external_id, fields } => {
                let changes = TrendChanges {
                    platform,
                    external_id: external_id.map(Into::into),
                    title: changed(fields.title),
                    creator: changed(fields.creator),
                    hashtags: fields.hashtags.map(json_or_null).transpose()?,
                    views: changed(fields.views),
                    likes: changed(fields.likes),
                    comments: changed(fields.comments),
                    shares: changed(fields.shares),
                    video_url: changed(fields.video_url),
                    thumbnail_url: changed(fields.thumbnail_url),
                    metadata: fields.metadata.map(json_or_null).transpose()?,
                    ..Default::default()
                };
                let trend = db.write(|c| changes.update(c, id))?;
                context.done(&format!("changed {}", trend.id), &trend)?;
            }
            Command::Remove { id } => {
                let trend = db.write(|c| {
                    let trend = Trend::find(c, id)?;
                    Trend::delete(c, id)?;
                    Ok(trend)
                })?;
                let text = format!("removed {} of {}", trend.external_id, trend.platform);
                context.done(&text, &serde_json::json!({ "removed": id }))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
