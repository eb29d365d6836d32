//! How far a database is with its migrations: what the program knows beside what the database says.

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

#[allow(missing_docs)] // Diesel's own
mod tables {
    diesel::table! {
        __diesel_schema_migrations (version) {
            version -> Text,
        }
    }
}

/// The checksum that a migration records of itself. The stock Diesel command line records none, and a program that does
/// not know the migration could not tell it from one of another program's. The true checksum replaces it.
pub(super) const SELF_RECORDED: &str = "";

/// One migration and how it stands with a database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Version, such as `2026-11-21-000002`, or as Diesel keeps it if this program does not know it.
    pub version: String,
    /// Name, or nothing if this program does not know it.
    pub name: String,
    /// How it stands.
    pub state: State,
    /// When its checksum was recorded, which is when it was applied unless another program applied it.
    pub recorded_at: Option<Timestamp>,
}

portable! {
    /// How a migration stands with a database.
    pub enum State {
        Applied = "applied",
        Pending = "pending",
        Modified = "modified",
        Missing = "missing",
        OutOfOrder = "out_of_order",
        Newer = "newer",
    }
}

/// What `migrate check` says of a database.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Every migration is applied.
    Current,
    /// Some are not applied yet.
    Pending,
    /// A migration was changed after it was applied, is missing, or is out of order.
    Differs,
    /// The database was made by a newer viraldb.
    Newer,
}

/// The migrations of a database and of this program, oldest first.
#[derive(Debug, Clone)]
pub struct History {
    /// Each with its state.
    pub entries: Vec<Entry>,
    pub(super) known: &'static [Migration],
    /// Migrations of other programs that share Diesel's table, oldest first. viraldb leaves them alone.
    pub foreign: Vec<String>,
    /// Versions of ours that are applied but have no checksum: the stock Diesel command line applied them.
    pub(super) unrecorded: Vec<String>,
    /// Rows that a transfer into the database has copied, if one has not ended.
    pub(crate) transferred: Option<u64>,
}

impl History {
    /// Reads how far a database is. Writes nothing, not even Diesel's own table.
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

    /// Compares what the program knows with what the database says.
    ///
    /// Diesel keeps the migrations of all programs in one table. Ours are those that this program knows, and those that
    /// another version of viraldb has recorded. All others are foreign, whatever their version.
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
                    (true, Some((checksum, _))) if *checksum != migration.checksum() => State::Modified,
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

    /// Whether any of our migrations is applied.
    pub fn is_initialised(&self) -> bool {
        self.entries.iter().any(|entry| !matches!(entry.state, State::Pending | State::Missing))
    }

    /// What is to be said of the database as a whole; the worst of its entries.
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

    /// The newest version that is applied, if any is.
    pub fn newest_applied(&self) -> Option<&str> {
        let applied = |entry: &&Entry| !matches!(entry.state, State::Pending | State::OutOfOrder);
        self.entries.iter().rev().find(applied).map(|entry| entry.version.as_str())
    }

    /// Those not applied yet, oldest first.
    pub fn pending(&self) -> impl Iterator<Item = &'static Migration> {
        let known = self.known;
        self.entries
            .iter()
            .filter(|entry| entry.state == State::Pending)
            .filter_map(move |entry| known.iter().find(|migration| migration.name == entry.name))
    }

    /// Those of this program that are applied, oldest first, whatever they said when they ran.
    pub(crate) fn applied(&self) -> impl Iterator<Item = &'static Migration> {
        let known = self.known;
        self.entries
            .iter()
            .filter(|entry| matches!(entry.state, State::Applied | State::Modified))
            .filter_map(move |entry| known.iter().find(|migration| migration.name == entry.name))
    }

    /// Refuses a history that is not this program's; pending migrations are no objection.
    ///
    /// # Errors
    /// [`Error::SchemaNewer`], [`Error::SchemaModified`] with every difference named.
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
                State::Missing => Some(format!("{version} is applied but this program does not have it")),
                State::OutOfOrder => Some(format!("{name} is not applied but later ones are")),
                _ => None,
            })
            .collect();
        if differences.is_empty() { Ok(()) } else { Err(Error::SchemaModified(differences)) }
    }

    /// Refuses everything but a database that is this program's and current.
    ///
    /// # Errors
    /// Those of [`History::require_ours`], and [`Error::SchemaPending`].
    pub fn require_current(&self) -> Result<()> {
        self.require_ours()?;
        let pending: Vec<String> = self.pending().map(|migration| migration.name.to_owned()).collect();
        if pending.is_empty() { Ok(()) } else { Err(Error::SchemaPending(pending)) }
    }
}

/// Diesel's `20261121000002` as people read it.
pub(crate) fn dashed(key: &str) -> String {
    match (key.get(0..4), key.get(4..6), key.get(6..8), key.get(8..)) {
        (Some(year), Some(month), Some(day), Some(rest)) if !rest.is_empty() => {
            format!("{year}-{month}-{day}-{rest}")
        }
        _ => key.to_owned(),
    }
}
