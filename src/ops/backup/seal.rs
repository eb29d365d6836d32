//! The keys that encrypt and decrypt a backup. `age.rs` does the encryption.

use std::path::{Path, PathBuf};

use crate::secrets::Secret;
use crate::{Error, Result};

/// The key that a backup is encrypted with. It requires the feature `encrypted-backups`.
#[derive(Debug, Clone)]
pub enum Seal {
    /// Public keys, `age1…`. The identity of any of these recipients decrypts the backup.
    Recipients(Vec<String>),
    /// A passphrase, which also decrypts the backup.
    Passphrase(Secret),
}

/// The key that decrypts a backup.
///
/// Only someone who has the key could have made an encrypted backup, but anyone could have made an unencrypted one.
/// Therefore unencrypted backups are rejected when a key is given, unless
/// [`allow_unencrypted`](Self::allow_unencrypted) is called.
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
    /// Rejects a key that cannot encrypt anything, before the database is copied.
    pub(super) fn require_usable(&self) -> Result<()> {
        #[cfg(feature = "encrypted-backups")]
        return self.wrap(std::io::sink()).map(drop);
        #[cfg(not(feature = "encrypted-backups"))]
        Err(not_built())
    }
}

impl Unseal {
    /// Uses an identity file, as written by `age-keygen`.
    pub fn identity(file: impl Into<PathBuf>) -> Self {
        Self { key: Key::Identity(file.into()), allows_unencrypted: false }
    }

    /// Uses a passphrase.
    pub fn passphrase(passphrase: Secret) -> Self {
        Self { key: Key::Passphrase(passphrase), allows_unencrypted: false }
    }

    /// Also accepts backups that are not encrypted.
    #[must_use]
    pub fn allow_unencrypted(self) -> Self {
        Self { allows_unencrypted: true, ..self }
    }

    /// Checks that the key can be used.
    ///
    /// # Errors
    /// [`Error::Io`] if the identity file cannot be read; [`Error::Invalid`] if it contains no valid identity.
    pub fn require_usable(&self) -> Result<()> {
        #[cfg(feature = "encrypted-backups")]
        return self.identities().map(drop);
        #[cfg(not(feature = "encrypted-backups"))]
        Err(not_built())
    }

    /// Rejects an unencrypted backup, unless unencrypted backups are allowed.
    pub(super) fn require_encrypted(&self, backup: &Path) -> Result<()> {
        if self.allows_unencrypted {
            return Ok(());
        }
        Err(Error::invalid(
            backup.display().to_string(),
            "is not encrypted although a key was given, so anyone could have created it; if you trust it, give \
             --allow-unencrypted",
        ))
    }
}

/// Returns the error for a program that was built without `age`.
#[cfg(not(feature = "encrypted-backups"))]
pub(super) fn not_built() -> Error {
    Error::invalid("an encrypted backup", "requires viraldb built with `--features encrypted-backups`")
}
