//! How many threads of an async program work on the database at once.

use std::sync::Arc;

use tokio::sync::Semaphore;

/// Who may have a thread: as many as find a connection.
pub(super) struct Permits {
    pub(super) reads: Arc<Semaphore>,
    pub(super) writes: Arc<Semaphore>,
    pub(super) runs: Arc<Semaphore>,
}

impl Permits {
    /// On PostgreSQL all share the pool. On SQLite writers have one connection beside it, and what runs
    /// with the whole database may wait for either, so it takes no reader's turn meanwhile.
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
