//! Values of rows as HTML, and the addresses of rows.

use std::fmt::Write;

use chrono::{DateTime, Utc};
use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use crate::browse::{self, Children, Column, Kind, Row};
use crate::types::Timestamp;
use crate::web::chart::{Unit, date_and_time};
use crate::web::components::Tone;
use crate::web::components::{self, Column as Header, badge, command, empty, status, table};
use crate::web::sections::{clean, short};

/// Number of characters of a text in a table.
const CELL: usize = 100;
/// A longer text gets a wide column.
const WORDS: usize = 20;

/// What stays as it is in a part of an address.
const KEPT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Returns a text for a part of a path or of a query.
pub fn encoded(text: &str) -> String {
    utf8_percent_encode(text, KEPT).to_string()
}

/// Returns an address with its parameters.
pub fn address(path: &str, parameters: &[(String, String)]) -> String {
    let mut address = path.to_owned();
    for (place, (name, value)) in parameters.iter().enumerate() {
        let glue = if place == 0 { '?' } else { '&' };
        let _ = write!(address, "{glue}{}={}", encoded(name), encoded(value));
    }
    address
}

/// Returns the address of the row with this primary key.
pub fn path(table: &str, key: &str) -> String {
    let key = encoded(key);
    match table {
        "pipeline_runs" => format!("/runs/{key}"),
        "video_processing_jobs" => format!("/jobs/{key}"),
        "channels" => format!("/channels/{key}"),
        "videos" => format!("/videos/{key}"),
        table => format!("/tables/{table}/{key}"),
    }
}

/// Returns the address of a row.
pub fn row_path(table: &str, row: &Row) -> String {
    match text_of(row, "video_id") {
        Some(video) if table == "discovered_videos" => {
            video_path(video).unwrap_or_else(|| path(table, &row.key))
        }
        _ => path(table, &row.key),
    }
}

/// Returns the address of a discovered video. An id that looks like the key of a source video, or like a folder, has none.
pub fn video_path(video_id: &str) -> Option<String> {
    let has_address = uuid::Uuid::parse_str(video_id).is_err() && !matches!(video_id, "" | "." | "..");
    has_address.then(|| format!("/videos/{}", encoded(video_id)))
}

/// Returns the text of a column.
pub fn text_of<'r>(row: &'r Row, column: &str) -> Option<&'r str> {
    row.values.get(column).and_then(Value::as_str)
}

/// Returns the number of a column.
pub fn number_of(row: &Row, column: &str) -> Option<f64> {
    row.values.get(column).and_then(Value::as_f64)
}

/// Returns the time of a column.
pub fn time_of(row: &Row, column: &str) -> Option<DateTime<Utc>> {
    text_of(row, column)?.parse::<Timestamp>().ok().map(Timestamp::to_utc)
}

/// Returns a time.
pub fn time(at: DateTime<Utc>) -> Markup {
    html! { time datetime=(at.to_rfc3339()) { (date_and_time(at)) } }
}

/// Returns the value of a column of a row, cut to one line.
pub fn cell(column: &Column, row: &Row) -> Markup {
    let value = row.values.get(column.name).unwrap_or(&Value::Null);
    match (column.kind, value) {
        (_, Value::Null) => html! { span class="nothing" { "–" } },
        (Kind::Boolean, Value::Bool(is)) => html! { (if *is { "yes" } else { "no" }) },
        (Kind::Time, Value::String(text)) => match text.parse::<Timestamp>() {
            Ok(at) => time(at.to_utc()),
            Err(_) => html! { (short(text, CELL)) },
        },
        (_, Value::String(text)) if column.secret && text.is_empty() => {
            html! { span class="nothing" { "–" } }
        }
        (_, Value::String(text)) if column.secret => badge(Tone::Muted, &short(text, CELL)),
        (_, Value::String(text)) if !column.words.is_empty() && column.name.ends_with("status") => {
            status(&short(text, CELL))
        }
        (Kind::Uuid, Value::String(text)) => {
            html! { @match column.references {
                Some(to) => a href=(path(to, text)) { code { (short(text, CELL)) } },
                None => code { (short(text, CELL)) },
            } }
        }
        (Kind::Json, value) => match value {
            Value::String(text) => html! { code { (short(text, CELL)) } },
            value => html! { code { (short(&value.to_string(), CELL)) } },
        },
        (_, Value::String(text)) if text.chars().nth(WORDS).is_some() => {
            html! { span class="text" { (short(text, CELL)) } }
        }
        (_, Value::String(text)) => html! { (short(text, CELL)) },
        (_, Value::Number(number)) => match column.references {
            Some(to) => html! { a href=(path(to, &number.to_string())) { (number) } },
            None if column.name == "id" || column.name.ends_with("_id") => html! { (number) },
            None => html! { (decimal(number)) },
        },
        (_, value) => html! { (short(&value.to_string(), CELL)) },
    }
}

