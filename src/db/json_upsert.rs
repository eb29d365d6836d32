//! Upserts rows given as JSON documents, for rows whose columns are known only at run time.
//!
//! One statement stores a whole batch. SQLite splits the documents into rows with `json_each`, PostgreSQL with
//! `jsonb_populate_recordset`. Each value is converted to the type of its column.

mod given;
mod identity;
mod ids;
mod lookup;
mod orphans;
mod seen;

use std::borrow::Cow;
use std::collections::HashMap;

use diesel::prelude::*;
use diesel::sql_types::BigInt;
#[cfg(feature = "postgres")]
use diesel::sql_types::Text;
use serde::de::{self, Deserialize, Deserializer, Visitor};
use serde_json::{Map, Value};

use self::given::{Filled, Given, is_long};
pub(crate) use self::identity::{Clashes, identify};
use self::lookup::Batch;
pub(crate) use self::orphans::{Orphan, orphans};
pub(crate) use self::seen::Seen;
use super::{DbConnection, Upserted, on_backend};
use crate::error::{Error, Result, ResultExt, require_indexable};

/// The properties of a table that are needed to store documents in it.
#[derive(Debug)]
pub(crate) struct Table {
    pub name: &'static str,
    pub id: Id,
    /// The columns that identify a row if `id` is not given or is a number; empty if there are none.
    pub key: &'static [&'static str],
    /// In a table with numbers as ids and without a key: the columns whose values do not change after a row is inserted. They
    /// tell whether a row with the same number is the same row.
    pub origin: &'static [&'static str],
    /// The columns that refer to the `id` of a row of another table, each with that table.
    pub parents: &'static [(&'static str, &'static str)],
    /// The columns that an upsert does not change in an existing row.
    pub keep: &'static [&'static str],
    /// The columns that contain JSON.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))] // PostgreSQL knows the types
    pub json: &'static [&'static str],
    /// The columns that contain a timestamp.
    #[cfg_attr(not(feature = "sqlite"), allow(dead_code))] // PostgreSQL knows the types
    pub times: &'static [&'static str],
}

/// The required JSON columns. In these columns `null` is a JSON value; in all others it means that no value is given.
const GIVEN: [(&str, &str); 6] = [
    ("channels", "content_filters"),
    ("channels", "metadata_template"),
    ("channels", "posting_schedule"),
    ("job_scripts", "scenes"),
    ("system_configuration", "value"),
    ("transformation_presets", "parameters"),
];

/// The tables without required columns, each with the columns that are NULL in a row that has only default values. Every
/// other table has a required column, so a document without values is rejected earlier.
const NOTHING_REQUIRED: [(&str, &[&str]); 2] = [
    ("jobs", &["stage", "theme", "error_message", "metadata"]),
    (
        "job_videos",
        &[
            "job_id",
            "script_id",
            "file_path",
            "thumbnail_path",
            "duration_seconds",
            "cost_usd",
            "approved_at",
            "published_at",
            "published_url",
            "metadata",
        ],
    ),
];

/// Returns true if a value of a document counts as not given.
pub(crate) fn is_nothing(table: &str, column: &str, value: &Value) -> bool {
    value.is_null() && !GIVEN.contains(&(table, column))
}

/// How the rows of a table get their ids.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Id {
    /// The database assigns increasing numbers.
    Number,
    /// viraldb generates UUIDs of version 7.
    Uuid,
    /// The table has a text key and no `id`.
    Key,
}

/// A struct for new rows that serde can deserialize from a document of its columns.
pub(crate) trait Document: serde::Serialize + serde::de::DeserializeOwned {
    const TABLE: Table;
    /// The encrypted columns, whose text serde does not serialize.
    const SEALED: &'static [&'static str] = &[];

    /// Inserts or updates documents of this table; see [`upsert`].
    fn store(
        conn: &mut DbConnection,
        documents: &[&Map<String, Value>],
        seen: &mut Seen,
    ) -> Result<Upserted> {
        upsert(conn, &Self::TABLE, documents, seen)
    }
}

