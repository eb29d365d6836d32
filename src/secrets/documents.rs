//! Encryption of plaintext in incoming rows (JSON documents) before they are stored.

use std::collections::HashMap;

use diesel::prelude::*;
use serde_json::{Map, Value as Json};

use super::{Column, Keyring, Place, Secret, is_ciphertext, open, seal, store::seal_again};
use crate::db::json_upsert::cell;
use crate::db::{DbConnection, IDS, on_backend};
use crate::error::{Error, Result, ResultExt};
use crate::schema::{channels, system_configuration as settings};
use crate::types::{ChannelId, ConfigValue, Sealed};

/// A row as a JSON object, by column name.
type Document = Map<String, Json>;

/// Returns true if a table has columns for encrypted values.
pub fn has_sealed_columns(table: &str) -> bool {
    Column::ALL.iter().any(|column| column.table() == table)
}

/// How to handle plaintext if there is no key to encrypt it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum WithoutKey {
    /// Reject the row.
    Reject,
    /// Omit the credentials of a channel. Reject an encrypted setting, which is useless without its value.
    LeaveOut,
}

/// Counts of the plaintext values of a row.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Values that were encrypted.
    pub sealed: u64,
    /// Values that were omitted because there is no key.
    pub withheld: u64,
}

/// Encrypts the plaintext of rows in one transaction.
#[derive(Debug)]
pub(crate) struct Sealing<'a> {
    keyring: &'a Keyring,
    without_key: WithoutKey,
    /// Whether this transaction has already encrypted a value with the key.
    is_in_use: bool,
}

impl<'a> Sealing<'a> {
    pub(crate) const fn new(keyring: &'a Keyring, without_key: WithoutKey) -> Self {
        Self { keyring, without_key, is_in_use: false }
    }

    /// Encrypts the plaintext in the encrypted columns of a row. The inner error says why the row cannot be stored.
    ///
    /// The row of a channel needs its id, because the id is part of the associated data.
    pub(crate) fn seal(
        &mut self,
        conn: &mut DbConnection,
        table: &str,
        row: &mut Document,
    ) -> Result<Result<Counts, String>> {
        self.seal_unless_stored(conn, table, row, &HashMap::new())
    }

    /// Works like [`seal`](Self::seal), but keeps the stored text of a value if `stored` already has the same secret.
    fn seal_unless_stored(
        &mut self,
        conn: &mut DbConnection,
        table: &str,
        row: &mut Document,
        stored: &HashMap<Place, String>,
    ) -> Result<Result<Counts, String>> {
        let mut counts = Counts::default();
        for column in Column::ALL {
            if !is_plain(column, table, row) {
                continue;
            }
            let name = column.name();
            if self.keyring.first().is_none() {
                if self.without_key == WithoutKey::Reject || column == Column::Setting {
                    return Ok(Err(format!(
                        "{name}: is not encrypted; set VIRALDB_KEY so that viraldb can encrypt it"
                    )));
                }
                match column {
                    Column::ChannelCredentials => row.insert(name.to_owned(), "".into()),
                    _ => row.remove(name), // NULL means that there is no secret
                };
                counts.withheld += 1;
                continue;
            }
            let Some(place) = place(column, row) else {
                return Ok(Err(format!(
                    "{name}: is not encrypted, and cannot be encrypted because the row has no valid id or key"
                )));
            };
            let secret = Secret::from(cell(row.get(name)));
            let is_stored = |text: &&String| {
                open(self.keyring, &place, text).is_ok_and(|stored| stored.reveal() == secret.reveal())
            };
            let text = match stored.get(&place).filter(is_stored) {
                Some(text) => Ok(text.clone()),
                None if self.is_in_use => seal_again(self.keyring, &place, &secret),
                None => seal(conn, self.keyring, &place, &secret).inspect(|_| self.is_in_use = true),
            };
            match text {
                Ok(text) => row.insert(name.to_owned(), text.into()),
                Err(error @ Error::SecretKeyMissing { .. }) if self.without_key == WithoutKey::LeaveOut => {
                    return Err(error); // applies to all rows
                }
                Err(error @ (Error::SecretKeyMissing { .. } | Error::Invalid { .. })) => {
                    return Ok(Err(error.to_string()));
                }
                Err(error) => return Err(error),
            };
            counts.sealed += 1;
        }
        Ok(Ok(counts))
    }
}

