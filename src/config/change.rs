//! Changes of settings, and what becomes of them.

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

/// Where a setting is changed: one of the layers that are in the database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// `system_configuration`.
    System,
    /// `config_overrides`.
    Override,
    /// `channels.settings` of a channel.
    Channel(ChannelId),
}

impl Scope {
    /// The layer.
    pub const fn layer(self) -> Layer {
        match self {
            Self::System => Layer::System,
            Self::Override => Layer::Override,
            Self::Channel(_) => Layer::Channel,
        }
    }

    /// The layer, as a change has it.
    const fn changed(self) -> ChangedLayer {
        match self {
            Self::System => ChangedLayer::System,
            Self::Override => ChangedLayer::Override,
            Self::Channel(_) => ChangedLayer::Channel,
        }
    }

    /// The channel, if it is of one.
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
    /// A later change has a higher one.
    pub id: ConfigChangeId,
    /// When.
    pub changed_at: Timestamp,
    /// Who.
    pub changed_by: String,
    /// Name of the setting.
    pub key: String,
    /// Where.
    pub layer: ChangedLayer,
    /// The channel, if it was changed for one; it may be gone by now.
    pub channel_id: Option<ChannelId>,
    /// The value before, as JSON, a secret as its fingerprint; none if there was none.
    pub old_value: Option<String>,
    /// The value after, as JSON, a secret as its fingerprint; none if it was taken away.
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
    /// What became of a setting, newest first.
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
    /// Changes a setting and keeps who changed it from what to what. Who sets what is there already changes
    /// nothing, and nothing is kept of it.
    ///
    /// # Errors
    /// `Invalid` for a setting that is not known, for a value that it cannot have, for a channel's value of a
    /// setting that has none, for a secret, and a setting that is sealed, which go by [`Config::set_secret`], and if `by` is
    /// empty; `NotFound` if there is no such channel.
    pub fn set(&self, scope: Scope, key: &str, value: &Value, by: &str) -> Result<()> {
        self.set_many(scope, [(key, value)], by)
    }

