//! `viraldb presets`

use std::process::ExitCode;

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser as NonEmpty;

use super::Context;
use super::complete::presets;
use super::values::{OrNull, Paging, changed, given, json};
use viraldb::Result;
use viraldb::private::quote::counted;
use viraldb::republishing::{
    NewTransformationPreset, TransformationPreset, TransformationPresetChanges, TransformationPresetFilter,
    TransformationPresetId,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List presets, newest first
    List {
        /// Show only active presets, or with =false only inactive ones
        #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
        active: Option<bool>,
        #[command(flatten)]
        page: Paging<TransformationPresetId>,
    },
    /// Show a preset
    Show {
        /// Id of the preset
        #[arg(value_name = "ID", add = presets())]
        id: TransformationPresetId,
    },
    /// Add a preset and print its id
    Add {
        /// Name of the preset
        #[arg(value_name = "NAME", value_parser = NonEmpty::new())]
        name: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change a preset; an empty value, as in --description "", clears a column
    #[command(override_usage = "viraldb presets edit <ID> <OPTIONS>")]
    #[command(mut_group("preset", |group| group.required(true).arg("name")))]
    Edit {
        /// Id of the preset
        #[arg(value_name = "ID", add = presets())]
        id: TransformationPresetId,
        /// Name of the preset
        #[arg(long, value_name = "NAME", value_parser = NonEmpty::new())]
        name: Option<String>,
        #[command(flatten)]
        fields: Fields,
    },
    /// Delete a preset; channels and videos that use it keep no preset
    Remove {
        /// Id of the preset
        #[arg(value_name = "ID", add = presets())]
        id: TransformationPresetId,
    },
}

#[derive(Debug, clap::Args)]
#[group(id = "preset", multiple = true)]
struct Fields {
    /// Description of the preset
    #[arg(long, value_name = "TEXT")]
    description: Option<OrNull<String>>,
    /// Parameters of the transformation, as JSON or @FILE [default for a new preset: {}]
    #[arg(long, value_name = "JSON")]
    parameters: Option<String>,
    /// Make this preset the default, instead of the current default
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    default: Option<bool>,
    /// Allow the preset to be chosen [default for a new preset: true]
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    active: Option<bool>,
}

const LISTED: &[&str] = &["id", "name", "is_default", "is_active", "description", "parameters"];

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        match self.command {
            Command::List { active, page } => {
                let filter = TransformationPresetFilter { is_active: active };
                let found = db.read(|c| TransformationPreset::list(c, &filter, &page.into()))?;
                context.list(&found, LISTED, "no presets")?;
            }
            Command::Show { id } => {
                let preset = db.read(|c| TransformationPreset::find(c, id))?;
                context.output.row(&preset)?;
            }
            Command::Add { name, fields } => {
                let new = NewTransformationPreset::new(&name);
                let new = NewTransformationPreset {
                    description: given(fields.description),
                    parameters: fields.parameters.map_or(Ok(new.parameters), json)?,
                    is_active: fields.active,
                    ..new
                };
                let preset = db.write(|c| match (new.insert(c)?, fields.default) {
                    (preset, Some(true)) => TransformationPreset::set_default(c, preset.id),
                    (preset, _) => Ok(preset),
                })?;
                context.done(&preset.id.to_string(), &preset)?;
            }
            Command::Edit { id, name, fields } => {
                let changes = TransformationPresetChanges {
                    name: name.map(Into::into),
                    description: changed(fields.description),
                    parameters: fields.parameters.map(json).transpose()?,
                    is_default: fields.default.filter(|default| !default),
                    is_active: fields.active,
                };
                let preset = db.write(|c| match (changes.update(c, id)?, fields.default) {
                    (preset, Some(true)) => TransformationPreset::set_default(c, preset.id),
                    (preset, _) => Ok(preset),
                })?;
                context.done(&format!("changed {}", preset.id), &preset)?;
            }
            Command::Remove { id } => {
                let (preset, uses) = db.write(|c| {
                    let preset = TransformationPreset::find(c, id)?;
                    let uses = TransformationPreset::uses(c, id)?;
                    TransformationPreset::delete(c, id)?;
                    Ok((preset, uses))
                })?;
                let text = format!(
                    "removed {}; {} and {} used it",
                    preset.name,
                    counted(uses.channels, "channel"),
                    counted(uses.videos, "video")
                );
                context.done(&text, &serde_json::json!({ "removed": id, "without": uses }))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}
