//! New channels: their initial documents, which depend on the kind of the channel.

use serde_json::{Value, json};

use super::Config;
use super::change::{Scope, keep, refuse_sealed};
use super::channel_kind::{ChannelKind, default_of};
use super::document::{self, inside};
use super::layers::{Layers, OfChannel, Resolved};
use super::sealed_value::MASK;
use crate::DbConnection;
use crate::error::{Error, Result, require};
use crate::republishing::{Channel, ChannelChanges, ChannelId, NewChannel};
use crate::types::Json;

/// The initial documents of a new channel, as the table `channels` stores them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChannelDefaults {
    /// When videos are published: `frequency` (a value of `default_posting_frequency`), `times` of the day as HH:MM, and
    /// their `timezone`.
    pub posting_schedule: Json,
    /// Which source videos the channel accepts: `min_resolution`, `min_duration` and `max_duration` in seconds, `min_views`,
    /// `languages` (an empty list accepts all), and `exclude_keywords`.
    pub content_filters: Json,
    /// Templates for titles, descriptions and tags. `{title}`, `{creator}` and `{source_url}` stand for the values of the
    /// source video.
    pub metadata_template: Json,
}

impl ChannelDefaults {
    /// Returns the documents for a kind, or for a channel without a kind, with these two settings.
    fn new(kind: Option<ChannelKind>, frequency: &Value, min_resolution: &Value) -> Self {
        let (times, durations, title, description) = match kind {
            Some(ChannelKind::Compilation) => {
                (json!(["17:00"]), (5, 3_600), "{title}", "Clips by: {creator}")
            }
            Some(ChannelKind::Generation) => (json!(["12:00", "18:00"]), (1, 180), "{title}", "{title}"),
            Some(ChannelKind::Republishing) | None => {
                (json!(["18:00"]), (5, 180), "{title}", "Credits: {creator}\n{source_url}")
            }
        };
        Self {
            posting_schedule: Json(json!({ "frequency": frequency, "times": times, "timezone": "UTC" })),
            content_filters: Json(json!({
                "min_resolution": min_resolution,
                "min_duration": durations.0,
                "max_duration": durations.1,
                "min_views": 0,
                "languages": [],
                "exclude_keywords": [],
            })),
            metadata_template: Json(json!({ "title": title, "description": description, "tags": [] })),
        }
    }
}

impl Config {
    /// Returns the documents of a new channel with these settings, which may include its `kind`.
    ///
    /// The documents contain the settings `default_posting_frequency` and `default_min_resolution`: the channel's own, or
    /// those for all channels. `init` writes defaults as settings for all channels, so the defaults of a kind win over a
    /// setting for all channels that has its default value.
    ///
    /// # Errors
    /// `Invalid` if the settings are not an object or contain an invalid value.
    pub fn channel_defaults(&self, settings: &Json) -> Result<ChannelDefaults> {
        self.check_settings(settings)?;
        let channel = OfChannel { id: ChannelId::default(), settings: &settings.0 };
        let kind = channel.kind();
        let (frequency, min_resolution) = self.layered(None, |layers| {
            let layers = Layers { channel: Some(channel), ..*layers };
            let value = |name| {
                let key = self.0.registry.get(name)?;
                let value: Value = super::read(name, &Resolved::of(key, &layers))?;
                let of_kind = default_of(kind, name).filter(|_| value == key.default).cloned();
                Ok::<_, Error>(of_kind.unwrap_or(value))
            };
            Ok::<_, Error>((value("default_posting_frequency")?, value("default_min_resolution")?))
        })??;
        Ok(ChannelDefaults::new(kind, &frequency, &min_resolution))
    }

