//! The contents of the target and the progress of a transfer into it.
//!
//! During a transfer the target has an additional table, `viraldb_transfer`. It has one row for each table that is copied,
//! with the number of rows that were copied and their digest. The transactions that write the rows also update it, and it
//! is dropped when the transfer is complete.

use std::collections::HashMap;

use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};

use super::Existing;
use super::digest::Digest;
use super::read;
use super::tables::Table;
use crate::config::Registry;
use crate::db::catalog::has_table;
use crate::db::on_backend;
use crate::db::unfinished::TRANSFER as PROGRESS;
use crate::error::ResultExt;
use crate::schema::system_configuration;
use crate::types::ConfigValue;
use crate::{DbConnection, Error, Result};

/// The recorded digest of the rows that each table of the target contains.
pub(super) type Copied = HashMap<String, Digest>;

/// The contents of a target.
pub(super) struct Held {
    /// The tables that are not empty and their row counts. Settings that `viraldb init` wrote and that have not been changed
    /// are not counted.
    pub(super) rows: Vec<(&'static str, u64)>,
    /// The keys of these unchanged settings.
    defaults: Vec<String>,
    /// The progress of an interrupted transfer, if there is one.
    pub(super) interrupted: Option<Copied>,
}

impl Held {
    /// Returns the contents of a database that does not exist yet.
    pub(super) const fn nothing() -> Self {
        Self { rows: Vec::new(), defaults: Vec::new(), interrupted: None }
    }

    /// Reads the contents of a database in any state, including one without all tables.
    pub(super) fn read(conn: &mut DbConnection, tables: &[Table]) -> Result<Self> {
        let mut there = Vec::with_capacity(tables.len());
        for table in tables {
            if has_table(conn, table.name)? {
                there.push(table);
            }
        }
        let counts = read::counts(conn, &there)?;
        let has_settings = there.iter().any(|table| table.name == "system_configuration");
        let defaults = if has_settings { defaults(conn)? } else { Vec::new() };
        let count = |(table, count): (&&Table, u64)| match table.name {
            "system_configuration" => (table.name, count.saturating_sub(defaults.len() as u64)),
            name => (name, count),
        };
        let rows = there.iter().zip(counts).map(count).filter(|(_, rows)| *rows > 0).collect();
        let interrupted = if has_table(conn, PROGRESS)? { Some(copied(conn)?) } else { None };
        Ok(Self { rows, defaults, interrupted })
    }

    /// Returns true if the database may be a complete copy: it contains rows but no interrupted transfer.
    pub(super) fn may_be_complete(&self) -> bool {
        self.interrupted.is_none() && !self.rows.is_empty()
    }

