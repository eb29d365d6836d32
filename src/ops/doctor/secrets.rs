//! Checks that the encrypted values can be decrypted.

use std::sync::Arc;

use super::Patient;
use super::finding::{Check, Finding};
use crate::quote::one_line;
use crate::secrets::{self, KeyId, Keyring};
use crate::{Database, Result};

/// Maximum number of values reported one by one.
const TOLD: usize = 20;

pub(super) fn secrets(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let check = Check::Secrets;
    let mut found = Vec::new();
    let keyring = match &patient.asked.keyring {
        Some(keyring) => keyring.clone(),
        None => Arc::new(Keyring::from_env().unwrap_or_else(|error| {
            let why = "without the keys, viraldb cannot check whether the encrypted values can be decrypted";
            found.push(
                Finding::warning(check, one_line(&error.to_string()), why)
                    .mend("set VIRALDB_KEY_FILE to a file of keys that only you can read"),
            );
            Keyring::default()
        })),
    };
    let status = patient.read(|conn| secrets::status(conn, &keyring))?;
    let missing: Vec<_> = status.keys.iter().filter(|key| key.values > 0 && !key.given).collect();
    if !missing.is_empty() {
        let values: u64 = missing.iter().map(|key| key.values).sum();
        let ids: Vec<String> = missing.iter().map(|key| key.key.to_string()).collect();
        let what = format!(
            "missing key: {values} {} encrypted with {}",
            if values == 1 { "value is" } else { "values are" },
            ids.join(" and ")
        );
        let mend = "set VIRALDB_KEY or VIRALDB_KEY_FILE to that key; a lost key cannot be recovered";
        let finding =
            Finding::warning(check, what, "without the key, these values cannot be decrypted").mend(mend);
        // Without any key, the caller may not intend to decrypt anything, so it stays a warning.
        let gave_some = keyring.first().is_some();
        found.push(if gave_some { finding.with_severity(super::Severity::Error) } else { finding });
    }
    let is_missing = |reason: &str| missing.iter().any(|key| reason.contains(&names(key.key)));
    let db = match Database::connect(patient.url) {
        Ok(db) => db,
        Err(error) => {
            found.push(Finding::unseen(check, &error));
            return Ok(found);
        }
    };
    let (mut failures, mut more) = (Vec::new(), 0_u64);
    secrets::verify(&db, &keyring, &mut |failure| {
        if is_missing(&failure.reason) {
        } else if failures.len() < TOLD {
            failures.push(failure);
        } else {
            more += 1;
        }
        Ok(())
    })?;
    let mend = "set the value again with `viraldb secrets set`, or restore the row from a backup";
    found.extend(failures.into_iter().map(|failure| {
        let secrets::Failure { place, reason } = failure;
        Finding::error(
            check,
            format!("{} of {} {reason}", place.column(), place.row_key()),
            "programs that need this value fail",
        )
        .mend(mend)
    }));
    if more > 0 {
        let what = format!("{more} more values cannot be decrypted");
        found.push(
            Finding::error(check, what, "programs that need these values fail")
                .mend("to list them: viraldb secrets verify"),
        );
    }
    Ok(found)
}

/// Returns the text with which a failure names a missing key. It must match the message of `secrets::envelope`.
fn names(key: KeyId) -> String {
    format!("key {key}, which was not given")
}
