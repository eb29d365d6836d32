//! Which layers a setting stands in, and what is wrong with them.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::layers::{Found, Layer, Layers, OfChannel, key_of};
use super::registry::{Key, ORDERED};
use super::{Config, Stored};
use crate::db::Page;
use crate::republishing::{Channel, ChannelFilter, ChannelId};
use crate::types::Timestamp;
use crate::{Error, Result};

/// What is shown for a secret.
pub(super) const MASK: &str = "***";

/// A setting with all its layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Explained {
    /// Its name.
    pub key: String,
    /// What it comes to; null if no layer has a value, or if the one that wins cannot be. A secret shows as `***`.
    pub value: Value,
    /// Which layer wins.
    pub layer: Option<Layer>,
    /// What it is for.
    pub help: String,
    /// All layers, the strongest first.
    pub layers: Vec<LayerValue>,
}

/// What one layer says of a setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LayerValue {
    /// The layer.
    pub layer: Layer,
    /// Its value as it stands there; none if it has none. A secret shows as `***`.
    pub value: Option<Value>,
    /// Where it stands.
    pub place: Option<String>,
    /// Who set it, if that is kept.
    pub set_by: Option<String>,
    /// When it was set, if that is kept.
    pub set_at: Option<Timestamp>,
    /// Whether it is the one that counts.
    pub wins: bool,
    /// Why it cannot be, if so.
    pub error: Option<String>,
}

/// How bad a [`Problem`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Something has no effect, which may not be what was meant.
    Warning,
    /// A setting cannot be read.
    Error,
}

/// Something that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// Where it stands.
    pub place: String,
    /// What is wrong, and what would be right.
    pub problem: String,
}

impl Config {
    /// Every layer of a setting, for all channels or for one, and which of them wins.
    ///
    /// # Errors
    /// `Invalid` for a setting that is not known, `NotFound` if there is no such channel.
    pub fn explain(&self, key: &str, channel: Option<ChannelId>) -> Result<Explained> {
        let key = self.0.registry.get(key)?;
        self.layered(channel, |layers| explained(key, layers))
    }

    /// Every setting that is known with all its layers, by name.
    ///
    /// # Errors
    /// `NotFound` if there is no such channel.
    pub fn list(&self, channel: Option<ChannelId>) -> Result<Vec<Explained>> {
        self.layered(channel, |layers| self.0.registry.iter().map(|key| explained(key, layers)).collect())
    }

    /// All layers as they are in the database now, at one moment.
    pub(super) fn layered<T>(
        &self,
        channel: Option<ChannelId>,
        show: impl FnOnce(&Layers<'_>) -> T,
    ) -> Result<T> {
        let (stored, settings) = self.0.db.read(|c| {
            c.snapshot(|c| Ok((super::stored(c)?, channel.map(|id| Channel::settings(c, id)).transpose()?)))
        })?;
        let own = channel.zip(settings.as_ref());
        let channel = own.map(|(id, settings)| OfChannel { id, settings: &settings.0 });
        Ok(show(&Layers { fixed: &self.0.fixed, stored: &stored, channel }))
    }

    /// Everything that is wrong in any layer, of all channels too: values that cannot be are errors; names that are
    /// not known, lines of the file that a stronger layer keeps from having any effect, and pairs of which the least
    /// is above the most are warnings.
    pub fn validate(&self) -> Result<Vec<Problem>> {
        let stored = self.0.db.read(super::stored)?;
        let fixed = &self.0.fixed;
        let of_all = Layers { fixed, stored: &stored, channel: None };
        let mut problems = self.unknown_names(&stored);
        for key in self.0.registry.iter() {
            problems.extend(Layer::ALL.iter().filter_map(|layer| bad(key, of_all.look(*layer, key)?)));
            if let (Some((winner, found)), Some(entry)) =
                (of_all.winner(key), fixed.file.entries.get(key.name.as_ref()))
                && winner != Layer::File
            {
                problems.push(Problem {
                    severity: Severity::Warning,
                    place: fixed.file.place(entry),
                    problem: format!("{} has no effect: {} is stronger", key.name, found.place),
                });
            }
        }
        problems.extend(self.disordered(&of_all, "for all channels"));
        let mut after = None;
        loop {
            let page = Page { after, limit: 500 };
            let channels = self.0.db.read(|c| Channel::list(c, &ChannelFilter::default(), &page))?;
            let Some(last) = channels.last() else { break };
            after = Some(last.id);
            for channel in &channels {
                let own = OfChannel { id: channel.id, settings: &channel.settings.0 };
                let layers = Layers { channel: Some(own), ..of_all };
                let keys = || self.0.registry.iter().filter(|key| key.per_channel);
                problems.extend(keys().filter_map(|key| bad(key, layers.look(Layer::Channel, key)?)));
                let names = channel.settings.0.as_object().into_iter().flat_map(|settings| settings.keys());
                let place = format!("channels.settings of {}", channel.id);
                problems.extend(names.filter_map(|name| {
                    let is_known = self.0.registry.iter().any(|key| {
                        key.per_channel && (key.name == *name || key.name.starts_with(&format!("{name}.")))
                    });
                    (!is_known).then(|| self.unknown_name(name, place.clone()))
                }));
                problems.extend(self.disordered(&layers, &format!("for channel {}", channel.id)));
            }
        }
        Ok(problems)
    }

    fn unknown_names(&self, stored: &Stored) -> Vec<Problem> {
        let registry = &self.0.registry;
        let fixed = &self.0.fixed;
        let variables = fixed.variables().filter_map(|(variable, place)| {
            let key = key_of(&variable);
            (!registry.contains(&key)).then(|| self.unknown_name(&key, format!("{variable} of {place}")))
        });
        let is_known = |name: &str| {
            // A part of a document is its setting's.
            let is_part =
                |key: &Key| name.strip_prefix(key.name.as_ref()).is_some_and(|rest| rest.starts_with('.'));
            registry.contains(name) || registry.iter().any(is_part)
        };
        let file = fixed.file.entries.iter().filter(|(name, entry)| entry.is_leaf && !is_known(name));
        let file = file.map(|(name, entry)| self.unknown_name(name, fixed.file.place(entry)));
        let rows = |table: &'static str, mut keys: Vec<String>| {
            keys.retain(|key| !registry.contains(key));
            keys.sort_unstable();
            keys.into_iter().map(move |key| self.unknown_name(&key, format!("{table} {key}")))
        };
        variables
            .chain(file)
            .chain(rows("config_overrides", stored.overrides.keys().cloned().collect()))
            .chain(rows("system_configuration", stored.system.keys().cloned().collect()))
            .collect()
    }

