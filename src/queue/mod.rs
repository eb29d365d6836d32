//! The work queue on the table `video_processing_jobs`: many workers on many machines, one worker per job.
//!
//! A worker **claims** jobs and gets a lease on each. Until the lease expires, no other worker gets the job. The worker
//! sends a **heartbeat** while it works, and finally **completes**, **fails** or **releases** the job.
//!
//! These operations require the lease token of the claim and succeed only until the lease expires. A slow worker therefore
//! cannot finish a job that another worker has claimed since, even if both workers have the same name. **Rescue** returns
//! the jobs of dead workers to the queue.
//!
//! ```text
//!            claim                complete
//! queued ──────────► processing ──────────► completed
//!    ▲                │   │   └── fail, attempts used up ──► failed
//!    │  release       │   │ fail, rescue                       │
//!    ├────────────────┘   ▼                                    │ retry, by hand
//!    │                 retrying ── claim, after run_at         │
//!    └─────────────────────────────────────────────────────────┘
//! ```
//!
//! Other programs may insert rows without the columns of the queue. Workers claim such jobs like any other: by default
//! they are due immediately.
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

mod activity;
mod admin;
mod attempt;
mod batch;
mod chain;
mod claim;
mod command;
mod enqueue;
mod events;
#[cfg(feature = "postgres")]
mod insert;
mod lease;
mod limit;
mod progress;
#[cfg(feature = "schedules")]
mod schedule;
mod stats;
mod stop;
mod view;
mod wait;
mod worker;

pub use activity::{Activity, RunningJob, TypeActivity, activity, running};
pub use admin::{Rescued, cancel, rescue, rescue_all, retry};
pub use attempt::{AttemptOutcome, JobAttempt};
pub use batch::{complete_many, heartbeat_many, release_many};
pub use chain::complete_and_enqueue;
pub use claim::{Claim, claim, is_paused};
pub use command::JobCommand;
pub use enqueue::{enqueue, enqueue_many};
pub use events::{EventKind, Events, JobEvent, JobEventFilter};
pub use lease::{Backoff, Failure, Lease, complete, fail, heartbeat, release, snooze};
pub use progress::report_progress;
#[cfg(feature = "schedules")]
pub use schedule::{
    Cron, JobSchedule, JobScheduleChanges, MissedTicks, NewJobSchedule, Ticked, next_tick, tick, tick_all,
};
pub use stats::{TypeStats, stats};
pub use stop::Stop;
pub use view::{JobView, Retried, retry_all, view};
pub use wait::{JobWait, enqueue_after};
pub use worker::{Counters, Counts, Done, Histogram, JobError, JobOutcome, Policy, Settled, Work, Worker};
