//! Checks of a SQLite file that do not open the database.

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

/// Returns the folder of the database, in which SQLite creates its other files.
fn folder(path: &Path) -> Result<PathBuf> {
    let whole = path.canonicalize().map_err(|error| Error::io(path, error))?;
    Ok(whole.parent().map_or_else(|| whole.clone(), Path::to_owned))
}

/// Checks the file system. The write-ahead log needs shared memory, which network file systems do not provide, and must be
/// in the same folder as the database.
fn file_system(path: &Path) -> Result<Option<Finding>> {
    let mounts = mounts::read()?;
    let whole = path.canonicalize().map_err(|error| Error::io(path, error))?;
    if mounts::is_mount_point(&mounts, &whole) {
        let what = format!("{} is mounted as a single file, without its folder", path.display());
        let why = "the write-ahead log is stored in the container: other programs do not see committed rows, and the rows are \
                   lost with the container";
        let mend = "stop the programs that use it, mount the folder instead of the file, and put the file and its -wal file there";
        return Ok(Some(Finding::error(Check::FileSystem, what, why).mend(mend)));
    }
    Ok(mounts::kind_of(&mounts, &folder(path)?).and_then(|kind| judge(path, &kind)))
}

/// Network file systems, by their Linux names.
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

/// Returns the finding for a database on this type of file system, if there is one.
fn judge(path: &Path, kind: &str) -> Option<Finding> {
    let name = path.display();
    let why = "the write-ahead log needs shared memory and reliable file locks; without them the file will be \
               damaged";
    let mend = format!(
        "stop the programs that use it, and move {name} and its -wal file to a local disk, or use PostgreSQL"
    );
    if SERVED.contains(&kind) {
        let what = format!("{name} is on a network file system ({kind}), where SQLite is not safe");
        return Some(Finding::error(Check::FileSystem, what, why).mend(mend));
    }
    // Most FUSE file systems are remote: sshfs, s3fs, rclone, gcsfuse.
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
        let why = "every write fails, including those of workers";
        found.push(
            Finding::warning(check, format!("{name} is not writable by this user"), why)
                .mend(format!("chmod u+w {name}, or run as its owner: {}", owner(&file))),
        );
    }
    if access(&folder, Access::WRITE_OK).is_err() {
        let why = "SQLite creates files next to the database and cannot work without them";
        let what = format!("the folder {} is not writable by this user", folder.display());
        found.push(Finding::warning(check, what, why).mend(format!("chmod u+w {}", folder.display())));
    }
    if file.mode() & 0o007 != 0 {
        let what = format!("every user of the machine may open {name} (mode {:04o})", file.mode() & 0o7777);
        let finding =
            Finding::warning(check, what, "it may contain settings, and shows what the channels do");
        found.push(if file.uid() == rustix::process::geteuid().as_raw() {
            finding.fixed_by(Fix::Narrow(path.to_owned()))
        } else {
            finding.mend(format!("chmod o-rwx {name}, as its owner: {}", owner(&file)))
        });
    }
    for ending in ["-wal", "-shm"] {
        let other = beside(path, ending);
        let Ok(there) = std::fs::metadata(&other) else { continue }; // usually absent
        if there.uid() != file.uid() {
            let what = format!(
                "{} belongs to {}, but the database belongs to {}",
                other.display(),
                owner(&there),
                owner(&file)
            );
            let why = "if one of the two users cannot write the file, that user cannot write to the database";
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

/// If at least this much is free (1 GiB), having less than a tenth of the disk free is only a note.
const ENOUGH: u64 = 1 << 30;

/// Returns a finding if the disk has too little free space. A backup, VACUUM, or a migration that rebuilds the largest
/// table may need as much as the size of the database.
fn short_of_space(folder: &Path, free: u64, total: u64, size: u64) -> Option<Finding> {
    let (at, left) = (folder.display(), HumanBytes(free));
    let why = "a full disk stops all writes; a backup or a migration may need as much space as the database";
    let mend = format!("make room; this command lists the largest folders: du -xh {at} | sort -h | tail");
    if free < size {
        let what =
            format!("only {left} are free in {at}, less than the size of the database: {}", HumanBytes(size));
        return Some(Finding::warning(Check::DiskSpace, what, why).mend(mend));
    }
    if free >= total / 10 {
        return None;
    }
    let what = format!("only {left} of {} are free in {at}, less than a tenth", HumanBytes(total));
    let severity = if free < ENOUGH { Severity::Warning } else { Severity::Info };
    Some(Finding::warning(Check::DiskSpace, what, why).with_severity(severity).mend(mend))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_of_the_disk_and_the_size_of_the_database_must_be_free() {
        let said = |free, total, size| {
            short_of_space(Path::new("/x"), free, total, size).map(|found| (found.severity, found.what))
        };
        assert_eq!(said(100, 1_000, 100), None);
        let (severity, what) = said(99, 1_000, 10).unwrap();
        assert!(severity == Severity::Warning && what.contains("less than a tenth"), "{what}");
        assert_eq!(
            said(2 << 30, 200 << 30, 1 << 20).unwrap().0,
            Severity::Info,
            "2 GiB are enough in absolute terms"
        );
        let (severity, what) = said(500, 1_000, 501).unwrap();
        assert!(
            severity == Severity::Warning && what.contains("less than the size of the database"),
            "{what}"
        );
    }

    #[test]
    fn network_file_systems_are_recognized() {
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
