//! `viraldb jobs tail`

use std::time::Duration;

use crate::cli::Context;
use crate::cli::complete::channels;
use crate::cli::output;
use crate::cli::values::channel_id;
use crate::cli::when::when;
use crate::cli::words::words;
use viraldb::private::quote::{one_line, visible};
use viraldb::queue::{Events, JobEvent, JobEventFilter, Stop};
use viraldb::republishing::JobType;
use viraldb::{Database, Result, Timestamp};

/// How often the reader of stdout is checked while nothing happens.
const POLL: Duration = Duration::from_millis(500);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Print only events of jobs of this type
    #[arg(long = "type", value_name = "TYPE", value_parser = words(JobType::ALL, JobType::as_str))]
    job_type: Option<JobType>,
    /// Print only events of jobs of this channel, by its id or YouTube's
    #[arg(long, value_name = "ID", add = channels())]
    channel: Option<String>,
    /// Print the events since this time: a time, a date, or a length before now such as 2h or 3d
    #[arg(long, value_name = "TIME", default_value = "10m", value_parser = when)]
    since: Timestamp,
    /// Print the events so far, and do not wait for more
    #[arg(long)]
    no_follow: bool,
}

impl Args {
    pub(super) fn run(self, context: &mut Context, db: &Database) -> Result<()> {
        let filter =
            JobEventFilter { job_type: self.job_type, channel_id: channel_id(db, self.channel.as_deref())? };
        let stop = Stop::default();
        stop.on_signals()?;
        let mut events = Events::new(db, Some(self.since), filter)?;
        let mut is_first = true;
        while !stop.is_stopped() && !context.output.is_lost() {
            let found = if self.no_follow { events.read()? } else { events.wait_for(POLL, &stop)? };
            if found.is_empty() && self.no_follow {
                break;
            }
            if !found.is_empty() {
                print(context, &found, is_first)?;
                is_first = false;
            }
        }
        if is_first && self.no_follow && context.output.is_for_people() && !context.quiet {
            output::message("no events");
        }
        Ok(())
    }
}

fn print(context: &mut Context, events: &[JobEvent], is_first: bool) -> Result<()> {
    if !context.output.is_for_people() {
        return context.output.stream(events, is_first);
    }
    for event in events {
        let width = "attempt_canceled".len();
        context.output.event(&format!("{}  ", event.at), event.event.as_str(), width, &text(event))?;
    }
    context.output.flush();
    Ok(())
}

/// Returns what a line says about an event after its word.
fn text(event: &JobEvent) -> String {
    let mut text = format!("{:13}  {}", event.job_type.to_string(), event.job_id);
    if let Some(attempt) = event.attempt {
        text.push_str(&format!("  attempt {attempt} of {}", event.max_attempts));
    }
    if let Some(worker) = &event.worker {
        text.push_str(&format!("  by {}", visible(&one_line(worker))));
    }
    if let Some(error) = &event.error {
        text.push_str(&format!(": {}", visible(&one_line(error))));
    }
    text
}
