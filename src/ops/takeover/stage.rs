//! Stages the rows of a takeover in a temporary file.
//!
//! Everything that can fail because of the source fails in this step: reading it, converting its rows, or a program that
//! writes to it at the same time. The target is not changed, and its write lock is not held.

use diesel::connection::SimpleConnection;
use tempfile::TempDir;

use super::application::Table;
use super::mask::is_secret;
use super::source::{self, Source};
use super::{Run, Taken};
use crate::db::on_backend;
use crate::error::ResultExt;
use crate::ops::transfer::{self, Digest, Kind};
use crate::{Database, DbConnection, Result};

/// The temporary database. Its file is deleted when the stage is dropped.
pub(super) struct Stage {
    pub(super) db: Database,
    _folder: TempDir,
}

impl Stage {
    pub(super) fn new() -> Result<Self> {
        let folder = crate::db::files::temporary()?;
        let file = format!("sqlite://{}", folder.path().join("viral.db").display());
        Ok(Self { db: Database::open_with(&file, &crate::Options::default())?, _folder: folder })
    }

    /// Copies the source into the file.
    ///
    /// Returns the result for each table, and the tables and columns that have no counterpart in our schema.
    pub(super) fn fill(&self, source: &mut Source, run: &mut Run<'_>) -> Result<(Vec<Taken>, Vec<String>)> {
        let mut into = self.db.session()?;
        on_backend!(
            &mut *into,
            // The file is not needed after a crash.
            sqlite => |c| c.batch_execute("PRAGMA synchronous = OFF"),
            postgres => |_c| Ok(())
        )
        .of("the temporary file", "")?;
        let is_as_it_was = source.watch();
        source.read(|from| {
            let taken = run.take_all(from, &mut into)?;
            is_as_it_was()?;
            Ok(taken)
        })
    }

    /// Returns true if the application's tables in `target` contain exactly these rows.
    ///
    /// Timestamps and encrypted values are not compared. A default timestamp is the time of the takeover, and encrypting a
    /// value twice yields two different texts.
    pub(super) fn is_held_by(&self, target: &Database, tables: &'static [Table]) -> Result<bool> {
        let staged = self.db.read(|conn| digests(conn, tables))?;
        Ok(target.read(|conn| digests(conn, tables))? == staged)
    }
}

/// Returns false if the target has more rows than the source, so that it cannot contain just the rows of the source.
///
/// This only counts rows and is therefore much faster than a comparison.
pub(super) fn may_hold(target: &Database, source: &mut Source, run: &Run<'_>) -> Result<bool> {
    let tables = run.application.tables();
    let held = target.read(|conn| {
        let counts = compared(tables).map(|table| source::count(conn, table.to));
        counts.collect::<Result<Vec<_>>>()
    })?;
    source.read(|conn| {
        for (table, held) in compared(tables).zip(held) {
            let is_there = run.tables.contains_key(table.from);
            if held > if is_there { source::count(conn, table.from)? } else { 0 } {
                return Ok(false);
            }
        }
        Ok(true)
    })
}

/// Returns the tables that show whether a takeover has finished. Settings do not: they may have existed before.
fn compared(tables: &'static [Table]) -> impl Iterator<Item = &'static Table> {
    tables.iter().filter(|table| !table.replaces)
}

fn digests(conn: &mut DbConnection, tables: &'static [Table]) -> Result<Vec<Digest>> {
    conn.snapshot(|conn| {
        conn.refuse_hidden_rows()?;
        let digest = |table: &Table| {
            transfer::digest_of(conn, table.to, |column| {
                column.kind != Kind::Time && !is_secret(table.to, column.name)
            })
        };
        compared(tables).map(digest).collect()
    })
}
