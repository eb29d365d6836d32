//! Reads a SQLite file without changing it or any file next to it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use diesel::prelude::*;

use super::files::beside;
use super::sqlite::{open, uri_name};
use crate::{Error, Result};

/// A file that is read without being changed.
pub(crate) struct Untouched {
    /// The state of the file when it was opened; `None` if SQLite's locks protect the read.
    as_it_was: Option<Looks>,
    /// The folder of the copy that is read instead of the file.
    _copy: Option<tempfile::TempDir>,
}

/// The sizes and modification times of a database file and of its write-ahead log.
#[derive(Clone, PartialEq)]
pub(crate) struct Looks {
    path: PathBuf,
    sizes: [Option<(u64, Option<SystemTime>)>; 2],
}

/// Opens a file for reading without changing it or the files next to it. A write-ahead log is not copied into the file.
///
/// A file with write-ahead logging needs an index of the log, which SQLite would create and leave in the folder. If there is no
/// index, no program has the file open. Then a file without a log is read as `immutable`, and for a file with a log, a copy of
/// both is read. [`Looks::check`] detects a program that wrote to the file meanwhile.
pub(crate) fn establish(path: &Path) -> Result<(SqliteConnection, Untouched)> {
    let timeout = super::default_busy_timeout();
    let [log, index] = ["-wal", "-shm"].map(|ending| beside(path, ending));
    let is_alone = is_logged(path)? && !index.exists();
    let as_it_was = is_alone.then(|| Looks::of(path));
    let mut copy = None;
    let mut from = path.to_owned();
    let mut how = "mode=ro";
    if is_alone && fs::metadata(&log).is_ok_and(|log| log.len() > 0) {
        let folder = super::files::temporary()?;
        from = folder.path().join("copy.db");
        for (original, to) in [(path, &from), (&log, &beside(&from, "-wal"))] {
            fs::copy(original, to).map_err(|error| {
                let copied = format!(
                    "viraldb reads a copy of {} so that the file stays unchanged",
                    original.display()
                );
                Error::io(to, error).with(&format!("{copied}; choose the folder for the copy with TMPDIR"))
            })?;
        }
        copy = Some(folder);
    } else if is_alone {
        how = "immutable=1";
    }
    // The SELECT accesses the file, so that its errors occur here.
    let settings = "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; SELECT 1 FROM sqlite_schema LIMIT 1";
    let conn = open(&format!("file:{}?{how}", uri_name(&from)?), settings, timeout).map_err(|error| match error {
        Error::Unusable { database, .. } if beside(path, "-journal").exists() => Error::Unusable {
            database,
            reason: "a program was interrupted while it wrote to the file, and left a -journal file; open the database once \
                     with that program, which rolls back the unfinished write"
                .to_owned(),
        },
        error => error,
    })?;
    Ok((conn, Untouched { as_it_was, _copy: copy }))
}

impl Untouched {
    /// Returns the state of the file when it was opened, or `None` if SQLite's locks protect the read.
    pub(crate) fn look(&self) -> Option<Looks> {
        self.as_it_was.clone()
    }
}

impl Looks {
    fn of(path: &Path) -> Self {
        let look = |path: &Path| fs::metadata(path).ok().map(|file| (file.len(), file.modified().ok()));
        Self { path: path.to_owned(), sizes: [look(path), look(&beside(path, "-wal"))] }
    }

    /// Checks that the file has not changed since it was opened.
    ///
    /// # Errors
    /// [`Error::Busy`] if the file or its log has changed.
    pub(crate) fn check(&self) -> Result<()> {
        if *self == Self::of(&self.path) {
            return Ok(());
        }
        Err(Error::Busy {
            database: self.path.display().to_string(),
            reason: "another program wrote to the file while viraldb was reading it; try again".to_owned(),
        })
    }
}

/// Returns true if a file has write-ahead logging, according to two bytes of its header.
pub(crate) fn is_logged(path: &Path) -> Result<bool> {
    let mut header = Vec::new();
    let mut file = fs::File::open(path).map_err(|error| Error::io(path, error))?;
    let read = file.by_ref().take(20).read_to_end(&mut header);
    std::mem::forget(file); // closing it would drop this process's locks; see `super::sqlite::look_at`
    read.map_err(|error| Error::io(path, error))?;
    Ok(header.get(18..20) == Some(&[2, 2]))
}
