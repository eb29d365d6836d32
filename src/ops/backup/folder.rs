//! Lists the backups in a folder, and names new ones.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::identity::{name_of, origin_of};
use super::manifest::Manifest;
use super::naming::{length, stamp};
use crate::types::Timestamp;
use crate::{DatabaseUrl, Engine, Error, Result};

/// A backup in a folder. Most fields come from its manifest, and are `None` if it has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Listed {
    /// The file of the backup.
    pub file: PathBuf,
    /// Name of the database.
    pub database: Option<String>,
    /// Distinguishes the database from others with the same name.
    pub origin: Option<String>,
    /// Engine of the database.
    pub engine: Option<Engine>,
    /// The newest applied migration.
    pub schema: Option<String>,
    /// When the backup was made.
    pub created_at: Option<Timestamp>,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Size in bytes of the uncompressed copy in it.
    pub content_bytes: Option<u64>,
    /// Total row count of all tables.
    pub rows: Option<u64>,
    /// Whether the backup is encrypted.
    pub sealed: bool,
    /// Whether the file is complete. The content is not read; use [`verify`](super::verify) for that.
    pub state: State,
}

/// Whether the file of a backup is complete, judged by its size and its manifest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", from = "String")]
#[non_exhaustive]
pub enum State {
    /// The file has the size that its manifest says.
    Intact,
    /// There is no manifest, so the size cannot be checked.
    NoManifest,
    /// The size is wrong or the manifest cannot be read. The text says which.
    Faulty(String),
}

const INTACT: &str = "intact";
const NO_MANIFEST: &str = "has no manifest";

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Intact => INTACT,
            Self::NoManifest => NO_MANIFEST,
            Self::Faulty(reason) => reason,
        })
    }
}

impl From<State> for String {
    fn from(state: State) -> Self {
        match state {
            State::Faulty(reason) => reason,
            state => state.to_string(),
        }
    }
}

impl From<String> for State {
    fn from(text: String) -> Self {
        match &*text {
            INTACT => Self::Intact,
            NO_MANIFEST => Self::NoManifest,
            _ => Self::Faulty(text),
        }
    }
}

impl Listed {
    /// Returns true if the file has the size that its manifest says.
    pub fn is_intact(&self) -> bool {
        self.state == State::Intact
    }

    /// Returns the date of a backup if it is later than `now`.
    ///
    /// Either the clock was wrong when the backup was made, or it is wrong now. The backup might not be the newest one.
    pub(crate) fn ahead_of(&self, now: Timestamp) -> Option<Timestamp> {
        self.created_at.filter(|at| *at > now)
    }
}

/// Returns the default folder for backups of a database.
///
/// This is the folder `backups` next to a SQLite file, or in the current folder for PostgreSQL.
pub fn default_folder(url: &DatabaseUrl) -> PathBuf {
    match url {
        DatabaseUrl::File(path) => path.with_file_name("backups"),
        _ => PathBuf::from("backups"),
    }
}

/// Lists the backups in a folder, newest first. Returns an empty list if the folder does not exist.
///
/// # Errors
/// [`Error::Io`] if the folder cannot be read.
pub fn list(folder: &Path) -> Result<Vec<Listed>> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(Error::io(folder, error)),
    };
    let mut found = Vec::new();
    for entry in entries {
        let path = entry.map_err(|error| Error::io(folder, error))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let is_backup = (name.ends_with(".zst") || name.ends_with(".zst.age")) && !name.starts_with('.');
        if is_backup && path.is_file() {
            found.push(look(path)?);
        }
    }
    found.sort_by(|a, b| (b.created_at, &b.file).cmp(&(a.created_at, &a.file)));
    Ok(found)
}

