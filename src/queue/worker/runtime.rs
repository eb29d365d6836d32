//! The tokio runtime of a worker whose handlers are futures.

use tokio::runtime::Handle;
use tokio::sync::watch;

/// The runtime that the tasks of a worker run on, and the signal that ends the tasks.
#[derive(Debug, Clone)]
pub(super) struct Runtime {
    pub(super) handle: Handle,
    is_aborted: watch::Sender<bool>,
}

impl Runtime {
    pub(super) fn new(handle: Handle) -> Self {
        Self { handle, is_aborted: watch::Sender::new(false) }
    }

    /// Ends all tasks at the next await point of their futures. A blocking handler runs to its end without its task.
    pub(super) fn abort(&self) {
        self.is_aborted.send_replace(true);
    }

    /// Returns the receiver of the signal, for one task.
    pub(super) fn subscribe(&self) -> watch::Receiver<bool> {
        self.is_aborted.subscribe()
    }
}
