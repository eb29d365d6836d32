//! `viraldb prune`

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueHint;
use indicatif::{HumanCount, ProgressBar};

use super::Context;
use super::paths::Paths;
use super::words::words;
use viraldb::ops::{self, Part, Prune, Pruned, Pruning};
use viraldb::{Error, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Count the rows and list the files, but delete nothing
    #[arg(short = 'n', long)]
    dry_run: bool,
    /// Maximum number of rows per transaction; a run with all its rows counts as one
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// Delete only these parts, separated by commas
    #[arg(long, value_name = "PARTS", value_delimiter = ',', value_parser = words(Part::ALL, Part::as_str))]
    only: Vec<Part>,
    /// Append the paths of the deleted rows' files to this file, instead of printing them
    ///
    /// Each path is on its own line. A path with a control character is written as a JSON string. viraldb does not delete
    /// these files.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    files: Option<PathBuf>,
    /// End each path with NUL instead of a newline, without quoting, for `xargs -0`
    #[arg(short = '0', long)]
    null: bool,
}

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        if context.output.has_columns() {
            let reason =
                "does not apply to prune, which prints the paths of files while it deletes their rows";
            return Err(Error::invalid("--columns", reason));
        }
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
        // Print the result even after a failure, because earlier transactions have deleted rows.
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
        1 => text += "1 file belonged to them; viraldb does not delete files\n",
        count => text += &format!("{count} files belonged to them; viraldb does not delete files\n"),
    }
    text
}

/// Returns a progress indicator that counts rows. It is hidden when stderr is not a terminal.
fn progress(context: &Context) -> ProgressBar {
    if context.quiet || !io::stderr().is_terminal() {
        ProgressBar::hidden()
    } else {
        ProgressBar::new_spinner()
    }
}
