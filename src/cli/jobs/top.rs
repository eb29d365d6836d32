//! `viraldb jobs top`

use std::time::{Duration, Instant};

use crate::cli::duration::duration;
use crate::cli::output::{table_lines, visible};
use crate::cli::screen::Keys;
use crate::cli::{Context, Format};
use viraldb::private::quote::{counted, one_line};
use viraldb::queue::{self, Activity, RunningJob, Stop};
use viraldb::{Database, Result, Timestamp};

/// The time between two refreshes.
const INTERVAL: Duration = Duration::from_secs(2);

/// The time over which ended jobs are counted.
const WINDOW: Duration = Duration::from_secs(60);

/// How often signals are checked.
const BEAT: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Time between two refreshes [default: 2s]
    #[arg(long, value_name = "TIME", value_parser = duration)]
    interval: Option<Duration>,
    /// Number of times to print [default: no end on a terminal or with --interval, otherwise 1]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    count: Option<u32>,
}

impl Args {
    pub(super) fn run(self, context: &mut Context, db: &Database) -> Result<()> {
        let is_terminal = context.output.is_terminal();
        let endless = is_terminal || self.interval.is_some();
        let count = self.count.or((!endless).then_some(1));
        let stop = Stop::default();
        stop.on_signals()?;
        if is_terminal && count.is_none() && context.output.is_for_people() {
            let drawn = self.draw(context, db, &stop);
            context.output.draw(None)?;
            return drawn;
        }
        let mut printed = 0;
        loop {
            let activity = db.read_newest(|c| queue::activity(c, WINDOW))?;
            print(context, &activity, printed == 0, count == Some(1))?;
            printed += 1;
            if count == Some(printed)
                || !self.wait(std::thread::sleep, || stop.is_stopped() || context.output.is_lost())
            {
                return Ok(());
            }
        }
    }

    /// Draws over the whole terminal until the user presses q or Ctrl-C.
    fn draw(&self, context: &mut Context, db: &Database, stop: &Stop) -> Result<()> {
        let keys = Keys::new();
        loop {
            let activity = db.read_newest(|c| queue::activity(c, WINDOW))?;
            let mut lines = lines(&activity);
            lines[0].push_str("  (q quits)");
            context.output.draw(Some(&lines))?;
            let wait = |left| {
                if matches!(keys.next(left), Some(b'q' | b'Q')) {
                    stop.stop();
                }
            };
            if !self.wait(wait, || stop.is_stopped() || context.output.is_lost()) {
                return Ok(());
            }
        }
    }

    /// Waits for the interval. Returns false if the command must end.
    fn wait(&self, wait: impl Fn(Duration), is_over: impl Fn() -> bool) -> bool {
        let deadline = Instant::now() + self.interval.unwrap_or(INTERVAL);
        while !is_over() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            wait(left.min(BEAT));
        }
        false
    }
}

/// Prints the activity once.
fn print(context: &mut Context, activity: &Activity, is_first: bool, is_only: bool) -> Result<()> {
    let output = &mut context.output;
    if output.is_for_people() {
        let separator = if is_first { "" } else { "\n" };
        output.bytes(format!("{separator}{}\n", lines(activity).join("\n")).as_bytes())?;
        output.flush();
        return Ok(());
    }
    match output.format {
        Format::Json | Format::Jsonl if !output.has_columns() => match is_only {
            true => output.object(activity)?,
            false => output.stream(std::slice::from_ref(activity), is_first)?,
        },
        _ => output.stream(&activity.running, is_first)?,
    }
    output.flush();
    Ok(())
}

/// Returns the lines for people: a summary, the job types, and the running jobs.
fn lines(activity: &Activity) -> Vec<String> {
    let sum = |count: fn(&queue::TypeActivity) -> i64| activity.types.iter().map(count).sum::<i64>();
    let mut workers: Vec<&str> = activity.running.iter().filter_map(|job| job.leased_by.as_deref()).collect();
    workers.dedup();
    let mut lines = vec![visible(&format!(
        "{}  {}, {} running, {} due; last minute: {} completed, {} failed{}",
        activity.at,
        counted(workers.len(), "busy worker"),
        counted(activity.running.len(), "job"),
        sum(|jobs| jobs.due),
        sum(|jobs| jobs.completed),
        sum(|jobs| jobs.failed),
        if activity.is_paused { "; THE QUEUE IS PAUSED" } else { "" },
    ))];
    if !activity.types.is_empty() {
        lines.push(String::new());
        let header = ["job_type", "due", "scheduled", "running", "completed", "failed"];
        let rows = activity.types.iter().map(|jobs| {
            let counts = [jobs.due, jobs.scheduled, jobs.running, jobs.completed, jobs.failed];
            [jobs.job_type.to_string()].into_iter().chain(counts.map(|count| count.to_string())).collect()
        });
        lines.extend(table_lines(&header, rows));
    }
    if !activity.running.is_empty() {
        lines.push(String::new());
        let header = ["worker", "job_type", "id", "attempt", "running_for", "progress", "note", "lease_left"];
        lines.extend(table_lines(&header, activity.running.iter().map(|job| row(job, activity.at))));
    }
    lines
}

/// Returns the cells of a running job.
fn row(job: &RunningJob, now: Timestamp) -> Vec<String> {
    let text = |text: &Option<String>| text.as_deref().map(one_line).unwrap_or_default();
    vec![
        text(&job.leased_by),
        job.job_type.to_string(),
        job.id.to_string(),
        format!("{}/{}", job.attempts, job.max_attempts),
        job.started_at.map(|since| length(since, now)).unwrap_or_default(),
        job.progress.map(|done| format!("{:.0}%", done * 100.0)).unwrap_or_default(),
        text(&job.progress_note).chars().take(60).collect(),
        match job.lease_expires_at {
            Some(end) if end <= now => "expired".to_owned(),
            Some(end) => length(now, end),
            None => "none".to_owned(),
        },
    ]
}

/// Returns the time between two points in time, such as `5s`, `3m 20s`, `2h 05m` or `3d 04h`.
fn length(from: Timestamp, to: Timestamp) -> String {
    let seconds = (to.to_utc() - from.to_utc()).num_seconds().max(0);
    match seconds {
        0..60 => format!("{seconds}s"),
        60..3_600 => format!("{}m {:02}s", seconds / 60, seconds % 60),
        3_600..86_400 => format!("{}h {:02}m", seconds / 3_600, seconds / 60 % 60),
        _ => format!("{}d {:02}h", seconds / 86_400, seconds / 3_600 % 24),
    }
}
