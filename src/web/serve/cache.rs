//! Keeps pages for a moment, so that any number of viewers costs the database one query at a time.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use super::failure::Failure;

/// Maximum number of pages.
const PAGES: usize = 256;
/// A page is computed again when it is older than this.
const FRESH: Duration = Duration::from_secs(2);
/// A page is computed again when its age is this many times what it took to compute.
const COST: u32 = 20;
/// A page that is older than this is not shown while it is computed again.
const STALE: Duration = Duration::from_secs(60);

/// Answers that are computed again after [`FRESH`], even if they took long to compute.
const PROMPT: [&str; 1] = ["readyz"];

/// A page or an answer of the API, without what differs between visitors.
#[derive(Debug)]
pub(super) struct Kept {
    /// When its numbers were read.
    pub at: DateTime<Utc>,
    pub text: String,
}

/// Pages by their address.
#[derive(Default)]
pub(super) struct Cache(Mutex<HashMap<String, Arc<Slot>>>);

#[derive(Default)]
struct Slot {
    /// Held while the page is computed, so that concurrent requests wait for the same result.
    turn: tokio::sync::Mutex<()>,
    kept: Mutex<Option<(Arc<Kept>, Instant, Duration)>>,
    is_refreshing: AtomicBool,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Cache {
    /// Returns the page with this address.
    ///
    /// The first request computes it. A page that is a little too old is returned at once, and computed again in the
    /// background.
    pub async fn get<F>(&self, address: &str, compute: impl FnOnce() -> F) -> Result<Arc<Kept>, Failure>
    where
        F: Future<Output = Result<Kept, Failure>> + Send + 'static,
    {
        let slot = self.slot(address);
        match slot.look() {
            Look::Fresh(kept) => return Ok(kept),
            Look::Aging(kept) => {
                if !slot.is_refreshing.swap(true, Ordering::AcqRel) {
                    let compute = compute();
                    tokio::spawn(async move {
                        let begun = Instant::now();
                        match compute.await {
                            Ok(page) => drop(slot.put(page, begun)),
                            Err(failure) => tracing::warn!("cannot refresh a page: {}", failure.text),
                        }
                        slot.is_refreshing.store(false, Ordering::Release);
                    });
                }
                return Ok(kept);
            }
            Look::Missing => {}
        }
        let _turn = slot.turn.lock().await;
        if let Look::Fresh(kept) | Look::Aging(kept) = slot.look() {
            return Ok(kept);
        }
        let begun = Instant::now();
        let page = compute().await?;
        Ok(slot.put(page, if PROMPT.contains(&address) { Instant::now() } else { begun }))
    }

    /// Forgets all pages, because an action changed something.
    pub fn clear(&self) {
        lock(&self.0).clear();
    }

    fn slot(&self, address: &str) -> Arc<Slot> {
        let mut slots = lock(&self.0);
        if slots.len() >= PAGES && !slots.contains_key(address) {
            slots.retain(|_, slot| Arc::strong_count(slot) > 1 || !matches!(slot.look(), Look::Missing));
            if slots.len() >= PAGES {
                slots.clear();
            }
        }
        Arc::clone(slots.entry(address.to_owned()).or_default())
    }
}

enum Look {
    Fresh(Arc<Kept>),
    Aging(Arc<Kept>),
    Missing,
}

impl Slot {
    fn look(&self) -> Look {
        match &*lock(&self.kept) {
            Some((kept, at, cost)) => {
                let fresh = FRESH.max(*cost * COST);
                match at.elapsed() {
                    age if age <= fresh => Look::Fresh(Arc::clone(kept)),
                    // A page that is quickly computed is not worth showing old.
                    age if age <= fresh.max(STALE) && *cost > FRESH / 10 => Look::Aging(Arc::clone(kept)),
                    _ => Look::Missing,
                }
            }
            None => Look::Missing,
        }
    }

    fn put(&self, page: Kept, begun: Instant) -> Arc<Kept> {
        let (page, now) = (Arc::new(page), Instant::now());
        *lock(&self.kept) = Some((Arc::clone(&page), now, now - begun));
        page
    }
}
