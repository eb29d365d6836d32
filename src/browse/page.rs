//! Pages of a table, and single rows.

use serde::Serialize;
use serde_json::{Map, Value};

use super::column::{Column, Kind, Table, table};
use super::query::{Bound, Cursor, Filter, Order, Query, sort, value};
use super::raw::{Raw, RawRow, load};
use super::sql::{Select, engine};
use crate::DbConnection;
use crate::config::Registry;
use crate::db::{Engine, time_limit};
use crate::error::{Error, Result};
use crate::types::Sealed;

/// Number of characters of a text in a list.
const SHOWN: usize = 200;
/// Number of characters of a text of a single row, so that a row of any size fits into a page.
const WHOLE: usize = 1_000_000;
/// The text shown instead of a secret.
const MASK: &str = "***";

/// A row of a table. Secrets are masked: `encrypted with key …`, `not encrypted` or `***`.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Row {
    /// The primary key, for addresses.
    pub key: String,
    /// The values by column, in the order of the table.
    pub values: Map<String, Value>,
    /// The columns whose text was cut. A JSON document that was cut is a text.
    pub cut: Vec<&'static str>,
}

/// A page of a table.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Page {
    /// Name of the table.
    pub table: &'static str,
    /// The column that the rows are sorted by, with their primary key as the second column.
    pub sort: &'static str,
    /// The order.
    pub order: Order,
    /// The conditions that the rows meet.
    pub filters: Vec<Filter>,
    /// The rows.
    pub rows: Vec<Row>,
    /// The position of the next page, or `None` if this is the last one.
    pub next: Option<String>,
    /// The position of the page before this one, or `None` if this is the first one.
    pub previous: Option<String>,
}

/// Returns a page of a table: the rows that meet all conditions, in order, after or before a position.
///
/// Texts are cut after 200 characters. Pages stay consistent while rows are inserted and deleted, and a late page costs no more
/// than the first. It takes up to three statements, and two more on PostgreSQL for the time limit.
///
/// # Errors
/// `Invalid` for an unknown table or column, for a filter or an order that is not offered, for a value that does not fit its
/// column, for a damaged cursor, and if the query takes longer than [`Query::time_limit`].
///
/// ```
/// use viraldb::browse::{self, Is, Query};
///
/// # fn main() -> viraldb::Result<()> {
/// let db = viraldb::Database::open("sqlite::memory:")?;
/// let query = Query::new("error_log").with("module", Is::Eq, "upload").by("occurred_at", browse::Order::Desc);
/// let page = db.read(|c| browse::page(c, &query))?;
/// assert!(page.rows.is_empty() && page.next.is_none());
/// # Ok(())
/// # }
/// ```
pub fn page(conn: &mut DbConnection, query: &Query) -> Result<Page> {
    let of = table(&query.table)?;
    let sorted = sort(of, query)?;
    let engine = engine(conn);
    let cursor = query.cursor.as_deref().map(|text| Cursor::of(of, &sorted, engine, text)).transpose()?;
    let back = cursor.as_ref().is_some_and(|cursor| cursor.back);
    let limit = query.limit.clamp(1, Query::MOST) as usize;
    let what = format!("the list of {}", of.name);
    let to_do = "filter by a column that has an index, such as a status or an id, or limit the time";
    let mut raw: Vec<RawRow> = time_limit::within(conn, query.time_limit, &what, to_do, |conn| {
        let select = Select::new(conn, of, &query.filters, sorted)?;
        let shown = columns(engine, of, SHOWN);
        let mut rows = Vec::new();
        for part in select.parts(cursor.as_ref()) {
            let statement = select.statement(&shown, part, cursor.as_ref(), limit + 1 - rows.len())?;
            rows.extend(load(conn, of.name, &statement.sql, &statement.bounds)?);
            if rows.len() > limit {
                break;
            }
        }
        Ok(rows)
    })?;
    let is_more = raw.len() > limit;
    raw.truncate(limit);
    if back {
        raw.reverse();
    }
    let position = |row: Option<&RawRow>, back: bool| -> Result<Option<String>> {
        let Some([.., value, tie, _]) = row.map(|row| row.0.as_slice()) else { return Ok(None) };
        let cursor = Cursor {
            of: (of.name.to_owned(), sorted.column.name.to_owned(), sorted.order),
            back,
            value: value.clone().into_stored(),
            key: tie.clone().into_stored(),
        };
        cursor.to_text().map(Some)
    };
    let (has_next, has_previous) = if back { (true, is_more) } else { (is_more, cursor.is_some()) };
    Ok(Page {
        table: of.name,
        sort: sorted.column.name,
        order: sorted.order,
        filters: query.filters.clone(),
        next: if has_next { position(raw.last(), false)? } else { None },
        previous: if has_previous { position(raw.first(), true)? } else { None },
        rows: raw.into_iter().map(|row| shown(of, row, SHOWN)).collect(),
    })
}

