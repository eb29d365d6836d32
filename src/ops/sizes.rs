//! The size of each table.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde::{Deserialize, Serialize};

use crate::db::on_backend;
use crate::error::ResultExt;
use crate::{Database, Result};

/// The size of a table in bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, QueryableByName)]
#[non_exhaustive]
pub struct TableSize {
    /// The table's name.
    #[diesel(sql_type = Text)]
    pub table: String,
    /// Size of the table and its indexes.
    #[diesel(sql_type = BigInt)]
    pub total_bytes: i64,
    /// Size of the rows, including long values that are stored separately.
    #[diesel(sql_type = BigInt)]
    pub table_bytes: i64,
    /// Size of the indexes.
    #[diesel(sql_type = BigInt)]
    pub index_bytes: i64,
}

/// Tables that viraldb uses internally.
pub(super) const OWN: [&str; 8] = [
    "viraldb_migrations",
    "viraldb_config_changes",
    "viraldb_keys",
    "viraldb_job_attempts",
    "viraldb_job_waits",
    "viraldb_job_schedules",
    "viraldb_job_slots",
    "viraldb_job_starts",
];

/// Returns the 22 data tables and the internal tables.
pub(super) fn tables() -> impl Iterator<Item = &'static str> {
    crate::tables::tables().chain(OWN)
}

/// Returns the size of each table and its indexes, the largest first.
///
/// On SQLite this reads every page of the file. The rest of the file's size is free pages and SQLite's internal tables.
///
/// # Errors
/// Only the errors of [`Database::read`].
///
/// ```
/// # fn main() -> viraldb::Result<()> {
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// let sizes = viraldb::ops::sizes(&db)?;
/// assert!(sizes.iter().all(|size| size.total_bytes == size.table_bytes + size.index_bytes));
/// # Ok(())
/// # }
/// ```
pub fn sizes(db: &Database) -> Result<Vec<TableSize>> {
    let names: Vec<String> = tables().map(|table| format!("('{table}')")).collect();
    let names = format!("WITH named (name) AS (VALUES {})", names.join(", "));
    let order = "ORDER BY total_bytes DESC, \"table\"";
    db.read(|conn| {
        on_backend!(
            conn,
            sqlite => |c| diesel::sql_query(format!(
                "{names}, sized AS (SELECT tbl_name, type, pgsize FROM sqlite_schema \
                 JOIN dbstat('main', 1) AS stat ON stat.name = sqlite_schema.name) \
                 SELECT named.name AS \"table\", coalesce(sum(pgsize), 0) AS total_bytes, \
                 coalesce(sum(pgsize) FILTER (WHERE type = 'table'), 0) AS table_bytes, \
                 coalesce(sum(pgsize) FILTER (WHERE type = 'index'), 0) AS index_bytes \
                 FROM named LEFT JOIN sized ON sized.tbl_name = named.name GROUP BY named.name {order}"
            ))
            .load(c),
            postgres => |c| diesel::sql_query(format!(
                "{names}, sized AS (SELECT name, pg_catalog.to_regclass(pg_catalog.format('%I.%I', current_schema(), name)) \
                 AS place FROM named) \
                 SELECT name AS \"table\", pg_catalog.pg_table_size(place) + pg_catalog.pg_indexes_size(place) AS total_bytes, \
                 pg_catalog.pg_table_size(place) AS table_bytes, pg_catalog.pg_indexes_size(place) AS index_bytes \
                 FROM sized {order}"
            ))
            .load(c)
        )
        .of("the database", "")
    })
}
