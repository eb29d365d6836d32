//! The database of one of the Python applications, taken over into ours.
//!
//! The application is recognised by its tables. Each row is read as it stands there, brought to the types and words of
//! our table, and stored, or rejected with a reason. On PostgreSQL all of it is one transaction. On SQLite, where such a
//! transaction would lock out every other writer, it is staged in a temporary file first and then copied in chunks.

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

/// How to take over; `Options::default()` recognises the application and seals nothing.
#[derive(Debug, Clone, Default)]
pub struct Options<'a> {
    /// The application that made the source, where its tables do not tell.
    pub application: Option<Application>,
    /// Only say what would be taken. A target that is still to be made is not.
    pub dry_run: bool,
    /// Take nothing if any row is rejected.
    pub strict: bool,
    /// The keys; the first seals credentials that the application kept as they are. Without any these are left out.
    pub keyring: Option<&'a Keyring>,
}

/// How far a takeover is. Into SQLite, each table comes twice: when it is read, and when it is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The table of the source.
    pub table: &'static str,
    /// Rows of it that are done with.
    pub done: u64,
    /// Rows that it has.
    pub of: u64,
}

/// A row that was not taken.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Reject {
    /// The table of the source.
    pub table: String,
    /// Its primary key.
    pub key: String,
    /// Why it is not taken.
    pub reason: String,
    /// The row as it stands there. Credentials that are not encrypted are hidden.
    pub row: Map<String, Value>,
}

/// What was taken over.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The application that made the source.
    pub application: String,
    /// The source, its password masked.
    pub from: String,
    /// The target, its password masked.
    pub to: String,
    /// Rows of the source.
    pub rows: u64,
    /// Those of them that were taken.
    pub taken: u64,
    /// Those that were not.
    pub rejected: u64,
    /// Whether the target held all of it already, and nothing was written.
    pub was_complete: bool,
    /// Of the rows that were taken, those that an interrupted takeover had copied before.
    pub resumed: u64,
    /// How long it took.
    pub seconds: f64,
    /// Each table of the application, also one that the source lacks.
    pub tables: Vec<Taken>,
    /// Tables of the source, and columns as `table.column`, that have no place in ours.
    pub left: Vec<String>,
}

/// What was taken of a table.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Taken {
    /// The table of the source.
    pub from: String,
    /// The table of ours.
    pub table: String,
    /// Rows of the source.
    pub rows: u64,
    /// Those of them that were taken.
    pub taken: u64,
    /// Those that were not.
    pub rejected: u64,
    /// References to rows that are not there, emptied as the schema does when such a row is deleted.
    pub emptied: u64,
    /// Credentials that were not encrypted, and are sealed now.
    pub sealed: u64,
    /// Credentials that were not encrypted, and are left out because no key was given.
    pub withheld: u64,
}

