//! Runs a command for each job, so that workers can be written in any language.

mod output;
mod process;

use std::ffi::{OsStr, OsString};
use std::fmt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use std::os::unix::process::{CommandExt, ExitStatusExt};

use super::{JobError, Stop, Work};
use crate::quote::quoted;
use crate::{Error, Result};

use process::{Ended, Process, Reason};

/// Exit code of a command that cannot do its job yet: `EX_TEMPFAIL` of sysexits.h.
const SNOOZE: i32 = 75;

/// Maximum size of a payload in the environment, in bytes. Linux limits a variable to 128 KiB.
const LARGEST_VARIABLE: usize = 64 << 10;

/// viraldb's own secrets, which a command does not see.
const SECRETS: &[&str] = &["VIRALDB_KEY", "VIRALDB_KEY_FILE"];

/// Called for each line of output of a command.
type OnLine = dyn Fn(&Work, &str) + Send + Sync;

/// A command that is run for each job, for [`Worker::run_command`](super::Worker::run_command).
///
/// The command gets the payload of the job as JSON on its standard input, `null` if the job has none. It may ignore it. Its
/// environment has these variables in addition to those of the worker:
///
/// | Variable | Content |
/// |---|---|
/// | `VIRALDB_JOB_ID`, `VIRALDB_JOB_TYPE` | id and type of the job |
/// | `VIRALDB_JOB_VIDEO_ID`, `VIRALDB_JOB_CHANNEL_ID` | ids of its video and its channel |
/// | `VIRALDB_JOB_ATTEMPT`, `VIRALDB_JOB_MAX_ATTEMPTS` | number of this attempt, from 1, and their maximum |
/// | `VIRALDB_JOB_PAYLOAD` | the payload as JSON; not set if the job has none or if it is longer than 64 KiB |
/// | `VIRALDB_JOB_LEASE_TOKEN`, `VIRALDB_JOB_WORKER` | lease token and name of the worker |
///
/// The keys of viraldb, `VIRALDB_KEY` and `VIRALDB_KEY_FILE`, are removed from the environment unless
/// [`with_keys`](Self::with_keys) is called.
///
/// The exit code decides how the job ends: 0 completes it, 75 [snoozes](Self::snooze) it, and a code of
/// [`discard`](Self::discard) fails it for good. Any other exit code or a signal fails the attempt with the end of standard
/// error as the message. If the command cannot be started, the job is snoozed, because the job is not at fault.
///
/// The command runs in a process group of its own. If the lease is lost, the job is canceled, the time is up or the worker
/// stops, the whole group gets SIGTERM, and SIGKILL if it has not ended after [`kill_after`](Self::kill_after). A process that
/// the command leaves running in the background continues if the command ends by itself.
///
/// ```
/// use std::time::Duration;
/// use viraldb::queue::{Claim, JobCommand, Worker};
/// # use viraldb::queue;
/// # use viraldb::republishing::{JobType, NewChannel, NewVideo, NewVideoProcessingJob};
///
/// # fn main() -> viraldb::Result<()> {
/// let db = viraldb::Database::open("sqlite::memory:")?;
/// # let channel = db.write(|c| NewChannel::default().insert(c))?;
/// # let video = NewVideo { channel_id: channel.id, ..Default::default() };
/// # let video = db.write(|c| video.insert(c))?;
/// # db.write(|c| queue::enqueue(c, &NewVideoProcessingJob::new(video.id, channel.id, JobType::Download)))?;
/// let command = JobCommand::new("sh").args(["-c", "cat >&2"]).timeout(Duration::from_secs(600));
/// let done = Worker::new(&db, Claim::new("worker-1")).until_empty().run_command(&command)?;
/// assert_eq!(done.completed, 1);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct JobCommand {
    program: OsString,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    has_keys: bool,
    timeout: Option<Duration>,
    snooze: Duration,
    discard: Vec<u8>,
    grace: Duration,
    kill_after: Duration,
    kill: Stop,
    on_line: Option<Arc<OnLine>>,
}