    /// Returns a new channel with these settings and the documents of [`channel_defaults`](Self::channel_defaults).
    ///
    /// ```
    /// use serde_json::json;
    /// use viraldb::Json;
    /// use viraldb::config::{ChannelKind, Config};
    ///
    /// # fn main() -> viraldb::Result<()> {
    /// # let db = viraldb::Database::open("sqlite::memory:")?;
    /// let config = Config::open(&db)?;
    /// let settings = Json(json!({ "kind": ChannelKind::Compilation }));
    /// let channel = config.add_channel(&config.new_channel("Clips", "UC1", Some(settings))?, "alice")?;
    /// assert_eq!(channel.content_filters.0["min_resolution"], "1080p");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// The errors of [`channel_defaults`](Self::channel_defaults).
    pub fn new_channel<'a>(
        &self,
        name: &'a str,
        youtube_channel_id: &'a str,
        settings: Option<Json>,
    ) -> Result<NewChannel<'a>> {
        let none = Json(json!({}));
        let defaults = self.channel_defaults(settings.as_ref().unwrap_or(&none))?;
        let ChannelDefaults { posting_schedule, content_filters, metadata_template } = defaults;
        Ok(NewChannel {
            posting_schedule,
            content_filters,
            metadata_template,
            settings,
            ..NewChannel::new(name, youtube_channel_id)
        })
    }

    /// Inserts a channel after checking its settings, and records who set each of them.
    ///
    /// Unknown names are allowed, because other programs store their settings there too.
    ///
    /// # Errors
    /// The errors of [`NewChannel::insert`], and `Invalid` in these cases:
    ///
    /// - the settings are not an object
    /// - a setting is a secret, is not per channel, or has an encrypted value for all channels
    /// - a setting does not accept its value
    /// - `by` is empty
    pub fn add_channel(&self, channel: &NewChannel<'_>, by: &str) -> Result<Channel> {
        require("the author of the change", by)?;
        let settings = channel.settings.as_ref();
        settings.map_or(Ok(()), |settings| self.check_settings(settings))?;
        self.change(|conn| {
            self.refuse_sealed(conn, settings)?;
            let channel = channel.insert(conn)?;
            self.keep_settings(conn, channel.id, &Value::Null, &channel.settings.0, by)?;
            Ok(channel)
        })
    }

    /// Changes a channel after checking its settings, and records who changed each setting, with both values.
    ///
    /// # Errors
    /// The errors of [`Config::add_channel`], and `NotFound` if the channel does not exist.
    pub fn edit_channel(&self, id: ChannelId, changes: &ChannelChanges<'_>, by: &str) -> Result<Channel> {
        require("the author of the change", by)?;
        let settings = changes.settings.as_ref();
        settings.map_or(Ok(()), |settings| self.check_settings(settings))?;
        self.change(|conn| {
            self.refuse_sealed(conn, settings)?;
            let old = Channel::lock_settings(conn, id)?.0;
            let channel = changes.update(conn, id)?;
            self.keep_settings(conn, id, &old, &channel.settings.0, by)?;
            Ok(channel)
        })
    }

    fn check_settings(&self, settings: &Json) -> Result<()> {
        let mut settings = settings.0.clone();
        let place = "channels.settings";
        document::members(&mut settings, place)?;
        for key in self.0.registry.iter() {
            if let Some(value) = inside(&settings, &key.name).filter(|value| !value.is_null()) {
                self.changeable(Scope::Channel(ChannelId::default()), &key.name)?;
                key.read(value, place)?;
            }
        }
        Ok(())
    }

    fn refuse_sealed(&self, conn: &mut DbConnection, settings: Option<&Json>) -> Result<()> {
        let Some(settings) = settings else { return Ok(()) };
        let names = self.0.registry.iter().map(|key| key.name.as_ref());
        let given: Vec<&str> = names.filter(|name| inside(&settings.0, name).is_some()).collect();
        refuse_sealed(conn, &given)
    }

    fn keep_settings(
        &self,
        conn: &mut DbConnection,
        id: ChannelId,
        old: &Value,
        new: &Value,
        by: &str,
    ) -> Result<()> {
        for key in self.0.registry.iter() {
            let shown = |settings| {
                let value = inside(settings, &key.name)?;
                Some(if key.secret { MASK.to_owned() } else { value.to_string() })
            };
            keep(conn, Scope::Channel(id), &key.name, shown(old), shown(new), by)?;
        }
        Ok(())
    }
}
