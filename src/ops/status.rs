//! A summary of the contents of a database.

use std::collections::BTreeMap;
use std::fmt::Display;

use diesel::dsl::count_star;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde::{Deserialize, Serialize, Serializer};

use crate::compilation::{DiscoveredVideo, ErrorLog, RunStatus};
use crate::db::on_backend;
use crate::error::ResultExt;
use crate::republishing::JobStatus;
use crate::{Database, DbConnection, Engine, Result, queue};

/// A summary of the contents of a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Status {
    /// The database, with the password masked.
    pub database: String,
    /// Engine of the database.
    pub engine: Engine,
    /// Version of the engine.
    pub version: String,
    /// The newest applied schema version.
    pub schema: String,
    /// Number of rows copied so far by an unfinished transfer into the database, or `None` without one.
    pub unfinished_transfer: Option<u64>,
    /// Size in bytes, without the write-ahead log. For a PostgreSQL schema other than `public`, the size of that schema.
    pub size_bytes: i64,
    /// Size of SQLite's write-ahead log in bytes.
    pub wal_bytes: Option<u64>,
    /// Number of pending videos of each niche.
    pub pending_videos: Vec<NichePending>,
    /// Number of runs by status.
    #[serde(serialize_with = "by_word")]
    pub runs: StatusCounts<RunStatus>,
    /// Number of queue jobs by status.
    #[serde(serialize_with = "by_word")]
    pub jobs: StatusCounts<JobStatus>,
    /// Whether the queue is paused, so that workers claim no new jobs.
    pub queue_paused: bool,
    /// Number of unresolved errors.
    pub unresolved_errors: i64,
    /// Number of rows of each table.
    pub tables: Vec<TableRows>,
}

/// The number of rows by status, in the order of the statuses. Statuses without rows are left out.
pub type StatusCounts<S> = BTreeMap<S, i64>;

/// Serializes the counts in the alphabetical order of the statuses, which does not change if the enum is reordered.
fn by_word<S: Display, Z: Serializer>(counts: &StatusCounts<S>, serializer: Z) -> Result<Z::Ok, Z::Error> {
    let counts: BTreeMap<String, i64> =
        counts.iter().map(|(status, count)| (status.to_string(), *count)).collect();
    counts.serialize(serializer)
}

/// The number of pending videos of a niche.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct NichePending {
    /// The niche.
    pub niche: String,
    /// Number of pending videos.
    pub pending: i64,
}

/// The number of rows of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, QueryableByName)]
pub struct TableRows {
    /// The table's name.
    #[diesel(sql_type = Text)]
    pub table: String,
    /// Number of rows.
    #[diesel(sql_type = BigInt)]
    pub rows: i64,
}

/// Returns a summary of the database. It counts all rows, which takes a while on a large database.
///
/// # Errors
/// [`Error::Database`](crate::Error::Database) if a table is missing, and the errors of
/// [`Database::read`].
///
/// ```
/// # fn main() -> viraldb::Result<()> {
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// let status = viraldb::ops::status(&db)?;
/// assert_eq!((status.engine.as_str(), status.unresolved_errors), ("SQLite", 0));
/// assert!(status.tables.iter().all(|table| table.rows == 0));
/// # Ok(())
/// # }
/// ```
pub fn status(db: &Database) -> Result<Status> {
    let history = db.history()?;
    db.read(|conn| {
        let (version, size_bytes) = engine(conn)?;
        let pending = DiscoveredVideo::count_pending(conn)?;
        Ok(Status {
            database: db.url().to_string(),
            engine: db.url().engine(),
            version,
            schema: history.newest_applied().unwrap_or_default().to_owned(),
            unfinished_transfer: history.transferred,
            size_bytes,
            wal_bytes: db.wal_bytes(),
            pending_videos: pending
                .into_iter()
                .map(|(niche, pending)| NichePending { niche, pending })
                .collect(),
            runs: count_runs(conn)?,
            jobs: count_jobs(conn)?,
            queue_paused: queue::is_paused(conn)?,
            unresolved_errors: ErrorLog::count_unresolved(conn)?,
            tables: rows(conn)?,
        })
    })
}

/// Returns the engine's version and the size of the database in bytes.
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

fn count_runs(conn: &mut DbConnection) -> Result<StatusCounts<RunStatus>> {
    use crate::schema::pipeline_runs::dsl::{pipeline_runs, status};
    let counts: Vec<(RunStatus, i64)> =
        on_backend!(conn, |c| pipeline_runs.group_by(status).select((status, count_star())).load(c))
            .of("pipeline_runs", "")?;
    Ok(counts.into_iter().collect())
}

fn count_jobs(conn: &mut DbConnection) -> Result<StatusCounts<JobStatus>> {
    use crate::schema::video_processing_jobs::dsl::{status, video_processing_jobs};
    let counts: Vec<(JobStatus, i64)> =
        on_backend!(conn, |c| video_processing_jobs.group_by(status).select((status, count_star())).load(c))
            .of("video_processing_jobs", "")?;
    Ok(counts.into_iter().collect())
}

/// Counts the rows of all tables in one statement.
fn rows(conn: &mut DbConnection) -> Result<Vec<TableRows>> {
    let counts: Vec<String> = crate::tables::tables()
        .map(|table| format!("SELECT '{table}' AS \"table\", (SELECT count(*) FROM {table}) AS rows"))
        .collect();
    on_backend!(conn, |c| diesel::sql_query(counts.join(" UNION ALL ")).load(c)).of("the database", "")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_serialized_in_alphabetical_order() {
        #[derive(Serialize)]
        struct Document(#[serde(serialize_with = "by_word")] StatusCounts<JobStatus>);

        let counts = JobStatus::ALL.iter().map(|status| (*status, 1)).collect();
        let text = serde_json::to_string(&Document(counts)).unwrap();
        assert_eq!(text, r#"{"completed":1,"failed":1,"processing":1,"queued":1,"retrying":1}"#);
    }
}
