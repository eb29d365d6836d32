//! `viraldb prune`

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::{HumanCount, ProgressBar};

use super::Context;
use super::paths::Paths;
use viraldb::Result;
use viraldb::ops::{self, Part, Prune, Pruned, Pruning};

/// How long rows are kept is said by the settings error_retention_days and archive_retention_days.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only count what would go, and list its files
    #[arg(long)]
    dry_run: bool,
    /// Most rows deleted in one transaction, where a run counts as one
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// Only these, separated by commas: errors, analytics, jobs, runs, generation
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    only: Vec<Part>,
    /// Append the paths that deleted rows named to this file, one per line, instead of printing them. A path
    /// that contains a control character is written as a JSON string. viraldb deletes none of these files
    #[arg(long, value_name = "FILE")]
    files: Option<PathBuf>,
    /// End each path with NUL instead of a newline, and quote nothing, for `xargs -0`
    #[arg(short = '0', long)]
    null: bool,
}

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        let mut prune = Prune::new(&context.config(&db)?)?;
        (prune.dry_run, prune.batch) = (self.dry_run, self.batch);
        if !self.only.is_empty() {
            prune.parts = self.only;
        }
        let mut paths = Paths::new(context.output.format, self.files, self.null, self.dry_run, &db)?;
        let bar = progress(context);
        let pruned = ops::prune(&db, &prune, &mut |at| match at {
            Pruning::Files(found) => paths.add(&mut context.output, found),
            Pruning::Rows(rows) => {
                bar.set_message(format!("{} rows", HumanCount(rows)));
                Ok(())
            }
        });
        bar.finish_and_clear();
        let text = pruned.as_ref().ok().filter(|_| !context.quiet).map(for_people);
        // Also when it failed: what was deleted before is gone.
        paths.finish(&mut context.output, pruned.as_ref().ok(), text)?;
        pruned.map(|_| ExitCode::SUCCESS)
    }
}

fn for_people(pruned: &Pruned) -> String {
    let verb = if pruned.dry_run { "would delete" } else { "deleted" };
    let counts: Vec<String> = pruned
        .tables
        .iter()
        .filter(|table| table.rows > 0)
        .map(|table| format!("{} of {}", table.rows, table.table))
        .collect();
    let mut text = match &*counts {
        [] => format!("{verb} nothing\n"),
        counts => format!("{verb} {}\n", counts.join(", ")),
    };
    match pruned.file_count {
        0 => {}
        1 => text += "1 file belonged to them; viraldb deletes none\n",
        count => text += &format!("{count} files belonged to them; viraldb deletes none\n"),
    }
    text
}

/// Progress by rows, on a terminal only.
fn progress(context: &Context) -> ProgressBar {
    if context.quiet || !io::stderr().is_terminal() {
        ProgressBar::hidden()
    } else {
        ProgressBar::new_spinner()
    }
}
