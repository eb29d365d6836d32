//! Conversion of the documents that `json` reads, one implementation per JSON format.

use serde_json::Value;

use super::found::Found;

/// Converts the items of one format to rows.
pub(super) trait Convert {
    /// Returns true if the field with this name contains a list of items.
    fn is_list(&self, field: &str) -> bool;

    /// Converts one item, or returns the reason why it cannot be converted.
    fn item(&mut self, item: &Value) -> Result<Found, String>;

    /// Called at the start of a document that may contain a list.
    fn begin(&mut self) {}

    /// Called for each field of a document that precedes its list.
    fn field(&mut self, _name: &str, _value: &Value) {}

    /// Returns what to do with the list that begins now.
    fn list(&self) -> List {
        List::Convert
    }

    /// Converts a document without a list. Returns `None` if the document contains no data.
    fn without_list(&mut self, document: &Value) -> Option<Result<Found, String>> {
        Some(self.item(document))
    }
}

/// How to handle a list of items.
pub(super) enum List {
    /// Convert the items.
    Convert,
    /// Keep the items until the end of their document, because a later field says how to read them.
    Keep,
    /// Reject the whole list for this reason.
    Reject(String),
}

/// A format whose items are converted independently of their document.
pub(super) struct Each<F> {
    lists: &'static [&'static str],
    item: F,
}

/// Returns a converter that converts each item on its own. `lists` are the names of the fields that contain lists of items.
pub(super) fn each<F>(lists: &'static [&'static str], item: F) -> Each<F>
where
    F: FnMut(&Value) -> Result<Found, String>,
{
    Each { lists, item }
}

impl<F: FnMut(&Value) -> Result<Found, String>> Convert for Each<F> {
    fn is_list(&self, field: &str) -> bool {
        self.lists.contains(&field)
    }

    fn item(&mut self, item: &Value) -> Result<Found, String> {
        (self.item)(item)
    }
}
