//! Numbers that are measured again and again: what `analytics`, `channel_statistics` and
//! `video_statistics` have in common.
//!
//! Each of these tables holds one series of samples for each video or channel. The functions stand with
//! the rows: `latest_of` and `latest_of_all`, `growth` and `growth_of`, `thinned`, `thin`.
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
//!     deleted += db.write(|c| Analytics::thin(c, &mut thinning))?; // a short transaction each
//! }
//! assert_eq!(deleted, 2);
//! # Ok(())
//! # }
//! ```

mod select;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::types::{Timestamp, portable};
pub(crate) use select::{Select, Series};

/// Most rows of one step of [`Thinning`]: more would keep the row locks, or SQLite's write lock, for too
/// long.
const MOST: u32 = 10_000;

portable! {
    /// Length of a period, in UTC. The last sample of a period stands for it.
    pub enum Every {
        Hour = "hour",
        Day = "day",
        Week = "week",
    }
}

/// A row that was measured at a moment.
pub trait Sample {
    /// The moment.
    fn measured_at(&self) -> Timestamp;
}

/// How numbers grew between two samples: the last one at or before the beginning of a span, or else the
/// first one in it, and the last one at or before its end. With one sample the two are the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Growth<T> {
    /// The sample to count from.
    pub first: T,
    /// The sample to count to.
    pub last: T,
}

impl<T: Sample> Growth<T> {
    /// Hours between the two samples, which is not always the length of the span that was asked for.
    pub fn hours(&self) -> f64 {
        self.last.measured_at().hours_since(self.first.measured_at())
    }

    /// By how much a count grew; negative if it fell, `None` if one of the samples does not know it.
    pub fn of<N: Into<Option<i64>>>(&self, count: impl Fn(&T) -> N) -> Option<i64> {
        count(&self.last).into()?.checked_sub(count(&self.first).into()?)
    }

    /// By how much a count grew in an hour; `None` too if no time lies between the samples.
    pub fn per_hour<N: Into<Option<i64>>>(&self, count: impl Fn(&T) -> N) -> Option<f64> {
        let hours = self.hours();
        self.of(count).filter(|_| hours > 0.0).map(|growth| growth as f64 / hours)
    }
}

impl<T> Growth<T> {
    /// Rows that come as pairs, the first one before the last one.
    pub(crate) fn of_pairs(rows: Vec<T>) -> Vec<Self> {
        let mut rows = rows.into_iter();
        std::iter::from_fn(|| Some(Self { first: rows.next()?, last: rows.next()? })).collect()
    }
}

/// The way through one table that leaves one sample for each period, the last, of all that are older than a
/// moment. Each step is a `thin` of the table and deletes no more than `batch` rows.
///
/// The newest sample of a video or a channel is the last of its period, so it always stays.
#[derive(Debug, Clone)]
pub struct Thinning {
    before: Timestamp,
    every: Every,
    batch: u32,
    /// Video or channel to go on with.
    subject: Option<String>,
    is_done: bool,
}

impl Thinning {
    /// Thins what is older than `before` to one sample for each period, `batch` rows at a time.
    ///
    /// # Errors
    /// `Invalid` if `batch` is not between 1 and 10,000.
    pub fn new(before: Timestamp, every: Every, batch: u32) -> Result<Self> {
        if !(1..=MOST).contains(&batch) {
            return Err(Error::invalid("number of rows", format!("is not between 1 and {MOST}")));
        }
        Ok(Self { before, every, batch, subject: None, is_done: false })
    }

    /// Whether the last step came to the end of the table.
    pub const fn is_done(&self) -> bool {
        self.is_done
    }

    /// Takes what a step found, and returns the rows to delete.
    pub(crate) fn take<Id>(&mut self, found: Vec<(Id, String)>) -> Vec<Id> {
        self.is_done = found.len() < self.batch as usize;
        let (ids, mut subjects): (Vec<Id>, Vec<String>) = found.into_iter().unzip();
        self.subject = subjects.pop().or(self.subject.take());
        ids
    }
}

/// Refuses a span that ends before it begins.
fn check_span(from: Timestamp, to: Timestamp) -> Result<()> {
    if from > to { Err(Error::invalid(format!("{from} to {to}"), "ends before it begins")) } else { Ok(()) }
}