    /// Returns an error if the contents do not allow a transfer with this option.
    pub(super) fn allow(&self, existing: Existing, database: &dyn std::fmt::Display) -> Result<()> {
        let refused = |reason: String| Err(Error::Unusable { database: database.to_string(), reason });
        match (existing, &self.interrupted) {
            (Existing::Replace, _) | (Existing::Resume, Some(_)) => Ok(()),
            // `complete.rs` checks whether they are the rows of the source.
            (Existing::Resume, None) if !self.rows.is_empty() => Ok(()),
            (Existing::Refuse, Some(_)) => refused(
                "contains an interrupted transfer: continue it with --resume or start over with --replace"
                    .to_owned(),
            ),
            (_, None) if self.rows.is_empty() => Ok(()),
            (_, None) => {
                let rows: Vec<String> =
                    self.rows.iter().map(|(table, rows)| format!("{table} ({rows})")).collect();
                refused(format!(
                    "is not empty: it has rows in {}; --replace deletes all of its rows first, --resume checks \
                     whether it is a complete copy",
                    rows.join(", ")
                ))
            }
        }
    }
}

/// Returns the keys of the settings that `viraldb init` wrote and that have not been changed.
fn defaults(conn: &mut DbConnection) -> Result<Vec<String>> {
    use system_configuration::dsl as s;

    let registry = Registry::default();
    let names: Vec<&str> = registry.iter().map(|key| &*key.name).collect();
    let rows = on_backend!(conn, |c| s::system_configuration
        .filter(s::key.eq_any(names))
        .filter(s::encrypted.eq(false))
        .select((s::key, s::value, s::description))
        .load::<(String, ConfigValue, Option<String>)>(c))
    .of("system_configuration", "")?;
    let is_default = |(name, value, description): &(String, ConfigValue, Option<String>)| {
        let mut keys = registry.iter();
        keys.any(|key| {
            key.name == *name && key.default == value.0 && description.as_deref() == Some(&*key.help)
        })
    };
    Ok(rows.into_iter().filter(is_default).map(|(name, ..)| name).collect())
}

/// Prepares the target in the open transaction and returns the progress of an interrupted transfer, if any.
pub(super) fn begin(
    conn: &mut DbConnection,
    tables: &[Table],
    existing: Existing,
    database: &dyn std::fmt::Display,
) -> Result<Copied> {
    let held = Held::read(conn, tables)?;
    held.allow(existing, database)?;
    if existing == Existing::Resume && held.may_be_complete() {
        return Err(Error::Unusable {
            database: database.to_string(),
            reason: "another program has just written to it; run the command again".to_owned(),
        });
    }
    match (existing, held.interrupted) {
        (Existing::Resume, Some(copied)) => return Ok(copied),
        (_, Some(_)) => conn.batch_execute(&format!("DROP TABLE {PROGRESS}")).of(PROGRESS, "")?,
        (_, None) => {}
    }
    if existing == Existing::Replace {
        conn.batch_execute(&clear(conn, tables)).of("the database", "")?;
    } else {
        use system_configuration::dsl as s;
        let defaults = s::system_configuration.filter(s::key.eq_any(held.defaults));
        on_backend!(&mut *conn, |c| diesel::delete(defaults).execute(c)).of("system_configuration", "")?;
    }
    let rows: Vec<String> =
        tables.iter().map(|table| format!("('{}', 0, '{}')", table.name, Digest::default())).collect();
    conn.batch_execute(&format!(
        "CREATE TABLE {PROGRESS} (name text PRIMARY KEY NOT NULL, rows bigint NOT NULL, digest text NOT NULL);
         INSERT INTO {PROGRESS} (name, rows, digest) VALUES {}",
        rows.join(", ")
    ))
    .of(PROGRESS, "")?;
    Ok(Copied::new())
}

/// Returns the SQL that deletes all rows and resets the ids.
fn clear(conn: &DbConnection, tables: &[Table]) -> String {
    let names = || tables.iter().map(|table| table.name);
    on_backend!(
        conn,
        sqlite => |_c| {
            let delete = names().rev().map(|table| format!("DELETE FROM {table};\n")).collect::<String>();
            let quoted: Vec<String> = names().map(|table| format!("'{table}'")).collect();
            format!("{delete}DELETE FROM sqlite_sequence WHERE name IN ({})", quoted.join(", "))
        },
        postgres => |_c| format!("TRUNCATE {} RESTART IDENTITY", names().collect::<Vec<_>>().join(", ")),
    )
}

/// Reads the recorded progress of each table.
fn copied(conn: &mut DbConnection) -> Result<Copied> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = Text)]
        name: String,
        #[diesel(sql_type = BigInt)]
        rows: i64,
        #[diesel(sql_type = Text)]
        digest: String,
    }
    let sql = format!("SELECT name, rows, digest FROM {PROGRESS}");
    let rows: Vec<Row> = on_backend!(conn, |c| diesel::sql_query(sql).load(c)).of(PROGRESS, "")?;
    rows.into_iter()
        .map(|row| {
            let digest = u64::try_from(row.rows).ok().and_then(|rows| Digest::parse(rows, &row.digest));
            match digest {
                Some(digest) => Ok((row.name, digest)),
                None => Err(Error::invalid(
                    format!("{PROGRESS} {}", row.name),
                    "is damaged; start over with --replace",
                )),
            }
        })
        .collect()
}

/// Records the progress of a table, in the transaction that writes its rows.
///
/// The update applies only if the recorded number of rows is the expected one, so two transfers cannot both continue.
pub(super) fn advance(conn: &mut DbConnection, table: &Table, before: Digest, after: Digest) -> Result<()> {
    let sql = format!(
        "UPDATE {PROGRESS} SET rows = {}, digest = '{after}' WHERE name = '{}' AND rows = {}",
        after.rows, table.name, before.rows
    );
    match on_backend!(conn, |c| diesel::sql_query(sql).execute(c)) {
        Ok(1) => Ok(()),
        Err(error) if !error.to_string().contains(PROGRESS) => Err(error).of(PROGRESS, ""),
        // Another transfer has made progress, or it has finished and dropped the table.
        _ => Err(Error::Unusable {
            database: String::new(),
            reason: "another transfer is writing to it; wait for it to finish or stop it".to_owned(),
        }),
    }
}

/// Completes a transfer: makes new rows get ids after the largest id that the source has ever assigned, and drops the
/// progress table.
pub(super) fn finish(conn: &mut DbConnection, last_ids: &[(String, i64)]) -> Result<()> {
    let number = |form: fn(&str, i64) -> String| {
        last_ids.iter().map(|(table, last)| form(table, *last)).collect::<String>()
    };
    let numbers = on_backend!(
        &mut *conn,
        sqlite => |_c| number(|table, last| format!(
            "DELETE FROM sqlite_sequence WHERE name = '{table}';\n\
             INSERT INTO sqlite_sequence (name, seq) SELECT '{table}', {last} WHERE {last} > 0;\n"
        )),
        postgres => |_c| number(|table, last| format!(
            "SELECT pg_catalog.setval('{table}_id_seq', {}, {});\n", last.max(1), last > 0
        )),
    );
    conn.batch_execute(&format!("{numbers}DROP TABLE {PROGRESS}")).of(PROGRESS, "")
}
