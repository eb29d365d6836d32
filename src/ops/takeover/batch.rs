//! Converts and stores the rows of one table in batches of several thousand.

use std::collections::HashSet;

use diesel::prelude::*;
use diesel::sql_types::Text;
use serde_json::{Map, Value as Json};

use super::application::{IsWord, Table};
use super::mask::{is_secret, mask};
use super::source::Column;
use super::value::{Value, convert};
use super::{Reject, Taken};
use crate::db::json_upsert::{Seen, cell, is_nothing};
use crate::db::{on_backend, store_or_bisect};
use crate::error::ResultExt;
use crate::ops::transfer::{self, Kind};
use crate::quote::{quoted, short};
use crate::secrets::Sealing;
use crate::tables::{self, Target};
use crate::{DbConnection, Result};

/// Maximum number of rows in a batch.
const ROWS: usize = 5_000;

/// Bytes of rows at which a batch is full, regardless of the number of rows.
const BYTES: usize = 8 << 20;

/// Other names that applications use for a column. SQLAlchemy reserves the name `metadata`.
const ALIASES: &[(&str, &[&str])] = &[(
    "metadata",
    &[
        "metadata_info",
        "metadata_",
        "meta_data",
        "metadata_json",
        "job_metadata",
        "trend_metadata",
        "video_metadata",
    ],
)];

/// Timestamp and status columns that are never invented: a row with NULL in one of them is rejected although the schema has
/// a default. If the application does not have the column at all, the default applies.
const NEVER_MADE_UP: &[&str] = &[
    "collected_at",
    "created_at",
    "discovered_at",
    "generated_at",
    "measured_at",
    "occurred_at",
    "queued_at",
    "scraped_at",
    "sent_at",
    "timestamp",
    "download_status",
    "publication_status",
    "status",
    "transformation_status",
];

/// The column for a channel's credentials. An empty string means that the channel has none yet.
const NO_CREDENTIALS: &str = "api_credentials_encrypted";

