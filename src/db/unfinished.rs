//! Unfinished transfers and takeovers.
//!
//! Opening a database with an unfinished transfer logs a warning, and the database is not repaired or backed up until the
//! transfer is complete. An unfinished takeover is reported only by `doctor`, because other programs may use the database
//! meanwhile.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::catalog::has_table;
use super::{DatabaseUrl, DbConnection, on_backend};
use crate::error::ResultExt;
use crate::quote::counted;
use crate::{Error, Result};

/// The table of a transfer that is running or was interrupted: one row for each table that it copies.
pub(crate) const TRANSFER: &str = "viraldb_transfer";

/// The table of takeovers that are running or were interrupted: one row for each application. Only SQLite has it, because
/// a takeover into PostgreSQL is one transaction.
pub(crate) const TAKEOVER: &str = "viraldb_takeover";

/// An unfinished takeover.
#[derive(Debug, QueryableByName)]
pub(crate) struct Takeover {
    /// The application whose database is taken over.
    #[diesel(sql_type = Text)]
    pub(crate) application: String,
    /// The source, its password masked.
    #[diesel(sql_type = Text)]
    pub(crate) source: String,
    /// The largest id that the takeover has reserved in each table with numeric ids, as a JSON object.
    #[diesel(sql_type = Text)]
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))] // only a takeover into SQLite can be resumed
    pub(crate) last_ids: String,
}

/// Returns the unfinished takeovers.
pub(crate) fn takeovers(conn: &mut DbConnection) -> Result<Vec<Takeover>> {
    if !has_table(conn, TAKEOVER)? {
        return Ok(Vec::new());
    }
    let sql = format!("SELECT application, source, last_ids FROM {TAKEOVER} ORDER BY application");
    on_backend!(conn, |c| diesel::sql_query(sql).load(c)).of(TAKEOVER, "")
}

/// Returns how many rows an unfinished transfer has copied so far, or `None` if there is no unfinished transfer.
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

/// Describes an unfinished transfer and how to complete it.
pub(crate) fn reason(copied: u64, url: &DatabaseUrl) -> String {
    format!("contains an unfinished transfer, {} so far; {}", counted(copied, "row"), mend(url))
}

/// Returns the commands that complete an unfinished transfer.
pub(crate) fn mend(url: &DatabaseUrl) -> String {
    format!(
        "resume it with `viraldb transfer --from SOURCE --to {url} --resume`, or start over with --replace instead"
    )
}

/// Rejects a database with an unfinished transfer.
///
/// # Errors
/// [`Error::Unusable`] if there is an unfinished transfer.
pub(crate) fn require_none(copied: Option<u64>, url: &DatabaseUrl) -> Result<()> {
    match copied {
        Some(copied) => Err(Error::Unusable { database: url.to_string(), reason: reason(copied, url) }),
        None => Ok(()),
    }
}
