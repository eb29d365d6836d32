//! `viraldb optimize`

use std::process::ExitCode;

use indicatif::HumanBytes;

use super::{Context, Format, output};
use viraldb::ops::{self, Optimized};
use viraldb::{DatabaseUrl, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Give free room back too. SQLite writes the whole file anew, and other programs cannot write until that is done;
    /// PostgreSQL runs VACUUM
    #[arg(long)]
    vacuum: bool,
}

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let database = context.database()?;
        if self.vacuum && !context.quiet && matches!(database.url(), DatabaseUrl::File(_)) {
            output::message(&format!(
                "{}: rewriting the whole file; other programs cannot write until this is done",
                database.url()
            ));
        }
        let optimized = ops::optimize(&database, self.vacuum)?;
        match context.output.format {
            Format::Table => context.say(&for_people(&optimized))?,
            _ => context.output.object(&optimized)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn for_people(optimized: &Optimized) -> String {
    let bytes = |bytes: i64| HumanBytes(u64::try_from(bytes).unwrap_or_default());
    let Optimized { database, vacuumed, bytes_before, bytes_after, .. } = optimized;
    let what =
        if *vacuumed { "vacuumed, statistics brought up to date" } else { "statistics brought up to date" };
    let mut text = format!("{database}: {what}\n");
    text += &format!("size       {} → {}\n", bytes(*bytes_before), bytes(*bytes_after));
    if let (Some(before), Some(after)) = (optimized.wal_bytes_before, optimized.wal_bytes_after) {
        text += &format!("WAL        {} → {}\n", HumanBytes(before), HumanBytes(after));
    }
    if !optimized.wal_held_by.is_empty() {
        let who = optimized.wal_held_by.join(", ");
        text +=
            &format!("           not emptied: somebody reads an older state. The file is open in {who}\n");
    }
    match optimized.free_bytes {
        Some(free) if free > 0 => {
            text += &format!("free       {}; `viraldb optimize --vacuum` gives it back\n", bytes(free));
        }
        _ => {}
    }
    text
}
