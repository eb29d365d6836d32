//! Folders for unfinished files.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::db::files::private;
use crate::{Error, Result};

const PREFIX: &str = ".viraldb-unfinished-";
const LOCK: &str = "lock";
/// Age up to which a workspace without a lock may still be about to get its lock.
const YOUNG: Duration = Duration::from_secs(10);

/// A private folder for unfinished files.
///
/// It is next to the final files, so that viraldb can rename files instead of copying them. Dropping the workspace removes
/// it with its contents. If a process is killed, the next one removes its workspace.
pub(super) struct Workspace {
    path: PathBuf,
    /// Locked for the lifetime of the process.
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
                let _ = remove(&path); // report the first error
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
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

/// Creates the lock file of a workspace. It gets its final name only after it is locked, so a process that can lock a file
/// with that name knows that the owner is gone.
fn lock_in(folder: &Path) -> Result<File> {
    let (unlocked, locked) = (folder.join("locking"), folder.join(LOCK));
    let lock = create_private(&unlocked)?;
    lock.lock().map_err(|error| Error::io(&unlocked, error))?;
    fs::rename(&unlocked, &locked).map_err(|error| Error::io(&locked, error))?;
    Ok(lock)
}

/// Removes the workspaces that killed processes left in a folder.
pub(super) fn remove_left(folder: &Path) {
    let Ok(entries) = fs::read_dir(folder) else { return }; // using the folder reports the reason
    for entry in entries.flatten().filter(|e| e.file_name().to_string_lossy().starts_with(PREFIX)) {
        let path = entry.path();
        let is_left = match open_lock(&path) {
            Ok(lock) => lock.try_lock().is_ok(),
            Err(error) => error.kind() == io::ErrorKind::NotFound && is_old(&path),
        };
        if is_left {
            match remove(&path) {
                Ok(()) => tracing::info!("removed {}, which a killed process had left", path.display()),
                Err(error) => tracing::warn!("cannot remove {}: {error}", path.display()),
            }
        }
    }
}

/// Removes a folder, the lock file last. If the process is killed before it finishes, the next process recognizes the rest by
/// its lock file and removes it.
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

/// Opens the lock file of a folder that belongs to the current user. It never blocks, even if somebody has put something
/// else there, such as a named pipe.
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

/// Creates a file that only its owner can read.
pub(super) fn create_private(path: &Path) -> Result<File> {
    private().write(true).create_new(true).open(path).map_err(|error| Error::io(path, error))
}

/// Makes the renames in a folder durable.
pub(super) fn sync_folder(folder: &Path) -> Result<()> {
    #[cfg(unix)]
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(|error| Error::io(folder, error))?;
    Ok(())
}

/// Fails if the disk has less free space than an operation needs.
pub(super) fn require_space(folder: &Path, needed: u64, what: &str) -> Result<()> {
    let (free, _) = space(folder)?;
    if free >= needed {
        return Ok(());
    }
    Err(Error::invalid(
        folder.display().to_string(),
        format!(
            "has {} free, but {what} may need {}; make room, or choose another folder",
            indicatif::HumanBytes(free),
            indicatif::HumanBytes(needed)
        ),
    ))
}

/// Disk space to leave for others while writing an amount of data that is not known in advance, 64 MiB.
const LEFT: u64 = 64 * 1024 * 1024;
/// On a small disk, one part of this many is enough.
const PART: u64 = 32;

/// Fails if writing this many bytes would leave the disk nearly full.
pub(super) fn require_room_left(folder: &Path, bytes: u64, what: &str) -> Result<()> {
    let (free, whole) = space(folder)?;
    if free.saturating_sub(bytes) >= LEFT.min(whole / PART) {
        return Ok(());
    }
    Err(Error::invalid(
        folder.display().to_string(),
        format!(
            "has only {} left, but {what} is not complete; make room, or choose another folder",
            indicatif::HumanBytes(free)
        ),
    ))
}

/// Returns the bytes that are available to the current user, and the size of the disk.
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
