//! Reads and writes single secrets in the database.

use std::fmt;

use diesel::backend::Backend;
use diesel::prelude::*;
use diesel::query_builder::{AstPass, QueryFragment};
use diesel::serialize::ToSql;
use diesel::sql_types::{HasSqlType, Text};

use super::envelope::{self, Trouble};
use super::{Column, KeyId, Keyring, Place, Secret};
use crate::db::prepared::Prepared;
use crate::db::{DbConnection, on_backend};
use crate::error::{Error, Result, ResultExt};
use crate::schema::{channels, system_configuration as settings, viraldb_keys as keys};
use crate::types::sql::{Jsonb, Timestamptz, Uuid};
use crate::types::{ChannelId, ConfigValue, Sealed, Timestamp};

/// Encrypts a secret with the first key, stores it, and returns the id of the key. Creates the setting if it does not exist.
///
/// # Errors
/// [`Error::SecretKeyMissing`] if the keyring is empty or has none of the keys in use in this database, `NotFound` if the
/// channel does not exist. Nothing is written then.
pub fn set(conn: &mut DbConnection, keyring: &Keyring, place: &Place, secret: &Secret) -> Result<KeyId> {
    let key = keyring.sealing(place)?;
    let text = envelope::seal(key, place, secret)?;
    let write = Write::new(place, text, key.id());
    if write.run(conn)? {
        return Ok(key.id());
    }
    // Either the key is not in use in this database yet, or the channel does not exist.
    conn.atomically(|conn| {
        take_into_use(conn, keyring, place)?;
        if write.run(conn)? { Ok(key.id()) } else { Err(missing(place)) }
    })
}

/// Returns the decrypted secret of a place.
///
/// # Errors
/// [`Error::SecretNotSet`] if there is no secret, `NotFound` if the channel does not exist, and the errors of [`open`].
pub fn get(conn: &mut DbConnection, keyring: &Keyring, place: &Place) -> Result<Secret> {
    open(keyring, place, stored(conn, place)?.as_text())
}

/// Returns the stored text of a place, still encrypted.
///
/// # Errors
/// [`Error::SecretNotSet`] if there is no secret, `NotFound` if the channel does not exist.
pub fn stored(conn: &mut DbConnection, place: &Place) -> Result<Sealed> {
    match read(conn, place)? {
        Some(sealed) if !sealed.as_text().is_empty() => Ok(sealed),
        _ => Err(Error::SecretNotSet { at: place.to_string() }),
    }
}

/// Removes a secret and returns true if there was one. For a setting, the row is deleted. This needs no key.
///
/// # Errors
/// `NotFound` if the channel does not exist, [`Error::SecretNotSealed`] if the setting is not a secret.
pub fn clear(conn: &mut DbConnection, place: &Place) -> Result<bool> {
    conn.atomically(|conn| {
        let was_set = read(conn, place)?.is_some_and(|sealed| !sealed.as_text().is_empty());
        on_backend!(conn, |c| match place {
            Place::ChannelCredentials(id) => diesel::update(channels::table.find(id))
                .set(channels::api_credentials_encrypted.eq(Sealed::default()))
                .execute(c),
            Place::ChannelGithubKey(id) => diesel::update(channels::table.find(id))
                .set(channels::github_secret_key_encrypted.eq(None::<Sealed>))
                .execute(c),
            Place::Setting(key) =>
                diesel::delete(settings::table.find(key).filter(settings::encrypted)).execute(c),
        })
        .of(place.column().table(), place.row_key())?;
        Ok(was_set)
    })
}

/// Encrypts a secret for a place without storing it. The caller must store the text in the same transaction.
///
/// # Errors
/// [`Error::SecretKeyMissing`], as in [`set`].
pub fn seal(conn: &mut DbConnection, keyring: &Keyring, place: &Place, secret: &Secret) -> Result<String> {
    let text = envelope::seal(keyring.sealing(place)?, place, secret)?;
    conn.atomically(|conn| take_into_use(conn, keyring, place))?;
    Ok(text)
}

/// Encrypts another secret in a transaction in which [`seal`] has already recorded the key as in use.
pub(super) fn seal_again(keyring: &Keyring, place: &Place, secret: &Secret) -> Result<String> {
    envelope::seal(keyring.sealing(place)?, place, secret)
}

