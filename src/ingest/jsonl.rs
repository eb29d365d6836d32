//! Reads JSON Lines with viraldb's own column names, for any table.

use std::io::{BufRead, Read};

use serde_json::Value;

use super::found::{Found, Row, Sink};
use crate::quote::cut_quotes;
use crate::tables::{NUL, Target, has_nul};
use crate::{Error, Result};

/// Maximum length of a line in bytes. A longer line is a bad row.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Reads the lines. `niche` is the default for rows without a niche.
pub(super) fn read(
    input: &mut impl BufRead,
    target: &Target,
    niche: Option<&str>,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let length = input
            .by_ref()
            .take(LONGEST + 1)
            .read_until(b'\n', &mut line)
            .map_err(|error| Error::io("the input", error))?;
        if length == 0 {
            break;
        }
        if line.len() as u64 > LONGEST {
            input.skip_until(b'\n').map_err(|error| Error::io("the input", error))?;
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
            Ok(mut value) => {
                if let (Some(niche), Some(row)) = (niche, value.as_object_mut())
                    && row.get("niche").is_none_or(Value::is_null)
                {
                    row.insert("niche".to_owned(), niche.into());
                }
                target.check(value)
            }
            Err(error) => Err(match std::str::from_utf8(text) {
                Ok(_) => format!("is not valid JSON: {}", cut_quotes(&error.to_string())),
                Err(_) => "is not UTF-8".to_owned(),
            }),
        };
        let found = found.map(|document| Found { document: Some(document), ..Default::default() });
        let (given, size) = (text.to_vec(), text.len());
        let raw = Box::new(move || {
            serde_json::from_slice(&given).unwrap_or_else(|_| String::from_utf8_lossy(&given).into())
        });
        sink(Row { line: number, found, raw, size })?;
    }
    Ok(())
}
