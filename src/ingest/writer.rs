//! Stores rows as they come, chunk by chunk, and keeps count of them.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use serde_json::Value;

use super::found::{Found, Raw, Row};
use super::pipeline::{Block, Done};
use super::preview::undo;
use super::source::Source;
use super::store::{Stored, seal, store};
use super::{Reject, Report, youtube_channels};
use crate::compilation::DiscoveredVideo;
use crate::db::json_upsert::Seen;
use crate::db::{Bulk, Chunk, Manner, lock_ingest, store_or_bisect};
use crate::secrets::Keyring;
use crate::{Database, DbConnection, Error, Result};

/// Rows that are looked up and stored at once.
const BATCH: usize = 5_000;

/// The weight from which on fewer rows are stored at once: what yt-dlp says of a video may be long.
const BATCH_WEIGHT: usize = 4 * 1024 * 1024;

/// Rows of a chunk, and their weight, at most. They stay in memory until the chunk is committed.
const CHUNK: usize = 50_000;
const CHUNK_WEIGHT: usize = 8 * 1024 * 1024;

/// Rows of the first chunk, and of the smallest.
const FIRST_CHUNK: usize = BATCH;
const SMALLEST_CHUNK: usize = 50;

/// How long rows wait for more before they are stored.
const PATIENCE: Duration = Duration::from_millis(200);

/// Stores rows and counts them.
pub(super) struct Writer<'a> {
    pub(super) report: Report,
    /// Rows that are in the database to stay.
    pub(super) committed: usize,
    reject: &'a mut dyn FnMut(Reject) -> Result<()>,
    first_reject: Option<String>,
    source: &'a Source,
    keyring: Option<&'a Keyring>,
    /// The largest id of a video before the first row was stored.
    largest_id: Option<i64>,
    /// What is known of a table without a key.
    seen: Seen,
    /// Rows that were read and are not stored yet.
    waiting: VecDeque<Row>,
    waiting_weight: usize,
    /// Whether the input has come to its end.
    is_at_end: bool,
    /// Takes rows that are stored, to drop them.
    pub(super) done: Option<Sender<Done>>,
}

/// Rows that are stored at once.
struct Batch {
    found: Vec<Found>,
    /// The line of each, and how to tell the row as it was given.
    given: Vec<Option<(u64, Raw)>>,
    /// Rows that are not stored, and why.
    bad: Vec<(u64, String, Raw)>,
    weight: usize,
    /// Whether values are encrypted and references looked up.
    is_complete: bool,
    stored: Stored,
}

impl<'a> Writer<'a> {
    pub(super) fn new(
        source: &'a Source,
        report: Report,
        keyring: Option<&'a Keyring>,
        reject: &'a mut dyn FnMut(Reject) -> Result<()>,
    ) -> Self {
        Self {
            report,
            committed: 0,
            reject,
            first_reject: None,
            source,
            keyring,
            largest_id: None,
            seen: Seen::default(),
            waiting: VecDeque::new(),
            waiting_weight: 0,
            is_at_end: false,
            done: None,
        }
    }

    /// Stores all rows in one transaction, or none if one of them is bad.
    pub(super) fn store_all(&mut self, db: &Database, blocks: &Receiver<Block>) -> Result<()> {
        db.write(|conn| {
            lock_ingest(conn)?;
            while self.receive(blocks, BATCH) {
                while let Some(mut batch) = self.next_batch(BATCH) {
                    self.store_or_reject(conn, &mut batch)?;
                    self.finish(batch)?;
                    if self.seen.is_due() {
                        self.seen.read(conn)?;
                    }
                }
            }
            match self.first_reject.take() {
                Some(first) => Err(Error::Rejected { rejected: self.report.rejected, first }),
                None => Ok(()),
            }
        })
    }

