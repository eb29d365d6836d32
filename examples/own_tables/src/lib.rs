//! A program that keeps tables of its own in the database of viraldb: with foreign keys into viraldb's tables, with
//! migrations of its own, and with queries over both, on SQLite and on PostgreSQL.
//!
//! Its `diesel` is a dependency of its own, of the same version as viraldb's.

pub mod models;
pub mod queries;
pub mod schema;

use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use viraldb::{Database, Result, on_backend};

#[cfg(feature = "sqlite")]
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
#[cfg(feature = "postgres")]
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Opens the database and brings both schemas up to date: viraldb's first, because ours refers to it.
///
/// # Errors
/// Those of [`Database::open`], and what Diesel says of a migration of ours that fails.
pub fn open(url: &str) -> Result<Database> {
    let db = Database::open(url)?;
    migrate(&db)?;
    Ok(db)
}

/// Runs the program's own migrations that have not run yet, and returns how many these were.
///
/// All run in one transaction, which only one program at a time is in.
///
/// # Errors
/// What Diesel says of the migration that fails. Then none of them has run.
pub fn migrate(db: &Database) -> Result<usize> {
    db.write(|c| {
        let ran = on_backend!(
            c,
            sqlite => |c| c.run_pending_migrations(SQLITE).map(|ran| ran.len()),
            postgres => |c| {
                // Any number that no other program in this database uses.
                diesel::connection::SimpleConnection::batch_execute(c, "SELECT pg_advisory_xact_lock(20270201)")?;
                c.run_pending_migrations(POSTGRES).map(|ran| ran.len())
            }
        );
        Ok(ran?)
    })
}
