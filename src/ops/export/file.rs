//! Writes the files of an export so that all of them become visible together.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::{Form, SOURCES};
use crate::ops::workspace::{Workspace, create_private, remove_left, sync_folder};
use crate::{Database, Error, Result};

/// The files of one export.
///
/// They are written to a temporary folder next to the target. When all of them are complete and on disk, they are moved to
/// the target in one step. If an export is killed, the next one removes its temporary folder.
pub(super) struct Files {
    work: Workspace,
    target: Target,
    files: Vec<Writing>,
}

/// The destination of the files.
enum Target {
    /// One file. The new file is renamed to this path.
    File(PathBuf),
    /// A folder. If it exists, it is exchanged for the new folder as a whole.
    Folder(PathBuf),
}

/// A file that is being written.
///
/// `shown` is its final path for messages, and `at` is its temporary path.
pub(super) struct Writing {
    shown: String,
    at: PathBuf,
    file: BufWriter<File>,
}

/// Name of the folder in the workspace that contains all files.
const ROWS: &str = "rows";

impl Files {
    /// Starts an export to one file.
    ///
    /// # Errors
    /// `Invalid` if the path exists and is not a regular file, or if the file belongs to the database.
    pub(super) fn one(db: &Database, path: PathBuf) -> Result<Self> {
        let refused = |why: &str| Err(Error::invalid(format!("--to {}", path.display()), why));
        if db.is_own_file(&path) {
            return refused("is a file of the database itself");
        }
        match fs::metadata(&path) {
            Ok(there) if there.is_dir() => return refused("is a folder; name a file"),
            Ok(there) if !there.is_file() => {
                return refused("is not a regular file; use - for standard output");
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(Error::io(path, error)),
        }
        let folder = parent(&path);
        fs::metadata(folder).map_err(|error| Error::io(&path, error))?;
        let work = workspace(folder)?;
        let shown = path.display().to_string();
        let file = Writing::new(work.file(ROWS).join("0"), shown)?;
        Ok(Self { work, target: Target::File(path), files: vec![file] })
    }

    /// Starts an export to files with these names in a folder. The folder must not exist yet, or must contain only files that
    /// exports wrote.
    ///
    /// # Errors
    /// `Invalid` if the folder contains anything else, because that could not be kept when the folder is exchanged.
    pub(super) fn many(db: &Database, folder: &Path, names: &[String]) -> Result<Self> {
        // Resolve links, so that a link to the folder still works after the folder is exchanged.
        let target = match folder.canonicalize() {
            Ok(there) => there,
            Err(error) if error.kind() == io::ErrorKind::NotFound => folder.to_owned(),
            Err(error) => return Err(Error::io(folder, error)),
        };
        if target.symlink_metadata().is_ok() {
            remove_left(&target);
            require_exchangeable(db, folder, &target)?;
        }
        let beside = parent(&target);
        fs::create_dir_all(beside).map_err(|error| Error::io(beside, error))?;
        let work = workspace(beside)?;
        let rows = work.file(ROWS);
        let file = |name: &String| Writing::new(rows.join(name), folder.join(name).display().to_string());
        let files = names.iter().map(file).collect::<Result<_>>()?;
        Ok(Self { work, target: Target::Folder(target), files })
    }

    pub(super) fn get(&mut self, n: usize) -> Option<&mut Writing> {
        self.files.get_mut(n)
    }

    /// Syncs all files to disk, then moves them to the target.
    pub(super) fn publish(self) -> Result<()> {
        let Self { work, target, files } = self;
        let written = files.into_iter().map(Writing::complete).collect::<Result<Vec<_>>>()?;
        match target {
            Target::File(path) => {
                for file in written {
                    fs::rename(file, &path).map_err(|error| Error::io(&path, error))?;
                }
                sync_folder(parent(&path))
            }
            Target::Folder(folder) => {
                place(&work.file(ROWS), &folder)?;
                sync_folder(parent(&folder))
            }
        }
    }
}

impl Writing {
    fn new(at: PathBuf, shown: String) -> Result<Self> {
        let file = create_private(&at)?;
        Ok(Self { shown, at, file: BufWriter::new(file) })
    }

    /// Returns the final path of the file.
    pub(super) fn name(&self) -> &str {
        &self.shown
    }

