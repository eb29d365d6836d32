//! Decides how many jobs a worker claims ahead of its free hands.

use std::time::Duration;

/// How long the jobs that are claimed ahead may keep all hands busy.
///
/// Claiming ahead saves a transaction for each job, which takes about a millisecond. For handlers that take longer than
/// this, the saving does not matter.
const AHEAD: Duration = Duration::from_millis(50);

/// Maximum number of jobs that are claimed ahead.
const MOST: u32 = 2_000;

/// The weight of one more handler in the average.
const WEIGHT: f64 = 0.02;

/// How long handlers take: an average that rises at once and falls slowly, so that a few long jobs among many short ones
/// count.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Pace {
    /// In seconds; `None` until the first handler has returned.
    seconds: Option<f64>,
}

impl Pace {
    /// Records how long a handler took, or has taken so far.
    pub(super) fn record(&mut self, took: Duration) {
        let took = took.as_secs_f64();
        self.seconds = Some(match self.seconds {
            Some(average) if took < average => average + (took - average) * WEIGHT,
            _ => took,
        });
    }

    /// Returns how many jobs `hands` may claim ahead: as many as they finish within 50 ms, but none before the first
    /// handler has returned, and none for handlers that take longer.
    pub(super) fn ahead(&self, hands: u32) -> u32 {
        let Some(seconds) = self.seconds else { return 0 };
        let rounds = AHEAD.as_secs_f64() / seconds.max(1e-6);
        if rounds < 1.0 { 0 } else { (rounds * f64::from(hands)).min(f64::from(MOST)) as u32 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHORT: Duration = Duration::from_micros(50);
    const LONG: Duration = Duration::from_secs(10);

    #[test]
    fn nothing_is_claimed_ahead_before_a_handler_has_returned() {
        assert_eq!(Pace::default().ahead(4), 0);
    }

    #[test]
    fn short_handlers_claim_ahead_and_long_ones_do_not() {
        let mut pace = Pace::default();
        pace.record(SHORT);
        assert_eq!(pace.ahead(4), MOST);
        pace.record(Duration::from_millis(5));
        assert_eq!(pace.ahead(4), 40);
        pace.record(LONG);
        assert_eq!(pace.ahead(4), 0);
    }

    #[test]
    fn one_long_handler_among_short_ones_is_remembered_for_a_while() {
        let mut pace = Pace::default();
        pace.record(LONG);
        let after = (0..).find(|_| {
            pace.record(SHORT);
            pace.ahead(1) > 0
        });
        assert!((100..1_000).contains(&after.unwrap_or_default()), "{after:?}");
    }
}
