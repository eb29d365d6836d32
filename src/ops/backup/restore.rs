//! Putting a backup in the place of a database.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Progress;
use super::folder::{Listed, look};
use super::manifest::Manifest;
use super::unpacked::{Restore, Restored, require_engine};
use crate::db::files::is_of_database;
use crate::{DatabaseUrl, Error, Result};

/// What a restore would do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Planned {
    /// The backup.
    pub backup: Listed,
    /// The database that it goes to, its password masked.
    pub database: String,
    /// What stands there: bytes, if anything does.
    pub replaced_bytes: Option<u64>,
    /// Its rows, if they can be counted.
    pub replaced_rows: Option<u64>,
}

/// What [`restore`] would replace. Changes nothing.
///
/// # Errors
/// `Io` if there is no such backup; `Invalid` if it is of the other engine; `Unusable` if `url` goes through a pooler.
pub fn plan(url: &str, file: &Path) -> Result<Planned> {
    let parsed: DatabaseUrl = url.parse()?;
    parsed.require_session("a restore")?;
    require_other_file(&parsed, file)?;
    let backup = look(file.to_owned())?;
    if let Some(manifest) = Manifest::read(file)? {
        require_engine(&parsed, manifest.engine, file)?;
    }
    let (replaced_bytes, replaced_rows) = match &parsed {
        DatabaseUrl::File(path) => match fs::metadata(path) {
            Ok(found) => (Some(found.len()), count(&parsed)),
            Err(_) => (None, None),
        },
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(on_server) => {
            match super::postgres::exists(on_server).map_err(|error| error.in_database(&parsed))? {
                true => {
                    super::postgres::require_place(on_server, Manifest::read(file)?.as_ref(), file)
                        .map_err(|error| error.in_database(&parsed))?;
                    (super::postgres::size(on_server).ok(), count(&parsed))
                }
                false => (None, None),
            }
        }
        _ => (None, None),
    };
    Ok(Planned { backup, database: parsed.to_string(), replaced_bytes, replaced_rows })
}

/// Refuses to read a backup from a file of the database that it would replace.
fn require_other_file(url: &DatabaseUrl, backup: &Path) -> Result<()> {
    match url {
        DatabaseUrl::File(path) if is_of_database(path, backup) => Err(Error::invalid(
            backup.display().to_string(),
            "is a file of the database itself; name a backup",
        )),
        _ => Ok(()),
    }
}

/// The rows of all tables of a database, as a manifest counts them; nothing if it is damaged.
fn count(url: &DatabaseUrl) -> Option<u64> {
    let rows = match url {
        #[cfg(feature = "sqlite")]
        DatabaseUrl::File(path) => super::sqlite::count_rows(path),
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(url) => super::postgres::count_rows(url),
        _ => return None,
    };
    Some(rows.ok()?.values().sum())
}

/// Puts a backup in the place of a database, and keeps that beside it.
///
/// All is unpacked, checked and brought to the newest schema first, beside the database. Then it is put in its place
/// at once: on SQLite by renaming the file, with no `-wal` and `-shm` left, on PostgreSQL by renaming the databases
/// in one transaction. A restore that fails or is killed leaves the old database where it was.
///
/// On PostgreSQL it connects to the database `postgres` of the server, and needs the right to make databases.
///
/// # Errors
/// `Busy`, with who it is, if anybody else has the database open; `Invalid` if the backup is not whole, of the other
/// engine, not encrypted although a key is given, or there is no room; [`Error::SchemaNewer`] if it is of a newer viraldb; `Unusable` if `url` goes through a
/// pooler.
pub fn restore(url: &str, options: &Restore, watch: &mut dyn FnMut(Progress)) -> Result<Restored> {
    let url: DatabaseUrl = url.parse()?;
    url.require_session("a restore")?;
    require_other_file(&url, &options.file)?;
    match &url {
        #[cfg(feature = "sqlite")]
        DatabaseUrl::File(path) => super::sqlite::restore(&url, path, options, watch),
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(on_server) => super::postgres::restore(on_server, options, watch),
        _ => Err(Error::invalid(url.to_string(), "cannot take a backup")),
    }
    .map_err(|error| error.in_database(&url))
}
