//! Reads and writes concurrently: one thread parses the input, and the other one stores the rows.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use super::found::{Found, Raw, Row, Sink};
use crate::{Error, Result};

/// Maximum number of rows in a block.
const ROWS: usize = 250;

/// Weight at which a block is full even with fewer rows.
const WEIGHT: usize = 256 * 1024;

/// Maximum number of blocks that wait between the two threads.
const WAITING: usize = 10;

/// A block of rows that were read, and the sum of their weights.
#[derive(Default)]
pub(super) struct Block {
    pub(super) rows: Vec<Row>,
    pub(super) weight: usize,
}

/// Stored rows, which the reader thread drops.
pub(super) type Done = (Vec<Found>, Vec<Option<(u64, Raw)>>);

/// Runs `read` on a separate thread while `write` receives the blocks of rows that it reads.
///
/// `write` sends stored rows back, so that the reader thread drops them.
///
/// If `write` fails, its error is returned, and reading stops with the next block. If reading fails, `write` still receives
/// the rows that were read before the error.
pub(super) fn run<T>(
    read: impl FnOnce(&mut Sink<'_>) -> Result<()> + Send,
    write: impl FnOnce(&Receiver<Block>, Sender<Done>) -> Result<T>,
) -> Result<T> {
    std::thread::scope(|scope| {
        let (sender, blocks) = sync_channel(WAITING);
        let (done, stored) = channel();
        let reader = std::thread::Builder::new()
            .name("reader".to_owned())
            .spawn_scoped(scope, move || read_blocks(read, &sender, &stored))
            .map_err(|error| Error::io("the reader thread", error))?;
        let written = write(&blocks, done);
        drop(blocks);
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let value = written?;
        read.map(|()| value)
    })
}

fn read_blocks(
    read: impl FnOnce(&mut Sink<'_>) -> Result<()>,
    sender: &SyncSender<Block>,
    stored: &Receiver<Done>,
) -> Result<()> {
    let mut block = Block::default();
    let read = read(&mut |row: Row| {
        block.weight += row.weight();
        block.rows.push(row);
        if block.rows.len() < ROWS && block.weight < WEIGHT {
            return Ok(());
        }
        // Drop stored rows here: the writer is the bottleneck, and freeing memory is faster on the thread that allocated it.
        stored.try_iter().for_each(drop);
        send(sender, &mut block)
    });
    // Rows that were read before an error are stored as well.
    let rest = if block.rows.is_empty() { Ok(()) } else { send(sender, &mut block) };
    read.and(rest)
}

fn send(sender: &SyncSender<Block>, block: &mut Block) -> Result<()> {
    // The writer stops receiving only after it failed, and then its own error is reported.
    sender.send(std::mem::take(block)).map_err(|_| Error::other("the rows could not be stored"))
}
