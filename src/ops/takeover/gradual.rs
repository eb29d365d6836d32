//! Takes over a database into SQLite: stages the rows in a temporary file, then copies them in chunks so that other
//! programs can write in between.
//!
//! While the rows are copied, the target has an additional table, `viraldb_takeover`. It records the source of the takeover
//! and the ids that are reserved for it, so that the rows of other programs get larger ids. If the takeover is interrupted,
//! running it again copies the missing rows.

use std::collections::BTreeMap;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use serde_json::{Map, Value as Json};

use super::application::Table;
use super::mask::is_secret;
use super::source::Source;
use super::stage::{Stage, may_hold};
use super::{Application, Done, Progress, Reject, Run, Taken, full_tables, holds_other_rows};
use crate::db::unfinished::{TAKEOVER, Takeover, takeovers};
use crate::db::{Bulk, Manner, on_backend};
use crate::error::ResultExt;
use crate::ops::transfer::{self, Inserter};
use crate::secrets::{self, has_sealed_columns};
use crate::{Database, DatabaseUrl, DbConnection, Error, Result};

/// Maximum number of rows, and of their bytes, that are read from the temporary file before they are written.
const ROWS: usize = 20_000;
const BYTES: usize = 8 << 20;

/// The note on an error that interrupts the copying.
const GO_ON: &str = "the rows copied so far are kept; run the same command again to copy the rest";

/// The largest id of the takeover for each table with numeric ids.
type LastIds = BTreeMap<String, i64>;

/// The contents of the application's tables in the target.
enum Held {
    Nothing,
    /// An interrupted takeover of this source, and the ids that it has reserved.
    Part(LastIds),
    /// Rows in these tables. They belong to a complete takeover or come from another program.
    Rows(Vec<String>),
}

/// Takes over the source into a SQLite database.
pub(super) fn takeover(source: &mut Source, to: &str, run: &mut Run<'_>) -> Result<Done> {
    let (is_dry, name) = (run.options.dry_run, name_of(source));
    let target = open(to, is_dry)?;
    let held = match &target {
        Some(target) => target.read(|conn| Held::read(conn, run.application, &name))?,
        None => Held::Nothing,
    };
    if let (Held::Rows(names), Some(target)) = (&held, &target)
        && !may_hold(target, source, run)?
    {
        return Err(holds_other_rows(run.application, names).in_database(target.url()));
    }
    let stage = Stage::new()?;
    let (mut tables, left) = stage.fill(source, run)?;
    if let (Held::Rows(names), Some(target)) = (&held, &target) {
        if stage.is_held_by(target, run.application.tables())? {
            return Ok(Done { tables, left, was_complete: true, resumed: 0 });
        }
        return Err(holds_other_rows(run.application, names).in_database(target.url()));
    }
    run.require_strict(&tables)?;
    let sealed: u64 = tables.iter().map(|table| table.sealed).sum();
    let mut resumed = 0;
    match &target {
        Some(target) if !is_dry => {
            resumed = Copying::new(target, &name, sealed > 0, run)?.copy_all(&stage, &mut tables)?;
        }
        // A dry run must also reject a keyring that the database does not accept.
        Some(target) if sealed > 0 => {
            target.read(|conn| run.options.keyring.map_or(Ok(()), |keyring| keyring.check(conn)))?;
        }
        _ => {}
    }
    Ok(Done { tables, left, was_complete: false, resumed })
}

/// Opens the target. A dry run neither creates nor migrates it.
fn open(to: &str, is_dry: bool) -> Result<Option<Database>> {
    let options = crate::Options::default();
    if !is_dry {
        return Database::open_with(to, &options).map(Some);
    }
    match Database::connect_with(to, &options) {
        Err(Error::NotInitialised(_)) => Ok(None),
        target => target.map(Some),
    }
}

/// Returns the name by which a resumed takeover recognizes its source.
fn name_of(source: &Source) -> String {
    match &source.url {
        DatabaseUrl::File(path) => {
            let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
            DatabaseUrl::File(path).to_string()
        }
        url => url.to_string(),
    }
}

impl Held {
    /// Reads the contents of the application's tables in the target.
    ///
    /// # Errors
    /// `Unusable` if the target contains an interrupted takeover of another source.
    fn read(conn: &mut DbConnection, application: Application, source: &str) -> Result<Self> {
        let Some(begun) = takeovers(conn)?.into_iter().find(|it| it.application == application.as_str())
        else {
            let names = full_tables(conn, application)?;
            return Ok(if names.is_empty() { Self::Nothing } else { Self::Rows(names) });
        };
        let Takeover { source: of, last_ids, .. } = begun;
        if of != source {
            return Err(Error::Unusable {
                database: String::new(),
                reason: format!(
                    "contains an interrupted takeover of {application} from {of}, not from {source}; run that takeover \
                     again to complete it, or take over {source} into another database"
                ),
            });
        }
        match serde_json::from_str(&last_ids) {
            Ok(last_ids) => Ok(Self::Part(last_ids)),
            Err(error) => {
                Err(Error::invalid(format!("{TAKEOVER}.last_ids of {application}"), error.to_string()))
            }
        }
    }
}

