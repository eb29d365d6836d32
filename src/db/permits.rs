//! Limits how many threads of an async program use the database concurrently.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// The permits for threads: one for each connection, so that no thread waits for a connection.
pub(super) struct Permits {
    pub(super) reads: Arc<Semaphore>,
    pub(super) writes: Arc<Semaphore>,
    pub(super) runs: Arc<Semaphore>,
}

impl Permits {
    /// Creates the permits. On PostgreSQL all calls share the connections of the pool. On SQLite writers share one separate
    /// connection. There `run` has its own permits: its closure may wait for the writer, and should not block readers then.
    pub(super) fn new(connections: u32, one_writer: bool) -> Self {
        let permits = |count: usize| Arc::new(Semaphore::new(count.min(Semaphore::MAX_PERMITS)));
        let all = permits(connections as usize);
        if one_writer {
            Self { reads: all, writes: permits(1), runs: permits(connections as usize) }
        } else {
            Self { reads: Arc::clone(&all), writes: Arc::clone(&all), runs: all }
        }
    }
}
