//! Applies migrations and takes them back, one at a time, and keeps the books.

#[cfg(feature = "sqlite")]
use diesel::connection::SimpleConnection;
use diesel::prelude::*;
use diesel_migrations::MigrationHarness;

use super::history::{History, SELF_RECORDED, State};
use super::migration::Migration;
use super::namespace::{Adapted, Namespace};
use super::room;
use crate::db::catalog::has_table;
use crate::db::{DbConnection, on_backend};
use crate::error::ResultExt;
use crate::quote::one_line;
use crate::schema::viraldb_migrations;
use crate::{Error, Result};

/// Runs `work` without foreign keys on SQLite, because rebuilding a table would delete the rows that refer to it.
/// They can only be off outside a transaction.
pub(super) fn unbound<T>(
    conn: &mut DbConnection,
    work: impl FnOnce(&mut DbConnection) -> Result<T>,
) -> Result<T> {
    bind(conn, false)?;
    let result = work(conn);
    // Whoever fails here has lost the connection.
    let _ = bind(conn, true);
    result
}

#[cfg_attr(not(feature = "sqlite"), allow(unused_variables))] // PostgreSQL drops nothing by itself
fn bind(conn: &mut DbConnection, on: bool) -> QueryResult<()> {
    on_backend!(
        conn,
        sqlite => |c| c.batch_execute(&format!("PRAGMA foreign_keys = {on}")),
        postgres => |_c| Ok(())
    )
}

/// One step, in one transaction that looks again at what is pending, and in which nobody else migrates: IMMEDIATE on
/// SQLite, under an advisory lock on PostgreSQL. It keeps no state of the session, so that it also runs through a
/// pooler.
///
/// On SQLite several programs that start at once wait here for each other: as long as the history moves, somebody
/// migrates and will be done. A lock under which nothing moves for the whole of `busy_timeout` is another program's.
///
/// `schema` is the one that the URL names. It may not exist yet, and its lock is taken by its name.
#[cfg_attr(not(feature = "postgres"), allow(unused_variables))] // SQLite has no schemas
fn step<T>(
    conn: &mut DbConnection,
    schema: Option<&str>,
    work: impl Fn(&mut DbConnection) -> Result<T>,
) -> Result<T> {
    let begin = on_backend!(
        &*conn,
        sqlite => |_c| "BEGIN IMMEDIATE",
        postgres => |_c| crate::db::postgres::BEGIN_MIGRATION
    );
    let alone = |conn: &mut DbConnection| {
        on_backend!(&mut *conn, sqlite => |_c| Ok(()), postgres => |c| crate::db::postgres::lock_migrations(c, schema))
            .of("the schema", "")?;
        work(conn)
    };
    loop {
        let before = History::read(conn)?.newest_applied().map(str::to_owned);
        match conn.begin(begin).and_then(|()| conn.finish(alone)) {
            Err(Error::Busy { .. }) if History::read(conn)?.newest_applied() != before.as_deref() => {}
            result => return result,
        }
    }
}

/// Applies what is pending, oldest first. On PostgreSQL `schema` is made if it does not exist.
pub(super) fn apply_all(conn: &mut DbConnection, schema: Option<&str>) -> Result<Vec<&'static str>> {
    apply(conn, schema, usize::MAX)
}

pub(super) fn redo_newest(conn: &mut DbConnection, count: usize) -> Result<Vec<&'static str>> {
    let reverted = revert_newest(conn, count)?;
    apply(conn, None, reverted.len())
        .map_err(|error| error.with(&format!("reverted: {}", reverted.join(", "))))
}

/// Applies the oldest `count` of what is pending.
fn apply(conn: &mut DbConnection, schema: Option<&str>, count: usize) -> Result<Vec<&'static str>> {
    let mut applied = Vec::new();
    while applied.len() < count {
        match step(conn, schema, |conn| apply_next(conn, schema, count - applied.len())) {
            Ok(names) if names.is_empty() => break,
            Ok(names) => {
                for name in &names {
                    tracing::info!(migration = name, "applied");
                }
                applied.extend(names);
            }
            Err(error) if applied.is_empty() => return Err(error),
            Err(error) => return Err(error.with(&format!("applied before it: {}", applied.join(", ")))),
        }
    }
    Ok(applied)
}

