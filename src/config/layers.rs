//! The layers of a setting, and which layer wins.

use std::collections::{BTreeMap, HashMap};

use serde_json::Value;

use super::channel_kind::{ChannelKind, default_of};
use super::config_override::ConfigOverride;
use super::document::inside;
use super::file::File;
use super::kind::Kind;
use super::layer::{Layer, OTHERS, PREFIX, variable_of};
use super::registry::Key;
use crate::environment::{self, DotEnv};
use crate::republishing::{ChannelId, SystemConfiguration};
use crate::{DbConnection, Error, Result};

/// The layers that do not change while the program runs.
#[derive(Clone)]
pub(super) struct Fixed {
    pub(super) environment: BTreeMap<String, String>,
    pub(super) dotenv: DotEnv,
    pub(super) file: File,
}

impl Fixed {
    pub(super) fn read(file: Option<&std::path::Path>) -> Result<Self> {
        let (mut environment, mut dotenv) = (environment::variables(PREFIX)?, DotEnv::read_if_possible()?);
        let file = File::read(file, &dotenv)?;
        if dotenv.has_bad_line {
            tracing::warn!("skipped a line of {} that cannot be parsed", dotenv.file.display());
        }
        // Drop the other variables: encryption keys must not stay in memory longer than they are needed.
        let is_ours = |name: &String| name.starts_with(PREFIX) && !OTHERS.contains(&name.as_str());
        environment.retain(|name, _| is_ours(name));
        dotenv.values.retain(|name, _| is_ours(name));
        Ok(Self { environment, file, dotenv })
    }

    /// Returns the variables that may be settings, each with its source.
    pub(super) fn variables(&self) -> impl Iterator<Item = (String, String)> {
        let real = self.environment.keys().map(|name| (name.clone(), "the environment".to_owned()));
        let file = self.dotenv.file.display().to_string();
        real.chain(self.dotenv.values.keys().map(move |name| (name.clone(), file.clone())))
    }
}

/// The settings that the database stores for all channels.
#[derive(Default)]
pub(super) struct Stored {
    pub(super) overrides: HashMap<String, ConfigOverride>,
    pub(super) system: HashMap<String, SystemConfiguration>,
}

impl Stored {
    /// Reads these settings from the database, in the open transaction if there is one.
    pub(super) fn read(conn: &mut DbConnection, keys: &[&str]) -> Result<Self> {
        let overrides = ConfigOverride::find_many(conn, keys)?;
        let system = SystemConfiguration::find_many(conn, keys)?;
        Ok(Self {
            overrides: overrides.into_iter().map(|row| (row.key.clone(), row)).collect(),
            system: system.into_iter().map(|row| (row.key.clone(), row)).collect(),
        })
    }
}

/// A channel's own settings.
#[derive(Clone, Copy)]
pub(super) struct OfChannel<'a> {
    pub(super) id: ChannelId,
    pub(super) settings: &'a Value,
}

impl OfChannel<'_> {
    pub(super) fn kind(&self) -> Option<ChannelKind> {
        self.settings.get("kind").and_then(Value::as_str).and_then(|kind| kind.parse().ok())
    }
}

/// The value of a setting in one layer.
pub(super) struct Found<'a> {
    pub(super) value: Value,
    /// Where the value is stored, for messages.
    pub(super) place: String,
    /// The row of `system_configuration`, if its value is encrypted.
    pub(super) sealed: Option<&'a SystemConfiguration>,
}

/// All sources of settings, for one channel or for all channels.
#[derive(Clone, Copy)]
pub(super) struct Layers<'a> {
    pub(super) fixed: &'a Fixed,
    pub(super) stored: &'a Stored,
    pub(super) channel: Option<OfChannel<'a>>,
}

impl<'a> Layers<'a> {
    /// Returns the strongest layer that has a value, and that value.
    pub(super) fn winner(&self, key: &Key) -> Option<(Layer, Found<'a>)> {
        Layer::ALL.iter().find_map(|layer| self.look(*layer, key).map(|found| (*layer, found)))
    }

    /// Returns a layer's value, if it has one.
    pub(super) fn look(&self, layer: Layer, key: &Key) -> Option<Found<'a>> {
        if !key.counts_in(layer) {
            return None;
        }
        let name = key.name.as_ref();
        // Null means no value, except for JSON settings.
        let found = |value: Value, place: String| {
            (!value.is_null() || key.kind == Kind::Json).then_some(Found { value, place, sealed: None })
        };
        let own = self.channel.filter(|_| key.per_channel);
        match layer {
            Layer::Environment => {
                let variable = variable_of(name);
                let text = self.fixed.environment.get(&variable)?;
                found(key.of_text(text), format!("environment variable {variable}"))
            }
            Layer::DotEnv => {
                let variable = variable_of(name);
                let text = self.fixed.dotenv.values.get(&variable)?;
                found(
                    key.of_text(text),
                    format!("variable {variable} of {}", self.fixed.dotenv.file.display()),
                )
            }
            Layer::Channel => {
                let channel = own?;
                let value = inside(channel.settings, name)?;
                found(value.clone(), format!("channels.settings of {}", channel.id))
            }
            Layer::Override => {
                let row = self.stored.overrides.get(name)?;
                found(key.of_text(&row.value), format!("config_overrides {name}"))
            }
            Layer::System => {
                let row = self.stored.system.get(name)?;
                let place = format!("system_configuration {name}");
                if row.encrypted {
                    return Some(Found { value: Value::Null, place, sealed: Some(row) });
                }
                found(row.value.0.clone(), place)
            }
            Layer::File => {
                let entry = self.fixed.file.entries.get(name)?;
                found(entry.value.clone(), self.fixed.file.place(entry))
            }
            Layer::KindDefault => {
                let kind = own?.kind();
                let value = default_of(kind, name)?;
                found(value.clone(), format!("the default of {} channels", kind?))
            }
            Layer::Default => {
                if key.default.is_null() {
                    return None;
                }
                found(key.default.clone(), "the default".to_owned())
            }
        }
    }
}

/// The effective value of a setting, cached until something changes.
pub(super) enum Resolved {
    /// The value and where it comes from; null if no layer has a value.
    Value(Value, String),
    /// The value is encrypted. viraldb decrypts it only when a caller asks for the secret.
    Sealed,
    /// The strongest layer holds an invalid value.
    Bad { what: String, reason: String },
}

impl Resolved {
    pub(super) fn of(key: &Key, layers: &Layers<'_>) -> Self {
        match layers.winner(key) {
            None => Self::Value(Value::Null, "no layer".to_owned()),
            Some((_, Found { sealed: Some(_), .. })) => Self::Sealed,
            Some((_, found)) => match key.read(&found.value, &found.place) {
                Ok(value) => Self::Value(value, found.place),
                Err(Error::Invalid { what, reason }) => Self::Bad { what, reason },
                Err(other) => Self::Bad { what: found.place, reason: other.to_string() },
            },
        }
    }
}