impl JobCommand {
    /// Creates a command without arguments.
    pub fn new(program: impl AsRef<OsStr>) -> Self {
        Self {
            program: program.as_ref().to_owned(),
            args: Vec::new(),
            env: Vec::new(),
            has_keys: false,
            timeout: None,
            snooze: Duration::from_secs(60),
            discard: Vec::new(),
            grace: Duration::from_secs(20),
            kill_after: Duration::from_secs(5),
            kill: Stop::default(),
            on_line: None,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args(mut self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Self {
        self.args.extend(args.into_iter().map(|arg| arg.as_ref().to_owned()));
        self
    }

    /// Sets a variable in the environment of the command.
    #[must_use]
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.env.push((name.as_ref().to_owned(), value.as_ref().to_owned()));
        self
    }

    /// Lets the command see `VIRALDB_KEY` and `VIRALDB_KEY_FILE` of the worker's environment.
    #[must_use]
    pub const fn with_keys(mut self) -> Self {
        self.has_keys = true;
        self
    }

    /// Sets how long the command may run. After that it is ended, and the attempt fails. Default: no limit.
    #[must_use]
    pub const fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sets how long a job waits after exit code 75. Default: 60 s.
    #[must_use]
    pub const fn snooze(mut self, wait: Duration) -> Self {
        self.snooze = wait;
        self
    }

    /// Adds an exit code that fails the job for good, whatever attempts are left.
    #[must_use]
    pub fn discard(mut self, code: u8) -> Self {
        self.discard.push(code);
        self
    }

    /// Sets how long the command may continue after the worker was told to stop. Default: 20 s.
    ///
    /// [`Worker::run_command`](super::Worker::run_command) uses the grace period of the worker instead. If you call
    /// [`run`](Self::run) yourself, choose a time that is shorter than the worker's by [`kill_after`](Self::kill_after).
    #[must_use]
    pub const fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Sets how long the command may continue after SIGTERM before it gets SIGKILL. Default: 5 s.
    #[must_use]
    pub const fn kill_after(mut self, wait: Duration) -> Self {
        self.kill_after = wait;
        self
    }

    /// Sets a handle that kills all running commands at once, for example after a second signal.
    #[must_use]
    pub fn kill_on(mut self, kill: Stop) -> Self {
        self.kill = kill;
        self
    }

    /// Sets a function that is called for each line that the command writes to standard output or standard error.
    ///
    /// By default the lines are logged at the level debug.
    #[must_use]
    pub fn on_line(mut self, on_line: impl Fn(&Work, &str) + Send + Sync + 'static) -> Self {
        self.on_line = Some(Arc::new(on_line));
        self
    }

    /// Checks that the program of the command can be found.
    ///
    /// # Errors
    /// `Invalid` if there is no such executable file.
    pub fn check(&self) -> Result<()> {
        let is_executable =
            |path: &Path| path.is_file() && rustix::fs::access(path, rustix::fs::Access::EXEC_OK).is_ok();
        let shown = self.program.to_string_lossy();
        let what = || format!("cannot run the command {}:", quoted(&shown));
        if shown.contains('/') {
            let path = Path::new(&self.program);
            return match path.try_exists() {
                _ if is_executable(path) => Ok(()),
                Ok(true) => Err(Error::invalid(what(), "the file is not executable")),
                _ => Err(Error::invalid(what(), "the file does not exist")),
            };
        }
        let path = std::env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin".into());
        match std::env::split_paths(&path).any(|folder| is_executable(&folder.join(&self.program))) {
            true => Ok(()),
            false => Err(Error::invalid(what(), "no folder of PATH has such an executable file")),
        }
    }

    /// Runs the command for a job, and waits until it has ended.
    ///
    /// # Errors
    /// The [`JobError`] that says how the job ends, unless the command exited with 0.
    pub fn run(&self, work: &Work) -> Result<(), JobError> {
        let payload = match &work.payload {
            Some(payload) => serde_json::to_string(&payload.0)?,
            None => "null".to_owned(),
        };
        let mut command = self.command(work, &payload);
        let line = |line: &str| match &self.on_line {
            Some(told) => told(work, line),
            None => tracing::debug!(job = %work.id, "{line}"),
        };
        let process = match Process::start(&mut command, payload.into_bytes()) {
            Ok(process) => process,
            Err(error) => {
                let program = quoted(&self.program.to_string_lossy());
                tracing::error!(job = %work.id, "cannot run the command {program}: {error}; the job is snoozed");
                return Err(JobError::Snooze(self.snooze));
            }
        };
        let begin = Instant::now();
        let mut stopping = None;
        let must_end = || self.reason(work, begin, &mut stopping);
        let ended = process.run(self.kill_after, must_end, &line)?;
        self.result(&ended)
    }

    /// Returns how long it may take until all commands have ended after the worker was told to stop.
    pub(super) fn longest_stop(&self) -> Duration {
        self.grace.saturating_add(self.kill_after).saturating_add(Duration::from_secs(1))
    }

    fn command(&self, work: &Work, payload: &str) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.args).process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        if !self.has_keys {
            for name in SECRETS {
                command.env_remove(name);
            }
        }
        // A worker that itself runs for a job must not pass on the payload of that job.
        command.env_remove("VIRALDB_JOB_PAYLOAD");
        command.envs(self.env.iter().map(|(name, value)| (name, value)));
        command
            .env("VIRALDB_JOB_ID", work.id.to_string())
            .env("VIRALDB_JOB_TYPE", work.job_type.as_str())
            .env("VIRALDB_JOB_VIDEO_ID", work.video_id.to_string())
            .env("VIRALDB_JOB_CHANNEL_ID", work.channel_id.to_string())
            .env("VIRALDB_JOB_ATTEMPT", work.attempts.to_string())
            .env("VIRALDB_JOB_MAX_ATTEMPTS", work.max_attempts.to_string())
            .env(
                "VIRALDB_JOB_LEASE_TOKEN",
                work.lease_token.map(|token| token.to_string()).unwrap_or_default(),
            )
            .env("VIRALDB_JOB_WORKER", work.leased_by.as_deref().unwrap_or_default());
        if work.payload.is_some() && payload.len() <= LARGEST_VARIABLE {
            command.env("VIRALDB_JOB_PAYLOAD", payload);
        }
        command
    }

