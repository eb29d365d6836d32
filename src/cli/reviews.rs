//! `viraldb reviews`

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

use super::Context;
use super::complete::{niche, reviews, runs};
use super::duration::duration;
use super::values::{OfChannel, Paging, by_setting};
use super::words::words;
use viraldb::Result;
use viraldb::compilation::{
    Overdue, PipelineRun, PipelineRunId, ReviewAction, ReviewLog, ReviewLogFilter, ReviewLogId, RunStatus,
};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List reviews, newest first
    List {
        /// Show only reviews of this run
        #[arg(long, value_name = "ID", conflicts_with = "open", add = runs())]
        run: Option<PipelineRunId>,
        /// Show only reviews without an answer that are not held, longest waiting first
        #[arg(long, conflicts_with = "after")]
        open: bool,
        #[command(flatten)]
        page: Paging<ReviewLogId>,
    },
    /// Send a running run to review
    Send {
        /// Id of the run
        #[arg(value_name = "PIPELINE_RUN_ID", add = runs())]
        run: PipelineRunId,
    },
    /// Record the answer to a review, and move its run accordingly
    Answer {
        /// Id of the review
        #[arg(value_name = "ID", add = reviews())]
        id: ReviewLogId,
        /// Answer
        #[arg(value_name = "ACTION", value_parser = words(ReviewAction::ALL, ReviewAction::as_str))]
        action: ReviewAction,
        /// Details of the answer: for skip the ranks of the clips, such as 4,7; otherwise any text
        #[arg(value_name = "RESPONSE_DETAIL")]
        detail: Vec<String>,
    },
    /// Hold the reviews that were not answered in time
    Hold {
        #[arg(long, value_name = "TIME", value_parser = duration, help = by_setting(
            "Time to answer, such as 4h", "review_timeout_hours"
        ))]
        after: Option<Duration>,
        /// Hold only reviews of runs of this niche
        #[arg(long, value_name = "NICHE", add = niche())]
        niche: Option<String>,
        #[command(flatten)]
        of: OfChannel,
    },
}

const SHOWN: &[&str] =
    &["id", "pipeline_run_id", "sent_at", "responded_at", "action", "response_detail", "auto_held"];

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        match self.command {
            Command::List { run, open, page } => {
                let filter = ReviewLogFilter { pipeline_run_id: run };
                let reviews = db.read(|c| match open {
                    true => ReviewLog::open(c, page.limit),
                    false => ReviewLog::list(c, &filter, &page.into()),
                })?;
                context.list(&reviews, SHOWN, if open { "no open reviews" } else { "no reviews" })?;
            }
            Command::Send { run } => {
                let review = db.write(|c| ReviewLog::send(c, run))?;
                context.done(&format!("review {} of run {run} is open", review.id), &review)?;
            }
            Command::Answer { id, action, detail } => {
                let detail = (!detail.is_empty()).then(|| detail.join(" "));
                let (review, run_status) = db.write(|c| {
                    let review = ReviewLog::answer(c, id, action, detail.as_deref())?;
                    let run = PipelineRun::find(c, review.pipeline_run_id)?;
                    Ok((review, run.status))
                })?;
                let run = review.pipeline_run_id;
                let text = format!("review {id} of run {run} is answered: {action}; the run is {run_status}");
                context.done(&text, &Answered { review, run_status })?;
            }
            Command::Hold { after, niche, of } => {
                let overdue = Overdue { channel: of.id(&db)?, niche: niche.as_deref(), after };
                let held = db.write(|c| ReviewLog::hold_overdue(c, overdue))?;
                context.list(&held, SHOWN, "no overdue reviews")?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// An answered review, and the status to which the answer moved its run.
#[derive(serde::Serialize)]
struct Answered {
    #[serde(flatten)]
    review: ReviewLog,
    run_status: RunStatus,
}
