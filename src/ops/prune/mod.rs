//! Deletes old rows in small steps.
//!
//! A prune first finds old rows with reads only, page by page in primary key order. It then deletes them in short
//! transactions, each of which checks again that its rows are still old. Writers therefore never wait for the reads. A
//! run is always deleted together with everything that belongs to it, even if the prune is interrupted.

mod cascade;
mod samples;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::Config;
use crate::db::{Bulk, Manner};
use crate::types::portable;
use crate::{Database, DbConnection, Error, Result, Timestamp};
use cascade::{TREES, Tree};
use samples::Samples;

/// Samples older than this many days are thinned to one per day. People look at hours only for recent samples.
const DAILY: u64 = 30;
/// Samples older than this many days are thinned to one per week, which is enough to see trends.
const WEEKLY: u64 = 365;

/// The number of rows that one statement examines.
const PAGE: u32 = 10_000;

portable! {
    /// A kind of rows that [`prune`] deletes.
    pub enum Part {
        Errors = "errors",
        Analytics = "analytics",
        Jobs = "jobs",
        Runs = "runs",
        Generation = "generation",
    }
}

/// Options for [`prune`].
#[derive(Debug, Clone)]
pub struct Prune {
    /// The parts to prune; all of them by default.
    pub parts: Vec<Part>,
    /// Maximum number of rows deleted in one transaction, from 1 to 10,000; 500 by default. A run counts as one row.
    pub batch: u32,
    /// If true, only count the rows.
    pub dry_run: bool,
    /// Delete resolved errors that occurred before this time.
    pub errors_before: Timestamp,
    /// Delete jobs and runs that finished before this time.
    pub finished_before: Timestamp,
    /// Of samples measured before this time, keep only the last of each day.
    pub daily_before: Timestamp,
    /// Of samples measured before this time, keep only the last of each week.
    pub weekly_before: Timestamp,
}

impl Prune {
    /// Returns the default options, with the retention periods from the configuration.
    ///
    /// Errors are deleted after `error_retention_days`, and jobs and runs after `archive_retention_days`, counted back
    /// from now. Samples are thinned to one per day after 30 days, and to one per week after 365 days.
    ///
    /// # Errors
    /// [`Error::Invalid`] if a setting cannot be read.
    pub fn new(config: &Config) -> Result<Self> {
        let now = Timestamp::now();
        let ago = |days: u64| now - Duration::from_secs(days * 24 * 3600);
        Ok(Self {
            parts: Part::ALL.to_vec(),
            batch: 500,
            dry_run: false,
            errors_before: ago(config.get("error_retention_days")?),
            finished_before: ago(config.get("archive_retention_days")?),
            daily_before: ago(DAILY),
            weekly_before: ago(WEEKLY),
        })
    }

    /// Returns the selected parts, each once and in a fixed order, so that a dry run counts what a real run deletes.
    fn wanted(&self) -> impl Iterator<Item = Part> {
        Part::ALL.iter().copied().filter(|part| self.parts.contains(part))
    }
}

/// The number of rows of a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TableRows {
    /// The table's name.
    pub table: String,
    /// Number of rows.
    pub rows: i64,
}

/// The result of a prune: what was deleted, or in a dry run what would be deleted.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pruned {
    /// Whether this was a dry run, so nothing was deleted.
    pub dry_run: bool,
    /// Number of deleted rows of each table in the selected parts.
    pub tables: Vec<TableRows>,
    /// Number of file paths in the deleted rows.
    pub file_count: u64,
}

impl Pruned {
    fn add(&mut self, table: &str, rows: u64) {
        let rows = i64::try_from(rows).unwrap_or(i64::MAX);
        match self.tables.iter_mut().find(|known| known.table == table) {
            Some(known) => known.rows += rows,
            None => self.tables.push(TableRows { table: table.to_owned(), rows }),
        }
    }

    /// Returns the total number of deleted rows.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| u64::try_from(table.rows).unwrap_or_default()).sum()
    }
}