/// Converts a row to a document.
///
/// # Errors
/// `Invalid` if serde does not serialize the row as an object, `Other` if serde fails.
pub fn from_row(row: &impl serde::Serialize) -> Result<Map<String, Value>> {
    match serde_json::to_value(row) {
        Ok(Value::Object(document)) => Ok(document),
        Ok(other) => Err(Error::invalid(other.to_string(), "is not a row")),
        Err(error) => Err(Error::other(error)),
    }
}

/// The indexed text columns of all tables whose length no constraint limits.
const INDEXED: [&str; 9] = [
    "external_id",
    "key",
    "module",
    "niche",
    "spotify_track_id",
    "unique_key",
    "video_id",
    "youtube_channel_id",
    "youtube_video_id",
];

/// Inserts documents, or updates the rows with the same key.
///
/// - A document without a key is inserted, unless a row exists that has the same values in all columns of the document.
/// - A document without values is inserted with the defaults of its columns, unless a row with only default values exists.
/// - A `null` counts as not given, except in the columns of [`GIVEN`].
///
/// All documents must be valid for the table. On PostgreSQL the caller must hold the ingest lock: rows are written in the order
/// given, and another transaction that writes them in another order would cause a deadlock.
///
/// This runs in the open transaction, which the caller must roll back on an error.
pub(crate) fn upsert(
    conn: &mut DbConnection,
    table: &Table,
    rows: &[&Map<String, Value>],
    seen: &mut Seen,
) -> Result<Upserted> {
    for (name, value) in rows.iter().copied().flatten() {
        if INDEXED.contains(&name.as_str()) {
            require_indexable(name, value.as_str())?;
        }
    }
    let rows = distinct(table, rows);
    let mut by_columns: HashMap<Vec<&str>, Vec<&Map<String, Value>>> = HashMap::new();
    for row in &rows {
        by_columns.entry(columns_of(table, row)).or_default().push(row);
    }
    // Write the groups in a fixed order, so that two writers do not deadlock.
    let mut groups: Vec<_> = by_columns.into_iter().collect();
    groups.sort_unstable_by(|a, b| a.0.cmp(&b.0));
    let mut all = Upserted::default();
    for (columns, rows) in groups {
        if columns.is_empty() {
            all += insert_defaults(conn, table)?;
            continue;
        }
        for rows in rows.chunk_by(|a, b| !is_long(a) && !is_long(b)) {
            all += upsert_alike(conn, table, &columns, rows, seen)?;
        }
    }
    Ok(all)
}

/// Inserts a row with only default values, for the one document without values that [`distinct`] has kept.
fn insert_defaults(conn: &mut DbConnection, table: &Table) -> Result<Upserted> {
    let Table { name, .. } = table;
    let Some((_, columns)) = NOTHING_REQUIRED.iter().find(|(known, _)| known == name) else {
        return Err(Error::invalid("the row", "has no values")); // such a table has required columns
    };
    let nothing: Vec<String> = columns.iter().map(|c| format!("\"{c}\" IS NULL")).collect();
    let first = columns.first().copied().unwrap_or_default();
    let statement = format!(
        "INSERT INTO {name} (\"{first}\") SELECT NULL WHERE NOT EXISTS (SELECT 1 FROM {name} WHERE {})",
        nothing.join(" AND ")
    );
    let new = on_backend!(conn, |c| diesel::sql_query(statement).execute(c)).of(table.name, "")?;
    Ok(Upserted { new, updated: 0, unchanged: 1 - new })
}

