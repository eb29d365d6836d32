//! Backups: made while others write, checked before they count, restored so that nothing is lost.
//!
//! A backup is one file, a copy of the database compressed with zstd and, if asked, sealed with `age`, and a
//! [`Manifest`] beside it. The copy of SQLite is its file, by the backup API; that of PostgreSQL is what `pg_dump`
//! writes in its custom format. Without viraldb, `zstd -d` (after `age -d`) gives the copy.
//!
//! A file that has the name of a backup is whole: everything is written in a folder of its own beside it, checked,
//! flushed to the disk and renamed, the manifest first. What a killed run left there, the next one removes.

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
pub use drill::{Drilled, drill};
pub use folder::{Listed, default_folder, list};
pub(super) use identity::{name_of, origin_of};
pub use manifest::{Engine, Locale, Manifest};
pub use prune::{Keep, prune};
pub use restore::{Planned, plan, restore};
pub use seal::{Seal, Unseal};
pub use unpacked::{Restore, Restored};
pub use verify::{Verified, verify};

use crate::{DatabaseUrl, Error, Result};

/// How far a backup or a restore is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done.
    pub step: Step,
    /// Bytes that are done.
    pub done: u64,
    /// Bytes in all; 0 while nobody knows.
    pub total: u64,
}

/// What is being done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The database is copied.
    Copying,
    /// The copy is compressed, and checked beside it.
    Compressing,
    /// What was written is read again.
    Verifying,
    /// A backup is unpacked.
    Unpacking,
    /// What was unpacked is checked, and brought to the newest schema.
    Checking,
}

impl Step {
    /// As people read it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Copying => "copying",
            Self::Compressing => "compressing and checking",
            Self::Verifying => "reading it again",
            Self::Unpacking => "unpacking",
            Self::Checking => "checking",
        }
    }
}

/// Hears how far the work is.
pub(super) type Watch<'a> = &'a mut dyn FnMut(Progress);

/// What a copy of a database holds.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Contents {
    /// What tells this database from others of its name.
    origin: String,
    /// The schema that the copy holds, if it does not hold a whole database.
    namespace: Option<String>,
    engine_version: String,
    /// The newest migration, as people read it.
    schema: String,
    rows: BTreeMap<String, u64>,
    keys: Vec<String>,
    locale: Option<Locale>,
}

/// What a check of a copy has counted.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Checked {
    rows: BTreeMap<String, u64>,
    orphans: u64,
}

impl Engine {
    const fn of(url: &DatabaseUrl) -> Self {
        match url {
            DatabaseUrl::Postgres(_) => Self::Postgres,
            _ => Self::Sqlite,
        }
    }

    /// Copies a database into a file that is not there yet.
    #[cfg_attr(not(feature = "postgres"), allow(unused_variables))]
    fn copy(self, url: &DatabaseUrl, to: &Path, pg_bin: Option<&Path>, watch: Watch<'_>) -> Result<Contents> {
        match url {
            #[cfg(feature = "sqlite")]
            DatabaseUrl::File(path) => sqlite::copy(path, to, watch),
            #[cfg(feature = "postgres")]
            DatabaseUrl::Postgres(url) => postgres::dump(url, to, pg_bin, watch),
            _ => Err(Error::invalid(url.to_string(), "has no file that could be backed up")),
        }
    }

    /// Looks whether a copy opens and is whole, and counts its rows.
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
                format!("needs a viraldb that was built with the feature `{}`", self.feature()),
            )),
        }
    }
}

/// Refuses a copy that does not hold the rows that it should.
fn require_rows(what: &str, expected: &BTreeMap<String, u64>, found: &BTreeMap<String, u64>) -> Result<()> {
    let names: std::collections::BTreeSet<&String> = expected.keys().chain(found.keys()).collect();
    let differences: Vec<String> = names
        .into_iter()
        .filter(|name| expected.get(*name) != found.get(*name))
        .map(|name| {
            let count =
                |rows: &BTreeMap<String, u64>| rows.get(name).map_or("none".to_owned(), u64::to_string);
            format!("{} of {} rows of {}", count(found), count(expected), crate::quote::short(name))
        })
        .collect();
    if differences.is_empty() {
        return Ok(());
    }
    Err(Error::invalid(what, format!("holds {}", differences.join(", "))))
}

/// Where what is in a backup may stand open for a while: beside it, or if it is sealed where the database is.
fn scratch_folder(url: &DatabaseUrl, backup: &Path, sealed: bool) -> PathBuf {
    match url {
        _ if !sealed => folder_of(backup),
        DatabaseUrl::File(path) => folder_of(path),
        _ => std::env::temp_dir(),
    }
}

/// The folder that a file is in.
fn folder_of(path: &Path) -> PathBuf {
    match path.parent() {
        Some(folder) if !folder.as_os_str().is_empty() => folder.to_owned(),
        _ => PathBuf::from("."),
    }
}