/// Progress of a prune, passed to its callback.
#[derive(Debug)]
pub enum Pruning<'a> {
    /// File paths in rows that are about to be deleted. viraldb does not delete the files, and the paths are lost with the
    /// rows.
    ///
    /// The callback runs inside the transaction that deletes the rows, so no path is lost. If the transaction fails, the
    /// next prune reports the paths again.
    Files(&'a [String]),
    /// Number of rows deleted so far from all tables.
    Rows(u64),
}

/// Deletes resolved errors, superfluous samples, finished jobs, and finished runs with everything that belongs to them.
///
/// - `errors`: resolved errors that occurred before `errors_before`.
/// - `analytics`: samples in `analytics`, `channel_statistics` and `video_statistics` that are not the last of their day
///   or week. The newest sample of each video and channel is always kept.
/// - `jobs`: jobs in the queue that completed or failed before `finished_before`.
/// - `runs`: uploaded or failed runs that completed before `finished_before`. Their clips, scripts, voices, shorts,
///   reviews and errors are deleted with them. A run is kept if one of its reviews is unanswered, or if one of its clips
///   or shorts is linked to a clip or short of another run.
/// - `generation`: completed or failed rows of `jobs` that last changed before `finished_before`, with their scripts and
///   videos. A job is kept if:
///   - one of its videos is still generated or approved, so neither rejected nor published,
///   - one of its videos was rejected or published since `finished_before`, or
///   - one of its scripts or videos is linked to another job.
///
/// Rows of `discovered_videos` are never deleted, because they record which videos were already used.
///
/// Each transaction is short. SQLite allows only one writer at a time, so a prune leaves time for others: while they
/// write, it holds the lock for about two milliseconds and then pauses 200 times as long. On PostgreSQL it pauses as long
/// as it works. If a prune is killed, run it again to continue.
///
/// ```
/// use viraldb::config::Config;
/// use viraldb::ops::{Part, Prune, Pruning, prune};
///
/// # fn main() -> viraldb::Result<()> {
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// let how = Prune { parts: vec![Part::Runs], ..Prune::new(&Config::open(&db)?)? };
/// let mut files = Vec::new();
/// let pruned = prune(&db, &how, &mut |at| {
///     if let Pruning::Files(paths) = at {
///         files.extend_from_slice(paths);
///     }
///     Ok(())
/// })?;
/// assert_eq!((pruned.rows(), files.len()), (0, 0));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::Invalid`] if `batch` is not from 1 to 10,000. If `told` fails, its error is returned and the prune stops.
pub fn prune(
    db: &Database,
    prune: &Prune,
    told: &mut dyn FnMut(Pruning<'_>) -> Result<()>,
) -> Result<Pruned> {
    if !(1..=PAGE).contains(&prune.batch) {
        return Err(Error::invalid("batch size", format!("must be from 1 to {PAGE}, got {}", prune.batch)));
    }
    let mut pruned = Pruned { dry_run: prune.dry_run, ..Pruned::default() };
    if prune.dry_run {
        db.read_newest(|conn| conn.snapshot(|conn| count(conn, prune, &mut pruned, told)))?;
    } else {
        let mut bulk = Bulk::new(db, Manner::Gentle)?;
        for part in prune.wanted() {
            match tree_of(part) {
                None => Samples::delete(db, &mut bulk, prune, &mut pruned, told)?,
                Some(tree) => tree.delete(db, &mut bulk, prune, &mut pruned, told)?,
            }
            tracing::info!(part = part.as_str(), rows = pruned.rows(), "pruned");
        }
    }
    Ok(pruned)
}

/// Returns the table of a part; `None` for samples.
fn tree_of(part: Part) -> Option<&'static Tree> {
    TREES.iter().find(|tree| tree.part == part)
}

/// Counts what a prune would delete.
fn count(
    conn: &mut DbConnection,
    prune: &Prune,
    pruned: &mut Pruned,
    told: &mut dyn FnMut(Pruning<'_>) -> Result<()>,
) -> Result<()> {
    for part in prune.wanted() {
        match tree_of(part) {
            None => Samples::count(conn, prune, pruned)?,
            Some(tree) => tree.count(conn, prune, pruned, told)?,
        }
    }
    Ok(())
}
