//! The search for secrets in everything that the tests leave behind.
//!
//! The secrets that tests plant hold [`MARK`]. What a command prints, every file that a test's folder holds at its
//! end, every row of its PostgreSQL database and the server's log are searched for it, in every test.

use std::path::{Path, PathBuf};

use super::Scratch;

/// What every planted secret holds, and nothing else.
pub const MARK: &str = "planted";

pub fn is_in(bytes: &[u8]) -> bool {
    bytes.windows(MARK.len()).any(|part| part == MARK.as_bytes())
}

impl Scratch {
    /// Where a planted secret lies that this test, with its commands, has left behind.
    pub fn planted(&self) -> Vec<String> {
        let written = self.written.lock().unwrap();
        let mut found = Vec::new();
        search(self.dir.path(), &written, &mut found);
        #[cfg(feature = "postgres")]
        if self.is_postgres {
            found.extend(super::postgres::planted(&self.url));
        }
        found
    }
}

/// The files below a folder that hold one; those that the test itself has written may.
fn search(folder: &Path, written: &[PathBuf], found: &mut Vec<String>) {
    for entry in std::fs::read_dir(folder).unwrap().map(Result::unwrap) {
        let (path, kind) = (entry.path(), entry.file_type().unwrap());
        if kind.is_dir() {
            search(&path, written, found);
        } else if kind.is_file() && !written.contains(&path) && std::fs::read(&path).is_ok_and(|b| is_in(&b))
        {
            found.push(path.display().to_string());
        }
    }
}
