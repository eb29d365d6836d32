//! For whom a backup is encrypted, and what opens it. `age.rs` does it.

use std::path::{Path, PathBuf};

use crate::secrets::Secret;
use crate::{Error, Result};

/// For whom a backup is sealed. It needs the feature `encrypted-backups`.
#[derive(Debug, Clone)]
pub enum Seal {
    /// For those who hold the identity of any of these recipients, `age1…`.
    Recipients(Vec<String>),
    /// For those who know a passphrase.
    Passphrase(Secret),
}

/// The key that opens an encrypted backup.
///
/// Only someone who has the key could have made such a backup. An unencrypted one could be anybody's, so a key refuses it
/// unless [`allow_unencrypted`](Self::allow_unencrypted) is called.
#[derive(Debug, Clone)]
pub struct Unseal {
    #[cfg_attr(not(feature = "encrypted-backups"), allow(dead_code))]
    pub(super) key: Key,
    allows_unencrypted: bool,
}

#[derive(Debug, Clone)]
#[cfg_attr(not(feature = "encrypted-backups"), allow(dead_code))]
pub(super) enum Key {
    Identity(PathBuf),
    Passphrase(Secret),
}

impl Seal {
    /// Refuses what nothing could be sealed for.
    pub(super) fn require_usable(&self) -> Result<()> {
        #[cfg(feature = "encrypted-backups")]
        return self.wrap(std::io::sink()).map(drop);
        #[cfg(not(feature = "encrypted-backups"))]
        Err(not_built())
    }
}

impl Unseal {
    /// The file of an identity, as `age-keygen` writes it.
    pub fn identity(file: impl Into<PathBuf>) -> Self {
        Self { key: Key::Identity(file.into()), allows_unencrypted: false }
    }

    /// A passphrase.
    pub fn passphrase(passphrase: Secret) -> Self {
        Self { key: Key::Passphrase(passphrase), allows_unencrypted: false }
    }

    /// Accepts backups that are not encrypted, too.
    #[must_use]
    pub fn allow_unencrypted(self) -> Self {
        Self { allows_unencrypted: true, ..self }
    }

    /// Refuses what could open nothing.
    ///
    /// # Errors
    /// `Io` for a file that cannot be read, `Invalid` for one that holds no identity.
    pub fn require_usable(&self) -> Result<()> {
        #[cfg(feature = "encrypted-backups")]
        return self.identities().map(drop);
        #[cfg(not(feature = "encrypted-backups"))]
        Err(not_built())
    }

    /// Refuses a backup that is not encrypted, unless that is allowed.
    pub(super) fn require_encrypted(&self, backup: &Path) -> Result<()> {
        if self.allows_unencrypted {
            return Ok(());
        }
        Err(Error::invalid(
            backup.display().to_string(),
            "is not encrypted, so anybody could have made it, although a key was given; if you trust it, give \
             --allow-unencrypted",
        ))
    }
}

/// The error of a program that was built without `age`.
#[cfg(not(feature = "encrypted-backups"))]
pub(super) fn not_built() -> Error {
    Error::invalid(
        "an encrypted backup",
        "needs a viraldb that was built with `--features encrypted-backups`",
    )
}
