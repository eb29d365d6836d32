//! Creates, verifies, lists, prunes and restores backups.
//!
//! A backup is a copy of the database, compressed with zstd into one file and optionally encrypted with `age`. A
//! [`Manifest`] next to it describes it. For SQLite, the copy is a database file made with the backup API. For
//! PostgreSQL, it is a dump that `pg_dump` writes in its custom format. To get the copy without viraldb, run `age -d`
//! if the backup is encrypted, and then `zstd -d`.
//!
//! A file with the name of a backup is always complete. viraldb writes everything in a temporary folder next to the
//! final path, checks it, flushes it to disk and then renames it, the manifest first. If a run is killed, the next run
//! removes its temporary folder.

#[cfg(feature = "encrypted-backups")]
mod age;
mod codec;
mod create;
mod drill;
mod folder;
mod identity;
mod manifest;
mod naming;
#[cfg(feature = "postgres")]
mod postgres;
mod prune;
mod restore;
#[cfg(feature = "postgres")]
mod script;
mod seal;
#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod sqlite_error;
mod triggers;
mod unpacked;
mod verify;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub use create::{Create, create, is_due_before_revert, is_due_before_run};
pub use drill::{Drill, Drilled, drill};
pub use folder::{Listed, State, default_folder, list, list_of};
pub use manifest::{Locale, Manifest};
pub use prune::{Keep, Prune, prune};
pub use restore::{Planned, plan, restore};
pub use seal::{Seal, Unseal};
pub use unpacked::{Restore, Restored};
pub use verify::{ComparedWith, Verified, verify};

use crate::{DatabaseUrl, Engine, Error, Result};

/// The progress of a backup, a verification, a restore or a drill.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The current step.
    pub step: Step,
    /// Bytes processed so far in this step.
    pub done: u64,
    /// Total bytes of this step; 0 if unknown.
    pub total: u64,
}

/// A step of a backup or a restore.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Copying the database.
    Copying,
    /// Compressing the copy, and checking it at the same time.
    Compressing,
    /// Reading the backup and comparing it with its checksums.
    Verifying,
    /// Unpacking a backup.
    Unpacking,
    /// Checking the unpacked database and migrating it to the newest schema version.
    Checking,
}

impl Step {
    /// Returns the text that progress bars show.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Copying => "copying",
            Self::Compressing => "compressing and checking",
            Self::Verifying => "verifying",
            Self::Unpacking => "unpacking",
            Self::Checking => "checking",
        }
    }
}

/// A callback that receives the progress.
pub(super) type Watch<'a> = &'a mut dyn FnMut(Progress);

/// The contents of a copy, as counted while the copy was made.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Contents {
    /// Distinguishes this database from others with the same name.
    origin: String,
    /// The PostgreSQL schema that the copy holds; `None` if it holds the whole database.
    namespace: Option<String>,
    engine_version: String,
    /// The newest applied migration, with dashes.
    schema: String,
    rows: BTreeMap<String, u64>,
    keys: Vec<String>,
    locale: Option<Locale>,
}

/// The counts that a check of a copy found.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Checked {
    rows: BTreeMap<String, u64>,
    orphans: u64,
}

impl Engine {
    /// Copies a database into a new file.
    #[cfg_attr(not(feature = "postgres"), allow(unused_variables))]
    fn copy(self, url: &DatabaseUrl, to: &Path, pg_bin: Option<&Path>, watch: Watch<'_>) -> Result<Contents> {
        match url {
            #[cfg(feature = "sqlite")]
            DatabaseUrl::File(path) => sqlite::copy(path, to, watch),
            #[cfg(feature = "postgres")]
            DatabaseUrl::Postgres(url) => postgres::dump(url, to, pg_bin, watch),
            _ => Err(Error::invalid(url.to_string(), "is an in-memory database, which cannot be backed up")),
        }
    }

    /// Checks that a copy opens and is intact, and counts its rows.
    #[cfg_attr(not(feature = "postgres"), allow(unused_variables))]
    fn check(self, copy: &Path, pg_bin: Option<&Path>) -> Result<Checked> {
        match self {
            #[cfg(feature = "sqlite")]
            Self::Sqlite => sqlite::check(copy),
            #[cfg(feature = "postgres")]
            Self::Postgres => postgres::check(copy, pg_bin),
            #[cfg(not(all(feature = "sqlite", feature = "postgres")))]
            _ => Err(Error::invalid(
                format!("a backup of {self}"),
                format!("requires viraldb built with the feature `{}`", self.feature()),
            )),
        }
    }
}

/// Rejects a copy whose row counts differ from the expected ones.
fn require_rows(what: &str, expected: &BTreeMap<String, u64>, found: &BTreeMap<String, u64>) -> Result<()> {
    let names: std::collections::BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let differences: Vec<String> = names
        .into_iter()
        .filter(|name| expected.get(*name) != found.get(*name))
        .map(|name| {
            let count =
                |rows: &BTreeMap<String, u64>| rows.get(name).map_or("no table".to_owned(), u64::to_string);
            format!("{} (expected {}, found {})", crate::quote::short(name), count(expected), count(found))
        })
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(what, format!("has unexpected row counts: {}", differences.join(", "))))
}

/// Returns the folder where an unencrypted copy may be stored temporarily.
///
/// This is the folder of the backup. The folder of an encrypted backup may be readable by others, so its copy is stored
/// next to the SQLite file, or in the system's temporary folder for PostgreSQL.
fn scratch_folder(url: &DatabaseUrl, backup: &Path, sealed: bool) -> PathBuf {
    match url {
        _ if !sealed => folder_of(backup),
        DatabaseUrl::File(path) => folder_of(path),
        _ => std::env::temp_dir(),
    }
}

/// Returns the folder that contains a file.
fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}
