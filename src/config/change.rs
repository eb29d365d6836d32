//! Changes of settings, and their history.

use std::borrow::Cow;
use std::sync::PoisonError;

use diesel::prelude::*;
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::config_override::{ConfigOverride, NewConfigOverride};
use super::document::inside;
use super::kind::Kind;
use super::layer::Layer;
use super::registry::Key;
use super::sealed_value::{MASK, shown};
use super::{Config, Registry, document};
use crate::Database;
use crate::db::{DbConnection, Page, on_backend};
use crate::error::{Error, Result, ResultExt, require};
use crate::republishing::{Channel, ChannelChanges, ChannelId, NewSystemConfiguration, SystemConfiguration};
use crate::schema::{system_configuration, viraldb_config_changes};
use crate::types::{ConfigChangeId, ConfigValue, Json, Timestamp, portable};

/// The layer in which to change a setting. Only the layers in the database can be changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `system_configuration`.
    System,
    /// `config_overrides`.
    Override,
    /// `channels.settings` of one channel.
    Channel(ChannelId),
}

impl Scope {
    /// Returns the layer.
    pub const fn layer(self) -> Layer {
        match self {
            Self::System => Layer::System,
            Self::Override => Layer::Override,
            Self::Channel(_) => Layer::Channel,
        }
    }

    /// Returns the layer, as [`Change`] records it.
    const fn changed(self) -> ChangedLayer {
        match self {
            Self::System => ChangedLayer::System,
            Self::Override => ChangedLayer::Override,
            Self::Channel(_) => ChangedLayer::Channel,
        }
    }

    /// Returns the channel, if the scope is one channel.
    pub const fn channel(self) -> Option<ChannelId> {
        match self {
            Self::Channel(id) => Some(id),
            _ => None,
        }
    }
}

portable! {
    /// The layer of a [`Change`].
    pub enum ChangedLayer {
        Channel = "channel",
        Override = "override",
        System = "system",
    }
}

/// One change of a setting: a row of `viraldb_config_changes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, HasQuery)]
#[diesel(table_name = viraldb_config_changes, check_for_backend(crate::db::MultiBackend))]
#[non_exhaustive]
pub struct Change {
    /// The change's id. Later changes have higher ids.
    pub id: ConfigChangeId,
    /// When the setting was changed.
    pub changed_at: Timestamp,
    /// Who changed it.
    pub changed_by: String,
    /// Name of the setting.
    pub key: String,
    /// The layer in which it was changed.
    pub layer: ChangedLayer,
    /// The channel, if the setting was changed for one channel. The channel may have been deleted since.
    pub channel_id: Option<ChannelId>,
    /// The value before as JSON, or the fingerprint of a secret; `None` if the layer had no value.
    pub old_value: Option<String>,
    /// The value after as JSON, or the fingerprint of a secret; `None` if the value was removed.
    pub new_value: Option<String>,
}

#[derive(Insertable)]
#[diesel(table_name = viraldb_config_changes)]
struct NewChange<'a> {
    changed_by: &'a str,
    key: &'a str,
    layer: ChangedLayer,
    channel_id: Option<ChannelId>,
    old_value: Option<String>,
    new_value: Option<String>,
}

impl Change {
    /// Returns one page of the changes of a setting, newest first.
    ///
    /// # Errors
    /// Only the [errors of the database](crate::Error#errors-of-the-database).
    pub fn of_key(conn: &mut DbConnection, key: &str, page: &Page<ConfigChangeId>) -> Result<Vec<Self>> {
        on_backend!(conn, |c| {
            let mut query = Self::query().filter(viraldb_config_changes::key.eq(key)).into_boxed::<Backend>();
            if let Some(after) = page.after {
                query = query.filter(viraldb_config_changes::id.lt(after));
            }
            query.order(viraldb_config_changes::id.desc()).limit(page.at_most()).load(c)
        })
        .of("viraldb_config_changes", key)
    }
}

