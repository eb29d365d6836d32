//! The migration history: the migrations of the program compared with those applied to the database.

use std::collections::BTreeMap;

use diesel::prelude::*;
use serde::{Deserialize, Serialize};

use super::embedded::of_connection;
use super::migration::Migration;
use crate::db::catalog::has_table;
use crate::db::{DbConnection, on_backend, unfinished};
use crate::error::ResultExt;
use crate::schema::viraldb_migrations;
use crate::types::{Timestamp, portable};
use crate::{Error, Result};

use tables::__diesel_schema_migrations;

#[allow(missing_docs)] // Diesel generates the items
mod tables {
    diesel::table! {
        __diesel_schema_migrations (version) {
            version -> Text,
        }
    }
}

/// The placeholder that a migration records as its own checksum, because the stock Diesel CLI records no checksums.
///
/// Without this row, an older viraldb could not tell a newer viraldb migration from a migration of another program. viraldb
/// replaces the placeholder with the real checksum.
pub(super) const SELF_RECORDED: &str = "";

/// A migration and its state in a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The version, such as `2026-11-21-000002`. A version that does not have this form is left in Diesel's format.
    pub version: String,
    /// The name, or an empty string if this program does not know the migration.
    pub name: String,
    /// The state.
    pub state: State,
    /// The time when the checksum was recorded. The migration was applied at the same time, unless the stock Diesel CLI
    /// applied it.
    pub recorded_at: Option<Timestamp>,
}

portable! {
    /// The state of a migration in a database.
    pub enum State {
        Applied = "applied",
        Pending = "pending",
        Modified = "modified",
        Missing = "missing",
        OutOfOrder = "out_of_order",
        Newer = "newer",
    }
}

/// The result of `migrate check` for a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every migration is applied.
    Current,
    /// Migrations are pending.
    Pending,
    /// A migration was changed after it was applied, is missing, or is out of order.
    Differs,
    /// The database was created or migrated by a newer viraldb.
    Newer,
}

/// The migrations of a database and of this program, oldest first.
#[derive(Debug, Clone)]
pub struct History {
    /// The migrations with their states.
    pub entries: Vec<Entry>,
    pub(super) known: &'static [Migration],
    /// Migrations of other programs that share Diesel's table, oldest first. viraldb does not touch them.
    pub foreign: Vec<String>,
    /// viraldb's migrations that are applied but have no checksum, because the stock Diesel CLI applied them.
    pub(super) unrecorded: Vec<String>,
    /// The number of rows that an unfinished transfer into the database has copied, if there is one.
    pub(crate) transferred: Option<u64>,
}

impl History {
    /// Reads the migration history of a database. Writes nothing and does not create Diesel's table.
    pub(crate) fn read(conn: &mut DbConnection) -> Result<Self> {
        let mut applied = Vec::new();
        let mut recorded = BTreeMap::new();
        if has_table(conn, "__diesel_schema_migrations")? {
            use __diesel_schema_migrations::dsl;
            applied = on_backend!(conn, |c| dsl::__diesel_schema_migrations
                .select(dsl::version)
                .order(dsl::version)
                .load::<String>(c))
            .of("__diesel_schema_migrations", "")?;
        }
        if has_table(conn, "viraldb_migrations")? {
            let rows =
                on_backend!(conn, |c| viraldb_migrations::table.load::<(String, String, Timestamp)>(c));
            recorded = rows
                .of("viraldb_migrations", "")?
                .into_iter()
                .map(|(version, checksum, at)| (version, (checksum, at)))
                .collect();
        }
        let transferred = unfinished::copied(conn)?;
        Ok(Self { transferred, ..Self::compare(of_connection(conn), &applied, &recorded) })
    }

