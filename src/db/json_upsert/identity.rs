//! Decides whether a document with the number of an existing row is that row.
//!
//! Each database numbers its rows on its own, so the same number means different rows in two databases. A document that was
//! exported from another database must not overwrite the row that has its number here. The row is the same if it has the same
//! natural key or, in a table without one, the same values in the columns of [`Table::origin`].

use std::collections::HashMap;

use diesel::prelude::*;
#[cfg(feature = "postgres")]
use diesel::sql_types::Text as Parameter;
use diesel::sql_types::{BigInt, Nullable, Text};
use serde_json::{Map, Value};

use super::given::{Filled, Given};
use super::{DbConnection, Id, Table, on_backend, source_of};
use crate::error::{Error, Result, ResultExt};
use crate::quote::quoted_json;

/// Numbers of documents that belong to other rows in this database.
#[derive(Debug, Default)]
pub(crate) struct Clashes {
    /// The documents that must not be stored: their index and the reason.
    pub(crate) refused: Vec<(usize, String)>,
    /// The numbers of these documents, and those of documents that were found by their natural key under another number.
    pub(crate) ids: Vec<i64>,
}

impl Table {
    /// Returns the columns that tell whether two rows with the same number are the same row.
    fn distinguishing(&self) -> &'static [&'static str] {
        match (self.id, self.key) {
            (Id::Number, []) => self.origin,
            (Id::Number, key) => key,
            _ => &[],
        }
    }

    /// Returns an SQL condition that is true if the rows `old` and `new` differ in a column that distinguishes rows. It is not
    /// true if a value is missing. Returns `None` if the documents give no such column.
    pub(super) fn differs(
        &self,
        conn: &DbConnection,
        columns: &[&str],
        old: &str,
        new: &str,
    ) -> Option<String> {
        let given = self.distinguishing().iter().filter(|column| columns.contains(*column));
        let differ: Vec<String> =
            given.map(|c| format!("{} <> {new}.\"{c}\"", self.stored(conn, old, c))).collect();
        (!differ.is_empty()).then(|| format!("({})", differ.join(" OR ")))
    }

    /// Returns an SQL expression for a stored value. Other programs write timestamps on SQLite with more or fewer digits than
    /// viraldb does.
    fn stored(&self, conn: &DbConnection, old: &str, column: &str) -> String {
        on_backend!(
            conn,
            sqlite => |_c| match self.times.contains(&column) {
                true => format!(
                    "substr({old}.\"{column}\" || iif(length({old}.\"{column}\") = 19, '.', '') || '000000', 1, 26)"
                ),
                false => format!("{old}.\"{column}\""),
            },
            postgres => |_c| format!("{old}.\"{column}\"")
        )
    }

    /// Returns an SQL expression for a stored value as text that can be parsed on both engines.
    fn shown(&self, conn: &DbConnection, column: &str) -> String {
        on_backend!(
            conn,
            sqlite => |_c| format!("CAST(old.\"{column}\" AS TEXT)"),
            postgres => |_c| match self.times.contains(&column) {
                true => format!(
                    "pg_catalog.to_char(old.\"{column}\" AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"
                ),
                false => format!("CAST(old.\"{column}\" AS text)"),
            }
        )
    }

    /// Returns the reason for which a document is refused. `others` are the columns that differ, with the value of the row that
    /// has the number and the value of the document.
    fn reason(&self, id: i64, place: &str, others: &[(&str, Value, Value)]) -> String {
        let others: Vec<String> = others
            .iter()
            .map(|(column, theirs, ours)| {
                format!("{column} {}, not {}", quoted_json(theirs), quoted_json(ours))
            })
            .collect();
        let use_of_removal = match self.key {
            [] => "to add the rows under new ids".to_owned(),
            key => format!("to match the rows by {}", key.join(", ")),
        };
        format!(
            "id {id} belongs to another row {place} ({}); each database assigns its own ids, so remove \"id\" \
             {use_of_removal}, or copy a whole database with `viraldb transfer`",
            others.join("; ")
        )
    }

    /// Reads a value of [`shown`](Self::shown) in the form that documents have.
    fn value(&self, column: &str, text: Option<String>, given: Option<&Value>) -> Value {
        match (text, given) {
            (None, _) => Value::Null,
            (Some(text), _) if self.times.contains(&column) => match text.parse::<crate::Timestamp>() {
                Ok(at) => at.to_string().into(),
                Err(_) => text.into(),
            },
            (Some(text), Some(Value::Number(_))) => text.parse::<i64>().map_or(Value::Null, Value::from),
            (Some(text), _) => text.into(),
        }
    }
}

