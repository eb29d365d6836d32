//! Reads CSV in general: the delimiter, the names in the header, and rows with fields that can be looked up by column.

use std::io::BufRead;
use std::sync::Arc;

use csv::{ByteRecord, StringRecord};
use serde_json::{Map, Value};

use super::csv_records::{Records, Taken};
use super::found::{Found, Row, Sink};
use crate::quote::quoted;
use crate::tables::NUL;
use crate::{Error, Result};

/// The recognized delimiters. If two are equally frequent in a header, the first one in this list is used.
const DELIMITERS: [u8; 4] = [b',', b';', b'\t', b'|'];

/// Maximum number of characters of a column name in a message.
const LONGEST_NAME: usize = 20;

/// Maximum number of bytes of a list of column names in a message.
const LONGEST_LIST: usize = 160;

/// The header of a CSV.
#[derive(Debug, Clone)]
pub(super) struct Header {
    pub(super) delimiter: u8,
    pub(super) names: Arc<StringRecord>,
    /// Number of records before the first row: the header and, in files from Excel, a line such as `sep=;` before it.
    records: usize,
}

impl Header {
    /// Reads the header of an input that begins with `head`.
    pub(super) fn of(name: &str, head: &[u8]) -> Result<Self> {
        let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head);
        let (sep, rest) = match split_sep(head) {
            Some((sep, rest)) => (Some(sep), rest),
            None => (None, head),
        };
        let delimiter = sep.unwrap_or_else(|| delimiter(rest));
        let mut records = Records::new(rest, delimiter);
        let taken = records.next(&|_| Ok(())).map_err(|error| Error::io(name, error))?;
        let record = taken.map(|taken| taken.record).unwrap_or_default();
        let names = StringRecord::from_byte_record(record)
            .map_err(|_| Error::invalid(name, "has a header that is not UTF-8"))?;
        Ok(Self { delimiter, names: Arc::new(names), records: 1 + usize::from(sep.is_some()) })
    }

    /// Returns the index of the column that has one of these names. Earlier names win.
    pub(super) fn find(&self, names: &[&str]) -> Option<usize> {
        names.iter().find_map(|name| {
            let wanted = key(name);
            self.names.iter().position(|column| key(column) == wanted)
        })
    }

    /// Returns the index of the CSV column that `--map` assigns to a table column, or `None` if it assigns none.
    ///
    /// # Errors
    /// `Invalid` if the CSV does not have the column.
    pub(super) fn mapped(
        &self,
        input: &str,
        map: &[(String, String)],
        table_column: &str,
    ) -> Result<Option<usize>> {
        let Some((_, csv_column)) = map.iter().rev().find(|(table, _)| table == table_column) else {
            return Ok(None);
        };
        // Try the exact name first, because two names may differ only in case.
        let place = self.names.iter().position(|name| name == csv_column);
        place.or_else(|| self.find(&[csv_column])).map(Some).ok_or_else(|| {
            let reason = format!(
                "has no column {}, which --map refers to; its columns are {}",
                quoted(csv_column),
                self.list()
            );
            Error::invalid(input, reason)
        })
    }

    /// Returns the name of a column.
    pub(super) fn name(&self, place: usize) -> &str {
        self.names.get(place).unwrap_or_default().trim()
    }

    /// Lists the first column names for messages, as many as fit in a line or two.
    pub(super) fn list(&self) -> String {
        let mut list = String::new();
        for (place, name) in self.names.iter().enumerate() {
            let beginning: String = name.trim().chars().take(LONGEST_NAME).collect();
            let name = quoted(&beginning);
            if place > 0 && list.len() + name.len() > LONGEST_LIST {
                return format!("{list} and {} more", self.names.len() - place);
            }
            list += if place > 0 { ", " } else { "" };
            list += &name;
        }
        list
    }
}

/// Checks that the target has all columns in `--map`.
///
/// # Errors
/// `Invalid` if it lacks one.
pub(super) fn check_map<'a>(
    map: &[(String, String)],
    target: &str,
    columns: impl Iterator<Item = &'a str> + Clone,
) -> Result<()> {
    match map.iter().find(|(column, _)| columns.clone().all(|known| known != column)) {
        Some((column, _)) => {
            let known: Vec<&str> = columns.collect();
            let reason = format!("is not a column of {target}; its columns are {}", known.join(", "));
            Err(Error::invalid(format!("--map {}", quoted(column)), reason))
        }
        None => Ok(()),
    }
}

/// Normalizes a column name for comparison: lowercase, with only letters and digits.
pub(super) fn key(name: &str) -> String {
    name.to_lowercase().chars().filter(|c| c.is_alphanumeric()).collect()
}

/// Splits off the line with which Excel sets the delimiter. Returns the delimiter and the rest.
fn split_sep(head: &[u8]) -> Option<(u8, &[u8])> {
    let rest = head.strip_prefix(b"sep=").or_else(|| head.strip_prefix(b"SEP="))?;
    let (sep, rest) = rest.split_first()?;
    let rest = rest.strip_prefix(b"\r").unwrap_or(rest).strip_prefix(b"\n")?;
    Some((*sep, rest))
}

/// Returns the delimiter that is most frequent in the first line, outside of quotes.
fn delimiter(head: &[u8]) -> u8 {
    let mut counts = [0_usize; DELIMITERS.len()];
    let mut is_quoted = false;
    for byte in head.trim_ascii_start() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => break,
            _ if is_quoted => {}
            _ => {
                if let Some(place) = DELIMITERS.iter().position(|delimiter| delimiter == byte)
                    && let Some(count) = counts.get_mut(place)
                {
                    *count += 1;
                }
            }
        }
    }
    let most = counts.iter().max().copied().unwrap_or_default();
    let first = counts.iter().position(|count| *count == most).unwrap_or_default();
    DELIMITERS.get(first).copied().unwrap_or(b',')
}

