//! An example program that adds its own tables to a viraldb database, on SQLite and PostgreSQL.
//!
//! Its tables have foreign keys to viraldb's tables. It has its own migrations and runs queries over both sets of tables. It
//! depends on `diesel` directly, in the same version as viraldb.

pub mod models;
pub mod queries;
pub mod schema;

use diesel_migrations::{EmbeddedMigrations, MigrationHarness, embed_migrations};
use viraldb::{Database, Result, on_backend};

#[cfg(feature = "sqlite")]
const SQLITE: EmbeddedMigrations = embed_migrations!("migrations/sqlite");
#[cfg(feature = "postgres")]
const POSTGRES: EmbeddedMigrations = embed_migrations!("migrations/postgres");

/// Opens the database and migrates both schemas: viraldb's first, because the program's tables refer to it.
///
/// # Errors
/// The errors of [`Database::open`], and Diesel's error if one of the program's migrations fails.
pub fn open(url: &str) -> Result<Database> {
    let db = Database::open(url)?;
    migrate(&db)?;
    Ok(db)
}

/// Runs the program's pending migrations and returns their number.
///
/// They run in one transaction, which only one process can enter at a time.
///
/// # Errors
/// Diesel's error if a migration fails. Then none of them has been applied.
pub fn migrate(db: &Database) -> Result<usize> {
    db.write(|c| {
        let ran = on_backend!(
            c,
            sqlite => |c| c.run_pending_migrations(SQLITE).map(|ran| ran.len()),
            postgres => |c| {
                // Any number works that no other program in this database uses for an advisory lock.
                diesel::connection::SimpleConnection::batch_execute(c, "SELECT pg_advisory_xact_lock(20270201)")?;
                c.run_pending_migrations(POSTGRES).map(|ran| ran.len())
            }
        );
        Ok(ran?)
    })
}
