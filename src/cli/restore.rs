//! `viraldb restore`

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::HumanBytes;

use super::backup::{Opening, Programs, advance, progress};
use super::{Context, Format, output};
use viraldb::ops::backup::{self, Planned, Restore};
use viraldb::{Error, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The backup; its manifest stands beside it
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Do not ask
    #[arg(long)]
    yes: bool,
    /// On PostgreSQL: let all belong to who restores, and leave the rights of others out
    #[arg(long)]
    no_owner: bool,
    #[command(flatten)]
    opening: Opening,
    #[command(flatten)]
    programs: Programs,
}

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let url = context.url()?;
        let planned = backup::plan(&url, &self.file)?;
        if !self.yes && !agreed(&planned)? {
            return Err(Error::invalid("the restore", "was not agreed to; nothing was changed"));
        }
        let options = Restore {
            file: self.file,
            unseal: self.opening.get()?,
            pg_bin: self.programs.pg_bin,
            no_owner: self.no_owner,
        };
        let bar = progress(context);
        let restored = backup::restore(&url, &options, &mut |at| advance(&bar, at));
        bar.finish_and_clear();
        let restored = restored?;
        if context.output.format != Format::Table {
            context.output.object(&restored)?;
            return Ok(ExitCode::SUCCESS);
        }
        let rows = restored.rows.values().fold(0_u64, |sum, rows| sum.saturating_add(*rows));
        context.say(&format!(
            "restored {rows} rows of {} tables into {}\n",
            restored.rows.len(),
            restored.database
        ))?;
        for name in &restored.applied {
            context.say(&format!("applied {name}\n"))?;
        }
        if let Some(kept) = &restored.kept {
            context
                .say(&format!("what stood there before is kept as {kept}; remove it when all is well\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The longest answer that is read.
const ANSWER: u64 = 80;

/// Shows what is replaced and asks.
fn agreed(planned: &Planned) -> Result<bool> {
    let Planned { backup, database, replaced_bytes, replaced_rows, .. } = planned;
    let of = match (&backup.database, backup.created_at, backup.rows) {
        (Some(name), Some(at), Some(rows)) => format!("{name} of {at}, {rows} rows"),
        _ => backup.state.clone(),
    };
    output::message(&format!("backup    {} ({of})", backup.file.display()));
    let replaced = match (replaced_bytes, replaced_rows) {
        (None, _) => format!("nothing: {database} is not there yet"),
        (Some(bytes), Some(rows)) => format!("{database} ({rows} rows, {})", HumanBytes(*bytes)),
        (Some(bytes), None) => format!("{database} ({}; its rows cannot be counted)", HumanBytes(*bytes)),
    };
    output::message(&format!("replaces  {replaced}"));
    if !io::stdin().is_terminal() {
        return Err(Error::invalid(
            "the restore",
            "has to be agreed to; give --yes where nobody can be asked",
        ));
    }
    output::prompt("The current database is kept next to it. Continue? [y/N] ");
    let mut answer = String::new();
    io::stdin()
        .lock()
        .take(ANSWER)
        .read_line(&mut answer)
        .map_err(|error| Error::io("the terminal", error))?;
    Ok(["y", "yes"].contains(&answer.trim().to_lowercase().as_str()))
}
