//! `viraldb trends`

use std::process::ExitCode;

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser as NonEmpty;

use super::Context;
use super::values::{OrNull, Paging, changed, given, json_or_null};
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
        /// Only of this platform: tiktok or youtube
        #[arg(long, value_name = "PLATFORM")]
        platform: Option<String>,
        #[command(flatten)]
        page: Paging<TrendId>,
    },
    /// Show a trend
    Show {
        #[arg(value_name = "ID")]
        id: TrendId,
    },
    /// Add a trend and print its number
    Add {
        /// tiktok or youtube
        #[arg(value_name = "PLATFORM")]
        platform: String,
        /// The platform's id of the video
        #[arg(value_name = "EXTERNAL_ID", allow_hyphen_values = true, value_parser = NonEmpty::new())]
        external_id: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change what is named; an empty value, as in --title "", takes it away
    #[command(override_usage = "viraldb trends edit <ID> <OPTIONS>")]
    #[command(mut_group("trend", |group| group.required(true).args(["platform", "external_id"])))]
    Edit {
        #[arg(value_name = "ID")]
        id: TrendId,
        /// tiktok or youtube
        #[arg(long, value_name = "PLATFORM")]
        platform: Option<String>,
        /// The platform's id of the video
        #[arg(long, value_name = "ID", allow_hyphen_values = true, value_parser = NonEmpty::new())]
        external_id: Option<String>,
        #[command(flatten)]
        fields: Fields,
    },
    /// Delete a trend; nothing goes with it
    Remove {
        #[arg(value_name = "ID")]
        id: TrendId,
    },
}

#[derive(Debug, clap::Args)]
#[group(id = "trend", multiple = true)]
struct Fields {
    /// Title as the platform shows it
    #[arg(long, value_name = "TEXT")]
    title: Option<OrNull<String>>,
    /// Who made it
    #[arg(long, value_name = "NAME")]
    creator: Option<OrNull<String>>,
    /// Its hashtags, an array of strings: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    hashtags: Option<OrNull<String>>,
    /// Views
    #[arg(long, value_name = "N")]
    views: Option<OrNull<i64>>,
    /// Likes
    #[arg(long, value_name = "N")]
    likes: Option<OrNull<i64>>,
    /// Comments
    #[arg(long, value_name = "N")]
    comments: Option<OrNull<i64>>,
    /// Shares
    #[arg(long, value_name = "N")]
    shares: Option<OrNull<i64>>,
    /// Address of the video
    #[arg(long, value_name = "URL")]
    video_url: Option<OrNull<String>>,
    /// Address of its picture
    #[arg(long, value_name = "URL")]
    thumbnail_url: Option<OrNull<String>>,
    /// Whatever else is known about it: JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    metadata: Option<OrNull<String>>,
}

const LISTED: &[&str] = &["id", "platform", "external_id", "views", "likes", "creator", "title"];

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        match self.command {
            Command::List { platform, page } => {
                let filter = TrendFilter { platform: platform.map(|word| word.parse()).transpose()? };
                let trends = db.read(|c| Trend::list(c, &filter, &page.into()))?;
                context.list(&trends, LISTED, "no trends")?;
            }
            Command::Show { id } => {
                let trend = db.read(|c| Trend::find(c, id))?;
                context.output.row(&trend)?;
            }
            Command::Add { platform, external_id, fields } => {
                let platform: Platform = platform.parse()?;
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
                    platform: platform.map(|word| word.parse()).transpose()?,
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