/// A takeover that is being copied.
struct Copying<'a, 'r> {
    bulk: Bulk<'a>,
    source: &'a str,
    /// True if values are encrypted with the first key.
    seals: bool,
    run: &'a mut Run<'r>,
    /// The number of rows that the target already had.
    there: u64,
}

/// A table and the INSERT for its rows.
struct Plan<'a> {
    table: &'static Table,
    ours: &'a transfer::Table,
    inserter: Inserter<'a>,
}

impl<'a, 'r> Copying<'a, 'r> {
    fn new(target: &'a Database, source: &'a str, seals: bool, run: &'a mut Run<'r>) -> Result<Self> {
        Ok(Self { bulk: Bulk::new(target, Manner::Brisk)?, source, seals, run, there: 0 })
    }

    /// Copies the staged rows, and returns the number of rows that the target already had.
    fn copy_all(mut self, stage: &Stage, tables: &mut [Taken]) -> Result<u64> {
        let (application, source) = (self.run.application, self.source);
        let mut ours = transfer::Table::all()?;
        ours.retain(|ours| application.tables().iter().any(|table| table.to == ours.name));
        stage.db.read(|from| {
            from.snapshot(|from| {
                let last_ids = transfer::last_ids(from, &ours)?.into_iter().collect();
                self.bulk.write(|conn, _| begin(conn, application, source, &last_ids))?;
                for (table, taken) in application.tables().iter().zip(tables) {
                    if let Some(ours) = ours.iter().find(|ours| ours.name == table.to) {
                        self.copy(from, table, ours, taken).map_err(|error| error.with(GO_ON))?;
                    }
                }
                self.bulk.write(|conn, _| end(conn, application)).map_err(|error| error.with(GO_ON))
            })
        })?;
        Ok(self.there)
    }

    fn copy(
        &mut self,
        from: &mut DbConnection,
        table: &'static Table,
        ours: &transfer::Table,
        taken: &mut Taken,
    ) -> Result<()> {
        let (of, mut done) = (taken.taken, 0);
        let plan = Plan { table, ours, inserter: Inserter::new(ours, &on_conflict(table, ours)) };
        let (mut rows, mut bytes) = (Vec::new(), 0);
        (self.run.progress)(Progress { table: table.from, done, of });
        transfer::rows(from, ours, |row| {
            bytes += row.len();
            if bytes < BYTES && rows.len() < ROWS {
                rows.push(row.to_vec());
                return Ok(());
            }
            // The row may be large, so write it directly instead of copying it into `rows`.
            self.write(&plan, &rows, taken)?;
            self.write(&plan, &[row], taken)?;
            done += rows.len() as u64 + 1;
            (self.run.progress)(Progress { table: table.from, done, of });
            rows.clear();
            bytes = 0;
            Ok(())
        })?;
        self.write(&plan, &rows, taken)?;
        (self.run.progress)(Progress { table: table.from, done: of, of });
        Ok(())
    }

    /// Writes rows of a table in transactions of limited duration.
    fn write(&mut self, plan: &Plan<'_>, rows: &[impl AsRef<[u8]>], taken: &mut Taken) -> Result<()> {
        let Self { bulk, seals, run, there, .. } = self;
        let keyring = run.options.keyring.filter(|_| *seals && has_sealed_columns(plan.table.to));
        let mut left = rows;
        while !left.is_empty() {
            left = bulk.write(|conn, chunk| {
                if let Some(keyring) = keyring {
                    // Mark the key as used until the transaction ends, because a key rotation may run concurrently.
                    secrets::take_into_use(conn, keyring, &plan.table.to)?;
                }
                while let Some((row, rest)) = left.split_first() {
                    match plan.insert(conn, row.as_ref()) {
                        Ok(0) => *there += 1,
                        Ok(_) => {}
                        // The row conflicts with one that another program has written since the takeover began.
                        Err(error) if error.is_of_row() => {
                            taken.taken -= 1;
                            taken.rejected += 1;
                            let reject = plan.reject(row.as_ref(), &error);
                            if run.options.strict {
                                return Err(Error::invalid(
                                    format!("{} {}", reject.table, reject.key),
                                    reject.reason,
                                ));
                            }
                            run.rejected(reject)?;
                        }
                        Err(error) => return Err(error),
                    }
                    left = rest;
                    if chunk.is_over() {
                        break;
                    }
                }
                Ok(left)
            })?;
        }
        Ok(())
    }
}

