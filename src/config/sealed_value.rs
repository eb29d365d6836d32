//! Encrypted settings, as `system_configuration` stores them.

use crate::Result;
use crate::republishing::SystemConfiguration;
use crate::secrets::{self, Keyring, Place, Secret};

/// The text shown instead of a secret.
pub(super) const MASK: &str = "***";

/// Decrypts the secret of a row.
pub(super) fn open(keyring: &Keyring, row: &SystemConfiguration) -> Result<Secret> {
    let sealed = row.value.clone().into_sealed();
    secrets::open(keyring, &Place::Setting(row.key.clone()), sealed.as_text())
}

/// Returns the text that the history shows for a secret that is replaced or removed.
///
/// This is the fingerprint if the value can be decrypted, else the marker that names its key. A plaintext value is masked
/// because it may have been the secret.
pub(super) fn shown(keyring: Option<&Keyring>, row: &SystemConfiguration) -> String {
    if !row.encrypted {
        return MASK.to_owned();
    }
    let fingerprint =
        |keyring: &Keyring| keyring.fingerprint(&Place::Setting(row.key.clone()), &open(keyring, row)?);
    match keyring.map(fingerprint) {
        Some(Ok(fingerprint)) => fingerprint,
        _ => row.value.clone().into_sealed().to_string(), // the key is not available
    }
}
