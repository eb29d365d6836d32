//! The folder of backups.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::identity::name_of;
use super::manifest::Manifest;
use super::naming::{length, stamp};
use crate::types::Timestamp;
use crate::{DatabaseUrl, Error, Result};

/// One backup of a folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Listed {
    /// The file.
    pub file: PathBuf,
    /// The database that it is of; nothing without a manifest.
    pub database: Option<String>,
    /// What tells that from others of its name.
    pub origin: Option<String>,
    /// `SQLite` or `PostgreSQL`.
    pub engine: Option<String>,
    /// The newest migration that was applied.
    pub schema: Option<String>,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// Bytes of the file.
    pub bytes: u64,
    /// Bytes of the database in it.
    pub content_bytes: Option<u64>,
    /// Rows in all its tables.
    pub rows: Option<u64>,
    /// Whether it is sealed.
    pub sealed: bool,
    /// What can be said of it without reading it: `whole` if it is as long as it should be, else what is wrong.
    /// [`verify`](super::verify) reads it.
    pub state: String,
}

impl Listed {
    /// The date of a backup, if it is later than now: the clock was wrong when it was made, or is wrong now, so it may
    /// not be the newest.
    pub(in crate::ops) fn ahead_of(&self, now: Timestamp) -> Option<Timestamp> {
        self.created_at.filter(|at| *at > now)
    }
}

/// Where backups of a database are put unless somebody says otherwise: the folder `backups` beside a SQLite file,
/// or here.
pub fn default_folder(url: &DatabaseUrl) -> PathBuf {
    match url {
        DatabaseUrl::File(path) => path.with_file_name("backups"),
        _ => PathBuf::from("backups"),
    }
}

/// The backups in a folder, newest first; none if there is no such folder.
///
/// # Errors
/// `Io` if the folder cannot be read.
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

/// One backup, by its manifest and its length.
pub(super) fn look(file: PathBuf) -> Result<Listed> {
    let bytes = fs::metadata(&file).map_err(|error| Error::io(&file, error))?.len();
    let sealed = file.extension().is_some_and(|ending| ending == "age");
    let (manifest, state) = match Manifest::read(&file) {
        Ok(None) => (None, "has no manifest".to_owned()),
        Err(error) => (None, error.to_string()),
        Ok(Some(manifest)) => {
            let state = length(bytes, manifest.bytes).unwrap_or_else(|| "whole".to_owned());
            (Some(manifest), state)
        }
    };
    Ok(Listed {
        bytes,
        sealed: manifest.as_ref().map_or(sealed, |manifest| manifest.sealed),
        database: manifest.as_ref().map(|manifest| manifest.database.clone()),
        origin: manifest.as_ref().map(|manifest| manifest.origin.clone()),
        engine: manifest.as_ref().map(|manifest| manifest.engine.to_string()),
        schema: manifest.as_ref().map(|manifest| manifest.schema.clone()),
        created_at: manifest.as_ref().map(|manifest| manifest.created_at),
        content_bytes: manifest.as_ref().map(|manifest| manifest.content_bytes),
        rows: manifest.as_ref().map(Manifest::all_rows),
        state,
        file,
    })
}

/// Removes manifests whose backup never came, because a process was killed between the two.
pub(super) fn remove_orphans(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return }; // whoever uses the folder is told why not
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
                Ok(()) => tracing::info!("{} has no backup and is removed", path.display()),
                Err(error) => tracing::warn!("{} could not be removed: {error}", path.display()),
            }
        }
    }
}

/// The name of a new backup: `viral-20261121T083000.123Z.db.zst`.
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
