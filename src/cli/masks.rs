//! Passwords of URLs on the command line and in the environment, which must not appear in messages.

use std::borrow::Cow;
use std::sync::OnceLock;

use viraldb::private::Hidden;

/// Environment variables with URLs.
const VARIABLES: [&str; 2] = ["DATABASE_URL", "VIRALDB_READ_URL"];

/// Returns the URLs among all arguments, because one may be in the wrong position, and in the environment.
fn hidden() -> &'static [Hidden] {
    static HIDDEN: OnceLock<Vec<Hidden>> = OnceLock::new();
    HIDDEN.get_or_init(|| {
        let args = std::env::args_os().skip(1);
        let variables = VARIABLES.into_iter().filter_map(std::env::var_os);
        let texts = args.chain(variables).map(|text| text.to_string_lossy().into_owned());
        let with_values = texts.flat_map(|text| {
            let value =
                text.strip_prefix("--").and_then(|option| option.split_once('=')).map(|(_, value)| value);
            [value.map(str::to_owned), Some(text)].into_iter().flatten()
        });
        with_values.filter_map(|text| Hidden::of(&text)).collect()
    })
}

/// Returns a message without these passwords.
pub(super) fn without_passwords(message: &str) -> Cow<'_, str> {
    hidden().iter().fold(message.into(), |message, hidden| hidden.hide(&message).into())
}
