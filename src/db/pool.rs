//! A pool of connections without threads of its own.
//!
//! The thread that asks for a connection opens it, and the thread that drops the pool closes what is left. When a call
//! has returned, nothing is still being opened or closed: on SQLite, closing the last connection removes the
//! write-ahead log, so a caller may look at the folder or move the file at once.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::opener::Opener;
use super::{DatabaseUrl, DbConnection};
use crate::{Error, Result};

/// The pause after a connection could not be opened. It doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(50);
const LONGEST_PAUSE: Duration = Duration::from_millis(800);

/// How long connections that cannot be opened are tried again, however long locks are waited for: a server that is
/// down is reported soon.
const LONGEST_TRY: Duration = Duration::from_secs(5);

/// Up to `Options::connections` connections to one database, opened when they are needed.
pub(super) struct Pool {
    pub(super) opener: Opener,
    state: Mutex<State>,
    /// Signaled when a connection came back or was closed.
    changed: Condvar,
}

/// The connections that a [`Database`](super::Database) lends, at one moment. On SQLite these are the readers: the one
/// that writes is apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Connections {
    /// Most that are open at a time: `Options::connections`.
    pub most: u32,
    /// Those that are open or being opened.
    pub open: u32,
    /// Those of them that nobody uses.
    pub idle: u32,
}

#[derive(Default)]
struct State {
    idle: Vec<DbConnection>,
    /// Connections that are open or being opened, idle ones included.
    open: u32,
    is_closed: bool,
}

impl Pool {
    pub(super) fn new(opener: Opener) -> Arc<Self> {
        Arc::new(Self { opener, state: Mutex::default(), changed: Condvar::new() })
    }

    /// The maximum number of open connections.
    pub(super) const fn size(&self) -> u32 {
        self.opener.options.connections
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an idle connection, or opens one, or waits for one to come back.
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
                        tracing::warn!("a connection could not be opened: {error}");
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

    /// A server may be restarting. SQLite has waited for its locks already when it reports an error.
    const fn is_worth_retrying(&self) -> bool {
        matches!(self.opener.url, DatabaseUrl::Postgres(_))
    }

    fn all_in_use(&self) -> Error {
        Error::Busy {
            database: self.opener.url.to_string(),
            reason: format!("all {} connections were in use for too long", self.size()),
        }
    }

    /// The connections as they are now.
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

    /// Closes the connections, and lends none from now on. Waits for those that are lent, at most so long; each of them
    /// is closed when it comes back. Returns how many are still lent.
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

    /// Keeps a connection for the next caller. `None` is one that was closed.
    fn put_back(&self, conn: Option<DbConnection>) {
        let mut state = self.state();
        match conn {
            Some(conn) if !state.is_closed => state.idle.push(conn),
            last => {
                drop(state);
                drop(last); // before anybody is told that it is closed
                state = self.state();
                state.open -= 1;
            }
        }
        let is_closed = state.is_closed;
        drop(state);
        if is_closed { self.changed.notify_all() } else { self.changed.notify_one() }
    }
}

/// A connection taken from the pool. It goes back when it is dropped.
pub(super) struct Pooled {
    /// Empty only while it is dropped.
    conn: Option<DbConnection>,
    is_broken: bool,
    pool: Arc<Pool>,
}

impl Pooled {
    /// Commits what `work` did in the open transaction, or rolls it back if `work` fails.
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
            None => unreachable!("a connection is given back only when its holder is dropped"),
        }
    }
}

impl DerefMut for Pooled {
    fn deref_mut(&mut self) -> &mut DbConnection {
        match &mut self.conn {
            Some(conn) => conn,
            None => unreachable!("a connection is given back only when its holder is dropped"),
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
