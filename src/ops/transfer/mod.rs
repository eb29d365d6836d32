//! Copies a complete database into another one, on either engine.
//!
//! The source is read in one snapshot, table by table: parents before their children, and each table in the order of its
//! key. A second thread writes the rows in batches. Each batch is one transaction that also records the progress. At the
//! end the target is read back, and the row count and digest of each table are compared.

mod complete;
#[cfg(feature = "postgres")]
mod copy;
mod digest;
mod json;
mod options;
mod read;
mod report;
mod row;
mod tables;
mod target;
mod value;
mod write;

use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Instant;

#[cfg(feature = "postgres")]
use diesel::prelude::*;

#[cfg(feature = "sqlite")]
pub(super) use complete::digest_of;
pub(super) use complete::require_readable;
pub use digest::Digest;
pub use options::{BATCH, Existing, Options};
pub use report::{Phase, Plan, Planned, Progress, Report, Transferred};

use crate::db::migrate::History;
use crate::db::{on_backend, same_file, unfinished};
use crate::error::ResultExt;
use crate::quote::counted;
use crate::{Database, DatabaseUrl, DbConnection, Error, Result};
use read::Digester;
#[cfg(feature = "sqlite")]
pub(super) use read::{key, last_ids, rows};
#[cfg(feature = "sqlite")]
pub(super) use row::fields;
pub(super) use tables::Table;
use target::{Copied, Held};
use value::Keeps;
pub(super) use value::Kind;
use write::Batch;
#[cfg(feature = "sqlite")]
pub(super) use write::Inserter;

/// Rows of the first transaction, before the time per row has been measured.
const FIRST_BATCH: usize = 1_000;

/// Bytes of rows at which a batch is full, regardless of the number of rows.
const BATCH_BYTES: usize = 8 << 20;

/// Copies the 22 tables and viraldb's internal tables from one database into another.
///
/// The source is read in one snapshot and never changed; other programs may keep writing to it. Other programs should not
/// write to the target until the transfer has finished. The target is created or migrated if necessary. Rows keep their
/// ids, and new rows get ids after the largest id that the source has ever assigned. Encrypted values stay encrypted with
/// the same keys.
///
/// Use [`Existing::Resume`] to continue an interrupted transfer. The rows that were already copied are compared with the
/// source. The source may have new rows by then, but the copied rows must not have changed. If the transfer was
/// interrupted after its last commit, the target is only compared with the source and nothing is written.
///
/// # Errors
/// - [`Error::NotInitialised`], [`Error::SchemaPending`] or a similar error if the source is not a viraldb database or does
///   not have the current schema.
/// - [`Error::Unusable`] if the target contains rows or an interrupted transfer and `options` do not allow that, if the
///   target is the source itself, or if the target differs from the source at the end.
/// - [`Error::Invalid`] if the target rejects a row. The error names its table and key. The rows copied so far are kept, so
///   that the transfer can be resumed.
///
/// ```no_run
/// use viraldb::ops::transfer::{Options, transfer};
///
/// # fn main() -> viraldb::Result<()> {
/// let (from, to) = ("sqlite://viral.db", "postgres://app@localhost/viral");
/// let report = transfer(from, to, &Options::default(), &mut |_| ())?;
/// println!("{} rows", report.rows);
/// # Ok(())
/// # }
/// ```
pub fn transfer(
    from: &str,
    to: &str,
    options: &Options,
    progress: &mut dyn FnMut(Progress),
) -> Result<Report> {
    let begin = Instant::now();
    let tables = Table::all()?;
    let (source, held) = checked(from, to, options, &tables)?;
    let was_complete = options.existing == Existing::Resume && held.may_be_complete();
    // Connect without a read replica: a transfer needs both primaries.
    let target = match was_complete {
        true => Database::connect_with(to, &crate::Options::default())?,
        false => Database::open_for_transfer(to)?,
    };
    let mut run = Run { tables: &tables, target: &target, options, progress };
    let read = if was_complete {
        run.require_complete(&source, &held)?
    } else {
        let mut read = source.read(|conn| {
            conn.snapshot(|conn| {
                conn.refuse_hidden_rows()?;
                run.copy_all(conn)
            })
        })?;
        run.compare_all(&mut read.tables)?;
        target.write(|conn| target::finish(conn, &read.last_ids))?;
        read
    };
    let tables: Vec<Transferred> = read
        .tables
        .into_iter()
        .map(|done| Transferred {
            table: done.table.name.to_owned(),
            rows: done.digest.rows,
            digest: done.digest.to_string(),
            seconds: done.seconds,
        })
        .collect();
    Ok(Report {
        from: source.url().to_string(),
        to: target.url().to_string(),
        rows: tables.iter().map(|table| table.rows).sum(),
        resumed: read.resumed,
        was_complete,
        seconds: begin.elapsed().as_secs_f64(),
        tables,
    })
}