    /// Stores each batch and takes it back: counts what would be stored. No lock is held for long.
    pub(super) fn store_nothing(&mut self, db: &Database, blocks: &Receiver<Block>) -> Result<()> {
        while self.receive(blocks, BATCH) {
            while let Some(mut batch) = self.next_batch(BATCH) {
                undo(db, &mut |conn| {
                    lock_ingest(conn)?;
                    self.store_or_reject(conn, &mut batch)
                })?;
                self.finish(batch)?;
                self.look_at_table(db)?;
            }
        }
        Ok(())
    }

    /// Stores rows in chunks, each in a transaction of its own.
    pub(super) fn store_in_chunks(&mut self, db: &Database, blocks: &Receiver<Block>) -> Result<()> {
        let mut bulk = Bulk::new(db, Manner::Brisk)?;
        let mut rows = FIRST_CHUNK;
        while self.receive(blocks, rows.min(BATCH)) {
            self.look_at_table(db)?;
            let stored = self.store_chunk(&mut bulk, blocks, rows)?;
            rows = bulk.next_rows(stored).clamp(SMALLEST_CHUNK, CHUNK);
        }
        Ok(())
    }

    /// Reads a table whose rows have no key, once that saves time. No lock is held meanwhile.
    fn look_at_table(&mut self, db: &Database) -> Result<()> {
        if self.seen.is_due() { db.read(|conn| self.seen.read(conn)) } else { Ok(()) }
    }

    /// Waits until so many rows wait, or fewer if no more come for a while; whether there are any.
    fn receive(&mut self, blocks: &Receiver<Block>, rows: usize) -> bool {
        while !self.is_at_end && self.waiting.len() < rows && self.waiting_weight < BATCH_WEIGHT {
            let received = if self.waiting.is_empty() {
                blocks.recv().map_err(|_| RecvTimeoutError::Disconnected)
            } else {
                blocks.recv_timeout(PATIENCE)
            };
            match received {
                Ok(block) => {
                    self.waiting.extend(block.rows);
                    self.waiting_weight += block.weight;
                }
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => self.is_at_end = true,
            }
        }
        !self.waiting.is_empty()
    }

    /// Stores the next rows, at most so many, and returns how many they were. It ends early when no row waits: the lock is
    /// not held while the input is slow.
    fn store_chunk(&mut self, bulk: &mut Bulk<'_>, blocks: &Receiver<Block>, rows: usize) -> Result<usize> {
        let mut done: Vec<Batch> = Vec::new();
        let (mut stored, mut weight) = (0, 0);
        let written = bulk.write(|conn, chunk: Chunk| {
            lock_ingest(conn)?;
            while let Some(batch) = self.next_batch(chunk.next_batch(stored, BATCH.min(rows - stored))) {
                stored += batch.rows();
                weight += batch.weight;
                done.push(batch);
                if let Some(batch) = done.last_mut() {
                    self.store(conn, batch)?;
                }
                if chunk.is_over() || stored >= rows || weight >= CHUNK_WEIGHT {
                    break;
                }
                self.receive_at_once(blocks);
            }
            Ok(())
        });
        match written {
            // Once more from the beginning: then with savepoints, which find the row that the database refuses.
            Err(error) if error.is_of_row() => bulk.write(|conn, _| {
                lock_ingest(conn)?;
                done.iter_mut().try_for_each(|batch| self.store_or_reject(conn, batch))
            })?,
            written => written?,
        }
        done.into_iter().try_for_each(|batch| self.finish(batch))?;
        tracing::info!(file = self.report.file, rows = self.report.rows, "stored so far");
        Ok(stored)
    }

    /// Takes the rows that have been read, up to those of a batch.
    fn receive_at_once(&mut self, blocks: &Receiver<Block>) {
        while self.waiting.len() < BATCH
            && self.waiting_weight < BATCH_WEIGHT
            && let Ok(block) = blocks.try_recv()
        {
            self.waiting.extend(block.rows);
            self.waiting_weight += block.weight;
        }
    }

