//! Credentials of rows that are not taken, which nobody is to read.

use serde_json::{Map, Value as Json};

use crate::secrets::{Column, is_ciphertext};

/// Whether a column may hold what nobody is to read.
pub(super) fn is_secret(table: &str, column: &str) -> bool {
    Column::ALL.iter().any(|secret| secret.table() == table && secret.name() == column)
}

/// Hides the credentials of a row as the application had it, which nobody sealed; also in columns that we do not have.
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
