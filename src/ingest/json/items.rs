//! Reads the items of a document: the document itself, or the items of the list in one of its fields.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::super::convert::{Convert, List};
use super::super::found::{Found, Row, Sink};
use super::bytes::State;
use super::kept::{Keep, Kept, read_one, reason};
use crate::Result;
use crate::tables::{NUL, has_nul};

/// Reads one document and passes its items to the sink.
pub(super) struct Items<'a, 's> {
    pub(super) state: &'a State,
    /// Line on which the current item begins.
    pub(super) start: u64,
    pub(super) convert: &'a mut dyn Convert,
    pub(super) sink: &'a mut Sink<'s>,
    /// Number of enclosing lists.
    pub(super) depth: usize,
    /// True for the items of a list that is a field of a document.
    pub(super) is_in_list: bool,
}

impl<'s> Items<'_, 's> {
    /// Returns a reader for the items of a list, one level deeper.
    fn within(&mut self) -> Items<'_, 's> {
        Items {
            state: self.state,
            start: self.state.line.get(),
            convert: &mut *self.convert,
            sink: &mut *self.sink,
            depth: self.depth + 1,
            is_in_list: self.is_in_list,
        }
    }

    /// Converts an item and passes it to the sink.
    fn hand_on<E: serde::de::Error>(&mut self, item: Value) -> Result<(), E> {
        let found = if self.state.is_not_utf8.replace(false) {
            Err("is not UTF-8".to_owned())
        } else if has_nul(&item) {
            Err(NUL.to_owned())
        } else {
            self.convert.item(&item)
        };
        self.store(found, item)
    }

    /// Converts a document without a list and passes it to the sink.
    fn hand_on_document<E: serde::de::Error>(&mut self, document: Value) -> Result<(), E> {
        if self.state.is_not_utf8.get() || has_nul(&document) {
            return self.hand_on(document);
        }
        match self.convert.without_list(&document) {
            Some(found) => self.store(found, document),
            None => Ok(()),
        }
    }

    /// Converts the items of a list that was read before the fields that say how to convert them.
    fn hand_on_kept<E: serde::de::Error>(&mut self, kept: Vec<Kept>, document: Value) -> Result<(), E> {
        match self.convert.list() {
            List::Convert => kept.into_iter().try_for_each(|Kept { line, item }| {
                self.start = line;
                match item {
                    Ok(item) => self.hand_on(item),
                    Err((reason, raw)) => self.refuse(reason, raw.into()),
                }
            }),
            List::Keep => {
                self.refuse("has a list, but no field that describes its items".to_owned(), document)
            }
            List::Reject(reason) => self.refuse(reason, document),
        }
    }

    /// Rejects an item or a document.
    fn refuse<E: serde::de::Error>(&mut self, reason: String, item: Value) -> Result<(), E> {
        self.state.is_not_utf8.set(false);
        self.store(Err(reason), item)
    }

    fn store<E: serde::de::Error>(&mut self, found: Result<Found, String>, item: Value) -> Result<(), E> {
        let row =
            Row { line: self.start, found, raw: Box::new(move || item), size: self.state.count.replace(0) };
        (self.sink)(row).map_err(|error| {
            self.state.failed.set(Some(error));
            E::custom("the row could not be stored")
        })
    }
}

impl<'de> DeserializeSeed<'de> for Items<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, from: D) -> Result<(), D::Error> {
        self.start = self.state.line.get();
        // At this point serde has read only the first byte of a list item. Visit objects field by field, because an object
        // may contain another list, such as a playlist among a channel's playlists.
        if self.depth == 0 || self.state.last.get() == b'{' {
            return from.deserialize_any(self);
        }
        let item: Box<RawValue> = serde::Deserialize::deserialize(from)?;
        match read_one(&item) {
            Ok(value) => self.hand_on(value),
            Err(reason) => self.refuse(reason, item.get().into()),
        }
    }
}

impl<'de> Visitor<'de> for Items<'_, '_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object or an array of objects")
    }

    fn visit_map<A: MapAccess<'de>>(mut self, mut map: A) -> Result<(), A::Error> {
        let mut document = Map::new();
        let mut is_list = false;
        let mut bad = None;
        let mut kept = None;
        let is_outer = !self.is_in_list;
        if is_outer {
            self.convert.begin();
        }
        while let Some(key) = map.next_key::<Box<RawValue>>()? {
            let key = serde_json::from_str::<String>(key.get()).map_err(|error| reason(&error));
            if let Ok(name) = &key
                && kept.is_none()
                && self.convert.is_list(name)
            {
                self.state.is_not_utf8.set(false); // it was in an earlier field, such as the title of the list
                match self.convert.list() {
                    List::Convert => match map.next_value_seed(Listed(self.within()))? {
                        None => is_list = true,
                        Some(other) => drop(document.insert(name.clone(), other)),
                    },
                    List::Keep => kept = Some(map.next_value_seed(Keep { state: self.state })?),
                    List::Reject(reason) => {
                        map.next_value::<IgnoredAny>()?;
                        is_list = true;
                        self.refuse(reason, Value::Object(document.clone()))?;
                    }
                }
            } else if is_list {
                map.next_value::<IgnoredAny>()?;
            } else {
                let value = map.next_value::<Box<RawValue>>()?;
                match key.and_then(|key| Ok((key, read_one(&value)?))) {
                    Ok((key, value)) => {
                        if is_outer {
                            self.convert.field(&key, &value);
                        }
                        document.insert(key, value);
                    }
                    Err(reason) => bad = Some(reason),
                }
            }
        }
        match (bad, kept) {
            _ if is_list => {
                self.state.is_not_utf8.set(false);
                Ok(())
            }
            (_, Some(kept)) => {
                self.state.is_not_utf8.set(false);
                self.hand_on_kept(kept, Value::Object(document))
            }
            (Some(reason), None) => self.refuse(reason, Value::Object(document)),
            (None, None) => self.hand_on_document(Value::Object(document)),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self.within())?.is_some() {}
        Ok(())
    }
}

/// Reads the value of the list field. The items of a list are passed to the sink, and a single object is treated as a list
/// of one item. Null is ignored. Any other value is returned.
struct Listed<'a, 's>(Items<'a, 's>);

impl<'de> DeserializeSeed<'de> for Listed<'_, '_> {
    type Value = Option<Value>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Listed<'_, '_> {
    type Value = Option<Value>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.expecting(f)
    }

    fn visit_map<A: MapAccess<'de>>(mut self, map: A) -> Result<Self::Value, A::Error> {
        self.0.is_in_list = true;
        self.0.visit_map(map).map(|()| None)
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, items: A) -> Result<Self::Value, A::Error> {
        self.0.is_in_list = true;
        self.0.visit_seq(items).map(|()| None)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(None)
    }

    fn visit_bool<E: serde::de::Error>(self, value: bool) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }

    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Self::Value, E> {
        Ok(Some(value.into()))
    }
}
