//! Reads the records of a CSV file one by one. The length of a record is limited. If a stray quote makes a record swallow
//! the rows after it, the record is ended before the next good row.

use std::io::{self, BufRead};

use csv::ByteRecord;
use csv_core::ReadRecordResult;

/// Maximum length of a record in bytes. All texts of a video together have about a hundredth of that.
const LONGEST: usize = 1024 * 1024;

/// Maximum number of bytes to search for the next good row after a bad record.
const SEARCHED: usize = 16 * LONGEST;

const NO_END: &str = "a quoted field runs past the end of its row";

/// How a record ends.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    /// At the end of a line, outside of quotes.
    Whole,
    /// At the end of the input, inside quotes.
    CutOff,
    /// Not within the maximum length.
    TooLong,
}

/// A record and the result of checking it.
pub(super) struct Taken<T> {
    pub(super) record: ByteRecord,
    /// Line on which the record begins, counted from 1.
    pub(super) line: u64,
    pub(super) found: Result<T, String>,
    /// True if the quotes are unusable. The only field is then the whole text of the record.
    pub(super) is_text: bool,
}

/// Returns true if each field that begins with a quote also ends with one. `csv_core` also accepts text after the closing
/// quote. In a record of several lines, that quote may belong to a field of a later row.
fn is_well_quoted(record: &[u8], delimiter: u8) -> bool {
    let mut bytes = record.iter().copied().peekable();
    let mut begins = true;
    while let Some(byte) = bytes.next() {
        if begins && byte == b'"' {
            while let Some(byte) = bytes.next() {
                if byte == b'"' && bytes.next_if_eq(&b'"').is_none() {
                    break;
                }
            }
            if !matches!(bytes.peek(), None | Some(b'\r' | b'\n')) && bytes.peek() != Some(&delimiter) {
                return false;
            }
        }
        begins = byte == delimiter;
    }
    true
}

/// Reads records from an input.
pub(super) struct Records<R> {
    input: R,
    core: csv_core::Reader,
    delimiter: u8,
    /// The text that was read. The next record begins at `at`.
    text: Vec<u8>,
    at: usize,
    line: u64,
    /// The fields of the record that was parsed last, and the end of each field.
    fields: Vec<u8>,
    ends: Vec<usize>,
}

impl<R: BufRead> Records<R> {
    pub(super) fn new(input: R, delimiter: u8) -> Self {
        Self {
            input,
            core: csv_core::ReaderBuilder::new().delimiter(delimiter).build(),
            delimiter,
            text: Vec::new(),
            at: 0,
            line: 1,
            fields: vec![0; 4096],
            ends: vec![0; 32],
        }
    }

    /// Returns the next record, or `None` after the last one. A bad record of several lines is ended before the next line
    /// on which a good record begins.
    pub(super) fn next<T>(
        &mut self,
        check: &dyn Fn(&ByteRecord) -> Result<T, String>,
    ) -> io::Result<Option<Taken<T>>> {
        if self.at > LONGEST / 4 {
            self.forget();
        }
        if !self.skip_empty_lines()? {
            return Ok(None);
        }
        let line = self.line;
        let (record, end, place) = self.take_apart(self.at)?;
        let found = match end {
            End::Whole => check(&record).and_then(|found| {
                let text = self.text.get(self.at..place).unwrap_or_default();
                if text.trim_ascii_end().contains(&b'\n') && !is_well_quoted(text, self.delimiter) {
                    return Err(NO_END.to_owned());
                }
                Ok(found)
            }),
            End::CutOff => Err("the file ends inside a quoted field".to_owned()),
            End::TooLong => Err(String::new()), // the reason is set below
        };
        let next = if found.is_ok() { None } else { self.next_good(place, check)? };
        if next.is_none() && end != End::TooLong {
            self.go_to(place);
            return Ok(Some(Taken { record, line, found, is_text: false }));
        }
        let place = next.unwrap_or(place);
        let record = ByteRecord::from(vec![self.text.get(self.at..place).unwrap_or_default()]);
        self.go_to(place);
        if next.is_none() {
            self.skip_line()?;
        }
        Ok(Some(Taken { record, line, found: Err(NO_END.to_owned()), is_text: true }))
    }

