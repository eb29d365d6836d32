//! Tests of secrets.

mod commands;
mod import;
mod ingested;
mod keys;
mod one;
mod rotation;

use viraldb::republishing::{ChannelId, NewChannel};
use viraldb::secrets::{self, Key, Keyring, Place, Secret};
use viraldb::{Database, Result};

use crate::make;

fn key() -> Key {
    Key::generate().unwrap()
}

fn copy_of(key: &Key) -> Key {
    key.to_text().reveal().parse().unwrap()
}

/// A keyring of these keys, in this order.
fn ring<'a>(keys: impl IntoIterator<Item = &'a Key>) -> Keyring {
    Keyring::new(keys.into_iter().map(copy_of))
}

fn secret(text: &str) -> Secret {
    text.to_owned().into()
}

fn channel(db: &Database) -> ChannelId {
    db.write(|c| NewChannel::new("Clips", make::unique("UC")).insert(c)).unwrap().id
}

/// Returns one location of each kind. The channel has no secrets yet.
fn places(db: &Database) -> [Place; 3] {
    let id = channel(db);
    [Place::ChannelCredentials(id), Place::ChannelGithubKey(id), Place::Setting(make::unique("secret"))]
}

fn set(db: &Database, keyring: &Keyring, place: &Place, text: &str) {
    let key = db.write(|c| secrets::set(c, keyring, place, &secret(text))).unwrap();
    assert_eq!(Some(key), keyring.first().map(Key::id));
}

fn get(db: &Database, keyring: &Keyring, place: &Place) -> Result<String> {
    db.read(|c| secrets::get(c, keyring, place)).map(|secret| secret.reveal().to_owned())
}

/// Returns the column, and the table with a condition for the row, as SQL.
fn named(place: &Place) -> (String, String) {
    let column = place.column();
    let key = if matches!(place, Place::Setting(_)) { "key" } else { "id" };
    (column.name().to_owned(), format!("{} WHERE {key} = '{}'", column.table(), place.row_key()))
}

/// Returns the stored text directly from the database, without the models. For a setting it is JSON.
fn stored(db: &Database, place: &Place) -> String {
    let (column, row) = named(place);
    let sql = format!("SELECT CAST({column} AS text) AS v FROM {row}");
    db.read(|c| Ok(make::query(c, &sql))).unwrap().remove(0)
}

/// Stores a text as another program would.
fn put(db: &Database, place: &Place, text: &str) {
    let (column, row) = named(place);
    let (table, condition) = row.split_once(" WHERE ").unwrap();
    let sql = match place {
        Place::Setting(key) => format!(
            "INSERT INTO system_configuration (key, value, encrypted) VALUES ('{key}', '{text}', true) \
             ON CONFLICT (key) DO UPDATE SET value = excluded.value, encrypted = true"
        ),
        _ => format!("UPDATE {table} SET {column} = '{text}' WHERE {condition}"),
    };
    db.write(|c| make::execute(c, &sql)).unwrap();
}

/// Returns every row of `viraldb_keys` as `<id> in use` or `<id> retired`.
fn recorded(db: &Database) -> Vec<String> {
    let sql = "SELECT id || CASE WHEN retired_at IS NULL THEN ' in use' ELSE ' retired' END AS v \
               FROM viraldb_keys ORDER BY id";
    db.read(|c| Ok(make::query(c, sql))).unwrap()
}

/// Sorts keys in the order of `recorded`.
fn sorted<const N: usize>(mut keys: [String; N]) -> [String; N] {
    keys.sort();
    keys
}
