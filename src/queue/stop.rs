//! Stopping a worker from another thread or by a signal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

/// A handle that stops a [`Worker`](super::Worker): the worker claims no more jobs, lets running jobs finish, and returns.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    flag: Arc<AtomicBool>,
    /// The handle that also stops the worker, if this one belongs to a single run of it.
    parent: Option<Arc<Self>>,
}

impl Stop {
    /// Stops the worker.
    pub fn stop(&self) {
        self.flag.store(true, Ordering::Relaxed);
    }

    /// Returns true if the worker was told to stop.
    pub fn is_stopped(&self) -> bool {
        self.flag.load(Ordering::Relaxed) || self.parent.as_ref().is_some_and(|parent| parent.is_stopped())
    }

    /// Returns a handle that stops one run of the worker, without stopping its other runs.
    #[cfg(feature = "async")]
    pub(super) fn of_one_run(&self) -> Self {
        Self { flag: Arc::default(), parent: Some(Arc::new(self.clone())) }
    }

    /// Stops the worker when the process receives SIGTERM or SIGINT (Ctrl-C).
    ///
    /// # Errors
    /// `Other` if the operating system does not accept the signal handlers.
    pub fn on_signals(&self) -> Result<()> {
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&self.flag)).map_err(Error::other)?;
        }
        Ok(())
    }
}
