//! `viraldb jobs work`

use std::ffi::OsString;
use std::process::ExitCode;
use std::sync::mpsc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::cli::Context;
use crate::cli::duration::duration;
use crate::cli::output;
use crate::cli::values::by_setting;
use crate::cli::words::words;
use viraldb::queue::{Claim, Done, JobCommand, JobOutcome, Settled, Stop, Worker};
use viraldb::republishing::{ChannelId, JobType, VideoId, VideoProcessingJobId};
use viraldb::{Database, Error, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Claim only jobs of this type; may be repeated
    #[arg(long = "type", value_name = "TYPE", value_parser = words(JobType::ALL, JobType::as_str))]
    types: Vec<JobType>,
    /// Name of the worker [default: name of the host, and process id]
    #[arg(long, value_name = "NAME")]
    worker: Option<String>,
    #[arg(
        long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000),
        help = by_setting("Number of jobs to run concurrently", "max_concurrent_jobs")
    )]
    concurrency: Option<u32>,
    /// Length of the lease, which viraldb extends while the command runs
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    lease: Duration,
    /// Maximum time of a command; then it is ended, and the attempt fails [default: no limit]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    timeout: Option<Duration>,
    /// How long commands may continue after SIGTERM or Ctrl-C
    ///
    /// Then they get SIGTERM, after 5 seconds SIGKILL, and their jobs are released.
    #[arg(long, value_name = "TIME", default_value = "30s", value_parser = duration)]
    grace: Duration,
    /// How long a job waits if the command exits with 75
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    snooze: Duration,
    /// Exit code that fails the job without a retry, such as 65; may be repeated
    #[arg(long, value_name = "CODE", value_parser = clap::value_parser!(u8).range(1..))]
    discard_code: Vec<u8>,
    /// Let the command see VIRALDB_KEY and VIRALDB_KEY_FILE
    #[arg(long)]
    with_keys: bool,
    /// Run at most one job, and do not wait for one
    #[arg(long, conflicts_with = "until_empty")]
    once: bool,
    /// End as soon as no job is due, such as for cron
    #[arg(long)]
    until_empty: bool,
    /// Command to run for each job, and its arguments
    #[arg(last = true, required = true, value_name = "COMMAND")]
    command: Vec<OsString>,
}

/// A job that has ended, as a row of the output.
#[derive(Debug, Serialize, Deserialize)]
struct Finished {
    id: VideoProcessingJobId,
    job_type: JobType,
    video_id: VideoId,
    channel_id: ChannelId,
    attempt: i32,
    max_attempts: i32,
    outcome: JobOutcome,
    error: Option<String>,
    is_due_again: bool,
    seconds: f64,
}

impl Args {
    pub(super) fn run(self, context: &mut Context, db: &Database) -> Result<ExitCode> {
        let (stop, kill) = (Stop::default(), Stop::default());
        let (sender, settled) = mpsc::channel();
        let name = self.worker.clone().unwrap_or_else(name);
        let ended = sender.clone();
        let worker = self.worker(db, &name).stop_with(stop.clone()).on_settled(move |settled| {
            // The receiver ends after the worker.
            let _ = sender.send(Some(Finished::from(settled)));
        });
        let command = self.command(&context.url()?, context.quiet)?.kill_on(kill.clone());
        stop.on_repeated_signals(&kill)?;
        if !context.quiet && !self.once && !self.until_empty {
            output::message(&format!("working as {name}; stop it with Ctrl-C or SIGTERM"));
        }
        let done = std::thread::scope(|scope| {
            let running = scope.spawn(move || {
                let done = worker.run_command(&command);
                let _ = ended.send(None);
                done
            });
            let mut is_first = true;
            let mut printed = Ok(());
            while let Ok(Some(finished)) = settled.recv() {
                printed = printed.and_then(|()| finished.print(context, is_first));
                is_first = false;
            }
            let done = running.join().map_err(|_| Error::other("the worker panicked"))??;
            printed.map(|()| done)
        })?;
        if context.output.is_for_people() {
            context.say(&format!("{}\n", summary(&done)))?;
        }
        let is_batch = self.once || self.until_empty;
        Ok(match done {
            Done { failed: 0, lost: 0, .. } if self.once && done == Done::default() && !stop.is_stopped() => {
                ExitCode::from(4)
            }
            Done { failed: 0, lost: 0, .. } => ExitCode::SUCCESS,
            _ if is_batch => ExitCode::from(3),
            _ => ExitCode::SUCCESS,
        })
    }

    fn worker(&self, db: &Database, name: &str) -> Worker {
        let claim = Claim::new(name).types(self.types.iter().copied()).lease(self.lease);
        let mut worker = Worker::new(db, claim).grace(self.grace);
        if let Some(jobs) = self.concurrency {
            worker = worker.concurrency(jobs);
        }
        match (self.once, self.until_empty) {
            (true, _) => worker.until_empty().limit(1),
            (false, true) => worker.until_empty(),
            (false, false) => worker,
        }
    }

    fn command(&self, url: &str, quiet: bool) -> Result<JobCommand> {
        let Some((program, args)) = self.command.split_first() else {
            return Err(Error::invalid("the command", "is missing; name it after `--`"));
        };
        let mut command = JobCommand::new(program).args(args).snooze(self.snooze).env("DATABASE_URL", url);
        if let Some(timeout) = self.timeout {
            command = command.timeout(timeout);
        }
        if self.with_keys {
            command = command.with_keys();
        }
        let command = self.discard_code.iter().fold(command, |command, code| command.discard(*code));
        Ok(command.on_line(move |job, line| {
            if !quiet {
                output::message(&format!("{}: {line}", job.id));
            }
        }))
    }
}

impl Finished {
    fn print(&self, context: &mut Context, is_first: bool) -> Result<()> {
        if !context.output.is_for_people() {
            return context.output.stream(std::slice::from_ref(self), is_first);
        }
        if context.quiet {
            return Ok(());
        }
        let Self { id, job_type, attempt, max_attempts, seconds, .. } = self;
        let mut text = format!("{job_type} {id}  attempt {attempt} of {max_attempts}, {seconds:.1} s");
        if let Some(error) = &self.error {
            let next = if self.is_due_again { "will be retried" } else { "will not be retried" };
            text.push_str(&format!("; {next}: {}", error.lines().next().unwrap_or_default()));
        }
        context.output.event("", self.outcome.as_str(), "completed".len(), &text)?;
        context.output.flush();
        Ok(())
    }
}

impl From<&Settled<'_>> for Finished {
    fn from(settled: &Settled<'_>) -> Self {
        let job = settled.job;
        Self {
            id: job.id,
            job_type: job.job_type,
            video_id: job.video_id,
            channel_id: job.channel_id,
            attempt: job.attempts,
            max_attempts: job.max_attempts,
            outcome: settled.outcome,
            error: settled.error.map(str::to_owned),
            is_due_again: settled.is_due_again,
            seconds: (settled.took.as_secs_f64() * 1e3).round() / 1e3,
        }
    }
}

/// Returns the name of the host and the process id.
fn name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    format!("{}:{}", if host.trim().is_empty() { "worker" } else { &host }, std::process::id())
}

/// Returns how many jobs ended in which way, such as `3 completed, 1 failed`.
fn summary(done: &Done) -> String {
    let others = [
        (done.failed, "failed"),
        (done.snoozed, "snoozed"),
        (done.released, "released"),
        (done.lost, "lost"),
    ];
    let mut text = format!("{} completed", done.completed);
    for (count, word) in others.into_iter().filter(|(count, _)| *count > 0) {
        text.push_str(&format!(", {count} {word}"));
    }
    text
}
