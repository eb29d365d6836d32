//! `viraldb jobs`

mod tail;
mod top;
mod work;

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

use crate::cli::Context;
use crate::cli::complete::{channels, jobs, source_videos};
use crate::cli::duration::duration;
use crate::cli::values::{Paging, by_setting, channel_id, json};
use crate::cli::when::when;
use crate::cli::words::words;
use viraldb::ops::{self, Part, Prune};
use viraldb::private::quote::counted;
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
        /// Show only jobs with this status
        #[arg(long, value_name = "STATUS", value_parser = words(JobStatus::ALL, JobStatus::as_str))]
        status: Option<JobStatus>,
        /// Show only jobs of this type
        #[arg(long = "type", value_name = "TYPE", value_parser = words(JobType::ALL, JobType::as_str))]
        job_type: Option<JobType>,
        /// Show only jobs of this source video
        #[arg(long, value_name = "ID", add = source_videos())]
        video: Option<VideoId>,
        /// Show only jobs of this channel, by its id or YouTube's
        #[arg(long, value_name = "ID", add = channels())]
        channel: Option<String>,
        /// Show only jobs queued since this time: a time, a date, or a length before now such as 2h or 3d
        #[arg(long, value_name = "TIME", value_parser = when)]
        since: Option<Timestamp>,
        /// Show only jobs queued before this time
        #[arg(long, value_name = "TIME", value_parser = when)]
        until: Option<Timestamp>,
        /// Show only jobs whose last error contains this text
        #[arg(long, value_name = "TEXT")]
        error: Option<String>,
        #[command(flatten)]
        page: Paging<VideoProcessingJobId>,
    },
    /// Show a job, its failed attempts, and what it waits for
    Show {
        /// Id of the job
        #[arg(value_name = "ID", add = jobs())]
        id: VideoProcessingJobId,
    },
    /// Enqueue a job
    Enqueue {
        /// Type of the job
        #[arg(value_name = "JOB_TYPE", value_parser = words(JobType::ALL, JobType::as_str))]
        job_type: JobType,
        /// Source video to work on, by its id
        #[arg(long, value_name = "ID", add = source_videos())]
        video: VideoId,
        /// Channel of the job, by its id or YouTube's [default: the channel of the video]
        #[arg(long, value_name = "ID", add = channels())]
        channel: Option<String>,
        /// Priority; jobs with a higher number run first [default: 0]
        #[arg(long, value_name = "N", allow_negative_numbers = true)]
        priority: Option<i32>,
        /// Earliest time to run, such as 2026-11-21T08:30:00Z [default: now]
        #[arg(long, value_name = "TIME")]
        run_at: Option<Timestamp>,
        #[arg(long, value_name = "N", help = by_setting("Maximum number of attempts", "default_retry_attempts"))]
        max_attempts: Option<i32>,
        /// Do nothing if an unfinished job has this key
        #[arg(long, value_name = "KEY")]
        unique_key: Option<String>,
        /// Data for the handler of the job, as JSON, or @FILE
        #[arg(long, value_name = "JSON")]
        payload: Option<String>,
        /// Wait until this job is completed; may be repeated
        #[arg(long, value_name = "ID", add = jobs())]
        after: Vec<VideoProcessingJobId>,
    },
    /// Claim due jobs and print them with their lease tokens
    Claim {
        /// Name of the worker
        #[arg(long, value_name = "NAME")]
        worker: String,
        /// Claim only jobs of this type; may be repeated
        #[arg(long = "type", value_name = "TYPE", value_parser = words(JobType::ALL, JobType::as_str))]
        types: Vec<JobType>,
        /// Maximum number of jobs to claim
        #[arg(long, value_name = "N", default_value_t = 1)]
        limit: u32,
        /// Length of the lease without a heartbeat, such as 90s or 10m
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
        lease: Duration,
    },
    /// Extend the lease of a job
    Heartbeat {
        #[command(flatten)]
        held: Held,
        /// Length of the lease from now, such as 90s or 10m
        #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
        lease: Duration,
    },
    /// Report how much of a job is done
    Progress {
        #[command(flatten)]
        held: Held,
        /// How much of the work is done, from 0 to 1
        #[arg(value_name = "FRACTION")]
        fraction: f64,
        /// What the worker is doing
        #[arg(long, value_name = "TEXT", default_value = "")]
        note: String,
    },
    /// Mark a job as completed
    Complete {
        #[command(flatten)]
        held: Held,
    },
    /// Mark a job as failed; it is retried until its attempts are used up
    Fail {
        #[command(flatten)]
        held: Held,
        /// Error message
        #[arg(long, value_name = "MESSAGE")]
        error: String,
        /// Further information about the error, as JSON
        #[arg(long, value_name = "JSON")]
        details: Option<serde_json::Value>,
        /// Do not retry the job, whatever attempts are left
        #[arg(long)]
        no_retry: bool,
    },
    /// Enqueue a job again for later, without counting the attempt
    Snooze {
        #[command(flatten)]
        held: Held,
        /// How long the job waits, such as 10m
        #[arg(long = "for", value_name = "TIME", value_parser = duration)]
        wait: Duration,
    },
    /// Release a job without counting the attempt
    Release {
        #[command(flatten)]
        held: Held,
    },
    /// Enqueue failed jobs again
    Retry {
        /// Ids of the jobs
        #[arg(value_name = "ID", required_unless_present = "all", conflicts_with = "all", add = jobs())]
        ids: Vec<VideoProcessingJobId>,
        /// Enqueue all failed jobs again
        #[arg(long)]
        all: bool,
        /// With --all: only jobs of this type
        #[arg(long = "type", value_name = "TYPE", requires = "all", value_parser = words(JobType::ALL, JobType::as_str))]
        job_type: Option<JobType>,
        /// With --all: only jobs whose error contains this text
        #[arg(long, value_name = "TEXT", requires = "all")]
        error: Option<String>,
        /// With --all: only jobs of this channel, by its id or YouTube's
        #[arg(long, value_name = "ID", requires = "all", add = channels())]
        channel: Option<String>,
    },
    /// Cancel unfinished jobs
    Cancel {
        /// Ids of the jobs
        #[arg(value_name = "ID", required = true, add = jobs())]
        ids: Vec<VideoProcessingJobId>,
    },
    /// Enqueue jobs again whose lease expired
    ///
    /// A job that is processing without a lease belongs to another program and is not changed.
    Rescue,
    /// Run a command for each job
    ///
    /// The command gets the payload on stdin and the job in variables such as VIRALDB_JOB_ID. If it exits with
    /// 0, the job is completed; with 75, the job waits for --snooze. Any other code or a signal fails the
    /// attempt, with the end of stderr as the error.
    ///
    /// SIGTERM or Ctrl-C stops the worker; running commands may continue for --grace. A second signal kills them.
    Work(work::Args),
    /// Show what the workers are doing, and refresh it on a terminal until you press q
    Top(top::Args),
    /// Print what happens to jobs, as it happens
    Tail(tail::Args),
    /// Delete old completed and failed jobs
    Prune {
        /// Minimum time since the job finished, such as 30d or 12h
        #[arg(long, value_name = "TIME", value_parser = duration)]
        older_than: Duration,
    },
    /// Show the number of jobs by type and status, and their throughput
    Stats {
        /// Period of throughput and averages, such as 1h
        #[arg(long, value_name = "TIME", default_value = "1h", value_parser = duration)]
        window: Duration,
    },
}

