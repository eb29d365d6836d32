//! Drift: where the schema of a database is not what our migrations make.
//!
//! The migrations that are applied run a second time, on SQLite in memory, on PostgreSQL in a schema of its own in a
//! transaction that is taken back. What is there then is compared with what is in the database: our tables with their
//! columns, keys, constraints, indexes and triggers. Tables that are not ours do not count.

#[cfg(feature = "postgres")]
mod postgres;
mod schema;
#[cfg(feature = "sqlite")]
mod sql;
#[cfg(feature = "sqlite")]
mod sqlite;

use std::fmt;

use serde::Serialize;

use super::Severity;
use crate::db::migrate::{History, Verdict};
use crate::db::on_backend;
use crate::{Database, DbConnection, Error, Result};

/// One thing in which a database is not what our migrations make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// How bad it is: what is missing or changed is an error, what is there besides a warning, an index that is
    /// there besides no more than to be known.
    pub severity: Severity,
    /// The table; nothing for a function or a view.
    pub table: String,
    /// What differs.
    pub object: Object,
    /// Its name.
    pub name: String,
    /// The difference, as a person would say it.
    pub what: String,
    /// The statement that makes it again, if nothing is to be decided.
    #[serde(skip)]
    pub(crate) made: Option<String>,
}

impl Difference {
    fn new(table: &str, object: Object, name: &str, severity: Severity, what: String) -> Self {
        Self { severity, table: table.to_owned(), object, name: name.to_owned(), what, made: None }
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

/// What a schema is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names say it
pub enum Object {
    Table,
    Column,
    PrimaryKey,
    UniqueConstraint,
    Check,
    ForeignKey,
    /// That a table of SQLite's holds what its columns say.
    Strict,
    Index,
    Trigger,
    Function,
    View,
}

impl Object {
    const ALL: [Self; 11] = [
        Self::Table,
        Self::Column,
        Self::PrimaryKey,
        Self::UniqueConstraint,
        Self::Check,
        Self::ForeignKey,
        Self::Strict,
        Self::Index,
        Self::Trigger,
        Self::Function,
        Self::View,
    ];

    /// As people say it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Table => "table",
            Self::Column => "column",
            Self::PrimaryKey => "primary key",
            Self::UniqueConstraint => "unique constraint",
            Self::Check => "check",
            Self::ForeignKey => "foreign key",
            Self::Strict => "STRICT",
            Self::Index => "index",
            Self::Trigger => "trigger",
            Self::Function => "function",
            Self::View => "view",
        }
    }

    /// The object that a query names; others are none of a schema's.
    fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|object| object.as_str() == word)
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Compares the schema of a database with what its migrations make, worst first. Nothing stays written.
///
/// # Errors
/// Those of the database; on PostgreSQL `Invalid` if the user may not create a schema, which is taken back again.
pub fn drift(db: &Database) -> Result<Vec<Difference>> {
    differences(&mut *db.session()?)
}

/// [`drift`] on a connection of one's own, without an open transaction.
pub(super) fn differences(conn: &mut DbConnection) -> Result<Vec<Difference>> {
    let history = History::read(conn)?;
    match history.verdict() {
        _ if !history.is_initialised() => return Ok(Vec::new()), // nothing is ours yet
        Verdict::Newer => {
            let reason = "was made by a newer viraldb, whose schema this one does not know; use that one";
            return Err(Error::invalid("the database", reason));
        }
        Verdict::Current | Verdict::Pending | Verdict::Differs => {}
    }
    let applied: Vec<_> = history.applied().collect();
    let (ours, live) = on_backend!(
        conn,
        sqlite => |c| {
            let live = sqlite::read(c)?;
            (sqlite::replayed(&applied)?, live)
        },
        postgres => |c| postgres::both(c, &applied)?,
    );
    Ok(schema::compare(&ours, &live))
}

/// A check of one of our tables, as SQL.
#[cfg(feature = "sqlite")]
pub(super) struct Checked {
    /// Its name.
    pub(super) name: String,
    /// The condition.
    pub(super) says: String,
    /// What names a row of the table.
    pub(super) key: &'static str,
}

/// The checks that our migrations give to SQLite's tables, by table. PostgreSQL holds to its own.
#[cfg(feature = "sqlite")]
pub(super) fn checks(conn: &mut DbConnection) -> Result<std::collections::BTreeMap<String, Vec<Checked>>> {
    let history = History::read(conn)?;
    let ours = sqlite::replayed(&history.applied().collect::<Vec<_>>())?;
    let mut checks: std::collections::BTreeMap<String, Vec<Checked>> = std::collections::BTreeMap::new();
    for ((table, object, name), part) in ours.parts {
        let columns = ours.tables.get(&table);
        let has = |column: &str| columns.is_some_and(|columns| columns.contains_key(column));
        if object == Object::Check {
            let key = if has("id") { "id" } else { "key" };
            checks.entry(table).or_default().push(Checked { name, says: part.shown, key });
        }
    }
    Ok(checks)
}