    /// The first rows that wait, at most so many; nothing if none does.
    fn next_batch(&mut self, rows: usize) -> Option<Batch> {
        let (mut good, mut bad, mut weight) = (Vec::new(), Vec::new(), 0);
        while good.len() + bad.len() < rows
            && weight < BATCH_WEIGHT
            && let Some(row) = self.waiting.pop_front()
        {
            weight += row.weight();
            let Row { line, found, raw, .. } = row;
            match found {
                Ok(found) => good.push((found, line, raw)),
                Err(reason) => bad.push((line, reason, raw)),
            }
        }
        self.waiting_weight -= weight.min(self.waiting_weight);
        if good.is_empty() && bad.is_empty() {
            return None;
        }
        let (found, given) = good.into_iter().map(|(found, line, raw)| (found, Some((line, raw)))).unzip();
        Some(Batch { found, given, bad, weight, is_complete: false, stored: Stored::default() })
    }

    /// Stores a batch in the transaction that is open, which has to be rolled back if this fails.
    fn store(&mut self, conn: &mut DbConnection, batch: &mut Batch) -> Result<()> {
        self.complete(conn, batch)?;
        let largest_id = self.largest_id(conn)?;
        batch.stored = store(conn, self.source, &batch.found, largest_id, &mut self.seen)?;
        Ok(())
    }

    /// Stores a batch in the transaction that is open. A row that the database will not have is found by halving, and
    /// rejected.
    fn store_or_reject(&mut self, conn: &mut DbConnection, batch: &mut Batch) -> Result<()> {
        self.complete(conn, batch)?;
        let largest_id = self.largest_id(conn)?;
        let mut stored = Stored::default();
        let found = &batch.found;
        let seen = &mut self.seen;
        let refused = store_or_bisect(conn, found.len(), &mut |conn, part| {
            stored += store(conn, self.source, found.get(part).unwrap_or_default(), largest_id, seen)?;
            Ok(())
        })?;
        batch.stored = stored;
        refused.into_iter().for_each(|(place, reason)| batch.refuse(place, reason));
        Ok(())
    }

    fn largest_id(&mut self, conn: &mut DbConnection) -> Result<i64> {
        match self.largest_id {
            Some(id) => Ok(id),
            None => Ok(*self.largest_id.insert(DiscoveredVideo::largest_id(conn)?)),
        }
    }

    /// Completes rows once: values that are to be encrypted, and channels that have to be there.
    fn complete(&self, conn: &mut DbConnection, batch: &mut Batch) -> Result<()> {
        if std::mem::replace(&mut batch.is_complete, true) {
            return Ok(());
        }
        let refused = match self.source.target() {
            Some(target) => seal(conn, self.keyring, target.name(), &mut batch.found)?,
            None => youtube_channels::resolve(conn, &mut batch.found)?,
        };
        refused.into_iter().for_each(|(place, reason)| batch.refuse(place, reason));
        Ok(())
    }

    /// Counts a batch that is stored, and tells of its bad rows.
    fn finish(&mut self, mut batch: Batch) -> Result<()> {
        self.report.rows += batch.rows() as u64;
        self.committed += batch.given.iter().flatten().count();
        batch.stored.add_to(&mut self.report);
        if let Some(done) = &self.done {
            let _ = done.send((batch.found, batch.given)); // once all is read nobody takes them, and they are dropped here
        }
        batch.bad.sort_by_key(|(line, ..)| *line);
        batch.bad.into_iter().try_for_each(|(line, reason, raw)| self.rejected(line, reason, raw()))
    }

    fn rejected(&mut self, line: u64, reason: String, row: Value) -> Result<()> {
        self.report.rejected += 1;
        let file = self.report.file.clone();
        self.first_reject.get_or_insert_with(|| format!("{file} line {line}: {reason}"));
        (self.reject)(Reject { file, line, reason, row })
    }
}

impl Batch {
    /// How many rows of the input it is.
    fn rows(&self) -> usize {
        self.given.iter().flatten().count() + self.bad.len()
    }

    fn refuse(&mut self, place: usize, reason: String) {
        if let Some((line, raw)) = self.given.get_mut(place).and_then(Option::take) {
            self.bad.push((line, reason, raw));
        }
    }
}
