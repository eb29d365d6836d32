//! `viraldb jobs`

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

use super::Context;
use super::duration::duration;
use super::values::{Paging, by_setting, channel_id};
use viraldb::ops::{self, Part, Prune};
use viraldb::queue::{self, Claim, Failure, Lease};
use viraldb::republishing::{
    JobStatus, JobType, NewVideoProcessingJob, Video, VideoId, VideoProcessingJob, VideoProcessingJobFilter,
    VideoProcessingJobId,
};
use viraldb::types::LeaseToken;
use viraldb::{Json, Result, Timestamp};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List jobs, newest first
    List {
        /// Only with this status: queued, processing, completed, failed or retrying
        #[arg(long, value_name = "STATUS")]
        status: Option<String>,
        /// Only of this type: scrape, download, transform, publish or music_replace
        #[arg(long = "type", value_name = "TYPE")]
        job_type: Option<String>,
        /// Only of this video
        #[arg(long, value_name = "ID")]
        video: Option<VideoId>,
        /// Only of this channel: its id, or YouTube's
        #[arg(long, value_name = "ID")]
        channel: Option<String>,
        #[command(flatten)]
        page: Paging<VideoProcessingJobId>,
    },
    /// Put a job in the queue
    Enqueue {
        /// scrape, download, transform, publish or music_replace
        #[arg(value_name = "TYPE")]
        job_type: String,
        /// Video to work on: the id of its row in `videos`, which `viraldb export videos` prints
        #[arg(long, value_name = "ID")]
        video: VideoId,
        /// Channel the video is made for, by its id or YouTube's; the video's own unless given
        #[arg(long, value_name = "ID")]
        channel: Option<String>,
        /// Higher goes first
        #[arg(long, value_name = "N", allow_negative_numbers = true)]
        priority: Option<i32>,
        /// Not before, such as 2026-11-21T08:30:00Z
        #[arg(long, value_name = "TIME")]
        run_at: Option<Timestamp>,
        #[arg(long, value_name = "N", help = by_setting("Number of attempts", "default_retry_attempts"))]
        max_attempts: Option<i32>,
        /// Leave it if an unfinished job has this key
        #[arg(long, value_name = "KEY")]
        unique_key: Option<String>,
    },
    /// Take jobs out: prints what there is to do, with the token that finishes it
    Claim {
        /// Name of the worker that takes them
        #[arg(long, value_name = "NAME")]
        worker: String,
        /// Only of this type; may be given several times
        #[arg(long = "type", value_name = "TYPE")]
        types: Vec<String>,
        /// Most jobs to take
        #[arg(long, value_name = "N", default_value_t = 1)]
        limit: u32,
        /// How long the worker has them without a heartbeat, such as 90s or 10m
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
        lease: Duration,
    },
    /// Keep a job for longer
    Heartbeat {
        #[command(flatten)]
        held: Held,
        /// How long from now, such as 90s or 10m
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
        lease: Duration,
    },
    /// Finish a job
    Complete {
        #[command(flatten)]
        held: Held,
    },
    /// Say that a job failed: it is tried again later, unless its attempts are used up
    Fail {
        #[command(flatten)]
        held: Held,
        /// What went wrong
        #[arg(long, value_name = "MESSAGE")]
        error: String,
        /// More about it, as JSON
        #[arg(long, value_name = "JSON")]
        details: Option<serde_json::Value>,
    },
    /// Give a job back; the attempt does not count
    Release {
        #[command(flatten)]
        held: Held,
    },
    /// Put failed jobs back in the queue
    Retry {
        #[arg(value_name = "ID", required = true)]
        ids: Vec<VideoProcessingJobId>,
    },
    /// End jobs that are not finished
    Cancel {
        #[arg(value_name = "ID", required = true)]
        ids: Vec<VideoProcessingJobId>,
    },
    /// Take back the jobs of workers that died; one that is processing without a lease is not touched
    Rescue,
    /// Delete the jobs that were completed or failed long ago
    Prune {
        /// How long ago, such as 30d or 12h
        #[arg(long, value_name = "TIME", value_parser = duration)]
        older_than: Duration,
    },
    /// Jobs by type and status, and how fast they are finished
    Stats {
        /// How far back to look for throughput and averages, such as 1h
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
        window: Duration,
    },
}

/// A job and the token of its claim.
#[derive(Debug, clap::Args)]
struct Held {
    /// The job
    #[arg(value_name = "ID")]
    id: VideoProcessingJobId,
    /// The lease_token that the claim printed
    #[arg(long, value_name = "TOKEN")]
    token: LeaseToken,
}

impl From<Held> for Lease {
    fn from(held: Held) -> Self {
        Self::new(held.id, held.token)
    }
}

const LISTED: &[&str] =
    &["id", "job_type", "status", "priority", "attempts", "run_at", "leased_by", "error_message"];
const CLAIMED: &[&str] = &["id", "job_type", "video_id", "attempts", "lease_token", "lease_expires_at"];