/// Returns the error for documents whose numbers belong to other rows. It is raised if another program has inserted such a row
/// since [`identify`] was called.
pub(super) fn belongs_to_another(table: &Table) -> Error {
    let reason =
        "belongs to another row in this database; remove \"id\" from the row to add it under a new id";
    Error::invalid(format!("id in {}", table.name), reason)
}

/// A row that has the number or the natural key of a document.
#[derive(QueryableByName)]
struct Owner {
    /// The index of the document.
    #[diesel(sql_type = BigInt)]
    place: i64,
    /// True if the row has the natural key of the document, and another number.
    #[diesel(sql_type = BigInt)]
    is_same: i64,
    #[diesel(sql_type = Nullable<Text>)]
    first: Option<String>,
    #[diesel(sql_type = Nullable<Text>)]
    second: Option<String>,
}

/// Finds the documents whose number belongs to another row, in the table or earlier among the documents.
///
/// A document with a natural key that the table has under another number loses its `id`, because the key identifies its row.
/// All other documents with such a number are refused. One query looks up all documents. The caller must store the documents in
/// the same transaction.
pub(crate) fn identify(
    conn: &mut DbConnection,
    table: &Table,
    documents: &mut [&mut Map<String, Value>],
) -> Result<Clashes> {
    let mut clashes = Clashes::default();
    let columns = table.distinguishing();
    let numbered = documents.iter().enumerate();
    let numbered: Vec<(usize, i64)> =
        numbered.filter_map(|(place, document)| Some((place, document.get("id")?.as_i64()?))).collect();
    if numbered.is_empty() || columns.is_empty() {
        return Ok(clashes);
    }
    let mut owners = HashMap::new();
    for owner in owners_of(conn, table, documents, &numbered)? {
        let found = owners.entry(owner.place).or_insert((None, false));
        if owner.is_same == 1 { found.1 = true } else { found.0 = Some(owner) }
    }
    // The first document of each number and of each natural key.
    let mut first_with_id: HashMap<i64, usize> = HashMap::with_capacity(numbered.len());
    let mut first_with_key: HashMap<Vec<Value>, i64> = HashMap::new();
    for (index, (place, id)) in (0_i64..).zip(&numbered) {
        let (owner, mut is_known_elsewhere) = owners.remove(&index).unwrap_or_default();
        let Some(document) = documents.get(*place) else { continue };
        let key: Vec<Value> = table.key.iter().filter_map(|column| document.get(*column).cloned()).collect();
        if !key.is_empty() && !is_known_elsewhere {
            is_known_elsewhere = first_with_key.get(&key).is_some_and(|known| known != id);
        }
        if is_known_elsewhere {
            clashes.ids.push(*id);
            if let Some(document) = documents.get_mut(*place) {
                document.remove("id");
            }
            continue;
        }
        let earlier = first_with_id.get(id).and_then(|earlier| documents.get(*earlier));
        let refused = match (owner, earlier) {
            (Some(owner), _) => {
                let values = [owner.first, owner.second];
                let theirs = columns.iter().zip(values);
                let theirs = theirs.map(|(column, text)| table.value(column, text, document.get(*column)));
                Some(("in this database", differences(columns, &theirs.collect::<Vec<_>>(), document)))
            }
            (None, Some(earlier)) => {
                let theirs = columns.iter().map(|column| earlier.get(*column).cloned().unwrap_or_default());
                let others = differences(columns, &theirs.collect::<Vec<_>>(), document);
                (!others.is_empty()).then_some(("earlier in the input", others))
            }
            (None, None) => None,
        };
        match refused {
            Some((where_, others)) => {
                clashes.ids.push(*id);
                clashes.refused.push((*place, table.reason(*id, where_, &others)));
            }
            None => {
                first_with_id.entry(*id).or_insert(*place);
                if !key.is_empty() {
                    first_with_key.entry(key).or_insert(*id);
                }
            }
        }
    }
    Ok(clashes)
}

/// Returns the columns in which a document differs from other values, with both values. A missing value does not differ.
fn differences<'c>(
    columns: &[&'c str],
    theirs: &[Value],
    document: &Map<String, Value>,
) -> Vec<(&'c str, Value, Value)> {
    let pairs = columns.iter().zip(theirs).filter(|(_, theirs)| !theirs.is_null());
    pairs
        .filter_map(|(column, theirs)| Some((*column, theirs.clone(), document.get(*column)?.clone())))
        .filter(|(_, theirs, ours)| theirs != ours)
        .collect()
}

