//! The comments of the 22 tables and their columns, for SQLite, which keeps none.
//!
//! They are read from `schema.rs`, which `diesel print-schema` writes from the comments of a PostgreSQL database.

use std::collections::HashMap;
use std::sync::LazyLock;

/// The comments by table and column; a table's own has no column.
static COMMENTS: LazyLock<HashMap<&str, HashMap<&str, String>>> =
    LazyLock::new(|| read(include_str!("../../schema.rs")));

/// Returns what a row of a table is.
pub(crate) fn of_table(table: &str) -> Option<&'static str> {
    of_column(table, "")
}

/// Returns what a column holds.
pub(crate) fn of_column(table: &str, column: &str) -> Option<&'static str> {
    COMMENTS.get(table)?.get(column).map(String::as_str)
}

/// Reads the doc comments of Diesel's `table!`: each precedes the line of its table or column.
fn read(schema: &'static str) -> HashMap<&'static str, HashMap<&'static str, String>> {
    let mut comments: HashMap<&str, HashMap<&str, String>> = HashMap::new();
    let (mut table, mut comment) = ("", String::new());
    for line in schema.lines().map(str::trim) {
        if let Some(text) = line.strip_prefix("///") {
            if !comment.is_empty() {
                comment.push(' ');
            }
            comment.push_str(text.trim());
            continue;
        }
        let column =
            match (line.split_once(" -> "), line.strip_suffix('{').and_then(|line| line.split_once(" ("))) {
                (Some((column, _)), _) => column,
                (None, Some((name, _))) => {
                    table = name;
                    ""
                }
                (None, None) => continue,
            };
        if !comment.is_empty() {
            comments.entry(table).or_default().insert(column, std::mem::take(&mut comment));
        }
    }
    comments
}

#[cfg(test)]
mod tests {
    use super::{COMMENTS, of_column, of_table};

    #[test]
    fn every_table_and_column_of_the_schema_has_a_comment() {
        let columns = include_str!("../../schema.rs")
            .lines()
            .filter(|line| line.ends_with(',') && line.contains(" -> "))
            .count();
        let comments: usize = COMMENTS.values().map(std::collections::HashMap::len).sum();
        let tables = include_str!("../../schema.rs").matches("diesel::table!").count();
        assert_eq!(comments, tables + columns);
        assert!(of_table("clips").is_some() && of_column("clips", "rank_position").is_some());
    }
}
