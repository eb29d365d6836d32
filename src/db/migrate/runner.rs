//! Applies and reverts migrations one by one, and records them.

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

/// Runs `work` with foreign keys turned off on SQLite, because rebuilding a table would delete the rows that refer to it.
/// Foreign keys can be turned off only outside a transaction.
pub(super) fn unbound<T>(
    conn: &mut DbConnection,
    work: impl FnOnce(&mut DbConnection) -> Result<T>,
) -> Result<T> {
    bind(conn, false)?;
    let result = work(conn);
    // This fails only if the connection is lost.
    let _ = bind(conn, true);
    result
}

#[cfg_attr(not(feature = "sqlite"), allow(unused_variables))] // only SQLite turns foreign keys off
fn bind(conn: &mut DbConnection, on: bool) -> QueryResult<()> {
    on_backend!(
        conn,
        sqlite => |c| c.batch_execute(&format!("PRAGMA foreign_keys = {on}")),
        postgres => |_c| Ok(())
    )
}

/// Runs one migration step in a transaction that excludes other migrations: IMMEDIATE on SQLite, with an advisory lock on
/// PostgreSQL. `work` must read the history again. The step keeps no session state, so that it also works through a pooler.
///
/// On SQLite, programs that start concurrently wait here for each other: as long as the history advances, another program is
/// migrating and will finish. If the history does not advance during the whole `busy_timeout`, the lock belongs to a program
/// that does something else, and the step fails.
///
/// `schema` is the schema named in the URL. The schema might not exist yet, so viraldb takes the lock by the schema's name.
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

/// Applies all pending migrations, oldest first, and returns their names. On PostgreSQL, creates `schema` if it does not exist.
pub(super) fn apply_all(conn: &mut DbConnection, schema: Option<&str>) -> Result<Vec<&'static str>> {
    apply(conn, schema, usize::MAX)
}

pub(super) fn redo_newest(conn: &mut DbConnection, count: usize) -> Result<Vec<&'static str>> {
    let reverted = revert_newest(conn, count)?;
    apply(conn, None, reverted.len())
        .map_err(|error| error.with(&format!("reverted: {}", reverted.join(", "))))
}

/// Applies the oldest pending migrations, at most `count`.
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
            Err(error) => {
                return Err(error.with(&format!("applied before the failure: {}", applied.join(", "))));
            }
        }
    }
    Ok(applied)
}

/// Applies and records the oldest pending migration. On a new database it applies all of them in one transaction, at most
/// `count`, because a new database with only some of the migrations would be useless.
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
            // This creates Diesel's table.
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
            Err(error) => {
                return Err(error.with(&format!("reverted before the failure: {}", reverted.join(", "))));
            }
        }
    }
    Ok(reverted)
}

/// Reverts the newest migration and deletes its record.
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

/// Deletes the checksum of an earlier run of a migration that the stock Diesel CLI reverted later. The migration may have had
/// different SQL in that run.
fn forget(conn: &mut DbConnection, migration: &Migration) -> Result<()> {
    if has_table(conn, "viraldb_migrations")? {
        let key = migration.key();
        on_backend!(conn, |c| diesel::delete(viraldb_migrations::table.find(&key)).execute(c))
            .of("viraldb_migrations", &key)?;
    }
    Ok(())
}

/// Records the checksums of applied migrations that have none: migrations that were just applied, or that the stock Diesel
/// CLI applied.
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

/// Rejects a migration that leaves rows with missing parents, so that it is rolled back. PostgreSQL checks this by itself.
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
        format!("would leave {orphans} rows that refer to missing rows; it was rolled back"),
    ))
}

/// Maps the error of a migration. Diesel's errors are mapped as in the rest of the crate, and most get the migration's name.
fn failed(migration: &Migration, error: Box<dyn std::error::Error + Send + Sync>) -> Error {
    match error.downcast::<diesel::result::Error>() {
        Ok(error) => match Error::from(*error) {
            error @ (Error::Busy { .. } | Error::Disconnected { .. } | Error::Unusable { .. }) => error,
            other => Error::invalid(
                format!("migration {migration}"),
                format!("failed and was rolled back: {}", one_line(&other.to_string())),
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
    fn a_failed_migration_is_named_in_the_error() {
        let migration = Migration { name: "2026-11-21-000001_x", up: "", down: "", reworded_from: None };
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
            assert!(said.starts_with("migration 2026-11-21-000001_x failed and was rolled back: "), "{said}");
            assert!(said.ends_with("told"), "{said}");
        }
        assert!(!said(DatabaseErrorKind::Unknown, "database is locked").contains("migration"));
    }
}
