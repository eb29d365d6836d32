//! Rows whose columns are known only at run time.

#[cfg(feature = "sqlite")]
use diesel::deserialize::FromSqlRow;
use diesel::deserialize::{self};
use diesel::prelude::*;
use diesel::row::{Field, Row};
use diesel::sql_types::{BigInt, Bool, Double, Text, Untyped};
use serde_json::Value;

use super::column::Kind;
use super::query::Bound;
use crate::DbConnection;
use crate::db::on_backend;
use crate::error::{Result, ResultExt};
use crate::types::Timestamp;

/// A value as a database returns it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Raw {
    Null,
    Integer(i64),
    Number(f64),
    /// SQLite has no booleans.
    #[cfg_attr(not(feature = "postgres"), allow(dead_code))]
    Boolean(bool),
    Text(String),
}

impl Raw {
    /// Returns the value of a column as JSON. A value that is not of the column's kind stays as it is: a list must show what
    /// the database contains.
    pub(super) fn into_json(self, kind: Kind) -> Value {
        match (kind, self) {
            (_, Self::Null) => Value::Null,
            (Kind::Boolean, Self::Integer(number @ (0 | 1))) => (number == 1).into(),
            (Kind::Time, Self::Text(text)) => {
                text.parse().map_or(text, |at: Timestamp| at.to_string()).into()
            }
            (Kind::Json, Self::Text(text)) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
            (_, Self::Boolean(is)) => is.into(),
            (_, Self::Integer(number)) => number.into(),
            // JSON has no infinity.
            (_, Self::Number(number)) => {
                serde_json::Number::from_f64(number).map_or_else(|| number.to_string().into(), Value::Number)
            }
            (_, Self::Text(text)) => text.into(),
        }
    }

    /// Returns the value for a cursor: as the database stores it.
    pub(super) fn into_stored(self) -> Value {
        self.into_json(Kind::Text)
    }
}

/// A row of a query, in the order of its columns.
#[derive(Debug)]
pub(super) struct RawRow(pub(super) Vec<Raw>);

#[cfg(feature = "sqlite")]
impl FromSqlRow<Untyped, diesel::sqlite::Sqlite> for RawRow {
    fn build_from_row<'a>(fields: &impl Row<'a, diesel::sqlite::Sqlite>) -> deserialize::Result<Self> {
        use diesel::sqlite::SqliteType;

        let fields = (0..fields.field_count()).filter_map(|place| fields.get(place));
        let values = fields.map(|field| {
            let Some(mut value) = field.value() else { return Raw::Null };
            match value.value_type() {
                Some(SqliteType::Text) => Raw::Text(value.read_text().to_owned()),
                Some(SqliteType::Float | SqliteType::Double) => Raw::Number(value.read_double()),
                Some(SqliteType::Binary) => {
                    Raw::Text(String::from_utf8_lossy(value.read_blob()).into_owned())
                }
                Some(_) => Raw::Integer(value.read_long()),
                None => Raw::Null,
            }
        });
        Ok(Self(values.collect()))
    }
}

#[cfg(feature = "postgres")]
impl deserialize::FromSqlRow<Untyped, diesel::pg::Pg> for RawRow {
    fn build_from_row<'a>(fields: &impl Row<'a, diesel::pg::Pg>) -> deserialize::Result<Self> {
        let fields = (0..fields.field_count()).filter_map(|place| fields.get(place));
        let values = fields.map(|field| {
            field.value().map_or(Raw::Null, |value| of_postgres(value.get_oid().get(), value.as_bytes()))
        });
        Ok(Self(values.collect()))
    }
}

/// Reads a value in PostgreSQL's binary form.
#[cfg(feature = "postgres")]
fn of_postgres(oid: u32, bytes: &[u8]) -> Raw {
    /// The start of the year 2000, PostgreSQL's epoch, in microseconds of Unix time.
    const EPOCH: i64 = 946_684_800_000_000;

    let text = || Raw::Text(String::from_utf8_lossy(bytes).into_owned());
    let long = || bytes.try_into().map(i64::from_be_bytes).ok();
    match (oid, bytes) {
        (16, [is]) => Raw::Boolean(*is != 0),
        (20, _) => long().map_or_else(text, Raw::Integer),
        (23, _) => {
            bytes.try_into().map_or_else(|_| text(), |bytes| Raw::Integer(i32::from_be_bytes(bytes).into()))
        }
        (701, _) => bytes.try_into().map_or_else(|_| text(), |bytes| Raw::Number(f64::from_be_bytes(bytes))),
        (1184, _) => match long() {
            Some(i64::MAX) => Raw::Text("infinity".to_owned()),
            Some(i64::MIN) => Raw::Text("-infinity".to_owned()),
            at => at
                .and_then(|at| chrono::DateTime::from_timestamp_micros(at.checked_add(EPOCH)?))
                .map_or_else(text, |at| Raw::Text(Timestamp::from(at).to_string())),
        },
        (2950, _) => uuid::Uuid::from_slice(bytes).map_or_else(|_| text(), |id| Raw::Text(id.to_string())),
        (3802, [1, document @ ..]) => Raw::Text(String::from_utf8_lossy(document).into_owned()),
        _ => text(),
    }
}

/// Runs a query. `bounds` are its parameters `$1`, `$2` and so on, which must appear in this order.
pub(super) fn load(
    conn: &mut DbConnection,
    table: &'static str,
    sql: &str,
    bounds: &[Bound],
) -> Result<Vec<RawRow>> {
    on_backend!(conn, |c| {
        let mut query = diesel::sql_query(sql).into_boxed::<Backend>();
        for bound in bounds {
            query = match bound {
                Bound::Text(text) => query.bind::<Text, _>(text.clone()),
                Bound::Integer(number) => query.bind::<BigInt, _>(*number),
                Bound::Number(number) => query.bind::<Double, _>(*number),
                Bound::Boolean(is) => query.bind::<Bool, _>(*is),
                Bound::Time(at) => query.bind::<crate::types::sql::Timestamptz, _>(*at),
            };
        }
        query.load::<RawRow>(c)
    })
    .of(table, "")
}