/// Returns the rows that have the number of a document but are other rows, and those that have its natural key and another
/// number. Their `place` counts the `numbered` documents.
fn owners_of(
    conn: &mut DbConnection,
    table: &Table,
    documents: &[&mut Map<String, Value>],
    numbered: &[(usize, i64)],
) -> Result<Vec<Owner>> {
    let columns = table.distinguishing();
    // Pass on only what is compared, because the database parses the documents.
    let mut given: Vec<&str> = vec!["id"];
    given.extend(columns);
    let small: Vec<Map<String, Value>> = numbered
        .iter()
        .filter_map(|(place, _)| documents.get(*place))
        .map(|document| {
            let values = given.iter().filter_map(|c| Some(((*c).to_owned(), document.get(*c)?.clone())));
            values.collect()
        })
        .collect();
    let rows: Vec<Filled<'_>> = small.iter().map(|row| Filled { row, id: None }).collect();
    let values = Given::new(conn, table, &given, &rows)?;
    let source = source_of(conn, table, &given, &values);
    let Some(differs) = table.differs(conn, columns, "old", "new") else { return Ok(Vec::new()) };
    let shown = |n: usize| columns.get(n).map_or_else(|| "NULL".to_owned(), |c| table.shown(conn, c));
    let name = table.name;
    // CROSS JOIN makes SQLite look up each document, and not search the documents for each row of the table.
    let mut query = format!(
        "WITH given AS MATERIALIZED (SELECT * FROM {source} AS rows) \
         SELECT new.\"#\" AS place, CAST(0 AS BIGINT) AS is_same, {} AS first, {} AS second \
         FROM given AS new CROSS JOIN {name} AS old WHERE old.id = new.id AND {differs}",
        shown(0),
        shown(1),
    );
    if !table.key.is_empty() {
        let same: Vec<String> = table.key.iter().map(|c| format!("old.\"{c}\" = new.\"{c}\"")).collect();
        query += &format!(
            " UNION ALL SELECT new.\"#\", 1, NULL, NULL FROM given AS new CROSS JOIN {name} AS old \
             WHERE {} AND old.id <> new.id",
            same.join(" AND ")
        );
    }
    on_backend!(
        conn,
        sqlite => |c| values.bound_to(&query).load(c),
        postgres => |c| diesel::sql_query(query).bind::<Parameter, _>(values.documents()).load(c)
    )
    .of(table.name, "")
}

#[cfg(test)]
#[cfg(feature = "sqlite")]
mod tests {
    use std::sync::{Arc, Mutex};

    use diesel::connection::{InstrumentationEvent, SimpleConnection as _};
    use serde_json::json;

    use super::super::Document as _;
    use super::*;
    use crate::Database;
    use crate::compilation::NewDiscoveredVideo;
    use crate::generation::NewJob;

    /// Returns the statements that look for the owners of `count` documents, and the number of clashes.
    fn look(
        conn: &mut DbConnection,
        table: &Table,
        count: i64,
        row: impl Fn(i64) -> Value,
    ) -> (usize, usize) {
        let statements = Arc::new(Mutex::new(0));
        let log = Arc::clone(&statements);
        conn.set_instrumentation(move |event: InstrumentationEvent<'_>| {
            if matches!(event, InstrumentationEvent::StartQuery { .. }) {
                *log.lock().unwrap() += 1;
            }
        });
        let mut rows: Vec<Map<String, Value>> =
            (1..=count).map(|n| row(n).as_object().unwrap().clone()).collect();
        let mut documents: Vec<&mut Map<String, Value>> = rows.iter_mut().collect();
        let clashes = identify(conn, table, &mut documents).unwrap();
        conn.set_instrumentation(|_: InstrumentationEvent<'_>| {});
        let statements = *statements.lock().unwrap();
        (statements, clashes.refused.len())
    }

    #[test]
    fn one_statement_looks_for_all_owners() {
        let db = Database::open("sqlite::memory:").unwrap();
        db.write(|conn| {
            conn.batch_execute("INSERT INTO jobs (id, created_at) VALUES (1, '2026-01-01 00:00:00'), (2, '2026-01-01 00:00:00.000')")?;
            let job = |n: i64| json!({"id": n, "created_at": format!("2026-01-0{}T00:00:00Z", n.min(2))});
            assert_eq!(look(conn, &NewJob::TABLE, 1, job), (1, 0));
            assert_eq!(look(conn, &NewJob::TABLE, 5_000, job), (1, 1));
            let without = |n: i64| json!({"id": n, "theme": "x"});
            assert_eq!(look(conn, &NewJob::TABLE, 5_000, without), (1, 0));
            assert_eq!(look(conn, &NewJob::TABLE, 10, |_| json!({"theme": "x"})), (0, 0));
            let video = |n: i64| json!({"id": n, "video_id": format!("v{n}")});
            assert_eq!(look(conn, &NewDiscoveredVideo::TABLE, 5_000, video), (1, 0));
            let same = |n: i64| json!({"id": 7, "video_id": format!("v{}", n / 2)});
            assert_eq!(look(conn, &NewDiscoveredVideo::TABLE, 9, same), (1, 8));
            Ok(())
        })
        .unwrap();
    }
}
