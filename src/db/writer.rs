//! SQLite's one writer.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::DbConnection;
use crate::{Error, Result};

/// The one connection that writes.
pub(super) struct Writer {
    /// `None` after [`Writer::close`].
    conn: Mutex<Option<DbConnection>>,
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
        Self { conn: Mutex::new(Some(conn)), state: Mutex::default() }
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

    /// Closes it, when the thread that has it is done. No thread gets it any more.
    pub(super) fn close(&self) {
        *self.conn.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.conn.clear_poison();
    }

    /// Takes it; `None` if it is closed. A panic in the middle of a write poisons it; the next one has `establish` make a new connection.
    ///
    /// Who finds it taken waits. If the one before gave up on that
    /// lock meanwhile, after `busy_timeout`, who has waited half as long gives up too: else each thread would wait
    /// after all others.
    pub(super) fn take(
        &self,
        busy_timeout: Duration,
        establish: impl FnOnce() -> Result<DbConnection>,
    ) -> Result<Option<Writing<'_>>> {
        self.require_no_write()?;
        let me = std::thread::current().id();
        let start = Instant::now();
        let conn = loop {
            match self.conn.try_lock() {
                Ok(conn) => break conn,
                Err(TryLockError::WouldBlock) => std::thread::sleep(pause(start.elapsed())),
                Err(TryLockError::Poisoned(poisoned)) => {
                    let mut conn = poisoned.into_inner();
                    *conn = Some(establish()?);
                    self.conn.clear_poison();
                    break conn;
                }
            }
        };
        if conn.is_none() {
            return Ok(None);
        }
        let mut state = self.state();
        if state.gave_up.is_some_and(|at| at.saturating_duration_since(start) >= busy_timeout / 2) {
            return Err(Error::Busy { database: String::new(), reason: String::new() });
        }
        state.thread = Some(me);
        drop(state);
        Ok(Some(Writing { conn, writer: self }))
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
    conn: MutexGuard<'a, Option<DbConnection>>,
    writer: &'a Writer,
}

impl Writing<'_> {
    /// Runs `work` in a transaction.
    pub(super) fn atomically<T>(mut self, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        let Some(conn) = self.conn.as_mut() else { unreachable!("who takes the writer has its connection") };
        let result = conn.atomically(work);
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
