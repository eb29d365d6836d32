//! Replaces a database with a backup.

use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use super::Progress;
use super::folder::{Listed, look};
use super::manifest::Manifest;
use super::unpacked::{Restore, Restored, require_engine};
use crate::db::files::is_of_database;
use crate::{DatabaseUrl, Error, Result};

/// The effect that a restore would have.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Planned {
    /// The backup that would be restored.
    pub backup: Listed,
    /// The target database, with its password masked.
    pub database: String,
    /// Size in bytes of the database that would be replaced; `None` if it does not exist.
    pub replaced_bytes: Option<u64>,
    /// Row count of the database that would be replaced; `None` if it does not exist or cannot be counted.
    pub replaced_rows: Option<u64>,
}

/// Returns what [`restore`] would replace, without changing anything.
///
/// # Errors
/// - [`Error::Io`] if the backup cannot be read.
/// - [`Error::Invalid`] if the backup is of the other engine, or cannot replace this database or schema.
/// - [`Error::Unusable`] if `url` uses a connection pooler.
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

/// Rejects a backup path that is a file of the database to be replaced.
fn require_other_file(url: &DatabaseUrl, backup: &Path) -> Result<()> {
    match url {
        DatabaseUrl::File(path) if is_of_database(path, backup) => Err(Error::invalid(
            backup.display().to_string(),
            "is a file of the database itself; give the path of a backup",
        )),
        _ => Ok(()),
    }
}

/// Counts the rows of all tables of a database, as a manifest does. Returns `None` if they cannot be counted.
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

/// Replaces a database with a backup, and keeps the old database under another name.
///
/// viraldb first unpacks the backup next to the database, checks it, and migrates it to the newest schema version. Then it
/// swaps the two in one step. On SQLite it renames the file together with its logs, and also the logs of a missing file.
/// On PostgreSQL it renames both databases in one transaction. If a restore fails or is killed, the old database stays
/// where it was.
///
/// If a PostgreSQL database holds several viraldb schemas, only the schema that `url` leads to is replaced.
///
/// On PostgreSQL, viraldb connects to the server's database `postgres`, and its role needs `CREATEDB`.
///
/// # Errors
/// - [`Error::Busy`] if another program has the database open; the message names it.
/// - [`Error::Invalid`] if the backup is damaged, is of the other engine, or is not encrypted although a key was given, or
///   if there is not enough disk space.
/// - [`Error::SchemaNewer`] if the backup was made by a newer viraldb.
/// - [`Error::Unusable`] if `url` uses a connection pooler.
pub fn restore(url: &str, options: &Restore, watch: &mut dyn FnMut(Progress)) -> Result<Restored> {
    let url: DatabaseUrl = url.parse()?;
    url.require_session("a restore")?;
    require_other_file(&url, &options.file)?;
    match &url {
        #[cfg(feature = "sqlite")]
        DatabaseUrl::File(path) => super::sqlite::restore(&url, path, options, watch),
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(on_server) => super::postgres::restore(on_server, options, watch),
        _ => Err(Error::invalid(url.to_string(), "is an in-memory database, which cannot be restored")),
    }
    .map_err(|error| error.in_database(&url))
}
