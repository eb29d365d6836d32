//! Encrypts and decrypts backups with the crate `age`.

use std::io::{BufRead, Read, Write};

use age::secrecy::SecretString;
use age::stream::StreamWriter;

use super::seal::{Key, Seal, Unseal};
use crate::quote::quoted;
use crate::secrets::Secret;
use crate::{Error, Result, bounded};

impl Seal {
    /// Returns a writer that encrypts everything written to it. The caller must call `finish` on the writer.
    pub(super) fn wrap<W: Write>(&self, out: W) -> Result<StreamWriter<W>> {
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
                                format!("is not a valid age recipient: {reason}"),
                            )
                        })
                    })
                    .collect::<Result<Vec<_>>>()?;
                age::Encryptor::with_recipients(recipients.iter().map(|recipient| recipient as _))
                    .map_err(|error| Error::invalid("the recipients", format!("cannot be used: {error}")))?
            }
        };
        encryptor
            .wrap_output(out)
            .map_err(|error| Error::invalid("the backup", format!("cannot be encrypted: {error}")))
    }
}

impl Unseal {
    pub(super) fn identities(&self) -> Result<Vec<Box<dyn age::Identity + Send + Sync>>> {
        match &self.key {
            Key::Passphrase(passphrase) => Ok(vec![Box::new(age::scrypt::Identity::new(secret(passphrase)))]),
            Key::Identity(path) => {
                let name = path.display().to_string();
                let text = bounded::file(path, bounded::BY_HAND)?;
                age::IdentityFile::from_buffer(text.as_bytes())
                    .map_err(|error| Error::io(path, error))?
                    .into_identities()
                    .map_err(|error| {
                        Error::invalid(name, format!("is not a valid age identity file: {error}"))
                    })
            }
        }
    }

    /// Returns a reader that decrypts `file`. `refused` turns a reason into an error.
    pub(super) fn wrap<'a, R: BufRead>(
        &self,
        file: &'a mut R,
        refused: &dyn Fn(String) -> Error,
    ) -> Result<impl Read + use<'a, R>> {
        let identities = self.identities()?;
        age::Decryptor::new_buffered(file)
            .and_then(|sealed| sealed.decrypt(identities.iter().map(|identity| &**identity as _)))
            .map_err(|error| {
                refused(format!("cannot be decrypted: {error}; check the identity or passphrase"))
            })
    }
}

fn secret(secret: &Secret) -> SecretString {
    SecretString::from(secret.reveal().to_owned())
}
