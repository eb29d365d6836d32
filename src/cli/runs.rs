//! `viraldb runs`

use std::process::ExitCode;
use std::time::Duration;

use clap::Subcommand;

use super::complete::{niche, runs};
use super::duration::duration;
use super::output::{Output, visible};
use super::values::{OfChannel, Paging, by_setting, none_in};
use super::words::words;
use super::{Context, clips, scripts, shorts};
use viraldb::compilation::{
    Choose, Clip, Cycle, PipelineRun, PipelineRunFilter, PipelineRunId, RunStatus, RunView,
};
use viraldb::{Error, Result, Timestamp};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// List runs, newest first
    List {
        /// Show only runs of this niche
        #[arg(long, value_name = "NICHE", add = niche())]
        niche: Option<String>,
        /// Show only runs with this status
        #[arg(long, value_name = "STATUS", value_parser = words(RunStatus::ALL, RunStatus::as_str))]
        status: Option<RunStatus>,
        #[command(flatten)]
        page: Paging<PipelineRunId>,
    },
    /// Show a run with its clips, scripts, audio, shorts, reviews and errors
    Show {
        /// Id of the run
        #[arg(value_name = "ID", add = runs())]
        id: PipelineRunId,
    },
    /// Create the run of a niche for the current cycle, unless it exists
    Start {
        /// Niche, such as gaming
        #[arg(value_name = "NICHE", add = niche())]
        niche: String,
        #[arg(long, value_name = "TIME", value_parser = duration, help = by_setting(
            "Length of the current cycle, such as 6h; cycles are counted from 1970-01-01 UTC", "cycle_hours"
        ))]
        cycle: Option<Duration>,
        /// Start of the cycle, instead of the current one, such as 2026-11-21T06:00:00Z
        #[arg(long, value_name = "TIME", requires = "end")]
        start: Option<Timestamp>,
        /// End of the cycle
        #[arg(long, value_name = "TIME", requires = "start")]
        end: Option<Timestamp>,
        #[command(flatten)]
        of: OfChannel,
    },
    /// Choose the best pending videos of the niche for a run, and mark them as used
    Choose {
        /// Id of the run
        #[arg(value_name = "ID", add = runs())]
        id: PipelineRunId,
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(1..), help = by_setting(
            "Maximum number of videos to choose, instead of the room that max_clips leaves", "max_clips"
        ))]
        limit: Option<i64>,
        #[arg(long, value_name = "N", value_parser = clap::value_parser!(i64).range(0..), help = by_setting(
            "Minimum number of clips of the run; fail if it would have fewer", "min_clips"
        ))]
        min_clips: Option<i64>,
        #[arg(long, value_name = "SCORE", help = by_setting(
            "Minimum viral score; videos without a score pass", "min_viral_score"
        ))]
        min_score: Option<f64>,
        #[command(flatten)]
        of: OfChannel,
    },
    /// Move a run to its next status
    Move {
        /// Id of the run
        #[arg(value_name = "ID", add = runs())]
        id: PipelineRunId,
        /// New status
        #[arg(value_name = "STATUS", value_parser = words(RunStatus::ALL, RunStatus::as_str))]
        status: RunStatus,
        /// Why the run failed; only with failed
        #[arg(long, value_name = "TEXT")]
        error: Option<String>,
    },
    /// Put failed runs back to pending
    Retry {
        /// Ids of the runs
        #[arg(value_name = "ID", required = true, add = runs())]
        ids: Vec<PipelineRunId>,
    },
}

/// Columns of a table of runs.
pub(super) const LISTED: &[&str] =
    &["id", "niche", "status", "cycle_start", "started_at", "completed_at", "retry_count", "error_message"];

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        match self.command {
            Command::List { niche, status, page } => {
                let filter = PipelineRunFilter { niche: niche.as_deref(), status };
                let runs = db.read(|c| PipelineRun::list(c, &filter, &page.into()))?;
                context.list_or(&runs, LISTED, || none_in(&db, niche.as_deref(), "no runs"))?;
            }
            Command::Show { id } => {
                let view = db.read(|c| PipelineRun::view(c, id))?;
                match context.output.is_for_people() {
                    true => show(&mut context.output, &view)?,
                    false => context.output.object(&view)?,
                }
            }
            Command::Start { niche, cycle, start, end, of } => {
                let cycle = Cycle { channel: of.id(&db)?, length: cycle, at: None };
                let run = db.write(|c| match start.zip(end) {
                    Some((start, end)) => PipelineRun::start_cycle(c, &niche, start, end),
                    None => PipelineRun::start(c, &niche, &cycle),
                })?;
                told(context, &run)?;
            }
            Command::Choose { id, limit, min_clips, min_score, of } => {
                let how = Choose { channel: of.id(&db)?, limit, min_clips, min_viral_score: min_score };
                let chosen = db.write(|c| Clip::choose_best(c, id, how))?;
                context.list(
                    &chosen,
                    clips::SHOWN,
                    "no videos were chosen: the run has enough clips, or no video is good enough",
                )?;
            }
            Command::Move { id, status: to, error } => {
                if error.is_some() && to != RunStatus::Failed {
                    return Err(Error::invalid(
                        "--error",
                        format!("is only for the status failed, not for {to}"),
                    ));
                }
                let run = db.write(|c| match (to, &error) {
                    (RunStatus::Failed, Some(error)) => PipelineRun::fail(c, id, error),
                    _ => PipelineRun::move_to(c, id, to),
                })?;
                told(context, &run)?;
            }
            Command::Retry { ids } => {
                let runs = db
                    .write(|c| ids.iter().map(|id| PipelineRun::retry(c, *id)).collect::<Result<Vec<_>>>())?;
                context.output.rows(&runs, LISTED)?;
            }
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn told(context: &mut Context, run: &PipelineRun) -> Result<()> {
    context.done(&line(run), run)
}

fn line(run: &PipelineRun) -> String {
    let PipelineRun { id, niche, cycle_start, cycle_end, status, .. } = run;
    format!("run {id} of {niche} ({cycle_start} to {cycle_end}) is {status}")
}

fn show(out: &mut Output, view: &RunView) -> Result<()> {
    let run = &view.run;
    out.text(&format!("{}\n", visible(&line(run))))?;
    for (what, text) in
        [("error", &run.error_message), ("video", &run.video_file_path), ("youtube", &run.youtube_url)]
    {
        if let Some(text) = text {
            out.text(&format!("{what}: {}\n", visible(text)))?;
        }
    }
    out.section("clips", &view.clips, clips::SHOWN)?;
    out.section("scripts", &view.scripts, scripts::SHOWN)?;
    out.section(
        "audio",
        &view.tts_audio,
        &["id", "generated_at", "engine_used", "voice_profile", "audio_file_path"],
    )?;
    out.section("shorts", &view.shorts, shorts::SHOWN)?;
    out.section(
        "reviews",
        &view.reviews,
        &["id", "sent_at", "responded_at", "action", "response_detail", "auto_held"],
    )?;
    out.section(
        "errors",
        &view.errors,
        &["id", "occurred_at", "module", "error_type", "error_message", "resolved"],
    )
}
