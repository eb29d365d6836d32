//! Migrations: embedded, serialised by a lock, and checked against what was applied.
//!
//! Diesel keeps the versions that ran in `__diesel_schema_migrations`, and so do we, so that its command
//! line and ours see the same. What the migrations said when they ran is kept beside it, as checksums,
//! in `viraldb_migrations`.

mod by_url;
pub(crate) mod embedded;
pub(crate) mod history;
mod migration;
mod namespace;
pub(crate) mod room;
mod runner;

use super::{DatabaseUrl, DbConnection};
use crate::Result;

pub use by_url::{embedded, redo, revert, run, status};
pub(crate) use by_url::{run_on, status_of};
pub(crate) use history::dashed;
pub use history::{Entry, History, State, Verdict};
pub use migration::Migration;
pub(crate) use migration::newest_query;
#[cfg(feature = "postgres")]
pub(crate) use namespace::{Namespace, channel_of};

/// What [`Database::open`](crate::Database::open) does before it returns: nothing, and without a lock,
/// when the database is current. Returns the history that it has then. `url` may name the schema to make.
pub(crate) fn prepare(conn: &mut DbConnection, url: &DatabaseUrl) -> Result<History> {
    let history = History::read(conn)?;
    history.require_ours()?;
    if history.verdict() == Verdict::Current && history.unrecorded.is_empty() {
        return Ok(history);
    }
    runner::unbound(conn, |conn| runner::apply_all(conn, url.schema().as_deref()))?;
    History::read(conn)
}
