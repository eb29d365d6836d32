//! Whether the sealed values open.

use std::sync::Arc;

use super::Patient;
use super::finding::{Check, Finding};
use crate::quote::one_line;
use crate::secrets::{self, KeyId, Keyring};
use crate::{Database, Result};

/// Values that do not open of which the places are told.
const TOLD: usize = 20;

pub(super) fn secrets(patient: &mut Patient<'_>) -> Result<Vec<Finding>> {
    let check = Check::Secrets;
    let mut found = Vec::new();
    let keyring = match &patient.asked.keyring {
        Some(keyring) => keyring.clone(),
        None => Arc::new(Keyring::from_env().unwrap_or_else(|error| {
            let why = "without its keys nobody knows whether the sealed values open";
            found.push(
                Finding::warning(check, one_line(&error.to_string()), why)
                    .mend("set VIRALDB_KEY_FILE to a file of keys that only you may read"),
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
            "key missing: {values} sealed {} under {}, which was not given",
            if values == 1 { "value is" } else { "values are" },
            ids.join(" and ")
        );
        let mend = "set VIRALDB_KEY or VIRALDB_KEY_FILE to it; a key that is lost cannot be made again";
        let finding = Finding::warning(check, what, "what is sealed under it cannot be used").mend(mend);
        // Who gives no key at all may not want to open anything.
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
    let mend = "set it anew: viraldb secrets set; or restore that row from a backup";
    found.extend(failures.into_iter().map(|failure| {
        let secrets::Failure { table, column, row, reason } = failure;
        Finding::error(
            check,
            format!("{table}.{column} of {row} {reason}"),
            "the program that needs it stops",
        )
        .mend(mend)
    }));
    if more > 0 {
        let what = format!("{more} more sealed values do not open");
        found.push(
            Finding::error(check, what, "the programs that need them stop")
                .mend("viraldb secrets verify, which names them"),
        );
    }
    Ok(found)
}

/// How a failure names a key that was not given.
fn names(key: KeyId) -> String {
    format!("key {key}, which was not given")
}
