//! Columns of words are enums; each stands in the file of its table.

use crate::Error;

/// What a word outside its list gets: the word, and the list.
pub(crate) fn unknown_word(text: &str, known: &[&str]) -> Error {
    Error::invalid(format!("{text:?}"), format!("is none of {}", known.join(", ")))
}
