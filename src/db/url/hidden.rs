//! Hides the passwords of URLs in messages of other libraries and programs.

use super::parts::{Parts, has_password};
use super::{MASK, after_scheme, is_path, masked};
use crate::quote::{short, visible};

/// The minimum length in bytes of a password that is hidden anywhere in a text.
const LONG: usize = 12;

/// The secrets of a URL, and their replacements in messages.
pub struct Hidden {
    /// The texts that messages may contain and their replacements, applied in this order.
    parts: Vec<(String, String)>,
}

/// Prints only the number of hidden texts.
impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hidden({} parts)", self.parts.len())
    }
}

impl Hidden {
    /// Returns the secrets of a text, or `None` if it does not look like a URL with a password.
    pub fn of(text: &str) -> Option<Self> {
        let has_user = |text: &str| {
            let text = text.to_lowercase();
            let colon = text.find(':').or_else(|| text.find("%3a"));
            colon.zip(text.find('@').or_else(|| text.find("%40"))).is_some_and(|(colon, at)| colon < at)
        };
        let is_url = match text.split_once("://") {
            Some((scheme, rest)) => {
                let of_database = ["postgres", "mysql", "mariadb", "sqlite"];
                has_user(rest.split('/').next().unwrap_or_default())
                    || of_database.iter().any(|name| scheme.to_lowercase().contains(name))
            }
            None => {
                (has_user(text) && !is_path(text) && !text.contains(char::is_whitespace))
                    || has_password(text)
            }
        };
        let masked = masked(text);
        if !is_url || masked == text {
            return None;
        }
        let whole = [visible(text), text.to_owned(), short(text).trim_end_matches('…').to_owned()];
        let mut parts: Vec<(String, String)> = whole.map(|text| (text, masked.clone())).into();
        for secret in Parts::split(after_scheme(text)).secrets() {
            // A short password may be a word that messages use, so hide it only in positions where a value is expected.
            if secret.len() >= LONG {
                parts.push((secret, MASK.to_owned()));
                continue;
            }
            parts.push((format!(":{secret}@"), format!(":{MASK}@")));
            if secret.len() > 2 {
                let marks = [':', '=', '"', '\''];
                parts.extend(marks.map(|mark| (format!("{mark}{secret}"), format!("{mark}{MASK}"))));
            }
        }
        Some(Self { parts })
    }

    /// Returns the text with these secrets replaced.
    pub fn hide(&self, text: &str) -> String {
        self.parts.iter().fold(text.to_owned(), |text, (part, shown)| text.replace(part, shown))
    }
}
