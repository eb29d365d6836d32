//! Packs a copy of a database into a backup, and unpacks it again.

use std::fmt::Write as _;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

#[cfg(not(feature = "encrypted-backups"))]
use super::seal::not_built;
use super::seal::{Seal, Unseal};
use crate::ops::workspace::create_private;
use crate::{Error, Result};

/// The fastest zstd level. Concurrent writers need the processor, and the check of the copy takes longer anyway.
const LEVEL: i32 = 1;
const BUFFER: usize = 256 * 1024;
/// The maximum memory for unpacking, as a power of two: 128 MiB, the same limit as that of `zstd -d`.
const WINDOW: u32 = 27;
const ZSTD: &[u8] = &[0x28, 0xb5, 0x2f, 0xfd];
const AGE: &[u8] = b"age-encryption.org/v1";
const SQLITE: &[u8] = b"SQLite format 3\0";

/// Sizes and checksums of a backup and its content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sums {
    /// Size of the backup in bytes.
    pub(super) bytes: u64,
    /// SHA-256 of the backup.
    pub(super) sha256: String,
    /// Size of the uncompressed copy in bytes.
    pub(super) content_bytes: u64,
    /// SHA-256 of the uncompressed copy.
    pub(super) content_sha256: String,
}

/// Compresses and optionally encrypts a file into a new one, and flushes that to disk.
pub(super) fn pack(
    from: &Path,
    to: &Path,
    seal: Option<&Seal>,
    advance: &mut dyn FnMut(u64),
) -> Result<Sums> {
    let failed = |error| Error::io(to, error);
    let mut content = Hashed::new(File::open(from).map_err(|error| Error::io(from, error))?);
    let out = Hashed::new(create_private(to)?);
    let out = match seal {
        None => compress(&mut content, out, advance).map_err(failed)?,
        #[cfg(not(feature = "encrypted-backups"))]
        Some(_) => return Err(not_built()),
        #[cfg(feature = "encrypted-backups")]
        Some(seal) => {
            let sealed = seal.wrap(out)?;
            compress(&mut content, sealed, advance)
                .and_then(age::stream::StreamWriter::finish)
                .map_err(failed)?
        }
    };
    out.inner.sync_all().map_err(failed)?;
    let ((bytes, sha256), (content_bytes, content_sha256)) = (out.sum(), content.sum());
    Ok(Sums { bytes, sha256, content_bytes, content_sha256 })
}

fn compress<W: Write>(from: &mut impl Read, to: W, advance: &mut dyn FnMut(u64)) -> io::Result<W> {
    let mut out = zstd::Encoder::new(to, LEVEL)?;
    out.include_checksum(true)?;
    let (mut buffer, mut done) = (vec![0; BUFFER], 0);
    loop {
        match from.read(&mut buffer)? {
            0 => return out.finish(),
            length => {
                out.write_all(buffer.get(..length).unwrap_or_default())?;
                done += length as u64;
                advance(done);
            }
        }
    }
}