/// Lists the backups of one database in a folder, newest first. Other databases may have backups in the same folder.
///
/// # Errors
/// The errors of [`list`]; for PostgreSQL, [`Error::Disconnected`] if the server cannot be reached.
pub fn list_of(url: &DatabaseUrl, folder: &Path) -> Result<Vec<Listed>> {
    let (name, origin) = (Some(name_of(url)), Some(origin_of(url)?));
    let mut backups = list(folder)?;
    backups.retain(|backup| (&backup.database, &backup.origin) == (&name, &origin));
    Ok(backups)
}

/// Describes a backup from its manifest and its size, without reading its content.
pub(super) fn look(file: PathBuf) -> Result<Listed> {
    let bytes = fs::metadata(&file).map_err(|error| Error::io(&file, error))?.len();
    let sealed = file.extension().is_some_and(|ending| ending == "age");
    let (manifest, state) = match Manifest::read(&file) {
        Ok(None) => (None, State::NoManifest),
        Err(error) => (None, State::Faulty(error.to_string())),
        Ok(Some(manifest)) => {
            let state = length(bytes, manifest.bytes).map_or(State::Intact, State::Faulty);
            (Some(manifest), state)
        }
    };
    Ok(Listed {
        bytes,
        sealed: manifest.as_ref().map_or(sealed, |manifest| manifest.sealed),
        database: manifest.as_ref().map(|manifest| manifest.database.clone()),
        origin: manifest.as_ref().map(|manifest| manifest.origin.clone()),
        engine: manifest.as_ref().map(|manifest| manifest.engine),
        schema: manifest.as_ref().map(|manifest| manifest.schema.clone()),
        created_at: manifest.as_ref().map(|manifest| manifest.created_at),
        content_bytes: manifest.as_ref().map(|manifest| manifest.content_bytes),
        rows: manifest.as_ref().map(Manifest::all_rows),
        state,
        file,
    })
}

/// Removes manifests without a backup, which a process leaves if it is killed between writing the two.
pub(super) fn remove_orphans(folder: &Path) {
    // If the folder cannot be read, the caller reports the error when it writes to the folder.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let path = entry.path();
        let backup =
            path.to_string_lossy().strip_suffix(".zst.manifest.json").map(|stem| format!("{stem}.zst"));
        let backup = backup.or_else(|| {
            path.to_string_lossy()
                .strip_suffix(".zst.age.manifest.json")
                .map(|stem| format!("{stem}.zst.age"))
        });
        if backup.is_some_and(|backup| !Path::new(&backup).exists()) && crate::ops::workspace::is_old(&path) {
            match fs::remove_file(&path) {
                Ok(()) => tracing::info!("removed {}, a manifest without a backup", path.display()),
                Err(error) => tracing::warn!("cannot remove {}: {error}", path.display()),
            }
        }
    }
}

/// Returns the name of a new backup, such as `viral-20261121T083000.123Z.db.zst`.
pub(super) fn new_name(url: &DatabaseUrl, at: Timestamp, ending: &str) -> String {
    let name = name_of(url);
    let stem = name.rsplit_once('.').map_or(&*name, |(stem, _)| stem);
    let clean = |name: &str| -> String {
        name.chars().map(|c| if c.is_alphanumeric() || "-_".contains(c) { c } else { '_' }).collect()
    };
    let schema = url.schema().map(|schema| format!("_{schema}")).unwrap_or_default();
    let stem = clean(&format!("{stem}{schema}"));
    let kind = if matches!(url, DatabaseUrl::Postgres(_)) { "dump" } else { "db" };
    format!("{stem}-{}.{kind}{ending}", stamp(at))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_stored_as_its_text() {
        for (state, text) in [
            (State::Intact, "intact"),
            (State::NoManifest, "has no manifest"),
            (State::Faulty("is empty".to_owned()), "is empty"),
        ] {
            assert_eq!(state.to_string(), text);
            assert_eq!(serde_json::to_value(&state).unwrap(), text);
            assert_eq!(serde_json::from_value::<State>(text.into()).unwrap(), state);
        }
    }
}
