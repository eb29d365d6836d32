//! `viraldb restore`

use std::io::{self, BufRead, IsTerminal, Read};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueHint;
use indicatif::HumanBytes;

use super::backup::{Opening, Programs, advance, progress};
use super::{Context, output};
use viraldb::ops::backup::{self, Planned, Restore};
use viraldb::private::quote::counted;
use viraldb::{Error, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Backup file; its manifest must be in the same folder
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// Restore without asking
    #[arg(short, long)]
    yes: bool,
    /// PostgreSQL only: make the current user the owner of all objects, and restore no privileges
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
            return Err(Error::invalid("the restore", "was declined; nothing was changed"));
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
        if !context.output.is_for_people() {
            context.output.object(&restored)?;
            return Ok(ExitCode::SUCCESS);
        }
        let rows = restored.rows.values().fold(0_u64, |sum, rows| sum.saturating_add(*rows));
        context.say(&format!(
            "restored {} of {} into {}\n",
            counted(rows, "row"),
            counted(restored.rows.len(), "table"),
            restored.database
        ))?;
        for name in &restored.applied {
            context.say(&format!("applied {name}\n"))?;
        }
        if let Some(kept) = &restored.kept {
            context.say(&format!(
                "the former database is kept as {kept}; remove it when the restored one works\n"
            ))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Maximum length of an answer, in bytes.
const ANSWER: u64 = 80;

/// Shows what is replaced and asks for confirmation.
fn agreed(planned: &Planned) -> Result<bool> {
    let Planned { backup, database, replaced_bytes, replaced_rows, .. } = planned;
    let of = match (&backup.database, backup.created_at, backup.rows) {
        (Some(name), Some(at), Some(rows)) => format!("{name} of {at}, {}", counted(rows, "row")),
        _ => backup.state.to_string(),
    };
    output::message(&format!("backup    {} ({of})", backup.file.display()));
    let replaced = match (replaced_bytes, replaced_rows) {
        (None, _) => format!("nothing: {database} does not exist yet"),
        (Some(bytes), Some(rows)) => {
            format!("{database} ({}, {})", counted(*rows, "row"), HumanBytes(*bytes))
        }
        (Some(bytes), None) => format!("{database} ({}; its rows cannot be counted)", HumanBytes(*bytes)),
    };
    output::message(&format!("replaces  {replaced}"));
    if !io::stdin().is_terminal() {
        return Err(Error::invalid(
            "the restore",
            "needs a confirmation, and standard input is not a terminal; confirm with --yes",
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