/// Unpacks the copy in a backup to `to`. The path in `to` is used in error messages only.
///
/// A backup of a few kilobytes can unpack to terabytes. Therefore unpacking stops as soon as the content exceeds `most`
/// bytes, if that is set. It also calls `advance` with the number of bytes before it writes them, and stops if `advance`
/// fails.
///
/// # Errors
/// [`Error::Invalid`], which names the backup, if it is empty, cut off, damaged, not a backup, or cannot be decrypted, or
/// if it is not encrypted although `unseal` requires that.
pub(super) fn unpack(
    backup: &Path,
    unseal: Option<&Unseal>,
    most: Option<u64>,
    to: (&mut dyn Write, &Path),
    advance: &mut dyn FnMut(u64) -> Result<()>,
) -> Result<Sums> {
    let refused = |reason: String| Error::invalid(backup.display().to_string(), reason);
    let failed = |error| Error::io(backup, error);
    let file = Hashed::new(File::open(backup).map_err(failed)?);
    let mut file = BufReader::with_capacity(BUFFER, file);
    let begin = file.fill_buf().map_err(failed)?;
    let (is_sealed, is_zstd, is_sqlite) =
        (begin.starts_with(AGE), begin.starts_with(ZSTD), begin.starts_with(SQLITE));
    if begin.is_empty() {
        return Err(refused("is empty".to_owned()));
    } else if is_sqlite {
        return Err(refused(
            "is a bare SQLite database, not a backup; create one with `viraldb backup create`".to_owned(),
        ));
    } else if !is_sealed && !is_zstd {
        return Err(refused("is not a backup made by viraldb".to_owned()));
    }
    let (content_bytes, content_sha256) = if is_sealed {
        let Some(unseal) = unseal else {
            return Err(refused("is encrypted; give --identity FILE or --passphrase-file FILE".to_owned()));
        };
        #[cfg(not(feature = "encrypted-backups"))]
        {
            let _ = unseal;
            return Err(not_built());
        }
        #[cfg(feature = "encrypted-backups")]
        {
            let opened = unseal.wrap(&mut file, &refused)?;
            decompress(BufReader::with_capacity(BUFFER, opened), most, to, advance, &refused)?
        }
    } else {
        unseal.map_or(Ok(()), |unseal| unseal.require_encrypted(backup))?;
        decompress(&mut file, most, to, advance, &refused)?
    };
    io::copy(&mut file, &mut io::sink()).map_err(failed)?; // read the rest, because the SHA-256 covers the whole file
    let (bytes, sha256) = file.into_inner().sum();
    Ok(Sums { bytes, sha256, content_bytes, content_sha256 })
}

fn decompress(
    from: impl BufRead,
    most: Option<u64>,
    (to, name): (&mut dyn Write, &Path),
    advance: &mut dyn FnMut(u64) -> Result<()>,
    refused: &dyn Fn(String) -> Error,
) -> Result<(u64, String)> {
    let damaged = |error: io::Error| match error.kind() {
        io::ErrorKind::UnexpectedEof => refused("is cut off".to_owned()),
        _ => refused(format!("is damaged: {error}")),
    };
    let mut decoder = zstd::Decoder::with_buffer(from).map_err(damaged)?;
    decoder.window_log_max(WINDOW).map_err(damaged)?;
    let mut content = Hashed::new(decoder);
    let mut buffer = vec![0; BUFFER];
    loop {
        match content.read(&mut buffer).map_err(damaged)? {
            0 => return Ok(content.sum()),
            _ if most.is_some_and(|most| content.bytes > most) => {
                return Err(refused("is larger than its manifest says".to_owned()));
            }
            length => {
                advance(content.bytes)?;
                to.write_all(buffer.get(..length).unwrap_or_default())
                    .map_err(|error| Error::io(name, error))?;
            }
        }
    }
}

/// Returns the SHA-256 of a file.
pub(super) fn sum(file: &Path) -> Result<String> {
    let failed = |error| Error::io(file, error);
    let mut read = Hashed::new(File::open(file).map_err(failed)?);
    io::copy(&mut read, &mut io::sink()).map_err(failed)?;
    Ok(read.sum().1)
}

/// A reader or writer that counts and hashes the bytes that pass through it.
struct Hashed<T> {
    inner: T,
    sha256: Sha256,
    bytes: u64,
}

impl<T> Hashed<T> {
    fn new(inner: T) -> Self {
        Self { inner, sha256: Sha256::new(), bytes: 0 }
    }

    fn take(&mut self, bytes: Option<&[u8]>) {
        let bytes = bytes.unwrap_or_default();
        self.sha256.update(bytes);
        self.bytes += bytes.len() as u64;
    }

    fn sum(self) -> (u64, String) {
        let hex = self.sha256.finalize().iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}"); // writing to a String cannot fail
            hex
        });
        (self.bytes, hex)
    }
}

impl<T: Read> Read for Hashed<T> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.inner.read(buffer)?;
        self.take(buffer.get(..length));
        Ok(length)
    }
}

impl<T: Write> Write for Hashed<T> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let length = self.inner.write(bytes)?;
        self.take(bytes.get(..length));
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
