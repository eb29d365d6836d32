//! Masks the credentials in rejected rows.

use serde_json::{Map, Value as Json};

use crate::secrets::{Column, is_ciphertext};

/// Returns true if a column may contain a secret.
pub(super) fn is_secret(table: &str, column: &str) -> bool {
    Column::ALL.iter().any(|secret| secret.table() == table && secret.name() == column)
}

/// Masks the credentials of a row of the source that are not encrypted, also in columns that our schema does not have.
pub(super) fn mask(table: &str, row: &mut Map<String, Json>) {
    let is_plain = matches!(row.get("encrypted"), None | Some(Json::Null))
        || row.get("encrypted").is_some_and(|it| {
            ["0", "false", "f"].contains(&crate::db::json_upsert::cell(Some(it)).to_lowercase().as_str())
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
