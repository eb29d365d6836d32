//! Reading and writing at the same time: one thread takes the input apart, the other stores what is found.

use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use super::found::{Found, Raw, Row, Sink};
use crate::{Error, Result};

/// Rows that are handed over at once, and the weight after which fewer are.
const ROWS: usize = 250;
const WEIGHT: usize = 256 * 1024;

/// How many times as many may wait between the two threads.
const WAITING: usize = 10;

/// Rows that were read, and the sum of their weights.
#[derive(Default)]
pub(super) struct Block {
    pub(super) rows: Vec<Row>,
    pub(super) weight: usize,
}

/// Rows that are stored, for the thread that reads to drop.
pub(super) type Done = (Vec<Found>, Vec<Option<(u64, Raw)>>);

/// Runs `read` on a thread of its own, while `write` takes the blocks of rows that it finds.
///
/// Rows that are stored come back, for the thread that reads to drop them.
///
/// If `write` fails, that is the error, and reading stops with the next block. If reading fails, `write` is given what
/// was read before.
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
            .map_err(|error| Error::io("a thread that reads", error))?;
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
        // The writer has less time than we have, and memory is given back faster by the thread that asked for it.
        stored.try_iter().for_each(drop);
        send(sender, &mut block)
    });
    // What was read before an error is stored, too.
    let rest = if block.rows.is_empty() { Ok(()) } else { send(sender, &mut block) };
    read.and(rest)
}

fn send(sender: &SyncSender<Block>, block: &mut Block) -> Result<()> {
    // The writer is gone only if it has failed, and says why itself.
    sender.send(std::mem::take(block)).map_err(|_| Error::other("the rows could not be stored"))
}
