//! Settings that are secrets.

use std::sync::Arc;

use diesel::prelude::*;

use super::change::{Scope, begin, found, keep};
use super::layers::{Found, Layers};
use super::sealed_value::{MASK, open, shown};
use super::{Config, Registry};
use crate::compilation::ConfigOverride;
use crate::db::{DbConnection, on_backend};
use crate::error::{Error, Result, ResultExt, require};
use crate::republishing::SystemConfiguration;
use crate::schema::viraldb_config_changes as changes;
use crate::secrets::{self, KeyId, Keyring, Place, Secret};

impl Config {
    /// A secret, or any setting whose value is sealed: of the strongest layer, opened if it stands in
    /// `system_configuration`.
    ///
    /// # Errors
    /// `Invalid` for a setting that is not known or is not text; [`Error::SecretNotSet`] if no layer has it; those of
    /// [`secrets::open`], and of [`Keyring::from_env`] unless the options had a keyring.
    pub fn secret(&self, key: &str) -> Result<Secret> {
        let key = self.0.registry.get(key)?;
        self.look();
        let kept = self.kept();
        let layers = Layers { fixed: &self.0.fixed, stored: &kept.stored, channel: None };
        match layers.winner(key) {
            None => Err(Error::SecretNotSet { at: key.name.to_string() }),
            Some((_, Found { sealed: Some(row), .. })) => {
                let row = row.clone();
                drop(kept); // nobody waits for files of keys
                open(&*self.keyring()?, &row)
            }
            Some((_, found)) => match key.read(&found.value, &found.place)? {
                serde_json::Value::String(text) => Ok(text.into()),
                _ => Err(Error::invalid(key.name.as_ref(), "is not text; ask for it with `get`")),
            },
        }
    }

    /// Seals a setting under the first key and writes it to `system_configuration`; keeps who did, and the
    /// fingerprints of the old and the new value in place of the values.
    ///
    /// # Errors
    /// `Invalid` for a setting that is not known or is not text, and if `by` is empty; those of [`secrets::set`], and of
    /// [`Keyring::from_env`] unless the options had a keyring.
    pub fn set_secret(&self, key: &str, secret: &Secret, by: &str) -> Result<()> {
        require("who changes it", by)?;
        let key = self.changeable(Scope::System, key)?;
        let keyring = self.keyring()?;
        self.change(|conn| set_sealed(conn, &keyring, &self.0.registry, &key.name, secret, by).map(drop))
    }

    /// The keys of the options, else those of the environment, which are read when they are needed: who asks for no
    /// secret needs none.
    pub(super) fn keyring(&self) -> Result<Arc<Keyring>> {
        self.0.keyring.clone().map_or_else(|| Keyring::from_env().map(Arc::new), Ok)
    }
}

/// Seals a setting, known or not, in the transaction of `conn`, and keeps who did. Returns the key's id.
///
/// # Errors
/// Those of [`secrets::set`]; `Invalid` for a setting that `registry` knows to be no text, for one that an override has in
/// the clear, and if `key` or `by` is empty.
pub fn set_sealed(
    conn: &mut DbConnection,
    keyring: &Keyring,
    registry: &Registry,
    key: &str,
    secret: &Secret,
    by: &str,
) -> Result<KeyId> {
    require("who changes it", by)?;
    require("the name of the setting", key)?;
    // Nobody could read one that is a number or a truth: a paused queue would go on.
    if registry.get(key).is_ok_and(|key| key.kind != super::Kind::Text) {
        return Err(Error::invalid(key, "is not text, and only text is sealed"));
    }
    let place = Place::Setting(key.to_owned());
    conn.atomically(|conn| {
        begin(conn)?;
        if found(ConfigOverride::find(conn, key))?.is_some() {
            let reason = "stands in config_overrides too, in the clear and stronger: unset it there first, with --override";
            return Err(Error::invalid(key, reason));
        }
        let old = found(SystemConfiguration::find(conn, key))?;
        let old = old.map(|row| shown(Some(keyring), &row));
        let id = secrets::set(conn, keyring, &place, secret)?;
        forget(conn, key)?;
        keep(conn, Scope::System, key, old, Some(keyring.fingerprint(&place, secret)?), by)?;
        Ok(id)
    })
}

/// Takes out of the history what stood there in the clear: it may have been the secret.
fn forget(conn: &mut DbConnection, key: &str) -> Result<()> {
    // Text in JSON begins with a quote, which no fingerprint does.
    let of_key = || changes::table.filter(changes::key.eq(key));
    on_backend!(&mut *conn, |c| diesel::update(of_key().filter(changes::old_value.like("\"%")))
        .set(changes::old_value.eq(MASK))
        .execute(c))
    .of("viraldb_config_changes", key)?;
    on_backend!(conn, |c| diesel::update(of_key().filter(changes::new_value.like("\"%")))
        .set(changes::new_value.eq(MASK))
        .execute(c))
    .of("viraldb_config_changes", key)?;
    Ok(())
}

/// Takes a sealed setting away, in the transaction of `conn`, and keeps who did; says whether there was one. It needs no
/// key; with that of the secret, the history shows its fingerprint.
///
/// # Errors
/// Those of [`secrets::clear`], and `Invalid` if `by` is empty.
pub fn clear_sealed(conn: &mut DbConnection, keyring: Option<&Keyring>, key: &str, by: &str) -> Result<bool> {
    require("who changes it", by)?;
    let place = Place::Setting(key.to_owned());
    conn.atomically(|conn| {
        begin(conn)?;
        let old = found(SystemConfiguration::find(conn, key))?;
        let was_set = secrets::clear(conn, &place)?;
        keep(conn, Scope::System, key, old.map(|row| shown(keyring, &row)), None, by)?;
        Ok(was_set)
    })
}