/// The fields of a row. All of them are UTF-8 and without NUL characters.
pub(super) struct Fields<'a> {
    record: &'a ByteRecord,
}

impl<'a> Fields<'a> {
    fn new(record: &'a ByteRecord, header: &Header) -> Result<Self, String> {
        if record.len() != header.names.len() {
            return Err(format!("has {} fields instead of {}", record.len(), header.names.len()));
        }
        if let Some(place) = record.iter().position(|field| std::str::from_utf8(field).is_err()) {
            return Err(format!("{} is not UTF-8", header.name(place)));
        }
        if record.as_slice().contains(&0) {
            return Err(NUL.to_owned());
        }
        Ok(Self { record })
    }

    /// Returns the text of a field without surrounding whitespace.
    pub(super) fn text(&self, place: usize) -> &'a str {
        self.whole_text(place).trim()
    }

    /// Returns the unchanged text of a field.
    pub(super) fn whole_text(&self, place: usize) -> &'a str {
        self.record.get(place).and_then(|field| std::str::from_utf8(field).ok()).unwrap_or_default()
    }
}

/// Passes the first complete rows of `head` to `see`, so that the caller can find the decimal mark.
pub(super) fn sample(head: &[u8], header: &Header, most: usize, see: &mut dyn FnMut(&Fields<'_>)) {
    let mut records = Records::new(head, header.delimiter);
    for number in 0..header.records + most {
        // Reading from a slice cannot fail.
        let Ok(Some(taken)) = records.next(&|_| Ok(())) else { return };
        if number >= header.records
            && let Ok(fields) = Fields::new(&taken.record, header)
        {
            see(&fields);
        }
    }
}

/// Converts a row, or returns the reason why it cannot be converted. `None` skips the row.
pub(super) type Convert<'a> = dyn Fn(&Fields<'_>) -> Result<Option<Found>, String> + 'a;

/// Passes each row to `sink`.
pub(super) fn read(
    name: &str,
    input: &mut impl BufRead,
    header: &Header,
    convert: &Convert<'_>,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let unreadable = |error| Error::io(name, error);
    let mut records = Records::new(input, header.delimiter);
    for _ in 0..header.records {
        records.next(&|_| Ok(())).map_err(unreadable)?;
    }
    let check = |record: &ByteRecord| convert(&Fields::new(record, header)?);
    while let Some(Taken { record, line, found, is_text }) = records.next(&check).map_err(unreadable)? {
        let found = match found {
            Ok(None) => continue,
            Ok(Some(found)) => Ok(found),
            Err(reason) => Err(reason),
        };
        let size = record.as_slice().len();
        let names = Arc::clone(&header.names);
        let raw = Box::new(move || {
            if is_text {
                String::from_utf8_lossy(record.as_slice()).into()
            } else {
                document(&record, &names)
            }
        });
        sink(Row { line, found, raw, size })?;
    }
    Ok(())
}

/// Returns the row as a document with its column names. Fields without a column are named by their number.
fn document(record: &ByteRecord, names: &StringRecord) -> Value {
    let fields = record.iter().enumerate().map(|(place, field)| {
        let name = names.get(place).map_or_else(|| (place + 1).to_string(), str::to_owned);
        (name, Value::from(String::from_utf8_lossy(field)))
    });
    Value::Object(fields.collect::<Map<_, _>>())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delimiter_comes_from_the_header() {
        for (head, delimiter, names) in [
            ("a,b;c,d\n1;2;3;4;5\n", b',', 3),
            ("a;b;c\n1,2,3,4\n", b';', 3),
            ("a\tb\r\n", b'\t', 2),
            ("a|b|c", b'|', 3),
            ("\"a;b;c\",d\n", b',', 2),
            ("sep=;\r\na,b;c\n", b';', 2),
            ("\n\nalone\n1;2\n", b',', 1),
            ("\u{feff}\"a\nb\";c\n", b';', 2),
            ("", b',', 0),
        ] {
            let header = Header::of("in", head.as_bytes()).unwrap();
            assert_eq!((header.delimiter, header.names.len()), (delimiter, names), "{head:?}");
        }
        assert!(Header::of("in", b"a,\xff\n").is_err());
    }

    #[test]
    fn names_are_compared_without_case_and_punctuation() {
        for name in ["video_id", "Video Id", " VIDEO_ID ", "videoId", "\u{feff}video-id", "Vi\u{ad}deo ID"] {
            assert_eq!(key(name), "videoid", "{name:?}");
        }
        assert_eq!(key("İçerik"), "içerik");
        assert_ne!(key("Likes"), key("Likes (vs. dislikes) (%)"));
        let header = Header::of("in", "Views,ABC,abc\n".as_bytes()).unwrap();
        assert_eq!(header.find(&["view_count", "views"]), Some(0));
        let map = |to: &str| vec![("title".to_owned(), to.to_owned())];
        assert_eq!(header.mapped("in", &map("abc"), "title").unwrap(), Some(2));
        assert_eq!(header.mapped("in", &map("VIEWS"), "title").unwrap(), Some(0));
        assert_eq!(header.mapped("in", &map("abc"), "niche").unwrap(), None);
        let many = Header::of("in", vec!["a name that is too long"; 50].join(",").as_bytes()).unwrap();
        assert!(many.list().ends_with("\"a name that is too l\" and 44 more"), "{}", many.list());
        let said = header.mapped("in.csv", &map("Titel"), "title").unwrap_err().to_string();
        assert_eq!(
            said,
            "in.csv has no column \"Titel\", which --map refers to; its columns are \"Views\", \"ABC\", \"abc\""
        );
    }
}
