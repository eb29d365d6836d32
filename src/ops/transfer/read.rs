//! Reads tables row by row.

#[cfg(feature = "sqlite")]
use diesel::connection::DefaultLoadingMode;
use diesel::deserialize::{self, FromSqlRow};
#[cfg(feature = "postgres")]
use diesel::pg::{Pg, PgRowByRowLoadingMode};
use diesel::prelude::*;
use diesel::row::{Field, Row};
use diesel::sql_types::{BigInt, Text, Untyped};
#[cfg(feature = "sqlite")]
use diesel::sqlite::{Sqlite, SqliteType};

use super::digest::Digest;
use super::row;
use super::tables::Table;
use super::value::Keeps;
use crate::db::on_backend;
use crate::error::ResultExt;
use crate::{DbConnection, Error, Result};

/// A row in the format of `row.rs`, with its fields in the form of the database it was read from.
struct Raw(Vec<u8>);

/// Initial capacity of a row buffer in bytes, enough for a typical row.
const USUAL: usize = 512;

#[cfg(feature = "sqlite")]
impl FromSqlRow<Untyped, Sqlite> for Raw {
    fn build_from_row<'a>(fields: &impl Row<'a, Sqlite>) -> deserialize::Result<Self> {
        let mut out = Vec::with_capacity(USUAL);
        row::begin(&mut out, fields.field_count());
        for field in (0..fields.field_count()).filter_map(|index| fields.get(index)) {
            let Some(mut value) = field.value() else {
                row::push_null(&mut out);
                continue;
            };
            match value.value_type() {
                Some(SqliteType::Text) => {
                    let text = value.read_text();
                    if text.contains(char::REPLACEMENT_CHARACTER) {
                        // The replacement character may be in the text or may replace bytes that are not UTF-8. Read the
                        // bytes themselves, so that invalid text is found.
                        row::push(
                            &mut out,
                            field
                                .value()
                                .map_or(text.to_owned().into_bytes(), |mut v| v.read_blob().to_owned())
                                .as_slice(),
                        );
                    } else {
                        row::push(&mut out, text.as_bytes());
                    }
                }
                Some(SqliteType::Float | SqliteType::Double) => {
                    row::push(&mut out, &value.read_double().to_be_bytes());
                }
                Some(SqliteType::Binary) => row::push(&mut out, value.read_blob()),
                _ => row::push(&mut out, &value.read_long().to_be_bytes()),
            }
        }
        Ok(Self(out))
    }
}

#[cfg(feature = "postgres")]
impl FromSqlRow<Untyped, Pg> for Raw {
    fn build_from_row<'a>(fields: &impl Row<'a, Pg>) -> deserialize::Result<Self> {
        let mut out = Vec::with_capacity(USUAL);
        row::begin(&mut out, fields.field_count());
        for field in (0..fields.field_count()).filter_map(|index| fields.get(index)) {
            match field.value() {
                Some(value) => row::push(&mut out, value.as_bytes()),
                None => row::push_null(&mut out),
            }
        }
        Ok(Self(out))
    }
}

/// Reads a table in the order of its key and passes each row to `each` in the format of `row.rs`. Only one row is in memory.
pub(in crate::ops) fn rows(
    conn: &mut DbConnection,
    table: &Table,
    mut each: impl FnMut(&[u8]) -> Result<()>,
) -> Result<()> {
    let query = diesel::sql_query(table.select());
    on_backend!(
        conn,
        sqlite => |c| {
            let mut portable = Vec::with_capacity(USUAL);
            for raw in query.load_iter::<Raw, DefaultLoadingMode>(c).of(table.name, "")? {
                let Raw(native) = raw.of(table.name, "")?;
                portable.clear();
                from_sqlite(table, &native, &mut portable)?;
                drop(native); // it may be large
                each(&portable)?;
            }
            Ok(())
        },
        postgres => |c| {
            for raw in query.load_iter::<Raw, PgRowByRowLoadingMode>(c).of(table.name, "")? {
                each(&raw.of(table.name, "")?.0)?;
            }
            Ok(())
        },
    )
}

/// Converts a row that was read from SQLite to the transfer format.
#[cfg(feature = "sqlite")]
fn from_sqlite(table: &Table, native: &[u8], out: &mut Vec<u8>) -> Result<()> {
    row::begin(out, table.columns.len());
    for (column, value) in table.columns.iter().zip(row::fields(native)) {
        let Some(value) = value else {
            row::push_null(out);
            continue;
        };
        super::value::from_sqlite(column.kind, value, out)
            .map_err(|reason| bad(table, &native_key(table, native), column.name, &reason))?;
    }
    Ok(())
}

/// Returns the key of a row that was read from SQLite, for messages.
#[cfg(feature = "sqlite")]
fn native_key(table: &Table, native: &[u8]) -> String {
    let (Some(column), Some(Some(value))) =
        (table.columns.get(table.key), row::fields(native).nth(table.key))
    else {
        return String::new();
    };
    match column.kind {
        super::value::Kind::Uuid => String::from_utf8_lossy(value).into_owned(),
        kind => kind.shown(value), // numbers and text are the same in both forms
    }
}

