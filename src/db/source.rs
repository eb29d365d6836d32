//! A server or file, and reads from it.

use std::sync::Arc;
use std::time::Duration;

#[cfg(feature = "postgres")]
use super::DatabaseUrl;
use super::DbConnection;
use super::opener::Opener;
use super::pool::{Connections, Pool, Pooled};
use crate::Result;

/// A server or file with its connection pool: the readers on SQLite, all connections on PostgreSQL.
pub(super) struct Source(Arc<Pool>);

impl Source {
    pub(super) fn new(opener: Opener) -> Self {
        Self(Pool::new(opener))
    }

    pub(super) fn opener(&self) -> &Opener {
        &self.0.opener
    }

    pub(super) fn connections(&self) -> Connections {
        self.0.connections()
    }

    pub(super) fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    #[cfg(not(feature = "sqlite"))]
    pub(super) fn take(&self) -> Result<Pooled> {
        self.0.take()
    }

    pub(super) fn close(&self, wait: Duration) -> u32 {
        self.0.close(wait)
    }

    pub(super) fn read<T>(&self, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        let result = match self.opener().url {
            #[cfg(feature = "postgres")]
            DatabaseUrl::Postgres(_) => {
                self.begun(super::postgres::BEGIN_READ).and_then(|mut conn| conn.finish(work))
            }
            _ => self.0.take().and_then(|mut conn| work(&mut conn)),
        };
        result.map_err(|error| self.opener().explained(error.in_read()))
    }

    /// Takes a connection and begins a transaction that waits for locks at most for `busy_timeout`. The timeout is set for the
    /// transaction only, because PgBouncer keeps no setting for longer.
    pub(super) fn begun(&self, sql: &str) -> Result<Pooled> {
        let wait = self.opener().options.busy_timeout.as_millis();
        let sql = format!("{sql}; SET LOCAL lock_timeout = {wait}");
        self.alive(|conn| conn.begin(&sql))
    }

    /// Takes a connection on which `first` succeeds. A pooled connection may have been lost since its last use; then it is
    /// closed and another one is tried.
    pub(super) fn alive(&self, first: impl Fn(&mut DbConnection) -> Result<()>) -> Result<Pooled> {
        let mut tries = self.0.size() + 1;
        loop {
            let mut conn = self.0.take()?;
            match first(&mut conn) {
                Ok(()) => return Ok(conn),
                Err(error) => {
                    conn.close();
                    tries -= 1;
                    if tries == 0 {
                        return Err(error);
                    }
                }
            }
        }
    }
}
