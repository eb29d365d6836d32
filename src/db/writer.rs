//! SQLite's one writer.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::DbConnection;
use crate::{Error, Result};

/// The one connection that writes.
pub(super) struct Writer {
    conn: Mutex<DbConnection>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The thread that has the connection.
    thread: Option<ThreadId>,
    /// When a thread gave up because another program held the file's lock.
    gave_up: Option<Instant>,
}

impl Writer {
    pub(super) fn new(conn: DbConnection) -> Self {
        Self { conn: Mutex::new(conn), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Refuses a write of a thread that has the connection already.
    pub(super) fn require_no_write(&self) -> Result<()> {
        if self.state().thread == Some(std::thread::current().id()) {
            return Err(Error::invalid(
                "a write within a write",
                "would wait for itself; use the connection that the outer one was given",
            ));
        }
        Ok(())
    }

    /// Takes it. A panic in the middle of a write poisons it; the next one has `establish` make a new connection.
    ///
    /// Who finds it taken waits. If the one before gave up on that
    /// lock meanwhile, after `busy_timeout`, who has waited half as long gives up too: else each thread would wait
    /// after all others.
    pub(super) fn take(
        &self,
        busy_timeout: Duration,
        establish: impl FnOnce() -> Result<DbConnection>,
    ) -> Result<Writing<'_>> {
        self.require_no_write()?;
        let me = std::thread::current().id();
        let start = Instant::now();
        let conn = loop {
            match self.conn.try_lock() {
                Ok(conn) => break conn,
                Err(TryLockError::WouldBlock) => std::thread::sleep(pause(start.elapsed())),
                Err(TryLockError::Poisoned(poisoned)) => {
                    let mut conn = poisoned.into_inner();
                    *conn = establish()?;
                    self.conn.clear_poison();
                    break conn;
                }
            }
        };
        let mut state = self.state();
        if state.gave_up.is_some_and(|at| at.saturating_duration_since(start) >= busy_timeout / 2) {
            return Err(Error::Busy { database: String::new(), reason: String::new() });
        }
        state.thread = Some(me);
        drop(state);
        Ok(Writing { conn, writer: self })
    }
}

/// How long to sleep before trying again, after having waited so long for a thread of ours, which keeps the writer no
/// longer than it must.
///
/// Short at first: most writes are over by then. Then long, for the reason for which the lock of the file is waited for
/// so; and after 40 ms ten times a millisecond, so that nobody waits for ever.
const fn pause(waited: Duration) -> Duration {
    match waited.as_micros() {
        0..400 | 40_000.. => Duration::from_micros(100),
        _ => Duration::from_millis(20),
    }
}

/// The writer while a thread has it.
pub(super) struct Writing<'a> {
    conn: MutexGuard<'a, DbConnection>,
    writer: &'a Writer,
}

impl Writing<'_> {
    /// Runs `work` in a transaction.
    pub(super) fn atomically<T>(mut self, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        let result = self.conn.atomically(work);
        if matches!(result, Err(Error::Busy { .. })) {
            self.writer.state().gave_up = Some(Instant::now());
        }
        result
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        self.writer.state().thread = None;
    }
}
