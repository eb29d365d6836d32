//! Reads a backup and checks that it is intact.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::codec::{self, Sums};
use super::manifest::Manifest;
use super::naming::length;
use super::seal::Unseal;
use super::{Progress, Step, Watch, folder_of};
use crate::ops::workspace::require_room_left;
use crate::types::portable;
use crate::{Engine, Error, Result};

/// A backup that [`verify`] found intact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Verified {
    /// The file of the backup.
    pub file: PathBuf,
    /// Size of the file in bytes.
    pub bytes: u64,
    /// Size in bytes of the uncompressed copy in it.
    pub content_bytes: u64,
    /// The checksum that was compared.
    pub compared_with: ComparedWith,
}

portable! {
    /// The checksum that [`verify`] compared a backup with.
    ///
    /// - `Manifest`: the SHA-256 of the file and of its content, from the manifest.
    /// - `Checksum`: the checksum that zstd stores, because the backup has no manifest.
    /// - `Sum`: the SHA-256 of the file only, because the backup is encrypted and no key was given.
    pub enum ComparedWith {
        Manifest = "manifest",
        Checksum = "checksum",
        Sum = "sum",
    }
}

/// Reads a whole backup and checks that every byte is as it was when the backup was made.
///
/// # Errors
/// [`Error::Invalid`], which names the file, if the backup is empty, cut off, damaged, not made by viraldb, or cannot be
/// decrypted, or if it is not encrypted although `unseal` is given and does not allow that.
pub fn verify(file: &Path, unseal: Option<&Unseal>, watch: &mut dyn FnMut(Progress)) -> Result<Verified> {
    let manifest = expected(file)?;
    if let (Some(manifest), None) = (manifest.as_ref().filter(|manifest| manifest.sealed), unseal) {
        return match codec::sum(file)? == manifest.sha256 {
            true => Ok(Verified {
                file: file.to_owned(),
                bytes: manifest.bytes,
                content_bytes: manifest.content_bytes,
                compared_with: ComparedWith::Sum,
            }),
            false => Err(damaged(file)),
        };
    }
    let mut nowhere = std::io::sink();
    let most = manifest.as_ref().map(|manifest| manifest.content_bytes);
    let total = manifest.as_ref().map_or(0, |manifest| manifest.content_bytes);
    let sums = codec::unpack(file, unseal, most, (&mut nowhere, file), &mut |done| {
        watch(Progress { step: Step::Verifying, done, total });
        Ok(())
    })?;
    require(file, manifest.as_ref(), &sums)?;
    Ok(Verified {
        file: file.to_owned(),
        bytes: sums.bytes,
        content_bytes: sums.content_bytes,
        compared_with: if manifest.is_some() { ComparedWith::Manifest } else { ComparedWith::Checksum },
    })
}

/// Unpacks a backup into a new file, flushes that to disk, and returns the engine and the manifest.
///
/// Unpacking stops before the disk is full, and as soon as the content exceeds the size in the manifest.
pub(super) fn unpack(
    file: &Path,
    unseal: Option<&Unseal>,
    to: &Path,
    watch: Watch<'_>,
) -> Result<(Engine, Option<Manifest>)> {
    let manifest = expected(file)?;
    let total = manifest.as_ref().map_or(0, |manifest| manifest.content_bytes);
    let mut out = crate::ops::workspace::create_private(to)?;
    let most = manifest.as_ref().map(|manifest| manifest.content_bytes);
    let (folder, mut written) = (folder_of(to), 0);
    let sums = codec::unpack(file, unseal, most, (&mut out, to), &mut |done| {
        watch(Progress { step: Step::Unpacking, done, total });
        let next = done - written;
        written = done;
        require_room_left(&folder, next, &format!("the content of {}", file.display()))
    })?;
    out.sync_all().map_err(|error| Error::io(to, error))?;
    drop(out);
    require(file, manifest.as_ref(), &sums)?;
    let engine = match &manifest {
        Some(manifest) => manifest.engine,
        None => engine_of(file, to)?,
    };
    Ok((engine, manifest))
}

/// Returns the manifest of a backup, if it has one, and checks the size of the file.
fn expected(file: &Path) -> Result<Option<Manifest>> {
    let found = fs::metadata(file).map_err(|error| Error::io(file, error))?;
    let refused = |reason: String| Error::invalid(file.display().to_string(), reason);
    if !found.is_file() {
        return Err(refused("is not a regular file; give the path of a backup".to_owned()));
    }
    let manifest = Manifest::read(file)?;
    match manifest.as_ref().and_then(|manifest| length(found.len(), manifest.bytes)) {
        Some(reason) => Err(refused(reason)),
        None => Ok(manifest),
    }
}

fn require(file: &Path, manifest: Option<&Manifest>, sums: &Sums) -> Result<()> {
    let refused = |reason| Err(Error::invalid(file.display().to_string(), reason));
    match manifest {
        Some(manifest) if manifest.sha256 != sums.sha256 => Err(damaged(file)),
        Some(manifest) if manifest.content_sha256 != sums.content_sha256 => {
            refused("does not match its manifest: the SHA-256 of its content differs")
        }
        _ => Ok(()),
    }
}

fn damaged(file: &Path) -> Error {
    Error::invalid(file.display().to_string(), "is damaged: its SHA-256 does not match its manifest")
}

/// Detects the engine of a copy that has no manifest.
fn engine_of(file: &Path, copy: &Path) -> Result<Engine> {
    use std::io::Read;
    let mut begin = Vec::new();
    fs::File::open(copy)
        .and_then(|copy| copy.take(16).read_to_end(&mut begin))
        .map_err(|error| Error::io(copy, error))?;
    if begin.starts_with(b"SQLite format 3\0") {
        Ok(Engine::Sqlite)
    } else if begin.starts_with(b"PGDMP") {
        Ok(Engine::Postgres)
    } else {
        Err(Error::invalid(
            file.display().to_string(),
            "is not a backup made by viraldb: it contains no database",
        ))
    }
}
