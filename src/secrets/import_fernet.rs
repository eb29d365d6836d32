//! Re-encrypts secrets that the Python applications encrypted.

use super::Keyring;
use super::envelope::Trouble;
use super::fernet::{BEGIN, FernetKey};
use super::reseal::{Found, Pick, Progress, Resealed, Work, reseal};
use crate::Result;
use crate::db::Database;

/// The options of [`import_fernet`].
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct FernetImport<'a> {
    /// The key of the Python application.
    pub key: &'a FernetKey,
    /// If true, viraldb only counts the tokens that can be decrypted.
    pub dry_run: bool,
}

impl<'a> FernetImport<'a> {
    /// Returns the options to re-encrypt the tokens of a key.
    pub const fn new(key: &'a FernetKey) -> Self {
        Self { key, dry_run: false }
    }

    /// Sets whether viraldb only counts the tokens.
    #[must_use]
    pub const fn dry_run(mut self, dry_run: bool) -> Self {
        self.dry_run = dry_run;
        self
    }
}

/// Re-encrypts the Fernet tokens in all encrypted columns with the first key of the keyring, like [`rotate`](super::rotate).
///
/// All other values stay unchanged.
///
/// # Errors
/// [`SecretKeyMissing`](crate::Error::SecretKeyMissing) if the keyring is empty, or has none of the keys in use.
pub fn import_fernet(
    db: &Database,
    keyring: &Keyring,
    import: &FernetImport<'_>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Resealed> {
    let open = |found: &Found| {
        let trouble = Trouble::NotSealed("it is not a Fernet token of this key and salt");
        import.key.open(&found.text).ok_or(trouble)
    };
    let work = Work {
        pick: Pick(&format!("substr({{}}, 1, {}) = '{BEGIN}'", BEGIN.len())),
        open: &open,
        batch: super::BATCH,
        dry_run: import.dry_run,
    };
    reseal(db, keyring, &work, progress)
}
