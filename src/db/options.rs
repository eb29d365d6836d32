//! The options for opening a database.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Result;
use crate::environment::{self, DotEnv};

/// The options for opening a database. [`Database::open`](crate::Database::open) uses [`Options::from_environment`].
#[derive(Debug, Clone)]
pub struct Options {
    /// The maximum number of open connections: readers on SQLite, all connections on PostgreSQL. At least 1; the default is 8.
    pub connections: u32,
    /// How long to wait for a free connection and for locks of other programs: SQLite's write lock, and on PostgreSQL the
    /// `lock_timeout` in `read` and `write`. Times outside 1 millisecond to 24 days are clamped to this range. The default is
    /// 5 seconds. The command line sets it with `--wait`.
    pub busy_timeout: Duration,
    /// The URL that [`Database::read`](crate::Database::read) uses on PostgreSQL: a streaming replica of the same server, which
    /// may lag slightly, or that server itself. Ignored on SQLite. The default is `None`.
    pub read_url: Option<String>,
}

impl Options {
    /// Returns the default options, with `read_url` set from `VIRALDB_READ_URL` in the environment, or in a `.env` file in the
    /// current folder or a parent folder.
    ///
    /// # Errors
    /// `Io` if the `.env` file that `VIRALDB_ENV_FILE` names cannot be read. `Invalid` if a `.env` file that viraldb found
    /// belongs to another user.
    pub fn from_environment() -> Result<Self> {
        let read_url = match environment::variable(READ_URL)? {
            Some(url) => Some(url),
            None => DotEnv::read_if_possible()?.values.remove(READ_URL),
        };
        Ok(Self { read_url, ..Self::default() })
    }
}

/// The environment variable with the URL of the replica.
pub(super) const READ_URL: &str = "VIRALDB_READ_URL";

impl Default for Options {
    fn default() -> Self {
        Self { connections: 8, busy_timeout: default_busy_timeout(), read_url: None }
    }
}

/// The value of `default_busy_timeout` in milliseconds.
static BUSY_TIMEOUT: AtomicU64 = AtomicU64::new(5_000);

/// Returns the default of `Options::busy_timeout`: 5 seconds, or the value of the command's `--wait`.
pub(crate) fn default_busy_timeout() -> Duration {
    Duration::from_millis(BUSY_TIMEOUT.load(Ordering::Relaxed))
}

/// Sets the default of `Options::busy_timeout` for the whole process, from 1 millisecond to 24 days. Only the command line uses
/// this.
pub fn set_default_busy_timeout(wait: Duration) {
    BUSY_TIMEOUT.store(in_range(wait).as_millis() as u64, Ordering::Relaxed);
}

/// Clamps a timeout to the range of PostgreSQL's lock_timeout: an int of milliseconds, where 0 would mean no timeout.
pub(super) fn in_range(wait: Duration) -> Duration {
    wait.clamp(Duration::from_millis(1), Duration::from_millis(i32::MAX as u64))
}
