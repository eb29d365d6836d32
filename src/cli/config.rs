//! `viraldb config`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use serde_json::Value;

use super::output::visible;
use super::secret_input::secret;
use super::values::{OfChannel, Paging, json, user};
use super::{Context, Format};
use viraldb::config::{Config, Explained, Kind, LayerValue, Problem, Scope, Severity};
use viraldb::private::bounded;
use viraldb::types::ConfigChangeId;
use viraldb::{Database, Error, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the value of a setting
    Get {
        /// Name of the setting
        #[arg(value_name = "KEY")]
        key: String,
        /// Print a secret too, from whichever layer wins
        #[arg(long, conflicts_with = "channel")]
        reveal: bool,
        #[command(flatten)]
        of: OfChannel,
    },
    /// Change a setting in the database
    Set {
        /// Name of the setting
        #[arg(value_name = "KEY")]
        key: String,
        /// Its new value; of a document JSON, or @FILE. One that begins with a dash stands behind --
        #[arg(value_name = "VALUE", allow_negative_numbers = true, required_unless_present_any = ["secret", "from_file"])]
        value: Option<String>,
        /// Seal it; the value is read from standard input, and one newline at its end is cut
        #[arg(long, conflicts_with_all = ["value", "channel", "over"])]
        secret: bool,
        /// Read what is to be sealed from this file instead
        #[arg(long, value_name = "FILE", requires = "secret")]
        from_file: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// Take a setting out of the database, so that the next weaker layer counts
    Unset {
        /// Name of the setting
        #[arg(value_name = "KEY")]
        key: String,
        #[command(flatten)]
        place: Place,
    },
    /// List all settings, and where their values come from
    List {
        #[command(flatten)]
        of: OfChannel,
    },
    /// Show every layer of a setting, and which one wins
    Explain {
        /// Name of the setting
        #[arg(value_name = "KEY")]
        key: String,
        #[command(flatten)]
        of: OfChannel,
    },
    /// Look for what is wrong in any layer: exit code 0 for nothing, 3 for warnings, 4 for errors
    Validate,
    /// Set what a TOML file says, all of it or nothing
    Import {
        /// The file, or - for standard input
        #[arg(value_name = "FILE")]
        file: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Print the settings of one layer of the database as TOML
    Export {
        #[command(flatten)]
        layer: InDatabase,
    },
    /// List the changes of a setting, newest first
    History {
        /// Name of the setting
        #[arg(value_name = "KEY")]
        key: String,
        #[command(flatten)]
        page: Paging<ConfigChangeId>,
    },
}

#[derive(Debug, clap::Args)]
struct InDatabase {
    /// The settings of this channel: its id, or YouTube's
    #[arg(long, value_name = "ID", conflicts_with = "over")]
    channel: Option<String>,
    /// What operators change at run time, stronger than what is set without this; a channel's own value is stronger still
    #[arg(long = "override")]
    over: bool,
}

impl InDatabase {
    fn scope(self, db: &Database) -> Result<Scope> {
        let of = OfChannel { channel: self.channel };
        Ok(match of.id(db)? {
            Some(id) => Scope::Channel(id),
            None if self.over => Scope::Override,
            None => Scope::System,
        })
    }
}

#[derive(Debug, clap::Args)]
struct Place {
    #[command(flatten)]
    layer: InDatabase,
    /// Who changes it; the user who is logged in unless given
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl Place {
    fn resolve(self, db: &Database) -> Result<(Scope, String)> {
        let by = self.by.map_or_else(user, Ok)?;
        Ok((self.layer.scope(db)?, by))
    }
}

impl Args {
    pub(super) const fn is_import(&self) -> bool {
        matches!(self.command, Command::Import { .. })
    }

    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        let config = context.config(&db)?;
        match self.command {
            Command::Get { key, reveal: true, .. } => {
                let secret = config.secret(&key)?;
                match context.output.format {
                    Format::Table => context.output.raw(&format!("{}\n", secret.reveal()))?,
                    _ => context.output.object(&secret.reveal())?,
                }
            }
            Command::Get { key, of, .. } => {
                let value: Value = match of.id(&db)? {
                    Some(channel) => config.get_for(channel, &key)?,
                    None => config.get(&key)?,
                };
                match (&value, context.output.format) {
                    (Value::String(text), Format::Table) => context.output.raw(&format!("{text}\n"))?,
                    (value, _) => context.output.object(value)?,
                }
            }
            Command::Set { key, value, from_file, place, .. } => {
                let (scope, by) = place.resolve(&db)?;
                let known = config.registry().get(&key)?;
                match value {
                    Some(_) if known.secret => {
                        let reason = "is a secret: give it on standard input, with --secret";
                        return Err(Error::invalid(key, reason));
                    }
                    Some(value) => {
                        let value = if known.kind == Kind::Json { json(value)?.0 } else { value.into() };
                        config.set(scope, &key, &value, &by)?;
                    }
                    None => config.set_secret(&key, &secret(from_file.as_deref())?, &by)?,
                }
                done(context, &config, &key, scope)?;
            }
            Command::Unset { key, place } => {
                let (scope, by) = place.resolve(&db)?;
                if !config.unset(scope, &key, &by)? {
                    return Err(Error::invalid(
                        key,
                        "is not set there; `viraldb config explain` shows where it is",
                    ));
                }
                done(context, &config, &key, scope)?;
            }
            Command::List { of } => {
                let settings = config.list(of.id(&db)?)?;
                if context.output.format != Format::Table {
                    let shown = ["key", "value", "layer", "error", "read_by", "help"];
                    context.output.rows(&settings, &shown)?;
                    return Ok(ExitCode::SUCCESS);
                }
                let rows = settings.iter().map(|setting| {
                    let layer = setting.layer.map(|layer| layer.to_string()).unwrap_or_default();
                    vec![
                        setting.key.clone(),
                        visible(&value(setting)),
                        layer,
                        visible(&setting.read_by),
                        visible(&setting.help),
                    ]
                });
                context.output.table(&["key", "value", "layer", "read_by", "help"], rows)?;
            }
            Command::Explain { key, of } => {
                let explained = config.explain(&key, of.id(&db)?)?;
                if context.output.format != Format::Table {
                    context.output.object(&explained)?;
                    return Ok(ExitCode::SUCCESS);
                }
                let read_by = match explained.help.ends_with(&explained.read_by) {
                    true => String::new(),
                    false => format!(" (read by: {})", explained.read_by),
                };
                context.output.text(&format!(
                    "{key}: {}\n{}{}\n\n",
                    visible(&value(&explained)),
                    visible(&explained.help),
                    visible(&read_by)
                ))?;
                let text = |value: Option<String>| value.unwrap_or_default();
                let rows = explained.layers.into_iter().map(|layer| {
                    vec![
                        if layer.wins { ">" } else { "" }.to_owned(),
                        layer.layer.to_string(),
                        layer.value.map_or_else(|| "-".to_owned(), |value| visible(&value.to_string())),
                        visible(&text(layer.place)),
                        visible(&text(layer.set_by)),
                        text(layer.set_at.map(|at| at.to_string())),
                        visible(&text(layer.error)),
                    ]
                });
                context
                    .output
                    .table(&["", "layer", "value", "place", "set_by", "set_at", "problem"], rows)?;
            }
            Command::Validate => {
                let problems = config.validate()?;
                match context.output.format {
                    Format::Table if problems.is_empty() => context.say("nothing is wrong\n")?,
                    // What is wrong and what to do is not cut to the columns of a table.
                    Format::Table => {
                        problems.iter().try_for_each(|Problem { severity, place, problem }| {
                            let severity = if *severity == Severity::Error { "error" } else { "warning" };
                            context
                                .output
                                .text(&format!("{}\n", visible(&format!("{severity}: {place}: {problem}"))))
                        })?
                    }
                    _ => context.output.rows(&problems, &["severity", "place", "problem"])?,
                }
                return Ok(match problems.iter().map(|problem| problem.severity).max() {
                    None => ExitCode::SUCCESS,
                    Some(Severity::Warning) => ExitCode::from(3),
                    Some(Severity::Error) => ExitCode::from(4),
                });
            }
            Command::Import { file, place } => {
                let (scope, by) = place.resolve(&db)?;
                let text = super::values::read(&file, bounded::BY_HAND)?;
                let count = config.import(scope, &file.display().to_string(), &text, &by)?;
                let text = format!("{count} setting{} read", if count == 1 { "" } else { "s" });
                context.done(&text, &serde_json::json!({ "read": count }))?;
            }
            Command::Export { layer } => {
                let text = config.export(layer.scope(&db)?)?;
                context.output.raw(&text)?;
            }
            Command::History { key, page } => {
                let changes = config.history(&key, &page.into())?;
                let shown =
                    &["id", "changed_at", "changed_by", "layer", "channel_id", "old_value", "new_value"];
                context.list(&changes, shown, &format!("no changes of {key}"))?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The value of a setting in a line, or why it has none.
fn value(setting: &Explained) -> String {
    match (&setting.error, &setting.value) {
        (Some(error), _) => format!("cannot be read: it {error}"),
        (None, Value::Null) => "-".to_owned(),
        (None, value) => value.to_string(),
    }
}

/// Says what a setting comes to now, which is not what was set if a stronger layer has it too.
fn done(context: &mut Context, config: &Config, key: &str, scope: Scope) -> Result<()> {
    let explained = config.explain(key, scope.channel())?;
    let changed = scope.layer();
    let winner = explained.layers.iter().find(|layer| layer.wins);
    let is_idle = |winner: &LayerValue| {
        let mut layers = explained.layers.iter().filter(|layer| layer.layer == changed);
        winner.layer != changed && layers.any(|layer| layer.value.is_some())
    };
    let line = match winner.and_then(|winner| Some((winner, winner.place.as_ref()?))) {
        Some((winner, place)) if is_idle(winner) => {
            format!(
                "changed, without effect while a stronger place has it: {key} is {} by {place}",
                value(&explained)
            )
        }
        Some((_, place)) => format!("{key} is {} by {place}", value(&explained)),
        None => format!("{key} has no value"),
    };
    context.done(&line, &explained)
}