/// Stores documents that give the same columns, with one statement.
fn upsert_alike(
    conn: &mut DbConnection,
    table: &Table,
    columns: &[&str],
    rows: &[&Map<String, Value>],
    seen: &mut Seen,
) -> Result<Upserted> {
    let Table { name, .. } = table;
    let key = key_of(table, columns);
    let count = rows.len();
    let mut filled = columns.to_vec();
    let needs_id = table.id == Id::Uuid && !columns.contains(&"id");
    if needs_id {
        filled.push("id");
    }
    let id = || needs_id.then(|| uuid::Uuid::now_v7().to_string());
    let rows: Vec<Filled<'_>> = rows.iter().map(|row| Filled { row, id: id() }).collect();
    let given = Given::new(conn, table, &filled, &rows)?;

    let source = source_of(conn, table, &filled, &given);
    let list = filled.iter().map(|c| format!("\"{c}\"")).collect::<Vec<_>>().join(", ");
    let all = |columns: &[&str], glue: &str, form: &dyn Fn(&str) -> String| {
        columns.iter().map(|c| form(c)).collect::<Vec<_>>().join(glue)
    };
    // PostgreSQL converts a JSON null to an SQL NULL, so put the JSON null back into required JSON columns.
    let new = |c: &str| {
        if GIVEN.contains(&(name, c)) {
            format!("coalesce(new.\"{c}\", 'null')")
        } else {
            format!("new.\"{c}\"")
        }
    };
    // Use `=`: no given value is NULL, and `=` can use an index or a hash.
    let same = |c: &str| format!("old.\"{c}\" = {}", new(c));

    let mut known = 0;
    let statement = if key.is_empty() {
        let same = all(columns, " AND ", &same);
        let batch =
            Batch { table, columns, filled: &filled, rows: &rows, given: &given, source: &source, new: &new };
        let lookup = batch.lookup(conn, seen)?;
        format!(
            "WITH batch AS MATERIALIZED (SELECT {} FROM {source} AS rows) \
             INSERT INTO {name} ({list}) SELECT {} FROM batch AS new WHERE {}",
            lookup.batch,
            all(&filled, ", ", &new),
            lookup.is_new(name, &same),
        )
    } else {
        let matching = all(key, " AND ", &same);
        // Never overwrite another row that has the same number.
        let differs = |old: &str, new: &str| {
            let differs = if key == ["id"] { table.differs(conn, columns, old, new) } else { None };
            differs.map_or_else(String::new, |differs| format!(" AND {differs} IS NOT TRUE"))
        };
        let (is_same, is_still_same) = (differs("old", "new"), differs(name, "excluded"));
        known = count_rows(
            conn,
            table,
            &format!(
                "SELECT count(*) AS count FROM {source} AS new JOIN {name} AS old ON {matching}{is_same}"
            ),
            &given,
        )?;
        let is_changing = |c: &&str| *c != "id" && !key.contains(c) && !table.keep.contains(c);
        let changing: Vec<&str> = columns.iter().copied().filter(is_changing).collect();
        let action = if changing.is_empty() {
            "NOTHING".to_owned()
        } else {
            format!(
                "UPDATE SET {} WHERE ({}){is_still_same}",
                all(&changing, ", ", &|c| format!("\"{c}\" = excluded.\"{c}\"")),
                all(&changing, " OR ", &|c| format!("{name}.\"{c}\" IS DISTINCT FROM excluded.\"{c}\"")),
            )
        };
        format!(
            "INSERT INTO {name} ({}) SELECT {} FROM {source} AS new WHERE true ON CONFLICT ({}) DO {action}",
            list,
            all(&filled, ", ", &new),
            all(key, ", ", &|c| format!("\"{c}\"")),
        )
    };
    let written = on_backend!(
        &mut *conn,
        sqlite => |c| given.bound_to(&statement).execute(c),
        postgres => |c| diesel::sql_query(statement).bind::<Text, _>(given.documents()).execute(c)
    )
    .of(table.name, "")?;
    if columns.contains(&"id") && table.id == Id::Number {
        count_past_ids(conn, table)?;
    }
    let new = if key.is_empty() { written } else { count - known };
    if written < new {
        return Err(identity::belongs_to_another(table));
    }
    let updated = written.saturating_sub(new);
    Ok(Upserted { new, updated, unchanged: count - new - updated })
}

/// Returns the columns that a document gives, sorted.
fn columns_of<'r>(table: &Table, row: &'r Map<String, Value>) -> Vec<&'r str> {
    let mut columns: Vec<&str> =
        row.iter().filter(|(k, v)| !is_nothing(table.name, k, v)).map(|(k, _)| &**k).collect();
    columns.sort_unstable();
    columns
}

/// Returns the columns that identify the row of a document which gives these columns, or none if the document has no key. A
/// natural key comes before a number, because each database numbers its rows on its own.
fn key_of<'t>(table: &'t Table, columns: &[&str]) -> &'t [&'static str] {
    let has_key = table.key.iter().all(|key| columns.contains(key));
    match columns {
        _ if has_key && !table.key.is_empty() && table.id == Id::Number => table.key,
        columns if columns.contains(&"id") => &["id"],
        _ if has_key => table.key,
        _ => &[],
    }
}