    /// Flushes the file and syncs it to disk.
    fn complete(self) -> Result<PathBuf> {
        let Self { shown, at, file } = self;
        let file = file.into_inner().map_err(io::IntoInnerError::into_error);
        file.and_then(|file| file.sync_all()).map_err(|error| Error::io(shown, error))?;
        Ok(at)
    }
}

impl Write for Writing {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

fn workspace(folder: &Path) -> Result<Workspace> {
    let work = Workspace::new(folder)?;
    let rows = work.file(ROWS);
    fs::create_dir(&rows).map_err(|error| Error::io(rows, error))?;
    Ok(work)
}

/// Returns the file name for a table.
pub(super) fn name(table: &str, form: Form) -> String {
    format!("{table}.{form}")
}

/// Checks that a folder can be exchanged for a new one without losing anything.
fn require_exchangeable(db: &Database, shown: &Path, folder: &Path) -> Result<()> {
    let refused = |why: String| Err(Error::invalid(format!("--to {}", shown.display()), why));
    match fs::metadata(folder) {
        Ok(there) if !there.is_dir() => {
            return refused("is not a folder; several tables need a folder".to_owned());
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return refused(
                "is a link to a folder that does not exist; create the folder or remove the link".to_owned(),
            );
        }
        Err(error) => return Err(Error::io(shown, error)),
    }
    if std::env::current_dir()
        .and_then(|current| current.canonicalize())
        .is_ok_and(|current| current == folder)
    {
        return refused(
            "is the current folder, which cannot be replaced as a whole; name a folder inside it".to_owned(),
        );
    }
    let is_exported = |name: &str| {
        SOURCES
            .iter()
            .any(|source| [Form::Jsonl, Form::Csv].iter().any(|form| self::name(source.table, *form) == name))
    };
    for entry in fs::read_dir(folder).map_err(|error| Error::io(shown, error))? {
        let entry = entry.map_err(|error| Error::io(shown, error))?;
        if db.is_own_file(&entry.path()) {
            return refused("contains the database itself; name a separate folder".to_owned());
        }
        let name = entry.file_name();
        let is_file = entry.file_type().is_ok_and(|kind| kind.is_file());
        if !is_file || !name.to_str().is_some_and(is_exported) {
            return refused(format!(
                "contains {:?}, which no export wrote; name a separate folder for several tables, because the whole \
                 folder is replaced",
                name.to_string_lossy()
            ));
        }
    }
    Ok(())
}

/// Replaces a folder with a new one. Other programs see either all old files or all new files. Old files are kept if the new
/// folder has no file with the same name.
fn place(new: &Path, folder: &Path) -> Result<()> {
    let failed = |error| Error::io(folder, error);
    let Ok(there) = fs::metadata(folder) else {
        sync_folder(new)?;
        return fs::rename(new, folder).map_err(failed);
    };
    let replaced = files(new)?;
    for name in files(folder)?.into_keys().filter(|name| !replaced.contains_key(name)) {
        let old = folder.join(&name);
        fs::hard_link(&old, new.join(name)).map_err(|error| Error::io(old, error))?;
    }
    take_owner(new, &there)?;
    sync_folder(new)?;
    exchange(new, folder).map_err(|error| {
        Error::invalid(
            folder.display().to_string(),
            format!("cannot be replaced by the new files in one step: {error}; name a new folder"),
        )
    })?;
    // Keep files that another program added to the old folder since it was listed.
    let (new, old) = (folder, new);
    let kept = files(new)?;
    for (name, id) in files(old)?.into_iter().filter(|(name, _)| !replaced.contains_key(name)) {
        if kept.get(&name) != Some(&id) {
            let late = new.join(&name);
            fs::rename(old.join(name), &late).map_err(|error| Error::io(late, error))?;
        }
    }
    Ok(())
}

/// Lists a folder: the name of each file and an id that identifies the file.
fn files(folder: &Path) -> Result<BTreeMap<OsString, u64>> {
    let failed = |error| Error::io(folder, error);
    fs::read_dir(folder)
        .map_err(failed)?
        .map(|entry| {
            let entry = entry.map_err(failed)?;
            let found = entry.metadata().map_err(failed)?;
            #[cfg(unix)]
            let id = std::os::unix::fs::MetadataExt::ino(&found);
            #[cfg(not(unix))]
            let id = found.len();
            Ok((entry.file_name(), id))
        })
        .collect()
}

/// Gives the new folder the owner and permissions of the old one.
fn take_owner(new: &Path, there: &fs::Metadata) -> Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, chown};
        if let Err(error) = chown(new, Some(there.uid()), Some(there.gid())) {
            tracing::warn!("cannot restore the owner of the folder, user {}: {error}", there.uid());
        }
    }
    fs::set_permissions(new, there.permissions()).map_err(|error| Error::io(new, error))
}

/// Swaps the names of two folders in one step.
fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_os = "android", target_os = "macos"))]
    {
        use rustix::fs::{CWD, RenameFlags, renameat_with};
        renameat_with(CWD, one, CWD, other, RenameFlags::EXCHANGE).map_err(Into::into)
    }
    #[cfg(not(any(target_os = "linux", target_os = "android", target_os = "macos")))]
    {
        let _ = (one, other);
        Err(io::ErrorKind::Unsupported.into())
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}
