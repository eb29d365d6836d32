//! Columns of words are enums; each stands in the file of its table.

use crate::Error;
use crate::quote::quoted;

/// The error of a text that is not a key; `form` says what one looks like.
pub(crate) fn unknown_key(text: &str, form: &str) -> Error {
    Error::invalid(quoted(text), format!("is not an id, which is {form}"))
}

/// What a word outside its list gets: the word, and the list.
pub(crate) fn unknown_word(text: &str, known: &[&str]) -> Error {
    Error::invalid(quoted(text), format!("is none of {}", known.join(", ")))
}
