//! Migration functions for a database given by URL.

use std::collections::BTreeMap;

use super::embedded::of_engine;
use super::history::History;
use super::migration::{Direction, Migration};
use super::namespace::Namespace;
use super::runner;
use crate::db::identifier::quoted;
use crate::db::opener::Opener;
use crate::db::options::Options;
use crate::db::{DatabaseUrl, DbConnection};
use crate::{Error, Result};

/// Returns the migration history of the database at `url`. Writes nothing. If the SQLite file does not exist, all migrations
/// are pending, and the file is not created.
///
/// ```
/// use viraldb::db::migrate::{self, Verdict};
///
/// # fn main() -> viraldb::Result<()> {
/// let history = migrate::status("sqlite::memory:")?; // a new database
/// assert_eq!(history.verdict(), Verdict::Pending);
/// assert_eq!(history.pending().count(), migrate::embedded("sqlite::memory:")?.len());
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::UnsupportedUrl`] if the URL is invalid; [`Error::Disconnected`], [`Error::Unusable`], [`Error::Busy`] or
/// [`Error::Io`] if the database cannot be read. A history that differs from this program's migrations is not an error.
pub fn status(url: &str) -> Result<History> {
    status_of(url.parse()?)
}

/// Like [`status`], for a parsed URL, so that a file may have any name.
pub(crate) fn status_of(url: DatabaseUrl) -> Result<History> {
    let opener = Opener::new(url, &Options::default())?;
    match opener.history() {
        Err(Error::NotInitialised(_)) => Ok(History::compare(of_engine(&opener.url), &[], &BTreeMap::new())),
        history => history,
    }
}

/// Applies the pending migrations and returns their names. Creates the SQLite file if it does not exist.
///
/// # Errors
/// - [`Error::SchemaNewer`] and [`Error::SchemaModified`] if the migrations applied to the database differ from those of this
///   program.
/// - [`Error::Unusable`] if another program's tables have the same names, or the role may not create tables.
/// - `Invalid` if a migration fails. It is rolled back, and the message lists the migrations that stay applied.
/// - [`Error::Busy`] if another program holds the lock that a migration needs for too long.
/// - The errors of [`status`] if the database cannot be opened.
pub fn run(url: &str) -> Result<Vec<&'static str>> {
    run_on(url.parse()?)
}

/// Like [`run`], for a parsed URL, so that a file may have any name.
pub(crate) fn run_on(url: DatabaseUrl) -> Result<Vec<&'static str>> {
    let opener = Opener::new(url, &Options::default())?;
    let schema = opener.url.schema();
    opener
        .made(|conn| runner::unbound(conn, |conn| runner::apply_all(conn, schema.as_deref())))
        .map(|(_, applied)| applied)
}

/// Reverts the newest `count` migrations, newest first, and returns their names.
///
/// # Errors
/// [`Error::NotInitialised`] if there is no viraldb database, `Invalid` if a migration cannot be reverted, and otherwise the
/// errors of [`run`]. The message lists the migrations that were reverted before the failure.
pub fn revert(url: &str, count: usize) -> Result<Vec<&'static str>> {
    initialised(url, |conn| runner::unbound(conn, |conn| runner::revert_newest(conn, count)))
}

/// Reverts the newest `count` migrations, applies them again, and returns the names of the applied ones.
///
/// # Errors
/// The errors of [`revert`] and [`run`]. The message lists the migrations that were reverted.
pub fn redo(url: &str, count: usize) -> Result<Vec<&'static str>> {
    initialised(url, |conn| runner::unbound(conn, |conn| runner::redo_newest(conn, count)))
}

/// Returns the embedded migrations for the engine of `url`, oldest first.
///
/// # Errors
/// [`Error::UnsupportedUrl`] if the URL is invalid, or this viraldb was built without its engine.
pub fn embedded(url: &str) -> Result<&'static [Migration]> {
    Ok(of_engine(&opener(url)?.url))
}

/// Returns the SQL that applies or reverts migrations in the database at `url`, in their order.
///
/// On PostgreSQL this is the SQL for the schema that the database uses. If that is not `public`, the SQL also sets
/// `search_path`, so that you can run it in any session. A schema that the URL names need not exist, and then the server is
/// not asked.
///
/// The SQL does not record the migrations in Diesel's table.
///
/// # Errors
/// The errors of connecting to PostgreSQL if the URL names no schema, because the role may have a `search_path`.
pub fn sql(url: &str, migrations: &[&Migration], direction: Direction) -> Result<String> {
    let opener = opener(url)?;
    let place = namespace(&opener)?;
    let mut sql = String::new();
    if place != Namespace::default() && !migrations.is_empty() {
        let schema = quoted(&place.tables);
        // Only the first migration needs this, and the statement needs a privilege even if the schema exists.
        let first = of_engine(&opener.url).first().map(|migration| migration.name);
        if direction == Direction::Up && migrations.iter().any(|migration| Some(migration.name) == first) {
            sql += &format!("CREATE SCHEMA IF NOT EXISTS {schema};\n");
        }
        sql += &format!("SET search_path = {schema};\n\n");
    }
    for migration in migrations {
        sql += &format!("-- {}\n\n{}\n", migration.name, place.adapted(migration.text(direction)));
    }
    Ok(sql)
}

/// Returns the schemas that the migrations of a database use.
#[cfg_attr(not(feature = "postgres"), allow(unused_variables))] // SQLite has no schemas
fn namespace(opener: &Opener) -> Result<Namespace> {
    #[cfg(feature = "postgres")]
    if let DatabaseUrl::Postgres(url) = &opener.url {
        return match crate::db::schema::named(url) {
            Some(schema) => Ok(Namespace::of(&schema)),
            None => opener
                .reader()
                .and_then(|mut conn| Namespace::of_connection(&mut conn))
                .map_err(|error| error.with("to print SQL without a server, add ?schema=public to the URL")),
        };
    }
    Ok(Namespace::default())
}

fn opener(url: &str) -> Result<Opener> {
    Opener::new(url.parse()?, &Options::default())
}

/// Runs `work` on an existing viraldb database.
fn initialised<T>(url: &str, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
    let opener = opener(url)?;
    let history = opener.history()?;
    if !history.is_initialised() {
        return Err(opener.not_initialised());
    }
    opener.for_migration().and_then(|mut conn| work(&mut conn)).map_err(|error| opener.explained(error))
}
