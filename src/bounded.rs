//! Bounded reads: a file may be a pipe or a device that never ends.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use crate::{Error, Result};

/// Maximum size in bytes of a file that people write by hand.
pub const BY_HAND: u64 = 1 << 20;

/// The first bytes of every SQLite file.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// Opens a file to read it as text or as rows.
///
/// # Errors
/// `Invalid` for a SQLite database. The file descriptor stays open then: under POSIX rules, closing it would release all
/// locks that this process holds on the database.
pub(crate) fn open(path: &Path) -> Result<File> {
    let failed = |error| Error::io(path, error);
    let mut file = File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Ok(file); // a pipe cannot be rewound
    }
    let mut header = Vec::new();
    let read = file.by_ref().take(SQLITE.len() as u64).read_to_end(&mut header);
    if header == SQLITE {
        std::mem::forget(file);
        let reason = "is a SQLite database, not a text file; choose another file";
        return Err(Error::invalid(path.display().to_string(), reason));
    }
    read.and_then(|_| file.rewind()).map_err(failed)?;
    Ok(file)
}

/// Returns the text of a file of at most `most` bytes.
///
/// # Errors
/// `Io` if the file cannot be read or is not UTF-8, `Invalid` if it is larger or is a SQLite database.
pub fn file(path: &Path, most: u64) -> Result<String> {
    text(open(path)?, path, most)
}

/// Returns the text of a stream of at most `most` bytes. `name` appears in errors.
///
/// # Errors
/// `Invalid` if the stream is longer; at most one byte past the limit is read. `Io` if reading fails or the text is not
/// UTF-8.
pub fn text(from: impl Read, name: &Path, most: u64) -> Result<String> {
    let mut bytes = Vec::new();
    from.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| Error::io(name, error))?;
    if bytes.len() as u64 > most {
        return Err(Error::invalid(
            name.display().to_string(),
            format!("is larger than {} MiB, the maximum size for this input", most >> 20),
        ));
    }
    String::from_utf8(bytes)
        .map_err(|error| Error::io(name, io::Error::new(io::ErrorKind::InvalidData, error.utf8_error())))
}
