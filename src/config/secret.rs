//! Secret settings: reading, encrypting and removing them.

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
    /// Returns a secret, or any setting with an encrypted value, from the strongest layer that has it.
    ///
    /// A value in `system_configuration` is decrypted.
    ///
    /// # Errors
    /// `Invalid` for a setting that is unknown or is not text; [`Error::SecretNotSet`] if no layer has a value; the errors of
    /// [`secrets::open`], and of [`Keyring::from_env`] unless the options have a keyring.
    pub fn secret(&self, key: &str) -> Result<Secret> {
        let key = self.0.registry.get(key)?;
        self.look();
        let kept = self.kept();
        let layers = Layers { fixed: &self.0.fixed, stored: &kept.stored, channel: None };
        match layers.winner(key) {
            None => Err(Error::SecretNotSet { at: key.name.to_string() }),
            Some((_, Found { sealed: Some(row), .. })) => {
                let row = row.clone();
                drop(kept); // do not hold the lock while reading key files
                open(&*self.keyring()?, &row)
            }
            Some((_, found)) => match key.read(&found.value, &found.place)? {
                serde_json::Value::String(text) => Ok(text.into()),
                _ => Err(Error::invalid(key.name.as_ref(), "is not text; read it with `get`")),
            },
        }
    }

    /// Encrypts a setting with the first key and writes it to `system_configuration`.
    ///
    /// The history records who changed it, and the fingerprints of the old and the new value instead of the values.
    ///
    /// ```
    /// use std::sync::Arc;
    ///
    /// use viraldb::config::{Config, Key, Options, Registry};
    /// use viraldb::secrets::{self, Keyring, Secret};
    ///
    /// # fn main() -> viraldb::Result<()> {
    /// let db = viraldb::Database::open("sqlite::memory:")?;
    /// let options = Options {
    ///     registry: Registry::default().with([Key::secret("uploader.api_key")])?,
    ///     keyring: Some(Arc::new(Keyring::new([secrets::Key::generate()?]))), // by default the keys of the environment
    ///     ..Default::default()
    /// };
    /// let config = Config::open_with(&db, options)?;
    /// config.set_secret("uploader.api_key", &Secret::from("AIza…"), "alice")?;
    /// assert_eq!(config.secret("uploader.api_key")?.reveal(), "AIza…");
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    /// `Invalid` for a setting that is unknown or is not text, and if `by` is empty; the errors of [`secrets::set`] and of
    /// [`Keyring::from_env`] unless the options have a keyring.
    pub fn set_secret(&self, key: &str, secret: &Secret, by: &str) -> Result<()> {
        require("the author of the change", by)?;
        let key = self.changeable(Scope::System, key)?;
        let keyring = self.keyring()?;
        let setting = SealedSetting { key: &key.name, secret, by };
        self.change(|conn| set_sealed(conn, &keyring, &self.0.registry, setting).map(drop))
    }

    /// Returns the keyring from the options, or from the environment. The environment is read only when a secret is
    /// used, so programs without secrets need no keys.
    pub(super) fn keyring(&self) -> Result<Arc<Keyring>> {
        self.0.keyring.clone().map_or_else(|| Keyring::from_env().map(Arc::new), Ok)
    }
}

/// A setting to encrypt with [`set_sealed`].
#[derive(Debug, Clone, Copy)]
pub struct SealedSetting<'a> {
    /// The name of the setting.
    pub key: &'a str,
    /// The value.
    pub secret: &'a Secret,
    /// Who changes it.
    pub by: &'a str,
}

/// Encrypts and stores a setting in the transaction of `conn`, and records who changed it. Returns the key's id.
///
/// The setting need not be known to `registry`.
///
/// # Errors
/// The errors of [`secrets::set`]; `Invalid` for a setting that is not text according to `registry`, for one that has a
/// plaintext override, and if `key` or `by` is empty.
pub fn set_sealed(
    conn: &mut DbConnection,
    keyring: &Keyring,
    registry: &Registry,
    setting: SealedSetting<'_>,
) -> Result<KeyId> {
    let SealedSetting { key, secret, by } = setting;
    require("the author of the change", by)?;
    require("the name of the setting", key)?;
    // Reject settings that are not text: workers could not read an encrypted `queue_paused`, so a paused queue would keep
    // running.
    if registry.get(key).is_ok_and(|key| key.kind != super::Kind::Text) {
        return Err(Error::invalid(key, "is not text; only text settings can be encrypted"));
    }
    let place = Place::Setting(key.to_owned());
    conn.atomically(|conn| {
        begin(conn)?;
        if found(ConfigOverride::find(conn, key))?.is_some() {
            let reason = "also has a plaintext value in config_overrides, which would win; unset that first with --override";
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

/// Masks plaintext values of a setting in the history, because they may have been the secret.
fn forget(conn: &mut DbConnection, key: &str) -> Result<()> {
    // JSON strings begin with a quotation mark, but fingerprints do not.
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

/// Removes an encrypted setting in the transaction of `conn`, and records who did. Returns true if it was set.
///
/// No key is needed. With the key of the secret, the history shows its fingerprint.
///
/// # Errors
/// The errors of [`secrets::clear`], and `Invalid` if `by` is empty.
pub fn clear_sealed(conn: &mut DbConnection, keyring: Option<&Keyring>, key: &str, by: &str) -> Result<bool> {
    require("the author of the change", by)?;
    let place = Place::Setting(key.to_owned());
    conn.atomically(|conn| {
        begin(conn)?;
        let old = found(SystemConfiguration::find(conn, key))?;
        let was_set = secrets::clear(conn, &place)?;
        keep(conn, Scope::System, key, old.map(|row| shown(keyring, &row)), None, by)?;
        Ok(was_set)
    })
}
