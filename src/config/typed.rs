//! A tree of all settings that serde deserializes into a struct.

use std::collections::BTreeMap;

use serde::de::value::MapDeserializer;
use serde::de::{Deserializer, Error as _, IntoDeserializer, Visitor};
use serde::forward_to_deserialize_any;
use serde_json::Value;

/// A setting, or a group of settings whose names share a prefix.
///
/// A setting that cannot be read is an error only if the target struct has a field for it.
#[derive(Debug, Clone)]
pub(super) enum Node<'a> {
    Value(&'a Value),
    /// An invalid setting: its name and value, and the reason.
    Bad(&'a str, &'a str),
    Group(BTreeMap<&'a str, Node<'a>>),
}

impl<'a> Node<'a> {
    /// Adds a setting under its dotted name. No name is a prefix of another; see [`super::Registry::with`].
    pub(super) fn put(&mut self, name: &'a str, node: Self) {
        if let Self::Group(members) = self {
            match name.split_once('.') {
                None => drop(members.insert(name, node)),
                Some((first, rest)) => {
                    members.entry(first).or_insert_with(|| Self::Group(BTreeMap::new())).put(rest, node);
                }
            }
        }
    }
}

type Error = serde_json::Error;

impl<'de> Deserializer<'de> for Node<'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Value(value) => value.deserialize_any(visitor),
            Self::Bad(what, reason) => Err(Error::custom(format_args!("{what} {reason}"))),
            Self::Group(members) => visitor.visit_map(MapDeserializer::new(members.into_iter())),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Self::Value(value) => value.deserialize_option(visitor),
            other => visitor.visit_some(other),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        match self {
            Self::Value(value) => value.deserialize_enum(name, variants, visitor),
            other => other.deserialize_any(visitor),
        }
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        visitor.visit_unit()
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct seq tuple
        tuple_struct map struct identifier
    }
}

impl<'de> IntoDeserializer<'de, Error> for Node<'de> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}
