//! Counters of a worker, for metrics.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::outcome::Outcome;
use super::work::Work;
use crate::republishing::JobType;

/// The counters of a worker by job type. They only grow, as metrics systems expect.
///
/// The handle stays valid while the worker runs and after it: see [`Worker::counters`](super::Worker::counters).
#[derive(Debug, Clone, Default)]
pub struct Counters(Arc<Mutex<BTreeMap<JobType, Counts>>>);

/// The counters of one job type.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Counts {
    /// Jobs that the worker has claimed.
    pub claimed: u64,
    /// Jobs whose handler returned `Ok`.
    pub completed: u64,
    /// Failed attempts after which the job is retried.
    pub retried: u64,
    /// Jobs that failed for good: their attempts were used up, or they were discarded.
    pub failed: u64,
    /// Jobs whose handler asked for a later attempt.
    pub snoozed: u64,
    /// Jobs that were released without an outcome.
    pub released: u64,
    /// Jobs whose lease was lost before they were settled.
    pub lost: u64,
    /// How long handlers took.
    pub duration: Histogram,
    /// How long jobs waited from the time they were due until their handler started.
    pub wait: Histogram,
}

const BOUNDS: [f64; 14] =
    [0.005, 0.01, 0.025, 0.1, 0.25, 1.0, 2.5, 10.0, 30.0, 60.0, 300.0, 900.0, 3_600.0, 14_400.0];

/// A histogram of times.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Histogram {
    /// How many times were at most as long as the bound with the same index in [`BOUNDS`](Self::BOUNDS), and longer than the
    /// one before. The last number counts the longer ones.
    pub counts: [u64; BOUNDS.len() + 1],
    /// The sum of all times in seconds.
    pub sum_seconds: f64,
}

impl Histogram {
    /// The upper bounds of the buckets, in seconds.
    pub const BOUNDS: [f64; BOUNDS.len()] = BOUNDS;

    /// Returns how many times were counted.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    fn record(&mut self, time: Duration) {
        let seconds = time.as_secs_f64();
        let bucket = BOUNDS.partition_point(|bound| *bound < seconds);
        if let Some(count) = self.counts.get_mut(bucket) {
            *count += 1;
        }
        self.sum_seconds += seconds;
    }
}

impl Counters {
    /// Returns the counters as they are now. Types without jobs are left out.
    pub fn snapshot(&self) -> BTreeMap<JobType, Counts> {
        self.lock().clone()
    }

    pub(super) fn claimed(&self, jobs: &[Arc<Work>]) {
        let mut counts = self.lock();
        for job in jobs {
            counts.entry(job.job_type).or_default().claimed += 1;
        }
    }

    /// Counts settled jobs. An outcome is `None` for a job that was lost.
    pub(super) fn settled<'a>(&self, jobs: impl IntoIterator<Item = (&'a Work, Option<&'a Outcome>)>) {
        let mut counts = self.lock();
        for (work, outcome) in jobs {
            let counts = counts.entry(work.job_type).or_default();
            let count = match outcome {
                None | Some(Outcome::Lost) => &mut counts.lost,
                Some(Outcome::Completed) => &mut counts.completed,
                Some(Outcome::Failed { is_final, .. }) if !is_final && work.attempts < work.max_attempts => {
                    &mut counts.retried
                }
                Some(Outcome::Failed { .. }) => &mut counts.failed,
                Some(Outcome::Snoozed(_)) => &mut counts.snoozed,
                Some(Outcome::Released) => &mut counts.released,
            };
            *count += 1;
            if let Some((waited, took)) = work.times() {
                counts.wait.record(waited);
                counts.duration.record(took);
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<JobType, Counts>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_is_counted_in_the_bucket_of_the_next_bound() {
        let mut histogram = Histogram::default();
        for seconds in [0.0, 0.005, 0.006, 14_400.0, 99_999.0] {
            histogram.record(Duration::from_secs_f64(seconds));
        }
        let filled: Vec<(usize, u64)> =
            histogram.counts.iter().copied().enumerate().filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(0, 2), (1, 1), (13, 1), (14, 1)]);
        assert_eq!((histogram.count(), histogram.sum_seconds), (5, 114_399.011));
    }
}