/// A job and the token of its claim.
#[derive(Debug, clap::Args)]
struct Held {
    /// Id of the job
    #[arg(value_name = "ID", add = jobs())]
    id: VideoProcessingJobId,
    /// Lease token that the claim printed
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
const CLAIMED: &[&str] =
    &["id", "job_type", "video_id", "attempts", "payload", "lease_token", "lease_expires_at"];

const ATTEMPTS: &[&str] = &["attempt", "outcome", "worker", "started_at", "ended_at", "error"];

/// A job that another one waits for.
#[derive(serde::Serialize, serde::Deserialize)]
struct Waits {
    waits_for: VideoProcessingJobId,
}

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
            Command::List { status, job_type, video, channel, since, until, error, page } => {
                let filter = VideoProcessingJobFilter {
                    video_id: video,
                    channel_id: channel_id(&db, channel.as_deref())?,
                    job_type,
                    status,
                    since,
                    until,
                    error,
                };
                let found = db.read(|c| VideoProcessingJob::list(c, &filter, &page.into()))?;
                context.list(&found, LISTED, "no jobs")?;
            }
            Command::Show { id } => {
                let view = db.read(|c| queue::view(c, id))?;
                if !context.output.is_for_people() {
                    context.output.object(&view)?;
                    return Ok(ExitCode::SUCCESS);
                }
                context.output.row(&view.job)?;
                context.output.section("failed attempts", &view.history, ATTEMPTS)?;
                let waits: Vec<Waits> =
                    view.waits_for.into_iter().map(|waits_for| Waits { waits_for }).collect();
                context.output.section("waits for", &waits, &["waits_for"])?;
            }
            Command::Enqueue {
                job_type,
                video,
                channel,
                priority,
                run_at,
                max_attempts,
                unique_key,
                payload,
                after,
            } => {
                let payload = payload.map(json).transpose()?;
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
                        payload: payload.clone(),
                        ..NewVideoProcessingJob::new(video, channel, job_type)
                    };
                    match queue::enqueue_after(c, std::slice::from_ref(&job), &after)? {
                        0 => Ok(None),
                        _ => VideoProcessingJob::find(c, job.id).map(Some),
                    }
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
                let claim = Claim::new(worker).types(types).at_most(limit).lease(lease);
                let claimed = db.write(|c| queue::claim(c, &claim))?;
                context.list_or(&claimed, CLAIMED, || {
                    Ok(match db.read_newest(queue::is_paused)? {
                        true => "no jobs claimed: the queue is paused by the setting queue_paused".to_owned(),
                        false => "no due jobs".to_owned(),
                    })
                })?;
                if !claimed.is_empty() {
                    context.output.deliver("the claimed jobs become due again when their leases expire")?;
                }
            }
            Command::Heartbeat { held, lease } => {
                let job = db.write(|c| queue::heartbeat(c, held, lease))?;
                let until = job.lease_expires_at.map(|at| at.to_string()).unwrap_or_default();
                context.done(&format!("lease extended until {until}"), &job)?;
            }
            Command::Progress { held, fraction, note } => {
                let job = db.write(|c| queue::report_progress(c, held, fraction, &note))?;
                context
                    .done(&format!("{} % done", (job.progress.unwrap_or_default() * 100.0).round()), &job)?;
            }
            Command::Complete { held } => {
                let job = db.write(|c| queue::complete(c, held))?;
                context.done("completed", &job)?;
            }
            Command::Fail { held, error, details, no_retry } => {
                let failure =
                    Failure { details: details.map(Json), is_final: no_retry, ..Failure::new(error) };
                let job = db.write(|c| queue::fail(c, held, &failure))?;
                let text = match job.status {
                    JobStatus::Failed => format!("failed after {}", counted(job.attempts, "attempt")),
                    _ => format!(
                        "attempt {} of {} failed; the next one is due at {}",
                        job.attempts, job.max_attempts, job.run_at
                    ),
                };
                context.done(&text, &job)?;
            }
            Command::Snooze { held, wait } => {
                let job = db.write(|c| queue::snooze(c, held, wait))?;
                context.done(&format!("due again at {}", job.run_at), &job)?;
            }
            Command::Release { held } => {
                let job = db.write(|c| queue::release(c, held))?;
                context.done("released", &job)?;
            }
            Command::Retry { all: true, job_type, error, channel, .. } => {
                let channel_id = channel_id(&db, channel.as_deref())?;
                let filter = VideoProcessingJobFilter { job_type, error, channel_id, ..Default::default() };
                let retried = queue::retry_all(&db, &filter)?;
                let mut text = format!("{} enqueued again", counted(retried.queued, "job"));
                if retried.skipped > 0 {
                    text += &format!(", {} skipped: an unfinished job has the same key", retried.skipped);
                }
                context.done(&text, &retried)?;
            }
            Command::Retry { ids, .. } => {
                let changed = db.write(|c| all(&ids, |id| queue::retry(c, id)))?;
                context.output.rows(&changed, LISTED)?;
            }
            Command::Cancel { ids } => {
                let changed = db.write(|c| all(&ids, |id| queue::cancel(c, id)))?;
                context.output.rows(&changed, LISTED)?;
            }
            Command::Work(args) => return args.run(context, &db),
            Command::Top(args) => args.run(context, &db)?,
            Command::Tail(args) => args.run(context, &db)?,
            Command::Rescue => {
                let rescued = queue::rescue_all(&db)?;
                let text = format!("{} enqueued again, {} failed", rescued.retrying, rescued.failed);
                context.done(&text, &rescued)?;
            }
            Command::Prune { older_than } => {
                let prune = Prune {
                    parts: vec![Part::Jobs],
                    finished_before: Timestamp::now() - older_than,
                    ..Prune::new(&context.config(&db)?)?
                };
                let pruned = ops::prune(&db, &prune, &mut |_| Ok(()))?.rows();
                let text = format!("deleted {}", counted(pruned, "job"));
                context.done(&text, &serde_json::json!({ "deleted": pruned }))?;
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
    // Always use the same order, so that two commands on the same jobs cannot deadlock.
    let mut ids = ids.to_vec();
    ids.sort_unstable_by_key(|id| id.0);
    ids.into_iter().map(work).collect()
}