/// Returns the key of a row, for messages.
pub(in crate::ops) fn key(table: &Table, row: &[u8]) -> String {
    match (table.columns.get(table.key), row::fields(row).nth(table.key)) {
        (Some(column), Some(Some(value))) => column.kind.shown(value),
        _ => String::new(),
    }
}

/// Returns the error for a value of the source that cannot be transferred.
fn bad(table: &Table, key: &str, column: &str, reason: &str) -> Error {
    Error::invalid(
        format!("{}.{column} in row {key}", table.name),
        format!("{reason}; fix it in the source and run the transfer again with --resume"),
    )
}

/// Returns an error for a row with a JSON document that serde_json cannot read without loss.
pub(super) fn require_readable(table: &Table, row: &[u8]) -> Result<()> {
    let documents = table.columns.iter().zip(row::fields(row));
    documents.filter_map(|(column, value)| Some((column, value?))).try_for_each(|(column, value)| {
        column.kind.require_readable(value).map_err(|reason| {
            let what = format!("{}.{} in row {}", table.name, column.name, key(table, row));
            Error::invalid(
                what,
                format!("{reason}, so the export would not preserve it; fix it before the export"),
            )
        })
    })
}

/// Computes the digest of rows and checks that the target can store them.
pub(super) struct Digester<'a> {
    table: &'a Table,
    keeps: Option<Keeps>,
    pub(super) digest: Digest,
    canonical: Vec<u8>,
}

impl<'a> Digester<'a> {
    /// Creates a digester. `keeps` is the engine that must be able to store the rows; with `None` the rows are not checked.
    pub(super) fn new(table: &'a Table, keeps: Option<Keeps>) -> Self {
        Self { table, keeps, digest: Digest::default(), canonical: Vec::with_capacity(USUAL) }
    }

    pub(super) fn add(&mut self, row: &[u8]) -> Result<()> {
        self.canonical.clear();
        for (column, value) in self.table.columns.iter().zip(row::fields(row)) {
            let Some(value) = value else {
                row::push_null(&mut self.canonical);
                continue;
            };
            let start = self.canonical.len();
            self.canonical.extend([0; 4]);
            let fits = self.keeps.map_or(Ok(()), |keeps| column.kind.fits(value, keeps));
            fits.and_then(|()| column.kind.canonical(value, &mut self.canonical))
                .map_err(|reason| bad(self.table, &key(self.table, row), column.name, reason))?;
            let length = (self.canonical.len() - start - 4) as u32;
            if let Some(place) = self.canonical.get_mut(start..start + 4) {
                place.copy_from_slice(&length.to_be_bytes());
            }
        }
        self.digest.add(&self.canonical);
        Ok(())
    }
}

/// Counts the rows of each table in one statement.
pub(super) fn counts(conn: &mut DbConnection, tables: &[&Table]) -> Result<Vec<u64>> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        rows: i64,
    }
    if tables.is_empty() {
        return Ok(Vec::new());
    }
    let counts: Vec<String> = tables
        .iter()
        .enumerate()
        .map(|(place, table)| {
            format!("SELECT {place} AS place, (SELECT count(*) FROM {}) AS rows", table.name)
        })
        .collect();
    let sql = format!("{} ORDER BY place", counts.join(" UNION ALL "));
    let counts: Vec<Count> = on_backend!(conn, |c| diesel::sql_query(sql).load(c)).of("the database", "")?;
    Ok(counts.into_iter().map(|count| u64::try_from(count.rows).unwrap_or_default()).collect())
}

/// Returns the largest id that each table with numeric ids has ever assigned.
pub(in crate::ops) fn last_ids(conn: &mut DbConnection, tables: &[Table]) -> Result<Vec<(String, i64)>> {
    #[derive(QueryableByName)]
    struct Last {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = BigInt)]
        last: i64,
    }
    let counting: Vec<&Table> = tables.iter().filter(|table| table.counts()).collect();
    if counting.is_empty() {
        return Ok(Vec::new());
    }
    let each = |form: fn(&str) -> String| {
        counting.iter().map(|table| form(table.name)).collect::<Vec<_>>().join(" UNION ALL ")
    };
    let sql = on_backend!(
        &mut *conn,
        sqlite => |_c| each(|table| format!(
            "SELECT '{table}' AS name, max(coalesce((SELECT seq FROM sqlite_sequence WHERE name = '{table}'), 0), \
             coalesce((SELECT max(id) FROM {table}), 0)) AS last"
        )),
        postgres => |_c| each(|table| format!(
            "SELECT '{table}' AS name, greatest(last_value - CASE WHEN is_called THEN 0 ELSE 1 END, \
             (SELECT max(id) FROM {table})) AS last FROM {table}_id_seq"
        )),
    );
    let last: Vec<Last> = on_backend!(conn, |c| diesel::sql_query(sql).load(c)).of("the database", "")?;
    Ok(last.into_iter().map(|last| (last.name, last.last)).collect())
}
