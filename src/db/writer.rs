//! The single write connection of a SQLite database.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::{DbConnection, eager};
use crate::{Error, Result};

/// The only connection that writes.
pub(super) struct Writer {
    /// `None` after [`Writer::close`].
    conn: Mutex<Option<DbConnection>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The thread that is using the connection.
    thread: Option<ThreadId>,
    /// The last time a thread gave up because another program held the file's lock.
    gave_up: Option<Instant>,
}

impl Writer {
    pub(super) fn new(conn: DbConnection) -> Self {
        Self { conn: Mutex::new(Some(conn)), state: Mutex::default() }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Fails if the current thread is already inside a write.
    pub(super) fn require_no_write(&self) -> Result<()> {
        if self.state().thread == Some(std::thread::current().id()) {
            return Err(Error::invalid(
                "a write within a write",
                "would wait for itself forever; use the connection of the outer write",
            ));
        }
        Ok(())
    }

    /// Closes the connection after the current write. Later calls of [`take`](Self::take) return `None`.
    pub(super) fn close(&self) {
        *self.conn.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.conn.clear_poison();
    }

    /// Takes the connection, or returns `None` if it is closed. Waits while another thread is using it.
    ///
    /// If a thread has given up on the file's lock after `busy_timeout`, every thread that has waited at least half as long
    /// gives up, too. Otherwise the waits of all threads would add up. If a write panicked, `establish` opens a new connection.
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
                Err(TryLockError::WouldBlock) => {
                    let waited = start.elapsed();
                    std::thread::sleep(eager::pause(waited).unwrap_or_else(|| pause(waited)));
                }
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

/// Returns how long to sleep before the next attempt to take the connection, given the time already waited for another thread
/// of this program.
///
/// The pause is short for the first 400 µs, because most writes are finished by then. Then it is long, because a connection
/// that changes hands after each write is slow; see the busy handler in `sqlite`. After 40 ms the connection is tried ten
/// times a millisecond, so that no thread waits forever.
const fn pause(waited: Duration) -> Duration {
    match waited.as_micros() {
        0..400 | 40_000.. => Duration::from_micros(100),
        _ => Duration::from_millis(20),
    }
}

/// The write connection while a thread is using it.
pub(super) struct Writing<'a> {
    conn: MutexGuard<'a, Option<DbConnection>>,
    writer: &'a Writer,
}

impl Writing<'_> {
    /// Runs `work` in a transaction.
    pub(super) fn atomically<T>(mut self, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        let Some(conn) = self.conn.as_mut() else { unreachable!("a taken writer always has its connection") };
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
