//! How a SQLite file is read that must stay as it is, with everything beside it.

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use diesel::prelude::*;

use super::files::beside;
use super::sqlite::{open, uri_name};
use crate::{Error, Result};

/// A file that must stay as it is while it is read.
pub(crate) struct Untouched {
    /// What it looked like, if SQLite does not watch over those who write to it.
    as_it_was: Option<Looks>,
    /// Where the copy is that is read instead.
    _copy: Option<tempfile::TempDir>,
}

/// What a file looks like, and the log beside it: how large they are, and when they last changed.
#[derive(Clone, PartialEq)]
pub(crate) struct Looks {
    path: PathBuf,
    sizes: [Option<(u64, Option<SystemTime>)>; 2],
}

/// Opens a file only to read it: neither it nor anything beside it changes, nor does a write-ahead log go into it.
///
/// A file with write-ahead logging wants an index of the log beside it, which SQLite would make and leave there. Where
/// there is none, nobody has the file open: without a log it is read as a file that never changes, and with one a copy of
/// both is read. [`Looks::check`] says whether somebody came meanwhile.
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
                let copied =
                    format!("a copy of {} is read, because its log may not be touched", original.display());
                Error::io(to, error).with(&format!("{copied}; TMPDIR names the folder"))
            })?;
        }
        copy = Some(folder);
    } else if is_alone {
        how = "immutable=1";
    }
    // So that the first look into the file is here.
    let settings = "PRAGMA query_only = ON; PRAGMA temp_store = MEMORY; SELECT 1 FROM sqlite_schema LIMIT 1";
    let conn = open(&format!("file:{}?{how}", uri_name(&from)?), settings, timeout).map_err(|error| match error {
        Error::Unusable { database, .. } if beside(path, "-journal").exists() => Error::Unusable {
            database,
            reason: "a program was stopped while it wrote to it, and left a -journal beside it; open it once with that \
                     program, which takes back what was half written"
                .to_owned(),
        },
        error => error,
    })?;
    Ok((conn, Untouched { as_it_was, _copy: copy }))
}

impl Untouched {
    /// What the file looked like when it was opened; nothing, if SQLite keeps others from writing to it.
    pub(crate) fn look(&self) -> Option<Looks> {
        self.as_it_was.clone()
    }
}

impl Looks {
    fn of(path: &Path) -> Self {
        let look = |path: &Path| fs::metadata(path).ok().map(|file| (file.len(), file.modified().ok()));
        Self { path: path.to_owned(), sizes: [look(path), look(&beside(path, "-wal"))] }
    }

    /// Whether what was read may have been written to meanwhile.
    pub(crate) fn check(&self) -> Result<()> {
        if *self == Self::of(&self.path) {
            return Ok(());
        }
        Err(Error::Busy {
            database: self.path.display().to_string(),
            reason: "a program wrote to it while it was read; run this again".to_owned(),
        })
    }
}

/// Whether a file has write-ahead logging, which two bytes of its header tell.
pub(crate) fn is_logged(path: &Path) -> Result<bool> {
    let mut header = Vec::new();
    let mut file = fs::File::open(path).map_err(|error| Error::io(path, error))?;
    let read = file.by_ref().take(20).read_to_end(&mut header);
    std::mem::forget(file); // see [`super::sqlite::look_at`]
    read.map_err(|error| Error::io(path, error))?;
    Ok(header.get(18..20) == Some(&[2, 2]))
}
