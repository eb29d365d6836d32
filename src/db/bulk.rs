//! Bulk writes in chunks that let other writers proceed.
//!
//! SQLite has one write lock for the whole file. A large transaction is efficient for the program that writes it, because
//! each changed page is written to the write-ahead log only once. But every other writer has to wait for it. So chunks are
//! long while no other connection writes. As soon as another connection writes, chunks are short and followed by a rest. On
//! PostgreSQL writers do not wait for each other, so the caller decides how large a chunk is.

#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod turn;

use std::time::{Duration, Instant};

#[cfg(feature = "sqlite")]
use sqlite::Own;

use super::{Database, DbConnection};
use crate::Result;

/// How much time a bulk write leaves to other writers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// For work whose result a user waits for: while other connections write, the bulk write uses about half of the time.
    Brisk,
    /// For background work such as pruning: other writers are hardly delayed.
    Gentle,
}

impl Manner {
    /// Returns the target duration of a chunk on PostgreSQL.
    const fn on_postgres(self) -> Duration {
        match self {
            Self::Brisk => Duration::from_secs(1),
            Self::Gentle => Duration::from_millis(10),
        }
    }

    /// Returns the minimum number of rows in a chunk of [`Bulk::write_next`]. An empty transaction already takes a millisecond
    /// or two, as long as a gentle chunk may take. With fewer rows a gentle bulk write would make hardly any progress.
    const fn fewest(self) -> usize {
        match self {
            Self::Brisk => 1,
            Self::Gentle => 50,
        }
    }
}

/// The longest rest after a chunk on PostgreSQL.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// The number of rows in the first chunk of [`Bulk::write_next`].
const FIRST_ROWS: usize = 50;

/// The number of rows in the first batch of a short chunk. It is small because others are waiting and the time per row is
/// still unknown.
const FIRST_BATCH: usize = 500;

/// The minimum number of rows in a batch within a chunk.
const SMALLEST_BATCH: usize = 50;

/// Writes many rows, chunk by chunk.
pub(crate) struct Bulk<'a> {
    db: &'a Database,
    manner: Manner,
    /// The duration of the last chunk, without the wait for the lock.
    took: Duration,
    /// The earliest start of the next chunk. Used only on PostgreSQL; on SQLite [`Own`] keeps this time.
    rests_until: Instant,
    /// The number of rows in the next chunk of [`write_next`](Self::write_next).
    rows: usize,
    #[cfg(feature = "sqlite")]
    own: Option<Own>,
}

/// A chunk that is being written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk {
    /// The start of the chunk, and the time when it must end.
    time: Option<(Instant, Instant)>,
    /// True if the chunk must be short because other connections write.
    is_short: bool,
}

impl Chunk {
    /// Returns true if the chunk has held the lock for as long as it may. The remaining rows belong in the next chunk.
    pub(crate) fn is_over(self) -> bool {
        self.time.is_some_and(|(_, end)| Instant::now() >= end)
    }

    /// Returns how many rows to write before checking the time again, after `written` rows of this chunk. A short chunk
    /// starts with few rows and continues with as many as fit into the remaining time.
    pub(crate) fn next_batch(self, written: usize, at_most: usize) -> usize {
        match self.time {
            Some((begun, end)) if self.is_short => {
                at_most.min(fitting(written, begun.elapsed(), end.saturating_duration_since(Instant::now())))
            }
            _ => at_most,
        }
    }
}

/// Estimates how many rows fit into the time `left`, if `written` rows took the time `took`.
fn fitting(written: usize, took: Duration, left: Duration) -> usize {
    if written == 0 {
        return FIRST_BATCH;
    }
    let fits = written as f64 * left.as_secs_f64() / took.as_secs_f64().max(1e-6);
    (fits as usize).min(written * 2).max(SMALLEST_BATCH)
}

