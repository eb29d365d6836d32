//! A small disk for one test, which fills up quickly.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use super::Scratch;

/// The environment variable with the folder of the disk, set when the test runs a second time.
const DISK: &str = "VIRALDB_TEST_DISK";

/// A small file system in memory.
pub struct Disk {
    folder: PathBuf,
}

/// Runs `body` with a disk of `mib` MiB. For that, the test in `module` runs a second time in a process that may mount
/// file systems. The disk disappears when that process ends, even if it is killed.
pub fn on_small_disk(t: &Scratch, module: &str, mib: u32, body: impl FnOnce(&Disk)) {
    if let Some(folder) = std::env::var_os(DISK) {
        return body(&Disk { folder: folder.into() });
    }
    let folder = t.path("disk");
    std::fs::create_dir(&folder).unwrap();
    let (_, module) = module.split_once("::").unwrap();
    let test = format!("{module}::{}", if t.is_postgres { "postgres" } else { "sqlite" });
    // Mounting requires root in the namespace, and PostgreSQL refuses to run as root, so switch to another user afterwards.
    let script = "mount -t tmpfs -o size=$1m,mode=0777 tmpfs \"$2\" && shift 2 && \
                  exec unshare --map-user=65534 --map-group=65534 \"$@\"";
    let ran = Command::new("unshare")
        .args(["--mount", "--map-root-user", "bash", "-c", script, "-", &mib.to_string()])
        .arg(&folder)
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &test])
        .env(DISK, &folder)
        .env_remove("VIRALDB_TEST_POSTGRES_URL")
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
    assert!(
        ran.status.success() && out.contains("1 passed"),
        "the test failed on a small disk, which needs `unshare` and `mount` of util-linux: {out}{err}"
    );
}

impl Disk {
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// Returns a scratch of the same engine on this disk. On PostgreSQL only its tables are on the disk.
    #[cfg_attr(not(feature = "postgres"), allow(unused_variables))] // `t` only matters on PostgreSQL.
    pub fn scratch(&self, t: &Scratch) -> Scratch {
        let dir = tempfile::tempdir_in(&self.folder).unwrap();
        #[cfg(feature = "postgres")]
        if t.is_postgres {
            return Scratch::postgres_in(dir);
        }
        #[cfg(feature = "sqlite")]
        return Scratch::sqlite_in(dir);
        #[cfg(not(feature = "sqlite"))]
        unreachable!("at least one engine is compiled in");
    }

    /// Fills the disk except for `left` KiB.
    pub fn fill(&self, left: u64) {
        let mut filler = File::create(self.filler()).unwrap();
        let mut taken = 0;
        while let Ok(bytes) = filler.write(&[0; 4096]) {
            taken += bytes as u64;
        }
        filler.set_len(taken.saturating_sub(left * 1024)).unwrap();
    }

    /// Frees the space that [`Disk::fill`] took.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.path("filler")
    }
}
