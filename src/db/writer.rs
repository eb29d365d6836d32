//! SQLite's one writer.

use std::ops::{Deref, DerefMut};
use std::sync::{Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::ThreadId;
use std::time::{Duration, Instant};

use super::{DbConnection, sqlite};
use crate::{Error, Result};

/// The one connection that writes, and the thread that is using it.
pub(super) struct Writer {
    conn: Mutex<DbConnection>,
    thread: Mutex<Option<ThreadId>>,
}

impl Writer {
    pub(super) const fn new(conn: DbConnection) -> Self {
        Self { conn: Mutex::new(conn), thread: Mutex::new(None) }
    }

    fn thread(&self) -> MutexGuard<'_, Option<ThreadId>> {
        self.thread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes it. A panic in the middle of a write poisons it; the next one has `establish` make a new connection.
    ///
    /// Who finds it taken waits as for the lock of the file, for the same reasons.
    pub(super) fn take(&self, establish: impl FnOnce() -> Result<DbConnection>) -> Result<Writing<'_>> {
        let me = std::thread::current().id();
        if *self.thread() == Some(me) {
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
        *self.thread() = Some(me);
        Ok(Writing { conn, writer: self })
    }
}

/// The writer while a thread has it.
pub(super) struct Writing<'a> {
    conn: MutexGuard<'a, DbConnection>,
    writer: &'a Writer,
}

impl Deref for Writing<'_> {
    type Target = DbConnection;

    fn deref(&self) -> &DbConnection {
        &self.conn
    }
}

impl DerefMut for Writing<'_> {
    fn deref_mut(&mut self) -> &mut DbConnection {
        &mut self.conn
    }
}

impl Drop for Writing<'_> {
    fn drop(&mut self) {
        *self.writer.thread() = None;
    }
}