impl<'a> Bulk<'a> {
    pub(crate) fn new(db: &'a Database, manner: Manner) -> Result<Self> {
        Ok(Self {
            db,
            manner,
            took: Duration::ZERO,
            rests_until: Instant::now(),
            rows: FIRST_ROWS,
            #[cfg(feature = "sqlite")]
            own: match db.url() {
                super::DatabaseUrl::Postgres(_) => None,
                _ => Some(Own::new(db, manner)?),
            },
        })
    }

    /// Returns the number of rows for the next chunk, if the last chunk had `last` rows: as many as fit into the time for
    /// which it may hold the lock, but at most `2 * last`.
    pub(crate) fn next_rows(&self, last: usize) -> usize {
        let fits = last as f64 * self.hold().as_secs_f64() / self.took.as_secs_f64().max(1e-6);
        (fits as usize).min(last * 2)
    }

    /// Returns how long the next chunk may hold the lock.
    fn hold(&self) -> Duration {
        #[cfg(feature = "sqlite")]
        if let Some(own) = &self.own {
            return own.pace.hold;
        }
        self.manner.on_postgres()
    }

    /// Removes the next rows from the front of `left`, at most `most`, and runs `work` on them in a transaction. Returns `None`
    /// if `left` is empty.
    pub(crate) fn write_next<'r, R, T>(
        &mut self,
        left: &mut &'r [R],
        most: usize,
        work: impl FnOnce(&mut DbConnection, &'r [R]) -> Result<T>,
    ) -> Result<Option<T>> {
        let rows = self.rows.clamp(1, most.max(1));
        let (next, rest) = left.split_at(rows.min(left.len()));
        if next.is_empty() {
            return Ok(None);
        }
        let done = self.write(|conn, _| work(conn, next))?;
        *left = rest;
        // The last few rows of a page do not show how many rows fit, unless they took too long.
        self.rows = if next.len() == rows || self.took > self.hold() {
            self.next_rows(next.len()).max(self.manner.fewest())
        } else {
            rows
        };
        Ok(Some(done))
    }

    /// Runs `work` in a transaction. `work` should check the chunk regularly and return soon after the chunk is over.
    /// An error rolls all of it back.
    pub(crate) fn write<T>(&mut self, work: impl FnOnce(&mut DbConnection, Chunk) -> Result<T>) -> Result<T> {
        let mut begun = Instant::now();
        let work = |conn: &mut DbConnection, chunk: Chunk| {
            begun = Instant::now(); // do not count the wait for the lock
            work(conn, chunk)
        };
        #[cfg(feature = "sqlite")]
        if let Some(own) = &mut self.own {
            let done = own.write(self.db, work).map_err(|error| self.db.explained(error))?;
            self.took = own.held;
            return Ok(done);
        }
        std::thread::sleep(self.rests_until.saturating_duration_since(Instant::now()));
        let done = self.db.write(|conn| work(conn, Chunk { time: None, is_short: false }))?;
        self.took = begun.elapsed();
        if self.manner == Manner::Gentle {
            // Other sessions wait only for the CPU and the disk, so rest for as long as the chunk took.
            self.rests_until = Instant::now() + self.took.min(LONGEST_REST);
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_chunk_starts_with_few_rows_and_grows_as_far_as_its_time_allows() {
        let now = Instant::now();
        let chunk = |is_short| Chunk { time: Some((now, now + Duration::from_secs(60))), is_short };
        assert_eq!(
            (chunk(true).next_batch(0, 5_000), chunk(false).next_batch(0, 5_000)),
            (FIRST_BATCH, 5_000)
        );
        assert_eq!(chunk(true).next_batch(0, 20), 20);
        assert!(!chunk(true).is_over());
        let ms = Duration::from_millis;
        assert_eq!(fitting(500, ms(5), ms(55)), 1_000);
        assert_eq!(fitting(500, ms(50), ms(10)), 100);
        assert_eq!(fitting(500, ms(80), ms(0)), SMALLEST_BATCH);
    }
}