    fn unknown_name(&self, name: &str, place: String) -> Problem {
        let problem = self.0.registry.get(name).map_or_else(
            |error| error.to_string(),
            |key| format!("setting {:?} is for all channels; no channel has one of its own", key.name),
        );
        Problem { severity: Severity::Warning, place, problem }
    }

    /// Pairs whose first is above the second.
    fn disordered(&self, layers: &Layers<'_>, whom: &str) -> Vec<Problem> {
        let number = |name: &str| {
            let key = self.0.registry.get(name).ok()?;
            let (_, found) = layers.winner(key)?;
            key.read(&found.value, &found.place).ok()?.as_f64()
        };
        ORDERED
            .iter()
            .filter_map(|(least, most)| Some((least, most, number(least)?, number(most)?)))
            .filter(|(_, _, low, high)| low > high)
            .map(|(least, most, low, high)| Problem {
                severity: Severity::Warning,
                place: whom.to_owned(),
                problem: format!("{least} is {low}, which is above {most}, {high}"),
            })
            .collect()
    }
}

/// What is wrong with a value.
fn bad(key: &Key, found: Found<'_>) -> Option<Problem> {
    if found.sealed.is_some() {
        return None;
    }
    let error = key.read(&found.value, &found.place).err()?;
    Some(Problem { severity: Severity::Error, place: found.place, problem: error.to_string() })
}

fn explained(key: &Key, layers: &Layers<'_>) -> Explained {
    let mut winner: Option<(Layer, Value)> = None;
    let of_layers = Layer::ALL
        .iter()
        .map(|layer| {
            let Some(found) = layers.look(*layer, key) else {
                return LayerValue {
                    layer: *layer,
                    value: None,
                    place: None,
                    set_by: None,
                    set_at: None,
                    wins: false,
                    error: None,
                };
            };
            let is_hidden = key.secret || found.sealed.is_some();
            let read =
                if found.sealed.is_some() { Ok(Value::Null) } else { key.read(&found.value, &found.place) };
            let error = read.as_ref().err().map(|error| match error {
                Error::Invalid { reason, .. } => reason.clone(),
                other => other.to_string(),
            });
            let wins = winner.is_none();
            if wins {
                let value = if is_hidden { MASK.into() } else { read.unwrap_or(Value::Null) };
                winner = Some((*layer, value));
            }
            let name = key.name.as_ref();
            let (set_by, set_at) = match layer {
                Layer::Override => layers
                    .stored
                    .overrides
                    .get(name)
                    .map_or((None, None), |row| (Some(row.updated_by.clone()), Some(row.updated_at))),
                Layer::System => (None, layers.stored.system.get(name).map(|row| row.updated_at)),
                _ => (None, None),
            };
            let value = Some(if is_hidden { MASK.into() } else { found.value });
            LayerValue { layer: *layer, value, place: Some(found.place), set_by, set_at, wins, error }
        })
        .collect();
    let (layer, value) = winner.unzip();
    Explained {
        key: key.name.clone().into_owned(),
        value: value.unwrap_or(Value::Null),
        layer,
        help: key.help.clone().into_owned(),
        layers: of_layers,
    }
}
