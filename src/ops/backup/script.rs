//! Counts the rows in an SQL script written by `pg_restore`.

use std::collections::BTreeMap;
use std::io::{self, BufRead};

/// The maximum number of bytes kept of a line. A `COPY` statement is much shorter.
const KEPT: usize = 256 * 1024;

/// Counts the rows of each `COPY … FROM stdin` in a script. Long rows do not need more memory.
pub(super) fn count(mut script: impl BufRead) -> io::Result<BTreeMap<String, u64>> {
    let (mut rows, mut line, mut table) = (BTreeMap::new(), Vec::new(), None);
    while next_line(&mut script, &mut line)? {
        match &table {
            Some(_) if line == b"\\.\n" => table = None,
            Some(name) => *rows.entry(String::clone(name)).or_insert(0) += 1,
            None => {
                table = std::str::from_utf8(&line).ok().and_then(copied);
                if let Some(name) = &table {
                    rows.entry(String::clone(name)).or_insert(0);
                }
            }
        }
    }
    Ok(rows)
}

/// Reads a line and keeps its beginning. Returns false at the end of the script.
fn next_line(script: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<bool> {
    line.clear();
    let mut is_there = false;
    loop {
        let read = script.fill_buf()?;
        if read.is_empty() {
            return Ok(is_there);
        }
        is_there = true;
        let end = read.iter().position(|byte| *byte == b'\n');
        let length = end.map_or(read.len(), |end| end + 1);
        let kept = length.min(KEPT.saturating_sub(line.len()));
        line.extend_from_slice(read.get(..kept).unwrap_or_default());
        script.consume(length);
        if end.is_some() {
            return Ok(true);
        }
    }
}

/// Returns the table in `COPY public.channels (id, …) FROM stdin;`, as `schema.table`.
fn copied(line: &str) -> Option<String> {
    let name = line.strip_prefix("COPY ")?.strip_suffix(" FROM stdin;\n")?;
    let mut in_quotes = false;
    let end = name.char_indices().find(|(at, c)| {
        in_quotes ^= *c == '"';
        !in_quotes && name.get(*at..).is_some_and(|rest| rest.starts_with(" ("))
    });
    let name = end.map_or(name, |(at, _)| name.get(..at).unwrap_or_default());
    Some(name.replace('"', ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_any_length_are_counted_once() {
        let long = "x".repeat(3 * KEPT);
        let script = format!(
            "SET x = 1;\nCOPY public.\"a b\" (id, t) FROM stdin;\n1\t{long}\n2\t\\.\n\\.\n\nCOPY \"A (b\".c (id) FROM stdin;\n\\.\n-- {long}"
        );
        for capacity in [1, 7, 8192, 10 * KEPT] {
            let read = io::BufReader::with_capacity(capacity, script.as_bytes());
            let counted = count(read).unwrap();
            assert_eq!(
                counted.into_iter().collect::<Vec<_>>(),
                [("A (b.c".to_owned(), 0), ("public.a b".to_owned(), 2)]
            );
        }
    }
}
