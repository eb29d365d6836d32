//! Files next to a database: which of them are one file, and how files that may hold rows are created.

use std::fs::{self, File, Metadata, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

#[cfg(feature = "sqlite")]
use crate::{Error, Result};

/// What SQLite appends to the name of a database: nothing, and the endings of the files that it keeps next to it.
pub(crate) const ENDINGS: [&str; 4] = ["", "-wal", "-shm", "-journal"];

/// Symbolic links that are followed before they count as a loop, as on Linux.
const LINKS: u8 = 40;

/// A file that SQLite keeps beside the one of a database.
pub(crate) fn beside(path: &Path, ending: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// A folder for temporary files, which is gone when it is dropped.
///
/// # Errors
/// `Io` names the folder in which it could not be made.
#[cfg(feature = "sqlite")]
pub(crate) fn temporary() -> Result<tempfile::TempDir> {
    tempfile::tempdir().map_err(|error| {
        let error = Error::io(std::env::temp_dir(), error);
        error.with("it is to hold temporary files; name another folder with TMPDIR")
    })
}

/// Returns true if a path leads to the file of a database, or to one that SQLite keeps next to it. These may be still to
/// come.
pub fn is_of_database(database: &Path, path: &Path) -> bool {
    let real = real(database, LINKS); // SQLite appends the endings to this one
    let names = [Some(database), real.as_deref()].into_iter().flatten();
    names.flat_map(|name| ENDINGS.map(|ending| beside(name, ending))).any(|file| same_file(&file, path))
}

/// Returns true if two paths lead to one file, also through a symbolic or a hard link. A file that does not exist yet
/// is compared by its folder and name.
///
/// Neither file is opened: closing a SQLite file would drop the locks that this process holds on it.
pub(crate) fn same_file(one: &Path, other: &Path) -> bool {
    match (identity(one), identity(other)) {
        (Some(one), Some(other)) => one == other,
        (None, None) => one == other || real(one, LINKS).is_some_and(|one| real(other, LINKS) == Some(one)),
        _ => false, // only one of them exists
    }
}

/// What tells a file from all others while it exists.
#[cfg(unix)]
pub(crate) type Identity = (u64, u64);
#[cfg(not(unix))]
pub(crate) type Identity = PathBuf;

/// Returns the identity of the file that a path leads to, if there is one.
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

/// Returns the identities of the files of a database that exist.
pub(crate) fn identities_of_database(database: &Path) -> Vec<Identity> {
    let real = real(database, LINKS); // SQLite appends the endings to this one
    let names = [Some(database), real.as_deref()].into_iter().flatten();
    names
        .flat_map(|name| ENDINGS.map(|ending| beside(name, ending)))
        .filter_map(|file| identity(&file))
        .collect()
}

/// The path without symbolic links, whose last part need not exist.
fn real(path: &Path, links: u8) -> Option<PathBuf> {
    if let Ok(real) = path.canonicalize() {
        return Some(real);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match fs::read_link(path) {
        // It leads to a file that does not exist, and writing would create that.
        Ok(to) => real(&folder.join(to), links.checked_sub(1)?),
        Err(_) => Some(folder.canonicalize().ok()?.join(path.file_name()?)),
    }
}

/// Options for creating a file that only its owner may read, whatever the umask.
pub fn private() -> OpenOptions {
    #[cfg_attr(not(unix), allow(unused_mut))]
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options
}

/// Creates or empties a file that may hold rows. Only its owner may read it afterwards, also if it existed before.
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
                    "other users may read it, and its mode cannot be changed; remove it or name another file";
                io::Error::new(error.kind(), format!("{error}; {why}"))
            })?;
        }
    }
    Ok(file)
}
