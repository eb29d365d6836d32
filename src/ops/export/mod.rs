//! Rows of tables as files.

mod file;
mod source;

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::transfer;
use crate::db::json_upsert::cell;
use crate::types::portable;
use crate::{Database, DbConnection, Error, Result, Timestamp};
use file::Files;
use source::{SOURCES, Source};

/// Rows after which it is told how far an export is.
const TOLD: u64 = 1_000;

portable! {
    /// How rows are written.
    pub enum Form {
        Jsonl = "jsonl",
        Csv = "csv",
    }
}

/// What to export.
#[derive(Debug, Clone)]
pub struct Export {
    /// Names of tables; all 22, if there are none.
    pub tables: Vec<String>,
    /// Only rows of this moment or later, by the column that says when a row last changed, or else came to be; see
    /// [`export`].
    pub since: Option<Timestamp>,
    /// How rows are written.
    pub form: Form,
}

/// Where rows go.
pub enum Destination<'a> {
    /// One table, as it comes.
    Stream(&'a mut dyn Write),
    /// One table into a file.
    File(PathBuf),
    /// A file for each table, `TABLE.jsonl` or `TABLE.csv`, in a folder, which is made if it is not there. Several
    /// tables need a folder of their own, in which is nothing but what exports wrote.
    Folder(PathBuf),
}

impl std::fmt::Debug for Destination<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stream(_) => f.write_str("Stream(..)"),
            Self::File(path) => f.debug_tuple("File").field(path).finish(),
            Self::Folder(path) => f.debug_tuple("Folder").field(path).finish(),
        }
    }
}

impl<'a> Destination<'a> {
    /// What a path means: a folder if it is one or ends in a slash, or if there are several tables; else a file.
    pub fn at(path: &Path, export: &Export) -> Self {
        let is_folder = export.tables.len() != 1
            || path.is_dir()
            || path.as_os_str().as_encoded_bytes().ends_with(std::path::MAIN_SEPARATOR_STR.as_bytes());
        if is_folder { Self::Folder(path.to_owned()) } else { Self::File(path.to_owned()) }
    }
}

/// A table that was exported.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Exported {
    /// The table.
    pub table: String,
    /// Its rows in the export.
    pub rows: u64,
    /// The file they are in; none for a stream.
    pub file: Option<String>,
}

/// Writes the rows of tables in the order of their primary keys, all as they were at one moment, and says how many there
/// are. The tables come in an order in which `ingest` can read them back: each behind those that it
/// refers to.
///
/// A line of JSON Lines is a row under its column names, times as RFC 3339 in UTC, which `ingest` reads back to the same
/// row. CSV has a header; what is NULL is empty, and documents are JSON. Each row is written as it is read, so memory
/// does not grow with their number. Sealed columns go out as ciphertext, as they stand there.
///
/// All files of an export become visible in one step, when they are written and on the disk: one file is renamed, and
/// of several the whole folder is. If the folder is there, it is exchanged for the new one; files of other tables in
/// it stay. Until then everything is in a folder `.viraldb-unfinished-…` beside the target, which the next export
/// removes if this one is killed.
///
/// `since` asks for `updated_at` where there is one (`jobs`: or else `created_at`), else for `created_at`, else for
/// `discovered_at`, `cycle_start`, `generated_at`, `measured_at`, `sent_at`, `occurred_at` or `collected_at`.
///
/// # Errors
/// `Invalid` for a name of no table, for several tables into one stream or file, or into a folder that holds anything
/// else or cannot be exchanged, for a file that is not to be replaced,
/// for a document that is nested deeper than 127 levels or has a number that 64 bits do not keep, by its row,
/// and for `since` with `clips` or `shorts`, whose rows do not all have a time; `SecretNotSealed` if a sealed column
/// holds what may be a secret in the clear.
pub fn export(
    db: &Database,
    export: &Export,
    mut to: Destination<'_>,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Vec<Exported>> {
    let sources = chosen(&export.tables)?;
    if export.since.is_some()
        && let Some(source) = sources.iter().find(|source| source.time.is_none())
    {
        let reason =
            "cannot be asked for since a moment: not every row of it has a time; export the whole table";
        return Err(Error::invalid(source.table, reason));
    }
    let mut files = match &to {
        Destination::Folder(folder) => Some(match sources.as_slice() {
            [source] => {
                std::fs::create_dir_all(folder).map_err(|error| Error::io(folder, error))?;
                Files::one(db, folder.join(file::name(source.table, export.form)))?
            }
            sources => {
                let names: Vec<_> =
                    sources.iter().map(|source| file::name(source.table, export.form)).collect();
                Files::many(db, folder, &names)?
            }
        }),
        _ if sources.len() != 1 => {
            return Err(Error::invalid(
                "several tables",
                "go into a folder, a file each; name one with --to",
            ));
        }
        Destination::File(path) => Some(Files::one(db, path.clone())?),
        Destination::Stream(_) => None,
    };
    let mut done = Vec::new();
    db.read(|conn| {
        conn.snapshot(|conn| {
            conn.refuse_hidden_rows()?;
            for source in &sources {
                transfer::require_readable(conn, source.table)?;
            }
            for (n, source) in sources.iter().enumerate() {
                let file = files.as_mut().and_then(|files| files.get(n));
                let name = file.as_ref().map(|file| file.name().to_owned());
                let out: &mut dyn Write = match (file, &mut to) {
                    (Some(file), _) => file,
                    (None, Destination::Stream(stream)) => stream,
                    (None, _) => continue,
                };
                let failed = |error| Error::io(name.as_deref().unwrap_or("the output"), error);
                let rows = write(conn, source, export, out, &failed, progress)?;
                done.push(Exported { table: source.table.to_owned(), rows, file: name });
            }
            Ok(())
        })
    })?;
    files.map_or(Ok(()), Files::publish)?;
    Ok(done)
}

/// The tables of these names, or all, each once and in the order of [`SOURCES`].
fn chosen(names: &[String]) -> Result<Vec<&'static Source>> {
    for name in names {
        crate::tables::check_table(name)?;
    }
    let is_chosen = |source: &&Source| names.is_empty() || names.iter().any(|name| name == source.table);
    Ok(SOURCES.iter().filter(is_chosen).collect())
}

/// Writes the rows of a table and returns their count.
fn write(
    conn: &mut DbConnection,
    source: &Source,
    export: &Export,
    out: &mut dyn Write,
    failed: &dyn Fn(io::Error) -> Error,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<u64> {
    let sql = source.select(conn, export.since);
    let mut rows = 0;
    let mut counted = || {
        rows += 1;
        if rows % TOLD == 0 {
            progress(source.table, rows);
        }
    };
    match export.form {
        Form::Jsonl => source.read(conn, &sql, &mut |row| {
            counted();
            serde_json::to_writer(&mut *out, &row)
                .map_err(io::Error::from)
                .and_then(|()| out.write_all(b"\n"))
                .map_err(failed)
        })?,
        Form::Csv => {
            let failed = |error: csv::Error| match error.into_kind() {
                csv::ErrorKind::Io(error) => failed(error),
                other => failed(io::Error::other(format!("{other:?}"))),
            };
            let columns = source.columns();
            let mut csv = csv::Writer::from_writer(&mut *out);
            csv.write_record(columns).map_err(failed)?;
            source.read(conn, &sql, &mut |row| {
                counted();
                csv.write_record(columns.iter().map(|column| cell(row.get(*column)))).map_err(failed)
            })?;
            csv.flush().map_err(|error| failed(error.into()))?;
        }
    }
    progress(source.table, rows);
    Ok(rows)
}
