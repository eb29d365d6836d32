//! A transfer into a database that has not ended: who opens the database is told, and nothing is mended or backed up until
//! it has. A takeover that has not ended is reported by `doctor` only, because other programs may use the database meanwhile.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::catalog::has_table;
use super::{DatabaseUrl, DbConnection, on_backend};
use crate::error::ResultExt;
use crate::{Error, Result};

/// The table of a transfer that is under way, or was interrupted: a row for each table that it copies.
pub(crate) const TRANSFER: &str = "viraldb_transfer";

/// The table of takeovers that are running or were interrupted: one row for each application. Only SQLite has it, because
/// a takeover into PostgreSQL is one transaction.
pub(crate) const TAKEOVER: &str = "viraldb_takeover";

/// A takeover that has not ended.
#[derive(Debug, QueryableByName)]
pub(crate) struct Takeover {
    /// The application whose database is taken over.
    #[diesel(sql_type = Text)]
    pub(crate) application: String,
    /// The source, its password masked.
    #[diesel(sql_type = Text)]
    pub(crate) source: String,
    /// The largest id of each numbered table that the takeover has reserved, as a JSON object.
    #[diesel(sql_type = Text)]
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))] // only a takeover into SQLite goes on
    pub(crate) last_ids: String,
}

/// Returns the takeovers that have not ended.
pub(crate) fn takeovers(conn: &mut DbConnection) -> Result<Vec<Takeover>> {
    if !has_table(conn, TAKEOVER)? {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT application, source, last_ids FROM {TAKEOVER} ORDER BY application");
    on_backend!(conn, |c| diesel::sql_query(sql).load(c)).of(TAKEOVER, "")
}

/// How many rows a transfer that has not ended has copied; `None` if there is no such transfer.
pub(crate) fn copied(conn: &mut DbConnection) -> Result<Option<u64>> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        rows: i64,
    }
    if !has_table(conn, TRANSFER)? {
        return Ok(None);
    }
    let sql = format!("SELECT CAST(coalesce(sum(rows), 0) AS bigint) AS rows FROM {TRANSFER}");
    let row: Row = on_backend!(conn, |c| diesel::sql_query(sql).get_result(c)).of(TRANSFER, "")?;
    Ok(Some(u64::try_from(row.rows).unwrap_or_default()))
}

/// What is to be said of one, and what to do.
pub(crate) fn reason(copied: u64, url: &DatabaseUrl) -> String {
    format!("holds a transfer that has not ended, {copied} rows so far: {}", mend(url))
}

/// What ends it.
pub(crate) fn mend(url: &DatabaseUrl) -> String {
    format!(
        "viraldb transfer --from SOURCE --to {url} --resume goes on with it, --replace in its place begins anew"
    )
}

/// Refuses a database with one.
///
/// # Errors
/// [`Error::Unusable`].
pub(crate) fn require_none(copied: Option<u64>, url: &DatabaseUrl) -> Result<()> {
    match copied {
        Some(copied) => Err(Error::Unusable { database: url.to_string(), reason: reason(copied, url) }),
        None => Ok(()),
    }
}
