//! Migration functions for a database given by URL.

use std::collections::BTreeMap;

use super::embedded::of_engine;
use super::history::History;
use super::migration::Migration;
use super::runner;
use crate::db::opener::Opener;
use crate::db::options::Options;
use crate::db::{DatabaseUrl, DbConnection};
use crate::{Error, Result};

/// Returns the migration history of the database at `url`. Writes nothing. If the SQLite file does not exist, all migrations
/// are pending, and the file is not created.
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
pub fn revert(url: &str, count: usize) -> Result<Vec<&'static str>> {
    initialised(url, |conn| runner::unbound(conn, |conn| runner::revert_newest(conn, count)))
}

/// Reverts the newest `count` migrations, applies them again, and returns the names of the applied ones.
pub fn redo(url: &str, count: usize) -> Result<Vec<&'static str>> {
    initialised(url, |conn| runner::unbound(conn, |conn| runner::redo_newest(conn, count)))
}

/// Returns the embedded migrations for the engine of `url`, oldest first.
pub fn embedded(url: &str) -> Result<&'static [Migration]> {
    Ok(of_engine(&opener(url)?.url))
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
