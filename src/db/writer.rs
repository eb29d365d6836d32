//! SQLite's one writer.

use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::{DbConnection, sqlite};
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

    /// Takes it. A panic in the middle of a write poisons it; the next one has `establish` make a new connection.
    ///
    /// Who finds it taken waits as for the lock of the file, for the same reasons. If the one before gave up on that
    /// lock meanwhile, after `busy_timeout`, who has waited half as long gives up too: else each thread would wait
    /// after all others.
    pub(super) fn take(
        &self,
        busy_timeout: Duration,
        establish: impl FnOnce() -> Result<DbConnection>,
    ) -> Result<Writing<'_>> {
        let me = std::thread::current().id();
        if self.state().thread == Some(me) {
            return Err(Error::invalid(
                "a write within a write",
                "would wait for itself; use the connection that the outer one was given",
            ));
        }
        let start = Instant::now();
        let conn = loop {
            match self.conn.try_lock() {
                Ok(conn) => break conn,
                Err(TryLockError::WouldBlock) => std::thread::sleep(match start.elapsed() {
                    // Most writes are over by then.
                    waited if waited < Duration::from_micros(400) => Duration::from_micros(100),
                    // A thread of ours holds it, and for no longer than it must.
                    waited => sqlite::pause(waited.min(Duration::from_millis(299))),
                }),
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
