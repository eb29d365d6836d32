//! Finds documents that refer to rows which do not exist.

use diesel::prelude::*;
use diesel::sql_types::BigInt;
#[cfg(feature = "postgres")]
use diesel::sql_types::Text;
use serde_json::{Map, Value};

use super::given::{Filled, Given};
use super::{DbConnection, Table, on_backend, source_of};
use crate::error::{Result, ResultExt};
use crate::quote::quoted_json;

/// A document that refers to a row which does not exist.
#[derive(Debug)]
pub(crate) struct Orphan {
    /// The index of the document.
    pub(crate) place: usize,
    pub(crate) reason: String,
}

/// A reference to a row that does not exist.
#[derive(QueryableByName)]
struct Missing {
    /// The index of the document.
    #[diesel(sql_type = BigInt)]
    place: i64,
    /// The index of the reference in [`Table::parents`].
    #[diesel(sql_type = BigInt)]
    reference: i64,
}

/// Returns the documents that refer to rows which do not exist, each one once. One query checks all documents.
pub(crate) fn orphans(
    conn: &mut DbConnection,
    table: &Table,
    documents: &[&Map<String, Value>],
) -> Result<Vec<Orphan>> {
    if table.parents.is_empty() {
        return Ok(Vec::new());
    }
    let columns: Vec<&str> = table.parents.iter().map(|(column, _)| *column).collect();
    // Pass on only the references, because the database parses the documents.
    let only_references = |document: &&Map<String, Value>| -> Map<String, Value> {
        columns.iter().filter_map(|c| Some(((*c).to_owned(), document.get(*c)?.clone()))).collect()
    };
    let small: Vec<Map<String, Value>> = documents.iter().map(only_references).collect();
    let rows: Vec<Filled<'_>> = small.iter().map(|row| Filled { row, id: None }).collect();
    let values = Given::new(conn, table, &columns, &rows)?;
    let source = source_of(conn, table, &columns, &values);
    let missing = table.parents.iter().enumerate().map(|(reference, (column, parent))| {
        format!(
            "SELECT new.\"#\" AS place, CAST({reference} AS BIGINT) AS reference FROM given AS new \
             WHERE new.\"{column}\" IS NOT NULL AND NOT EXISTS (SELECT 1 FROM {parent} AS old WHERE old.id = new.\"{column}\")"
        )
    });
    let query = format!(
        "WITH given AS MATERIALIZED (SELECT * FROM {source} AS rows) {} ORDER BY place, reference",
        missing.collect::<Vec<_>>().join(" UNION ALL ")
    );
    let missing: Vec<Missing> = on_backend!(
        conn,
        sqlite => |c| values.bound_to(&query).load(c),
        postgres => |c| diesel::sql_query(query).bind::<Text, _>(values.documents()).load(c)
    )
    .of(table.name, "")?;
    let mut orphans: Vec<Orphan> = Vec::new();
    for Missing { place, reference } in missing {
        let reference = usize::try_from(reference).ok().and_then(|reference| table.parents.get(reference));
        let (Ok(place), Some((column, parent))) = (usize::try_from(place), reference) else { continue };
        if orphans.last().is_some_and(|orphan| orphan.place == place) {
            continue;
        }
        let value = documents.get(place).and_then(|document| document.get(*column)).map(quoted_json);
        let reason = format!(
            "{}.{column} {} not found in {parent}; ingest the rows of {parent} first",
            table.name,
            value.unwrap_or_default()
        );
        orphans.push(Orphan { place, reason });
    }
    Ok(orphans)
}
