//! Removing backups that are old.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use chrono::Datelike;

use super::folder::{self, Listed};
use super::manifest::Manifest;
use super::verify::verify;
use crate::types::Timestamp;
use crate::{Error, Result};

/// Which backups of a database stay. One that any of these keeps, stays.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Keep {
    /// The newest so many.
    pub newest: usize,
    /// The newest of each of the last so many days that have one, in UTC.
    pub daily: usize,
    /// The newest of each of the last so many weeks that have one, from Monday.
    pub weekly: usize,
    /// The newest of each of the last so many months that have one.
    pub monthly: usize,
}

/// Removes old backups from a folder, each database's by itself, and returns those that it removed, or would
/// with `dry_run`.
///
/// Databases are told apart by what their manifests say of their origin. The newest that is whole always stays, whatever
/// is asked: it is read for that, as far as it can be without opening its seal. What is cut off fills no place of another,
/// and stays, for somebody to look at; so does a backup dated later than now, by a clock that was wrong, and a file
/// without a manifest, which is nobody's.
///
/// # Errors
/// `Invalid` if nothing is to be kept; `Io`.
pub fn prune(folder: &Path, keep: &Keep, dry_run: bool) -> Result<Vec<Listed>> {
    if *keep == Keep::default() {
        return Err(Error::invalid("prune", "would keep nothing; say how many are to stay"));
    }
    let mut databases: BTreeMap<_, Vec<Listed>> = BTreeMap::new();
    let now = Timestamp::now();
    for backup in folder::list(folder)?.into_iter().filter(|backup| backup.state == "whole") {
        if let Some(at) = backup.ahead_of(now) {
            tracing::warn!("{} stays: it is dated {at}, later than now", backup.file.display());
            continue;
        }
        let of = (backup.engine.clone(), backup.origin.clone(), backup.database.clone());
        databases.entry(of).or_default().push(backup);
    }
    let mut removed = Vec::new();
    for backups in databases.into_values() {
        let staying = staying(&backups, keep);
        let going: Vec<Listed> =
            backups.iter().filter(|backup| !staying.contains(&backup.file)).cloned().collect();
        if going.is_empty() {
            continue;
        }
        let Some(whole) = backups.iter().find(|backup| is_whole(backup)) else {
            tracing::warn!(folder = %folder.display(), "none of the backups is whole; none is removed");
            continue;
        };
        for backup in going.into_iter().filter(|backup| backup.file != whole.file) {
            if !dry_run {
                remove(&backup.file)?;
            }
            removed.push(backup);
        }
    }
    Ok(removed)
}

/// The files that stay; `backups` are newest first.
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

/// The day, the week and the month that a moment is in.
fn periods(at: Timestamp) -> [(i32, u32); 3] {
    let day = at.to_utc().date_naive();
    let week = day.iso_week();
    [(day.year(), day.ordinal()), (week.year(), week.week()), (day.year(), day.month())]
}

/// Whether a backup is what it was. Of a sealed one only its sum can be told.
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

/// The backup first: a manifest without one is none.
fn remove(file: &Path) -> Result<()> {
    for path in [file, &Manifest::path_of(file)] {
        fs::remove_file(path).map_err(|error| Error::io(path, error))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Backups at these moments, newest first.
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
            state: "whole".to_owned(),
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
    fn the_newest_of_each_period_stays() {
        // 2026-01-01 is a Thursday; its week began in 2025.
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
