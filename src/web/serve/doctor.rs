//! The doctor's newest report. It reads much of the database, so it runs in the background, and seldom.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::options::ServeOptions;
use crate::ops::{self, Examination, Report};

/// An examination begins when the newest one is older than this, if somebody looks.
const FRESH: Duration = Duration::from_secs(60);
/// An examination begins when the newest one is this many times as old as it took.
const COST: u32 = 20;

/// The newest report.
#[derive(Default)]
pub(super) struct Doctor {
    newest: Mutex<Option<(Arc<Report>, Instant, Duration)>>,
    is_running: AtomicBool,
}

impl Doctor {
    pub fn newest(&self) -> Option<Arc<Report>> {
        let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        newest.as_ref().map(|(report, ..)| Arc::clone(report))
    }

    /// Begins an examination if the newest one is old, and does not wait for it.
    pub fn refresh(self: &Arc<Self>, url: &str, options: &ServeOptions) {
        let is_fresh = {
            let newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
            newest.as_ref().is_some_and(|(_, at, cost)| at.elapsed() < FRESH.max(*cost * COST))
        };
        if is_fresh || self.is_running.swap(true, Ordering::AcqRel) {
            return;
        }
        let (doctor, url) = (Arc::clone(self), url.to_owned());
        let asked = Examination {
            backups: options.backups.clone(),
            config: options.config.clone(),
            ..Examination::default()
        };
        tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            match ops::doctor(&url, &asked) {
                Ok(report) => {
                    let now = Instant::now();
                    *doctor.newest.lock().unwrap_or_else(PoisonError::into_inner) =
                        Some((Arc::new(report), now, now - begun));
                }
                Err(error) => tracing::warn!("the doctor cannot examine the database: {error}"),
            }
            doctor.is_running.store(false, Ordering::Release);
        });
    }
}
