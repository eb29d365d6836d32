//! The errors for words and keys that cannot be parsed.

use crate::Error;
use crate::quote::quoted;

/// Returns the error for a text that is not a key. `form` describes a valid key.
pub(crate) fn unknown_key(text: &str, form: &str) -> Error {
    Error::invalid(quoted(text), format!("is not a valid id; expected {form}"))
}

/// Returns the error for an unknown word. The error quotes the word and lists the known ones.
pub(crate) fn unknown_word(text: &str, known: &[&str]) -> Error {
    Error::invalid("", format!("unknown value {}; expected {}", quoted(text), any_of(known)))
}

/// Joins words for a message: `a, b or c`.
pub(crate) fn any_of(words: &[&str]) -> String {
    match words {
        [first @ .., last] if !first.is_empty() => format!("{} or {last}", first.join(", ")),
        words => words.join(", "),
    }
}
