//! Secrets in the database, one at a time.

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

/// Seals a secret under the first key and writes it to its place; returns the key's id. A setting that is not
/// there is made.
///
/// # Errors
/// [`Error::SecretKeyMissing`] if the keyring is empty, or has none of the keys in use here; `NotFound` if there is
/// no such channel. Nothing is written then.
pub fn set(conn: &mut DbConnection, keyring: &Keyring, place: &Place, secret: &Secret) -> Result<KeyId> {
    let key = keyring.sealing(place)?;
    let text = envelope::seal(key, place, secret)?;
    let write = Write::new(place, text, key.id());
    if write.run(conn)? {
        return Ok(key.id());
    }
    // The key was not in use here until now, or there is no such channel.
    conn.atomically(|conn| {
        take_into_use(conn, keyring, place)?;
        if write.run(conn)? { Ok(key.id()) } else { Err(missing(place)) }
    })
}

/// The secret of a place.
///
/// # Errors
/// [`Error::SecretNotSet`] if there is none, `NotFound` if there is no such channel, and those of [`open`].
pub fn get(conn: &mut DbConnection, keyring: &Keyring, place: &Place) -> Result<Secret> {
    open(keyring, place, stored(conn, place)?.as_text())
}

/// What stands in a place, sealed as it is.
///
/// # Errors
/// [`Error::SecretNotSet`] if nothing does, `NotFound` if there is no such channel.
pub fn stored(conn: &mut DbConnection, place: &Place) -> Result<Sealed> {
    match read(conn, place)? {
        Some(sealed) if !sealed.as_text().is_empty() => Ok(sealed),
        _ => Err(Error::SecretNotSet { at: place.to_string() }),
    }
}

/// Takes a secret away, which needs no key; a setting's row is deleted. Returns whether there was one.
///
/// # Errors
/// `NotFound` if there is no such channel; [`Error::SecretNotSealed`] if the setting is no secret.
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

/// Seals a secret for a place, for whoever writes it there in the same transaction.
///
/// # Errors
/// [`Error::SecretKeyMissing`] as [`set`].
pub fn seal(conn: &mut DbConnection, keyring: &Keyring, place: &Place, secret: &Secret) -> Result<String> {
    let text = envelope::seal(keyring.sealing(place)?, place, secret)?;
    conn.atomically(|conn| take_into_use(conn, keyring, place))?;
    Ok(text)
}

/// Seals one more secret in a transaction in which [`seal`] has taken the key into use.
pub(super) fn seal_again(keyring: &Keyring, place: &Place, secret: &Secret) -> Result<String> {
    envelope::seal(keyring.sealing(place)?, place, secret)
}

/// Opens a text that was read from a place.
///
/// # Errors
/// [`Error::SecretKeyMissing`]; [`Error::SecretDamaged`] for a text that was changed, or copied from another place;
/// [`Error::SecretNotSealed`] for any other text.
pub fn open(keyring: &Keyring, place: &Place, text: &str) -> Result<Secret> {
    envelope::open(keyring, place, text).map_err(|trouble| trouble.at(place, keyring))
}

impl Keyring {
    /// Whether this keyring may be used on this database, for programs that want to know when they start.
    ///
    /// # Errors
    /// [`Error::SecretKeyMissing`] if keys are in use there and this keyring has none of them.
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

/// What PostgreSQL locks by, while a key is taken into use and while values are sealed anew.
#[cfg(feature = "postgres")]
pub(super) const LOCK: &str = "viraldb secrets";

/// Records that the first key seals here, if it may, and keeps it from being retired until the transaction ends.
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
    // Two who come with different keys to a database that knows none would both pass the check.
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

/// What stands in a place.
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

/// Writes a sealed text to its place, if its key is in use. One statement of each column, which is kept prepared; it counts
/// a row if it wrote.
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

/// What keeps a key from being retired while a value is sealed under it.
trait Lock {
    const LOCK: &'static str;
}

#[cfg(feature = "sqlite")]
impl Lock for diesel::sqlite::Sqlite {
    const LOCK: &'static str = ""; // there is one writer
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