/// Encrypts the plaintext in the encrypted columns of rows of one table.
///
/// Returns the index of each row that cannot be stored, and the reason. A channel without an id gets the id of the stored
/// channel with the same `youtube_channel_id`, or a new id. A secret that is already stored keeps its stored text, so that
/// storing the same rows again changes nothing.
pub(crate) fn seal_documents(
    conn: &mut DbConnection,
    keyring: &Keyring,
    table: &str,
    rows: &mut [&mut Document],
) -> Result<Vec<(usize, String)>> {
    let is_plain = |row: &Document| Column::ALL.into_iter().any(|column| is_plain(column, table, row));
    let plain: Vec<usize> =
        rows.iter().enumerate().filter(|(_, row)| is_plain(row)).map(|(place, _)| place).collect();
    if plain.is_empty() {
        return Ok(Vec::new());
    }
    let mut stored = HashMap::new();
    if keyring.first().is_some() {
        let affected: Vec<&Document> =
            plain.iter().filter_map(|place| rows.get(*place).map(|row| &**row)).collect();
        if table == "channels" {
            let ids = channels_there(conn, &affected, &mut stored)?;
            name_channels(rows, &plain, ids);
        } else {
            settings_there(conn, &affected, &mut stored)?;
        }
    }
    let mut sealing = Sealing::new(keyring, WithoutKey::Reject);
    let mut refused = Vec::new();
    for place in plain {
        let Some(row) = rows.get_mut(place) else { continue };
        if let Err(reason) = sealing.seal_unless_stored(conn, table, row, &stored)? {
            refused.push((place, reason));
        }
    }
    Ok(refused)
}

/// Returns the ids of the channels in some rows, by `youtube_channel_id`, and adds the stored texts of these channels to
/// `stored`.
fn channels_there(
    conn: &mut DbConnection,
    rows: &[&Document],
    stored: &mut HashMap<Place, String>,
) -> Result<HashMap<String, ChannelId>> {
    type Row = (ChannelId, String, Sealed, Option<Sealed>);
    let mut ids = HashMap::new();
    for rows in rows.chunks(IDS / 2) {
        let given = |name| rows.iter().filter_map(move |row| row.get(name)?.as_str());
        let by_id: Vec<ChannelId> = given("id").filter_map(|id| id.parse().ok()).collect();
        let found: Vec<Row> = on_backend!(&mut *conn, |c| channels::table
            .filter(
                channels::id
                    .eq_any(&by_id)
                    .or(channels::youtube_channel_id.eq_any(given("youtube_channel_id")))
            )
            .select((
                channels::id,
                channels::youtube_channel_id,
                channels::api_credentials_encrypted,
                channels::github_secret_key_encrypted,
            ))
            .load(c))
        .of("channels", "")?;
        for (id, youtube_id, credentials, github_key) in found {
            ids.insert(youtube_id, id);
            stored.insert(Place::ChannelCredentials(id), credentials.as_text().to_owned());
            if let Some(github_key) = github_key {
                stored.insert(Place::ChannelGithubKey(id), github_key.as_text().to_owned());
            }
        }
    }
    Ok(ids)
}

/// Adds an id to rows without one if their channel has plaintext. All rows of a channel get the same id.
fn name_channels(rows: &mut [&mut Document], plain: &[usize], mut ids: HashMap<String, ChannelId>) {
    let youtube_id = |row: &Document| row.get("youtube_channel_id").and_then(Json::as_str).map(str::to_owned);
    for row in rows.iter() {
        let id = row.get("id").and_then(Json::as_str).and_then(|id| id.parse().ok());
        if let (Some(id), Some(youtube_id)) = (id, youtube_id(row)) {
            ids.entry(youtube_id).or_insert(id);
        }
    }
    for row in plain.iter().filter_map(|place| rows.get(*place)) {
        if let Some(youtube_id) = youtube_id(row) {
            ids.entry(youtube_id).or_insert_with(|| ChannelId(uuid::Uuid::now_v7()));
        }
    }
    for row in rows.iter_mut().filter(|row| !row.contains_key("id")) {
        if let Some(id) = youtube_id(row).and_then(|youtube_id| ids.get(&youtube_id)) {
            row.insert("id".to_owned(), id.to_string().into());
        }
    }
}

/// Adds the stored texts of the settings in some rows to `stored`.
fn settings_there(
    conn: &mut DbConnection,
    rows: &[&Document],
    stored: &mut HashMap<Place, String>,
) -> Result<()> {
    for rows in rows.chunks(IDS) {
        let keys: Vec<&str> = rows.iter().filter_map(|row| row.get("key")?.as_str()).collect();
        let found: Vec<(String, ConfigValue)> = on_backend!(&mut *conn, |c| settings::table
            .filter(settings::key.eq_any(&keys).and(settings::encrypted))
            .select((settings::key, settings::value))
            .load(c))
        .of("system_configuration", "")?;
        for (key, value) in found {
            stored.insert(Place::Setting(key), value.into_sealed().as_text().to_owned());
        }
    }
    Ok(())
}

/// Returns true if a row has plaintext in this encrypted column.
fn is_plain(column: Column, table: &str, row: &Document) -> bool {
    let is_text = match row.get(column.name()) {
        None | Some(Json::Null) => false,
        Some(value) => !value.as_str().is_some_and(is_ciphertext),
    };
    let is_meant = column != Column::Setting || row.get("encrypted") == Some(&Json::Bool(true));
    column.table() == table && is_text && is_meant
}

/// Returns the place of a column's value in a row, or `None` if the row has no valid key.
fn place(column: Column, row: &Document) -> Option<Place> {
    let key = if column == Column::Setting { "key" } else { "id" };
    column.of_row(row.get(key)?.as_str()?.to_owned()).ok()
}