/// How the rows of an application's table are converted to rows of our table.
pub(super) struct Plan<'a> {
    pub(super) table: &'static Table,
    target: &'static Target,
    pub(super) columns: &'a [Column],
    into: Vec<Filled>,
    /// The primary key column of our table.
    pub(super) key: &'a str,
    key_kind: Kind,
    references: Vec<(&'static super::application::Reference, Kind)>,
    unique: Vec<(&'static str, Kind)>,
}

/// A column of our table that gets values from the source.
struct Filled {
    name: &'static str,
    kind: Kind,
    word: Option<IsWord>,
    /// The indexes of the source columns that it is taken from. The first of them that has a value is used.
    from: Vec<usize>,
}

impl<'a> Plan<'a> {
    pub(super) fn new(
        table: &'static Table,
        columns: &'a [Column],
        ours: &'a transfer::Table,
    ) -> Result<Self> {
        let target = tables::table(table.to)?;
        let into: Vec<Filled> = ours
            .columns
            .iter()
            .filter_map(|column| {
                let aliases =
                    ALIASES.iter().find(|(name, _)| *name == column.name).map_or(&[][..], |found| found.1);
                let names = std::iter::once(column.name).chain(aliases.iter().copied());
                let from: Vec<usize> =
                    names.filter_map(|name| columns.iter().position(|column| column.name == name)).collect();
                let word =
                    table.words.iter().find(|(name, _)| *name == column.name).map(|(_, is_word)| *is_word);
                (!from.is_empty()).then_some(Filled { name: column.name, kind: column.kind, word, from })
            })
            .collect();
        let kind = |name: &str| {
            ours.columns.iter().find(|column| column.name == name).map_or(Kind::Text, |column| column.kind)
        };
        let key = ours.key_column();
        Ok(Self {
            table,
            target,
            columns,
            into,
            key,
            key_kind: kind(key),
            references: table.references.iter().map(|to| (to, kind(to.column))).collect(),
            unique: table.unique.iter().map(|column| (*column, kind(column))).collect(),
        })
    }

    /// Returns the columns of the source that our table does not have.
    pub(super) fn left(&self) -> impl Iterator<Item = &str> {
        let taken: HashSet<usize> = self.into.iter().flat_map(|into| into.from.iter().copied()).collect();
        self.columns
            .iter()
            .enumerate()
            .filter(move |(place, _)| !taken.contains(place))
            .map(|(_, column)| &*column.name)
    }

    /// Converts a row to a document of our table with the columns that have a value.
    ///
    /// # Errors
    /// The reason for which the row is rejected.
    fn document(&self, row: &[Value]) -> Result<Map<String, Json>, String> {
        let mut document = Map::new();
        for into in &self.into {
            let values = into.from.iter().filter_map(|place| row.get(*place));
            for value in values.filter(|value| **value != Value::Null) {
                let value = convert(into.kind, into.word, value).map_err(|reason| {
                    let reason = if is_secret(self.table.to, into.name) { "is not text" } else { &reason };
                    format!("{}: {reason}", into.name)
                })?;
                // An empty string in a unique column, such as an external id, means that there is no value.
                let is_none =
                    self.table.unique.contains(&into.name) && value.as_str().is_some_and(str::is_empty);
                if !is_none && !is_nothing(self.table.to, into.name, &value) {
                    document.insert(into.name.to_owned(), value);
                    break;
                }
            }
            if document.contains_key(into.name) {
                continue;
            }
            if NEVER_MADE_UP.contains(&into.name) {
                return Err(null(into.name));
            }
            if !is_nothing(self.table.to, into.name, &Json::Null) {
                document.insert(into.name.to_owned(), Json::Null); // JSON null is a value of this column
            } else if into.name == NO_CREDENTIALS {
                document.insert(into.name.to_owned(), "".into());
            }
        }
        if !document.contains_key(self.key) {
            return Err(null(self.key));
        }
        // By default SQLAlchemy sets `updated_at` only with the first update, so use the time of creation until then.
        if !document.contains_key("updated_at")
            && self.into.iter().any(|into| into.name == "updated_at")
            && let Some(made) = document.get("created_at").cloned()
        {
            document.insert("updated_at".to_owned(), made);
        }
        Ok(document)
    }

    /// Returns the row of the source as JSON, to report a rejected row.
    fn as_it_was(&self, row: &[Value]) -> Map<String, Json> {
        self.columns
            .iter()
            .zip(row)
            .map(|(column, value)| (column.name.to_owned(), value.to_json()))
            .collect()
    }
}

/// Rows that have been read but not stored yet.
#[derive(Default)]
pub(super) struct Batch {
    rows: Vec<Vec<Value>>,
    bytes: usize,
}

impl Batch {
    pub(super) fn push(&mut self, row: Vec<Value>) {
        self.bytes += row.iter().map(Value::size).sum::<usize>();
        self.rows.push(row);
    }

    pub(super) fn is_full(&self) -> bool {
        self.rows.len() >= ROWS || self.bytes >= BYTES
    }

    /// Stores the valid rows and passes the others to `reject`.
    pub(super) fn store(
        self,
        conn: &mut DbConnection,
        plan: &Plan<'_>,
        sealing: &mut Sealing<'_>,
        taken: &mut Taken,
        reject: &mut dyn FnMut(Reject) -> Result<()>,
    ) -> Result<()> {
        let mut rows: Vec<Result<Map<String, Json>, String>> = self
            .rows
            .iter()
            .map(|row| {
                let document = Json::Object(plan.document(row)?);
                plan.target.check(document).map_err(|reason| missing(&reason))
            })
            .collect();
        empty_or_refuse_orphans(conn, plan, &mut rows, taken)?;
        refuse_duplicates(conn, plan, &mut rows)?;
        let mut places = Vec::new();
        let mut documents = Vec::new();
        for (place, row) in rows.iter_mut().enumerate() {
            let Ok(document) = row else { continue };
            match sealing.seal(conn, plan.table.to, document)? {
                Err(reason) => *row = Err(reason),
                Ok(counts) => {
                    taken.sealed += counts.sealed;
                    taken.withheld += counts.withheld;
                    places.push(place);
                    documents.push(std::mem::take(document));
                }
            }
        }
        let refused = store_or_bisect(conn, documents.len(), &mut |conn, part| {
            let documents: Vec<_> = documents.get(part).unwrap_or_default().iter().collect();
            plan.target.store(conn, &documents, &mut Seen::default()).map(drop) // keys identify the rows
        })?;
        for (place, reason) in refused {
            if let Some(row) = places.get(place).and_then(|place| rows.get_mut(*place)) {
                *row = Err(reason);
            }
        }
        for (values, row) in self.rows.iter().zip(rows) {
            match row {
                Ok(_) => taken.taken += 1,
                Err(reason) => {
                    taken.rejected += 1;
                    let mut row = plan.as_it_was(values);
                    let key = row.get(plan.key).map(cell_of).unwrap_or_default();
                    mask(plan.table.to, &mut row);
                    reject(Reject { table: plan.table.from.to_owned(), key, reason, row })?;
                }
            }
        }
        Ok(())
    }
}

fn cell_of(value: &Json) -> String {
    cell(Some(value))
}

/// Rewords serde's error about a missing field as a message about a column.
fn missing(reason: &str) -> String {
    match reason.strip_prefix("missing field `").and_then(|rest| rest.split('`').next()) {
        Some(column) => null(column),
        None => reason.to_owned(),
    }
}

fn null(column: &str) -> String {
    format!("{column}: is NULL or empty, but a value is required")
}

/// Rejects rows that refer to a row that does not exist or was rejected. If the schema would set such a reference to NULL,
/// removes the reference instead.
fn empty_or_refuse_orphans(
    conn: &mut DbConnection,
    plan: &Plan<'_>,
    rows: &mut [Result<Map<String, Json>, String>],
    taken: &mut Taken,
) -> Result<()> {
    for (to, kind) in &plan.references {
        let named: HashSet<&Json> = rows.iter().filter_map(|row| row.as_ref().ok()?.get(to.column)).collect();
        let there = present(conn, to.table, "id", *kind, &named)?;
        for row in rows.iter_mut() {
            let Ok(document) = row else { continue };
            let Some(name) = document.get(to.column).map(cell_of) else { continue };
            if there.contains(&name) {
                continue;
            }
            if to.is_emptied {
                document.remove(to.column);
                taken.emptied += 1;
            } else {
                *row = Err(format!(
                    "{}: row {} of {} does not exist or was rejected",
                    to.column,
                    short(&name),
                    to.table
                ));
            }
        }
    }
    Ok(())
}

/// Rejects rows whose key or unique columns have a value that an earlier row has.
fn refuse_duplicates(
    conn: &mut DbConnection,
    plan: &Plan<'_>,
    rows: &mut [Result<Map<String, Json>, String>],
) -> Result<()> {
    let mut columns = vec![(plan.key, plan.key_kind)];
    columns.extend(&plan.unique);
    let mut seen = Vec::with_capacity(columns.len());
    for (column, kind) in &columns {
        let given: HashSet<&Json> = rows.iter().filter_map(|row| row.as_ref().ok()?.get(*column)).collect();
        let none = HashSet::new();
        seen.push(present(
            conn,
            plan.table.to,
            column,
            *kind,
            if plan.table.replaces { &none } else { &given },
        )?);
    }
    for row in rows {
        let Ok(document) = row else { continue };
        let given: Vec<Option<String>> =
            columns.iter().map(|(column, _)| document.get(*column).map(cell_of)).collect();
        let again = columns.iter().zip(&given).zip(&seen).find_map(|((column, given), seen)| {
            Some((column.0, given.as_ref().filter(|given| seen.contains(*given))?))
        });
        if let Some((column, value)) = again {
            *row = Err(format!("{column}: another row already has {}", quoted(value)));
            continue;
        }
        for (given, seen) in given.into_iter().zip(&mut seen) {
            seen.extend(given);
        }
    }
    Ok(())
}

/// Returns the given values that the column contains, as text.
fn present(
    conn: &mut DbConnection,
    table: &str,
    column: &str,
    #[cfg_attr(not(feature = "postgres"), allow(unused_variables))] kind: Kind,
    values: &HashSet<&Json>,
) -> Result<HashSet<String>> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        value: String,
    }
    if values.is_empty() {
        return Ok(HashSet::new());
    }
    let list = Json::Array(values.iter().map(|value| (*value).clone()).collect()).to_string();
    let found: Vec<Found> = on_backend!(
        conn,
        sqlite => |c| diesel::sql_query(format!(
            "SELECT CAST(\"{column}\" AS TEXT) AS value FROM {table} \
             WHERE \"{column}\" IN (SELECT value FROM json_each(?1))"
        ))
        .bind::<Text, _>(list)
        .load(c),
        postgres => |c| diesel::sql_query(format!(
            "SELECT \"{column}\"::text AS value FROM {table} \
             WHERE \"{column}\" IN (SELECT value::{} FROM pg_catalog.jsonb_array_elements_text($1::jsonb) AS given (value))",
            match kind {
                Kind::Big => "bigint",
                Kind::Uuid => "uuid",
                _ => "text",
            }
        ))
        .bind::<Text, _>(list)
        .load(c),
    )
    .of("the target", table)?;
    Ok(found.into_iter().map(|found| found.value).collect())
}
