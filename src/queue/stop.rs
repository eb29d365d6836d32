//! Stopping a worker from another thread or by a signal.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

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
        for signal in [SIGTERM, SIGINT] {
            signal_hook::flag::register(signal, Arc::clone(&self.flag)).map_err(Error::other)?;
        }
        Ok(())
    }

    /// Stops the worker on the first SIGTERM or SIGINT, and stops `second` on the next one. A third signal ends the process.
    ///
    /// Signals within half a second of the first one count as one, because `timeout` sends its signal twice.
    ///
    /// # Errors
    /// `Other` if the operating system does not accept the signal handlers.
    pub fn on_repeated_signals(&self, second: &Self) -> Result<()> {
        const ONE: Duration = Duration::from_millis(500);
        let mut signals = Signals::new([SIGTERM, SIGINT]).map_err(Error::other)?;
        let (first, second) = (self.clone(), second.clone());
        let wait = move || {
            let mut since = None;
            for signal in signals.forever() {
                if ONE > since.get_or_insert_with(Instant::now).elapsed() {
                    first.stop();
                } else if !second.is_stopped() {
                    second.stop();
                } else {
                    // This fails only for a signal that cannot be caught.
                    let _ = signal_hook::low_level::emulate_default_handler(signal);
                }
            }
        };
        std::thread::Builder::new().name("signals".to_owned()).spawn(wait).map_err(Error::other)?;
        Ok(())
    }
}
