//! Which layers have a value for a setting, and which layer wins.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Config;
use super::layer::Layer;
use super::layers::{Layers, OfChannel};
use super::registry::Key;
use super::sealed_value::MASK;
use crate::republishing::{Channel, ChannelId};
use crate::types::Timestamp;
use crate::{Error, Result};

/// A setting with its value in every layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Explained {
    /// The setting's name.
    pub key: String,
    /// The effective value. It is null if no layer has a value or if the winning value is invalid. A secret is `***`.
    pub value: Value,
    /// The layer that wins.
    pub layer: Option<Layer>,
    /// Why the winning value is invalid, if it is.
    pub error: Option<String>,
    /// What the setting is for.
    pub help: String,
    /// The viraldb commands and functions that read the setting, or `applications only`.
    #[serde(default)]
    pub read_by: String,
    /// All layers in order of precedence, the strongest first.
    pub layers: Vec<LayerValue>,
}

/// The value of a setting in one layer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct LayerValue {
    /// The layer.
    pub layer: Layer,
    /// The layer's value as stored, or `None` if the layer has no value. A secret is `***`.
    pub value: Option<Value>,
    /// Where the value is stored, such as a table, a file with a line, or a variable.
    pub place: Option<String>,
    /// Who set the value, if the layer records it.
    pub set_by: Option<String>,
    /// When the value was set, if the layer records it.
    pub set_at: Option<Timestamp>,
    /// Whether this layer wins.
    pub wins: bool,
    /// Why the value is invalid, if it is.
    pub error: Option<String>,
}

impl Config {
    /// Returns every layer of a setting, for all channels or for one channel, and which layer wins.
    ///
    /// ```
    /// use viraldb::config::{Config, Layer, Scope};
    ///
    /// # fn main() -> viraldb::Result<()> {
    /// # let db = viraldb::Database::open("sqlite::memory:")?;
    /// let config = Config::open(&db)?;
    /// config.set(Scope::Override, "max_clips", &12.into(), "alice")?;
    /// let explained = config.explain(None, "max_clips")?;
    /// assert_eq!((explained.value.as_i64(), explained.layer), (Some(12), Some(Layer::Override)));
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Invalid` for an unknown setting, `NotFound` if the channel does not exist.
    pub fn explain(&self, channel: Option<ChannelId>, key: &str) -> Result<Explained> {
        let key = self.0.registry.get(key)?;
        self.layered(channel, |layers| explained(key, layers))
    }

    /// Returns every known setting with all its layers, ordered by name.
    ///
    /// # Errors
    /// `NotFound` if the channel does not exist.
    pub fn list(&self, channel: Option<ChannelId>) -> Result<Vec<Explained>> {
        self.layered(channel, |layers| self.0.registry.iter().map(|key| explained(key, layers)).collect())
    }

    /// Passes all layers to `show`, with the stored ones read from one snapshot of the database.
    pub(super) fn layered<T>(
        &self,
        channel: Option<ChannelId>,
        show: impl FnOnce(&Layers<'_>) -> T,
    ) -> Result<T> {
        let (stored, settings) = self.0.db.read_newest(|c| {
            c.snapshot(|c| Ok((self.stored(c)?, channel.map(|id| Channel::settings(c, id)).transpose()?)))
        })?;
        let own = channel.zip(settings.as_ref());
        let channel = own.map(|(id, settings)| OfChannel { id, settings: &settings.0 });
        Ok(show(&Layers { fixed: &self.0.fixed, stored: &stored, channel }))
    }
}

fn explained(key: &Key, layers: &Layers<'_>) -> Explained {
    let mut winner: Option<(Layer, Value)> = None;
    let of_layers: Vec<LayerValue> = Layer::ALL
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
        error: of_layers.iter().find(|layer| layer.wins).and_then(|layer| layer.error.clone()),
        help: key.help.clone().into_owned(),
        read_by: key.readers().to_owned(),
        layers: of_layers,
    }
}
