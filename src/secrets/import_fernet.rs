//! Seals anew what the Python applications sealed.

use super::Keyring;
use super::envelope::Trouble;
use super::fernet::{BEGIN, FernetKey};
use super::reseal::{Found, Pick, Progress, Resealed, Work, reseal};
use crate::Result;
use crate::db::Database;

/// Seals anew, under the first key of the keyring, the Fernet tokens in all columns of sealed values, as
/// [`rotate`](super::rotate) does. Other texts are left as they are. `dry_run` only counts what opens.
pub fn import_fernet(
    db: &Database,
    keyring: &Keyring,
    key: &FernetKey,
    dry_run: bool,
    progress: &mut dyn FnMut(Progress),
) -> Result<Resealed> {
    let open = |found: &Found| {
        key.open(&found.text).ok_or(Trouble::NotSealed("it is no Fernet token of this key and salt"))
    };
    let work = Work {
        pick: Pick(&format!("substr({{}}, 1, {}) = '{BEGIN}'", BEGIN.len())),
        open: &open,
        batch: super::BATCH,
        dry_run,
    };
    reseal(db, keyring, &work, progress)
}