    /// Changes several settings at once, or none if one of them cannot be.
    ///
    /// # Errors
    /// As [`Config::set`].
    pub fn set_many<'a>(
        &self,
        scope: Scope,
        settings: impl IntoIterator<Item = (&'a str, &'a Value)>,
        by: &str,
    ) -> Result<()> {
        require("who changes it", by)?;
        let settings: Vec<(&Key, Value)> = settings
            .into_iter()
            .map(|(key, value)| {
                let key = self.changeable(scope, key)?;
                if key.secret {
                    return Err(Error::invalid(
                        key.name.as_ref(),
                        "is a secret: set it with `Config::set_secret`, or `viraldb config set KEY --secret`",
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

    /// Takes a setting out of a layer, so that the next weaker one counts, and keeps who did; says whether there
    /// was one.
    ///
    /// # Errors
    /// `Invalid` for a setting that is not known and if `by` is empty, `NotFound` if there is no such channel.
    pub fn unset(&self, scope: Scope, key: &str, by: &str) -> Result<bool> {
        require("who changes it", by)?;
        // Also from where it should not stand: another program may have put it there.
        let key = self.0.registry.get(key)?;
        self.change(|conn| {
            let old = self.write(conn, scope, key, None, by)?;
            let was_there = old.is_some();
            keep(conn, scope, &key.name, old, None, by)?;
            Ok(was_there)
        })
    }

    /// What became of a setting, newest first; of one that is a secret now, what stood there in the clear shows as
    /// `***`.
    ///
    /// # Errors
    /// `Invalid` for a setting that neither is known nor was ever changed.
    pub fn history(&self, key: &str, page: &Page<ConfigChangeId>) -> Result<Vec<Change>> {
        let mut changes = self.0.db.read_newest(|c| Change::of_key(c, key, page))?;
        match self.0.registry.get(key) {
            Err(error) if changes.is_empty() && page.after.is_none() => return Err(error),
            Ok(key) if key.secret => {
                let values =
                    changes.iter_mut().flat_map(|change| [&mut change.old_value, &mut change.new_value]);
                // A fingerprint is no JSON, which a value is.
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
                "is for all channels; no channel has one of its own",
            ));
        }
        if !key.counts_in(scope.layer()) {
            return Err(Error::invalid(
                key.name.as_ref(),
                "counts for a channel only: set it with --channel",
            ));
        }
        if key.secret && scope != Scope::System {
            return Err(Error::invalid(
                key.name.as_ref(),
                "is a secret, which only system_configuration keeps",
            ));
        }
        Ok(key)
    }

    /// Changes the database, and reads it anew. The change is made even if it cannot be read: the next look does.
    pub(super) fn change<T>(&self, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        let value = self.0.db.write(|conn| {
            begin(conn)?;
            work(conn)
        })?;
        let mut waker = self.0.waker.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = self.reload() {
            tracing::warn!("settings were changed, and are not read anew yet: {error}");
            *waker = None;
        }
        Ok(value)
    }

    /// Writes a value, or takes it away, and returns what was there, as JSON; of a secret only its fingerprint, or
    /// that it was.
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
                    // What is sealed would stand there for all to see.
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

/// Refuses to put in the clear, where it would be stronger, what is sealed in `system_configuration`.
pub(super) fn refuse_sealed(conn: &mut DbConnection, names: &[&str]) -> Result<()> {
    let rows = SystemConfiguration::find_many(conn, names)?;
    match rows.into_iter().find(|row| row.encrypted) {
        Some(row) => Err(Error::invalid(row.key, SEALED)),
        None => Ok(()),
    }
}

const SEALED: &str = "is sealed: seal the new value with --secret, or unset it first";

/// What an override says, as JSON; of a secret only that it was.
fn as_json(key: &Key, text: &str) -> String {
    if key.secret {
        return MASK.to_owned();
    }
    let value = key.of_text(text);
    key.read(&value, "").unwrap_or(value).to_string()
}

/// A row that may be missing.
pub(super) fn found<T>(result: Result<T>) -> Result<Option<T>> {
    match result {
        Ok(row) => Ok(Some(row)),
        Err(Error::NotFound { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// A value as a layer of text keeps it: other programs read it there as it is.
fn to_text(value: &Value, kind: &Kind) -> String {
    match (value, kind) {
        (Value::String(text), Kind::Text | Kind::Word { .. }) => text.clone(),
        (value, _) => value.to_string(),
    }
}

/// Lets one change at a time go on, so that what it finds there is what it changes. SQLite has one writer.
pub(super) fn begin(conn: &mut DbConnection) -> Result<()> {
    on_backend!(
        conn,
        sqlite => |_c| QueryResult::Ok(()),
        postgres => |c| crate::db::postgres::lock_name(c, "viraldb_config"),
    )
    .of("viraldb_config_changes", "")
}

/// Keeps a change, unless it is none.
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

/// [`set_default_configs`], which does not ask to write where all of them are there already.
pub fn complete_default_configs(db: &Database) -> Result<usize> {
    if db.history()?.transferred.is_some() {
        return Ok(0); // they come with the transfer, which a row of ours would stop
    }
    let there: Vec<String> = db.read_newest(|conn| {
        on_backend!(conn, |c| system_configuration::table.select(system_configuration::key).load(c))
            .of("system_configuration", "")
    })?;
    let registry = Registry::default();
    let is_missing = |key: &Key| !key.default.is_null() && !there.iter().any(|there| *there == key.name);
    if registry.iter().any(is_missing) { db.write(set_default_configs) } else { Ok(0) }
}

/// Writes the defaults of viraldb's settings into `system_configuration`, where no row of the key is, and returns how
/// many it wrote. What is there is left alone, whoever wrote it.
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
