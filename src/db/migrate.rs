//! Migrations: embedded, serialised by a lock, and checked against what was applied.
//!
//! Diesel keeps the versions that ran in `__diesel_schema_migrations`, and so do we, so that its command
//! line and ours see the same. What the migrations said when they ran is kept beside it, as checksums,
//! in `viraldb_migrations`.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use diesel::connection::BoxableConnection;
use diesel::connection::SimpleConnection;
use diesel::migration::{self, MigrationMetadata, MigrationName, MigrationVersion};
use diesel::prelude::*;
use diesel::sql_types::{BigInt, Text};
use diesel_migrations::MigrationHarness;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::database::Opener;
use super::{DatabaseUrl, DbConnection, Options, on_backend};
use crate::error::{ResultExt, one_line};
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

/// One migration of one engine, embedded in the program.
pub struct Migration {
    /// Name of its folder, such as `2026-11-21-000002_compilation`.
    pub name: &'static str,
    /// What it does.
    pub up: &'static str,
    /// What takes it back.
    pub down: &'static str,
}

impl Migration {
    /// Its version as people read it: `2026-11-21-000002`.
    pub fn version(&self) -> &'static str {
        self.name.split_once('_').map_or(self.name, |(version, _)| version)
    }

    /// Its version as Diesel keeps it: `20261121000002`.
    fn key(&self) -> String {
        self.version().replace('-', "")
    }

    /// SHA-256 of its `up.sql`, whose line endings count as LF whatever they are.
    fn checksum(&self) -> String {
        let digest = Sha256::digest(self.up.replace("\r\n", "\n"));
        digest.iter().fold(String::new(), |mut hex, byte| {
            let _ = write!(hex, "{byte:02x}"); // a String takes all
            hex
        })
    }
}

impl fmt::Display for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

/// Its name alone: its text would fill a screen wherever a [`History`] is printed.
impl fmt::Debug for Migration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

impl MigrationName for Migration {
    fn version(&self) -> MigrationVersion<'_> {
        self.key().into()
    }
}

impl MigrationMetadata for Migration {}

impl<DB: diesel::backend::Backend> migration::Migration<DB> for Migration {
    fn run(&self, conn: &mut dyn BoxableConnection<DB>) -> migration::Result<()> {
        Ok(conn.batch_execute(self.up)?)
    }

    fn revert(&self, conn: &mut dyn BoxableConnection<DB>) -> migration::Result<()> {
        Ok(conn.batch_execute(self.down)?)
    }

    fn metadata(&self) -> &dyn MigrationMetadata {
        self
    }

