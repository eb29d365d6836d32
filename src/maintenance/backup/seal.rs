//! Sealing a backup with `age`, and opening one.

use std::io::Write;
use std::path::PathBuf;

use age::secrecy::SecretString;

use crate::quote::quoted;
use crate::secrets::Secret;
use crate::{Error, Result};

/// For whom a backup is sealed.
#[derive(Debug, Clone)]
pub enum Seal {
    /// For those who hold the identity of any of these recipients, `age1…`.
    Recipients(Vec<String>),
    /// For those who know a passphrase.
    Passphrase(Secret),
}

/// What opens a sealed backup.
#[derive(Debug, Clone)]
pub enum Unseal {
    /// The file of an identity, as `age-keygen` writes it.
    Identity(PathBuf),
    /// The passphrase.
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
                                format!("recipient {}", quoted(text)),
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
    /// Refuses what could open nothing.
    ///
    /// # Errors
    /// `Io` for a file that cannot be read, `Invalid` for one that holds no identity.
    pub fn require_usable(&self) -> Result<()> {
        self.identities().map(drop)
    }

    pub(super) fn identities(&self) -> Result<Vec<Box<dyn age::Identity + Send + Sync>>> {
        match self {
            Self::Passphrase(passphrase) => {
                Ok(vec![Box::new(age::scrypt::Identity::new(secret(passphrase)))])
            }
            Self::Identity(path) => {
                let name = path.display().to_string();
                age::IdentityFile::from_file(name.clone())
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
