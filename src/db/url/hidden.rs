//! Passwords of URLs that messages of others may repeat.

use super::parts::{Parts, has_password};
use super::{MASK, after_scheme, is_path, masked};
use crate::quote::{short, visible};

/// How many bytes a password must have to be hidden wherever it is printed.
const LONG: usize = 12;

/// A URL with a password, and what messages print instead of its parts.
pub struct Hidden {
    /// What messages may hold, and what they show instead; looked for in this order.
    parts: Vec<(String, String)>,
}

/// How many parts it hides, and none of them.
impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hidden({} parts)", self.parts.len())
    }
}

impl Hidden {
    /// The secrets of a text if it is a URL with a password, or meant as one.
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
            // A short one may be a word that messages use, so it is looked for where a value stands.
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

    /// The text without these secrets.
    pub fn hide(&self, text: &str) -> String {
        self.parts.iter().fold(text.to_owned(), |text, (part, shown)| text.replace(part, shown))
    }
}
