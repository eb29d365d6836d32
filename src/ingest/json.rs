//! JSON documents one behind the other, each a single item or a list of items in one of its fields, read
//! without holding more than one item in memory.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead, Read};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::convert::{Convert, List};
use super::found::{Found, Row, Sink};
use crate::tables::{NUL, has_nul};
use crate::{Error, Result};

/// Reads documents, in which the items are an array, or an array in a field, or the document itself.
pub(super) fn read(input: &mut impl BufRead, convert: &mut dyn Convert, sink: &mut Sink<'_>) -> Result<()> {
    let unreadable = |error| Error::io("the input", error);
    if !is_by_line(input).map_err(unreadable)? {
        return read_documents(input, 1, false, convert, sink);
    }
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        input.by_ref().take(LINE as u64).read_until(b'\n', &mut line).map_err(unreadable)?;
        if line.is_empty() {
            break;
        }
        if line.len() == LINE && line.last() != Some(&b'\n') {
            return read_documents(&mut line.as_slice().chain(input), number, true, convert, sink);
        }
        let Some(item) = item_of(&line, convert) else {
            read_documents(&mut line.as_slice(), number, true, convert, sink)?;
            continue;
        };
        if let Some(found) = found_in(&item, convert) {
            let (text, size) = (std::mem::take(&mut line), line.len());
            let raw = Box::new(move || serde_json::from_slice(text.trim_ascii()).unwrap_or_default());
            sink(Row { line: number, found, raw, size })?;
        }
    }
    Ok(())
}

/// A line that is longer is read as it comes.
const LINE: usize = 1 << 20;

/// The item on a line; nothing if it is not one item without fault, for which there is a slower way.
fn item_of(line: &[u8], convert: &dyn Convert) -> Option<Value> {
    let item: Value = serde_json::from_slice(line.trim_ascii()).ok()?;
    item.as_object().is_some_and(|fields| !fields.keys().any(|name| convert.is_list(name))).then_some(item)
}

/// What a document without a list becomes.
fn found_in(document: &Value, convert: &mut dyn Convert) -> Option<Result<Found, String>> {
    if has_nul(document) {
        return Some(Err(NUL.to_owned()));
    }
    convert.begin();
    document.as_object().into_iter().flatten().for_each(|(name, value)| convert.field(name, value));
    convert.without_list(document)
}

/// Reads documents from here on.
fn read_documents(
    input: &mut impl BufRead,
    line: u64,
    by_line: bool,
    convert: &mut dyn Convert,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let state = State { line: Cell::new(line), ..State::default() };
    let mut input = Counted {
        input,
        state: &state,
        at_line_end: false,
        stop_at_line_end: by_line,
        ahead: VecDeque::new(),
    };
    while input.skip_space().map_err(|error| Error::io("the input", error))? {
        let start = state.line.get();
        let items = Items { state: &state, start, convert, sink, depth: 0, is_in_list: false };
        let mut json = serde_json::Deserializer::from_reader(&mut input);
        let error = items.deserialize(&mut json).err();
        drop(json);
        if let Some(error) = state.failed.take() {
            return Err(error);
        }
        let Some(error) = error else {
            input.at_line_end = false;
            continue;
        };
        if error.is_io() {
            return Err(Error::io("the input", error.into()));
        }
        let reason = if error.is_eof() { "the document is cut off".to_owned() } else { reason(&error) };
        state.is_not_utf8.set(false);
        let line = if by_line { start } else { state.line.get() };
        sink(Row { line, found: Err(reason), raw: Box::new(|| Value::Null), size: 0 })?;
        if !by_line {
            return Ok(()); // nothing says where the next document would begin
        }
        input.skip_line().map_err(|error| Error::io("the input", error))?;
    }
    Ok(())
}

