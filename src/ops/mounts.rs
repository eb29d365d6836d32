//! Parses the mounted file systems from `/proc/self/mountinfo`.

use std::path::Path;

use crate::{Error, Result};

/// Returns the mounts that this process sees, or an empty string on systems without `/proc/self/mountinfo`.
pub(super) fn read() -> Result<String> {
    let mounts = "/proc/self/mountinfo";
    match std::fs::read_to_string(mounts) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        text => text.map_err(|error| Error::io(mounts, error)),
    }
}

/// Returns true if the file itself is a mount point, as with a container that gets a single file of its host.
///
/// `path` must not contain symbolic links.
pub(super) fn is_mount_point(mountinfo: &str, path: &Path) -> bool {
    points(mountinfo).any(|(point, _)| Path::new(&point) == path)
}

/// Returns the type of the file system that contains a folder, such as `ext4` or `nfs4`.
pub(super) fn kind_of(mountinfo: &str, folder: &Path) -> Option<String> {
    // Of several mounts on the same mount point, the last one hides the others.
    points(mountinfo)
        .filter(|(point, _)| folder.starts_with(point))
        .max_by_key(|(point, _)| point.len())
        .map(|(_, kind)| kind.to_owned())
}

/// Returns each mount point and the type of its file system.
fn points(mountinfo: &str) -> impl Iterator<Item = (String, &str)> {
    // ID PARENT MAJOR:MINOR ROOT POINT OPTIONS … - KIND SOURCE OPTIONS
    mountinfo.lines().filter_map(|line| {
        let (before, behind) = line.split_once(" - ")?;
        Some((unescaped(before.split(' ').nth(4)?), behind.split(' ').next()?))
    })
}

/// Decodes the octal escapes of whitespace and backslashes.
fn unescaped(point: &str) -> String {
    [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")]
        .iter()
        .fold(point.to_owned(), |text, (code, sign)| text.replace(code, sign))
}

#[cfg(test)]
mod tests {
    use super::*;

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
    fn the_last_and_longest_mount_wins() {
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
    fn a_single_file_can_be_a_mount_point() {
        let mounts = format!("{MOUNTS}36 28 8:1 /home/me/viral.db /data/viral.db rw - ext4 /dev/sda1 rw\n");
        let is_alone = |path: &str| is_mount_point(&mounts, Path::new(path));
        assert!(is_alone("/data/viral.db") && is_alone("/mnt/a b"));
        assert!(!is_alone("/data") && !is_alone("/data/viral.db-wal"));
    }
}
