//! Checks whether a target is a complete copy. A transfer that was killed after its last commit leaves such a target.

use std::time::Instant;

#[cfg(feature = "sqlite")]
use super::Digest;
use super::read::{self, Digester};
#[cfg(feature = "sqlite")]
use super::tables::Column;
use super::target::Held;
use super::{Done, Kind, Phase, Progress, Read, Run, Table};
use crate::quote::counted;
use crate::{Database, DbConnection, Error, Result};

/// Maximum number of tables that an error names.
const SHOWN: usize = 3;

/// Returns the digest of a table over the columns for which `is_counted` returns true. These must include the key.
#[cfg(feature = "sqlite")]
pub(in crate::ops) fn digest_of(
    conn: &mut DbConnection,
    name: &str,
    is_counted: impl Fn(&Column) -> bool,
) -> Result<Digest> {
    let Some(mut table) = Table::all()?.into_iter().find(|table| table.name == name) else {
        return Ok(Digest::default());
    };
    let key = table.key_column().to_owned();
    table.columns.retain(is_counted);
    table.key = table.columns.iter().position(|column| column.name == key).unwrap_or_default();
    let mut digester = Digester::new(&table, None);
    read::rows(conn, &table, |row| digester.add(row))?;
    Ok(digester.digest)
}

/// Checks that serde_json reads every JSON document of a table without loss.
///
/// # Errors
/// `Invalid` with the row and the column of a document that serde_json would change.
pub(in crate::ops) fn require_readable(conn: &mut DbConnection, name: &str) -> Result<()> {
    let Some(mut table) = Table::all()?.into_iter().find(|table| table.name == name) else { return Ok(()) };
    let key = table.key_column().to_owned();
    table.columns.retain(|column| column.name == key || matches!(column.kind, Kind::Json { .. }));
    for column in &mut table.columns {
        if let Kind::Json { bare } = &mut column.kind {
            *bare = false; // `json::require_readable` accepts bare text
        }
    }
    if table.columns.len() < 2 {
        return Ok(());
    }
    table.key = table.columns.iter().position(|column| column.name == key).unwrap_or_default();
    read::rows(conn, &table, |row| read::require_readable(&table, row))
}

impl<'a> Run<'a> {
    /// Compares every row of the source with the target. Writes nothing.
    ///
    /// # Errors
    /// `Unusable` with the names of the tables that differ.
    pub(super) fn require_complete(&mut self, source: &Database, held: &Held) -> Result<Read<'a>> {
        let tables = self.tables;
        let all: Vec<&Table> = tables.iter().collect();
        let there = self.target.read(|conn| read::counts(conn, &all))?;
        let mut read = source.read(|conn| {
            conn.snapshot(|conn| {
                conn.refuse_hidden_rows()?;
                let counts = read::counts(conn, &all)?;
                // Compare the row counts first: counting is fast, and most differences show in it.
                let different: Vec<String> = (tables.iter().zip(&counts).zip(&there))
                    .filter(|((_, count), there)| count != there)
                    .map(|((table, count), there)| {
                        format!("{} ({}, {count} in the source)", table.name, counted(*there, "row"))
                    })
                    .collect();
                if !different.is_empty() {
                    return Err(self.incomplete(held, &different));
                }
                let digest = |(table, of)| self.digest(conn, table, of);
                let done = tables.iter().zip(counts).map(digest).collect::<Result<Vec<_>>>()?;
                let rows = done.iter().map(|done| done.digest.rows).sum();
                Ok(Read { tables: done, resumed: rows, last_ids: read::last_ids(conn, tables)? })
            })
        })?;
        let mut different = self.differences(&mut read.tables)?;
        let given = self.target.read(|conn| read::last_ids(conn, tables))?;
        let behind = read.last_ids.iter().zip(&given).filter(|(from, to)| to.1 < from.1);
        different.extend(
            behind.map(|((table, last), _)| format!("{table} (new rows would reuse ids up to {last})")),
        );
        if different.is_empty() { Ok(read) } else { Err(self.incomplete(held, &different)) }
    }

    fn incomplete(&self, held: &Held, different: &[String]) -> Error {
        let rows: Vec<String> = held.rows.iter().map(|(table, rows)| format!("{table} ({rows})")).collect();
        let more = match different.len().saturating_sub(SHOWN) {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        Error::Unusable {
            database: self.target.url().to_string(),
            reason: format!(
                "is not empty: it has rows in {}; --resume found no interrupted transfer, and it is not a complete copy: \
                 it differs from the source in {}{more}; --replace deletes all of its rows first",
                rows.join(", "),
                different.iter().take(SHOWN).cloned().collect::<Vec<_>>().join(", ")
            ),
        }
    }

    /// Computes the digest of a table of the source.
    fn digest(&mut self, conn: &mut DbConnection, table: &'a Table, of: u64) -> Result<Done<'a>> {
        let begin = Instant::now();
        let mut digester = Digester::new(table, None);
        (self.progress)(Progress { phase: Phase::Comparing, table: table.name, done: 0, of });
        read::rows(conn, table, |row| digester.add(row))?;
        Ok(Done { table, digest: digester.digest, seconds: begin.elapsed().as_secs_f64() })
    }
}
