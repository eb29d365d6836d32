//! The kind of value that a column takes. A CSV field is text and is converted to the kind of its column.

use std::fmt;

use serde::de::value::BorrowedStrDeserializer;
use serde::de::{self, DeserializeOwned, DeserializeSeed, Deserializer, MapAccess, Visitor};

/// The kind of value that a column takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Whole,
    Real,
    Bool,
    /// Any JSON value.
    Json,
}

/// Returns the kind of a column of `T`, by observing which type serde's derived code requests for the column.
pub(super) fn kind_of<T: DeserializeOwned>(column: &'static str) -> Kind {
    let mut kind = Kind::Text;
    // Deserializing always fails, but only after it has requested the value.
    let _ = T::deserialize(Row { column: Some(column), kind: &mut kind }).is_ok();
    kind
}

/// A row with a single column.
struct Row<'k> {
    column: Option<&'static str>,
    kind: &'k mut Kind,
}

/// The error that ends deserializing once the type is known.
#[derive(Debug)]
struct Asked;

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("only asked for the type")
    }
}

impl std::error::Error for Asked {}

impl de::Error for Asked {
    fn custom<T: fmt::Display>(_: T) -> Self {
        Self
    }
}

impl<'de> Deserializer<'de> for Row<'_> {
    type Error = Asked;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Asked> {
        visitor.visit_map(self)
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'de> MapAccess<'de> for Row<'_> {
    type Error = Asked;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, Asked> {
        self.column.take().map(|column| seed.deserialize(BorrowedStrDeserializer::new(column))).transpose()
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, Asked> {
        seed.deserialize(Value(self.kind))
    }
}

/// A value that records the type that was requested.
struct Value<'k>(&'k mut Kind);

/// Defines a deserializer method for each requested type, which records the kind.
macro_rules! notes {
    ($($kind:ident: $($method:ident)+;)+) => {
        $($(
            fn $method<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Asked> {
                *self.0 = Kind::$kind;
                Err(Asked)
            }
        )+)+
    };
}

impl<'de> Deserializer<'de> for Value<'_> {
    type Error = Asked;

    notes! {
        Text: deserialize_char deserialize_str deserialize_string deserialize_identifier;
        Whole: deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128 deserialize_u8
            deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128;
        Real: deserialize_f32 deserialize_f64;
        Bool: deserialize_bool;
        Json: deserialize_any deserialize_bytes deserialize_byte_buf deserialize_seq deserialize_map deserialize_unit
            deserialize_ignored_any;
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Asked> {
        visitor.visit_some(self)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Asked> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Asked> {
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Asked> {
        self.deserialize_any(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Asked> {
        self.deserialize_any(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Asked> {
        self.deserialize_any(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Asked> {
        self.deserialize_str(visitor)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{table, tables};
    use super::*;

    #[test]
    fn kinds_of_columns_match_the_schema() {
        for (of, column, kind) in [
            ("discovered_videos", "id", Kind::Whole),
            ("discovered_videos", "title", Kind::Text),
            ("discovered_videos", "discovered_at", Kind::Text),
            ("discovered_videos", "view_count", Kind::Whole),
            ("discovered_videos", "viral_score", Kind::Real),
            ("channels", "id", Kind::Text),
            ("channels", "posting_schedule", Kind::Json),
            ("trends", "external_id", Kind::Text),
        ] {
            assert_eq!(table(of).unwrap().kind(column), kind, "{of}.{column}");
        }
        let has = |wanted| {
            tables().any(|name| {
                let target = table(name).unwrap();
                target.columns().iter().any(|column| target.kind(column) == wanted)
            })
        };
        assert!(has(Kind::Bool));
    }
}