impl Plan<'_> {
    fn insert(&self, conn: &mut DbConnection, row: &[u8]) -> Result<usize> {
        on_backend!(
            conn,
            sqlite => |c| self.inserter.insert(c, row),
            postgres => |_c| Err(Error::invalid("the target", "is not a SQLite database"))
        )
    }

    /// Returns the rejected row as it is in the temporary file, with its credentials masked.
    fn reject(&self, row: &[u8], error: &Error) -> Reject {
        let values = self.ours.columns.iter().zip(transfer::fields(row));
        let shown = values.map(|(column, value)| {
            let value = match value {
                None => Json::Null,
                Some(_) if is_secret(self.table.to, column.name) => "***".into(),
                Some(value) => column.kind.shown(value).into(),
            };
            (column.name.to_owned(), value)
        });
        Reject {
            table: self.table.from.to_owned(),
            key: transfer::key(self.ours, row),
            reason: format!("another program wrote a conflicting row during the takeover: {error}"),
            row: shown.collect::<Map<_, _>>(),
        }
    }
}

/// Returns the ON CONFLICT clause for rows whose key exists already.
///
/// A row that an interrupted takeover has copied may have been changed since, so it is kept. A setting replaces the existing
/// one, except for the columns that are NULL in the source.
fn on_conflict(table: &Table, ours: &transfer::Table) -> String {
    let key = ours.key_column();
    if !table.replaces {
        return format!("ON CONFLICT (\"{key}\") DO NOTHING");
    }
    let names = ours.columns.iter().map(|column| column.name).filter(|name| *name != key);
    let set: Vec<String> =
        names.map(|name| format!("\"{name}\" = coalesce(excluded.\"{name}\", \"{name}\")")).collect();
    format!("ON CONFLICT (\"{key}\") DO UPDATE SET {}", set.join(", "))
}

/// Records that a takeover is running, and reserves its ids.
fn begin(conn: &mut DbConnection, application: Application, source: &str, last_ids: &LastIds) -> Result<()> {
    match Held::read(conn, application, source)? {
        Held::Nothing => {}
        Held::Rows(names) => return Err(holds_other_rows(application, &names)),
        Held::Part(reserved) => require_free_ids(conn, &reserved, last_ids)?,
    }
    let sequences: String = last_ids
        .iter()
        .filter(|(_, last)| **last > 0)
        .map(|(table, last)| {
            format!(
                "UPDATE sqlite_sequence SET seq = max(seq, {last}) WHERE name = '{table}';\n\
                 INSERT INTO sqlite_sequence (name, seq) SELECT '{table}', {last} \
                 WHERE NOT EXISTS (SELECT 1 FROM sqlite_sequence WHERE name = '{table}');\n"
            )
        })
        .collect();
    let reserved = serde_json::to_string(last_ids).map_err(Error::other)?;
    conn.batch_execute(&format!(
        "{sequences}CREATE TABLE IF NOT EXISTS {TAKEOVER} \
         (application text PRIMARY KEY NOT NULL, source text NOT NULL, last_ids text NOT NULL)"
    ))
    .of(TAKEOVER, "")?;
    let insert = diesel::sql_query(format!(
        "INSERT INTO {TAKEOVER} (application, source, last_ids) VALUES (?, ?, ?) \
         ON CONFLICT (application) DO UPDATE SET last_ids = excluded.last_ids"
    ))
    .bind::<Text, _>(application.as_str())
    .bind::<Text, _>(source)
    .bind::<Text, _>(reserved);
    on_backend!(conn, |c| insert.execute(c)).of(TAKEOVER, "").map(drop)
}

/// Returns an error if the source has new rows since the interruption whose ids other programs have used in the target.
fn require_free_ids(conn: &mut DbConnection, reserved: &LastIds, last_ids: &LastIds) -> Result<()> {
    #[derive(QueryableByName)]
    struct Count {
        #[diesel(sql_type = BigInt)]
        rows: i64,
    }
    for (table, last) in last_ids {
        let reserved = reserved.get(table).copied().unwrap_or_default();
        if *last <= reserved {
            continue;
        }
        let sql = format!("SELECT count(*) AS rows FROM {table} WHERE id > {reserved} AND id <= {last}");
        let count: Count =
            on_backend!(&mut *conn, |c| diesel::sql_query(sql).get_result(c)).of("the target", "")?;
        if count.rows > 0 {
            return Err(Error::Unusable {
                database: String::new(),
                reason: format!(
                    "cannot continue the takeover: since it was interrupted, other programs wrote rows ({}) to {table} \
                     with the ids of new rows of the source; take over the source into another database",
                    count.rows
                ),
            });
        }
    }
    Ok(())
}

/// Removes the record of a finished takeover.
fn end(conn: &mut DbConnection, application: Application) -> Result<()> {
    // Another process may have taken over the same source and finished first.
    if takeovers(conn)?.iter().all(|it| it.application == application.as_str()) {
        return conn.batch_execute(&format!("DROP TABLE IF EXISTS {TAKEOVER}")).of(TAKEOVER, "");
    }
    let delete = diesel::sql_query(format!("DELETE FROM {TAKEOVER} WHERE application = ?"))
        .bind::<Text, _>(application.as_str());
    on_backend!(conn, |c| delete.execute(c)).of(TAKEOVER, "").map(drop)
}
