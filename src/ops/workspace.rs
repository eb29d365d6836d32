//! A folder for what is not finished.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::db::files::private;
use crate::{Error, Result};

const PREFIX: &str = ".viraldb-unfinished-";
const LOCK: &str = "lock";
/// A younger one without a lock may be about to get it.
const YOUNG: Duration = Duration::from_secs(10);

/// A folder of our own beside what it is for, so that files in it are renamed and not copied. It goes away with
/// all that is in it; one that a killed process left is removed by the next.
pub(super) struct Workspace {
    path: PathBuf,
    /// Locked as long as the process lives.
    _lock: File,
}

impl Workspace {
    pub(super) fn new(folder: &Path) -> Result<Self> {
        remove_left(folder);
        let path = folder.join(format!("{PREFIX}{}", uuid::Uuid::now_v7()));
        let mut builder = fs::DirBuilder::new();
        #[cfg(unix)]
        std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
        builder.create(&path).map_err(|error| Error::io(&path, error))?;
        let lock = lock_in(&path);
        match lock {
            Ok(lock) => Ok(Self { path, _lock: lock }),
            Err(error) => {
                let _ = remove(&path); // the first error is the one to tell
                Err(error)
            }
        }
    }

    pub(super) fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

impl Drop for Workspace {
    fn drop(&mut self) {
        if let Err(error) = remove(&self.path) {
            tracing::warn!("{} could not be removed: {error}", self.path.display());
        }
    }
}

/// A locked file, which gets its name when it is locked: whoever can lock a file of that name knows that its owner
/// is gone.
fn lock_in(folder: &Path) -> Result<File> {
    let (unlocked, locked) = (folder.join("locking"), folder.join(LOCK));
    let lock = create_private(&unlocked)?;
    lock.lock().map_err(|error| Error::io(&unlocked, error))?;
    fs::rename(&unlocked, &locked).map_err(|error| Error::io(&locked, error))?;
    Ok(lock)
}

/// Removes what killed processes left in a folder.
pub(super) fn remove_left(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return }; // whoever uses the folder is told why not
    for entry in entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with(PREFIX)) {
        let path = entry.path();
        let is_left = match open_lock(&path) {
            Ok(lock) => lock.try_lock().is_ok(),
            Err(error) => error.kind() == io::ErrorKind::NotFound && is_old(&path),
        };
        if is_left {
            match remove(&path) {
                Ok(()) => tracing::info!("{} was left by a killed process and is removed", path.display()),
                Err(error) => tracing::warn!("{} could not be removed: {error}", path.display()),
            }
        }
    }
}

/// Removes a folder, its lock last: what is left if the process is killed meanwhile is known by it, and the next one
/// removes the rest.
fn remove(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        if entry.file_name() == LOCK {
            continue;
        }
        if entry.file_type()?.is_dir() {
            fs::remove_dir_all(entry.path())?;
        } else {
            fs::remove_file(entry.path())?;
        }
    }
    fs::remove_dir_all(folder)
}

/// Opens the lock of a folder that is ours; what somebody else has put there is not waited for.
fn open_lock(folder: &Path) -> io::Result<File> {
    let mut options = fs::OpenOptions::new();
    options.read(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
        if fs::metadata(folder)?.uid() != rustix::process::geteuid().as_raw() {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
        options.custom_flags(rustix::fs::OFlags::NONBLOCK.bits().cast_signed());
    }
    options.open(folder.join(LOCK))
}

pub(super) fn is_old(path: &Path) -> bool {
    let age =
        fs::metadata(path).and_then(|folder| folder.modified()).map(|at| at.elapsed().unwrap_or_default());
    age.is_ok_and(|age| age > YOUNG)
}

/// Makes a file that only its owner may read.
pub(super) fn create_private(path: &Path) -> Result<File> {
    private().write(true).create_new(true).open(path).map_err(|error| Error::io(path, error))
}

/// Makes what was renamed in a folder last.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    #[cfg(unix)]
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Error::io(folder, error))?;
    Ok(())
}

/// Refuses to begin what would not fit on the disk.
pub(super) fn require_space(folder: &Path, needed: u64, what: &str) -> Result<()> {
    let (free, _) = space(folder)?;
    if free >= needed {
        return Ok(());
    }
    Err(Error::invalid(
        folder.display().to_string(),
        format!(
            "has {} free, and {what} may take {}; make room, or name another folder",
            indicatif::HumanBytes(free),
            indicatif::HumanBytes(needed)
        ),
    ))
}

/// What is left for others of a disk that we write to without knowing how much is to come: this, or a part of it
/// if the disk is small.
const LEFT: u64 = 64 * 1024 * 1024;
const PART: u64 = 32;

/// Refuses to write so many bytes more if the disk would be nearly full then.
pub(super) fn require_room_left(folder: &Path, bytes: u64, what: &str) -> Result<()> {
    let (free, whole) = space(folder)?;
    if free.saturating_sub(bytes) >= LEFT.min(whole / PART) {
        return Ok(());
    }
    Err(Error::invalid(
        folder.display().to_string(),
        format!(
            "has only {} left, and {what} is not complete; make room, or name another folder",
            indicatif::HumanBytes(free)
        ),
    ))
}

/// The bytes of a disk that are free for us, and all that it has.
fn space(folder: &Path) -> Result<(u64, u64)> {
    #[cfg(unix)]
    {
        let disk = rustix::fs::statvfs(folder).map_err(|error| Error::io(folder, error.into()))?;
        Ok((disk.f_bavail.saturating_mul(disk.f_frsize), disk.f_blocks.saturating_mul(disk.f_frsize)))
    }
    #[cfg(not(unix))]
    {
        let _ = folder;
        Ok((u64::MAX, 0))
    }
}