const STATS: &[&str] = &[
    "job_type",
    "queued",
    "retrying",
    "processing",
    "completed",
    "failed",
    "oldest_due",
    "recently_completed",
    "completed_per_hour",
    "average_wait_seconds",
    "average_duration_seconds",
];

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        match self.command {
            Command::List { status, job_type, video, channel, page } => {
                let filter = VideoProcessingJobFilter {
                    video_id: video,
                    channel_id: channel_id(&db, channel.as_deref())?,
                    job_type: job_type.map(|word| word.parse()).transpose()?,
                    status: status.map(|word| word.parse()).transpose()?,
                };
                let jobs = db.read(|c| VideoProcessingJob::list(c, &filter, &page.into()))?;
                context.list(&jobs, LISTED, "no jobs")?;
            }
            Command::Enqueue { job_type, video, channel, priority, run_at, max_attempts, unique_key } => {
                let job_type: JobType = job_type.parse()?;
                let channel = channel_id(&db, channel.as_deref())?;
                let job = db.write(|c| {
                    let channel = match channel {
                        Some(channel) => channel,
                        None => Video::find(c, video)?.channel_id,
                    };
                    let job = NewVideoProcessingJob {
                        priority,
                        run_at,
                        max_attempts,
                        unique_key: unique_key.as_deref().map(Into::into),
                        ..NewVideoProcessingJob::new(video, channel, job_type)
                    };
                    queue::enqueue(c, &job)
                })?;
                let text = match &job {
                    Some(job) => format!("queued {}", job.id),
                    None => {
                        format!(
                            "not queued: an unfinished job has the key {}",
                            unique_key.unwrap_or_default()
                        )
                    }
                };
                context.done(&text, &job)?;
            }
            Command::Claim { worker, types, limit, lease } => {
                let types: Vec<JobType> = types.iter().map(|word| word.parse()).collect::<Result<_>>()?;
                let claim = Claim::new(worker).types(types).at_most(limit).lease(lease);
                let jobs = db.write(|c| queue::claim(c, &claim))?;
                if jobs.is_empty() && db.read_newest(queue::is_paused)? {
                    tracing::warn!("the queue is paused: the setting queue_paused is true");
                }
                context.list(&jobs, CLAIMED, "no due jobs")?;
                if !jobs.is_empty() {
                    context
                        .output
                        .deliver("the claimed jobs return to the queue when their leases expire")?;
                }
            }
            Command::Heartbeat { held, lease } => {
                let job = db.write(|c| queue::heartbeat(c, held, lease))?;
                let until = job.lease_expires_at.map(|at| at.to_string()).unwrap_or_default();
                context.done(&format!("held until {until}"), &job)?;
            }
            Command::Complete { held } => {
                let job = db.write(|c| queue::complete(c, held))?;
                context.done("completed", &job)?;
            }
            Command::Fail { held, error, details } => {
                let failure = Failure { details: details.map(Json), ..Failure::new(error) };
                let job = db.write(|c| queue::fail(c, held, &failure))?;
                let text = match job.status {
                    JobStatus::Failed => format!("failed after {} attempts", job.attempts),
                    _ => format!(
                        "attempt {} of {} failed; next not before {}",
                        job.attempts, job.max_attempts, job.run_at
                    ),
                };
                context.done(&text, &job)?;
            }
            Command::Release { held } => {
                let job = db.write(|c| queue::release(c, held))?;
                context.done("released", &job)?;
            }
            Command::Retry { ids } => {
                let jobs = db.write(|c| all(&ids, |id| queue::retry(c, id)))?;
                context.output.rows(&jobs, LISTED)?;
            }
            Command::Cancel { ids } => {
                let jobs = db.write(|c| all(&ids, |id| queue::cancel(c, id)))?;
                context.output.rows(&jobs, LISTED)?;
            }
            Command::Rescue => {
                let rescued = queue::rescue_all(&db)?;
                let text = format!("{} back to work, {} failed", rescued.retrying, rescued.failed);
                context.done(&text, &rescued)?;
            }
            Command::Prune { older_than } => {
                let prune = Prune {
                    parts: vec![Part::Jobs],
                    finished_before: Timestamp::now() - older_than,
                    ..Prune::new(&context.config(&db)?)?
                };
                let pruned = ops::prune(&db, &prune, &mut |_| Ok(()))?.rows();
                let jobs = if pruned == 1 { "job" } else { "jobs" };
                context
                    .done(&format!("deleted {pruned} {jobs}"), &serde_json::json!({ "deleted": pruned }))?;
            }
            Command::Stats { window } => {
                let stats = db.read_newest(|c| queue::stats(c, window))?;
                context.list(&stats, STATS, "no jobs")?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn all<T>(
    ids: &[VideoProcessingJobId],
    work: impl FnMut(VideoProcessingJobId) -> Result<T>,
) -> Result<Vec<T>> {
    // One order for all, so that two who change the same jobs do not wait for each other in a circle.
    let mut ids = ids.to_vec();
    ids.sort_unstable_by_key(|id| id.0);
    ids.into_iter().map(work).collect()
}