    fn name(&self) -> &dyn MigrationName {
        self
    }
}

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
    known: &'static [Migration],
    /// Versions that are applied but have no checksum: another program applied them.
    unrecorded: Vec<String>,
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
        Ok(Self::compare(migrations(conn), &applied, &recorded))
    }

    /// Lays what the program knows beside what the database says.
    fn compare(
        known: &'static [Migration],
        applied: &[String],
        recorded: &BTreeMap<String, (String, Timestamp)>,
    ) -> Self {
        let newest_known = known.last().map(Migration::key).unwrap_or_default();
        let newest_applied = applied.last().cloned().unwrap_or_default();
        let mut entries: Vec<(String, Entry)> = known
            .iter()
            .map(|migration| {
                let key = migration.key();
                let record = recorded.get(&key);
                let state = match (applied.contains(&key), record) {
                    (true, Some((checksum, _))) if *checksum != migration.checksum() => State::Modified,
                    (true, _) => State::Applied,
                    (false, _) if key < newest_applied => State::OutOfOrder,
                    (false, _) => State::Pending,
                };
                let entry = Entry {
                    version: migration.version().to_owned(),
                    name: migration.name.to_owned(),
                    recorded_at: record.filter(|_| applied.contains(&key)).map(|(_, at)| *at),
                    state,
                };
                (key, entry)
            })
            .collect();
        for key in applied {
            if !known.iter().any(|migration| migration.key() == *key) {
                let state = if *key > newest_known { State::Newer } else { State::Missing };
                let recorded_at = recorded.get(key).map(|(_, at)| *at);
                entries.push((
                    key.clone(),
                    Entry { version: dashed(key), name: String::new(), state, recorded_at },
                ));
            }
        }
        entries.sort_by(|a, b| a.0.cmp(&b.0));
        Self {
            unrecorded: applied.iter().filter(|key| !recorded.contains_key(*key)).cloned().collect(),
            entries: entries.into_iter().map(|(_, entry)| entry).collect(),
            known,
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

/// How far the database at `url` is. Writes nothing; to a SQLite file that is not there all is pending,
/// and it is not made.
pub fn status(url: &str) -> Result<History> {
    let opener = opener(url)?;
    match opener.history() {
        Err(Error::NotInitialised(_)) => Ok(History::compare(embedded(url)?, &[], &BTreeMap::new())),
        history => history,
    }
}

/// Applies what is pending and returns the names of what was applied. Makes a SQLite file that is not
/// there.
pub fn run(url: &str) -> Result<Vec<&'static str>> {
    let opener = opener(url)?;
    opener.create()?;
    let mut conn = opener.for_migration()?;
    locked(&mut conn, apply_all).map_err(|error| error.in_database(&opener.url))
}

/// Takes back the newest `count` migrations, newest first, and returns their names.
pub fn revert(url: &str, count: usize) -> Result<Vec<&'static str>> {
    let opener = opener(url)?;
    require_initialised(&opener)?;
    let mut conn = opener.for_migration()?;
    locked(&mut conn, |conn| revert_newest(conn, count)).map_err(|error| error.in_database(&opener.url))
}

/// Takes back the newest `count` migrations and applies them again; returns the names applied.
pub fn redo(url: &str, count: usize) -> Result<Vec<&'static str>> {
    let opener = opener(url)?;
    require_initialised(&opener)?;
    let mut conn = opener.for_migration()?;
    locked(&mut conn, |conn| {
        let reverted = revert_newest(conn, count)?;
        let mut applied = Vec::new();
        for _ in reverted {
            applied.extend(apply_next(conn)?);
        }
        Ok(applied)
    })
    .map_err(|error| error.in_database(&opener.url))
}

/// The migrations of the engine that `url` names, oldest first.
pub fn embedded(url: &str) -> Result<&'static [Migration]> {
    match opener(url)?.url {
        #[cfg(feature = "postgres")]
        DatabaseUrl::Postgres(_) => Ok(super::postgres::MIGRATIONS),
        #[cfg(feature = "sqlite")]
        DatabaseUrl::File(_) | DatabaseUrl::Memory => Ok(super::sqlite::MIGRATIONS),
        #[allow(unreachable_patterns)] // with both engines
        _ => Ok(&[]), // `opener` lets only an engine through that is compiled in
    }
}

/// What [`Database::open`](crate::Database::open) does before it returns: nothing, and without a lock,
/// when the database is current.
pub(crate) fn prepare(conn: &mut DbConnection) -> Result<()> {
    let history = History::read(conn)?;
    history.require_ours()?;
    if history.verdict() == Verdict::Current && history.unrecorded.is_empty() {
        return Ok(());
    }
    locked(conn, apply_all).map(drop)
}

fn opener(url: &str) -> Result<Opener> {
    Opener::new(url.parse()?, &Options::default())
}

fn require_initialised(opener: &Opener) -> Result<()> {
    if opener.history()?.is_initialised() {
        Ok(())
    } else {
        Err(Error::NotInitialised(opener.url.to_string()))
    }
}

fn migrations(conn: &DbConnection) -> &'static [Migration] {
    match conn {
        #[cfg(feature = "sqlite")]
        DbConnection::Sqlite(_) => super::sqlite::MIGRATIONS,
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(_) => super::postgres::MIGRATIONS,
    }
}

