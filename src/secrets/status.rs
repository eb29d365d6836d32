//! Statistics of the encrypted values and their keys.

use std::collections::BTreeMap;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde::Serialize;

use super::reseal::Shape;
use super::{Column, KeyId, Keyring};
use crate::db::{DbConnection, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::viraldb_keys;
use crate::types::{PREFIX, Timestamp};

/// The encrypted values of a database and their keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The keys of the keyring, in order, followed by the other keys that the database knows.
    pub keys: Vec<KeyStatus>,
    /// The columns with encrypted values.
    pub columns: Vec<ColumnStatus>,
}

/// A key and its use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct KeyStatus {
    /// The id of the key.
    pub key: KeyId,
    /// Whether the keyring contains the key.
    pub given: bool,
    /// Whether the key encrypts new values. Only the first key of the keyring does.
    pub seals: bool,
    /// Number of values that are encrypted with the key.
    pub values: u64,
    /// When the key was first used in this database.
    pub first_used_at: Option<Timestamp>,
    /// When a rotation found that no value uses the key anymore.
    pub retired_at: Option<Timestamp>,
}

/// Counts of the values in a column.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct ColumnStatus {
    /// The table.
    pub table: &'static str,
    /// The column.
    pub column: &'static str,
    /// Number of encrypted values, by key.
    pub sealed: BTreeMap<KeyId, u64>,
    /// Number of texts that viraldb did not encrypt.
    pub not_sealed: u64,
    /// Number of rows without a value.
    pub empty: u64,
}

/// Counts the values of each column by key. It decrypts nothing, so it works without the keys.
///
/// # Errors
/// Only the [errors of the database](crate::Error#errors-of-the-database).
pub fn status(conn: &mut DbConnection, keyring: &Keyring) -> Result<Status> {
    let columns =
        Column::ALL.into_iter().map(|column| of_column(conn, column)).collect::<Result<Vec<_>>>()?;
    let recorded: Vec<(String, Timestamp, Option<Timestamp>)> = on_backend!(conn, |c| viraldb_keys::table
        .order((viraldb_keys::first_used_at, viraldb_keys::id))
        .load(c))
    .of("viraldb_keys", "")?;
    let values = total(&columns);
    let mut ids = keyring.ids();
    for id in recorded.iter().filter_map(|row| row.0.parse().ok()).chain(values.keys().copied()) {
        if !ids.contains(&id) {
            ids.push(id);
        }
    }
    let first = keyring.first().map(super::Key::id);
    let keys = ids.into_iter().map(|key| {
        let row = recorded.iter().find(|row| row.0 == key.to_string());
        KeyStatus {
            key,
            given: keyring.get(key).is_some(),
            seals: first == Some(key),
            values: values.get(&key).copied().unwrap_or_default(),
            first_used_at: row.map(|row| row.1),
            retired_at: row.and_then(|row| row.2),
        }
    });
    Ok(Status { keys: keys.collect(), columns })
}

/// Returns the number of values of each key.
fn total(columns: &[ColumnStatus]) -> BTreeMap<KeyId, u64> {
    let mut all = BTreeMap::new();
    for (key, count) in columns.iter().flat_map(|column| &column.sealed) {
        *all.entry(*key).or_default() += count;
    }
    all
}

fn of_column(conn: &mut DbConnection, column: Column) -> Result<ColumnStatus> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        key: String,
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let shape = Shape::new(conn, column);
    let text = &shape.text;
    // The prefix and the version `1:` are followed by the 16 digits of the key id and a colon.
    let sql = format!(
        "SELECT CASE WHEN {text} IS NULL OR {text} = '' THEN '' \
         WHEN substr({text}, 1, 10) = '{PREFIX}1:' AND substr({text}, 27, 1) = ':' THEN substr({text}, 11, 16) \
         ELSE 'not sealed' END AS key, count(*) AS count {} GROUP BY 1",
        shape.rows()
    );
    let rows: Vec<Row> = on_backend!(conn, |c| diesel::sql_query(sql).load(c)).of(column.table(), "")?;
    let mut status = ColumnStatus {
        table: column.table(),
        column: column.name(),
        sealed: BTreeMap::new(),
        not_sealed: 0,
        empty: 0,
    };
    for Row { key, count } in rows {
        let count = u64::try_from(count).unwrap_or_default();
        match key.parse() {
            _ if key.is_empty() => status.empty += count,
            Ok(key) => *status.sealed.entry(key).or_default() += count,
            Err(_) => status.not_sealed += count,
        }
    }
    Ok(status)
}
