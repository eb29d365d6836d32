//! Secrets that are typed at a terminal or read from a file.

use std::io::{self, IsTerminal};
use std::path::Path;

use super::values::read;
use viraldb::private::bounded;
use viraldb::secrets::Secret;
use viraldb::{Error, Result};

/// Reads the secret to store.
pub(super) fn secret(file: Option<&Path>) -> Result<Secret> {
    let secret = if file.is_none() && io::stdin().is_terminal() {
        let typed = rpassword::prompt_password("secret (input is hidden): ");
        typed.map_err(|error| Error::io("the terminal", error))?.into()
    } else {
        // The maximum length of a secret, and the end of the line.
        without_newline(read(file.unwrap_or(Path::new("-")), bounded::BY_HAND + 2)?)
    };
    if secret.reveal().is_empty() {
        return Err(Error::invalid("the secret", "is empty; remove a secret with `viraldb secrets clear`"));
    }
    Ok(secret)
}

/// Converts text to a secret, without the newline at its end.
pub(super) fn without_newline(mut text: String) -> Secret {
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    text.into()
}
