//! Keeps the items of a list that comes before the fields that describe them, until the end of the document.

use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::bytes::State;

/// An item that is kept until the end of its document.
pub(super) struct Kept {
    pub(super) line: u64,
    pub(super) item: Result<Value, (String, String)>,
}

/// Maximum size of all kept items in bytes.
const MOST_KEPT: usize = 64 * 1024 * 1024;

/// Reads a list whose items are kept until the end of their document.
pub(super) struct Keep<'a> {
    pub(super) state: &'a State,
}

impl<'de> DeserializeSeed<'de> for Keep<'_> {
    type Value = Vec<Kept>;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        from.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Keep<'_> {
    type Value = Vec<Kept>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Self::Value, A::Error> {
        let mut kept = Vec::new();
        let mut bytes = 0;
        while let Some(KeptItem(line, raw)) = items.next_element_seed(KeepOne(self.state))? {
            bytes += raw.get().len();
            if bytes > MOST_KEPT {
                return Err(serde::de::Error::custom(format!(
                    "the items come before the fields that describe them and exceed {MOST_KEPT} bytes"
                )));
            }
            let item = if self.state.is_not_utf8.replace(false) {
                Err("is not UTF-8".to_owned())
            } else {
                read_one(&raw)
            };
            kept.push(Kept { line, item: item.map_err(|reason| (reason, raw.get().to_owned())) });
        }
        Ok(kept)
    }

    fn visit_unit<E: serde::de::Error>(self) -> Result<Self::Value, E> {
        Ok(Vec::new())
    }
}

/// Reads one item and the line on which it begins.
struct KeepOne<'a>(&'a State);

struct KeptItem(u64, Box<RawValue>);

impl<'de> DeserializeSeed<'de> for KeepOne<'_> {
    type Value = KeptItem;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        let line = self.0.line.get();
        Ok(KeptItem(line, serde::Deserialize::deserialize(from)?))
    }
}

/// Parses a raw value on its own, so that an invalid value, such as half a surrogate pair, rejects only its item and not the
/// whole document.
pub(super) fn read_one(raw: &RawValue) -> Result<Value, String> {
    serde_json::from_str(raw.get()).map_err(|error| reason(&error))
}

/// Returns the message of a serde error without the position, which serde counts from where it began to read.
pub(super) fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    crate::quote::cut_quotes(text.rsplit_once(" at line ").map_or(&text, |(said, _)| said))
}
