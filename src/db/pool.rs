//! A connection pool without background threads.
//!
//! The thread that asks for a connection opens it, and the thread that drops the pool closes the remaining ones. So when a call
//! returns, no connection is still being opened or closed. On SQLite, closing the last connection removes the write-ahead log,
//! so the caller can inspect the folder or move the file immediately.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::opener::Opener;
use super::{DatabaseUrl, DbConnection};
use crate::{Error, Result};

/// The pause after a failed attempt to open a connection. It doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(800);

/// How long to keep trying to open a connection, even if `busy_timeout` is longer, so that a server that is down is reported
/// soon.
const LONGEST_TRY: Duration = Duration::from_secs(5);

/// Up to `Options::connections` connections to one database, opened when they are needed.
pub(super) struct Pool {
    pub(super) opener: Opener,
    state: Mutex<State>,
    /// Signaled when a connection was returned or closed.
    changed: Condvar,
}

/// The number of connections in the pool of a [`Database`](super::Database). On SQLite these are the readers; the write
/// connection is not counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connections {
    /// The maximum number of open connections: `Options::connections`.
    pub most: u32,
    /// The connections that are open or being opened.
    pub open: u32,
    /// The open connections that are not in use.
    pub idle: u32,
}

#[derive(Default)]
struct State {
    idle: Vec<DbConnection>,
    /// The connections that are open or being opened, including idle ones.
    open: u32,
    is_closed: bool,
}

impl Pool {
    pub(super) fn new(opener: Opener) -> Arc<Self> {
        Arc::new(Self { opener, state: Mutex::default(), changed: Condvar::new() })
    }

    /// Returns the maximum number of open connections.
    pub(super) const fn size(&self) -> u32 {
        self.opener.options.connections
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an idle connection, opens one, or waits until one is returned.
    ///
    /// # Errors
    /// After `Options::busy_timeout`: `Busy` if all are in use. After that or after 5 seconds, whichever is shorter: the
    /// error of the last attempt to open a connection.
    pub(super) fn take(self: &Arc<Self>) -> Result<Pooled> {
        let start = Instant::now();
        let deadline = start + self.opener.options.busy_timeout;
        let last_try = deadline.min(start + LONGEST_TRY);
        let mut pause = FIRST_PAUSE;
        let mut failed = None;
        let mut state = self.state();
        loop {
            if state.is_closed {
                return Err(self.opener.closed());
            }
            if let Some(conn) = state.idle.pop() {
                return Ok(self.lend(conn));
            }
            let mut wait = deadline.saturating_duration_since(Instant::now());
            if state.open < self.size() {
                state.open += 1;
                drop(state);
                match self.opener.reader() {
                    Ok(conn) => return Ok(self.lend(conn)),
                    Err(error) if self.is_worth_retrying() => {
                        tracing::warn!("cannot open a connection, trying again: {error}");
                        failed = Some(error);
                    }
                    Err(error) => {
                        self.put_back(None);
                        return Err(error);
                    }
                }
                state = self.state();
                state.open -= 1;
                wait = last_try.saturating_duration_since(Instant::now()).min(pause);
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
            if wait.is_zero() {
                return Err(failed.unwrap_or_else(|| self.all_in_use()));
            }
            state = self.changed.wait_timeout(state, wait).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn lend(self: &Arc<Self>, conn: DbConnection) -> Pooled {
        Pooled { conn: Some(conn), is_broken: false, pool: Arc::clone(self) }
    }

    /// Returns true for a server, which may be restarting. SQLite has already waited for its locks when it reports an error.
    const fn is_worth_retrying(&self) -> bool {
        matches!(self.opener.url, DatabaseUrl::Postgres(_))
    }

    fn all_in_use(&self) -> Error {
        Error::Busy {
            database: self.opener.url.to_string(),
            reason: match self.size() {
                1 => "its only connection was in use for too long".to_owned(),
                size => format!("all {size} connections were in use for too long"),
            },
        }
    }

    /// Returns the current number of connections.
    pub(super) fn connections(&self) -> Connections {
        let state = self.state();
        Connections {
            most: self.size(),
            open: state.open,
            idle: u32::try_from(state.idle.len()).unwrap_or(state.open),
        }
    }

    pub(super) fn is_closed(&self) -> bool {
        self.state().is_closed
    }

    /// Closes the idle connections and lends no more. Waits up to `wait` for the connections in use, each of which is closed
    /// when it is returned. Returns how many are still in use.
    pub(super) fn close(&self, wait: Duration) -> u32 {
        let deadline = Instant::now() + wait;
        let mut state = self.state();
        state.is_closed = true;
        let idle = std::mem::take(&mut state.idle);
        state.open -= u32::try_from(idle.len()).unwrap_or(state.open);
        drop(state);
        drop(idle);
        self.changed.notify_all();
        let mut state = self.state();
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if state.open == 0 || left.is_zero() {
                return state.open;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Returns a connection to the pool. `None` stands for a connection that was closed.
    fn put_back(&self, conn: Option<DbConnection>) {
        let mut state = self.state();
        match conn {
            Some(conn) if !state.is_closed => state.idle.push(conn),
            last => {
                drop(state);
                drop(last); // close it before other threads are notified
                state = self.state();
                state.open -= 1;
            }
        }
        let is_closed = state.is_closed;
        drop(state);
        if is_closed { self.changed.notify_all() } else { self.changed.notify_one() }
    }
}

/// A connection taken from the pool. It returns to the pool when it is dropped.
pub(super) struct Pooled {
    /// `None` only during the drop.
    conn: Option<DbConnection>,
    is_broken: bool,
    pool: Arc<Pool>,
}

impl Pooled {
    /// Runs `work` in the open transaction. Commits it, or rolls it back if `work` fails.
    pub(super) fn finish<T>(&mut self, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
        let result = (**self).finish(work);
        #[cfg(feature = "postgres")]
        if let Err(error) = &result {
            self.is_broken |= error.is_lost_connection();
        }
        result
    }

    /// Closes the connection instead of keeping it for the next caller.
    pub(super) fn close(mut self) {
        self.is_broken = true;
    }
}

impl Deref for Pooled {
    type Target = DbConnection;

    fn deref(&self) -> &DbConnection {
        match &self.conn {
            Some(conn) => conn,
            None => unreachable!("a connection is returned only when its holder is dropped"),
        }
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut DbConnection {
        match &mut self.conn {
            Some(conn) => conn,
            None => unreachable!("a connection is returned only when its holder is dropped"),
        }
    }
}

impl Drop for Pooled {
    fn drop(&mut self) {
        if let Some(mut conn) = self.conn.take() {
            let is_usable = !self.is_broken && !conn.is_dirty() && !std::thread::panicking();
            self.pool.put_back(is_usable.then_some(conn));
        }
    }
}
