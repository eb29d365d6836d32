//! What is done with the migrations of a database that is not open.

use std::collections::BTreeMap;

use super::embedded::of_engine;
use super::history::History;
use super::migration::Migration;
use super::runner;
use crate::db::opener::Opener;
use crate::db::options::Options;
use crate::db::{DatabaseUrl, DbConnection};
use crate::{Error, Result};

/// How far the database at `url` is. Writes nothing; to a SQLite file that is not there all is pending,
/// and it is not made.
pub fn status(url: &str) -> Result<History> {
    status_of(url.parse()?)
}

/// [`status`], of a file whatever its name.
pub(crate) fn status_of(url: DatabaseUrl) -> Result<History> {
    let opener = Opener::new(url, &Options::default())?;
    match opener.history() {
        Err(Error::NotInitialised(_)) => Ok(History::compare(of_engine(&opener.url), &[], &BTreeMap::new())),
        history => history,
    }
}

/// Applies what is pending and returns the names of what was applied. Makes a SQLite file that is not
/// there.
pub fn run(url: &str) -> Result<Vec<&'static str>> {
    run_on(url.parse()?)
}

/// [`run`], on a file whatever its name.
pub(crate) fn run_on(url: DatabaseUrl) -> Result<Vec<&'static str>> {
    let opener = Opener::new(url, &Options::default())?;
    let schema = opener.url.schema();
    opener
        .made(|conn| runner::unbound(conn, |conn| runner::apply_all(conn, schema.as_deref())))
        .map(|(_, applied)| applied)
}

/// Takes back the newest `count` migrations, newest first, and returns their names.
pub fn revert(url: &str, count: usize) -> Result<Vec<&'static str>> {
    initialised(url, |conn| runner::unbound(conn, |conn| runner::revert_newest(conn, count)))
}

/// Takes back the newest `count` migrations and applies them again; returns the names applied.
pub fn redo(url: &str, count: usize) -> Result<Vec<&'static str>> {
    initialised(url, |conn| runner::unbound(conn, |conn| runner::redo_newest(conn, count)))
}

/// The migrations of the engine that `url` names, oldest first.
pub fn embedded(url: &str) -> Result<&'static [Migration]> {
    Ok(of_engine(&opener(url)?.url))
}

fn opener(url: &str) -> Result<Opener> {
    Opener::new(url.parse()?, &Options::default())
}

/// Works on a database that is there already.
fn initialised<T>(url: &str, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
    let opener = opener(url)?;
    let history = opener.history()?;
    if !history.is_initialised() {
        return Err(opener.not_initialised());
    }
    opener.for_migration().and_then(|mut conn| work(&mut conn)).map_err(|error| opener.explained(error))
}