/// Whether each line is a document: then a bad one costs its line only. A document that stands on many
/// lines never has one that begins with a brace in its first column behind its first line, unless its first
/// line leaves a list or an object open. A first line that is longer than what is looked at holds all of a
/// document.
fn is_by_line(input: &mut impl BufRead) -> io::Result<bool> {
    let head = input.fill_buf()?;
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
    let mut lines = head.split(|byte| *byte == b'\n').filter(|line| !line.trim_ascii().is_empty());
    let first = lines.next().unwrap_or_default().trim_ascii();
    let is_open = first.last().is_none_or(|end| b"[{,:".contains(end));
    Ok(first.starts_with(b"{")
        && match lines.next() {
            Some(second) => !is_open && second.starts_with(b"{"),
            None => head.len() >= LONG,
        })
}

/// A first line of so many bytes is not looked through to its end.
const LONG: usize = 32 * 1024;

/// What the reader of bytes and the reader of items tell each other; serde stands between them.
#[derive(Default)]
struct State {
    /// The line that is read.
    line: Cell<u64>,
    /// Bytes that were read since the last item.
    count: Cell<usize>,
    /// The byte that was read last.
    last: Cell<u8>,
    /// Set when something that was read since the last item is not UTF-8; each such byte is a question mark to the
    /// reader of items.
    is_not_utf8: Cell<bool>,
    /// What the sink said, which serde cannot carry.
    failed: Cell<Option<Error>>,
}

/// Counts the lines of what it reads, and can end at the end of one.
struct Counted<'a, R> {
    input: &'a mut R,
    state: &'a State,
    at_line_end: bool,
    stop_at_line_end: bool,
    /// The rest of a character of several bytes.
    ahead: VecDeque<u8>,
}

impl<R: BufRead> Counted<'_, R> {
    /// Goes to the next byte that is no white space, nor a byte-order mark; whether there is one.
    fn skip_space(&mut self) -> io::Result<bool> {
        self.at_line_end = false;
        loop {
            match self.input.fill_buf()?.first() {
                None => return Ok(false),
                Some(byte) if byte.is_ascii_whitespace() || matches!(byte, 0xef | 0xbb | 0xbf) => {
                    if *byte == b'\n' {
                        self.state.line.set(self.state.line.get() + 1);
                    }
                    self.input.consume(1);
                }
                Some(_) => return Ok(true),
            }
        }
    }

    /// The next byte of what is UTF-8.
    fn next_byte(&mut self) -> io::Result<Option<u8>> {
        if let Some(byte) = self.ahead.pop_front() {
            return Ok(Some(byte));
        }
        let Some(byte) = self.take()? else { return Ok(None) };
        let follow = match byte {
            0..0x80 => return Ok(Some(byte)),
            0xc2..0xe0 => 1,
            0xe0..0xf0 => 2,
            0xf0..0xf5 => 3,
            _ => 0,
        };
        let mut character = vec![byte];
        while character.len() <= follow
            && let Some(next @ 0x80..0xc0) = self.input.fill_buf()?.first().copied()
        {
            self.input.consume(1);
            character.push(next);
        }
        if std::str::from_utf8(&character).is_err() {
            self.state.is_not_utf8.set(true);
            return Ok(Some(b'?'));
        }
        self.ahead.extend(character.get(1..).unwrap_or_default());
        Ok(Some(byte))
    }

    fn take(&mut self) -> io::Result<Option<u8>> {
        let byte = self.input.fill_buf()?.first().copied();
        self.input.consume(usize::from(byte.is_some()));
        Ok(byte)
    }

    /// Goes behind the end of the line.
    fn skip_line(&mut self) -> io::Result<()> {
        self.ahead.clear();
        if !self.at_line_end {
            self.input.skip_until(b'\n')?;
            self.state.line.set(self.state.line.get() + 1);
        }
        self.at_line_end = false;
        Ok(())
    }
}

