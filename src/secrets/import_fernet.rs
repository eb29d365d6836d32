//! Re-encrypts secrets that the Python applications encrypted.

use super::Keyring;
use super::envelope::Trouble;
use super::fernet::{BEGIN, FernetKey};
use super::reseal::{Found, Pick, Progress, Resealed, Work, reseal};
use crate::Result;
use crate::db::Database;

/// Re-encrypts the Fernet tokens in all encrypted columns with the first key of the keyring, like [`rotate`](super::rotate).
///
/// All other values stay unchanged. With `dry_run`, viraldb only counts the tokens that can be decrypted.
///
/// # Errors
/// [`SecretKeyMissing`](crate::Error::SecretKeyMissing) if the keyring is empty, or has none of the keys in use.
pub fn import_fernet(
    db: &Database,
    keyring: &Keyring,
    key: &FernetKey,
    dry_run: bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Resealed> {
    let open = |found: &Found| {
        key.open(&found.text).ok_or(Trouble::NotSealed("it is not a Fernet token of this key and salt"))
    };
    let work = Work {
        pick: Pick(&format!("substr({{}}, 1, {}) = '{BEGIN}'", BEGIN.len())),
        open: &open,
        batch: super::BATCH,
        dry_run,
    };
    reseal(db, keyring, &work, progress)
}