impl Config {
    /// Changes a setting, and records who changed it and both values.
    ///
    /// Setting the current value again changes and records nothing.
    ///
    /// # Errors
    /// `NotFound` if the channel does not exist, and `Invalid` in these cases:
    ///
    /// - the setting is unknown, or does not accept the value
    /// - the scope is a channel, but the setting is not per channel
    /// - the setting is a secret or its value is encrypted; use [`Config::set_secret`]
    /// - `by` is empty
    pub fn set(&self, scope: Scope, key: &str, value: &Value, by: &str) -> Result<()> {
        self.set_many(scope, [(key, value)], by)
    }

    /// Changes several settings at once, or none of them if one change is invalid.
    ///
    /// # Errors
    /// The errors of [`Config::set`].
    pub fn set_many<'a>(
        &self,
        scope: Scope,
        settings: impl IntoIterator<Item = (&'a str, &'a Value)>,
        by: &str,
    ) -> Result<()> {
        require("the author of the change", by)?;
        let settings: Vec<(&Key, Value)> = settings
            .into_iter()
            .map(|(key, value)| {
                let key = self.changeable(scope, key)?;
                if key.secret {
                    return Err(Error::invalid(
                        key.name.as_ref(),
                        "is a secret; set it with `Config::set_secret` or `viraldb config set KEY --secret`",
                    ));
                }
                Ok((key, key.read(value, "")?))
            })
            .collect::<Result<_>>()?;
        self.change(|conn| {
            settings.iter().try_for_each(|(key, value)| {
                let old = self.write(conn, scope, key, Some(value), by)?;
                keep(conn, scope, &key.name, old, Some(value.to_string()), by)
            })
        })
    }

    /// Removes a setting from a layer, so that the next weaker layer applies, and records who removed it.
    ///
    /// Returns true if the layer had a value.
    ///
    /// # Errors
    /// `Invalid` for an unknown setting and if `by` is empty, `NotFound` if the channel does not exist.
    pub fn unset(&self, scope: Scope, key: &str, by: &str) -> Result<bool> {
        require("the author of the change", by)?;
        // Allow layers that do not apply to the setting: another program may have written it there.
        let key = self.0.registry.get(key)?;
        self.change(|conn| {
            let old = self.write(conn, scope, key, None, by)?;
            let was_there = old.is_some();
            keep(conn, scope, &key.name, old, None, by)?;
            Ok(was_there)
        })
    }

    /// Returns one page of the changes of a setting, newest first.
    ///
    /// If the setting is a secret now, earlier plaintext values are shown as `***`.
    ///
    /// # Errors
    /// `Invalid` for a setting that is unknown and was never changed.
    pub fn history(&self, key: &str, page: &Page<ConfigChangeId>) -> Result<Vec<Change>> {
        let mut changes = self.0.db.read_newest(|c| Change::of_key(c, key, page))?;
        match self.0.registry.get(key) {
            Err(error) if changes.is_empty() && page.after.is_none() => return Err(error),
            Ok(key) if key.secret => {
                let values =
                    changes.iter_mut().flat_map(|change| [&mut change.old_value, &mut change.new_value]);
                // Values are JSON, but fingerprints are not.
                let is_value = |text: &&mut String| serde_json::from_str::<IgnoredAny>(text).is_ok();
                values.flatten().filter(is_value).for_each(|value| *value = MASK.to_owned());
            }
            _ => {}
        }
        Ok(changes)
    }

    pub(super) fn changeable(&self, scope: Scope, key: &str) -> Result<&Key> {
        let key = self.0.registry.get(key)?;
        if matches!(scope, Scope::Channel(_)) && !key.per_channel {
            return Err(Error::invalid(
                key.name.as_ref(),
                "applies to all channels; it cannot be set for one channel",
            ));
        }
        if !key.counts_in(scope.layer()) {
            return Err(Error::invalid(key.name.as_ref(), "can only be set for a channel; use --channel"));
        }
        if key.secret && scope != Scope::System {
            return Err(Error::invalid(
                key.name.as_ref(),
                "is a secret; secrets can only be stored in system_configuration",
            ));
        }
        Ok(key)
    }

    /// Changes the database, then reloads the settings. If reloading fails, the change stays and the next check reloads.
    pub(super) fn change<T>(&self, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        let value = self.0.db.write(|conn| {
            begin(conn)?;
            work(conn)
        })?;
        let mut waker = self.0.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.reload() {
            tracing::warn!("the settings were changed, but this process could not reload them yet: {error}");
            *waker = None;
        }
        Ok(value)
    }

    /// Writes or removes a value and returns the old value as JSON. For a secret, it returns the fingerprint or a mask.
    fn write(
        &self,
        conn: &mut DbConnection,
        scope: Scope,
        key: &Key,
        value: Option<&Value>,
        by: &str,
    ) -> Result<Option<String>> {
        let name = key.name.as_ref();
        match scope {
            Scope::Override => {
                let old = found(ConfigOverride::find(conn, name))?;
                match value {
                    Some(value) => {
                        let value = Cow::Owned(to_text(value, &key.kind));
                        if old.as_ref().is_some_and(|old| old.value == value) {
                            return Ok(old.map(|_| as_json(key, &value)));
                        }
                        refuse_sealed(conn, &[name])?;
                        let row = NewConfigOverride {
                            key: name.into(),
                            value,
                            updated_by: Some(by.into()),
                            ..Default::default()
                        };
                        row.insert_or_update(conn)?;
                    }
                    None => drop(ConfigOverride::delete(conn, name)?),
                }
                Ok(old.map(|row| as_json(key, &row.value)))
            }
            Scope::System => {
                let old = found(SystemConfiguration::find(conn, name))?;
                match value {
                    // Overwriting an encrypted value this way would store the new one as plaintext.
                    Some(_) if old.as_ref().is_some_and(|old| old.encrypted) => {
                        return Err(Error::invalid(name, SEALED));
                    }
                    Some(value) if old.as_ref().is_some_and(|old| old.value.0 == *value) => {}
                    Some(value) => {
                        let is_new = old.is_none();
                        let row = NewSystemConfiguration {
                            key: name.into(),
                            value: ConfigValue(value.clone()),
                            description: Some(key.help.as_ref().into())
                                .filter(|help: &Cow<'_, str>| is_new && !help.is_empty()),
                            encrypted: Some(false),
                            ..Default::default()
                        };
                        row.insert_or_update(conn)?;
                    }
                    None => drop(SystemConfiguration::delete(conn, name)?),
                }
                Ok(old.map(|row| match row.encrypted || key.secret {
                    true => shown(self.keyring().ok().as_deref(), &row),
                    false => row.value.0.to_string(),
                }))
            }
            Scope::Channel(id) => {
                let mut settings = Channel::lock_settings(conn, id)?.0;
                let before = settings.clone();
                let old = inside(&settings, name).cloned();
                let members = document::members(&mut settings, &format!("channels.settings of {id}"))?;
                document::take(members, name);
                if let Some(value) = value {
                    refuse_sealed(conn, &[name])?;
                    document::put(members, name, value.clone());
                }
                if settings != before {
                    ChannelChanges { settings: Some(Json(settings)), ..Default::default() }
                        .update(conn, id)?;
                }
                Ok(old.map(|old| if key.secret { MASK.to_owned() } else { old.to_string() }))
            }
        }
    }
}

