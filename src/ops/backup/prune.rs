//! Removes old backups.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use chrono::Datelike;

use super::folder::{self, Listed, State};
use super::manifest::Manifest;
use super::verify::verify;
use crate::types::Timestamp;
use crate::{Error, Result};

/// How many backups of each database to keep. A backup is kept if any of these rules keeps it.
///
/// Days, weeks and months are in UTC. Only those that have a backup count.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// Keep this many of the newest backups.
    pub newest: usize,
    /// Keep the newest backup of each of the last `daily` days.
    pub daily: usize,
    /// Keep the newest backup of each of the last `weekly` weeks. Weeks begin on Monday.
    pub weekly: usize,
    /// Keep the newest backup of each of the last `monthly` months.
    pub monthly: usize,
}

/// Options for [`prune`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Prune {
    /// How many backups to keep.
    pub keep: Keep,
    /// If true, only return what would be removed.
    pub dry_run: bool,
}

/// Removes old backups from a folder, and returns the removed ones.
///
/// The rules apply to each database separately. Databases are distinguished by the origin in the manifests.
///
/// Some backups are always kept:
///
/// - The newest intact backup of each database. It is verified first; of an encrypted one, only the SHA-256 of the file.
/// - Backups that are cut off or have another wrong size. They do not count toward the rules.
/// - Backups dated later than now, because a clock was wrong. They do not count toward the rules either.
/// - Files without a manifest, because their database is unknown.
///
/// # Errors
/// [`Error::Invalid`] if `options.keep` keeps nothing; [`Error::Io`] if a file cannot be read or removed.
pub fn prune(folder: &Path, options: &Prune) -> Result<Vec<Listed>> {
    if options.keep == Keep::default() {
        return Err(Error::invalid("prune", "would keep nothing; set how many backups to keep"));
    }
    let mut databases: BTreeMap<_, Vec<Listed>> = BTreeMap::new();
    let now = Timestamp::now();
    for backup in folder::list(folder)?.into_iter().filter(|backup| backup.state == State::Intact) {
        if let Some(at) = backup.ahead_of(now) {
            tracing::warn!("keeping {}: it is dated {at}, later than now", backup.file.display());
            continue;
        }
        let of = (backup.engine, backup.origin.clone(), backup.database.clone());
        databases.entry(of).or_default().push(backup);
    }
    let mut removed = Vec::new();
    for backups in databases.into_values() {
        let staying = staying(&backups, &options.keep);
        let going: Vec<Listed> =
            backups.iter().filter(|backup| !staying.contains(&backup.file)).cloned().collect();
        if going.is_empty() {
            continue;
        }
        let Some(whole) = backups.iter().find(|backup| is_whole(backup)) else {
            tracing::warn!(folder = %folder.display(), "no backup passes verification, so none is removed");
            continue;
        };
        for backup in going.into_iter().filter(|backup| backup.file != whole.file) {
            if !options.dry_run {
                remove(&backup.file)?;
            }
            removed.push(backup);
        }
    }
    Ok(removed)
}

/// Returns the files to keep. `backups` must be sorted newest first.
fn staying(backups: &[Listed], keep: &Keep) -> BTreeSet<PathBuf> {
    let mut staying: BTreeSet<PathBuf> = backups.iter().take(keep.newest).map(|b| b.file.clone()).collect();
    for (place, count) in [keep.daily, keep.weekly, keep.monthly].into_iter().enumerate() {
        let mut seen = BTreeSet::new();
        for backup in backups {
            let period = backup.created_at.and_then(|at| periods(at).get(place).copied());
            if seen.len() < count && seen.insert(period) {
                staying.insert(backup.file.clone());
            }
        }
    }
    staying
}

/// Returns the day, the week and the month of a timestamp, each as a year and a number.
fn periods(at: Timestamp) -> [(i32, u32); 3] {
    let day = at.to_utc().date_naive();
    let week = day.iso_week();
    [(day.year(), day.ordinal()), (week.year(), week.week()), (day.year(), day.month())]
}

/// Returns true if a backup is intact. Of an encrypted backup, only the SHA-256 of the file is checked.
fn is_whole(backup: &Listed) -> bool {
    let result = match backup.sealed {
        true => sum_is_right(&backup.file),
        false => verify(&backup.file, None, &mut |_| ()).map(|_| true),
    };
    result.unwrap_or_else(|error| {
        tracing::warn!("{error}");
        false
    })
}

fn sum_is_right(file: &Path) -> Result<bool> {
    let sum = super::codec::sum(file)?;
    Ok(Manifest::read(file)?.is_some_and(|manifest| manifest.sha256 == sum))
}

/// Removes a backup and its manifest. The backup goes first, because a manifest without a backup is ignored.
fn remove(file: &Path) -> Result<()> {
    for path in [file, &Manifest::path_of(file)] {
        fs::remove_file(path).map_err(|error| Error::io(path, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Returns backups with these timestamps, which must be newest first.
    fn backups(at: &[&str]) -> Vec<Listed> {
        let backup = |at: &&str| Listed {
            file: PathBuf::from(at),
            database: None,
            origin: None,
            engine: None,
            schema: None,
            created_at: Some(at.parse().unwrap()),
            bytes: 0,
            content_bytes: None,
            rows: None,
            sealed: false,
            state: State::Intact,
        };
        at.iter().map(backup).collect()
    }

    fn kept(at: &[&str], newest: usize, daily: usize, weekly: usize, monthly: usize) -> Vec<String> {
        let keep = Keep { newest, daily, weekly, monthly };
        let mut kept: Vec<String> =
            staying(&backups(at), &keep).into_iter().map(|file| file.display().to_string()).collect();
        kept.reverse();
        kept
    }

    #[test]
    fn newest_backup_of_each_period_is_kept() {
        // 2026-01-01 is a Thursday, so its week began in 2025.
        let at = [
            "2026-01-05T01:00:00Z",
            "2026-01-04T23:00:00Z",
            "2026-01-04T01:00:00Z",
            "2026-01-01T00:00:00Z",
            "2025-12-31T23:59:59Z",
            "2025-12-30T12:00:00Z",
            "2025-11-30T12:00:00Z",
        ];
        assert_eq!(kept(&at, 2, 0, 0, 0), at[..2]);
        assert_eq!(kept(&at, 0, 3, 0, 0), [at[0], at[1], at[3]]);
        assert_eq!(kept(&at, 0, 0, 2, 0), [at[0], at[1]]);
        assert_eq!(kept(&at, 0, 0, 9, 0), [at[0], at[1], at[6]]);
        assert_eq!(kept(&at, 0, 0, 0, 2), [at[0], at[4]]);
        assert_eq!(kept(&at, 1, 0, 0, 9), [at[0], at[4], at[6]]);
        assert_eq!(kept(&at, 99, 0, 0, 0), at);
    }
}