    /// Parses the record that begins at `from`, and returns it with how and where it ends.
    fn take_apart(&mut self, from: usize) -> io::Result<(ByteRecord, End, usize)> {
        self.core.reset();
        let (mut place, mut out, mut count) = (from, 0, 0);
        let end = loop {
            let at_end = place == self.text.len() && !self.read_more()?;
            // Treat the end of the input as the end of a line.
            let text = if at_end { b"\n" } else { self.text.get(place..).unwrap_or_default() };
            let (result, read, written, ended) = self.core.read_record(
                text,
                self.fields.get_mut(out..).unwrap_or_default(),
                self.ends.get_mut(count..).unwrap_or_default(),
            );
            count += ended;
            match result {
                ReadRecordResult::Record | ReadRecordResult::End => {
                    out += written;
                    place += if at_end { 0 } else { read };
                    break End::Whole;
                }
                ReadRecordResult::InputEmpty if at_end => break End::CutOff,
                ReadRecordResult::InputEmpty => {}
                ReadRecordResult::OutputFull => self.fields.resize(self.fields.len() * 2, 0),
                ReadRecordResult::OutputEndsFull => self.ends.resize(self.ends.len() * 2, 0),
            }
            out += written;
            place += if at_end { 0 } else { read };
            if place - from > LONGEST {
                break End::TooLong;
            }
        };
        let mut record = ByteRecord::with_capacity(out, count + 1);
        let mut begin = 0;
        for end in self.ends.iter().take(count) {
            record.push_field(self.fields.get(begin..*end).unwrap_or_default());
            begin = *end;
        }
        if end != End::Whole {
            record.push_field(self.fields.get(begin..out).unwrap_or_default());
        }
        Ok((record, end, place))
    }

    /// Returns the start of the first line within the current record at which a good record begins. The current record ends
    /// at `end`.
    fn next_good<T>(
        &mut self,
        end: usize,
        check: &dyn Fn(&ByteRecord) -> Result<T, String>,
    ) -> io::Result<Option<usize>> {
        let mut searched = 0;
        let mut place = self.at;
        while let Some(length) =
            self.text.get(place..end).and_then(|text| text.iter().position(|byte| *byte == b'\n'))
        {
            place += length + 1;
            if place >= end || searched > SEARCHED {
                break;
            }
            let (record, ending, behind) = self.take_apart(place)?;
            if ending == End::Whole && check(&record).is_ok() {
                return Ok(Some(place));
            }
            searched += behind - place;
        }
        Ok(None)
    }

    /// Advances to a position and counts the lines on the way.
    fn go_to(&mut self, place: usize) {
        let passed = self.text.get(self.at..place).unwrap_or_default();
        self.line += passed.iter().filter(|byte| **byte == b'\n').count() as u64;
        self.at = place;
    }

    /// Skips empty lines. Returns false at the end of the input.
    fn skip_empty_lines(&mut self) -> io::Result<bool> {
        loop {
            match self.text.get(self.at) {
                Some(b'\r' | b'\n') => self.go_to(self.at + 1),
                Some(_) => return Ok(true),
                None => {
                    self.forget();
                    if !self.read_more()? {
                        return Ok(false);
                    }
                }
            }
        }
    }

    /// Skips the rest of the line.
    fn skip_line(&mut self) -> io::Result<()> {
        loop {
            let rest = self.text.get(self.at..).unwrap_or_default();
            if let Some(length) = rest.iter().position(|byte| *byte == b'\n') {
                self.go_to(self.at + length + 1);
                return Ok(());
            }
            self.at = self.text.len();
            self.forget();
            if !self.read_more()? {
                return Ok(());
            }
        }
    }

    /// Drops the text before the current position.
    fn forget(&mut self) {
        self.text.drain(..self.at);
        self.at = 0;
    }

    /// Reads more text. Returns false at the end of the input.
    fn read_more(&mut self) -> io::Result<bool> {
        let more = self.input.fill_buf()?;
        let length = more.len();
        self.text.extend_from_slice(more);
        self.input.consume(length);
        Ok(length > 0)
    }
}
