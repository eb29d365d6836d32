//! `viraldb export`

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::ValueHint;
use indicatif::{HumanCount, ProgressBar};

use super::complete::tables;
use super::when::when;
use super::words::words;
use super::{Context, Format};
use viraldb::ops::{self, Destination, Export, Form};
use viraldb::{Error, Result, Timestamp};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Tables to export
    #[arg(value_name = "TABLE", required_unless_present = "all", add = tables())]
    tables: Vec<String>,
    /// Export all 22 tables, into a folder
    #[arg(long, conflicts_with = "tables")]
    all: bool,
    /// File to write, or - for standard output; for several tables a folder
    ///
    /// Each table becomes a file TABLE.jsonl or TABLE.csv of the folder.
    #[arg(short, long, alias = "to", value_name = "FILE", default_value = "-", value_hint = ValueHint::AnyPath)]
    output: PathBuf,
    /// Export only rows changed at this time or later: a time, a date, or a length before now such as 7d
    ///
    /// For tables that do not record changes, the time of creation counts.
    #[arg(long, value_name = "TIME", value_parser = when)]
    since: Option<Timestamp>,
    /// Export only rows changed before this time
    #[arg(long, value_name = "TIME", value_parser = when)]
    until: Option<Timestamp>,
    /// Format of the rows [default: jsonl, or csv with --format csv]
    ///
    /// `viraldb ingest` reads JSON Lines back to the same rows.
    #[arg(long = "as", id = "as", value_name = "FORMAT", value_parser = words(Form::ALL, Form::as_str))]
    form: Option<Form>,
}

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        if context.output.has_columns() {
            return Err(Error::invalid(
                "--columns",
                "does not apply to export, whose rows `viraldb ingest` reads back",
            ));
        }
        let is_stream = self.output.as_os_str() == "-";
        let form = match (self.form, context.output.format) {
            (Some(form), _) => form,
            (None, Format::Csv) => Form::Csv,
            (None, Format::Json) if is_stream => {
                let reason =
                    "is one document, but export writes one row after the other; use --format jsonl or csv";
                return Err(Error::invalid("--format json", reason));
            }
            (None, _) => Form::Jsonl,
        };
        let export = Export { tables: self.tables, since: self.since, until: self.until, form };
        let db = context.database()?;
        let bar = progress(context);
        let mut tell = |table: &str, rows: u64| bar.set_message(format!("{table}  {}", HumanCount(rows)));
        let mut data = context.output.data();
        let to = match is_stream {
            true => Destination::Stream(&mut data),
            false => Destination::at(&self.output, &export),
        };
        let exported = ops::export(&db, &export, to, &mut tell);
        bar.finish_and_clear();
        // If the reader closed the pipe, it has read all that it needs, so this is not an error.
        if is_stream && context.output.is_closed() {
            return Ok(ExitCode::SUCCESS);
        }
        let exported = exported?;
        let is_told = !context.quiet || context.output.format != Format::Table;
        if !is_stream && is_told {
            context.output.rows(&exported, &["table", "rows", "file"])?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Shows the progress in rows, on a terminal only.
fn progress(context: &Context) -> ProgressBar {
    if context.quiet || !io::stderr().is_terminal() {
        ProgressBar::hidden()
    } else {
        ProgressBar::new_spinner()
    }
}