/// Rejects settings whose value in `system_configuration` is encrypted: a plaintext value in a stronger layer would win.
pub(super) fn refuse_sealed(conn: &mut DbConnection, names: &[&str]) -> Result<()> {
    let rows = SystemConfiguration::find_many(conn, names)?;
    match rows.into_iter().find(|row| row.encrypted) {
        Some(row) => Err(Error::invalid(row.key, SEALED)),
        None => Ok(()),
    }
}

const SEALED: &str = "is encrypted; encrypt the new value with --secret, or unset the setting first";

/// Returns the value of an override as JSON, or a mask for a secret.
fn as_json(key: &Key, text: &str) -> String {
    if key.secret {
        return MASK.to_owned();
    }
    let value = key.of_text(text);
    key.read(&value, "").unwrap_or(value).to_string()
}

/// Turns `NotFound` into `None`.
pub(super) fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(row) => Ok(Some(row)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Returns a value as `config_overrides` stores it: text stays unquoted, because other programs read it there.
fn to_text(value: &Value, kind: &Kind) -> String {
    match (value, kind) {
        (Value::String(text), Kind::Text | Kind::Word { .. }) => text.clone(),
        (value, _) => value.to_string(),
    }
}

/// Serializes changes, so that each change sees the values that it replaces. SQLite allows only one writer anyway.
pub(super) fn begin(conn: &mut DbConnection) -> Result<()> {
    on_backend!(
        conn,
        sqlite => |_c| QueryResult::Ok(()),
        postgres => |c| crate::db::postgres::lock_name(c, "viraldb_config"),
    )
    .of("viraldb_config_changes", "")
}

/// Records a change in the history, unless both values are the same.
pub(super) fn keep(
    conn: &mut DbConnection,
    scope: Scope,
    key: &str,
    old_value: Option<String>,
    new_value: Option<String>,
    by: &str,
) -> Result<()> {
    if old_value == new_value {
        return Ok(());
    }
    let row = NewChange {
        changed_by: by,
        key,
        layer: scope.changed(),
        channel_id: scope.channel(),
        old_value,
        new_value,
    };
    on_backend!(conn, |c| diesel::insert_into(viraldb_config_changes::table).values(&row).execute(c))
        .of("viraldb_config_changes", key)?;
    Ok(())
}

/// Runs [`set_default_configs`], but takes no write lock if all defaults exist already. Returns the number of rows written.
///
/// # Errors
/// The errors of [`Database::history`] and [`Database::write`]. No row is written then.
pub fn complete_default_configs(db: &Database) -> Result<usize> {
    if db.history()?.transferred.is_some() {
        return Ok(0); // the transfer brings them, and would fail on rows that exist already
    }
    let there: Vec<String> = db.read_newest(|conn| {
        on_backend!(conn, |c| system_configuration::table.select(system_configuration::key).load(c))
            .of("system_configuration", "")
    })?;
    let registry = Registry::default();
    let is_missing = |key: &Key| !key.default.is_null() && !there.iter().any(|there| *there == key.name);
    if registry.iter().any(is_missing) { db.write(set_default_configs) } else { Ok(0) }
}

/// Writes the defaults of viraldb's settings into `system_configuration` and returns the number of rows written.
///
/// Existing rows are never changed, no matter which program wrote them.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database). No row is written then.
pub fn set_default_configs(conn: &mut DbConnection) -> Result<usize> {
    let registry = Registry::default();
    let rows: Vec<NewSystemConfiguration<'_>> = registry
        .iter()
        .filter(|key| !key.secret && !key.default.is_null())
        .map(|key| NewSystemConfiguration {
            key: key.name.as_ref().into(),
            value: ConfigValue(key.default.clone()),
            description: Some(key.help.as_ref().into()),
            ..Default::default()
        })
        .collect();
    conn.atomically(|conn| {
        on_backend!(
            conn,
            sqlite => |c| rows
                .iter()
                .map(|row| {
                    diesel::insert_into(system_configuration::table).values(row).on_conflict_do_nothing().execute(c)
                })
                .sum::<QueryResult<_>>(),
            postgres => |c| diesel::insert_into(system_configuration::table)
                .values(&rows)
                .on_conflict_do_nothing()
                .execute(c),
        )
        .of("system_configuration", "")
    })
}