    /// Returns why the command must end now, if it must.
    fn reason(&self, work: &Work, begin: Instant, stopping: &mut Option<Instant>) -> Option<Reason> {
        if self.kill.is_stopped() {
            return Some(Reason::Killed);
        }
        // The grace period is for a worker that stops. Other reasons to stop leave the job to somebody else.
        if work.is_lost() || work.should_stop() && !work.is_stopping() {
            return Some(Reason::Lost);
        }
        if self.timeout.is_some_and(|timeout| begin.elapsed() >= timeout) {
            return Some(Reason::TimedOut);
        }
        let is_over =
            work.is_stopping() && { stopping.get_or_insert_with(Instant::now).elapsed() >= self.grace };
        is_over.then_some(Reason::Stopped)
    }

    /// Returns how the job ends.
    fn result(&self, ended: &Ended) -> Result<(), JobError> {
        let why = match (ended.reason, ended.status.code()) {
            (None, Some(0)) => return Ok(()),
            (None, Some(SNOOZE)) => return Err(JobError::Snooze(self.snooze)),
            (None, _) => how(ended.status),
            (Some(Reason::TimedOut), _) => {
                format!("the command took longer than {:?}", self.timeout.unwrap_or_default())
            }
            (Some(Reason::Lost), _) => "ended, because the worker no longer holds the job".to_owned(),
            (Some(Reason::Stopped | Reason::Killed), _) => "ended, because the worker stopped".to_owned(),
        };
        let error = if ended.tail.is_empty() { why } else { format!("{why}: {}", ended.tail) };
        match ended.status.code().map(u8::try_from) {
            Some(Ok(code)) if ended.reason.is_none() && self.discard.contains(&code) => {
                Err(JobError::Discard(error))
            }
            _ => Err(JobError::Retry(error)),
        }
    }
}

/// Returns how a process ended: its exit code or its signal.
fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(signal)) => match signal_hook::low_level::signal_name(signal) {
            Some(name) => format!("killed by {name}"),
            None => format!("killed by signal {signal}"),
        },
        (None, None) => status.to_string(),
    }
}

impl fmt::Debug for JobCommand {
    /// Omits the arguments and the environment, which may contain secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JobCommand")
            .field("program", &self.program)
            .field("timeout", &self.timeout)
            .field("snooze", &self.snooze)
            .field("discard", &self.discard)
            .field("grace", &self.grace)
            .field("kill_after", &self.kill_after)
            .finish_non_exhaustive()
    }
}
