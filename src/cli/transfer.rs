//! `viraldb transfer`

use std::process::ExitCode;

use indicatif::ProgressBar;

use super::Context;
use viraldb::Result;
use viraldb::ops::transfer::{self, Existing, Options, Phase, Plan, Progress, Report};
use viraldb::private::quote::counted;

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Database to copy; viraldb reads one snapshot of it and changes nothing
    #[arg(long, value_name = "URL")]
    from: String,
    /// Database to copy to; created or migrated if necessary
    #[arg(long, value_name = "URL")]
    to: String,
    /// Continue an interrupted transfer; a target that is a complete copy is not changed
    #[arg(long, conflicts_with = "replace")]
    resume: bool,
    /// Delete all rows of the target first
    #[arg(long)]
    replace: bool,
    /// Print what would be copied, and copy nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Rows per transaction
    #[arg(long, value_name = "N", default_value_t = transfer::BATCH, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    batch: u32,
}

const TRANSFERRED: &[&str] = &["table", "rows", "digest", "seconds"];
const PLANNED: &[&str] = &["table", "rows", "copied", "deleted"];

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let existing = match (self.resume, self.replace) {
            (true, _) => Existing::Resume,
            (_, true) => Existing::Replace,
            _ => Existing::Refuse,
        };
        let options = Options { existing, batch: self.batch };
        if self.dry_run {
            let plan = transfer::plan(&self.from, &self.to, &options)?;
            show_plan(context, &plan)?;
        } else {
            let bar = context.rows_bar();
            let report = transfer::transfer(&self.from, &self.to, &options, &mut |at| advance(&bar, at));
            bar.finish_and_clear();
            show_report(context, &report?)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn show_plan(context: &mut Context, plan: &Plan) -> Result<()> {
    match context.output.is_for_people() {
        false if context.output.is_document() => context.output.object(plan),
        false => context.output.rows(&plan.tables, PLANNED),
        true => {
            context.say(&format!("would copy {} to {}\n", plan.from, plan.to))?;
            context.output.rows(&plan.tables, PLANNED)
        }
    }
}

fn show_report(context: &mut Context, report: &Report) -> Result<()> {
    match context.output.is_for_people() {
        false if context.output.is_document() => context.output.object(report),
        false => context.output.rows(&report.tables, TRANSFERRED),
        true => {
            context.output.rows(&report.tables, TRANSFERRED)?;
            let Report { from, to, rows, resumed, seconds, .. } = report;
            let rows = counted(*rows, "row");
            if report.was_complete {
                return context.say(&format!(
                    "{to} is a complete copy of {from} already: {rows}, {seconds:.1} s, all digests equal; nothing \
                     was written\n"
                ));
            }
            let before = if *resumed > 0 { format!(", {resumed} of them before") } else { String::new() };
            context
                .say(&format!("copied {from} to {to}: {rows}{before}, {seconds:.1} s, all digests equal\n"))
        }
    }
}

fn advance(bar: &ProgressBar, at: Progress) {
    let Progress { phase, table, done, of, .. } = at;
    if done == 0 {
        bar.reset();
        let verb = if phase == Phase::Copying { "copying" } else { "comparing" };
        bar.set_message(format!("{verb} {table}"));
    }
    bar.set_length(of);
    bar.set_position(done);
}
