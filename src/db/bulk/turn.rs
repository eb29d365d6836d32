//! A queue for the long writes on one SQLite file.
//!
//! SQLite's lock has no queue. If many long writes wait for it, one of them takes the lock as soon as another releases it. A
//! program that retries only ten times a second would never find it free. So long writes queue on a separate lock, and the
//! one whose turn it is leaves SQLite's lock free for a short time before the next one takes it.

use std::fs::{File, TryLockError};
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::DatabaseUrl;
use crate::db::files;

/// How often a waiting long write checks whether it is its turn.
const POLL: Duration = Duration::from_millis(10);

/// The lock that gives long writes their turns: a file lock on the write-ahead log, which SQLite itself does not lock. All
/// programs that have the database open share the same log.
pub(super) struct Turns(Option<Arc<File>>);

/// A turn. It ends when it is dropped, or when the process dies.
pub(super) struct Turn {
    file: Option<Arc<File>>,
    /// True if another long write had the turn when this one asked.
    pub(super) is_crowded: bool,
}

impl Turns {
    /// Opens the write-ahead log of a database. The log exists as soon as a connection has read the database.
    pub(super) fn of(url: &DatabaseUrl) -> Self {
        let DatabaseUrl::File(path) = url else { return Self(None) };
        // SQLite resolves symbolic links before it derives the name of the log.
        let path = std::fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        let log = files::beside(&path, "-wal");
        match File::open(&log) {
            Ok(file) => Self(Some(Arc::new(file))),
            Err(error) => {
                tracing::debug!("long writes do not take turns: cannot open {}: {error}", log.display());
                Self(None)
            }
        }
    }

    /// Waits for a turn, at most for `patience`. Turns are a courtesy: a write without a turn is still safe, because SQLite's
    /// own lock protects it.
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
                    tracing::debug!("a long write starts without a turn: {error}");
                    return turn;
                }
            }
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(Err(error)) = self.file.as_ref().map(|file| file.unlock()) {
            tracing::debug!("cannot end a turn before the file is closed: {error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_writer_has_the_turn_and_others_wait() {
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
    fn without_a_log_no_write_waits() {
        let turns = Turns::of(&DatabaseUrl::File("/nowhere/viral.db".into()));
        assert!(turns.take(Duration::from_secs(60)).file.is_none());
    }
}