/// Merges the documents of the same row into one. Later values replace earlier ones, except in `id` and in the columns of
/// [`Table::keep`], where the first value is kept.
fn distinct<'r>(table: &Table, rows: &[&'r Map<String, Value>]) -> Vec<Cow<'r, Map<String, Value>>> {
    let mut places = HashMap::with_capacity(rows.len());
    let mut distinct: Vec<Cow<'r, Map<String, Value>>> = Vec::with_capacity(rows.len());
    for &row in rows {
        let columns = columns_of(table, row);
        let named_by = match key_of(table, &columns) {
            [] => &columns,
            key => key,
        };
        let name: Vec<_> = named_by.iter().map(|column| row.get_key_value(*column)).collect();
        let place = *places.entry(name).or_insert(distinct.len());
        match distinct.get_mut(place) {
            Some(seen) => {
                for (column, value) in row.iter().filter(|(c, v)| !is_nothing(table.name, c, v)) {
                    let is_kept = column == "id" || table.keep.contains(&&**column);
                    if !is_kept || !seen.contains_key(column) {
                        seen.to_mut().insert(column.clone(), value.clone());
                    }
                }
            }
            None => distinct.push(Cow::Borrowed(row)),
        }
    }
    distinct
}

/// Returns the subquery that selects the rows of a statement. Its column `#` numbers them from 0.
#[cfg_attr(not(feature = "sqlite"), allow(unused_variables))] // PostgreSQL reads the rows from the documents
fn source_of(conn: &DbConnection, table: &Table, columns: &[&str], given: &Given<'_>) -> String {
    on_backend!(
        conn,
        sqlite => |_c| given.source(table, columns),
        postgres => |_c| format!(
            "(SELECT *, ordinality - 1 AS \"#\" FROM pg_catalog.jsonb_populate_recordset(NULL::{}, $1::jsonb) WITH ORDINALITY)",
            table.name
        )
    )
}

fn count_rows(conn: &mut DbConnection, table: &Table, query: &str, given: &Given<'_>) -> Result<usize> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let row: Row = on_backend!(
        conn,
        sqlite => |c| given.bound_to(query).get_result(c),
        postgres => |c| diesel::sql_query(query).bind::<Text, _>(given.documents()).get_result(c)
    )
    .of(table.name, "")?;
    Ok(usize::try_from(row.count).unwrap_or_default())
}

/// Advances PostgreSQL's sequence past the ids that were given; it never moves back. SQLite does this by itself.
fn count_past_ids(conn: &mut DbConnection, table: &Table) -> Result<()> {
    on_backend!(
        conn,
        sqlite => |_c| Ok(0),
        postgres => |c| diesel::sql_query(format!(
                "SELECT pg_catalog.setval('{0}_id_seq', given.id) \
                 FROM (SELECT max(id) AS id FROM {0}) AS given, {0}_id_seq AS seq \
                 WHERE given.id >= seq.last_value + seq.is_called::int",
                table.name
            ))
            .execute(c)
    )
    .of(table.name, "")
    .map(drop)
}

/// Returns a value as the text of a table cell: empty for null, JSON for arrays and objects.
pub fn cell(value: Option<&Value>) -> String {
    match value {
        None | Some(Value::Null) => String::new(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// Returns the column names of a row type, without a row. serde's derived code passes the field names to any deserializer
/// that is asked for the struct.
pub fn columns<'de, T: Deserialize<'de>>() -> &'static [&'static str] {
    struct Ask<'a>(&'a mut &'static [&'static str]);

    impl<'de> Deserializer<'de> for Ask<'_> {
        type Error = de::value::Error;

        fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Self::Error> {
            Err(de::Error::custom("only asked for names"))
        }

        fn deserialize_struct<V: Visitor<'de>>(
            self,
            _: &'static str,
            fields: &'static [&'static str],
            visitor: V,
        ) -> Result<V::Value, Self::Error> {
            *self.0 = fields;
            self.deserialize_any(visitor)
        }

        serde::forward_to_deserialize_any! {
            bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
            unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
        }
    }

    let mut names: &'static [&'static str] = &[];
    // This always fails, but sets the names first.
    let _ = T::deserialize(Ask(&mut names)).is_ok();
    names
}
