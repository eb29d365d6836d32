//! Reads the bytes of JSON documents and tracks their line numbers.

use std::cell::Cell;
use std::collections::VecDeque;
use std::io::{self, BufRead, Read};

use crate::Error;

/// State shared by the byte reader and the item reader. They cannot call each other, because serde is between them.
#[derive(Default)]
pub(super) struct State {
    /// The current line.
    pub(super) line: Cell<u64>,
    /// Number of bytes read since the last item.
    pub(super) count: Cell<usize>,
    /// The last byte that was read.
    pub(super) last: Cell<u8>,
    /// True if invalid UTF-8 was read since the last item. The item reader receives a question mark for each invalid
    /// sequence.
    pub(super) is_not_utf8: Cell<bool>,
    /// The error of the sink, kept here because serde cannot return it.
    pub(super) failed: Cell<Option<Error>>,
}

/// Counts lines while it reads, and can stop at the end of a line.
pub(super) struct Counted<'a, R> {
    pub(super) input: &'a mut R,
    pub(super) state: &'a State,
    pub(super) at_line_end: bool,
    pub(super) stop_at_line_end: bool,
    /// The remaining bytes of a multibyte character.
    pub(super) ahead: VecDeque<u8>,
}

impl<R: BufRead> Counted<'_, R> {
    /// Skips whitespace and a byte-order mark. Returns false at the end of the input.
    pub(super) fn skip_space(&mut self) -> io::Result<bool> {
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

    /// Returns the next byte, or a question mark for a sequence that is not UTF-8.
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

    /// Skips the rest of the line.
    pub(super) fn skip_line(&mut self) -> io::Result<()> {
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
