//! Reads JSON Lines with viraldb's own column names, for any table. An array of rows, and a row that spans several lines, are
//! read as well: `--format json` prints both.

use std::io::{BufRead, Read};

use serde_json::Value;

use super::convert::each;
use super::found::{Found, Row, Sink};
use super::json;
use crate::quote::cut_quotes;
use crate::tables::{NUL, Target, has_nul};
use crate::{Error, Result};

/// Maximum length of a line in bytes. A longer line is a bad row.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Reads the lines. `niche` is the default for rows without a niche.
pub(super) fn read(
    name: &str,
    input: &mut impl BufRead,
    target: &Target,
    niche: Option<&str>,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let unreadable = |error| Error::io(name, error);
    if is_document(input.fill_buf().map_err(unreadable)?) {
        return json::read(name, input, &mut each(&[], |row| found(row.clone(), target, niche)), sink);
    }
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let length = input.by_ref().take(LONGEST + 1).read_until(b'\n', &mut line).map_err(unreadable)?;
        if length == 0 {
            break;
        }
        if line.len() as u64 > LONGEST {
            input.skip_until(b'\n').map_err(unreadable)?;
            let found = Err(format!("the line is longer than {LONGEST} bytes"));
            sink(Row { line: number, found, raw: Box::new(|| Value::Null), size: 0 })?;
            continue;
        }
        let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line).trim_ascii();
        if text.is_empty() {
            continue;
        }
        let found = match serde_json::from_slice::<Value>(text) {
            Ok(value) if has_nul(&value) => Err(NUL.to_owned()),
            Ok(value) => found(value, target, niche),
            Err(error) => Err(match std::str::from_utf8(text) {
                Ok(_) => format!("is not valid JSON: {}", cut_quotes(&error.to_string())),
                Err(_) => "is not UTF-8".to_owned(),
            }),
        };
        let (given, size) = (text.to_vec(), text.len());
        let raw = Box::new(move || {
            serde_json::from_slice(&given).unwrap_or_else(|_| String::from_utf8_lossy(&given).into())
        });
        sink(Row { line: number, found, raw, size })?;
    }
    Ok(())
}

/// Returns true if an input that begins with `head` is an array, or an object that continues on the next line.
fn is_document(head: &[u8]) -> bool {
    let head = head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head).trim_ascii_start();
    let first = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    head.starts_with(b"[") || (first.trim_ascii() == b"{" && first.len() < head.len())
}

/// Converts a row. `niche` is the default for rows without a niche.
fn found(mut row: Value, target: &Target, niche: Option<&str>) -> Result<Found, String> {
    if let (Some(niche), Some(row)) = (niche, row.as_object_mut())
        && row.get("niche").is_none_or(Value::is_null)
    {
        row.insert("niche".to_owned(), niche.into());
    }
    let document = target.check(row)?;
    Ok(Found { document: Some(document), ..Default::default() })
}
