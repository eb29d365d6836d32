//! Key rotation, and the check that every value can be decrypted.

use diesel::prelude::*;
use serde::Serialize;

use super::envelope::{self, prefix};
use super::reseal::{Failure, Found, Pages, Pick, Progress, Resealed, Work, count, reseal};
use super::{Column, Keyring};
use crate::db::{Database, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::viraldb_keys as keys;
use crate::types::Timestamp;

/// Re-encrypts every value that does not use the first key, and then retires the keys that no value uses anymore.
///
/// Each transaction re-encrypts up to `batch` values. Other programs can keep running: with a keyring of the old and the
/// new key they can decrypt every value at any time, and values that they write in the meantime are not overwritten. If a
/// rotation is interrupted, run it again to continue. Values that cannot be decrypted stay unchanged and are reported.
///
/// # Errors
/// [`SecretKeyMissing`](crate::Error::SecretKeyMissing) if the keyring is empty, or has none of the keys in use.
pub fn rotate(
    db: &Database,
    keyring: &Keyring,
    batch: u32,
    progress: &mut dyn FnMut(Progress),
) -> Result<Resealed> {
    // If the keyring is empty, `reseal` returns the error.
    let first = keyring.first().map(|key| prefix(key.id())).unwrap_or_default();
    let resealed = reseal(
        db,
        keyring,
        &Work {
            pick: Pick(&format!("substr({{}}, 1, {}) <> '{first}'", first.len())),
            open: &|Found { place, text }| envelope::open(keyring, place, text),
            batch,
            dry_run: false,
        },
        progress,
    )?;
    retire(db, keyring)?;
    Ok(resealed)
}

/// Marks keys as retired if no value uses them anymore. The first key stays in use, because it encrypts new values.
fn retire(db: &Database, keyring: &Keyring) -> Result<()> {
    let first = keyring.first().map(|key| key.id().to_string()).unwrap_or_default();
    db.write(|conn| {
        let in_use =
            || keys::table.filter(keys::retired_at.is_null()).filter(keys::id.ne(&first)).select(keys::id);
        // While the keys are locked, no program can encrypt with them. Values encrypted before are included in the count.
        let candidates: Vec<String> = on_backend!(
            &mut *conn,
            sqlite => |c| in_use().load(c),
            postgres => |c| in_use().order(keys::id).for_update().load(c),
        )
        .of("viraldb_keys", "")?;
        let mut idle = Vec::new();
        // Count each key separately: there are few keys, and one grouped count would sort all values in memory.
        for id in candidates {
            let prefix = prefix(id.parse()?);
            if count(conn, Pick(&format!("substr({{}}, 1, {}) = '{prefix}'", prefix.len())))? == 0 {
                idle.push(id);
            }
        }
        on_backend!(conn, |c| diesel::update(keys::table.filter(keys::id.eq_any(idle)))
            .set(keys::retired_at.eq(Some(Timestamp::now())))
            .execute(c))
        .of("viraldb_keys", "")
        .map(drop)
    })
}

/// Counts of the values that can and cannot be decrypted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verified {
    /// Values that can be decrypted.
    pub opened: u64,
    /// Values that cannot be decrypted.
    pub failed: u64,
}

/// Decrypts every value and calls `failure` for each one that cannot be decrypted. It writes nothing.
///
/// # Errors
/// Any error that `failure` returns ends the check.
pub fn verify(
    db: &Database,
    keyring: &Keyring,
    failure: &mut dyn FnMut(Failure) -> Result<()>,
) -> Result<Verified> {
    let mut verified = Verified::default();
    for column in Column::ALL {
        let mut pages = Pages::new(column, Pick::ALL, super::BATCH);
        loop {
            let page = db.read_newest(|conn| pages.next(conn))?;
            if page.is_empty() {
                break;
            }
            for Found { place, text } in page {
                match envelope::open(keyring, &place, &text) {
                    Ok(_) => verified.opened += 1,
                    Err(trouble) => {
                        verified.failed += 1;
                        failure(Failure::new(&place, &trouble.to_string()))?;
                    }
                }
            }
        }
    }
    Ok(verified)
}
