//! JSON documents whose members have dotted names.

use serde_json::{Map, Value};

use crate::{Error, Result};

/// Returns the members of a document. A null document becomes an empty object.
///
/// # Errors
/// `Invalid` with the location if the document is not an object.
pub(super) fn members<'a>(document: &'a mut Value, place: &str) -> Result<&'a mut Map<String, Value>> {
    if document.is_null() {
        *document = Value::Object(Map::new());
    }
    document.as_object_mut().ok_or_else(|| Error::invalid(place, "is not a JSON object"))
}

/// Inserts a value under a dotted name. The value is nested, unless a non-object is in the way. In that case the whole
/// dotted name becomes the member's name.
pub(super) fn put(document: &mut Map<String, Value>, name: &str, value: Value) {
    match name.split_once('.') {
        Some((first, rest)) if can_nest(document, name) => {
            let inner = document.entry(first).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(inner) = inner {
                put(inner, rest, value);
            }
        }
        _ => drop(document.insert(name.to_owned(), value)),
    }
}

fn can_nest(document: &Map<String, Value>, name: &str) -> bool {
    match name.split_once('.').map(|(first, rest)| (document.get(first), rest)) {
        Some((Some(Value::Object(inner)), rest)) => can_nest(inner, rest),
        Some((Some(_), _)) => false,
        Some((None, _)) | None => true,
    }
}

/// Removes the values under a dotted name, both the dotted and the nested form, and objects that become empty.
pub(super) fn take(document: &mut Map<String, Value>, name: &str) {
    document.shift_remove(name);
    if let Some((first, rest)) = name.split_once('.')
        && let Some(Value::Object(inner)) = document.get_mut(first)
    {
        let had = !inner.is_empty();
        take(inner, rest);
        if had && inner.is_empty() {
            document.shift_remove(first);
        }
    }
}

/// Returns the value under a dotted name, in the dotted or the nested form.
pub(super) fn inside<'a>(document: &'a Value, name: &str) -> Option<&'a Value> {
    document.get(name).or_else(|| name.split('.').try_fold(document, |inner, part| inner.get(part)))
}

/// Returns the dotted names of a document's values. Nested objects are descended into unless `is_whole` returns true.
pub(super) fn names(document: &Map<String, Value>, is_whole: &impl Fn(&str) -> bool) -> Vec<String> {
    fn walk(
        inner: &Map<String, Value>,
        prefix: &str,
        is_whole: &impl Fn(&str) -> bool,
        names: &mut Vec<String>,
    ) {
        for (name, value) in inner {
            let name = format!("{prefix}{name}");
            match value {
                Value::Object(inner) if !is_whole(&name) => walk(inner, &format!("{name}."), is_whole, names),
                _ => names.push(name),
            }
        }
    }
    let mut found = Vec::new();
    walk(document, "", is_whole, &mut found);
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn object(value: Value) -> Map<String, Value> {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn dotted_names_nest() {
        let mut document = object(json!({ "b": 1, "c": { "x": [1] } }));
        put(&mut document, "a.b.c", json!(2));
        put(&mut document, "a.d", json!(3));
        put(&mut document, "b.x", json!(4)); // must not replace the existing value
        put(&mut document, "c.x.y", json!(5));
        let whole =
            json!({ "b": 1, "c": { "x": [1] }, "a": { "b": { "c": 2 }, "d": 3 }, "b.x": 4, "c.x.y": 5 });
        assert_eq!(Value::Object(document.clone()), whole);
        assert_eq!(inside(&whole, "a.b.c"), Some(&json!(2)));
        assert_eq!(inside(&whole, "b.x"), Some(&json!(4)));
        for name in ["a.b.c", "a.b.x", "b.x", "c.x.y"] {
            take(&mut document, name);
        }
        assert_eq!(Value::Object(document), json!({ "b": 1, "c": { "x": [1] }, "a": { "d": 3 } }));
        let mut both = object(json!({ "a.b": 1, "a": { "b": 2 } }));
        take(&mut both, "a.b");
        assert!(both.is_empty(), "{both:?}");
    }

    #[test]
    fn names_stop_at_whole_settings() {
        let document = object(json!({ "a": { "b": 1, "c": { "d": 2 } }, "e": { "f": 3 } }));
        assert_eq!(names(&document, &|name| name == "e"), ["a.b", "a.c.d", "e"]);
    }

    #[test]
    fn non_objects_are_rejected() {
        assert!(members(&mut json!([1]), "x").unwrap_err().to_string().starts_with("x is not a JSON object"));
        assert!(members(&mut Value::Null, "x").unwrap().is_empty());
    }
}
