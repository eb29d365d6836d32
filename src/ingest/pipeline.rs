//! Reading and writing at the same time: one thread takes the input apart, the other stores what is found.

use std::io::BufRead;
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};

use super::found::{Found, Raw, Row};
use super::source::Source;
use crate::{Error, Result};

/// Rows that are handed over at once, and bytes of the input after which fewer are.
const ROWS: usize = 250;
const BYTES: usize = 256 * 1024;

/// How many times as many may wait between the two threads. A row takes about three times as much memory as its text.
const WAITING: usize = 16;

/// Rows that were read, and how many bytes of the input they are, more or less.
#[derive(Default)]
pub(super) struct Block {
    pub(super) rows: Vec<Row>,
    pub(super) bytes: usize,
}

/// Rows that are stored, for the thread that reads to drop.
pub(super) type Done = (Vec<Found>, Vec<Option<(u64, Raw)>>);

/// Reads the input on a thread of its own, while `write` takes the blocks.
///
/// Rows that are stored come back, for the thread that reads to drop them.
///
/// If `write` fails, that is the error, and reading stops with the next block. If reading fails, `write` is given what
/// was read before.
pub(super) fn run<T>(
    source: &Source,
    name: &str,
    input: &mut (impl BufRead + Send),
    niche: Option<&str>,
    write: impl FnOnce(&Receiver<Block>, Sender<Done>) -> Result<T>,
) -> Result<T> {
    std::thread::scope(|scope| {
        let (sender, blocks) = sync_channel(WAITING);
        let (done, stored) = channel();
        let reader = std::thread::Builder::new()
            .name("reader".to_owned())
            .spawn_scoped(scope, move || read(source, name, input, niche, &sender, &stored))
            .map_err(|error| Error::io("a thread that reads", error))?;
        let written = write(&blocks, done);
        drop(blocks);
        let read = reader.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let value = written?;
        read.map(|()| value)
    })
}

fn read(
    source: &Source,
    name: &str,
    input: &mut impl BufRead,
    niche: Option<&str>,
    sender: &SyncSender<Block>,
    stored: &Receiver<Done>,
) -> Result<()> {
    let mut block = Block::default();
    let read = source.read(name, input, niche, &mut |row: Row| {
        block.bytes += row.size;
        block.rows.push(row);
        if block.rows.len() < ROWS && block.bytes < BYTES {
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
    sender.send(std::mem::take(block)).map_err(|_| Error::Other("the rows could not be stored".into()))
}
