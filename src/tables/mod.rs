//! The 22 tables by name, for rows whose table is known only at run time.
//!
//! For each table this module checks that a document is a valid row, and stores it.

mod kind;

use serde_json::{Map, Value};

pub(crate) use self::kind::Kind;
use self::kind::kind_of;
use crate::compilation::{
    NewAnalytics, NewClip, NewConfigOverride, NewDiscoveredVideo, NewErrorLog, NewPipelineRun, NewReviewLog,
    NewScript, NewShort, NewTtsAudio,
};
use crate::db::json_upsert::{self, Clashes, Document, Orphan, Seen, Table};
use crate::error::require;
use crate::generation::{NewJob, NewJobScript, NewJobVideo, NewTrend};
use crate::quote::{cut_quotes, quoted};
use crate::republishing::{
    NewChannel, NewChannelStatistics, NewMusic, NewSystemConfiguration, NewTransformationPreset, NewVideo,
    NewVideoProcessingJob, NewVideoStatistics,
};
use crate::types::any_of;
use crate::{DbConnection, Error, Result, Upserted};

/// Why a row with a NUL character is rejected, on both engines.
pub(crate) const NUL: &str = "contains a NUL character, which PostgreSQL cannot store";

/// A function that inserts or updates documents.
type Store = fn(&mut DbConnection, &[&Map<String, Value>], &mut Seen) -> Result<Upserted>;

/// A table that rows can be stored in.
#[derive(Debug)]
pub(crate) struct Target {
    table: Table,
    check: fn(Value) -> Result<Map<String, Value>, String>,
    store: Store,
    columns: fn() -> &'static [&'static str],
    kind: fn(&'static str) -> Kind,
}

impl Target {
    const fn of<T: Document>() -> Self {
        Self {
            table: T::TABLE,
            check: check::<T>,
            store: T::store,
            columns: json_upsert::columns::<T>,
            kind: kind_of::<T>,
        }
    }

    /// Returns the names of the columns.
    pub(crate) fn columns(&self) -> &'static [&'static str] {
        (self.columns)()
    }

    /// Returns the kind of value that a column takes.
    pub(crate) fn kind(&self, column: &'static str) -> Kind {
        (self.kind)(column)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.table.name
    }

    /// Checks that a document is a valid new row of the table. Returns it with its values in the form of the schema.
    pub(crate) fn check(&self, document: Value) -> Result<Map<String, Value>, String> {
        (self.check)(document)
    }

    /// Finds the documents whose `id` belongs to another row, as it may in an export of another database. Call it before
    /// [`store`](Self::store), in the same transaction.
    pub(crate) fn identify(
        &self,
        conn: &mut DbConnection,
        documents: &mut [&mut Map<String, Value>],
    ) -> Result<Clashes> {
        json_upsert::identify(conn, &self.table, documents)
    }

    /// Returns the documents that refer to rows which do not exist.
    pub(crate) fn orphans(
        &self,
        conn: &mut DbConnection,
        documents: &[&Map<String, Value>],
    ) -> Result<Vec<Orphan>> {
        json_upsert::orphans(conn, &self.table, documents)
    }

    /// Inserts checked documents, or updates the rows with the same key, within the current transaction.
    ///
    /// If this fails, the caller must roll the transaction back. Consecutive batches share the same `seen`.
    pub(crate) fn store(
        &self,
        conn: &mut DbConnection,
        documents: &[&Map<String, Value>],
        seen: &mut Seen,
    ) -> Result<Upserted> {
        (self.store)(conn, documents, seen)
    }
}

/// The 22 tables, domain by domain.
static TARGETS: [Target; 22] = [
    Target::of::<NewDiscoveredVideo<'static>>(),
    Target::of::<NewPipelineRun<'static>>(),
    Target::of::<NewClip<'static>>(),
    Target::of::<NewScript<'static>>(),
    Target::of::<NewTtsAudio<'static>>(),
    Target::of::<NewShort<'static>>(),
    Target::of::<NewAnalytics<'static>>(),
    Target::of::<NewReviewLog<'static>>(),
    Target::of::<NewConfigOverride<'static>>(),
    Target::of::<NewErrorLog<'static>>(),
    Target::of::<NewTransformationPreset<'static>>(),
    Target::of::<NewMusic<'static>>(),
    Target::of::<NewChannel<'static>>(),
    Target::of::<NewVideo<'static>>(),
    Target::of::<NewVideoProcessingJob<'static>>(),
    Target::of::<NewChannelStatistics>(),
    Target::of::<NewVideoStatistics>(),
    Target::of::<NewSystemConfiguration<'static>>(),
    Target::of::<NewJob<'static>>(),
    Target::of::<NewTrend<'static>>(),
    Target::of::<NewJobScript<'static>>(),
    Target::of::<NewJobVideo<'static>>(),
];

/// Returns the names of the 22 tables, domain by domain.
pub(crate) fn tables() -> impl Iterator<Item = &'static str> {
    TARGETS.iter().map(Target::name)
}

/// Returns the table with this name.
///
/// # Errors
/// `Invalid` if there is no such table.
pub(crate) fn table(name: &str) -> Result<&'static Target> {
    TARGETS.iter().find(|target| target.name() == name).ok_or_else(|| {
        let names: Vec<&str> = tables().collect();
        Error::invalid("", format!("unknown table {}; expected {}", quoted(name), any_of(&names)))
    })
}

/// Checks that a table with this name exists.
pub(crate) fn check_table(name: &str) -> Result<()> {
    table(name).map(drop)
}

/// Checks that a document is a row of `T`. Returns the columns that the document contains.
fn check<T: Document>(value: Value) -> Result<Map<String, Value>, String> {
    let Value::Object(mut given) = value else {
        return Err("is not a JSON object".to_owned());
    };
    given.retain(|column, value| !json_upsert::is_nothing(T::TABLE.name, column, value));
    if T::TABLE.name == "videos" {
        given.remove("status"); // the database computes it
    }
    // Check this before serde does, because its error message would quote the secret.
    let is_text = |column: &&&str| given.get(**column).is_none_or(Value::is_string);
    if let Some(column) = T::SEALED.iter().find(|column| !is_text(column)) {
        return Err(format!("{column}: is not text"));
    }
    // Rows may contain long texts, so copy only the column names and the encrypted columns.
    let columns: Vec<String> = given.keys().cloned().collect();
    let sealed: Vec<(&str, Value)> =
        T::SEALED.iter().filter_map(|column| Some((*column, given.get(*column)?.clone()))).collect();
    let row: T =
        serde_json::from_value(Value::Object(given)).map_err(|error| cut_quotes(&error.to_string()))?;
    let mut document = json_upsert::from_row(&row).map_err(|error| error.to_string())?;
    document.retain(|column, _| columns.contains(column));
    for (column, text) in sealed {
        if let Some(shown) = document.get_mut(column) {
            *shown = text;
        }
    }
    for key in T::TABLE.key {
        if let Some(Value::String(key_value)) = document.get(*key) {
            require(key, key_value).map_err(|error| error.to_string())?;
        }
    }
    Ok(document)
}

/// Returns true if any text or name in a value contains a NUL character.
pub(crate) fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}
