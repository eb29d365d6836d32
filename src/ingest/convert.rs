//! What a format of JSON does with the documents that `json` reads.

use serde_json::Value;

use super::found::Found;

/// Turns the items of one format into rows.
pub(super) trait Convert {
    /// Returns true if the field of this name holds a list of items.
    fn is_list(&self, field: &str) -> bool;

    /// Turns one item into what it becomes, or says why it cannot.
    fn item(&mut self, item: &Value) -> Result<Found, String>;

    /// Called where a document begins that may hold a list.
    fn begin(&mut self) {}

    /// Called with each field of a document that stands before its list.
    fn field(&mut self, _name: &str, _value: &Value) {}

    /// Says what to do with a list that begins here.
    fn list(&self) -> List {
        List::Convert
    }

    /// Converts a document that has no list; `None` if there is nothing in it.
    fn without_list(&mut self, document: &Value) -> Option<Result<Found, String>> {
        Some(self.item(document))
    }
}

/// What to do with a list of items.
pub(super) enum List {
    /// Convert its items.
    Convert,
    /// Keep its items until the end of their document, because a later field says how to read them.
    Keep,
    /// Reject it as a whole.
    Reject(String),
}

/// A format whose items are the same wherever they stand.
pub(super) struct Each<F> {
    lists: &'static [&'static str],
    item: F,
}

/// Converts items by themselves; they stand in lists of these names.
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
