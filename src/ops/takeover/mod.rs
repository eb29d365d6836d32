//! Takes over the database of one of the Python applications into a viraldb database.
//!
//! viraldb recognizes the application by its tables. It reads each row, converts it to the types and status words of our
//! table, and stores it or rejects it with a reason. On PostgreSQL a takeover is one transaction. On SQLite one transaction
//! would block all other writers, so the rows are staged in a temporary file first and then copied in chunks.

mod application;
mod batch;
#[cfg(feature = "sqlite")]
mod gradual;
mod mask;
mod source;
#[cfg(feature = "sqlite")]
mod stage;
mod value;

use std::time::Instant;

use diesel::prelude::*;
use diesel::sql_types::Text;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub use application::Application;

use super::transfer;
use crate::db::migrate::{History, room};
use crate::db::on_backend;
use crate::error::ResultExt;
use crate::secrets::{Keyring, Sealing, WithoutKey};
use crate::{Database, DatabaseUrl, DbConnection, Error, Result};
use batch::{Batch, Plan};
use source::{Source, Tables};

/// Options of a takeover. `Options::default()` recognizes the application and encrypts nothing.
#[derive(Debug, Clone, Default)]
pub struct Options<'a> {
    /// The application that created the source. Required only if its tables are ambiguous.
    pub application: Option<Application>,
    /// Only report what would be taken over. A target that does not exist yet is not created.
    pub dry_run: bool,
    /// Take over nothing if any row is rejected.
    pub strict: bool,
    /// The keyring. Its first key encrypts credentials that the application stored as plaintext. Without a keyring these
    /// credentials are left out.
    pub keyring: Option<&'a Keyring>,
}

/// The progress of a takeover. Into SQLite, each table is reported twice: while it is read and while it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The table of the source.
    pub table: &'static str,
    /// Rows of the table that are done.
    pub done: u64,
    /// Rows that the table has.
    pub of: u64,
}

/// A row that was rejected.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Reject {
    /// The table of the source.
    pub table: String,
    /// The primary key of the row.
    pub key: String,
    /// Why the row was rejected.
    pub reason: String,
    /// The row of the source. Credentials that are not encrypted are masked.
    pub row: Map<String, Value>,
}

/// The result of a takeover.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The application that created the source.
    pub application: Application,
    /// The source URL, with its password masked.
    pub from: String,
    /// The target URL, with its password masked.
    pub to: String,
    /// Rows of the source.
    pub rows: u64,
    /// Rows that were taken over.
    pub taken: u64,
    /// Rows that were rejected.
    pub rejected: u64,
    /// True if the target already contained all rows and nothing was written.
    pub was_complete: bool,
    /// The number of taken rows that an interrupted takeover had already copied.
    pub resumed: u64,
    /// Duration in seconds.
    pub seconds: f64,
    /// The result for each table of the application, including tables that the source does not have.
    pub tables: Vec<Taken>,
    /// Tables of the source, and columns as `table.column`, that have no counterpart in our schema.
    pub left: Vec<String>,
}

/// The result of a takeover for one table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Taken {
    /// The table of the source.
    pub from: String,
    /// The table of the target.
    pub table: String,
    /// Rows of the source.
    pub rows: u64,
    /// Rows that were taken over.
    pub taken: u64,
    /// Rows that were rejected.
    pub rejected: u64,
    /// References to missing rows that were set to NULL, as the schema does when a referenced row is deleted.
    pub emptied: u64,
    /// Credentials that were not encrypted in the source and are encrypted now.
    pub sealed: u64,
    /// Credentials that were not encrypted in the source and are left out because no key was given.
    pub withheld: u64,
}