/// Copies the rows of a Python application's database into `to`, which is made or migrated if it has to be. `source` is a
/// URL, or the path of a SQLite file; it is only read, as of one moment.
///
/// Ids stay. Times, statuses, UUIDs, truths and documents are brought to the form of the schema, also where the
/// application wrote the names of an enum's members or text; a column without a value gets its default. A row that does
/// not fit, that has the key of a row before it, or that names a row which is not there is rejected; `reject` is told
/// of each. Settings replace those of the same key that are there. What the Python applications encrypted stays so, for
/// [`secrets::import_fernet`](crate::secrets::import_fernet).
///
/// A target that holds these rows already, and no others in the application's tables, stays as it is: a takeover that was
/// killed after its last commit has done its work.
///
/// Into PostgreSQL it is one transaction. Into SQLite the source is copied into a temporary file first, which takes as much
/// room as the rows. If that fails, or `options` are strict and a row is rejected, nothing has been written to the target.
/// Then the rows are copied in short transactions, so that other programs can go on writing. Their new rows get larger ids
/// than those of the source. If a takeover is interrupted there, call this again with the same source: it copies the rows
/// that are missing and leaves the others as they are, also if they have changed since. A row that cannot be there next to
/// one that another program has written meanwhile is rejected.
///
/// # Errors
/// [`Error::Unusable`] for a source of no known application, or that is the target, and for a target that holds other
/// rows in the application's tables or a takeover of another source that was interrupted. [`Error::Rejected`] if `options` are strict and a row is rejected. [`Error::Busy`] if the
/// source was written to while it was read in a way that shows.
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
    // A file is not opened under a second name: SQLite would keep other files next to it.
    if from != target_url && transfer::is_same_file(&from, &target_url) {
        return Err(unusable(IS_TARGET.to_owned()));
    }
    let mut source = Source::open(from.clone())?;
    let tables = source.read(|conn| {
        let mut tables = source::tables(conn)?;
        // An `init` of an older viraldb may have failed on the application's own tables and have left some of ours.
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
        return Err(unusable(format!("has no table of {application}; it has {}", names.join(", "))));
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
        _ => return Err(Error::invalid("the target", "is of an engine that is not compiled in")),
    };
    let Done { tables, left, was_complete, resumed } = done;
    let sum = |of: fn(&Taken) -> u64| tables.iter().map(of).sum();
    Ok(Report {
        application: application.to_string(),
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

/// What a takeover has done.
struct Done {
    tables: Vec<Taken>,
    left: Vec<String>,
    was_complete: bool,
    resumed: u64,
}

/// Takes the source over into PostgreSQL, where other writers do not wait for one large transaction.
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
            if is_dry { Err(Error::other("taken back")) } else { Ok(()) }
        })
    });
    let (tables, left) = match (done, taken) {
        (Err(Error::Other(_)), Some(taken)) if is_dry => taken,
        (Ok(()), taken) => taken.unwrap_or_default(),
        (Err(error), _) => return Err(error),
    };
    Ok(Done { tables, left, was_complete: false, resumed: 0 })
}

/// Returns what was taken if the target holds it already: a takeover that was killed after its commit has done its work.
#[cfg(feature = "sqlite")]
fn completed(source: &mut Source, to: &str, run: &mut Run<'_>) -> Result<Option<(Vec<Taken>, Vec<String>)>> {
    // A target that does not exist, or is not current, holds nothing of this takeover.
    let Ok(target) = Database::connect_with(to, &crate::Options::default()) else { return Ok(None) };
    let is_empty = target.read(|conn| full_tables(conn, run.application))?.is_empty();
    if is_empty || !stage::may_hold(&target, source, run)? {
        return Ok(None);
    }
    let stage = stage::Stage::new()?;
    let taken = stage.fill(source, run)?;
    Ok(stage.is_held_by(&target, run.application.tables())?.then_some(taken))
}

const IS_TARGET: &str = "is the target itself; name another database";

/// The database to try a takeover on: the target or, if that is still to be made, a file that goes away with what is
/// returned beside it.
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

/// A takeover under way.
struct Run<'a> {
    application: Application,
    tables: &'a Tables,
    options: &'a Options<'a>,
    reject: &'a mut dyn FnMut(Reject) -> Result<()>,
    progress: &'a mut dyn FnMut(Progress),
    /// The first row that was not taken, and why.
    first: Option<String>,
}

impl Run<'_> {
    /// Reports a row that is not taken.
    fn rejected(&mut self, row: Reject) -> Result<()> {
        self.first.get_or_insert_with(|| format!("{} {}: {}", row.table, row.key, row.reason));
        (self.reject)(row)
    }

    /// Refuses rejected rows if the options say so.
    fn require_strict(&mut self, tables: &[Taken]) -> Result<()> {
        let rejected = tables.iter().map(|table| table.rejected).sum();
        match self.first.take() {
            Some(first) if self.options.strict => Err(Error::Rejected { rejected, first }),
            _ => Ok(()),
        }
    }

    /// Brings all rows to our form and stores them by `into`.
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

/// The tables of a target that are not empty, of those that the application's go into.
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

/// Refuses a target with rows that the takeover does not bring.
fn holds_other_rows(application: Application, tables: &[String]) -> Error {
    Error::Unusable {
        database: String::new(),
        reason: format!(
            "holds rows in {} already, and not those that would be taken; take {application} over into a database without",
            tables.join(", ")
        ),
    }
}
