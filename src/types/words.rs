//! Columns of words are enums; each stands in the file of its table.

use crate::Error;
use crate::quote::quoted;

/// What a word outside its list gets: the word, and the list.
pub(crate) fn unknown_word(text: &str, known: &[&str]) -> Error {
    Error::invalid(quoted(text), format!("is none of {}", known.join(", ")))
}
