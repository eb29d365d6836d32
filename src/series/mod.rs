//! Time series of samples, in the tables `analytics`, `channel_statistics` and `video_statistics`.
//!
//! Each of these tables holds one series of samples per video or channel. The functions are methods of the row types:
//! `latest_of`, `latest_of_all`, `growth`, `growth_of`, `thinned` and `thin`.
//!
//! ```
//! use viraldb::compilation::{Analytics, NewAnalytics};
//! use viraldb::series::{Every, Thinning};
//!
//! # fn main() -> viraldb::Result<()> {
//! # let db = viraldb::Database::open("sqlite::memory:")?;
//! let sample = |at: &str, views| -> viraldb::Result<_> {
//!     Ok(NewAnalytics {
//!         youtube_video_id: "3C66w5Z0ixs".into(),
//!         measured_at: Some(at.parse()?),
//!         view_count: Some(views),
//!         ..Default::default()
//!     })
//! };
//! let samples = [sample("2026-11-20", 100)?, sample("2026-11-20 12:00:00", 700)?, sample("2026-11-21", 940)?];
//! db.write(|c| NewAnalytics::insert_many(c, &samples))?;
//!
//! let (from, to) = ("2026-11-20".parse()?, "2026-11-22".parse()?);
//! let growth = db.read(|c| Analytics::growth(c, "3C66w5Z0ixs", from, to))?;
//! assert_eq!(growth.as_ref().and_then(|g| g.of(|s| s.view_count)), Some(840));
//! assert_eq!(growth.and_then(|g| g.per_hour(|s| s.view_count)), Some(35.0));
//!
//! let days = db.read(|c| Analytics::thinned(c, "3C66w5Z0ixs", from, to, Every::Day))?;
//! assert_eq!(days.iter().map(|day| day.view_count).collect::<Vec<_>>(), [Some(700), Some(940)]);
//!
//! let mut thinning = Thinning::new(to, Every::Week, 1_000)?;
//! let mut deleted = 0;
//! while !thinning.is_done() {
//!     deleted += db.write(|c| Analytics::thin(c, &mut thinning))?; // one short transaction per step
//! }
//! assert_eq!(deleted, 2);
//! # Ok(())
//! # }
//! ```

mod select;
mod top;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::types::{Timestamp, portable};
pub(crate) use select::{Select, Series};
pub(crate) use top::top;

/// Maximum number of rows in one step of [`Thinning`]. More would hold the row locks, or SQLite's write lock, for too long.
const MOST: u32 = 10_000;

portable! {
    /// Length of a period in UTC. The last sample of a period represents the period.
    pub enum Every {
        Hour = "hour",
        Day = "day",
        Week = "week",
    }
}

/// A row with the time of its measurement.
pub trait Sample {
    /// Returns when the row was measured.
    fn measured_at(&self) -> Timestamp;
}

/// The growth of numbers between two samples of a time span.
///
/// The first sample is the last one at or before the beginning of the span, or else the first one within the span. The
/// last sample is the last one at or before the end of the span. If there is only one sample, both are the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Growth<T> {
    /// The sample at the start.
    pub first: T,
    /// The sample at the end.
    pub last: T,
}

impl<T: Sample> Growth<T> {
    /// Returns the hours between the two samples, which can differ from the length of the requested span.
    pub fn hours(&self) -> f64 {
        self.last.measured_at().hours_since(self.first.measured_at())
    }

    /// Returns by how much a count grew. The result is negative if it fell, and `None` if a sample lacks the count.
    pub fn of<N: Into<Option<i64>>>(&self, count: impl Fn(&T) -> N) -> Option<i64> {
        count(&self.last).into()?.checked_sub(count(&self.first).into()?)
    }

    /// Returns by how much a count grew per hour. Also returns `None` if no time passed between the samples.
    pub fn per_hour<N: Into<Option<i64>>>(&self, count: impl Fn(&T) -> N) -> Option<f64> {
        let hours = self.hours();
        self.of(count).filter(|_| hours > 0.0).map(|growth| growth as f64 / hours)
    }
}

impl<T> Growth<T> {
    /// Groups rows that come in pairs: the first sample, then the last one.
    pub(crate) fn of_pairs(rows: Vec<T>) -> Vec<Self> {
        let mut rows = rows.into_iter();
        std::iter::from_fn(|| Some(Self { first: rows.next()?, last: rows.next()? })).collect()
    }
}

/// The state of thinning one table: of the samples older than a given time, only the last one of each period stays.
///
/// Each step is a call of `thin` on the row type and deletes at most `batch` rows. The newest sample of a video or channel
/// is the last one of its period, so it always stays.
#[derive(Debug, Clone)]
pub struct Thinning {
    before: Timestamp,
    every: Every,
    batch: u32,
    /// The video or channel to continue with.
    subject: Option<String>,
    is_done: bool,
}

impl Thinning {
    /// Creates the state for thinning samples older than `before` to one per period, with at most `batch` rows per step.
    ///
    /// # Errors
    /// `Invalid` if `batch` is not from 1 to 10,000.
    pub fn new(before: Timestamp, every: Every, batch: u32) -> Result<Self> {
        if !(1..=MOST).contains(&batch) {
            return Err(Error::invalid("number of rows", format!("must be from 1 to {MOST}, got {batch}")));
        }
        Ok(Self { before, every, batch, subject: None, is_done: false })
    }

    /// Returns true if the last step reached the end of the table.
    pub const fn is_done(&self) -> bool {
        self.is_done
    }

    /// Records the rows that a step found, and returns the ids of the rows to delete.
    pub(crate) fn take<Id>(&mut self, found: Vec<(Id, String)>) -> Vec<Id> {
        self.is_done = found.len() < self.batch as usize;
        let (ids, mut subjects): (Vec<Id>, Vec<String>) = found.into_iter().unzip();
        self.subject = subjects.pop().or(self.subject.take());
        ids
    }
}

/// Rejects a span that ends before it begins.
fn check_span(from: Timestamp, to: Timestamp) -> Result<()> {
    if from > to {
        Err(Error::invalid(
            format!("the period from {from} to {to}"),
            "ends before it begins; swap the two times",
        ))
    } else {
        Ok(())
    }
}
