//! Row counts in bounded time: exact for few rows, estimates for many.
//!
//! A table is sampled first. If it appears to be small, viraldb counts its rows, but stops after [`BOUND`]. Otherwise the
//! sample gives an estimate. Categories of a large table, such as the statuses of its jobs, are treated the same way: rare
//! ones are counted through an index, and the others are estimated from a sample.

mod category;
#[cfg(feature = "postgres")]
mod postgres;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::collections::{BTreeMap, HashMap};

use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde::{Deserialize, Serialize};

use crate::compilation::RunStatus;
use crate::db::on_backend;
use crate::error::ResultExt;
use crate::republishing::JobStatus;
use crate::{DbConnection, Result};
pub use category::{count_jobs, count_pending_videos, count_runs, count_unresolved_errors};

/// The number of rows up to which rows are counted.
const BOUND: i64 = 50_000;

/// A number of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// Number of rows.
    pub rows: i64,
    /// Whether the number is an estimate. Otherwise it is exact.
    pub is_estimate: bool,
}

impl Count {
    /// Returns an exact count.
    pub const fn exact(rows: i64) -> Self {
        Self { rows, is_estimate: false }
    }

    /// Returns an estimate, which is at least `minimum`.
    fn estimate(rows: f64, minimum: i64) -> Self {
        // A cast of a float saturates.
        Self { rows: (rows.round() as i64).max(minimum), is_estimate: true }
    }
}

/// The number of rows of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableCount {
    /// The table's name.
    pub table: String,
    /// Its number of rows.
    #[serde(flatten)]
    pub count: Count,
}

/// Whether to count all rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Exactness {
    /// Count up to 50,000 rows, and estimate larger numbers. The time does not grow with the number of rows.
    #[default]
    Estimate,
    /// Count all rows. The time grows with the number of rows.
    Exact,
}

/// The number of rows of all tables, and of the categories that show the state of the work.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counts {
    /// Number of rows of each of the 22 tables.
    pub tables: Vec<TableCount>,
    /// Number of runs by status. Statuses without runs are left out.
    pub runs: BTreeMap<RunStatus, Count>,
    /// Number of queue jobs by status. Statuses without jobs are left out.
    pub jobs: BTreeMap<JobStatus, Count>,
    /// Number of pending videos of each niche, ordered by niche.
    pub pending_videos: Vec<(String, Count)>,
    /// Number of unresolved errors.
    pub unresolved_errors: Count,
}

/// Returns the number of rows of all tables, and of the categories that show the state of the work.
///
/// # Errors
/// [`Error::Database`](crate::Error::Database) if a table is missing.
///
/// ```
/// use viraldb::report::{self, Count, Exactness};
///
/// # fn main() -> viraldb::Result<()> {
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// let counts = db.read(|c| report::counts(c, Exactness::Estimate))?;
/// assert_eq!(counts.unresolved_errors, Count::exact(0));
/// # Ok(())
/// # }
/// ```
pub fn counts(conn: &mut DbConnection, exactness: Exactness) -> Result<Counts> {
    without_jit(conn, |conn| {
        Ok(Counts {
            tables: count_tables(conn, exactness)?,
            runs: count_runs(conn, exactness)?,
            jobs: count_jobs(conn, exactness)?,
            pending_videos: count_pending_videos(conn, exactness)?,
            unresolved_errors: count_unresolved_errors(conn, exactness)?,
        })
    })
}

/// The size of a table according to a sample.
struct Sampled {
    table: &'static str,
    /// The estimated number of rows, or `None` for a table that is too small for a sample.
    rows: Option<f64>,
    /// Whether a count of [`BOUND`] rows is quick. It is slow if a scan has to pass many deleted rows.
    is_countable: bool,
}

