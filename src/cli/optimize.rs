//! `viraldb optimize`

use std::process::ExitCode;

use indicatif::HumanBytes;

use super::{Context, output};
use viraldb::ops::{self, Optimize, Optimized};
use viraldb::{DatabaseUrl, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Also return free space to the file system
    ///
    /// SQLite rewrites the whole file, and other programs cannot write until this is done. PostgreSQL runs VACUUM.
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
        let optimized = ops::optimize(&database, &Optimize { vacuum: self.vacuum })?;
        match context.output.is_for_people() {
            true => context.say(&for_people(&optimized))?,
            false => context.output.object(&optimized)?,
        }
        Ok(ExitCode::SUCCESS)
    }
}

fn for_people(optimized: &Optimized) -> String {
    let bytes = |bytes: i64| HumanBytes(u64::try_from(bytes).unwrap_or_default());
    let Optimized { database, vacuumed, bytes_before, bytes_after, .. } = optimized;
    let what = if *vacuumed { "vacuumed, statistics updated" } else { "statistics updated" };
    let mut text = format!("{database}: {what}\n");
    text += &format!("size       {} → {}\n", bytes(*bytes_before), bytes(*bytes_after));
    if let (Some(before), Some(after)) = (optimized.wal_bytes_before, optimized.wal_bytes_after) {
        text += &format!("WAL        {} → {}\n", HumanBytes(before), HumanBytes(after));
    }
    if !optimized.wal_held_by.is_empty() {
        let who = optimized.wal_held_by.join(", ");
        text += &format!(
            "           not emptied: another program reads an older snapshot. The file is open in {who}\n"
        );
    }
    match optimized.free_bytes {
        Some(free) if free > 0 => {
            text += &format!("free       {}; `viraldb optimize --vacuum` returns it\n", bytes(free));
        }
        _ => {}
    }
    text
}
