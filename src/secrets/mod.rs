//! Secrets: the credentials of channels and the sealed settings, which the database never holds in the clear.
//!
//! Sealed are `channels.api_credentials_encrypted`, `channels.github_secret_key_encrypted`, and
//! `system_configuration.value` where `encrypted`. Each value is sealed by itself, with XChaCha20-Poly1305 under
//! a [`Key`] of 256 random bits and a nonce of its own, and is kept as text:
//!
//! ```text
//! viraldb:1:<key id>:<nonce, ciphertext and tag in base64url>
//! ```
//!
//! Sealed with it are the version, the key's id and the value's [`Place`]: table, column and key of the row. A
//! text that was copied to another place does not open there.
//!
//! Of a [`Keyring`] the first key seals and all open. `viraldb_keys` names the keys that sealed values here, so
//! that whoever comes with another keyring is told which key is missing before anything is written.
//!
//! ```
//! use viraldb::secrets::{self, Key, Keyring, Place, Secret};
//!
//! # fn main() -> viraldb::Result<()> {
//! let db = viraldb::Database::open("sqlite::memory:")?;
//! let keyring = Keyring::new([Key::generate()?]); // a program takes Keyring::from_env()
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
pub use import_fernet::import_fernet;
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

/// Whether a value is a text that viraldb sealed.
pub(crate) fn is_sealed(value: &serde_json::Value) -> bool {
    value.as_str().and_then(key_id).is_some()
}

/// Whether what stands in a sealed column may be shown: nothing, a text that viraldb sealed, or a token of the Python
/// applications. Any other may be a secret that another program put there as it is.
pub(crate) fn is_ciphertext(text: &str) -> bool {
    text.is_empty() || key_id(text).is_some() || fernet::is_token(text)
}