/// Copies the rows of a Python application's database into the database `to`.
///
/// `source` is a URL or the path of a SQLite file. It is read in one snapshot and never changed. The target is created or
/// migrated if necessary.
///
/// Rows keep their ids. Timestamps, statuses, UUIDs, booleans and JSON documents are converted to the form of the schema,
/// also where the application stored the name of an enum member, or text. A column without a value gets its default. A row
/// is rejected, and passed to `reject`, if
///
/// - a value cannot be converted,
/// - an earlier row has the same key, or
/// - it refers to a row that does not exist.
///
/// Settings replace the settings with the same key. Values that the application encrypted stay encrypted with its key;
/// [`secrets::import_fernet`](crate::secrets::import_fernet) converts them later.
///
/// If the target already contains exactly these rows in the application's tables, it is not changed. A takeover that was
/// killed after its last commit leaves such a target.
///
/// Into PostgreSQL, the takeover is one transaction. Into SQLite, it has two steps:
///
/// 1. The source is copied into a temporary file, which needs as much disk space as the rows. If this fails, or if
///    `options` are strict and a row is rejected, nothing has been written to the target.
/// 2. The rows are copied in short transactions, so that other programs can keep writing. The ids of their new rows are
///    larger than those of the source. If the takeover is interrupted here, call this function again with the same source:
///    it copies the missing rows and leaves the others alone, even if they have changed. A row that conflicts with a row
///    that another program has written in the meantime is rejected.
///
/// # Errors
/// - [`Error::Unusable`] if the source does not belong to a known application or is the target itself, or if the target
///   contains other rows in the application's tables or an interrupted takeover of another source.
/// - [`Error::Rejected`] if `options` are strict and a row is rejected.
/// - [`Error::Busy`] if viraldb detects that the source was written to while it was read.
pub fn takeover(
    source: &str,
    to: &str,
    options: &Options<'_>,
    reject: &mut dyn FnMut(Reject) -> Result<()>,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report> {
    let begin = Instant::now();
    let (from, target_url) = (Source::url(source)?, to.parse::<DatabaseUrl>()?);
    let unusable = |reason: String| Error::Unusable { database: from.to_string(), reason };
    // Do not open a file under a second name: SQLite would create a second set of WAL files for it.
    if from != target_url && transfer::is_same_file(&from, &target_url) {
        return Err(unusable(IS_TARGET.to_owned()));
    }
    let mut source = Source::open(from.clone())?;
    let tables = source.read(|conn| {
        let mut tables = source::tables(conn)?;
        // `viraldb init` of an older version may have failed on the application's tables after creating some of ours.
        let history = History::read(conn)?;
        if room::names_taken(conn, &history)?.is_some() {
            for ours in room::tables(&history) {
                tables.remove(&ours);
            }
        }
        Ok(tables)
    })?;
    let names: Vec<&str> = tables.keys().map(String::as_str).collect();
    let known = Application::recognise(&names).map_err(&unusable);
    let application = match options.application {
        Some(named) => named,
        None => known?,
    };
    if !application.tables().iter().any(|table| tables.contains_key(table.from)) {
        return Err(unusable(format!("has no tables of {application}; it has {}", names.join(", "))));
    }
    if let Some(mut there) = Database::look_at(to)?
        && source.read(|conn| transfer::is_same(conn, &from, &mut there, &target_url))?
    {
        return Err(unusable(IS_TARGET.to_owned()));
    }
    let mut run = Run { application, tables: &tables, options, reject, progress, first: None };
    let done = match &target_url {
        DatabaseUrl::Postgres(_) => at_once(&mut source, to, &mut run)?,
        #[cfg(feature = "sqlite")]
        _ => gradual::takeover(&mut source, to, &mut run)?,
        #[cfg(not(feature = "sqlite"))]
        _ => return Err(Error::invalid("the target", "needs a database engine that is not compiled in")),
    };
    let Done { tables, left, was_complete, resumed } = done;
    let sum = |of: fn(&Taken) -> u64| tables.iter().map(of).sum();
    Ok(Report {
        application,
        from: from.to_string(),
        to: target_url.to_string(),
        rows: sum(|table| table.rows),
        taken: sum(|table| table.taken),
        rejected: sum(|table| table.rejected),
        was_complete,
        resumed,
        seconds: begin.elapsed().as_secs_f64(),
        tables,
        left,
    })
}

/// The result of a takeover into one of the engines.
struct Done {
    tables: Vec<Taken>,
    left: Vec<String>,
    was_complete: bool,
    resumed: u64,
}

/// Takes over the source into PostgreSQL in one transaction. Other writers do not wait for it there.
fn at_once(source: &mut Source, to: &str, run: &mut Run<'_>) -> Result<Done> {
    #[cfg(feature = "sqlite")]
    if let Some((tables, left)) = completed(source, to, run)? {
        return Ok(Done { tables, left, was_complete: true, resumed: 0 });
    }
    let (target, _dry) = if run.options.dry_run {
        there_or_nowhere(to)?
    } else {
        (Database::open_with(to, &crate::Options::default())?, None)
    };
    let is_dry = run.options.dry_run;
    let mut taken = None;
    let is_as_it_was = source.watch();
    let done = source.read(|conn| {
        target.write(|into| {
            let full = full_tables(into, run.application)?;
            if !full.is_empty() {
                return Err(holds_other_rows(run.application, &full));
            }
            crate::db::lock_ingest(into)?;
            let (all, left) = run.take_all(conn, into)?;
            is_as_it_was()?;
            run.require_strict(&all)?;
            taken = Some((all, left));
            if is_dry { Err(Error::other("rolled back")) } else { Ok(()) }
        })
    });
    let (tables, left) = match (done, taken) {
        (Err(Error::Other(_)), Some(taken)) if is_dry => taken,
        (Ok(()), taken) => taken.unwrap_or_default(),
        (Err(error), _) => return Err(error),
    };
    Ok(Done { tables, left, was_complete: false, resumed: 0 })
}

/// Returns the result of a takeover that has already finished, or `None` if the target does not contain its rows.
///
/// A takeover that was killed after its commit leaves such a target.
#[cfg(feature = "sqlite")]
fn completed(source: &mut Source, to: &str, run: &mut Run<'_>) -> Result<Option<(Vec<Taken>, Vec<String>)>> {
    // A target that does not exist or does not have the current schema cannot contain this takeover.
    let Ok(target) = Database::connect_with(to, &crate::Options::default()) else { return Ok(None) };
    let is_empty = target.read(|conn| full_tables(conn, run.application))?.is_empty();
    if is_empty || !stage::may_hold(&target, source, run)? {
        return Ok(None);
    }
    let stage = stage::Stage::new()?;
    let taken = stage.fill(source, run)?;
    Ok(stage.is_held_by(&target, run.application.tables())?.then_some(taken))
}

const IS_TARGET: &str = "is the target itself; specify another database";

/// Opens the database for a dry run: the target or, if it does not exist yet, a temporary file. The file is deleted when the
/// returned folder is dropped.
fn there_or_nowhere(to: &str) -> Result<(Database, Option<tempfile::TempDir>)> {
    let none = crate::Options::default();
    match Database::connect_with(to, &none) {
        #[cfg(feature = "sqlite")]
        Err(Error::NotInitialised(_)) => {
            let folder = crate::db::files::temporary()?;
            let file = format!("sqlite://{}", folder.path().join("viral.db").display());
            Ok((Database::open_with(&file, &none)?, Some(folder)))
        }
        target => Ok((target?, None)),
    }
}

/// A running takeover.
struct Run<'a> {
    application: Application,
    tables: &'a Tables,
    options: &'a Options<'a>,
    reject: &'a mut dyn FnMut(Reject) -> Result<()>,
    progress: &'a mut dyn FnMut(Progress),
    /// The first rejected row and the reason.
    first: Option<String>,
}

