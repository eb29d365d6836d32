//! Exports the rows of tables to files or a stream.

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

/// Number of rows between two progress reports.
const TOLD: u64 = 1_000;

portable! {
    /// The output format of an export.
    pub enum Form {
        Jsonl = "jsonl",
        Csv = "csv",
    }
}

/// Options of an export.
#[derive(Debug, Clone)]
pub struct Export {
    /// Names of the tables to export. If empty, all 22 tables are exported.
    pub tables: Vec<String>,
    /// Exports only rows with this timestamp or a later one. The timestamp is the time of the last change or, in tables
    /// without that, of the creation; see [`export`].
    pub since: Option<Timestamp>,
    /// Exports only rows with a timestamp before this one. Together with `since`, the rows of a period.
    pub until: Option<Timestamp>,
    /// Output format.
    pub form: Form,
}

impl Default for Export {
    /// Exports all rows of all tables as JSON Lines.
    fn default() -> Self {
        Self { tables: Vec::new(), since: None, until: None, form: Form::Jsonl }
    }
}

/// The destination of an export.
pub enum Destination<'a> {
    /// One table, written to a stream as it is read.
    Stream(&'a mut dyn Write),
    /// One table, written to a file.
    File(PathBuf),
    /// One file per table, `TABLE.jsonl` or `TABLE.csv`, in a folder, which is created if it does not exist. Several tables
    /// need a separate folder that contains only files written by exports.
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
    /// Interprets a path. It is a folder if a folder with that path exists, if it ends in a slash, or if several tables are
    /// exported. Otherwise it is a file.
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
    /// Name of the table.
    pub table: String,
    /// Number of exported rows.
    pub rows: u64,
    /// Path of the file. `None` for a stream.
    pub file: Option<String>,
}

/// Exports the rows of tables from one snapshot and returns the number of rows of each table.
///
/// Rows are ordered by primary key. Tables are ordered so that `ingest` can read them back: each table comes after the
/// tables that it refers to. `progress` is called with the table and the number of rows so far.
///
/// In JSON Lines, each line is a row with its column names. Times are RFC 3339 in UTC. `ingest` reads each line back to the
/// same row. CSV has a header. NULL is an empty field, and documents are JSON. Each row is written as soon as it is read, so
/// memory use does not grow with the number of rows. Encrypted columns are exported as ciphertext.
///
/// All files of an export become visible in one step, after they are complete and on disk. A single file is renamed. For
/// several files, the whole folder is renamed. If the folder exists, it is exchanged for the new one, and the files of other
/// tables in it are kept. Until then the files are in a folder `.viraldb-unfinished-…` next to the target. If the export is
/// killed, the next one removes that folder.
///
/// `since` and `until` are compared with the first of these columns that the table has: `updated_at`, `created_at`, `discovered_at`,
/// `cycle_start`, `generated_at`, `measured_at`, `sent_at`, `occurred_at`, `collected_at`. A job that was never updated
/// uses its `created_at`.
///
/// # Errors
/// [`Invalid`](crate::Error::Invalid) in these cases:
///
/// - A table name is unknown.
/// - Several tables are exported to one stream or file.
/// - The target folder contains files that no export wrote, or cannot be exchanged.
/// - The target file may not be replaced.
/// - A document is nested deeper than 127 levels, or contains a number that does not fit in 64 bits. The
///   error names the row.
/// - `since` or `until` is set for `clips` or `shorts`, because not all of their rows have a timestamp.
///
/// [`SecretNotSealed`](crate::Error::SecretNotSealed) if an encrypted column may contain a secret in the
/// clear. [`Io`](crate::Error::Io) if a file, a folder or the stream cannot be written.
///
/// ```
/// use viraldb::compilation::NewErrorLog;
/// use viraldb::ops::{Destination, Export, Form, export};
///
/// # fn main() -> viraldb::Result<()> {
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// db.write(|c| NewErrorLog::new("uploader", "TimeoutError", "no answer in 30 s").insert(c))?;
/// let what = Export { tables: vec!["error_log".to_owned()], since: None, until: None, form: Form::Jsonl };
/// let mut lines: Vec<u8> = Vec::new();
/// let exported = export(&db, &what, Destination::Stream(&mut lines), &mut |_, _| ())?;
/// assert_eq!((exported[0].table.as_str(), exported[0].rows), ("error_log", 1));
/// assert!(lines.ends_with(b"}\n"));
/// # Ok(())
/// # }
/// ```
pub fn export(
    db: &Database,
    export: &Export,
    mut to: Destination<'_>,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<Vec<Exported>> {
    let sources = chosen(&export.tables)?;
    if (export.since.is_some() || export.until.is_some())
        && let Some(source) = sources.iter().find(|source| source.time.is_none())
    {
        let reason =
            "cannot be limited to a period, because not every row has a timestamp; export the whole table";
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
                "need a folder, with one file per table; name it with --output",
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

/// Returns the tables with these names, or all tables, without duplicates and in the order of [`SOURCES`].
fn chosen(names: &[String]) -> Result<Vec<&'static Source>> {
    for name in names {
        crate::tables::check_table(name)?;
    }
    let is_chosen = |source: &&Source| names.is_empty() || names.iter().any(|name| name == source.table);
    Ok(SOURCES.iter().filter(is_chosen).collect())
}

/// Writes the rows of a table and returns their number.
fn write(
    conn: &mut DbConnection,
    source: &Source,
    export: &Export,
    out: &mut dyn Write,
    failed: &dyn Fn(io::Error) -> Error,
    progress: &mut dyn FnMut(&str, u64),
) -> Result<u64> {
    let sql = source.select(conn, export.since, export.until);
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
