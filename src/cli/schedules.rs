//! `viraldb schedules`

use std::process::ExitCode;

use clap::Subcommand;
use clap::builder::NonEmptyStringValueParser as NonEmpty;

use super::Context;
use super::complete::{channels, schedules, source_videos};
use super::values::{OrNull, at_least_one, by_setting, changed, channel_id, given, json_or_null};
use super::words::words;
use viraldb::private::quote::counted;
use viraldb::queue::{self, Cron, JobSchedule, JobScheduleChanges, MissedTicks, NewJobSchedule};
use viraldb::republishing::{JobType, Video, VideoId};
use viraldb::{Page, Result, Timestamp};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List schedules by name
    List {
        /// Continue after the schedule with this name
        #[arg(long, value_name = "NAME", add = schedules())]
        after: Option<String>,
        /// Maximum number of schedules to print
        #[arg(long, value_name = "N", default_value_t = 50, value_parser = at_least_one)]
        limit: i64,
    },
    /// Show a schedule and its next five ticks
    Show {
        /// Name of the schedule
        #[arg(value_name = "NAME", add = schedules())]
        name: String,
    },
    /// Add a schedule
    ///
    /// Workers enqueue its jobs, or `viraldb schedules tick` if there are none.
    Add {
        /// Name of the schedule
        #[arg(value_name = "NAME", value_parser = NonEmpty::new())]
        name: String,
        /// Type of the jobs
        #[arg(long = "type", value_name = "TYPE", value_parser = words(JobType::ALL, JobType::as_str))]
        job_type: JobType,
        /// Source video of the jobs, by its id
        #[arg(long, value_name = "ID", add = source_videos())]
        video: VideoId,
        /// When to enqueue a job: minute, hour, day of the month, month, day of the week; or a word such as @daily
        #[arg(long, value_name = "CRON")]
        cron: String,
        #[command(flatten)]
        fields: Fields,
    },
    /// Change a schedule; an empty value, as in --payload "", clears a column
    ///
    /// If the times change, the next tick is the first one from now.
    #[command(override_usage = "viraldb schedules set <NAME> <OPTIONS>")]
    #[command(mut_group("schedule", |group| group.required(true).args(["job_type", "video", "cron"])))]
    Set {
        /// Name of the schedule
        #[arg(value_name = "NAME", add = schedules())]
        name: String,
        /// Type of the jobs
        #[arg(long = "type", value_name = "TYPE", value_parser = words(JobType::ALL, JobType::as_str))]
        job_type: Option<JobType>,
        /// Source video of the jobs, by its id
        #[arg(long, value_name = "ID", add = source_videos())]
        video: Option<VideoId>,
        /// When to enqueue a job: minute, hour, day of the month, month, day of the week; or a word such as @daily
        #[arg(long, value_name = "CRON")]
        cron: Option<String>,
        #[command(flatten)]
        fields: Fields,
    },
    /// Pause schedules, so that they enqueue nothing
    Pause {
        /// Names of the schedules
        #[arg(value_name = "NAME", required = true, add = schedules())]
        names: Vec<String>,
    },
    /// Resume paused schedules; ticks during the pause are not made up for
    Resume {
        /// Names of the schedules
        #[arg(value_name = "NAME", required = true, add = schedules())]
        names: Vec<String>,
    },
    /// Delete schedules; their jobs stay
    Delete {
        /// Names of the schedules
        #[arg(value_name = "NAME", required = true, add = schedules())]
        names: Vec<String>,
    },
    /// Enqueue a job of a schedule now; its next tick stays as it is
    Run {
        /// Name of the schedule
        #[arg(value_name = "NAME", add = schedules())]
        name: String,
    },
    /// Enqueue the jobs of the schedules that are due
    ///
    /// A worker does this by itself. Without one, run this command every minute from cron or a systemd timer.
    Tick,
    /// Print the next times of a cron expression; needs no database
    Next {
        /// Minute, hour, day of the month, month, day of the week; or a word such as @daily
        #[arg(value_name = "CRON")]
        cron: String,
        /// Time zone, such as Europe/Berlin
        #[arg(long, value_name = "ZONE", default_value = "UTC")]
        time_zone: String,
        /// Number of times to print
        #[arg(long, value_name = "N", default_value_t = 5, value_parser = at_least_one)]
        count: i64,
    },
}

#[derive(Debug, clap::Args)]
#[group(id = "schedule", multiple = true)]
struct Fields {
    /// Channel of the jobs, by its id or YouTube's [default for a new schedule: the channel of the video]
    #[arg(long, value_name = "ID", add = channels())]
    channel: Option<String>,
    /// Time zone of the cron expression, such as Europe/Berlin [default for a new schedule: UTC]
    #[arg(long, value_name = "ZONE")]
    time_zone: Option<String>,
    /// Data for the handler of the jobs, as JSON, or @FILE
    #[arg(long, value_name = "JSON")]
    payload: Option<OrNull<String>>,
    /// Priority; jobs with a higher number run first [default for a new schedule: 0]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    priority: Option<i32>,
    #[arg(long, value_name = "N", help = by_setting("Maximum number of attempts of each job", "default_retry_attempts"))]
    max_attempts: Option<OrNull<i32>>,
    /// What to do with ticks that no worker was there for: drop them, enqueue one job for all of them, or one for each
    /// [default for a new schedule: once]
    #[arg(long, value_name = "WORD", value_parser = words(MissedTicks::ALL, MissedTicks::as_str))]
    missed: Option<MissedTicks>,
    /// Enqueue a job even if the previous one is not finished
    #[arg(long, value_name = "BOOL", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    overlap: Option<bool>,
}

