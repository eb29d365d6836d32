//! Many rows, written in chunks that leave room for other writers.
//!
//! SQLite has one write lock for the whole file. A large transaction is cheap for the one who writes: each page that it
//! changes goes into the write-ahead log once. For everybody else it is a wait. So a chunk is long while nobody else
//! writes, and short as soon as somebody does, with a rest behind it in which the others come to their turn. On
//! PostgreSQL writers do not wait for each other, and a chunk is as large as it is given.

#[cfg(feature = "sqlite")]
mod sqlite;

use std::time::{Duration, Instant};

#[cfg(feature = "sqlite")]
use sqlite::Own;

use super::{Database, DbConnection};
use crate::Result;

/// How long a chunk is to take on PostgreSQL.
const ON_POSTGRES: Duration = Duration::from_secs(1);

/// Writes many rows, chunk by chunk.
pub(crate) struct Bulk<'a> {
    db: &'a Database,
    /// How long the last chunk took.
    took: Duration,
    #[cfg(feature = "sqlite")]
    own: Option<Own>,
}

/// A chunk that is being written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk {
    end: Option<Instant>,
}

impl Chunk {
    /// Whether it has held the lock for as long as it may: what is left belongs into the next one.
    pub(crate) fn is_over(self) -> bool {
        self.end.is_some_and(|end| Instant::now() >= end)
    }
}

impl<'a> Bulk<'a> {
    pub(crate) fn new(db: &'a Database) -> Result<Self> {
        Ok(Self {
            db,
            took: Duration::ZERO,
            #[cfg(feature = "sqlite")]
            own: match db.url() {
                super::DatabaseUrl::Postgres(_) => None,
                _ => Some(Own::new(db)?),
            },
        })
    }

    /// How many rows the next chunk is to have, if the last one had so many: as many as fit into the time for which it may
    /// hold the lock, and at most twice as many.
    pub(crate) fn next_rows(&self, last: usize) -> usize {
        let hold = {
            #[cfg(feature = "sqlite")]
            {
                self.own.as_ref().map_or(ON_POSTGRES, |own| own.pace.hold)
            }
            #[cfg(not(feature = "sqlite"))]
            ON_POSTGRES
        };
        let fits = last as f64 * hold.as_secs_f64() / self.took.as_secs_f64().max(1e-6);
        (fits as usize).min(last * 2)
    }

    /// Runs `work` in a transaction. It is to look at the chunk now and then, and to come back soon once that is over.
    /// An error rolls all of it back.
    pub(crate) fn write<T>(&mut self, work: impl FnOnce(&mut DbConnection, Chunk) -> Result<T>) -> Result<T> {
        let mut begun = Instant::now();
        let work = |conn: &mut DbConnection, chunk: Chunk| {
            begun = Instant::now(); // without the time for which others had the lock
            work(conn, chunk)
        };
        #[cfg(feature = "sqlite")]
        if let Some(own) = &mut self.own {
            let done = own.write(self.db, work).map_err(|error| self.db.explained(error))?;
            self.took = own.held;
            return Ok(done);
        }
        let done = self.db.write(|conn| work(conn, Chunk { end: None }))?;
        self.took = begun.elapsed();
        Ok(done)
    }
}
