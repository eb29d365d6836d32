//! Reading no more than is wanted: a file may be a pipe or a device, and endless.

use std::fs::File;
use std::io::{self, Read, Seek};
use std::path::Path;

use crate::{Error, Result};

/// The most that is read of a file that people write by hand.
pub const BY_HAND: u64 = 1 << 20;

/// What every SQLite file begins with.
const SQLITE: &[u8; 16] = b"SQLite format 3\0";

/// Opens a file to read it as text or as rows.
///
/// # Errors
/// `Invalid` for a SQLite database, which is left open: closing it would take the locks away that this process holds on
/// it, as POSIX has it.
pub(crate) fn open(path: &Path) -> Result<File> {
    let failed = |error| Error::io(path, error);
    let mut file = File::open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        return Ok(file); // a pipe cannot be read twice
    }
    let mut header = Vec::new();
    let read = file.by_ref().take(SQLITE.len() as u64).read_to_end(&mut header);
    if header == SQLITE {
        std::mem::forget(file);
        let reason = "is a SQLite database, and a text was expected; name another file";
        return Err(Error::invalid(path.display().to_string(), reason));
    }
    read.and_then(|_| file.rewind()).map_err(failed)?;
    Ok(file)
}

/// The text of a file, of so many bytes at most.
pub fn file(path: &Path, most: u64) -> Result<String> {
    text(open(path)?, path, most)
}

/// The text of a stream, of so many bytes at most; its name is for errors.
///
/// # Errors
/// `Invalid` if there is more, after reading one byte of it; `Io`, also for what is not UTF-8.
pub fn text(from: impl Read, name: &Path, most: u64) -> Result<String> {
    let mut bytes = Vec::new();
    from.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| Error::io(name, error))?;
    if bytes.len() as u64 > most {
        return Err(Error::invalid(
            name.display().to_string(),
            format!("is longer than {} MiB, the most that is read here", most >> 20),
        ));
    }
    String::from_utf8(bytes)
        .map_err(|error| Error::io(name, io::Error::new(io::ErrorKind::InvalidData, error.utf8_error())))
}
