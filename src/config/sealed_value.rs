//! Secrets among the settings, as they stand in `system_configuration`.

use crate::Result;
use crate::republishing::SystemConfiguration;
use crate::secrets::{self, Keyring, Place, Secret};

/// What is shown for a secret.
pub(super) const MASK: &str = "***";

/// The secret of a row.
pub(super) fn open(keyring: &Keyring, row: &SystemConfiguration) -> Result<Secret> {
    let sealed = row.value.clone().into_sealed();
    secrets::open(keyring, &Place::Setting(row.key.clone()), sealed.as_text())
}

/// What the history shows of a secret that goes: its fingerprint, if it opens; else the key it is sealed with. What stood
/// there in the clear may have been the secret.
pub(super) fn shown(keyring: Option<&Keyring>, row: &SystemConfiguration) -> String {
    if !row.encrypted {
        return MASK.to_owned();
    }
    let fingerprint =
        |keyring: &Keyring| keyring.fingerprint(&Place::Setting(row.key.clone()), &open(keyring, row)?);
    match keyring.map(fingerprint) {
        Some(Ok(fingerprint)) => fingerprint,
        _ => row.value.clone().into_sealed().to_string(), // by a key that is not given
    }
}