/// Diesel's `20261121000002` as people read it.
fn dashed(key: &str) -> String {
    match (key.get(0..4), key.get(4..6), key.get(6..8), key.get(8..)) {
        (Some(year), Some(month), Some(day), Some(rest)) if !rest.is_empty() => {
            format!("{year}-{month}-{day}-{rest}")
        }
        _ => key.to_owned(),
    }
}

fn has_table(conn: &mut DbConnection, name: &str) -> Result<bool> {
    #[derive(QueryableByName)]
    struct Row {
        #[diesel(sql_type = BigInt)]
        count: i64,
    }
    let row: Row = on_backend!(
        conn,
        sqlite => |c| diesel::sql_query(
                "SELECT count(*) AS count FROM sqlite_master WHERE type = 'table' AND name = ?"
            )
            .bind::<Text, _>(name)
            .get_result(c),
        postgres => |c| diesel::sql_query("SELECT count(to_regclass($1)) AS count").bind::<Text, _>(name).get_result(c)
    )
    .of("the schema", "")?;
    Ok(row.count > 0)
}

/// Runs `work` while nobody else migrates: under an advisory lock of this session on PostgreSQL. On
/// SQLite each step is an IMMEDIATE transaction that looks again at what is pending; foreign keys are
/// off meanwhile, which they can only be outside a transaction, because rebuilding a table would
/// otherwise delete the rows that refer to it.
fn locked<T>(conn: &mut DbConnection, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
    on_backend!(
        &mut *conn,
        sqlite => |c| c.batch_execute("PRAGMA foreign_keys = OFF; PRAGMA busy_timeout = 30000"),
        postgres => |c| c.batch_execute(&format!("SELECT pg_advisory_lock({})", super::postgres::MIGRATION_LOCK))
    )?;
    let result = work(conn);
    // Whoever fails here has lost the connection, and with it the lock.
    let _ = on_backend!(
        conn,
        sqlite => |c| c.batch_execute("PRAGMA foreign_keys = ON"),
        postgres => |c| c.batch_execute(&format!("SELECT pg_advisory_unlock({})", super::postgres::MIGRATION_LOCK))
    );
    result
}

fn apply_all(conn: &mut DbConnection) -> Result<Vec<&'static str>> {
    let mut applied = Vec::new();
    while let Some(name) = apply_next(conn)? {
        tracing::info!(migration = name, "applied");
        applied.push(name);
    }
    Ok(applied)
}

/// Applies the oldest pending migration, in one transaction with its bookkeeping.
fn apply_next(conn: &mut DbConnection) -> Result<Option<&'static str>> {
    conn.atomically(|conn| {
        let history = History::read(conn)?;
        history.require_ours()?;
        let next = history.pending().next();
        if let Some(migration) = next {
            on_backend!(&mut *conn, |c| {
                // Makes Diesel's table.
                MigrationHarness::applied_migrations(c)
                    .and_then(|_| MigrationHarness::run_migration(c, migration).map(drop))
            })
            .map_err(|error| failed(migration, error))?;
            require_whole(conn, migration)?;
            forget(conn, migration)?;
        }
        record(conn)?;
        Ok(next.map(|migration| migration.name))
    })
}

fn revert_newest(conn: &mut DbConnection, count: usize) -> Result<Vec<&'static str>> {
    let mut reverted = Vec::new();
    for _ in 0..count {
        let name = conn.atomically(|conn| {
            let history = History::read(conn)?;
            history.require_ours()?;
            let newest = history.entries.iter().rev().find(|entry| entry.state == State::Applied);
            let Some(migration) =
                newest.and_then(|entry| history.known.iter().find(|m| m.name == entry.name))
            else {
                return Ok(None);
            };
            let key = migration.key();
            on_backend!(&mut *conn, |c| diesel::delete(viraldb_migrations::table.find(&key)).execute(c))
                .of("viraldb_migrations", &key)?;
            on_backend!(&mut *conn, |c| MigrationHarness::revert_migration(c, migration).map(drop))
                .map_err(|error| failed(migration, error))?;
            require_whole(conn, migration)?;
            Ok(Some(migration.name))
        })?;
        let Some(name) = name else { break };
        tracing::info!(migration = name, "reverted");
        reverted.push(name);
    }
    Ok(reverted)
}

