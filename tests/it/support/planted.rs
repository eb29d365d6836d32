//! Searches everything that tests produce for secrets.
//!
//! Every secret that a test plants contains [`MARK`]. Each test searches for it in the output of commands, and at its
//! end in the files of its folder, the rows of its PostgreSQL database and the server's log.

use std::path::{Path, PathBuf};

use super::Scratch;

/// The text that every planted secret contains. It must not occur anywhere else.
pub const MARK: &str = "planted";

pub fn is_in(bytes: &[u8]) -> bool {
    bytes.windows(MARK.len()).any(|part| part == MARK.as_bytes())
}

impl Scratch {
    /// Returns the files and tables in which this test or its commands left a planted secret.
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

/// Adds the files below a folder that contain a planted secret to `found`, except those the test itself wrote.
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
