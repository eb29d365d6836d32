//! Reads a sequence of JSON documents. Each document is a single item, or contains a list of items in one of its fields.
//! Usually only one item is in memory.

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

/// Reads documents. A document is an item, an array of items, or an object with an array of items in one of its fields.
pub(super) fn read(
    name: &str,
    input: &mut impl BufRead,
    convert: &mut dyn Convert,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let unreadable = |error| Error::io(name, error);
    if !is_by_line(input).map_err(unreadable)? {
        return read_documents(name, input, 1, false, convert, sink);
    }
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        input.by_ref().take(LINE as u64).read_until(b'\n', &mut line).map_err(unreadable)?;
        if line.is_empty() {
            break;
        }
        if line.len() == LINE && line.last() != Some(&b'\n') {
            return read_documents(name, &mut line.as_slice().chain(input), number, true, convert, sink);
        }
        let Some(item) = item_of(&line, convert) else {
            read_documents(name, &mut line.as_slice(), number, true, convert, sink)?;
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

/// Maximum length in bytes of a line that is read as a whole. A longer line is streamed.
const LINE: usize = 1 << 20;

/// Returns the item on a line. Returns `None` if the line is not exactly one valid item; a slower path then reads the line.
fn item_of(line: &[u8], convert: &dyn Convert) -> Option<Value> {
    let item: Value = serde_json::from_slice(line.trim_ascii()).ok()?;
    item.as_object().is_some_and(|fields| !fields.keys().any(|name| convert.is_list(name))).then_some(item)
}

/// Converts a document without a list.
fn found_in(document: &Value, convert: &mut dyn Convert) -> Option<Result<Found, String>> {
    if has_nul(document) {
        return Some(Err(NUL.to_owned()));
    }
    convert.begin();
    document.as_object().into_iter().flatten().for_each(|(name, value)| convert.field(name, value));
    convert.without_list(document)
}

/// Reads documents from the current position. `line` is the current line. With `by_line`, each line is a document.
fn read_documents(
    name: &str,
    input: &mut impl BufRead,
    line: u64,
    by_line: bool,
    convert: &mut dyn Convert,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let unreadable = |error| Error::io(name, error);
    let state = State { line: Cell::new(line), ..State::default() };
    let mut input = Counted {
        input,
        state: &state,
        at_line_end: false,
        stop_at_line_end: by_line,
        ahead: VecDeque::new(),
    };
    while input.skip_space().map_err(unreadable)? {
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
            return Err(unreadable(error.into()));
        }
        let reason = if error.is_eof() { "the document is cut off".to_owned() } else { reason(&error) };
        state.is_not_utf8.set(false);
        let line = if by_line { start } else { state.line.get() };
        sink(Row { line, found: Err(reason), raw: Box::new(|| Value::Null), size: 0 })?;
        if !by_line {
            return Ok(()); // the start of the next document is unknown
        }
        input.skip_line().map_err(unreadable)?;
    }
    Ok(())
}

/// Returns true if each line is a document, so that a bad document affects only its line.
///
/// A document that spans several lines has no later line that begins with a brace in the first column, unless its first
/// line leaves a list or an object open. If the first line is longer than the examined part of the input, it is taken to
/// contain the whole document.
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

/// Length in bytes from which a first line without an end counts as a whole document.
const LONG: usize = 32 * 1024;
