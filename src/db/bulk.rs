//! Many rows, written in chunks that leave room for other writers.
//!
//! SQLite has one write lock for the whole file. A large transaction is cheap for the program that writes it, because each
//! changed page goes into the write-ahead log only once. Every other writer has to wait for it. So a chunk is long while
//! nobody else writes. As soon as somebody does, it is short and followed by a rest. On PostgreSQL writers do not wait for
//! each other, so a chunk is as large as the caller makes it.

#[cfg(feature = "sqlite")]
mod sqlite;
#[cfg(feature = "sqlite")]
mod turn;

use std::time::{Duration, Instant};

#[cfg(feature = "sqlite")]
use sqlite::Own;

use super::{Database, DbConnection};
use crate::Result;

/// How much of the database a bulk write leaves to others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Manner {
    /// Somebody waits for the result: while others write, each gets about half of the time.
    Brisk,
    /// Housekeeping that nobody waits for: others hardly notice it.
    Gentle,
}

impl Manner {
    /// How long a chunk takes on PostgreSQL.
    const fn on_postgres(self) -> Duration {
        match self {
            Self::Brisk => Duration::from_secs(1),
            Self::Gentle => Duration::from_millis(10),
        }
    }

    /// Rows that a chunk of [`Bulk::write_next`] has at least. A transaction takes a millisecond or two by itself, as long as a
    /// gentle chunk may: with fewer rows it would hardly get on.
    const fn fewest(self) -> usize {
        match self {
            Self::Brisk => 1,
            Self::Gentle => 50,
        }
    }
}

/// The longest rest after a chunk on PostgreSQL.
const LONGEST_REST: Duration = Duration::from_secs(1);

/// Rows of the first chunk of [`Bulk::write_next`].
const FIRST_ROWS: usize = 50;

/// Rows that a short chunk begins with: others are waiting, and it is not known yet how long a row takes.
const FIRST_BATCH: usize = 500;

/// The smallest batch within a chunk.
const SMALLEST_BATCH: usize = 50;

/// Writes many rows, chunk by chunk.
pub(crate) struct Bulk<'a> {
    db: &'a Database,
    manner: Manner,
    /// How long the last chunk took, without the wait for the lock.
    took: Duration,
    /// Until when the next chunk rests. On PostgreSQL only; [`Own`] has its own.
    rests_until: Instant,
    /// Rows of the next chunk of [`write_next`](Self::write_next).
    rows: usize,
    #[cfg(feature = "sqlite")]
    own: Option<Own>,
}

/// A chunk that is being written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Chunk {
    /// When it began, and when it must end.
    time: Option<(Instant, Instant)>,
    /// Whether others write.
    is_short: bool,
}

impl Chunk {
    /// Returns true if the chunk has held the lock for as long as it may. What is left belongs in the next one.
    pub(crate) fn is_over(self) -> bool {
        self.time.is_some_and(|(_, end)| Instant::now() >= end)
    }

    /// Returns how many rows to write before looking at the time again, after `written` rows of this chunk. A short chunk
    /// begins with few rows and continues with as many as still fit.
    pub(crate) fn next_batch(self, written: usize, at_most: usize) -> usize {
        match self.time {
            Some((begun, end)) if self.is_short => {
                at_most.min(fitting(written, begun.elapsed(), end.saturating_duration_since(Instant::now())))
            }
            _ => at_most,
        }
    }
}

/// How many rows fit into the time that is left, if `written` rows took so long.
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

    /// How many rows the next chunk is to have, if the last one had so many: as many as fit into the time for which it may
    /// hold the lock, and at most twice as many.
    pub(crate) fn next_rows(&self, last: usize) -> usize {
        let fits = last as f64 * self.hold().as_secs_f64() / self.took.as_secs_f64().max(1e-6);
        (fits as usize).min(last * 2)
    }

    /// How long the next chunk may hold the lock.
    fn hold(&self) -> Duration {
        #[cfg(feature = "sqlite")]
        if let Some(own) = &self.own {
            return own.pace.hold;
        }
        self.manner.on_postgres()
    }

    /// Takes the next rows off `left`, at most `most`, and runs `work` on them in a transaction. Returns `None` if none
    /// are left.
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
        // The last few rows of a page say little about how many fit, unless they took too long.
        self.rows = if next.len() == rows || self.took > self.hold() {
            self.next_rows(next.len()).max(self.manner.fewest())
        } else {
            rows
        };
        Ok(Some(done))
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
        std::thread::sleep(self.rests_until.saturating_duration_since(Instant::now()));
        let done = self.db.write(|conn| work(conn, Chunk { time: None, is_short: false }))?;
        self.took = begun.elapsed();
        if self.manner == Manner::Gentle {
            // Others wait for the processor and the disk only, so it rests for as long as it worked.
            self.rests_until = Instant::now() + self.took.min(LONGEST_REST);
        }
        Ok(done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_chunk_begins_with_few_rows_and_grows_as_far_as_its_time_allows() {
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
