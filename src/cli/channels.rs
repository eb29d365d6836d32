//! `viraldb channels`

use std::process::ExitCode;

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser as NonEmpty;

use super::Context;
use super::complete::{channels, presets};
use super::values::{OrNull, Paging, changed, find_channel, given, json, user};
use super::words::words;
use viraldb::config::ChannelKind;
use viraldb::republishing::{
    Channel, ChannelChanges, ChannelFilter, ChannelId, NewChannel, TransformationPresetId,
};
use viraldb::{Json, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List channels, newest first
    List {
        /// Show only active channels, or with =false only inactive ones
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        active: Option<bool>,
        #[command(flatten)]
        page: Paging<ChannelId>,
    },
    /// Show a channel
    Show {
        /// Id of the channel, or YouTube's id of it
        #[arg(value_name = "ID", add = channels())]
        id: String,
    },
    /// Add a channel and print its id
    ///
    /// The channel gets the default documents and no credentials; set these with `viraldb secrets set`.
    Add {
        /// Name of the channel
        #[arg(value_name = "NAME", value_parser = NonEmpty::new())]
        name: String,
        /// YouTube's id of the channel, UC…
        #[arg(value_name = "YOUTUBE_CHANNEL_ID", value_parser = NonEmpty::new())]
        youtube_id: String,
        /// Purpose of the channel, which decides its default documents and settings
        #[arg(long, value_name = "KIND", conflicts_with = "settings", value_parser = words(ChannelKind::ALL, ChannelKind::as_str))]
        kind: Option<ChannelKind>,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change a channel; an empty value, as in --preset "", clears a column
    #[command(override_usage = "viraldb channels edit <ID> <OPTIONS>")]
    #[command(mut_group("channel", |group| group.required(true).args(["name", "youtube_id"])))]
    Edit {
        /// Id of the channel, or YouTube's id of it
        #[arg(value_name = "ID", add = channels())]
        id: String,
        /// Name of the channel
        #[arg(long, value_name = "NAME", value_parser = NonEmpty::new())]
        name: Option<String>,
        /// YouTube's id of the channel, UC…
        #[arg(long, value_name = "ID", value_parser = NonEmpty::new())]
        youtube_id: Option<String>,
        #[command(flatten)]
        fields: Fields,
    },
    /// Delete a channel with its videos, their jobs and all statistics
    Remove {
        /// Id of the channel, or YouTube's id of it
        #[arg(value_name = "ID", add = channels())]
        id: String,
        /// Delete the channel even if it has videos or statistics
        #[arg(short, long)]
        yes: bool,
    },
}

#[derive(Debug, clap::Args)]
#[group(id = "channel", multiple = true)]
struct Fields {
    /// URL of the channel [default for a new channel: made from its YouTube id]
    #[arg(long, value_name = "URL", value_parser = NonEmpty::new())]
    youtube_url: Option<String>,
    /// Publish videos on the channel [default for a new channel: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    active: Option<bool>,
    /// Enable transformation and publication [default for a new channel: false]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    phase2: Option<bool>,
    /// Times of publication, as JSON or @FILE
    #[arg(long, value_name = "JSON")]
    posting_schedule: Option<String>,
    /// Rules for suitable source videos, as JSON or @FILE
    #[arg(long, value_name = "JSON")]
    content_filters: Option<String>,
    /// Templates of titles, descriptions and tags, as JSON or @FILE
    #[arg(long, value_name = "JSON")]
    metadata_template: Option<String>,
    /// Settings of this channel only, as JSON or @FILE
    #[arg(long, value_name = "JSON")]
    settings: Option<String>,
    /// Default transformation preset of its videos
    #[arg(long, value_name = "ID", add = presets())]
    preset: Option<OrNull<TransformationPresetId>>,
    /// URL of the GitHub repository whose workflows process its videos
    #[arg(long, value_name = "URL")]
    github_repo: Option<OrNull<String>>,
}

const LISTED: &[&str] =
    &["id", "name", "youtube_channel_id", "is_active", "phase2_enabled", "last_publication_at"];

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        match self.command {
            Command::List { active, page } => {
                let filter = ChannelFilter { is_active: active };
                let found = db.read(|c| Channel::list(c, &filter, &page.into()))?;
                context.list(&found, LISTED, "no channels")?;
            }
            Command::Show { id } => {
                let channel = db.read(|c| find_channel(c, &id))?;
                context.output.row(&channel)?;
            }
            Command::Add { name, youtube_id, kind, fields } => {
                let config = context.config(&db)?;
                let settings = match kind {
                    Some(kind) => Some(Json(serde_json::json!({ "kind": kind }))),
                    None => fields.settings.map(json).transpose()?,
                };
                let new = config.new_channel(&name, &youtube_id, settings)?;
                let new = NewChannel {
                    youtube_channel_url: fields.youtube_url.map_or(new.youtube_channel_url, Into::into),
                    is_active: fields.active,
                    phase2_enabled: fields.phase2,
                    posting_schedule: fields.posting_schedule.map_or(Ok(new.posting_schedule), json)?,
                    content_filters: fields.content_filters.map_or(Ok(new.content_filters), json)?,
                    metadata_template: fields.metadata_template.map_or(Ok(new.metadata_template), json)?,
                    effect_preset_id: given(fields.preset),
                    github_repo_url: given(fields.github_repo),
                    ..new
                };
                let channel = match new.settings {
                    Some(_) => config.add_channel(&new, &user()?)?,
                    None => db.write(|c| new.insert(c))?,
                };
                context.done(&channel.id.to_string(), &channel)?;
            }
            Command::Edit { id, name, youtube_id, fields } => {
                let changes = ChannelChanges {
                    name: name.map(Into::into),
                    youtube_channel_id: youtube_id.map(Into::into),
                    youtube_channel_url: fields.youtube_url.map(Into::into),
                    is_active: fields.active,
                    phase2_enabled: fields.phase2,
                    posting_schedule: fields.posting_schedule.map(json).transpose()?,
                    content_filters: fields.content_filters.map(json).transpose()?,
                    metadata_template: fields.metadata_template.map(json).transpose()?,
                    settings: fields.settings.map(json).transpose()?,
                    effect_preset_id: changed(fields.preset),
                    github_repo_url: changed(fields.github_repo),
                    ..Default::default()
                };
                let channel = match changes.settings {
                    Some(_) => {
                        let id = db.read_newest(|c| find_channel(c, &id))?.id;
                        context.config(&db)?.edit_channel(id, &changes, &user()?)?
                    }
                    None => db.write(|c| {
                        let id = find_channel(c, &id)?.id;
                        changes.update(c, id)
                    })?,
                };
                context.done(&format!("changed {}", channel.id), &channel)?;
            }
            Command::Remove { id, yes } => {
                let (channel, contents) = db.write(|c| {
                    let channel = find_channel(c, &id)?;
                    let contents = Channel::contents(c, channel.id)?;
                    if yes { Channel::delete(c, channel.id) } else { Channel::delete_empty(c, channel.id) }?;
                    Ok((channel, contents))
                })?;
                let removed = serde_json::json!({ "removed": channel.id, "with": contents });
                context.done(&format!("removed {}, with {contents}", channel.name), &removed)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