/// Returns a number in full, with at most four decimals.
pub fn decimal(number: &serde_json::Number) -> String {
    match (number.as_i64(), number.as_f64()) {
        (Some(whole), _) if whole.unsigned_abs() < 1_000_000_000_000_000 => Unit::Count.full(whole as f64),
        (None, Some(real)) if (1e-4..1e15).contains(&real.abs()) => {
            let text = format!("{real:.4}");
            text.trim_end_matches('0').trim_end_matches('.').to_owned()
        }
        _ => number.to_string(),
    }
}

/// Returns true if a column is aligned to the right.
pub fn is_number(column: &Column) -> bool {
    matches!(column.kind, Kind::Integer | Kind::Number)
}

/// Returns rows that belong to another one as a table with these columns, or what an empty list says.
pub fn children(
    caption: &str,
    children: &Children,
    parent: &str,
    columns: &[&str],
    nothing: (&str, &str),
) -> Markup {
    let Ok(of) = browse::table(children.table) else { return html! {} };
    let shown: Vec<&Column> = columns.iter().filter_map(|name| of.column(name).ok()).collect();
    let headers: Vec<Header> = shown
        .iter()
        .map(|column| Header { title: column.name, number: is_number(column), ..Header::default() })
        .collect();
    let rows: Vec<Vec<Markup>> = children
        .rows
        .iter()
        .map(|row| {
            let mut cells: Vec<Markup> = shown.iter().map(|column| cell(column, row)).collect();
            if let (Some(first), Some(column)) = (cells.first_mut(), shown.first())
                && column.references.is_none()
            {
                *first = html! { a href=(row_path(children.table, row)) { (first) } };
            }
            cells
        })
        .collect();
    let (words, fills) = nothing;
    let hint = if fills.is_empty() {
        html! {}
    } else {
        html! { "Add one with " (command(fills)) }
    };
    let all = [(children.column.to_owned(), parent.to_owned())];
    html! {
        (table(caption, &headers, &rows, &empty(words, &hint)))
        @if children.more {
            p class="note" {
                "Only " (children.rows.len()) " rows are shown. "
                a href=(address(&format!("/tables/{}", children.table), &all)) { "Show all as a list" }
            }
        }
    }
}

/// Returns the facts of a row, without its long texts, and then its long texts.
pub fn facts(of: &browse::Table, row: &Row, without: &[&str]) -> Markup {
    let columns = || of.columns.iter().filter(|column| !without.contains(&column.name));
    let short_ones: Vec<(&str, Markup)> = columns()
        .filter(|column| !is_long(column, row))
        .map(|column| (column.name, cell(column, row)))
        .collect();
    html! {
        (components::facts(&short_ones))
        @if columns().any(|column| is_long(column, row)) {
            dl class="facts long" {
                @for column in columns().filter(|column| is_long(column, row)) {
                    div {
                        dt { (column.name) @if row.cut.contains(&column.name) { " (only the beginning)" } }
                        dd { pre tabindex="0" { (whole(row.values.get(column.name).unwrap_or(&Value::Null))) } }
                    }
                }
            }
        }
    }
}

/// Returns true if a value needs more than a line.
fn is_long(column: &Column, row: &Row) -> bool {
    match row.values.get(column.name) {
        Some(Value::String(text)) => {
            !column.secret && (text.contains('\n') || text.chars().nth(CELL).is_some())
        }
        Some(Value::Object(fields)) => !fields.is_empty(),
        Some(Value::Array(items)) => !items.is_empty(),
        _ => false,
    }
}

/// Returns a value as text of several lines.
pub fn whole(value: &Value) -> String {
    let text = match value {
        Value::String(text) => text.clone(),
        value => serde_json::to_string_pretty(value).unwrap_or_default(),
    };
    clean(&text)
}
