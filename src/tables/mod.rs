//! The 22 tables by their names, for rows whose table is known only at run time: what a document of each has to be, and
//! how it is stored.

mod kind;

use serde_json::{Map, Value};

pub(crate) use self::kind::Kind;
use self::kind::kind_of;
use crate::compilation::{
    NewAnalytics, NewClip, NewConfigOverride, NewDiscoveredVideo, NewErrorLog, NewPipelineRun, NewReviewLog,
    NewScript, NewShort, NewTtsAudio,
};
use crate::db::json_upsert::{self, Document, Seen, Table};
use crate::error::require;
use crate::generation::{NewJob, NewJobScript, NewJobVideo, NewTrend};
use crate::quote::{cut_quotes, quoted};
use crate::republishing::{
    NewChannel, NewChannelStatistics, NewMusic, NewSystemConfiguration, NewTransformationPreset, NewVideo,
    NewVideoProcessingJob, NewVideoStatistics,
};
use crate::{DbConnection, Error, Result, Upserted};

/// Why a row with a NUL character is refused, on either engine.
pub(crate) const NUL: &str = "has a NUL character, which PostgreSQL cannot keep";

/// Inserts or updates documents.
type Store = fn(&mut DbConnection, &[&Map<String, Value>], &mut Seen) -> Result<Upserted>;

/// The table that rows go into.
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

    /// The names of its columns.
    pub(crate) fn columns(&self) -> &'static [&'static str] {
        (self.columns)()
    }

    /// What a column takes.
    pub(crate) fn kind(&self, column: &'static str) -> Kind {
        (self.kind)(column)
    }

    pub(crate) fn name(&self) -> &'static str {
        self.table.name
    }

    /// Reads a document as a new row of the table, which checks it, and returns it with its values in the form of the
    /// schema.
    pub(crate) fn check(&self, document: Value) -> Result<Map<String, Value>, String> {
        (self.check)(document)
    }

    /// Inserts documents that were checked, or updates the rows that they name, within the transaction that is open,
    /// which has to be rolled back if this fails. `seen` is the same for all documents that are stored one batch after the
    /// other.
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

/// The names of the 22 tables, domain by domain.
pub(crate) fn tables() -> impl Iterator<Item = &'static str> {
    TARGETS.iter().map(Target::name)
}

/// The table of a name.
pub(crate) fn table(name: &str) -> Result<&'static Target> {
    TARGETS.iter().find(|target| target.name() == name).ok_or_else(|| {
        let names: Vec<&str> = tables().collect();
        Error::invalid(format!("table {}", quoted(name)), format!("is none of {}", names.join(", ")))
    })
}

/// Refuses a name of none of the tables.
pub(crate) fn check_table(name: &str) -> Result<()> {
    table(name).map(drop)
}

/// Reads a document as a row of `T`, and keeps the columns that it gives.
fn check<T: Document>(value: Value) -> Result<Map<String, Value>, String> {
    let Value::Object(mut given) = value else {
        return Err("is no JSON object".to_owned());
    };
    given.retain(|column, value| !json_upsert::is_nothing(T::TABLE.name, column, value));
    if T::TABLE.name == "videos" {
        given.remove("status"); // the database computes it
    }
    // Before serde, which would quote the value.
    let is_text = |column: &&&str| given.get(**column).is_none_or(Value::is_string);
    if let Some(column) = T::SEALED.iter().find(|column| !is_text(column)) {
        return Err(format!("{column}: is not text"));
    }
    // The text of a row may be long, so that no more copies of it are made than these two.
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

/// Whether a text or name within has a NUL character.
pub(crate) fn has_nul(value: &Value) -> bool {
    match value {
        Value::String(text) => text.contains('\0'),
        Value::Array(items) => items.iter().any(has_nul),
        Value::Object(fields) => fields.iter().any(|(name, value)| name.contains('\0') || has_nul(value)),
        _ => false,
    }
}
