//! Credentials that an application kept as they are, where our tables hold sealed ones only.

use serde_json::{Map, Value as Json};

use super::Taken;
use crate::secrets::{self, Keyring, Place, Secret, is_ciphertext};
use crate::{DbConnection, Result};

/// Columns of `channels` that hold credentials.
pub(super) const OF_CHANNELS: [&str; 2] = ["api_credentials_encrypted", "github_secret_key_encrypted"];

/// Seals what has to be.
pub(super) struct Sealing<'a> {
    keyring: &'a Keyring,
    /// Whether this takeover has sealed with the key before.
    is_in_use: bool,
}

impl<'a> Sealing<'a> {
    pub(super) const fn new(keyring: &'a Keyring) -> Self {
        Self { keyring, is_in_use: false }
    }

    /// Seals the credentials of a row that are not sealed, and were not by the application; without a key they are left
    /// out. Returns why the row cannot be taken, if it cannot be without.
    pub(super) fn seal(
        &mut self,
        conn: &mut DbConnection,
        table: &str,
        row: &mut Map<String, Json>,
        taken: &mut Taken,
    ) -> Result<Option<String>> {
        let has_key = self.keyring.first().is_some();
        match table {
            "channels" => {
                let Some(id) = row.get("id").and_then(Json::as_str).and_then(|id| id.parse().ok()) else {
                    return Ok(None); // a channel without one is refused
                };
                for column in OF_CHANNELS {
                    let Some(plain) =
                        row.get(column).and_then(Json::as_str).filter(|text| !is_ciphertext(text))
                    else {
                        continue;
                    };
                    if !has_key {
                        match column {
                            "api_credentials_encrypted" => row.insert(column.to_owned(), "".into()),
                            _ => row.remove(column), // NULL is none
                        };
                        taken.withheld += 1;
                        continue;
                    }
                    let place = match column {
                        "api_credentials_encrypted" => Place::ChannelCredentials(id),
                        _ => Place::ChannelGithubKey(id),
                    };
                    let sealed = self.sealed(conn, &place, plain)?;
                    row.insert(column.to_owned(), sealed.into());
                    taken.sealed += 1;
                }
            }
            "system_configuration" if is_plain_secret(row) => {
                let Some(key) = row.get("key").and_then(Json::as_str) else { return Ok(None) };
                if !has_key {
                    return Ok(Some(
                        "value: is not encrypted, though it is marked so; give a key in VIRALDB_KEY and it is sealed"
                            .to_owned(),
                    ));
                }
                let plain = crate::db::document::cell(row.get("value"));
                let sealed = self.sealed(conn, &Place::Setting(key.to_owned()), &plain)?;
                row.insert("value".to_owned(), sealed.into());
                taken.sealed += 1;
            }
            _ => {}
        }
        Ok(None)
    }

    fn sealed(&mut self, conn: &mut DbConnection, place: &Place, plain: &str) -> Result<String> {
        let secret = Secret::from(plain.to_owned());
        if self.is_in_use {
            return secrets::seal_again(self.keyring, place, &secret);
        }
        let sealed = secrets::seal(conn, self.keyring, place, &secret)?;
        self.is_in_use = true;
        Ok(sealed)
    }
}

/// Whether a setting says that it is encrypted, and is not.
fn is_plain_secret(row: &Map<String, Json>) -> bool {
    row.get("encrypted") == Some(&Json::Bool(true))
        && !row.get("value").and_then(Json::as_str).is_some_and(is_ciphertext)
}

/// Whether a column may hold what nobody is to read.
pub(super) fn is_secret(table: &str, column: &str) -> bool {
    table == "channels" && OF_CHANNELS.contains(&column)
        || table == "system_configuration" && column == "value"
}

/// Hides the credentials of a row as the application had it, which nobody sealed; also in columns that we do not have.
pub(super) fn mask(table: &str, row: &mut Map<String, Json>) {
    let is_plain = matches!(row.get("encrypted"), None | Some(Json::Null))
        || row.get("encrypted").is_some_and(|it| {
            ["0", "false", "f"].contains(&crate::db::document::cell(Some(it)).to_lowercase().as_str())
        });
    for (column, value) in row {
        let is_named = ["credential", "password", "secret", "token", "api_key", "private_key"]
            .iter()
            .any(|word| column.to_lowercase().contains(word));
        let is_secret = is_secret(table, column) && !(column == "value" && is_plain) || is_named;
        if is_secret && !value.is_null() && !value.as_str().is_some_and(is_ciphertext) {
            *value = "***".into();
        }
    }
}
