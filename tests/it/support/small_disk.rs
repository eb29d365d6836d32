//! A disk that is soon full, for one test.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use super::Scratch;

/// Tells the test, when it is run again, where its disk is.
const DISK: &str = "VIRALDB_TEST_DISK";

/// A file system of its own, in memory.
pub struct Disk {
    folder: PathBuf,
}

/// Runs `body` with a disk of so many MiB. For that the test, whose module is named, runs a second time, in a process
/// that may mount one; with that the disk is gone, however it ends.
pub fn on_small_disk(t: &Scratch, module: &str, mib: u32, body: impl FnOnce(&Disk)) {
    if let Some(folder) = std::env::var_os(DISK) {
        return body(&Disk { folder: folder.into() });
    }
    let folder = t.path("disk");
    std::fs::create_dir(&folder).unwrap();
    let (_, module) = module.split_once("::").unwrap();
    let test = format!("{module}::{}", if t.is_postgres { "postgres" } else { "sqlite" });
    // Who mounts is root there, as which PostgreSQL does not run.
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
        "on a small disk, which needs `unshare` and `mount` of util-linux: {out}{err}"
    );
}

impl Disk {
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// A database on this disk, of the same engine: on PostgreSQL its tables, and nothing else of the server.
    #[cfg_attr(not(feature = "postgres"), allow(unused_variables))] // only PostgreSQL has a server to ask
    pub fn scratch(&self, t: &Scratch) -> Scratch {
        let dir = tempfile::tempdir_in(&self.folder).unwrap();
        #[cfg(feature = "postgres")]
        if t.is_postgres {
            return Scratch::postgres_in(dir);
        }
        #[cfg(feature = "sqlite")]
        return Scratch::sqlite_in(dir);
        #[cfg(not(feature = "sqlite"))]
        unreachable!("one engine is there");
    }

    /// Takes all room but so many KiB.
    pub fn fill(&self, left: u64) {
        let mut filler = File::create(self.filler()).unwrap();
        let mut taken = 0;
        while let Ok(bytes) = filler.write(&[0; 4096]) {
            taken += bytes as u64;
        }
        filler.set_len(taken.saturating_sub(left * 1024)).unwrap();
    }

    /// Gives the room back.
    pub fn free(&self) {
        std::fs::remove_file(self.filler()).unwrap();
    }

    fn filler(&self) -> PathBuf {
        self.path("filler")
    }
}
