//! Secrets: the credentials of channels and the encrypted settings. The database never stores them as plaintext.
//!
//! In this module, to *seal* a value means to encrypt it, and to *open* it means to decrypt it. viraldb uses
//! XChaCha20-Poly1305 with a [`Key`] of 256 random bits. It encrypts these columns:
//!
//! - `channels.api_credentials_encrypted`
//! - `channels.github_secret_key_encrypted`
//! - `system_configuration.value`, in rows where `encrypted` is true
//!
//! Each value is encrypted separately, with its own nonce, and stored as text:
//!
//! ```text
//! viraldb:1:<key id>:<nonce, ciphertext and tag in base64url>
//! ```
//!
//! The associated data of the encryption is the version, the key id and the [`Place`] of the value: table, column and key
//! of the row. An encrypted value that was copied to another row or column therefore cannot be decrypted there.
//!
//! viraldb encrypts with the first key of a [`Keyring`] and can decrypt with every key in it. The table `viraldb_keys` records
//! which keys the database uses. A program with the wrong keyring therefore learns which key is missing before it writes
//! anything.
//!
//! ```
//! use viraldb::secrets::{self, Key, Keyring, Place, Secret};
//!
//! # fn main() -> viraldb::Result<()> {
//! let db = viraldb::Database::open("sqlite::memory:")?;
//! let keyring = Keyring::new([Key::generate()?]); // in your program, use Keyring::from_env()
//! let place = Place::Setting("youtube_api_key".to_owned());
//! db.write(|c| secrets::set(c, &keyring, &place, &Secret::from("AIza…".to_owned())))?;
//! let secret = db.read(|c| secrets::get(c, &keyring, &place))?;
//! assert_eq!((secret.reveal(), format!("{secret:?}").as_str()), ("AIza…", "***"));
//! # Ok(())
//! # }
//! ```

mod documents;
mod envelope;
mod fernet;
mod import_fernet;
mod keyring;
mod location;
mod reseal;
mod rotate;
mod secret;
mod status;
mod store;

pub use crate::types::KeyId;
pub use fernet::{FernetKey, fernet_salt};
pub use import_fernet::{FernetImport, import_fernet};
#[cfg(feature = "web")]
pub(crate) use keyring::check_owner;
pub use keyring::{Key, Keyring};
pub use location::{Column, Place};
pub use reseal::{BATCH, Failure, Progress, Resealed};
pub use rotate::{Verified, rotate, verify};
pub use secret::Secret;
pub use status::{ColumnStatus, KeyStatus, Status, status};
pub use store::{clear, get, open, seal, set, stored};

#[doc(hidden)]
pub use documents::has_sealed_columns;
pub(crate) use documents::{Sealing, WithoutKey, seal_documents};
pub(crate) use envelope::key_id;
#[cfg(feature = "sqlite")]
pub(crate) use store::take_into_use;

/// Returns true if a value is text that viraldb encrypted.
pub(crate) fn is_sealed(value: &serde_json::Value) -> bool {
    value.as_str().and_then(key_id).is_some()
}

/// Returns true if the text of an encrypted column is safe to show.
///
/// It is safe if it is empty, encrypted by viraldb, or a Fernet token of the Python applications. Any other text may be a
/// plain secret that another program stored.
pub(crate) fn is_ciphertext(text: &str) -> bool {
    text.is_empty() || key_id(text).is_some() || fernet::is_token(text)
}
