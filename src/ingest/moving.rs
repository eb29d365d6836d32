//! Moves files to another folder without replacing existing files.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::names;
use crate::{Error, Result};

/// Maximum number of names to try for a file.
const MOST_NAMES: u32 = 100_000;

/// Moves a file to a path, or to a similar path that is free, and returns the new path. `a.csv` becomes `a-1.csv` if
/// `a.csv` exists.
///
/// If the path is on another file system, the file is copied and then removed. The same is done for a link, because its
/// target may be relative.
pub(super) fn move_file(from: &Path, to: &Path) -> Result<PathBuf> {
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
    }
    let is_link = fs::symlink_metadata(from).map_err(|error| Error::io(from, error))?.is_symlink();
    let to = reserve(to)?;
    let moved = if is_link { Err(io::ErrorKind::CrossesDevices.into()) } else { fs::rename(from, &to) };
    let moved = match moved {
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => copy(from, &to),
        moved => moved.map_err(|error| Error::io(from, error)),
    };
    if let Err(error) = moved {
        // Remove the new file. It is empty or a copy, and the original still exists.
        return Err(match fs::remove_file(&to) {
            Ok(()) => error,
            Err(left) => error.with(&format!("cannot remove the new file {}: {left}", to.display())),
        });
    }
    Ok(to)
}

/// Reserves the first free name by creating an empty file, so that no other program can take the name.
fn reserve(wanted: &Path) -> Result<PathBuf> {
    let name = wanted.file_name().unwrap_or_default();
    for number in 0..MOST_NAMES {
        let path = match (number, name.to_str()) {
            (0, _) => wanted.to_owned(),
            (_, Some(name)) => {
                let (stem, ending) = names::split(name);
                wanted.with_file_name(format!("{stem}-{number}{ending}"))
            }
            (_, None) => {
                let mut name = name.to_owned();
                name.push(format!("-{number}"));
                wanted.with_file_name(name)
            }
        };
        match File::create_new(&path) {
            Ok(_) => return Ok(path),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(Error::io(path, error)),
        }
    }
    Err(Error::io(wanted, io::ErrorKind::AlreadyExists.into()).with("remove old files from its folder"))
}

/// Copies a file over the reserved empty file, then removes the original. The copy is renamed only when it is complete.
fn copy(from: &Path, to: &Path) -> Result<()> {
    let failed = |error| Error::io(to, error);
    let folder = to.parent().unwrap_or(Path::new("."));
    let mut source = File::open(from).map_err(|error| Error::io(from, error))?;
    let mut copy = tempfile::Builder::new().prefix(".viraldb-").tempfile_in(folder).map_err(failed)?;
    io::copy(&mut source, copy.as_file_mut()).map_err(failed)?;
    let found = source.metadata().map_err(|error| Error::io(from, error))?;
    copy.as_file().set_permissions(found.permissions()).map_err(failed)?;
    if let Ok(modified) = found.modified() {
        copy.as_file().set_modified(modified).map_err(failed)?;
    }
    copy.as_file().sync_all().map_err(failed)?;
    copy.persist(to).map_err(|error| failed(error.error))?;
    fs::remove_file(from).map_err(|error| {
        Error::io(from, error)
            .with(&format!("cannot remove the original after copying it to {}", to.display()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moving_never_replaces_an_existing_file() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a.csv.gz"), dir.path().join("done/x/a.csv.gz"));
        for (text, name) in [("1", "a.csv.gz"), ("2", "a-1.csv.gz"), ("3", "a-2.csv.gz")] {
            fs::write(&from, text).unwrap();
            assert_eq!(move_file(&from, &to).unwrap(), to.with_file_name(name));
            assert!(!from.exists());
        }
        for (text, name) in [("1", "a.csv.gz"), ("2", "a-1.csv.gz"), ("3", "a-2.csv.gz")] {
            assert_eq!(fs::read_to_string(to.with_file_name(name)).unwrap(), text);
        }
        assert!(move_file(&from, &to).is_err());
        assert_eq!(fs::read_dir(to.parent().unwrap()).unwrap().count(), 3);
    }

    #[test]
    fn copying_keeps_the_modification_time_and_removes_the_original() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("a.csv"), dir.path().join("b.csv"));
        fs::write(&from, "rows").unwrap();
        let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000);
        File::options().write(true).open(&from).unwrap().set_modified(time).unwrap();
        let reserved = reserve(&to).unwrap();
        copy(&from, &reserved).unwrap();
        assert!(!from.exists() && fs::read_to_string(&to).unwrap() == "rows");
        assert_eq!(fs::metadata(&to).unwrap().modified().unwrap(), time);
    }

    #[cfg(unix)]
    #[test]
    fn moving_a_link_copies_its_target() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("real.csv"), "rows").unwrap();
        let link = dir.path().join("link.csv");
        std::os::unix::fs::symlink("real.csv", &link).unwrap();
        let moved = move_file(&link, &dir.path().join("done/link.csv")).unwrap();
        assert!(!moved.is_symlink() && fs::read_to_string(moved).unwrap() == "rows");
        assert!(!link.is_symlink() && dir.path().join("real.csv").exists());
    }
}
