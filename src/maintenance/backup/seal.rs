//! Sealing a backup with `age`, and opening one.

use std::io::Write;
use std::path::{Path, PathBuf};

use age::secrecy::SecretString;

use crate::secrets::Secret;
use crate::{Error, Result, bounded};

/// For whom a backup is sealed.
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
    key: Key,
    allows_unencrypted: bool,
}

#[derive(Debug, Clone)]
enum Key {
    Identity(PathBuf),
    Passphrase(Secret),
}

impl Seal {
    /// Refuses what nothing could be sealed for.
    pub(super) fn require_usable(&self) -> Result<()> {
        self.wrap(std::io::sink()).map(drop)
    }

    pub(super) fn wrap<W: Write>(&self, out: W) -> Result<age::stream::StreamWriter<W>> {
        let encryptor = match self {
            Self::Passphrase(passphrase) if passphrase.reveal().is_empty() => {
                return Err(Error::invalid("the passphrase", "is empty"));
            }
            Self::Passphrase(passphrase) => age::Encryptor::with_user_passphrase(secret(passphrase)),
            Self::Recipients(recipients) => {
                let recipients = recipients
                    .iter()
                    .map(|text| {
                        text.parse::<age::x25519::Recipient>().map_err(|reason| {
                            Error::invalid(
                                format!("recipient {text:?}"),
                                format!("is none of age's: {reason}"),
                            )
                        })
                    })
                    .collect::<Result<Vec<_>>>()?;
                age::Encryptor::with_recipients(recipients.iter().map(|recipient| recipient as _))
                    .map_err(|error| Error::invalid("the recipients", error.to_string()))?
            }
        };
        encryptor
            .wrap_output(out)
            .map_err(|error| Error::invalid("the backup", format!("cannot be sealed: {error}")))
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
        self.identities().map(drop)
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

    pub(super) fn identities(&self) -> Result<Vec<Box<dyn age::Identity + Send + Sync>>> {
        match &self.key {
            Key::Passphrase(passphrase) => Ok(vec![Box::new(age::scrypt::Identity::new(secret(passphrase)))]),
            Key::Identity(path) => {
                let name = path.display().to_string();
                let text = bounded::file(path, bounded::BY_HAND)?;
                age::IdentityFile::from_buffer(text.as_bytes())
                    .map_err(|error| Error::io(path, error))?
                    .into_identities()
                    .map_err(|error| Error::invalid(name, format!("holds no identity of age's: {error}")))
            }
        }
    }
}

fn secret(secret: &Secret) -> SecretString {
    SecretString::from(secret.reveal().to_owned())
}
