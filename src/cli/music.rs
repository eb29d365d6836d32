//! `viraldb music`

use std::process::ExitCode;

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser as NonEmpty;

use super::Context;
use super::complete::music;
use super::values::{OrNull, Paging, changed, given, json_or_null};
use viraldb::Result;
use viraldb::private::quote::counted;
use viraldb::republishing::{Music, MusicChanges, MusicFilter, MusicId, NewMusic};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List tracks, newest first
    List {
        /// Show only active tracks, or with =false only inactive ones
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        active: Option<bool>,
        #[command(flatten)]
        page: Paging<MusicId>,
    },
    /// Show a track
    Show {
        /// Id of the track
        #[arg(value_name = "ID", add = music())]
        id: MusicId,
    },
    /// Add a track and print its id
    Add {
        /// Title of the track
        #[arg(value_name = "NAME", value_parser = NonEmpty::new())]
        name: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change a track; an empty value, as in --artist "", clears a column
    #[command(override_usage = "viraldb music edit <ID> <OPTIONS>")]
    #[command(mut_group("track", |group| group.required(true).arg("name")))]
    Edit {
        /// Id of the track
        #[arg(value_name = "ID", add = music())]
        id: MusicId,
        /// Title of the track
        #[arg(long, value_name = "NAME", value_parser = NonEmpty::new())]
        name: Option<String>,
        #[command(flatten)]
        fields: Fields,
    },
    /// Delete a track; videos that use it keep no track
    Remove {
        /// Id of the track
        #[arg(value_name = "ID", add = music())]
        id: MusicId,
    },
}

#[derive(Debug, clap::Args)]
#[group(id = "track", multiple = true)]
struct Fields {
    /// Artist
    #[arg(long, value_name = "NAME")]
    artist: Option<OrNull<String>>,
    /// Spotify's id of the track
    #[arg(long, value_name = "ID")]
    spotify_id: Option<OrNull<String>>,
    /// Spotify's URL of the track
    #[arg(long, value_name = "URL")]
    spotify_url: Option<OrNull<String>>,
    /// Path of the audio file
    #[arg(long, value_name = "PATH")]
    file: Option<OrNull<String>>,
    /// Size of the file in bytes
    #[arg(long, value_name = "N")]
    file_size: Option<OrNull<i64>>,
    /// Duration in seconds
    #[arg(long, value_name = "N")]
    duration: Option<OrNull<i32>>,
    /// Further information, as JSON or @FILE
    #[arg(long, value_name = "JSON")]
    metadata: Option<OrNull<String>>,
    /// Allow the track to be used [default for a new track: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    active: Option<bool>,
}

const LISTED: &[&str] = &["id", "name", "artist", "duration", "usage_count", "is_active", "file_path"];

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        match self.command {
            Command::List { active, page } => {
                let filter = MusicFilter { is_active: active };
                let tracks = db.read(|c| Music::list(c, &filter, &page.into()))?;
                context.list(&tracks, LISTED, "no tracks")?;
            }
            Command::Show { id } => {
                let track = db.read(|c| Music::find(c, id))?;
                context.output.row(&track)?;
            }
            Command::Add { name, fields } => {
                let new = NewMusic {
                    name: name.into(),
                    artist: given(fields.artist),
                    spotify_track_id: given(fields.spotify_id),
                    spotify_track_url: given(fields.spotify_url),
                    file_path: given(fields.file),
                    file_size: given(fields.file_size),
                    duration: given(fields.duration),
                    metadata: fields.metadata.map_or(Ok(None), json_or_null)?,
                    is_active: fields.active,
                    ..Default::default()
                };
                let track = db.write(|c| new.insert(c))?;
                context.done(&track.id.to_string(), &track)?;
            }
            Command::Edit { id, name, fields } => {
                let changes = MusicChanges {
                    name: name.map(Into::into),
                    artist: changed(fields.artist),
                    spotify_track_id: changed(fields.spotify_id),
                    spotify_track_url: changed(fields.spotify_url),
                    file_path: changed(fields.file),
                    file_size: changed(fields.file_size),
                    duration: changed(fields.duration),
                    metadata: fields.metadata.map(json_or_null).transpose()?,
                    is_active: fields.active,
                    ..Default::default()
                };
                let track = db.write(|c| changes.update(c, id))?;
                context.done(&format!("changed {}", track.id), &track)?;
            }
            Command::Remove { id } => {
                let (track, videos) = db.write(|c| {
                    let track = Music::find(c, id)?;
                    let videos = Music::uses(c, id)?;
                    Music::delete(c, id)?;
                    Ok((track, videos))
                })?;
                let text = format!("removed {}; {} used it", track.name, counted(videos, "video"));
                let removed = serde_json::json!({ "removed": id, "without": { "videos": videos } });
                context.done(&text, &removed)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
