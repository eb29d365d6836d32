//! What is in a database, at a glance.

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde::{Deserialize, Serialize};

use crate::compilation::{DiscoveredVideo, ErrorLog};
use crate::db::on_backend;
use crate::error::ResultExt;
use crate::{Database, DbConnection, Result};

/// What is in a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The database, its password masked.
    pub database: String,
    /// `SQLite` or `PostgreSQL`.
    pub engine: String,
    /// Version of the engine.
    pub version: String,
    /// Newest schema version that is applied.
    pub schema: String,
    /// Rows that a transfer into the database has copied, if one has not ended.
    pub unfinished_transfer: Option<u64>,
    /// Size in bytes, without the WAL. In a schema of PostgreSQL other than `public` it is that of the schema.
    pub size_bytes: i64,
    /// Size of SQLite's write-ahead log in bytes.
    pub wal_bytes: Option<u64>,
    /// Pending videos of each niche.
    pub pending_videos: Vec<NichePending>,
    /// Runs by status.
    pub runs: StatusCounts,
    /// Jobs of the queue by status.
    pub jobs: StatusCounts,
    /// Errors nobody has dealt with.
    pub unresolved_errors: i64,
    /// Rows of each table.
    pub tables: Vec<TableRows>,
}

/// Rows for each status that has any.
pub type StatusCounts = std::collections::BTreeMap<String, i64>;

/// How many videos are pending in a niche.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NichePending {
    /// The niche.
    pub niche: String,
    /// Its pending videos.
    pub pending: i64,
}

/// How many rows a table has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, QueryableByName)]
pub struct TableRows {
    /// The table.
    #[diesel(sql_type = Text)]
    pub table: String,
    /// Its rows.
    #[diesel(sql_type = BigInt)]
    pub rows: i64,
}

/// Looks at a database. It counts every row, so it takes its time on a large one.
pub fn status(db: &Database) -> Result<Status> {
    let history = db.history()?;
    db.read(|conn| {
        let (version, size_bytes) = engine(conn)?;
        let pending = DiscoveredVideo::count_pending(conn)?;
        Ok(Status {
            database: db.url().to_string(),
            engine: db.url().engine().to_owned(),
            version,
            schema: history.newest_applied().unwrap_or_default().to_owned(),
            unfinished_transfer: history.transferred,
            size_bytes,
            wal_bytes: db.wal_bytes(),
            pending_videos: pending
                .into_iter()
                .map(|(niche, pending)| NichePending { niche, pending })
                .collect(),
            runs: by_status(conn, "pipeline_runs")?,
            jobs: by_status(conn, "video_processing_jobs")?,
            unresolved_errors: ErrorLog::count_unresolved(conn)?,
            tables: rows(conn)?,
        })
    })
}

/// The engine's version, and the size of the database in bytes.
pub(super) fn engine(conn: &mut DbConnection) -> Result<(String, i64)> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        version: String,
        #[diesel(sql_type = BigInt)]
        size: i64,
    }
    let row: Row = on_backend!(conn,
        sqlite => |c| diesel::sql_query(
            "SELECT sqlite_version() AS version, page_count * page_size AS size FROM pragma_page_count, pragma_page_size",
        )
        .get_result(c),
        postgres => |c| diesel::sql_query(format!(
            "SELECT pg_catalog.split_part(pg_catalog.current_setting('server_version'), ' ', 1) AS version, \
             ({}) AS size",
            crate::db::postgres::SIZE
        ))
        .get_result(c))
    .of("the database", "")?;
    Ok((row.version, row.size))
}

fn by_status(conn: &mut DbConnection, table: &'static str) -> Result<StatusCounts> {
    let query = format!("SELECT status AS \"table\", count(*) AS rows FROM {table} GROUP BY status");
    let counts: Vec<TableRows> = on_backend!(conn, |c| diesel::sql_query(query).load(c)).of(table, "")?;
    Ok(counts.into_iter().map(|count| (count.table, count.rows)).collect())
}

/// The rows of all tables, counted in one statement.
fn rows(conn: &mut DbConnection) -> Result<Vec<TableRows>> {
    let counts: Vec<String> = crate::tables::tables()
        .map(|table| format!("SELECT '{table}' AS \"table\", (SELECT count(*) FROM {table}) AS rows"))
        .collect();
    on_backend!(conn, |c| diesel::sql_query(counts.join(" UNION ALL ")).load(c)).of("the database", "")
}
