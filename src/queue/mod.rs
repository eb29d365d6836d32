//! The work queue over `video_processing_jobs`: many workers, on many machines, each job to one at a time.
//!
//! A worker **claims** jobs and gets a lease on each: for so long nobody else gets them. It sends a
//! **heartbeat** while it works, and **completes**, **fails** or **releases** the job. Each of these is
//! fenced: it names the token of its claim and works only while that lease runs, so a worker that was too
//! slow cannot finish a job that was given to another, whatever its name. **Rescue** takes back the jobs of
//! workers that died.
//!
//! ```text
//!            claim                complete
//! queued ──────────► processing ──────────► completed
//!    ▲                │   │   └── fail, attempts used up ──► failed
//!    │  release       │   │ fail, rescue                       │
//!    ├────────────────┘   ▼                                    │ retry, by hand
//!    │                 retrying ── claim, when run_at is past  │
//!    └─────────────────────────────────────────────────────────┘
//! ```
//!
//! Rows that other programs insert without our columns are taken like any other: the defaults make them
//! due at once.
//!
//! ```
//! use viraldb::queue::{self, Claim, Failure};
//! use viraldb::republishing::{JobType, NewChannel, NewVideo, NewVideoProcessingJob};
//!
//! # fn main() -> viraldb::Result<()> {
//! let db = viraldb::Database::open("sqlite::memory:")?;
//! # let channel = db.write(|c| NewChannel::default().insert(c))?;
//! # let video = NewVideo { channel_id: channel.id, ..Default::default() };
//! # let video = db.write(|c| video.insert(c))?;
//! db.write(|c| queue::enqueue(c, &NewVideoProcessingJob::new(video.id, channel.id, JobType::Download)))?;
//!
//! for job in db.write(|c| queue::claim(c, &Claim::new("worker-1").types([JobType::Download]).at_most(10)))? {
//!     match std::fs::File::open("/a/download/that/failed") {
//!         Ok(_) => db.write(|c| queue::complete(c, &job))?,
//!         Err(error) => db.write(|c| queue::fail(c, &job, &Failure::new(error.to_string())))?,
//!     };
//! }
//! # Ok(())
//! # }
//! ```

mod admin;
mod claim;
mod enqueue;
mod lease;
mod stats;
mod stop;
mod worker;

pub use admin::{Rescued, cancel, rescue, rescue_all, retry};
pub use claim::{Claim, claim, is_paused};
pub use enqueue::{enqueue, enqueue_many};
pub use lease::{Backoff, Failure, Lease, complete, complete_many, fail, heartbeat, release};
pub use stats::{TypeStats, stats};
pub use stop::Stop;
pub use worker::{Done, Work, Worker};