/// Returns the row with this primary key, with whole texts, in one statement.
///
/// # Errors
/// `NotFound` if there is no such row. `Invalid` if there is no such table, or the key is not one of its kind.
///
/// ```
/// # fn main() -> viraldb::Result<()> {
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// let missing = db.read(|c| viraldb::browse::row(c, "clips", "17"));
/// assert!(missing.unwrap_err().is_not_found());
/// # Ok(())
/// # }
/// ```
pub fn row(conn: &mut DbConnection, name: &str, key: &str) -> Result<Row> {
    let of = table(name)?;
    let engine = engine(conn);
    let column = of.key_column()?;
    let placeholder = match (engine, column.kind) {
        (Engine::Postgres, Kind::Uuid) => "CAST($1 AS pg_catalog.uuid)",
        _ => "$1",
    };
    let sql = format!(
        "SELECT {}, \"{key}\", \"{key}\" FROM {} WHERE \"{key}\" = {placeholder}",
        columns(engine, of, WHOLE),
        of.name,
        key = of.key
    );
    let bounds: [Bound; 1] = [value(column, key)?];
    let row = load(conn, of.name, &sql, &bounds)?.pop();
    row.map(|row| shown(of, row, WHOLE))
        .ok_or_else(|| Error::NotFound { table: of.name, key: key.to_owned() })
}

/// Returns the rows with these numbers as primary key, in the order of the keys, with their texts cut.
pub(super) fn rows_with_keys(conn: &mut DbConnection, name: &str, keys: &[i64]) -> Result<Vec<Row>> {
    let of = table(name)?;
    if keys.is_empty() {
        return Ok(Vec::new());
    }
    let keys: Vec<String> = keys.iter().map(i64::to_string).collect();
    let sql = format!(
        "SELECT {}, \"{key}\", \"{key}\" FROM {} WHERE \"{key}\" IN ({}) ORDER BY \"{key}\"",
        columns(engine(conn), of, SHOWN),
        of.name,
        keys.join(", "),
        key = of.key
    );
    Ok(load(conn, of.name, &sql, &[])?.into_iter().map(|row| shown(of, row, SHOWN)).collect())
}

/// Returns the expressions of the columns, with texts cut to one character more than `most`.
fn columns(engine: Engine, of: &Table, most: usize) -> String {
    let expressions = of.columns.iter().map(|column| {
        let name = column.name;
        let is_text = column.kind == Kind::Text && column.words.is_empty();
        match engine {
            // A value that is masked is read whole, to see whether it is encrypted.
            _ if column.secret || !(is_text || column.kind == Kind::Json) => format!("\"{name}\""),
            Engine::Sqlite => format!("substr(\"{name}\", 1, {})", most + 1),
            Engine::Postgres => {
                format!("pg_catalog.substr(CAST(\"{name}\" AS pg_catalog.text), 1, {})", most + 1)
            }
        }
    });
    expressions.collect::<Vec<_>>().join(", ")
}

/// Returns a row with its secrets masked and its long texts cut.
fn shown(of: &Table, row: RawRow, most: usize) -> Row {
    let mut cut = Vec::new();
    let mut raw = row.0;
    let key = match raw.pop() {
        Some(Raw::Text(text)) => text,
        Some(Raw::Integer(number)) => number.to_string(),
        _ => String::new(),
    };
    let is_true = |raw: &[Raw], name: &str| {
        let place = of.columns.iter().position(|column| column.name == name);
        matches!(place.and_then(|place| raw.get(place)), Some(Raw::Boolean(true) | Raw::Integer(1)))
    };
    let is_encrypted = of.name == "system_configuration" && is_true(&raw, "encrypted");
    let mut values = Map::with_capacity(of.columns.len());
    for (column, value) in of.columns.iter().zip(raw) {
        let value = if column.secret { masked(of, column, value, &key, is_encrypted) } else { value };
        let value = match value {
            Raw::Text(text) => match text.char_indices().nth(most) {
                Some((end, _)) => {
                    cut.push(column.name);
                    Value::String(format!("{}…", text.get(..end).unwrap_or_default()))
                }
                None => Raw::Text(text).into_json(column.kind),
            },
            value => value.into_json(column.kind),
        };
        values.insert(column.name.to_owned(), value);
    }
    Row { key, values, cut }
}

/// Returns what is shown of a value that may be a secret.
fn masked(of: &Table, column: &Column, value: Raw, key: &str, is_encrypted: bool) -> Raw {
    // Only the configuration file says whether a setting of the program's own is secret, so all of those are masked.
    let is_secret_setting = || Registry::default().get(key).map_or(true, |setting| setting.secret);
    match (of.name, value) {
        (_, Raw::Null) => Raw::Null,
        ("channels", Raw::Text(text)) => Raw::Text(Sealed::from(text).to_string()),
        // The text of a setting is a JSON string.
        ("system_configuration", Raw::Text(text)) if is_encrypted => {
            let text = match serde_json::from_str(&text) {
                Ok(Value::String(text)) => text,
                _ => text,
            };
            Raw::Text(Value::from(Sealed::from(text).to_string()).to_string())
        }
        ("system_configuration" | "config_overrides", value) if !is_encrypted && !is_secret_setting() => {
            value
        }
        _ if column.kind == Kind::Json => Raw::Text(format!("\"{MASK}\"")),
        _ => Raw::Text(MASK.to_owned()),
    }
}