/// Applies the oldest pending migration with its bookkeeping; all of them, at most `count`, to a database that has none
/// yet: there half of them are of no use.
#[cfg_attr(not(feature = "postgres"), allow(unused_variables))] // SQLite has no schemas
fn apply_next(conn: &mut DbConnection, schema: Option<&str>, count: usize) -> Result<Vec<&'static str>> {
    let history = History::read(conn)?;
    history.require_ours()?;
    if let Some(schema) = schema {
        on_backend!(&mut *conn, sqlite => |_c| Ok::<(), Error>(()), postgres => |c| room::make_schema(c, schema))?;
    }
    room::require(conn, &history)?;
    let place = Namespace::of_connection(conn)?;
    let next: Vec<&Migration> =
        history.pending().take(if history.is_initialised() { 1 } else { count }).collect();
    for migration in &next {
        on_backend!(&mut *conn, |c| {
            // Makes Diesel's table.
            MigrationHarness::applied_migrations(c).and_then(|_| {
                MigrationHarness::run_migration(c, &Adapted { migration, place: &place }).map(drop)
            })
        })
        .map_err(|error| failed(migration, error))?;
        require_whole(conn, migration)?;
        forget(conn, migration)?;
    }
    record(conn)?;
    Ok(next.iter().map(|migration| migration.name).collect())
}

pub(super) fn revert_newest(conn: &mut DbConnection, count: usize) -> Result<Vec<&'static str>> {
    let mut reverted = Vec::new();
    while reverted.len() < count {
        match step(conn, None, revert_one) {
            Ok(Some(name)) => {
                tracing::info!(migration = name, "reverted");
                reverted.push(name);
            }
            Ok(None) => break,
            Err(error) if reverted.is_empty() => return Err(error),
            Err(error) => return Err(error.with(&format!("reverted before it: {}", reverted.join(", ")))),
        }
    }
    Ok(reverted)
}

/// Takes back the newest migration with its bookkeeping.
fn revert_one(conn: &mut DbConnection) -> Result<Option<&'static str>> {
    let history = History::read(conn)?;
    history.require_ours()?;
    let newest = history.entries.iter().rev().find(|entry| entry.state == State::Applied);
    let Some(migration) = newest.and_then(|entry| history.known.iter().find(|m| m.name == entry.name)) else {
        return Ok(None);
    };
    let key = migration.key();
    on_backend!(&mut *conn, |c| diesel::delete(viraldb_migrations::table.find(&key)).execute(c))
        .of("viraldb_migrations", &key)?;
    let place = Namespace::of_connection(conn)?;
    on_backend!(&mut *conn, |c| MigrationHarness::revert_migration(c, &Adapted { migration, place: &place })
        .map(drop))
    .map_err(|error| failed(migration, error))?;
    require_whole(conn, migration)?;
    Ok(Some(migration.name))
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
        let of_itself = viraldb_migrations::table.filter(viraldb_migrations::checksum.eq(SELF_RECORDED));
        on_backend!(&mut *conn, |c| diesel::delete(of_itself).execute(c)).of("viraldb_migrations", "")?;
        on_backend!(conn, |c| diesel::insert_into(viraldb_migrations::table).values(&rows).execute(c))
            .of("viraldb_migrations", "")?;
    }
    Ok(())
}

/// Refuses to commit a migration that leaves a row whose parent is gone. PostgreSQL sees to it itself.
fn require_whole(conn: &mut DbConnection, migration: &Migration) -> Result<()> {
    let orphans: i64 = on_backend!(
        conn,
        sqlite => |c| diesel::select(diesel::dsl::sql::<diesel::sql_types::BigInt>("(SELECT count(*) FROM pragma_foreign_key_check)"))
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
            error @ (Error::Busy { .. } | Error::Disconnected { .. } | Error::Unusable { .. }) => error,
            other => Error::invalid(
                format!("migration {migration}"),
                format!("failed and left nothing behind: {}", one_line(&other.to_string())),
            ),
        },
        Err(error) => Error::invalid(format!("migration {migration}"), one_line(&error.to_string())),
    }
}

#[cfg(test)]
mod tests {
    use diesel::result::{DatabaseErrorKind, Error as Diesel};

    use super::*;

    #[test]
    fn a_migration_that_fails_is_named() {
        let migration = Migration { name: "2026-11-21-000001_x", up: "", down: "" };
        let said = |kind, message: &str| {
            let error = Diesel::DatabaseError(kind, Box::new(message.to_owned()));
            failed(&migration, Box::new(error)).to_string()
        };
        for kind in [
            DatabaseErrorKind::UniqueViolation,
            DatabaseErrorKind::CheckViolation,
            DatabaseErrorKind::Unknown,
        ] {
            let said = said(kind, "told");
            assert!(
                said.starts_with("migration 2026-11-21-000001_x failed and left nothing behind: "),
                "{said}"
            );
            assert!(said.ends_with("told"), "{said}");
        }
        assert!(!said(DatabaseErrorKind::Unknown, "database is locked").contains("migration"));
    }
}