/// Returns what [`transfer`] would do, without changing anything.
///
/// # Errors
/// The errors that [`transfer`] would return before it copies the first row.
pub fn plan(from: &str, to: &str, options: &Options) -> Result<Plan> {
    let tables = Table::all()?;
    let (source, held) = checked(from, to, options, &tables)?;
    let all: Vec<&Table> = tables.iter().collect();
    let counts = source.read(|conn| read::counts(conn, &all))?;
    let resumed = held.interrupted.as_ref().filter(|_| options.existing == Existing::Resume);
    let is_complete = options.existing == Existing::Resume && held.may_be_complete();
    if is_complete {
        let target = Database::connect_with(to, &crate::Options::default())?;
        Run { tables: &tables, target: &target, options, progress: &mut |_| () }
            .require_complete(&source, &held)?;
    }
    let planned = tables.iter().zip(counts).map(|(table, count)| {
        let copied = match resumed.and_then(|copied| copied.get(table.name)) {
            _ if is_complete => count,
            copied => copied.map_or(0, |digest| digest.rows),
        };
        let there = held.rows.iter().find(|(name, _)| *name == table.name).map_or(0, |(_, rows)| *rows);
        Planned {
            table: table.name.to_owned(),
            rows: count.saturating_sub(copied),
            copied,
            deleted: if options.existing == Existing::Replace { there } else { 0 },
        }
    });
    Ok(Plan {
        from: source.url().to_string(),
        to: to.parse::<DatabaseUrl>()?.to_string(),
        tables: planned.collect(),
    })
}

/// Opens the source and returns it with the contents of the target, if a transfer may begin. Changes nothing.
fn checked(from: &str, to: &str, options: &Options, tables: &[Table]) -> Result<(Database, Held)> {
    if options.batch == 0 {
        return Err(Error::invalid("batch size", "must be at least 1, got 0"));
    }
    let url: DatabaseUrl = to.parse()?;
    let unusable = |reason: &str| Error::Unusable { database: url.to_string(), reason: reason.to_owned() };
    if url == DatabaseUrl::Memory {
        return Err(unusable("is in memory and would be lost afterward; specify a file or a server"));
    }
    // Do not open a file under a second name: SQLite would create a second set of WAL files for it.
    if from.parse::<DatabaseUrl>().is_ok_and(|from| from != url && is_same_file(&from, &url)) {
        return Err(unusable(IS_SOURCE));
    }
    let source = Database::connect_with(from, &crate::Options::default())?;
    unfinished::require_none(source.history()?.transferred, source.url())?;
    let Some(mut conn) = Database::look_at(to)? else {
        return Ok((source, Held::nothing()));
    };
    let held = source.read(|from| is_same(from, source.url(), &mut conn, &url)).and_then(|is_same| {
        if is_same {
            return Err(unusable(IS_SOURCE));
        }
        History::read(&mut conn)?.require_ours()?;
        let held = Held::read(&mut conn, tables)?;
        held.allow(options.existing, &url)?;
        Ok(held)
    });
    held.map(|held| (source, held)).map_err(|error| error.in_database(&url))
}

