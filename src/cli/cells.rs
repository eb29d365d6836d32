//! Values in tables for people.

use serde_json::Value;

use viraldb::compilation::Processed;
use viraldb::private::json_upsert::cell;
use viraldb::private::quote::{one_line, visible};

/// Maximum length of text in a table for people, in characters. The other formats print the full text.
const WIDEST: usize = 48;

/// Returns a value for a table for people: fractions have two digits, and long text is cut.
pub(super) fn in_table(column: &str, value: Option<&Value>) -> String {
    match value.and_then(Value::as_f64) {
        Some(number) if value.is_some_and(Value::is_f64) => format!("{number:.2}"),
        _ => cut(for_people(column, value)),
    }
}

/// Returns a value for people, on one line. The status of a discovered video, a number in the database, is its word.
pub(super) fn for_people(column: &str, value: Option<&Value>) -> String {
    let status = match column {
        "processed" => value.and_then(Value::as_i64).and_then(|number| i32::try_from(number).ok()),
        _ => None,
    };
    match status.map(Processed::try_from) {
        Some(Ok(status)) => status.as_str().to_owned(),
        _ => visible(&one_line(&cell(value))),
    }
}

/// Returns the beginning of a long text.
fn cut(text: String) -> String {
    match text.char_indices().nth(WIDEST) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text,
    }
}

/// Returns the width that a table needs so that no word is broken.
pub(super) fn least_width(header: &[&str], rows: &[Vec<String>]) -> usize {
    let longest =
        |cell: &str| cell.split_whitespace().map(|word| word.chars().count()).max().unwrap_or_default();
    let of_column = |(n, name): (usize, &&str)| {
        let cells = rows.iter().filter_map(|row| row.get(n)).map(|cell| longest(cell)).max();
        // One space on each side.
        longest(name).max(cells.unwrap_or_default()) + 2
    };
    header.iter().enumerate().map(of_column).sum()
}