impl Run<'_> {
    /// Reports a rejected row.
    fn rejected(&mut self, row: Reject) -> Result<()> {
        self.first.get_or_insert_with(|| format!("{} {}: {}", row.table, row.key, row.reason));
        (self.reject)(row)
    }

    /// Returns an error if the options are strict and rows were rejected.
    fn require_strict(&mut self, tables: &[Taken]) -> Result<()> {
        let rejected = tables.iter().map(|table| table.rejected).sum();
        match self.first.take() {
            Some(first) if self.options.strict => Err(Error::Rejected { rejected, first }),
            _ => Ok(()),
        }
    }

    /// Converts all rows and stores them through `into`.
    ///
    /// Returns the result for each table, and the tables and columns that have no counterpart in our schema.
    fn take_all(
        &mut self,
        from: &mut DbConnection,
        into: &mut DbConnection,
    ) -> Result<(Vec<Taken>, Vec<String>)> {
        let known = self.application.tables();
        let mut left: Vec<String> = self
            .tables
            .keys()
            .filter(|name| !known.iter().any(|table| table.from == **name))
            .cloned()
            .collect();
        let ours = transfer::Table::all()?;
        let no_keys = Keyring::default();
        let mut sealing = Sealing::new(self.options.keyring.unwrap_or(&no_keys), WithoutKey::LeaveOut);
        let mut all = Vec::with_capacity(known.len());
        for table in known {
            let mut taken =
                Taken { from: table.from.to_owned(), table: table.to.to_owned(), ..Taken::default() };
            let columns = self.tables.get(table.from);
            if let (Some(columns), Some(ours)) = (columns, ours.iter().find(|ours| ours.name == table.to)) {
                let plan = Plan::new(table, columns, ours)?;
                left.extend(plan.left().map(|column| format!("{}.{column}", table.from)));
                self.take(from, into, &plan, &mut sealing, &mut taken)?;
            }
            all.push(taken);
        }
        left.sort_unstable();
        Ok((all, left))
    }

    fn take(
        &mut self,
        from: &mut DbConnection,
        into: &mut DbConnection,
        plan: &Plan<'_>,
        sealing: &mut Sealing<'_>,
        taken: &mut Taken,
    ) -> Result<()> {
        let table = plan.table.from;
        let of = source::count(from, table)?;
        (self.progress)(Progress { table, done: 0, of });
        let mut batch = Batch::default();
        source::rows(from, table, plan.columns, plan.key, |row| {
            taken.rows += 1;
            batch.push(row);
            if batch.is_full() {
                std::mem::take(&mut batch)
                    .store(into, plan, sealing, taken, &mut |row| self.rejected(row))?;
                (self.progress)(Progress { table, done: taken.rows, of });
            }
            Ok(())
        })?;
        batch.store(into, plan, sealing, taken, &mut |row| self.rejected(row))?;
        (self.progress)(Progress { table, done: taken.rows, of });
        Ok(())
    }
}

/// Returns the tables of the target that receive rows of the application and are not empty.
fn full_tables(conn: &mut DbConnection, application: Application) -> Result<Vec<String>> {
    #[derive(QueryableByName)]
    struct Found {
        #[diesel(sql_type = Text)]
        name: String,
    }
    let each: Vec<String> = application
        .tables()
        .iter()
        .filter(|table| !table.replaces)
        .map(|table| format!("SELECT '{0}' AS name WHERE EXISTS (SELECT 1 FROM {0})", table.to))
        .collect();
    let full: Vec<Found> =
        on_backend!(conn, |c| diesel::sql_query(each.join(" UNION ALL ")).load(c)).of("the target", "")?;
    Ok(full.into_iter().map(|found| found.name).collect())
}

/// Returns the error for a target that contains rows that are not from this takeover.
fn holds_other_rows(application: Application, tables: &[String]) -> Error {
    Error::Unusable {
        database: String::new(),
        reason: format!(
            "already has rows in {} that are not those of the source; take over {application} into a database where these \
             tables are empty",
            tables.join(", ")
        ),
    }
}
