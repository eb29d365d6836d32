//! Writes rejected rows to a file, and shows the first ones.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use super::output;
use viraldb::private::files::create_private;
use viraldb::{Error, Result};

/// Number of rejected rows to show per input.
const SHOWN: usize = 5;

/// The file for rejected rows. Its old contents are replaced when the first row is rejected, or when an input has been read
/// to its end.
pub(super) struct Rejects<'a> {
    path: &'a Path,
    file: Option<BufWriter<File>>,
}

impl<'a> Rejects<'a> {
    /// Creates the value without opening the file. Fails if `is_taken` says that the path is an input or a file of the
    /// database.
    pub(super) fn new(path: &'a Path, is_taken: impl Fn(&Path) -> bool) -> Result<Self> {
        let refused = |why: &str| Err(Error::invalid(format!("--rejects {}", path.display()), why));
        if path.as_os_str() == "-" {
            return refused("is standard output; name a file");
        }
        if is_taken(path) {
            return refused("is an input or a file of the database; name another file");
        }
        Ok(Self { path, file: None })
    }

    pub(super) fn keep(&mut self, row: &impl Serialize) -> Result<()> {
        let path = self.path;
        let file = self.file()?;
        serde_json::to_writer(&mut *file, row)
            .map_err(io::Error::from)
            .and_then(|()| file.write_all(b"\n"))
            .map_err(|error| Error::io(path, error))
    }

    pub(super) fn flush(&mut self) -> Result<()> {
        let path = self.path;
        self.file()?.flush().map_err(|error| Error::io(path, error))
    }

    fn file(&mut self) -> Result<&mut BufWriter<File>> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => {
                let file = create_private(self.path).map_err(|error| Error::io(self.path, error))?;
                Ok(none.insert(BufWriter::new(file)))
            }
        }
    }
}

/// The first rejected rows, for people.
#[derive(Default)]
pub(super) struct Shown(Vec<String>);

impl Shown {
    pub(super) fn add(&mut self, line: impl FnOnce() -> String) {
        if self.0.len() < SHOWN {
            self.0.push(output::visible(&viraldb::private::quote::one_line(&line())));
        }
    }

    /// Prints the rows, the number of further rows, and how to keep all of them.
    pub(super) fn print(&self, rejected: u64, are_kept: bool) {
        let hint = if are_kept { "" } else { " (keep rejected rows with --rejects FILE)" };
        let more = rejected.saturating_sub(self.0.len() as u64);
        for (place, line) in self.0.iter().enumerate() {
            let is_last = place + 1 == self.0.len();
            output::message(&format!("  {line}{}", if is_last && more == 0 { hint } else { "" }));
        }
        if more > 0 {
            output::message(&format!("  and {more} more{hint}"));
        }
    }
}