impl<R: BufRead> Read for Counted<'_, R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let (Some(place), false) = (out.first_mut(), self.at_line_end && self.stop_at_line_end) else {
            return Ok(0);
        };
        let Some(byte) = self.next_byte()? else { return Ok(0) };
        if byte == b'\n' {
            self.state.line.set(self.state.line.get() + 1);
            self.at_line_end = true;
        }
        self.state.count.set(self.state.count.get() + 1);
        self.state.last.set(byte);
        *place = byte;
        Ok(1)
    }
}

/// Reads one document and hands on its items.
struct Items<'a, 's> {
    state: &'a State,
    /// The line it begins on.
    start: u64,
    convert: &'a mut dyn Convert,
    sink: &'a mut Sink<'s>,
    /// Lists that this one stands in.
    depth: usize,
    /// Set for the items of a list that is a field of a document.
    is_in_list: bool,
}

impl<'s> Items<'_, 's> {
    /// What stands within: the items of a list, or one of them.
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

    /// Hands on a document that has no list.
    fn hand_on_document<E: serde::de::Error>(&mut self, document: Value) -> Result<(), E> {
        if self.state.is_not_utf8.get() || has_nul(&document) {
            return self.hand_on(document);
        }
        match self.convert.without_list(&document) {
            Some(found) => self.store(found, document),
            None => Ok(()),
        }
    }

    /// Hands on the items of a list that was read before the fields that say how to convert them.
    fn hand_on_kept<E: serde::de::Error>(&mut self, kept: Vec<Kept>, document: Value) -> Result<(), E> {
        match self.convert.list() {
            List::Convert => kept.into_iter().try_for_each(|Kept { line, item }| {
                self.start = line;
                match item {
                    Ok(item) => self.hand_on(item),
                    Err((reason, raw)) => self.refuse(reason, raw.into()),
                }
            }),
            List::Keep => self.refuse("has a list, and nothing says what its items are".to_owned(), document),
            List::Reject(reason) => self.refuse(reason, document),
        }
    }

    /// An item that is no valid JSON by itself.
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

/// Reads a value that was only passed over before: so a bad one, such as half of a surrogate pair, costs
/// its item and not the document.
fn read_one(raw: &RawValue) -> Result<Value, String> {
    serde_json::from_str(raw.get()).map_err(|error| reason(&error))
}

/// What serde says without the position, which is counted from where it began to read.
fn reason(error: &serde_json::Error) -> String {
    let text = error.to_string();
    crate::quote::cut_quotes(text.rsplit_once(" at line ").map_or(&text, |(said, _)| said))
}

/// An item that waits for the end of its document.
struct Kept {
    line: u64,
    item: Result<Value, (String, String)>,
}

/// The most bytes of items that wait.
const MOST_KEPT: usize = 64 * 1024 * 1024;

/// Reads a list whose items wait for the end of their document.
struct Keep<'a> {
    state: &'a State,
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
                    "the items come before the fields that describe them, and are longer than {MOST_KEPT} bytes"
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

/// Reads one item and the line it begins on.
struct KeepOne<'a>(&'a State);

struct KeptItem(u64, Box<RawValue>);

impl<'de> DeserializeSeed<'de> for KeepOne<'_> {
    type Value = KeptItem;

    fn deserialize<D: Deserializer<'de>>(self, from: D) -> Result<Self::Value, D::Error> {
        let line = self.0.line.get();
        Ok(KeptItem(line, serde::Deserialize::deserialize(from)?))
    }
}

impl<'de> DeserializeSeed<'de> for Items<'_, '_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(mut self, from: D) -> Result<(), D::Error> {
        self.start = self.state.line.get();
        // Of what stands in a list, serde has looked at the first byte and no further. An object is gone
        // through, for it may be a list again: a playlist of a channel's playlists.
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
                self.state.is_not_utf8.set(false); // that was in the list's own title, or the like
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

/// What stands under the name of the list: the list, whose items are handed on, or nothing. One object is
/// a list of one. Anything else is returned.
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