    /// Compares the migrations of this program with those of the database.
    ///
    /// Diesel keeps the migrations of all programs in one table. A migration belongs to viraldb if this program knows it, or if
    /// another version of viraldb has recorded it in `viraldb_migrations`. All others are foreign, whatever their version.
    pub(super) fn compare(
        known: &'static [Migration],
        applied: &[String],
        recorded: &BTreeMap<String, (String, Timestamp)>,
    ) -> Self {
        let is_known = |key: &String| known.iter().any(|migration| migration.key() == *key);
        let (ours, foreign): (Vec<&String>, Vec<&String>) =
            applied.iter().partition(|key| is_known(key) || recorded.contains_key(*key));
        let is_recorded =
            |key: &String| recorded.get(key).is_some_and(|(checksum, _)| checksum != SELF_RECORDED);
        let newest_known = known.last().map(Migration::key).unwrap_or_default();
        let newest_applied = ours.last().map(|key| (*key).clone()).unwrap_or_default();
        let mut entries: Vec<(String, Entry)> = known
            .iter()
            .map(|migration| {
                let key = migration.key();
                let record = recorded.get(&key).filter(|_| is_recorded(&key));
                let state = match (ours.contains(&&key), record) {
                    (true, Some((checksum, _))) if !migration.has_checksum(checksum) => State::Modified,
                    (true, _) => State::Applied,
                    (false, _) if key < newest_applied => State::OutOfOrder,
                    (false, _) => State::Pending,
                };
                let entry = Entry {
                    version: migration.version().to_owned(),
                    name: migration.name.to_owned(),
                    recorded_at: record.filter(|_| ours.contains(&&key)).map(|(_, at)| *at),
                    state,
                };
                (key, entry)
            })
            .collect();
        for key in ours.iter().copied().filter(|key| !is_known(key)) {
            let state = if *key > newest_known { State::Newer } else { State::Missing };
            let recorded_at = recorded.get(key).map(|(_, at)| *at);
            entries
                .push((key.clone(), Entry { version: dashed(key), name: String::new(), state, recorded_at }));
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Self {
            foreign: foreign.into_iter().map(|key| dashed(key)).collect(),
            unrecorded: ours.into_iter().filter(|key| !is_recorded(key)).cloned().collect(),
            entries: entries.into_iter().map(|(_, entry)| entry).collect(),
            known,
            transferred: None,
        }
    }

    /// Returns true if at least one of viraldb's migrations is applied.
    pub fn is_initialised(&self) -> bool {
        self.entries.iter().any(|entry| !matches!(entry.state, State::Pending | State::Missing))
    }

    /// Returns the verdict on the whole database: the worst state of its entries.
    pub fn verdict(&self) -> Verdict {
        let any = |states: &[State]| self.entries.iter().any(|entry| states.contains(&entry.state));
        if any(&[State::Newer]) {
            Verdict::Newer
        } else if any(&[State::Modified, State::Missing, State::OutOfOrder]) {
            Verdict::Differs
        } else if any(&[State::Pending]) {
            Verdict::Pending
        } else {
            Verdict::Current
        }
    }

    /// Returns the newest applied version, if any.
    pub fn newest_applied(&self) -> Option<&str> {
        let applied = |entry: &&Entry| !matches!(entry.state, State::Pending | State::OutOfOrder);
        self.entries.iter().rev().find(applied).map(|entry| entry.version.as_str())
    }

    /// Returns the pending migrations, oldest first.
    pub fn pending(&self) -> impl Iterator<Item = &'static Migration> {
        let known = self.known;
        self.entries
            .iter()
            .filter(|entry| entry.state == State::Pending)
            .filter_map(move |entry| known.iter().find(|migration| migration.name == entry.name))
    }

    /// Returns the applied migrations of this program, oldest first, including those that were modified later.
    pub(crate) fn applied(&self) -> impl Iterator<Item = &'static Migration> {
        let known = self.known;
        self.entries
            .iter()
            .filter(|entry| matches!(entry.state, State::Applied | State::Modified))
            .filter_map(move |entry| known.iter().find(|migration| migration.name == entry.name))
    }

    /// Rejects a history that differs from this program's migrations. Pending migrations are allowed.
    ///
    /// # Errors
    /// [`Error::SchemaNewer`], or [`Error::SchemaModified`] with a list of all differences.
    pub fn require_ours(&self) -> Result<()> {
        if self.verdict() == Verdict::Newer {
            return Err(Error::SchemaNewer {
                database: self.newest_applied().unwrap_or_default().to_owned(),
                binary: self.known.last().map(|m| m.version()).unwrap_or_default().to_owned(),
            });
        }
        let differences: Vec<String> = self
            .entries
            .iter()
            .filter_map(|Entry { name, version, state, .. }| match state {
                State::Modified => Some(format!("{name} was changed after it was applied")),
                State::Missing => Some(format!("{version} is applied, but this program does not know it")),
                State::OutOfOrder => Some(format!("{name} is not applied, but later ones are")),
                _ => None,
            })
            .collect();
        if differences.is_empty() { Ok(()) } else { Err(Error::SchemaModified(differences)) }
    }

    /// Rejects a history that differs from this program's migrations or has pending migrations.
    ///
    /// # Errors
    /// The errors of [`History::require_ours`], and [`Error::SchemaPending`].
    pub fn require_current(&self) -> Result<()> {
        self.require_ours()?;
        let pending: Vec<String> = self.pending().map(|migration| migration.name.to_owned()).collect();
        if pending.is_empty() { Ok(()) } else { Err(Error::SchemaPending(pending)) }
    }
}

/// Converts a version from Diesel's form `20261121000002` to `2026-11-21-000002`.
pub(crate) fn dashed(key: &str) -> String {
    match (key.get(0..4), key.get(4..6), key.get(6..8), key.get(8..)) {
        (Some(year), Some(month), Some(day), Some(rest)) if !rest.is_empty() => {
            format!("{year}-{month}-{day}-{rest}")
        }
        _ => key.to_owned(),
    }
}