/// Returns the number of rows of each of the 22 tables.
///
/// On SQLite, the estimate of a table without gaps in its rowids is exact.
/// Otherwise estimates are usually within 5 % of the exact number. They can be worse if large parts of a table were deleted
/// in an irregular pattern.
///
/// # Errors
/// [`Error::Database`](crate::Error::Database) if a table is missing.
///
/// ```
/// # fn main() -> viraldb::Result<()> {
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// let tables = db.read(|c| viraldb::report::count_tables(c, Default::default()))?;
/// let clips = tables.iter().find(|table| table.table == "clips").map(|table| table.count);
/// assert_eq!(clips, Some(viraldb::report::Count::exact(0)));
/// # Ok(())
/// # }
/// ```
pub fn count_tables(conn: &mut DbConnection, exactness: Exactness) -> Result<Vec<TableCount>> {
    let tables: Vec<&'static str> = crate::tables::tables().collect();
    let counts = match exactness {
        Exactness::Estimate => without_jit(conn, |conn| count(conn, &tables, BOUND))?,
        Exactness::Exact => {
            let counts = count_up_to(conn, &tables, None)?;
            let rows = |table: &str| Count::exact(counts.get(table).copied().unwrap_or_default());
            tables.into_iter().map(|table| (table, rows(table))).collect()
        }
    };
    Ok(counts.into_iter().map(|(table, count)| TableCount { table: table.to_owned(), count }).collect())
}

/// Counts or estimates the rows of tables.
fn count(conn: &mut DbConnection, tables: &[&'static str], bound: i64) -> Result<Vec<(&'static str, Count)>> {
    let sampled =
        on_backend!(conn, sqlite => |c| sqlite::sample(c, tables, bound), postgres => |c| postgres::sample(c, tables))
            .of("the database", "")?;
    // A sample may miss most rows of a small table that was large before. So count if the estimate is near the bound, too.
    let is_small =
        |sample: &&Sampled| sample.is_countable && sample.rows.is_none_or(|rows| rows < 4.0 * bound as f64);
    let small: Vec<&str> = sampled.iter().filter(is_small).map(|sample| sample.table).collect();
    let counted = count_up_to(conn, &small, Some(bound))?;
    let counts = sampled.iter().map(|sample| {
        let count = match (counted.get(sample.table), sample.rows) {
            (Some(rows), _) if *rows <= bound => Count::exact(*rows),
            (Some(_), rows) => Count::estimate(rows.unwrap_or_default(), bound + 1),
            (None, rows) => Count::estimate(rows.unwrap_or_default(), 0),
        };
        (sample.table, count)
    });
    Ok(counts.collect())
}

/// A name and a number of rows.
#[derive(QueryableByName)]
struct Named {
    #[diesel(sql_type = Text)]
    name: String,
    #[diesel(sql_type = BigInt)]
    rows: i64,
}

/// Counts the rows of tables in one statement. Stops at one row more than the bound, if there is one.
fn count_up_to(conn: &mut DbConnection, tables: &[&str], bound: Option<i64>) -> Result<HashMap<String, i64>> {
    if tables.is_empty() {
        return Ok(HashMap::new());
    }
    let counts: Vec<String> = tables
        .iter()
        .map(|table| {
            let rows = match bound {
                Some(bound) => format!("(SELECT 1 FROM {table} LIMIT {}) AS found", bound + 1),
                None => (*table).to_owned(),
            };
            format!("SELECT '{table}' AS name, (SELECT count(*) FROM {rows}) AS rows")
        })
        .collect();
    let rows: Vec<Named> = on_backend!(conn, |c| diesel::sql_query(counts.join(" UNION ALL ")).load(c))
        .of("the database", "")?;
    Ok(rows.into_iter().map(|row| (row.name, row.rows)).collect())
}

/// Runs queries without PostgreSQL's just-in-time compilation until the end of `work`. Compiling takes 60 ms, because the
/// planner expects the samples to read much more than they do.
fn without_jit<T>(conn: &mut DbConnection, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
    let is_changed =
        on_backend!(conn, sqlite => |_c| QueryResult::Ok(false), postgres => |c| postgres::set_jit(c, false))
            .of("the database", "")?;
    let result = work(conn)?; // an error ends the transaction, and the setting with it
    if is_changed {
        on_backend!(conn, sqlite => |_c| QueryResult::Ok(false), postgres => |c| postgres::set_jit(c, true))
            .of("the database", "")?;
    }
    Ok(result)
}
