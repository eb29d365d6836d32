//! Reading no more than is wanted: a file may be a pipe or a device, and endless.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use indicatif::HumanBytes;

use crate::{Error, Result};

/// The most that is read of a file that people write by hand.
pub(crate) const BY_HAND: u64 = 1 << 20;

/// The text of a file, of so many bytes at most.
pub(crate) fn file(path: &Path, most: u64) -> Result<String> {
    text(File::open(path).map_err(|error| Error::io(path, error))?, path, most)
}

/// The text of a stream, of so many bytes at most; its name is for errors.
///
/// # Errors
/// `Invalid` if there is more, after reading one byte of it; `Io`, also for what is not UTF-8.
pub(crate) fn text(from: impl Read, name: &Path, most: u64) -> Result<String> {
    let mut bytes = Vec::new();
    from.take(most.saturating_add(1)).read_to_end(&mut bytes).map_err(|error| Error::io(name, error))?;
    if bytes.len() as u64 > most {
        return Err(Error::invalid(
            name.display().to_string(),
            format!("is longer than {}, the most that is read here", HumanBytes(most)),
        ));
    }
    String::from_utf8(bytes)
        .map_err(|error| Error::io(name, io::Error::new(io::ErrorKind::InvalidData, error.utf8_error())))
}
