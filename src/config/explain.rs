//! Which layers a setting stands in, and which of them wins.

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

/// A setting with all its layers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Explained {
    /// Its name.
    pub key: String,
    /// What it comes to; null if no layer has a value, or if the one that wins cannot be. A secret shows as `***`.
    pub value: Value,
    /// Which layer wins.
    pub layer: Option<Layer>,
    /// Why it cannot be, if the layer that wins has what cannot be.
    pub error: Option<String>,
    /// What it is for.
    pub help: String,
    /// Who reads it: commands and functions of viraldb, or `applications only`.
    #[serde(default)]
    pub read_by: String,
    /// All layers, the strongest first.
    pub layers: Vec<LayerValue>,
}

/// What one layer says of a setting.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
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