const IS_SOURCE: &str = "is the source itself; specify another database";

/// Returns true if both URLs point to the same SQLite file, also through a hard link.
pub(super) fn is_same_file(from: &DatabaseUrl, to: &DatabaseUrl) -> bool {
    matches!((from, to), (DatabaseUrl::File(from), DatabaseUrl::File(to)) if same_file(from, to))
}

/// Returns true if both connections are to the same database.
pub(super) fn is_same(
    source: &mut DbConnection,
    from: &DatabaseUrl,
    target: &mut DbConnection,
    to: &DatabaseUrl,
) -> Result<bool> {
    if is_same_file(from, to) {
        return Ok(true);
    }
    Ok(matches!((server(source)?, server(target)?), (Some(from), Some(to)) if from == to))
}

/// Returns a text that identifies a schema of a database on a PostgreSQL server: the start time of the server, the OID of
/// the database and the name of the schema. Returns `None` for SQLite.
fn server(conn: &mut DbConnection) -> Result<Option<String>> {
    #[cfg(feature = "postgres")]
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = diesel::sql_types::Text)]
        place: String,
    }
    on_backend!(
        conn,
        sqlite => |_c| Ok(None),
        postgres => |c| diesel::sql_query(
            "SELECT pg_catalog.concat_ws(' ', pg_catalog.pg_postmaster_start_time(), \
             (SELECT oid FROM pg_database WHERE datname = current_database()), current_schema()) AS place",
        )
        .get_result::<Row>(c)
        .map(|row| Some(row.place)),
    )
    .of("the database", "")
}

/// A table that has been copied.
struct Done<'a> {
    table: &'a Table,
    digest: Digest,
    seconds: f64,
}

/// The result of reading the source.
struct Read<'a> {
    tables: Vec<Done<'a>>,
    /// Rows that an interrupted transfer had already copied into the target.
    resumed: u64,
    /// The largest id that each table has ever assigned.
    last_ids: Vec<(String, i64)>,
}

/// A running transfer.
struct Run<'a> {
    tables: &'a [Table],
    target: &'a Database,
    options: &'a Options,
    progress: &'a mut dyn FnMut(Progress),
}

