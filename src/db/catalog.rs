//! Queries the catalog of a database.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::{DbConnection, on_backend};
use crate::Result;
use crate::error::ResultExt;

/// Returns true if the database has a table of this name. On PostgreSQL only the schema of viraldb's tables is searched, not
/// the later schemas of `search_path`.
pub(crate) fn has_table(conn: &mut DbConnection, name: &str) -> Result<bool> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let row: Row = on_backend!(
        conn,
        sqlite => |c| diesel::sql_query(
                "SELECT count(*) AS count FROM sqlite_master WHERE type = 'table' AND name = ?"
            )
            .bind::<Text, _>(name)
            .get_result(c),
        // Do not use `to_regclass`: within a transaction it may still return the result from before a wait for a lock.
        postgres => |c| diesel::sql_query(format!(
                "SELECT count(*) AS count FROM pg_class WHERE relname = $1 AND relnamespace = {}",
                super::postgres::HERE
            ))
            .bind::<Text, _>(name)
            .get_result(c)
    )
    .of("the schema", "")?;
    Ok(row.count > 0)
}
