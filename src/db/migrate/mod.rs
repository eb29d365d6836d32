//! Migrations: embedded in the program, serialized by a lock, and checked against those applied to the database.
//!
//! Like Diesel, viraldb keeps the applied versions in `__diesel_schema_migrations`, so that the Diesel CLI and viraldb see the
//! same state. In addition, `viraldb_migrations` keeps a checksum of each applied migration.

mod by_url;
pub(crate) mod embedded;
pub(crate) mod history;
mod migration;
mod namespace;
pub(crate) mod room;
mod runner;

use super::{DatabaseUrl, DbConnection};
use crate::Result;

pub use by_url::{embedded, redo, revert, run, sql, status};
pub(crate) use by_url::{run_on, status_of};
pub(crate) use history::dashed;
pub use history::{Entry, History, State, Verdict};
pub(crate) use migration::newest_query;
pub use migration::{Direction, Migration};
#[cfg(feature = "postgres")]
pub(crate) use namespace::{Namespace, channel_of};

/// Migrates a database for [`Database::open`](crate::Database::open) and returns its new history. Does nothing and takes no
/// lock if the database is current. `url` may name the PostgreSQL schema to create.
pub(crate) fn prepare(conn: &mut DbConnection, url: &DatabaseUrl) -> Result<History> {
    let history = History::read(conn)?;
    history.require_ours()?;
    if history.verdict() == Verdict::Current && history.unrecorded.is_empty() {
        return Ok(history);
    }
    runner::unbound(conn, |conn| runner::apply_all(conn, url.schema().as_deref()))?;
    History::read(conn)
}