impl<'a> Run<'a> {
    /// Copies all tables.
    fn copy_all(&mut self, conn: &mut DbConnection) -> Result<Read<'a>> {
        let (tables, target, existing) = (self.tables, self.target, self.options.existing);
        let all: Vec<&Table> = tables.iter().collect();
        let counts = read::counts(conn, &all)?;
        let there = target.write(|conn| target::begin(conn, tables, existing, target.url()))?;
        let most = self.options.batch as usize;
        let rows = &write::Rows::new(FIRST_BATCH, most);
        let done = std::thread::scope(|scope| {
            // A capacity of 1 keeps three batches in memory: one is written, one waits, and one is being filled.
            let (sender, batches) = sync_channel(1);
            let writer = scope.spawn(move || write::all(target, &batches, rows));
            let read = tables
                .iter()
                .zip(counts)
                .map(|(table, count)| {
                    self.copy(conn, table, count, &there, &Sender { batches: &sender, rows })
                })
                .collect::<Result<Vec<_>>>();
            drop(sender);
            let written = writer.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            written.and(read) // if the writer failed, the reader's error is only a consequence of that
        })?;
        let resumed = there.values().map(|digest| digest.rows).sum();
        Ok(Read { tables: done, resumed, last_ids: read::last_ids(conn, tables)? })
    }

    /// Reads a table of the source and sends the rows that the target does not have yet to the writer.
    fn copy(
        &mut self,
        conn: &mut DbConnection,
        table: &'a Table,
        of: u64,
        there: &Copied,
        sender: &Sender<'_, 'a>,
    ) -> Result<Done<'a>> {
        let begin = Instant::now();
        let there = there.get(table.name).copied().unwrap_or_default();
        let changed = || {
            Error::invalid(
                format!("{} of the source", table.name),
                "has changed: rows that were already copied are different now or deleted; start over with --replace",
            )
        };
        let mut digester = Digester::new(table, Some(keeps(self.target)));
        let mut next = Batch::new(table, there);
        (self.progress)(Progress { phase: Phase::Copying, table: table.name, done: 0, of });
        read::rows(conn, table, |row| {
            digester.add(row)?;
            let digest = digester.digest;
            if digest.rows > there.rows {
                next.push(row);
            } else if digest.rows == there.rows && digest != there {
                return Err(changed());
            }
            if next.is_full(sender.rows.get(), BATCH_BYTES) {
                sender.send(&mut next, digest)?;
                (self.progress)(Progress { phase: Phase::Copying, table: table.name, done: digest.rows, of });
            }
            Ok(())
        })?;
        let digest = digester.digest;
        if digest.rows < there.rows {
            return Err(changed());
        }
        if digest.rows > next.before.rows {
            sender.send(&mut next, digest)?;
        }
        (self.progress)(Progress { phase: Phase::Copying, table: table.name, done: digest.rows, of });
        Ok(Done { table, digest, seconds: begin.elapsed().as_secs_f64() })
    }

    /// Reads the target back and returns an error if it differs from the rows that were copied.
    fn compare_all(&mut self, copied: &mut [Done<'a>]) -> Result<()> {
        let different = self.differences(copied)?;
        if different.is_empty() {
            return Ok(());
        }
        Err(Error::Unusable {
            database: self.target.url().to_string(),
            reason: format!(
                "differs from the source in {}: another program wrote to it during the transfer; start over with --replace",
                different.join(", ")
            ),
        })
    }

    /// Reads the target back and describes the tables that differ from the source.
    fn differences(&mut self, copied: &mut [Done<'a>]) -> Result<Vec<String>> {
        let mut different = Vec::new();
        self.target.read(|conn| {
            conn.snapshot(|conn| {
                conn.refuse_hidden_rows()?;
                for done in copied.iter_mut() {
                    let begin = Instant::now();
                    let found = self.compare(conn, done)?;
                    done.seconds += begin.elapsed().as_secs_f64();
                    if found != done.digest {
                        different.push(format!(
                            "{} ({}, {} in the source)",
                            done.table.name,
                            counted(found.rows, "row"),
                            done.digest.rows
                        ));
                    }
                }
                Ok(())
            })
        })?;
        Ok(different)
    }

    fn compare(&mut self, conn: &mut DbConnection, done: &Done<'_>) -> Result<Digest> {
        let (table, of) = (done.table.name, done.digest.rows);
        let mut digester = Digester::new(done.table, None);
        (self.progress)(Progress { phase: Phase::Comparing, table, done: 0, of });
        read::rows(conn, done.table, |row| {
            digester.add(row)?;
            if digester.digest.rows.is_multiple_of(u64::from(BATCH)) {
                (self.progress)(Progress { phase: Phase::Comparing, table, done: digester.digest.rows, of });
            }
            Ok(())
        })?;
        Ok(digester.digest)
    }
}

/// Sends batches to the writer thread.
struct Sender<'s, 'a> {
    batches: &'s SyncSender<Batch<'a>>,
    /// The number of rows for the next batch, which the writer sets.
    rows: &'s write::Rows,
}

impl<'a> Sender<'_, 'a> {
    /// Sends a batch to the writer and starts the next one.
    fn send(&self, batch: &mut Batch<'a>, after: Digest) -> Result<()> {
        let next = Batch::new(batch.table, after);
        let full = std::mem::replace(batch, next).up_to(after);
        // Sending fails only if the writer has failed, and the writer's own error is the one that is reported.
        self.batches.send(full).map_err(|_| Error::other("cannot write the rows"))
    }
}

fn keeps(target: &Database) -> Keeps {
    if matches!(target.url(), DatabaseUrl::Postgres(_)) { Keeps::Postgres } else { Keeps::Sqlite }
}
