//! The file of a SQLite database, without opening it.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use indicatif::HumanBytes;
use rustix::fs::{Access, access};

use super::finding::{Check, Finding, Fix, Severity};
use crate::db::beside;
use crate::ops::mounts;
use crate::{Error, Result};

pub(super) fn look(check: Check, path: &Path) -> Result<Vec<Finding>> {
    match check {
        Check::FileSystem => Ok(file_system(path)?.into_iter().collect()),
        Check::Permissions => permissions(path),
        _ => disk_space(path),
    }
}

/// The folder of the file, which SQLite puts its own files in.
fn folder(path: &Path) -> Result<PathBuf> {
    let whole = path.canonicalize().map_err(|error| Error::io(path, error))?;
    Ok(whole.parent().map_or_else(|| whole.clone(), Path::to_owned))
}

/// A write-ahead log needs memory that all programs share, which no network gives them, and has to be where the file is.
fn file_system(path: &Path) -> Result<Option<Finding>> {
    let mounts = mounts::read()?;
    let whole = path.canonicalize().map_err(|error| Error::io(path, error))?;
    if mounts::is_mount_point(&mounts, &whole) {
        let what = format!("{} is mounted by itself, without the folder that it is in", path.display());
        let why = "the write-ahead log stands beside it and stays in the container: what is committed is lost with that, and \
                   other programs do not see it";
        let mend =
            "stop what uses it, mount the folder in place of the file, and put the file and its -wal there";
        return Ok(Some(Finding::error(Check::FileSystem, what, why).mend(mend)));
    }
    Ok(mounts::kind_of(&mounts, &folder(path)?).and_then(|kind| judge(path, &kind)))
}

/// File systems that another machine serves, as Linux calls them.
const SERVED: &[&str] = &[
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "coda",
    "davfs",
    "glusterfs",
    "lustre",
    "ncpfs",
    "prl_fs",
    "vboxsf",
    "virtiofs",
    "vmhgfs",
];

/// What is to be said of a database on such a file system.
fn judge(path: &Path, kind: &str) -> Option<Finding> {
    let name = path.display();
    let why = "the write-ahead log needs memory that all programs share, and locks that hold; without them the file \
               is damaged";
    let mend = format!(
        "stop what uses it, and move {name} with its -wal to a disk of this machine; or use PostgreSQL"
    );
    if SERVED.contains(&kind) {
        let what = format!("{name} is on a network file system ({kind}), where SQLite is not safe");
        return Some(Finding::error(Check::FileSystem, what, why).mend(mend));
    }
    // Most of them are served too: sshfs, s3fs, rclone, gcsfuse.
    kind.starts_with("fuse.").then(|| {
        let what = format!("{name} is on {kind}, which may be a network file system");
        Finding::warning(Check::FileSystem, what, why).mend(mend)
    })
}

fn permissions(path: &Path) -> Result<Vec<Finding>> {
    let (check, name, folder) = (Check::Permissions, path.display(), folder(path)?);
    let metadata = |path: &Path| std::fs::metadata(path).map_err(|error| Error::io(path, error));
    let file = metadata(path)?;
    let mut found = Vec::new();
    if access(path, Access::WRITE_OK).is_err() {
        let why = "nothing can be written; a worker that tries fails";
        found.push(
            Finding::warning(check, format!("{name} may not be written by this user"), why)
                .mend(format!("chmod u+w {name}, or run as its owner: {}", owner(&file))),
        );
    }
    if access(&folder, Access::WRITE_OK).is_err() {
        let why = "SQLite makes files beside the database and cannot work without them";
        let what = format!("the folder {} may not be written by this user", folder.display());
        found.push(Finding::warning(check, what, why).mend(format!("chmod u+w {}", folder.display())));
    }
    if file.mode() & 0o007 != 0 {
        let what = format!("every user of the machine may open {name} (mode {:04o})", file.mode() & 0o7777);
        let finding = Finding::warning(check, what, "it may hold settings, and says what the channels do");
        found.push(if file.uid() == rustix::process::geteuid().as_raw() {
            finding.fixed_by(Fix::Narrow(path.to_owned()))
        } else {
            finding.mend(format!("chmod o-rwx {name}, as its owner: {}", owner(&file)))
        });
    }
    for ending in ["-wal", "-shm"] {
        let other = beside(path, ending);
        let Ok(there) = std::fs::metadata(&other) else { continue }; // most are not there
        if there.uid() != file.uid() {
            let what = format!(
                "{} belongs to {}, and the database to {}",
                other.display(),
                owner(&there),
                owner(&file)
            );
            let why = "one of the two cannot write there, and then not the database either";
            found.push(Finding::warning(check, what, why).mend(format!(
                "chown {} {}",
                file.uid(),
                other.display()
            )));
        }
    }
    Ok(found)
}

fn owner(file: &Metadata) -> String {
    format!("user {}", file.uid())
}

fn disk_space(path: &Path) -> Result<Vec<Finding>> {
    let folder = folder(path)?;
    let space = rustix::fs::statvfs(&folder).map_err(|error| Error::io(&folder, error.into()))?;
    let size = std::fs::metadata(path).map_err(|error| Error::io(path, error))?.len();
    let (free, total) = (space.f_bavail * space.f_frsize, space.f_blocks * space.f_frsize);
    Ok(short_of_space(&folder, free, total, size).into_iter().collect())
}

/// From here on a tenth of a disk is room enough.
const ENOUGH: u64 = 1 << 30;

/// A backup, a migration that rebuilds the largest table, or VACUUM may take as much as the database has.
fn short_of_space(folder: &Path, free: u64, total: u64, size: u64) -> Option<Finding> {
    let (at, left) = (folder.display(), HumanBytes(free));
    let why = "a full disk stops every write; a backup or a migration may need as much as the database has";
    let mend = format!("make room: du -xh {at} | sort -h | tail");
    if free < size {
        let what = format!("{left} are free in {at}, less than the database has: {}", HumanBytes(size));
        return Some(Finding::warning(Check::DiskSpace, what, why).mend(mend));
    }
    if free >= total / 10 {
        return None;
    }
    let what = format!("{left} of {} are free in {at}, less than a tenth", HumanBytes(total));
    let severity = if free < ENOUGH { Severity::Warning } else { Severity::Info };
    Some(Finding::warning(Check::DiskSpace, what, why).with_severity(severity).mend(mend))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_and_the_size_of_the_database_are_to_be_free() {
        let said = |free, total, size| {
            short_of_space(Path::new("/x"), free, total, size).map(|found| (found.severity, found.what))
        };
        assert_eq!(said(100, 1_000, 100), None);
        let (severity, what) = said(99, 1_000, 10).unwrap();
        assert!(severity == Severity::Warning && what.contains("less than a tenth"), "{what}");
        assert_eq!(said(2 << 30, 200 << 30, 1 << 20).unwrap().0, Severity::Info, "much is left all the same");
        let (severity, what) = said(500, 1_000, 501).unwrap();
        assert!(severity == Severity::Warning && what.contains("less than the database has"), "{what}");
    }

    #[test]
    fn network_file_systems_are_named() {
        let said = |kind: &str| judge(Path::new("/srv/viral.db"), kind);
        for kind in SERVED {
            let found = said(kind).unwrap();
            assert!(found.severity == Severity::Error && found.what.contains(kind), "{kind}");
        }
        assert_eq!(said("fuse.sshfs").unwrap().severity, Severity::Warning);
        for kind in ["ext4", "xfs", "btrfs", "zfs", "tmpfs", "overlay", "fuseblk", "apfs"] {
            assert_eq!(said(kind), None, "{kind}");
        }
    }
}
