//! Drift: differences between the schema of a database and the schema that the migrations create.
//!
//! viraldb runs the applied migrations a second time: on SQLite in memory, on PostgreSQL in a scratch schema inside a
//! transaction that is rolled back. It compares the result with the database: viraldb's tables with their columns, keys,
//! constraints, indexes and triggers. Other tables are ignored.

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

/// One difference between a database and the schema that the migrations create.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct Difference {
    /// The severity. A missing or changed object is an error and an additional object a warning. An additional index that
    /// is not unique is only a note.
    pub severity: Severity,
    /// The table; empty for a function or a view.
    pub table: String,
    /// The kind of object that differs.
    pub object: Object,
    /// The object's name.
    pub name: String,
    /// A description of the difference.
    pub what: String,
    /// The statement that creates the object again, if that is safe without asking.
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

/// The kinds of objects in a schema.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
#[allow(missing_docs)] // the names are enough
pub enum Object {
    Table,
    Column,
    PrimaryKey,
    UniqueConstraint,
    Check,
    ForeignKey,
    /// SQLite's `STRICT` table option, which enforces the column types.
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

    /// Returns the name used in messages.
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

    /// Returns the object kind with this name, or `None` for an unknown name.
    fn named(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|object| object.as_str() == word)
    }
}

impl fmt::Display for Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Compares the schema of a database with what its migrations create. Returns the differences, most severe first.
///
/// Nothing in the database changes.
///
/// # Errors
/// The errors of the database; [`Invalid`](crate::Error::Invalid) if a newer viraldb made the database; on
/// PostgreSQL also `Invalid` if the role lacks the privilege to create the scratch schema.
///
/// ```
/// # fn main() -> viraldb::Result<()> {
/// # let db = viraldb::Database::open("sqlite::memory:")?;
/// assert!(viraldb::ops::drift(&db)?.is_empty());
/// # Ok(())
/// # }
/// ```
pub fn drift(db: &Database) -> Result<Vec<Difference>> {
    differences(&mut *db.session()?)
}

/// Does the work of [`drift`] on a connection without an open transaction.
pub(super) fn differences(conn: &mut DbConnection) -> Result<Vec<Difference>> {
    let history = History::read(conn)?;
    match history.verdict() {
        _ if !history.is_initialised() => return Ok(Vec::new()), // there are no viraldb tables yet
        Verdict::Newer => {
            let reason = "was made by a newer viraldb with a schema that this version does not know; use the newer version";
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

/// A CHECK constraint of one of our tables.
#[cfg(feature = "sqlite")]
pub(super) struct Checked {
    /// The constraint's name.
    pub(super) name: String,
    /// The condition, as SQL.
    pub(super) says: String,
    /// The column that identifies a row of the table.
    pub(super) key: &'static str,
}

/// Returns the CHECK constraints that the migrations create on SQLite, by table. PostgreSQL always enforces its own.
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
