//! JSON documents one behind the other, each a single item or a list of items in one of its fields, read
//! without holding more than one item in memory.

mod bytes;
mod items;
mod kept;

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

use serde::de::DeserializeSeed;
use serde_json::Value;

use self::bytes::{Counted, State};
use self::items::Items;
use self::kept::reason;
use super::convert::Convert;
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
