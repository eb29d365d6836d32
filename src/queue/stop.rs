//! Stopping a worker from another thread or by a signal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::{Error, Result};

/// A handle that stops a [`Worker`](super::Worker): the worker claims no more jobs, lets running jobs finish, and returns.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Stops the worker.
    pub fn stop(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Returns true if the worker was told to stop.
    pub fn is_stopped(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Stops the worker when the process receives SIGTERM or SIGINT (Ctrl-C).
    ///
    /// # Errors
    /// `Other` if the operating system does not accept the signal handlers.
    pub fn on_signals(&self) -> Result<()> {
        for signal in [signal_hook::consts::SIGTERM, signal_hook::consts::SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&self.0)).map_err(Error::other)?;
        }
        Ok(())
    }
}
