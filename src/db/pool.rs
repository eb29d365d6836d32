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

#[derive(Default)]
struct State {
    idle: Vec<DbConnection>,
    /// Connections that are open or being opened, idle ones included.
    open: u32,
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

    /// Keeps a connection for the next caller. `None` is one that was closed.
    fn put_back(&self, conn: Option<DbConnection>) {
        let mut state = self.state();
        match conn {
            Some(conn) => state.idle.push(conn),
            None => state.open -= 1,
        }
        drop(state);
        self.changed.notify_one();
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
