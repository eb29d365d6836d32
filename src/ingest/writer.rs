//! Stores rows chunk by chunk as they arrive, and counts them.

use std::collections::VecDeque;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

use serde_json::Value;

use super::found::{Found, Raw, Row};
use super::pipeline::{Block, Done};
use super::preview::undo;
use super::source::Source;
use super::store::{Stored, identify, remove_orphans, seal, store};
use super::{Reject, Report, youtube_channels};
use crate::compilation::DiscoveredVideo;
use crate::db::json_upsert::Seen;
use crate::db::{Bulk, Chunk, Manner, lock_ingest, store_or_bisect};
use crate::secrets::Keyring;
use crate::{Database, DbConnection, Error, Result};

/// Maximum number of rows that are looked up and stored together.
const BATCH: usize = 5_000;

/// Maximum weight of a batch in bytes. The JSON that yt-dlp writes for a video may be long, so a limit on rows is not enough.
const BATCH_WEIGHT: usize = 4 * 1024 * 1024;

/// Maximum number of rows in a chunk. The rows stay in memory until the chunk is committed.
const CHUNK: usize = 50_000;

/// Maximum weight of a chunk in bytes.
const CHUNK_WEIGHT: usize = 8 * 1024 * 1024;

/// Maximum number of rows in the first chunk.
const FIRST_CHUNK: usize = BATCH;

/// The limit on the rows in a chunk is never smaller than this.
const SMALLEST_CHUNK: usize = 50;

/// How long received rows wait for more rows before they are stored.
const PATIENCE: Duration = Duration::from_millis(200);

/// Stores rows and counts them.
pub(super) struct Writer<'a> {
    pub(super) report: Report,
    /// Number of committed rows.
    pub(super) committed: usize,
    reject: &'a mut dyn FnMut(Reject) -> Result<()>,
    first_reject: Option<String>,
    source: &'a Source,
    keyring: Option<&'a Keyring>,
    /// The largest id of a video before the first row was stored.
    largest_id: Option<i64>,
    /// The known rows of a table without a key.
    seen: Seen,
    /// Rows that were received but are not stored yet.
    waiting: VecDeque<Row>,
    waiting_weight: usize,
    /// True if the reader sends no more rows.
    is_at_end: bool,
    /// Sends stored rows back to the reader thread, which drops them.
    pub(super) done: Option<Sender<Done>>,
}

/// Rows that are stored together.
struct Batch {
    found: Vec<Found>,
    /// The line number and the original of each row. `None` for a row that was rejected.
    given: Vec<Option<(u64, Raw)>>,
    /// The rejected rows: line number, reason and original.
    bad: Vec<(u64, String, Raw)>,
    weight: usize,
    /// True once ids are checked and secrets are encrypted, or channels are looked up.
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

    /// Stores all rows in one transaction, or no rows if any of them is invalid.
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

    /// Stores each batch and rolls the transaction back, to count the rows that would be stored. Holds no lock for long.
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

    /// Stores rows in chunks, each in a separate transaction.
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

    /// Reads the rows of a table without a key, once that saves time. Holds no write lock during the read.
    fn look_at_table(&mut self, db: &Database) -> Result<()> {
        if self.seen.is_due() { db.read(|conn| self.seen.read(conn)) } else { Ok(()) }
    }

    /// Waits until `rows` rows are waiting, or fewer if no more arrive for a while. Returns true if any rows are waiting.
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

    /// Stores up to `rows` of the next rows and returns their number. Stops early when no rows are waiting, so that a slow
    /// input does not prolong the lock.
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
            // Store the chunk again from the beginning, now with savepoints, to find the row that the database refuses.
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

    /// Receives up to one batch of the rows that are already available.
    fn receive_at_once(&mut self, blocks: &Receiver<Block>) {
        while self.waiting.len() < BATCH
            && self.waiting_weight < BATCH_WEIGHT
            && let Ok(block) = blocks.try_recv()
        {
            self.waiting.extend(block.rows);
            self.waiting_weight += block.weight;
        }
    }

    /// Takes up to `rows` waiting rows. Returns `None` if no rows are waiting.
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

    /// Stores a batch in the open transaction. The caller must roll back the transaction if this fails.
    fn store(&mut self, conn: &mut DbConnection, batch: &mut Batch) -> Result<()> {
        self.complete(conn, batch)?;
        let largest_id = self.largest_id(conn)?;
        batch.stored = store(conn, self.source, &batch.found, largest_id, &mut self.seen)?;
        Ok(())
    }

    /// Stores a batch in the open transaction. Finds the rows that the database refuses by bisection, and rejects them.
    fn store_or_reject(&mut self, conn: &mut DbConnection, batch: &mut Batch) -> Result<()> {
        self.complete(conn, batch)?;
        let largest_id = self.largest_id(conn)?;
        if let Some(target) = self.source.target() {
            // If rows refer to rows that do not exist, reject all of them at once, with the values that they refer to.
            match conn.atomically(|conn| store(conn, self.source, &batch.found, largest_id, &mut self.seen)) {
                Err(error) if error.is_of_row() => {
                    let refused = remove_orphans(conn, target, &mut batch.found)?;
                    refused.into_iter().for_each(|(place, reason)| batch.refuse(place, reason));
                }
                stored => {
                    batch.stored = stored?;
                    return Ok(());
                }
            }
        }
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

    /// Returns the largest id of a video before the first row was stored.
    fn largest_id(&mut self, conn: &mut DbConnection) -> Result<i64> {
        match self.largest_id {
            Some(id) => Ok(id),
            None => Ok(*self.largest_id.insert(DiscoveredVideo::largest_id(conn)?)),
        }
    }

    /// Checks ids and encrypts secrets, or looks up channels, once per batch. Rejects the rows for which this fails.
    fn complete(&self, conn: &mut DbConnection, batch: &mut Batch) -> Result<()> {
        if std::mem::replace(&mut batch.is_complete, true) {
            return Ok(());
        }
        let refused = match self.source.target() {
            Some(target) => {
                let mut refused = identify(conn, target, &mut batch.found)?;
                refused.extend(seal(conn, self.keyring, target.name(), &mut batch.found)?);
                refused
            }
            None => youtube_channels::resolve(conn, &mut batch.found)?,
        };
        refused.into_iter().for_each(|(place, reason)| batch.refuse(place, reason));
        Ok(())
    }

    /// Counts a stored batch and reports its rejected rows.
    fn finish(&mut self, mut batch: Batch) -> Result<()> {
        self.report.rows += batch.rows() as u64;
        self.committed += batch.given.iter().flatten().count();
        batch.stored.add_to(&mut self.report);
        if let Some(done) = &self.done {
            // After the reader has ended, sending fails and the rows are dropped here.
            let _ = done.send((batch.found, batch.given));
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
    /// Returns the number of input rows in the batch.
    fn rows(&self) -> usize {
        self.given.iter().flatten().count() + self.bad.len()
    }

    /// Moves a row to the rejected rows.
    fn refuse(&mut self, place: usize, reason: String) {
        if let Some((line, raw)) = self.given.get_mut(place).and_then(Option::take) {
            self.bad.push((line, reason, raw));
        }
    }
}
