//! Passes the values of documents to a statement.

use std::borrow::Cow;

#[cfg(feature = "sqlite")]
use diesel::query_builder::{BoxedSqlQuery, SqlQuery};
#[cfg(feature = "sqlite")]
use diesel::sql_types::{BigInt, Double, Nullable, Text};
#[cfg(feature = "sqlite")]
use diesel::sqlite::Sqlite;
use serde::ser::{Serialize, SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::Table;
use crate::db::DbConnection;
#[cfg(feature = "sqlite")]
use crate::db::on_backend;
use crate::{Error, Result};

/// A row with more bytes of text than this is stored in its own statement.
const LONG: usize = 1 << 20;

/// Returns true for a row that is stored in its own statement, because JSON functions would copy it too often.
pub(super) fn is_long(row: &Map<String, Value>) -> bool {
    row.values().map(length).sum::<usize>() > LONG
}

fn length(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(length).sum(),
        Value::Object(values) => values.values().map(length).sum(),
        _ => 8,
    }
}

/// A row, and the id that viraldb generated for it, if any.
pub(super) struct Filled<'r> {
    pub(super) row: &'r Map<String, Value>,
    pub(super) id: Option<String>,
}

/// The values of rows that give the same columns.
pub(super) enum Given<'r> {
    /// All rows as one JSON array, which the statement splits into rows.
    Documents(Cow<'r, str>),
    /// A long row on SQLite, with each value bound separately, because JSON functions would copy it several times.
    #[cfg(feature = "sqlite")]
    Values(Vec<Bound<'r>>),
}

/// A value as SQLite's JSON functions would return it.
#[cfg(feature = "sqlite")]
pub(super) enum Bound<'r> {
    Text(Cow<'r, str>),
    Integer(i64),
    Real(f64),
    Null,
}

impl<'r> Given<'r> {
    #[cfg_attr(not(feature = "sqlite"), allow(unused_variables))]
    pub(super) fn new(
        conn: &DbConnection,
        table: &Table,
        columns: &[&str],
        rows: &'r [Filled<'r>],
    ) -> Result<Self> {
        // SQLite stores timestamps as text, so convert them to the format of the schema.
        #[cfg(feature = "sqlite")]
        let times = on_backend!(conn, sqlite => |_c| table.times, postgres => |_c| &[][..]);
        #[cfg(not(feature = "sqlite"))]
        let times = &[][..];
        #[cfg(feature = "sqlite")]
        if let (DbConnection::Sqlite(_), [row]) = (conn, rows)
            && is_long(row.row)
        {
            return Ok(Self::Values(columns.iter().map(|column| row.bound(table, column)).collect()));
        }
        let documents: Vec<_> = rows.iter().map(|row| Document { row, times }).collect();
        let documents = serde_json::to_string(&documents).map_err(Error::other)?;
        Ok(Self::Documents(documents.into()))
    }

    /// Returns the JSON array for the statement on PostgreSQL.
    #[cfg(feature = "postgres")]
    pub(super) fn documents(&self) -> &str {
        match self {
            Self::Documents(documents) => documents,
            #[cfg(feature = "sqlite")]
            Self::Values(_) => "[]", // used on SQLite only
        }
    }

    /// Returns the subquery that selects the rows on SQLite. Its column `#` numbers them.
    #[cfg(feature = "sqlite")]
    pub(super) fn source(&self, table: &Table, columns: &[&str]) -> String {
        let arrow = |column: &str| if table.json.contains(&column) { "->" } else { "->>" };
        let (taken, from): (Vec<String>, _) = match self {
            Self::Documents(_) => (
                columns.iter().map(|c| format!("value {} '{c}' AS \"{c}\"", arrow(c))).collect(),
                "key AS \"#\" FROM json_each(?1)",
            ),
            Self::Values(_) => {
                ((1..).zip(columns).map(|(place, c)| format!("?{place} AS \"{c}\"")).collect(), "0 AS \"#\"")
            }
        };
        format!("(SELECT {}, {from})", taken.join(", "))
    }

    /// Binds these values to a statement.
    #[cfg(feature = "sqlite")]
    pub(super) fn bound_to<'q>(&'q self, statement: &str) -> BoxedSqlQuery<'q, Sqlite, SqlQuery> {
        let statement = diesel::sql_query(statement).into_boxed::<Sqlite>();
        match self {
            Self::Documents(documents) => statement.bind::<Text, _>(&**documents),
            Self::Values(values) => values.iter().fold(statement, |statement, value| match value {
                Bound::Text(text) => statement.bind::<Text, _>(&**text),
                Bound::Integer(number) => statement.bind::<BigInt, _>(number),
                Bound::Real(number) => statement.bind::<Double, _>(number),
                Bound::Null => statement.bind::<Nullable<Text>, _>(None::<&str>),
            }),
        }
    }
}

#[cfg(feature = "sqlite")]
impl Filled<'_> {
    fn bound(&self, table: &Table, column: &str) -> Bound<'_> {
        if let ("id", Some(id)) = (column, &self.id) {
            return Bound::Text(id.into());
        }
        match self.row.get(column) {
            Some(value) if table.json.contains(&column) => Bound::Text(value.to_string().into()),
            Some(Value::String(text)) => match moment(table.times, column, text) {
                Some(at) => Bound::Text(at.into()),
                None => Bound::Text(text.into()),
            },
            Some(Value::Bool(is)) => Bound::Integer((*is).into()),
            Some(Value::Number(number)) => match (number.as_i64(), number.as_f64()) {
                (Some(number), _) => Bound::Integer(number),
                (None, Some(number)) => Bound::Real(number),
                (None, None) => Bound::Null,
            },
            None | Some(Value::Null) => Bound::Null,
            Some(nested) => Bound::Text(nested.to_string().into()),
        }
    }
}

#[cfg(not(feature = "sqlite"))]
const fn moment(_: &[&str], _: &str, _: &str) -> Option<String> {
    None
}

/// Returns a timestamp in the text format of the SQLite schema, or `None` if the column or the text is not a timestamp.
#[cfg(feature = "sqlite")]
fn moment(times: &[&str], column: &str, text: &str) -> Option<String> {
    let at = || text.parse::<crate::Timestamp>().ok();
    times.contains(&column).then(at)?.map(|at| at.to_sqlite())
}

/// A row that is serialized to JSON without copying it.
struct Document<'r> {
    row: &'r Filled<'r>,
    times: &'static [&'static str],
}

impl Serialize for Document<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        let Filled { row, id } = self.row;
        let mut document = serializer.serialize_map(None)?;
        for (column, value) in row.iter().filter(|(column, _)| id.is_none() || *column != "id") {
            match value.as_str().and_then(|text| moment(self.times, column, text)) {
                Some(at) => document.serialize_entry(column, &at)?,
                None => document.serialize_entry(column, value)?,
            }
        }
        if let Some(id) = id {
            document.serialize_entry("id", id)?;
        }
        document.end()
    }
}