/// Takes back the checksum of a migration that was applied before and that the stock Diesel command line
/// reverted: it may have said something else then.
fn forget(conn: &mut DbConnection, migration: &Migration) -> Result<()> {
    if has_table(conn, "viraldb_migrations")? {
        let key = migration.key();
        on_backend!(conn, |c| diesel::delete(viraldb_migrations::table.find(&key)).execute(c))
            .of("viraldb_migrations", &key)?;
    }
    Ok(())
}

/// Records the checksums of what is applied and has none: of what was just applied, and of what the
/// stock Diesel command line applied.
fn record(conn: &mut DbConnection) -> Result<()> {
    let history = History::read(conn)?;
    let rows: Vec<_> = history
        .known
        .iter()
        .filter(|migration| history.unrecorded.contains(&migration.key()))
        .map(|m| (viraldb_migrations::version.eq(m.key()), viraldb_migrations::checksum.eq(m.checksum())))
        .collect();
    if !rows.is_empty() && has_table(conn, "viraldb_migrations")? {
        on_backend!(conn, |c| diesel::insert_into(viraldb_migrations::table).values(&rows).execute(c))
            .of("viraldb_migrations", "")?;
    }
    Ok(())
}

/// Refuses to commit a migration that leaves a row whose parent is gone. PostgreSQL sees to it itself.
fn require_whole(conn: &mut DbConnection, migration: &Migration) -> Result<()> {
    let orphans: i64 = on_backend!(
        conn,
        sqlite => |c| diesel::select(diesel::dsl::sql::<BigInt>("(SELECT count(*) FROM pragma_foreign_key_check)"))
                .get_result(c),
        postgres => |_c| Ok(0)
    )
    .of("the schema", "")?;
    if orphans == 0 {
        return Ok(());
    }
    Err(Error::invalid(
        format!("migration {migration}"),
        format!("leaves {orphans} rows that refer to rows which are not there; nothing was changed"),
    ))
}

/// Why a migration did not run, with Diesel's own errors mapped as everywhere.
fn failed(migration: &Migration, error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    match error.downcast::<diesel::result::Error>() {
        Ok(error) => match Error::from(*error) {
            Error::Database { source, .. } => Error::invalid(
                format!("migration {migration}"),
                format!("failed and left nothing behind: {}", one_line(&source.to_string())),
            ),
            other => other,
        },
        Err(error) => Error::invalid(format!("migration {migration}"), one_line(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checksum(up: &'static str) -> String {
        Migration { name: "2026-11-21-000001_x", up, down: "" }.checksum()
    }

    #[test]
    fn checksums_do_not_depend_on_line_endings() {
        let unix = checksum("CREATE TABLE x (\n    id int\n);\n");
        assert_eq!(checksum("CREATE TABLE x (\r\n    id int\r\n);\r\n"), unix);
        assert_eq!(unix.len(), 64);
        for other in [
            "CREATE TABLE x (\n    id int\n);",
            "CREATE TABLE x (\r    id int\r);\r",
            "CREATE TABLE x (\n   id int\n);\n",
        ] {
            assert_ne!(checksum(other), unix, "{other:?}");
        }
    }

    #[test]
    fn versions_read_as_their_folders_do() {
        let migration = Migration { name: "2026-11-21-000002_compilation", up: "", down: "" };
        assert_eq!((migration.version(), &*migration.key()), ("2026-11-21-000002", "20261121000002"));
        assert_eq!(dashed(&migration.key()), migration.version());
        for odd in ["", "1", "20261121", "äöü"] {
            assert_eq!(dashed(odd), odd);
        }
    }
}
