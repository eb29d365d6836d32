//! How a database is opened.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::Result;
use crate::environment::{self, DotEnv};

/// How a database is opened; [`Options::from_environment`] is what [`Database::open`](crate::Database::open) uses.
#[derive(Debug, Clone)]
pub struct Options {
    /// Most connections at a time: readers on SQLite, all on PostgreSQL. At least 1; 8 unless told.
    pub connections: u32,
    /// How long to wait for another program's lock, and for a free connection: SQLite's write lock, and PostgreSQL's
    /// `lock_timeout` in `read` and `write`. From 1 millisecond to 24 days; a shorter or longer time counts as these.
    /// 5 seconds unless told. The command sets it with `--wait`.
    pub busy_timeout: Duration,
    /// Where [`Database::read`](crate::Database::read) reads on PostgreSQL: a streaming replica of the same server, which may be a moment
    /// behind, or that server itself. SQLite has none, and takes no notice. `None` unless told.
    pub read_url: Option<String>,
}

impl Options {
    /// As usual, with the `read_url` that `VIRALDB_READ_URL` names in the environment, or in a `.env` file here or
    /// above.
    ///
    /// # Errors
    /// `Invalid` for a `.env` that cannot be read.
    pub fn from_environment() -> Result<Self> {
        let read_url = match environment::variable(READ_URL)? {
            Some(url) => Some(url),
            None => DotEnv::read_if_possible()?.values.remove(READ_URL),
        };
        Ok(Self { read_url, ..Self::default() })
    }
}

/// The variable that names the replica.
pub(super) const READ_URL: &str = "VIRALDB_READ_URL";

impl Default for Options {
    fn default() -> Self {
        Self { connections: 8, busy_timeout: default_busy_timeout(), read_url: None }
    }
}

/// What `default_busy_timeout` returns, in milliseconds.
static BUSY_TIMEOUT: AtomicU64 = AtomicU64::new(5_000);

/// How long a lock is waited for where `Options::busy_timeout` does not say: 5 seconds, or as long as the command was
/// told with `--wait`.
pub(crate) fn default_busy_timeout() -> Duration {
    Duration::from_millis(BUSY_TIMEOUT.load(Ordering::Relaxed))
}

/// Changes the default of `Options::busy_timeout` for the whole process, from 1 millisecond to 24 days. Only the command line does.
pub fn set_default_busy_timeout(wait: Duration) {
    BUSY_TIMEOUT.store(in_range(wait).as_millis() as u64, Ordering::Relaxed);
}

/// PostgreSQL takes its lock_timeout as an int of milliseconds, and 0 as for ever.
pub(super) fn in_range(wait: Duration) -> Duration {
    wait.clamp(Duration::from_millis(1), Duration::from_millis(i32::MAX as u64))
}
