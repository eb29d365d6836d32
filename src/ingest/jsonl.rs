//! JSON Lines of our own column names, for any table.

use std::io::{BufRead, Read};

use serde_json::{Map, Value};

use super::found::{Found, Row, Sink};
use super::kind::{Kind, kind_of};
use super::{NUL, json};
use crate::compilation::{
    NewAnalytics, NewClip, NewConfigOverride, NewDiscoveredVideo, NewErrorLog, NewPipelineRun, NewReviewLog,
    NewScript, NewShort, NewTtsAudio,
};
use crate::db::document::{self, Document, Table};
use crate::error::require;
use crate::generation::{NewJob, NewJobScript, NewJobVideo, NewTrend};
use crate::quote::{cut_quotes, quoted};
use crate::republishing::{
    NewChannel, NewChannelStatistics, NewMusic, NewSystemConfiguration, NewTransformationPreset, NewVideo,
    NewVideoProcessingJob, NewVideoStatistics,
};
use crate::{DbConnection, Error, Result, Upserted};

/// The longest line that is read, in bytes; a longer one is a bad row.
const LONGEST: u64 = 16 * 1024 * 1024;

/// Inserts or updates documents.
type Store = fn(&mut DbConnection, &[&Map<String, Value>]) -> Result<Upserted>;

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
            columns: document::columns::<T>,
            kind: kind_of::<T>,
        }
    }

    /// The names of its columns.
    pub(super) fn columns(&self) -> &'static [&'static str] {
        (self.columns)()
    }

    /// What a column takes.
    pub(super) fn kind(&self, column: &'static str) -> Kind {
        (self.kind)(column)
    }

    pub(super) fn name(&self) -> &'static str {
        self.table.name
    }

    /// Reads a document as a new row of the table, which checks it, and returns it with its values in the form of the
    /// schema.
    pub(crate) fn check(&self, document: Value) -> Result<Map<String, Value>, String> {
        (self.check)(document)
    }

    /// Inserts documents that were checked, or updates the rows that they name, within the transaction that is open,
    /// which has to be rolled back if this fails.
    pub(crate) fn store(
        &self,
        conn: &mut DbConnection,
        documents: &[&Map<String, Value>],
    ) -> Result<Upserted> {
        (self.store)(conn, documents)
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
    given.retain(|column, value| !document::is_nothing(T::TABLE.name, column, value));
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
    let mut document = document::from_row(&row).map_err(|error| error.to_string())?;
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

/// Reads lines; `niche` is that of the rows which name none.
pub(super) fn read(
    input: &mut impl BufRead,
    target: &Target,
    niche: Option<&str>,
    sink: &mut Sink<'_>,
) -> Result<()> {
    let mut line = Vec::new();
    for number in 1.. {
        line.clear();
        let length = input
            .by_ref()
            .take(LONGEST + 1)
            .read_until(b'\n', &mut line)
            .map_err(|error| Error::io("the input", error))?;
        if length == 0 {
            break;
        }
        if line.len() as u64 > LONGEST {
            input.skip_until(b'\n').map_err(|error| Error::io("the input", error))?;
            let found = Err(format!("the line is longer than {LONGEST} bytes"));
            sink(Row { line: number, found, raw: Box::new(|| Value::Null), size: 0 })?;
            continue;
        }
        let text = line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&line).trim_ascii();
        if text.is_empty() {
            continue;
        }
        let found = match serde_json::from_slice::<Value>(text) {
            Ok(value) if json::has_nul(&value) => Err(NUL.to_owned()),
            Ok(mut value) => {
                if let (Some(niche), Some(row)) = (niche, value.as_object_mut())
                    && row.get("niche").is_none_or(Value::is_null)
                {
                    row.insert("niche".to_owned(), niche.into());
                }
                target.check(value)
            }
            Err(error) => Err(match std::str::from_utf8(text) {
                Ok(_) => format!("is no JSON: {}", cut_quotes(&error.to_string())),
                Err(_) => "is not UTF-8".to_owned(),
            }),
        };
        let found = found.map(|document| Found { document: Some(document), ..Default::default() });
        let (given, size) = (text.to_vec(), text.len());
        let raw = Box::new(move || {
            serde_json::from_slice(&given).unwrap_or_else(|_| String::from_utf8_lossy(&given).into())
        });
        sink(Row { line: number, found, raw, size })?;
    }
    Ok(())
}
