//! `viraldb config`

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Subcommand, ValueHint};
use serde_json::Value;

use super::complete::{channels, settings};
use super::output::visible;
use super::secret_input::secret;
use super::values::{OfChannel, Paging, json, user};
use super::{Context, Format};
use viraldb::config::{Config, Explained, Kind, LayerValue, Problem, Scope, Severity};
use viraldb::private::bounded;
use viraldb::private::quote::counted;
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
        /// Key of the setting
        #[arg(value_name = "KEY", add = settings())]
        key: String,
        /// Print the value even if it is a secret
        #[arg(long, conflicts_with = "channel")]
        reveal: bool,
        #[command(flatten)]
        of: OfChannel,
    },
    /// Change a setting in the database
    Set {
        /// Key of the setting
        #[arg(value_name = "KEY", add = settings())]
        key: String,
        /// New value; for documents JSON or @FILE. Write -- before a value that begins with a dash
        #[arg(value_name = "VALUE", allow_negative_numbers = true, required_unless_present_any = ["secret", "from_file"])]
        value: Option<String>,
        /// Read the value from standard input and store it encrypted
        #[arg(long, conflicts_with_all = ["value", "channel", "over"])]
        secret: bool,
        /// Read the secret from this file instead of standard input
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "secret")]
        from_file: Option<PathBuf>,
        #[command(flatten)]
        place: Place,
    },
    /// Remove a setting from the database, so that the next lower layer applies
    Unset {
        /// Key of the setting
        #[arg(value_name = "KEY", add = settings())]
        key: String,
        #[command(flatten)]
        place: Place,
    },
    /// List all settings and the layers of their values
    List {
        #[command(flatten)]
        of: OfChannel,
    },
    /// Show the value of a setting in every layer, and which layer wins
    Explain {
        /// Key of the setting
        #[arg(value_name = "KEY", add = settings())]
        key: String,
        #[command(flatten)]
        of: OfChannel,
    },
    /// Check the settings of all layers
    ///
    /// Exit code 0 means no problems, 3 warnings, 4 errors.
    Validate,
    /// Import settings from a TOML file, all or none
    Import {
        /// TOML file; - reads standard input
        #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: PathBuf,
        #[command(flatten)]
        place: Place,
    },
    /// Print the settings of one database layer as TOML
    Export {
        #[command(flatten)]
        layer: InDatabase,
    },
    /// List the changes of a setting, newest first
    History {
        /// Key of the setting
        #[arg(value_name = "KEY", add = settings())]
        key: String,
        #[command(flatten)]
        page: Paging<ConfigChangeId>,
    },
}

#[derive(Debug, clap::Args)]
struct InDatabase {
    /// Use the layer of this channel, by its id or YouTube's
    #[arg(long, value_name = "ID", add = channels(), conflicts_with = "over")]
    channel: Option<String>,
    /// Use the override layer, which takes precedence over the system layer but not over a channel's
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
    /// Name to record for the change [default: the current user]
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
                        let reason = "is a secret; use --secret and give the value on standard input";
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
                        "is not set in this layer; `viraldb config explain` shows where it is set",
                    ));
                }
                done(context, &config, &key, scope)?;
            }
            Command::List { of } => {
                let settings = config.list(of.id(&db)?)?;
                if !context.output.is_for_people() {
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
                let explained = config.explain(of.id(&db)?, &key)?;
                if !context.output.is_for_people() {
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
                match context.output.is_for_people() {
                    false => {
                        context.list(&problems, &["severity", "place", "problem"], "no problems found")?
                    }
                    true if problems.is_empty() => context.say("no problems found\n")?,
                    // Do not print a table, because it would cut the text.
                    true => problems.iter().try_for_each(|Problem { severity, place, problem }| {
                        let severity = if *severity == Severity::Error { "error" } else { "warning" };
                        let line = visible(&format!("{severity}: {place}: {problem}"));
                        context.output.text(&format!("{line}\n"))
                    })?,
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
                let text = format!("imported {}", counted(count, "setting"));
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

/// Returns the value of a setting on one line, or why it cannot be read.
fn value(setting: &Explained) -> String {
    match (&setting.error, &setting.value) {
        (Some(error), _) => format!("cannot be read: {error}"),
        (None, Value::Null) => "-".to_owned(),
        (None, value) => value.to_string(),
    }
}

/// Prints the effective value after a change, and says so if a higher layer hides the new value.
fn done(context: &mut Context, config: &Config, key: &str, scope: Scope) -> Result<()> {
    let explained = config.explain(scope.channel(), key)?;
    let changed = scope.layer();
    let winner = explained.layers.iter().find(|layer| layer.wins);
    let is_idle = |winner: &LayerValue| {
        let mut layers = explained.layers.iter().filter(|layer| layer.layer == changed);
        winner.layer != changed && layers.any(|layer| layer.value.is_some())
    };
    let line = match winner.and_then(|winner| Some((winner, winner.place.as_ref()?))) {
        Some((winner, place)) if is_idle(winner) => {
            format!("changed, but a higher layer takes precedence: {key} is {} by {place}", value(&explained))
        }
        Some((_, place)) => format!("{key} is {} by {place}", value(&explained)),
        None => format!("{key} has no value"),
    };
    context.done(&line, &explained)
}
