//! Turns among the long writes on one SQLite file.
//!
//! SQLite's lock has no queue. If many long writes wait for it, one of them takes it as soon as another lets go, and a
//! program that asks only ten times a second never finds it free. So long writes queue up somewhere else, and the one
//! whose turn it is leaves SQLite's lock free for a moment before the next one takes it.

use std::fs::{File, TryLockError};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::DatabaseUrl;
use crate::db::files;

/// How often a long write asks whether it is its turn.
const POLL: Duration = Duration::from_millis(10);

/// Where the long writes of a file take turns: a lock on its write-ahead log, which SQLite itself does not lock. All that
/// have the file open have the same log.
pub(super) struct Turns(Option<Arc<File>>);

/// A turn. It ends when it is dropped, or when the process dies.
pub(super) struct Turn {
    file: Option<Arc<File>>,
    /// Whether another long write had its turn before.
    pub(super) is_crowded: bool,
}

impl Turns {
    /// The log is there as soon as a connection has read the file.
    pub(super) fn of(url: &DatabaseUrl) -> Self {
        let DatabaseUrl::File(path) = url else { return Self(None) };
        // SQLite follows links before it names the log.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let log = files::beside(&path, "-wal");
        match File::open(&log) {
            Ok(file) => Self(Some(Arc::new(file))),
            Err(error) => {
                tracing::debug!("long writes take no turns, {} cannot be opened: {error}", log.display());
                Self(None)
            }
        }
    }

    /// Waits for a turn, at most for so long. Turns are a courtesy: without one, SQLite's own lock still decides.
    pub(super) fn take(&self, patience: Duration) -> Turn {
        let until = Instant::now() + patience;
        let mut turn = Turn { file: None, is_crowded: false };
        let Some(file) = &self.0 else { return turn };
        loop {
            match file.try_lock() {
                Ok(()) => {
                    turn.file = Some(file.clone());
                    return turn;
                }
                Err(TryLockError::WouldBlock) if Instant::now() < until => {
                    turn.is_crowded = true;
                    std::thread::sleep(POLL);
                }
                Err(TryLockError::WouldBlock) => return turn,
                Err(TryLockError::Error(error)) => {
                    tracing::debug!("a long write takes no turn: {error}");
                    return turn;
                }
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.file.as_ref().map(|file| file.unlock()) {
            tracing::debug!("a turn could not be ended before the file is closed: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_one_writers_and_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("viral.db");
        std::fs::write(folder.path().join("viral.db-wal"), "").unwrap();
        std::fs::write(&path, "").unwrap();
        let turns = [(); 2].map(|()| Turns::of(&DatabaseUrl::File(path.clone())));
        let first = turns[0].take(Duration::ZERO);
        assert!(first.file.is_some() && !first.is_crowded);
        assert!(turns[1].take(POLL).file.is_none());
        let second = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| turns[1].take(Duration::from_secs(60)));
            std::thread::sleep(POLL * 3);
            drop(first);
            waiting.join().unwrap()
        });
        assert!(second.file.is_some());
    }

    #[test]
    fn without_a_log_nobody_waits() {
        let turns = Turns::of(&DatabaseUrl::File("/nowhere/viral.db".into()));
        assert!(turns.take(Duration::from_secs(60)).file.is_none());
    }
}
