//! Rotation of keys, and the proof that every value opens.

use diesel::prelude::*;
use serde::Serialize;

use super::envelope::{self, prefix};
use super::reseal::{Failure, Found, Pages, Pick, Progress, Resealed, Work, count, reseal};
use super::{Column, Keyring};
use crate::db::{Database, on_backend};
use crate::error::{Result, ResultExt};
use crate::schema::viraldb_keys as keys;
use crate::types::Timestamp;

/// Seals every value anew that is not sealed under the first key, `batch` in each transaction, and then retires
/// the keys that seal nothing any more.
///
/// Nobody has to stop meanwhile: whoever reads with a keyring of the old and the new key can open every value at
/// any moment, and what others write is not undone. A rotation that was killed goes on where it ended when it is
/// run again. Values that do not open are left as they are, and told.
///
/// # Errors
/// [`SecretKeyMissing`](crate::Error::SecretKeyMissing) if the keyring is empty, or has none of the keys in use.
pub fn rotate(
    db: &Database,
    keyring: &Keyring,
    batch: u32,
    progress: &mut dyn FnMut(Progress),
) -> Result<Resealed> {
    // Without a key there is nothing to compare with, and `reseal` says so.
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

/// Marks the keys as retired that seal nothing any more. The first one is not: it is to seal.
fn retire(db: &Database, keyring: &Keyring) -> Result<()> {
    let first = keyring.first().map(|key| key.id().to_string()).unwrap_or_default();
    db.write(|conn| {
        let in_use =
            || keys::table.filter(keys::retired_at.is_null()).filter(keys::id.ne(&first)).select(keys::id);
        // Nobody seals under a key while it is locked, and what was sealed before is counted.
        let candidates: Vec<String> = on_backend!(
            &mut *conn,
            sqlite => |c| in_use().load(c),
            postgres => |c| in_use().order(keys::id).for_update().load(c),
        )
        .of("viraldb_keys", "")?;
        let mut idle = Vec::new();
        // There are few keys, and counting by key in one statement would sort all values in memory.
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

/// How many values open and how many do not.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Verified {
    /// Values that open.
    pub opened: u64,
    /// Values that do not.
    pub failed: u64,
}

/// Opens every value, and tells `failure` those that do not open. Writes nothing.
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
