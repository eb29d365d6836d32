//! Takes away what is old, a little at a time.
//!
//! What goes is found by reading, page by page in the order of the primary key, and deleted in short transactions, each
//! of which looks again whether its rows are still to go. So nobody waits for the reading, and however a prune ends,
//! what it has begun with a row it has also ended: a run goes together with all that belongs to it, or stays.

mod cascade;
mod samples;

use std::time::Duration;

use serde::Serialize;

use super::TableRows;
use crate::config::Config;
use crate::db::{Bulk, Manner};
use crate::types::portable;
use crate::{Database, DbConnection, Error, Result, Timestamp};
use cascade::{TREES, Tree};
use samples::Samples;

/// Samples older than so many days are thinned to one a day, and than so many to one a week: of the age in which
/// people look at hours, of months, and of trends.
const DAILY: u64 = 30;
const WEEKLY: u64 = 365;

/// Rows that are looked at in one statement.
const PAGE: u32 = 10_000;

portable! {
    /// What is pruned.
    pub enum Part {
        Errors = "errors",
        Analytics = "analytics",
        Jobs = "jobs",
        Runs = "runs",
        Generation = "generation",
    }
}

/// What to take away.
#[derive(Debug, Clone)]
pub struct Prune {
    /// Only these; everything, unless told.
    pub parts: Vec<Part>,
    /// Most rows deleted in one transaction, where a run counts as one. From 1 to 10,000; 500 unless told.
    pub batch: u32,
    /// Only count.
    pub dry_run: bool,
    /// Resolved errors that happened before this go.
    pub errors_before: Timestamp,
    /// Jobs and runs that were finished before this go.
    pub finished_before: Timestamp,
    /// Of samples measured before this, the last of each day stays.
    pub daily_before: Timestamp,
    /// Of samples measured before this, the last of each week stays.
    pub weekly_before: Timestamp,
}

impl Prune {
    /// By the settings `error_retention_days` and `archive_retention_days`, counted back from now. Samples are thinned
    /// to one a day after 30 days, and to one a week after 365.
    ///
    /// # Errors
    /// `Invalid` if a setting cannot be read.
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

    /// The parts, each once and always in one order, so that a dry run counts what the real one deletes.
    fn wanted(&self) -> impl Iterator<Item = Part> {
        Part::ALL.iter().copied().filter(|part| self.parts.contains(part))
    }
}

/// What went, or in a dry run would go.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Pruned {
    /// Whether nothing was deleted.
    pub dry_run: bool,
    /// Rows of each table that the parts are about.
    pub tables: Vec<TableRows>,
    /// Paths that the rows of runs and jobs named.
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

    /// Rows of all tables.
    pub fn rows(&self) -> u64 {
        self.tables.iter().map(|table| u64::try_from(table.rows).unwrap_or_default()).sum()
    }
}

/// What a prune tells while it works.
#[derive(Debug)]
pub enum Pruning<'a> {
    /// Paths that rows named which are about to go, and that nobody else will name: viraldb deletes no file. They are
    /// told within the transaction that deletes the rows, so that none is lost; if it fails, they are told again by the
    /// next prune.
    Files(&'a [String]),
    /// How many rows of all tables have gone.
    Rows(u64),
}

/// Takes away resolved errors, superfluous samples, finished jobs, and finished runs with all that belongs to them.
///
/// - `errors`: resolved ones that happened before `errors_before`.
/// - `analytics`: samples of `analytics`, `channel_statistics` and `video_statistics` that are not the last of their
///   day or week. The newest sample of a video or a channel always stays.
/// - `jobs`: those of the queue that were completed or failed before `finished_before`.
/// - `runs`: those that were uploaded or failed, completed before `finished_before`, with their clips, scripts, voices,
///   shorts, reviews and errors. A run stays if a review of it is unanswered, or if one of its clips or shorts belongs
///   together with one of another run.
/// - `generation`: rows of `jobs` that were completed or failed and last changed before `finished_before`, with their
///   scripts and videos. One stays while a video of it was neither rejected nor published, or was so since, or if a
///   script of it is another job's as well.
///
/// `discovered_videos` stay: they say which videos were used already.
///
/// Each transaction is short. On SQLite, where only one program can write at a time, a prune makes room for others: while
/// they write, it holds the lock for about two milliseconds and then rests 200 times as long. On PostgreSQL it rests as
/// long as it works. If it is killed, the next one continues.
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
/// `Invalid` if `batch` is not between 1 and 10,000; what `told` returns, upon which nothing more is deleted.
pub fn prune(
    db: &Database,
    prune: &Prune,
    told: &mut dyn FnMut(Pruning<'_>) -> Result<()>,
) -> Result<Pruned> {
    if !(1..=PAGE).contains(&prune.batch) {
        return Err(Error::invalid("number of rows", format!("is not between 1 and {PAGE}")));
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

/// The table of a part; none, if it is about samples.
fn tree_of(part: Part) -> Option<&'static Tree> {
    TREES.iter().find(|tree| tree.part == part)
}

/// Counts what would go, at one moment.
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