const LISTED: &[&str] =
    &["name", "job_type", "cron", "time_zone", "next_at", "last_at", "paused", "overlap", "missed"];

/// How many ticks `show` prints.
const SHOWN: usize = 5;

/// A schedule as `show` prints it.
#[derive(serde::Serialize)]
struct Shown {
    #[serde(flatten)]
    schedule: JobSchedule,
    next_times: Vec<Timestamp>,
}

/// A row of `next`.
#[derive(serde::Serialize, serde::Deserialize)]
struct Time {
    at: Timestamp,
    local: String,
}

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        if let Command::Next { cron, time_zone, count } = self.command {
            let cron = Cron::parse(&cron, &time_zone)?;
            let times = cron.next_times(Timestamp::now(), usize::try_from(count).unwrap_or(usize::MAX))?;
            let rows: Vec<Time> =
                times.into_iter().map(|at| Time { at, local: cron.local_time(at) }).collect();
            context.output.rows(&rows, &["at", "local"])?;
            return Ok(ExitCode::SUCCESS);
        }
        let db = context.database()?;
        match self.command {
            Command::List { after, limit } => {
                let found = db.read(|c| JobSchedule::list(c, &Page { after, limit }))?;
                context.list(&found, LISTED, "no schedules")?;
            }
            Command::Show { name } => {
                let schedule = db.read(|c| JobSchedule::find(c, &name))?;
                let next_times = schedule.next_times(SHOWN).unwrap_or_else(|error| {
                    tracing::warn!("cannot compute the next ticks: {error}");
                    Vec::new()
                });
                context.output.row(&Shown { schedule, next_times })?;
            }
            Command::Add { name, job_type, video, cron, fields } => {
                let channel = channel_id(&db, fields.channel.as_deref())?;
                let payload = fields.payload.map(json_or_null).transpose()?.flatten();
                let max_attempts = given(fields.max_attempts);
                let schedule = db.write(|c| {
                    let channel = match channel {
                        Some(channel) => channel,
                        None => Video::find(c, video)?.channel_id,
                    };
                    let new = NewJobSchedule {
                        time_zone: fields.time_zone.as_deref().map(Into::into),
                        payload: payload.clone(),
                        priority: fields.priority,
                        max_attempts,
                        missed: fields.missed,
                        overlap: fields.overlap,
                        ..NewJobSchedule::new(&name, video, channel, job_type, &cron)
                    };
                    new.insert(c)
                })?;
                let text =
                    format!("added {}; the first job is enqueued at {}", schedule.name, schedule.next_at);
                context.done(&text, &schedule)?;
            }
            Command::Set { name, job_type, video, cron, fields } => {
                let changes = JobScheduleChanges {
                    job_type,
                    video_id: video,
                    channel_id: channel_id(&db, fields.channel.as_deref())?,
                    cron: cron.map(Into::into),
                    time_zone: fields.time_zone.map(Into::into),
                    payload: fields.payload.map(json_or_null).transpose()?,
                    priority: fields.priority,
                    max_attempts: changed(fields.max_attempts),
                    missed: fields.missed,
                    overlap: fields.overlap,
                    paused: None,
                };
                let schedule = db.write(|c| changes.update(c, &name))?;
                context.done(
                    &format!("changed {}; the next tick is at {}", schedule.name, schedule.next_at),
                    &schedule,
                )?;
            }
            Command::Pause { names } => {
                let changed = db.write(|c| all(names, |name| JobSchedule::pause(c, name)))?;
                context.output.rows(&changed, LISTED)?;
            }
            Command::Resume { names } => {
                let changed = db.write(|c| all(names, |name| JobSchedule::resume(c, name)))?;
                context.output.rows(&changed, LISTED)?;
            }
            Command::Delete { names } => {
                let deleted = db.write(|c| {
                    let found = all(names, |name| JobSchedule::find(c, name))?;
                    found.iter().try_for_each(|schedule| JobSchedule::delete(c, &schedule.name).map(drop))?;
                    Ok(found.len())
                })?;
                let text = format!("deleted {}", counted(deleted, "schedule"));
                context.done(&text, &serde_json::json!({ "deleted": deleted }))?;
            }
            Command::Run { name } => {
                let job = db.write(|c| JobSchedule::enqueue_now(c, &name))?;
                let text = match &job {
                    Some(job) => format!("queued {}", job.id),
                    None => format!("not queued: the previous job of {name} is not finished"),
                };
                context.done(&text, &job)?;
            }
            Command::Tick => {
                let ticked = queue::tick_all(&db)?;
                let text = format!(
                    "{} due: {} enqueued, {} overlapping, {} skipped, {} failed, {} paused",
                    counted(ticked.schedules, "schedule"),
                    counted(ticked.enqueued, "job"),
                    ticked.overlapping,
                    ticked.skipped,
                    ticked.failed,
                    ticked.paused
                );
                context.done(&text, &ticked)?;
            }
            Command::Next { .. } => {}
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Does the work for each of the names, in the same order in every command, so that two of them cannot deadlock.
fn all<T>(mut names: Vec<String>, mut work: impl FnMut(&str) -> Result<T>) -> Result<Vec<T>> {
    names.sort_unstable();
    names.dedup();
    names.iter().map(|name| work(name)).collect()
}
