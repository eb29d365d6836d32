//! File handling: the files of a database, whether two paths lead to the same file, and private files for rows.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

#[cfg(feature = "sqlite")]
use crate::{Error, Result};

/// The endings of the files of a database: none for the database itself, and those that SQLite appends for other files.
pub(crate) const ENDINGS: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// The endings of the logs of a SQLite database. A log may contain changes that are not in the database file.
#[cfg(feature = "sqlite")]
pub(crate) const LOGS: [&str; 2] = ["-wal", "-journal"];

/// The maximum number of symbolic links to follow; more count as a loop. The limit is that of Linux.
const LINKS: u8 = 40;

/// Returns the path of a file that SQLite keeps next to a database.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// Creates a folder for temporary files, which is deleted when the value is dropped.
///
/// # Errors
/// `Io` with the parent folder in which it cannot be created.
#[cfg(feature = "sqlite")]
pub(crate) fn temporary() -> Result<tempfile::TempDir> {
    tempfile::tempdir().map_err(|error| {
        let error = Error::io(std::env::temp_dir(), error);
        error.with("viraldb needs this folder for temporary files; choose another one with TMPDIR")
    })
}

/// Returns true if a path leads to the file of a database, or to a file that SQLite keeps next to it. The files need not
/// exist yet.
pub fn is_of_database(database: &Path, path: &Path) -> bool {
    let real = real(database, LINKS); // SQLite appends the endings to the resolved path
    let names = [Some(database), real.as_deref()].into_iter().flatten();
    names.flat_map(|name| ENDINGS.map(|ending| beside(name, ending))).any(|file| same_file(&file, path))
}

/// Returns true if two paths lead to the same file, including through symbolic or hard links. Files that do not exist yet are
/// compared by folder and name.
///
/// Neither file is opened, because closing a SQLite file would drop the locks that this process holds on it.
pub(crate) fn same_file(one: &Path, other: &Path) -> bool {
    match (identity(one), identity(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one == other || real(one, LINKS).is_some_and(|one| real(other, LINKS) == Some(one)),
        _ => false, // only one of them exists
    }
}

/// Identifies a file among all files while it exists.
#[cfg(unix)]
pub(crate) type Identity = (u64, u64);
#[cfg(not(unix))]
pub(crate) type Identity = PathBuf;

/// Returns the identity of the file that a path leads to, or `None` if there is no such file.
pub(crate) fn identity(path: &Path) -> Option<Identity> {
    fs::metadata(path).ok().and_then(|file| identity_of(&file, path))
}

/// Returns the identity of a file whose metadata is known already.
#[cfg(unix)]
pub(crate) fn identity_of(file: &Metadata, _path: &Path) -> Option<Identity> {
    use std::os::unix::fs::MetadataExt;
    Some((file.dev(), file.ino()))
}

#[cfg(not(unix))]
pub(crate) fn identity_of(_file: &Metadata, path: &Path) -> Option<Identity> {
    path.canonicalize().ok()
}

/// Returns the identities of the existing files of a database.
pub(crate) fn identities_of_database(database: &Path) -> Vec<Identity> {
    let real = real(database, LINKS); // SQLite appends the endings to the resolved path
    let names = [Some(database), real.as_deref()].into_iter().flatten();
    names
        .flat_map(|name| ENDINGS.map(|ending| beside(name, ending)))
        .filter_map(|file| identity(&file))
        .collect()
}

/// Resolves the symbolic links of a path. The last component of the path need not exist.
fn real(path: &Path, links: u8) -> Option<PathBuf> {
    if let Ok(real) = path.canonicalize() {
        return Some(real);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match fs::read_link(path) {
        // The link leads to a file that does not exist; writing would create that file.
        Ok(to) => real(&folder.join(to), links.checked_sub(1)?),
        Err(_) => Some(folder.canonicalize().ok()?.join(path.file_name()?)),
    }
}

/// Returns options for creating a file that only its owner may read, regardless of the umask.
pub fn private() -> OpenOptions {
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Creates or empties a file for rows. Afterwards only its owner may read it, even if the file existed before.
///
/// # Errors
/// The error of the operating system if the file cannot be opened for writing, or if its mode cannot be changed.
pub fn create_private(path: &Path) -> io::Result<File> {
    let file = private().write(true).create(true).truncate(true).open(path)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let found = file.metadata()?;
        let mode = found.permissions().mode();
        if found.is_file() && mode & 0o077 != 0 {
            let narrowed = fs::Permissions::from_mode(mode & 0o7700);
            file.set_permissions(narrowed).map_err(|error| {
                let why =
                    "other users can read the file, and its mode cannot be changed; remove it or name another file";
                io::Error::new(error.kind(), format!("{error}; {why}"))
            })?;
        }
    }
    Ok(file)
}
