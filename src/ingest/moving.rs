//! Moves files into another folder without replacing one that is there.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use super::names;
use crate::{Error, Result};

/// How many names are tried for a file: a folder with so many of one name is not what anybody wants.
const MOST_NAMES: u32 = 100_000;

/// Moves a file to a path, or to a free one like it, and returns where it is now. `a.csv` becomes `a-1.csv` if there is an
/// `a.csv`. On another file system it is copied and then removed, and so is a link: its target may be relative.
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
        // It is empty and our own.
        return Err(match fs::remove_file(&to) {
            Ok(()) => error,
            Err(left) => error.with(&format!("an empty file {} is left: {left}", to.display())),
        });
    }
    Ok(to)
}

/// Creates an empty file under the first free name, so that no other program takes the name meanwhile.
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
    Err(Error::io(wanted, io::ErrorKind::AlreadyExists.into()).with("remove old files from the folder"))
}

/// Copies a file over the empty one that was reserved for it, and removes it. The copy gets its name when it is complete.
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
    fs::remove_file(from)
        .map_err(|error| Error::io(from, error).with(&format!("it was copied to {}", to.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moved_file_replaces_no_other() {
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
    fn a_copied_file_keeps_its_time_and_is_removed() {
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
    fn a_link_becomes_the_file_it_leads_to() {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("real.csv"), "rows").unwrap();
        let link = dir.path().join("link.csv");
        std::os::unix::fs::symlink("real.csv", &link).unwrap();
        let moved = move_file(&link, &dir.path().join("done/link.csv")).unwrap();
        assert!(!moved.is_symlink() && fs::read_to_string(moved).unwrap() == "rows");
        assert!(!link.is_symlink() && dir.path().join("real.csv").exists());
    }
}
