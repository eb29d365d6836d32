//! What kind of file system a folder is on, by `/proc/self/mountinfo`.

use std::path::Path;

use super::finding::{Check, Finding};

/// The kind of the file system that holds a folder, such as `ext4` or `nfs4`.
pub(super) fn kind_of(mountinfo: &str, folder: &Path) -> Option<String> {
    // ID PARENT MAJOR:MINOR ROOT POINT OPTIONS … - KIND SOURCE OPTIONS; a later mount hides what is below it.
    let mounts = mountinfo.lines().filter_map(|line| {
        let (before, behind) = line.split_once(" - ")?;
        Some((unescaped(before.split(' ').nth(4)?), behind.split(' ').next()?))
    });
    mounts
        .filter(|(point, _)| folder.starts_with(point))
        .max_by_key(|(point, _)| point.len())
        .map(|(_, kind)| kind.to_owned())
}

/// White space and backslashes stand there in octal.
fn unescaped(point: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(point.to_owned(), |text, (code, sign)| text.replace(code, sign))
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
pub(super) fn judge(path: &Path, kind: &str) -> Option<Finding> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maintenance::Severity;

    const MOUNTS: &str = "\
22 28 0:20 / /proc rw,nosuid - proc proc rw
28 0 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
31 28 0:30 / /mnt/a\\040b rw shared:2 master:1 - nfs4 host:/x rw,vers=4.2
32 28 0:31 / /mnt/ssh rw - fuse.sshfs me@host: rw
33 28 8:2 / /srv rw - ext4 /dev/sdb1 rw
34 33 0:32 / /srv rw - cifs //host/x rw
35 34 8:3 / /srv/local rw - xfs /dev/sdc1 rw
";

    #[test]
    fn the_last_and_longest_mount_counts() {
        let kind = |folder: &str| kind_of(MOUNTS, Path::new(folder));
        for (folder, expected) in [
            ("/home/me", "ext4"),
            ("/mnt/a b", "nfs4"),
            ("/mnt/a b/c", "nfs4"),
            ("/mnt/a bc", "ext4"),
            ("/mnt/ssh/x", "fuse.sshfs"),
            ("/srv", "cifs"),
            ("/srv/local/x", "xfs"),
        ] {
            assert_eq!(kind(folder).as_deref(), Some(expected), "{folder}");
        }
        assert_eq!(kind_of("", Path::new("/")), None);
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
