//! A summary of the contents of a database.

use std::collections::BTreeMap;
use std::fmt::Display;

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde::{Serialize, Serializer};

use crate::compilation::RunStatus;
use crate::db::on_backend;
use crate::error::ResultExt;
use crate::report::{self, Count, Exactness, TableCount};
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
    pub tables: Vec<TableCount>,
    /// The estimates among the other numbers: `runs.STATUS`, `jobs.STATUS`, `pending_videos.NICHE` and `unresolved_errors`.
    pub estimates: Vec<String>,
}

impl Status {
    /// Returns true if any number of rows is an estimate.
    pub fn has_estimates(&self) -> bool {
        !self.estimates.is_empty() || self.tables.iter().any(|table| table.count.is_estimate)
    }
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

/// Returns a summary of the database. Numbers of more than 50,000 rows are estimates.
///
/// The time does not grow with the number of rows. [`Status::estimates`] and [`TableCount`] say which numbers are estimates.
/// The functions in [`report`](crate::report) explain how good they are.
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
/// assert!(status.tables.iter().all(|table| table.count.rows == 0));
/// # Ok(())
/// # }
/// ```
pub fn status(db: &Database) -> Result<Status> {
    summarize(db, Exactness::Estimate)
}

/// Returns a summary of the database like [`status`], without estimates. It counts all rows, which takes a while on a large
/// database.
///
/// # Errors
/// The same as [`status`].
///
/// ```
/// # fn main() -> viraldb::Result<()> {
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// let status = viraldb::ops::status_exact(&db)?;
/// assert!(!status.has_estimates());
/// # Ok(())
/// # }
/// ```
pub fn status_exact(db: &Database) -> Result<Status> {
    summarize(db, Exactness::Exact)
}

fn summarize(db: &Database, exactness: Exactness) -> Result<Status> {
    let history = db.history()?;
    db.read(|conn| {
        let (version, size_bytes) = engine(conn)?;
        let counts = report::counts(conn, exactness)?;
        let mut estimates = Vec::new();
        let mut rows = |name: &dyn Fn() -> String, count: Count| {
            if count.is_estimate {
                estimates.push(name());
            }
            count.rows
        };
        Ok(Status {
            database: db.url().to_string(),
            engine: db.url().engine(),
            version,
            schema: history.newest_applied().unwrap_or_default().to_owned(),
            unfinished_transfer: history.transferred,
            size_bytes,
            wal_bytes: db.wal_bytes(),
            runs: counts
                .runs
                .into_iter()
                .map(|(status, count)| (status, rows(&|| format!("runs.{status}"), count)))
                .collect(),
            jobs: counts
                .jobs
                .into_iter()
                .map(|(status, count)| (status, rows(&|| format!("jobs.{status}"), count)))
                .collect(),
            pending_videos: counts
                .pending_videos
                .into_iter()
                .map(|(niche, count)| {
                    let pending = rows(&|| format!("pending_videos.{niche}"), count);
                    NichePending { niche, pending }
                })
                .collect(),
            queue_paused: queue::is_paused(conn)?,
            unresolved_errors: rows(&|| "unresolved_errors".to_owned(), counts.unresolved_errors),
            tables: counts.tables,
            estimates,
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