/// Decrypts a value that was read from a place.
///
/// # Errors
/// [`Error::SecretKeyMissing`] if the keyring lacks the key. [`Error::SecretDamaged`] if the text was changed, or copied
/// from another row or column. [`Error::SecretNotSealed`] if viraldb did not encrypt the text.
pub fn open(keyring: &Keyring, place: &Place, text: &str) -> Result<Secret> {
    envelope::open(keyring, place, text).map_err(|trouble| trouble.at(place, keyring))
}

impl Keyring {
    /// Checks that this keyring fits the database, for programs that want to know when they start.
    ///
    /// # Errors
    /// [`Error::SecretKeyMissing`] if keys are in use in the database and the keyring has none of them.
    pub fn check(&self, conn: &mut DbConnection) -> Result<()> {
        let in_use: Vec<String> = on_backend!(conn, |c| keys::table
            .filter(keys::retired_at.is_null())
            .order((keys::first_used_at, keys::id))
            .select(keys::id)
            .load(c))
        .of("viraldb_keys", "")?;
        let needed = in_use.iter().map(|id| id.parse()).collect::<Result<Vec<KeyId>>>()?;
        if needed.is_empty() || needed.iter().any(|id| self.get(*id).is_some()) {
            return Ok(());
        }
        let needed = needed.iter().map(KeyId::to_string).collect();
        Err(Error::SecretKeyMissing { at: "the database".to_owned(), needed, given: self.shown_ids() })
    }
}

/// Name of the PostgreSQL advisory lock that is held while a key is recorded as in use and while values are re-encrypted.
#[cfg(feature = "postgres")]
pub(super) const LOCK: &str = "viraldb secrets";

/// Records that the first key is in use, if the keyring fits the database. Until the transaction ends, the key cannot be
/// retired.
pub(crate) fn take_into_use(
    conn: &mut DbConnection,
    keyring: &Keyring,
    at: &impl fmt::Display,
) -> Result<()> {
    let id = keyring.sealing(at)?.id().to_string();
    let used = || keys::table.find(&id).filter(keys::retired_at.is_null()).select(keys::id);
    let known: Option<String> = on_backend!(
        &mut *conn,
        sqlite => |c| used().first(c).optional(),
        postgres => |c| used().for_share().first(c).optional(),
    )
    .of("viraldb_keys", &id)?;
    if known.is_some() {
        return Ok(());
    }
    // Without the lock, two programs with different keys would both pass the check on a database without keys.
    on_backend!(
        &mut *conn,
        sqlite => |_c| Ok(()),
        postgres => |c| crate::db::postgres::lock_name(c, LOCK)
    )
    .of("viraldb_keys", &id)?;
    keyring.check(conn)?;
    on_backend!(conn, |c| diesel::insert_into(keys::table)
        .values(keys::id.eq(&id))
        .on_conflict(keys::id)
        .do_update()
        .set(keys::retired_at.eq(None::<Timestamp>))
        .execute(c))
    .of("viraldb_keys", &id)
    .map(drop)
}

fn missing(place: &Place) -> Error {
    Error::NotFound { table: place.column().table(), key: place.row_key() }
}

/// Returns the stored text of a place, or `None` if it is NULL or the setting does not exist.
fn read(conn: &mut DbConnection, place: &Place) -> Result<Option<Sealed>> {
    match place {
        Place::ChannelCredentials(id) => on_backend!(conn, |c| channels::table
            .find(id)
            .select(channels::api_credentials_encrypted)
            .first(c))
        .of("channels", id)
        .map(Some),
        Place::ChannelGithubKey(id) => on_backend!(conn, |c| channels::table
            .find(id)
            .select(channels::github_secret_key_encrypted)
            .first(c))
        .of("channels", id),
        Place::Setting(key) => {
            let setting: Option<(ConfigValue, bool)> = on_backend!(conn, |c| settings::table
                .find(key)
                .select((settings::value, settings::encrypted))
                .first(c)
                .optional())
            .of("system_configuration", key)?;
            match setting {
                None => Ok(None),
                Some((value, true)) => Ok(Some(value.into_sealed())),
                Some((_, false)) => {
                    let plain = Trouble::NotSealed("it is a plain setting, not a secret");
                    Err(plain.at(place, &Keyring::default()))
                }
            }
        }
    }
}

