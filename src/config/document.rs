//! Documents with dotted names in them.

use serde_json::{Map, Value};

/// Puts a value under a dotted name, nested; a value that is no object on the way is replaced.
pub(super) fn put(document: &mut Value, name: &str, value: Value) {
    let mut inner = document;
    for part in name.split('.') {
        if !inner.is_object() {
            *inner = Value::Object(Map::new());
        }
        // It is an object by now; `Value::Null` takes the place of one that is not.
        inner = &mut inner[part];
    }
    *inner = value;
}

/// Takes the value under a dotted name away, written at once or nested, with the objects that it leaves empty.
pub(super) fn take(document: &mut Value, name: &str) -> Option<Value> {
    let object = document.as_object_mut()?;
    if let Some(value) = object.shift_remove(name) {
        return Some(value);
    }
    let (first, rest) = name.split_once('.')?;
    let inner = object.get_mut(first)?;
    let value = take(inner, rest)?;
    if inner.as_object().is_some_and(Map::is_empty) {
        object.shift_remove(first);
    }
    Some(value)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn dotted_names_nest() {
        let mut document = json!({ "b": 1 });
        put(&mut document, "a.b.c", json!(2));
        put(&mut document, "a.d", json!(3));
        put(&mut document, "b.x", json!(4));
        assert_eq!(document, json!({ "b": { "x": 4 }, "a": { "b": { "c": 2 }, "d": 3 } }));
        assert_eq!(take(&mut document, "a.b.c"), Some(json!(2)));
        assert_eq!(take(&mut document, "a.b.c"), None);
        assert_eq!(take(&mut document, "b.x"), Some(json!(4)));
        assert_eq!(document, json!({ "a": { "d": 3 } }));
        let mut flat = json!({ "a.b": 1 });
        assert_eq!(take(&mut flat, "a.b"), Some(json!(1)));
        assert_eq!(flat, json!({}));
    }
}
