//! `viraldb reviews`

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

use super::Context;
use super::duration::duration;
use super::values::{OfChannel, Paging, by_setting};
use viraldb::Result;
use viraldb::compilation::{Overdue, PipelineRunId, ReviewAction, ReviewLog, ReviewLogFilter, ReviewLogId};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List reviews, newest first
    List {
        /// Only of this run
        #[arg(long, value_name = "ID", conflicts_with = "open")]
        run: Option<PipelineRunId>,
        /// Only those that wait for an answer and are not held, longest waiting first
        #[arg(long, conflicts_with = "after")]
        open: bool,
        #[command(flatten)]
        page: Paging<ReviewLogId>,
    },
    /// Ask for a review of a running run
    Send {
        /// Number of the run
        #[arg(value_name = "RUN")]
        run: PipelineRunId,
    },
    /// Answer a review, which moves its run
    Answer {
        /// Number of the review
        #[arg(value_name = "ID")]
        id: ReviewLogId,
        /// approve, reject, hold, skip or redo_script
        #[arg(value_name = "ANSWER")]
        action: String,
        /// What comes with it: after skip the ranks of the clips, such as 4,7; else words
        #[arg(value_name = "DETAIL")]
        detail: Vec<String>,
    },
    /// Hold the reviews that nobody has answered in time
    Hold {
        #[arg(long, value_name = "TIME", value_parser = duration, help = by_setting(
            "Time a person has to answer, such as 4h", "review_timeout_hours"
        ))]
        after: Option<Duration>,
        /// Only reviews of this niche's runs
        #[arg(long, value_name = "NAME")]
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
                told(context, &review, "is open")?;
            }
            Command::Answer { id, action, detail } => {
                let action: ReviewAction = action.parse()?;
                let detail = (!detail.is_empty()).then(|| detail.join(" "));
                let review = db.write(|c| ReviewLog::answer(c, id, action, detail.as_deref()))?;
                told(context, &review, &format!("is answered: {action}"))?;
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

fn told(context: &mut Context, review: &ReviewLog, what: &str) -> Result<()> {
    context.done(&format!("review {} of run {} {what}", review.id, review.pipeline_run_id), review)
}