/// Stores an encrypted text if its key is in use.
///
/// Each column has one statement, which stays prepared. It changes one row, or none if it did not store the text.
#[derive(Debug)]
struct Write<'a> {
    column: Column,
    channel: ChannelId,
    setting: &'a str,
    text: Sealed,
    value: ConfigValue,
    key: String,
    now: Timestamp,
}

impl<'a> Write<'a> {
    fn new(place: &'a Place, text: String, key: KeyId) -> Self {
        let (channel, setting) = match place {
            Place::ChannelCredentials(id) | Place::ChannelGithubKey(id) => (*id, ""),
            Place::Setting(key) => (ChannelId(uuid::Uuid::nil()), &**key),
        };
        let (text, value) = match place {
            Place::Setting(_) => (Sealed::default(), ConfigValue(text.into())),
            _ => (text.into(), ConfigValue::default()),
        };
        let (column, key) = (place.column(), key.to_string());
        Self { column, channel, setting, text, value, key, now: Timestamp::now() }
    }

    fn run(&self, conn: &mut DbConnection) -> Result<bool> {
        struct Credentials;
        struct GithubKey;
        struct Setting;
        let written = on_backend!(conn, |c| match self.column {
            Column::ChannelCredentials => Prepared(Credentials, self).execute(c),
            Column::ChannelGithubKey => Prepared(GithubKey, self).execute(c),
            Column::Setting => Prepared(Setting, self).execute(c),
        })
        .of(self.column.table(), "")?;
        Ok(written > 0)
    }
}

/// The lock clause that prevents a key from being retired while a value is encrypted with it.
trait Lock {
    const LOCK: &'static str;
}

#[cfg(feature = "sqlite")]
impl Lock for diesel::sqlite::Sqlite {
    const LOCK: &'static str = ""; // SQLite has a single writer
}

#[cfg(feature = "postgres")]
impl Lock for diesel::pg::Pg {
    const LOCK: &'static str = " FOR SHARE";
}

impl<DB> QueryFragment<DB> for Write<'_>
where
    DB: Lock,
    DB: Backend + HasSqlType<Jsonb> + HasSqlType<Text> + HasSqlType<Timestamptz> + HasSqlType<Uuid>,
    ChannelId: ToSql<Uuid, DB>,
    ConfigValue: ToSql<Jsonb, DB>,
    Sealed: ToSql<Text, DB>,
    String: ToSql<Text, DB>,
    str: ToSql<Text, DB>,
    Timestamp: ToSql<Timestamptz, DB>,
{
    fn walk_ast<'b>(&'b self, mut out: AstPass<'_, 'b, DB>) -> QueryResult<()> {
        if self.column == Column::Setting {
            out.push_sql("INSERT INTO system_configuration (key, value, encrypted, updated_at) SELECT ");
            out.push_bind_param::<Text, _>(self.setting)?;
            out.push_sql(", ");
            out.push_bind_param::<Jsonb, _>(&self.value)?;
            out.push_sql(", true, ");
        } else {
            out.push_sql("UPDATE channels SET ");
            out.push_sql(self.column.name());
            out.push_sql(" = ");
            out.push_bind_param::<Text, _>(&self.text)?;
            out.push_sql(", updated_at = ");
        }
        out.push_bind_param::<Timestamptz, _>(&self.now)?;
        out.push_sql(" WHERE (SELECT id FROM viraldb_keys WHERE id = ");
        out.push_bind_param::<Text, _>(&self.key)?;
        out.push_sql(" AND retired_at IS NULL");
        out.push_sql(DB::LOCK);
        out.push_sql(") IS NOT NULL");
        if self.column == Column::Setting {
            out.push_sql(
                " ON CONFLICT (key) DO UPDATE SET value = excluded.value, encrypted = true, \
                 updated_at = excluded.updated_at",
            );
        } else {
            out.push_sql(" AND id = ");
            out.push_bind_param::<Uuid, _>(&self.channel)?;
        }
        Ok(())
    }
}
