//! `viraldb export`

use std::io::{self, IsTerminal};
use std::path::PathBuf;
use std::process::ExitCode;

use indicatif::{HumanCount, ProgressBar};

use super::{Context, Format};
use viraldb::ops::{self, Destination, Export, Form};
use viraldb::{Error, Result, Timestamp};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Tables whose rows are written
    #[arg(value_name = "TABLE", required_unless_present = "all")]
    tables: Vec<String>,
    /// All 22 tables, into a folder
    #[arg(long, conflicts_with = "tables")]
    all: bool,
    /// File, or - for standard output; of several tables, the folder for a file each, TABLE.jsonl or TABLE.csv
    #[arg(long, value_name = "FILE", default_value = "-")]
    to: PathBuf,
    /// Only rows that were changed, or where that is not kept, came to be, at this time or later
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
    /// How rows are written: jsonl, which ingest reads back, or csv [default: jsonl; on standard output, what --format says]
    #[arg(long = "as", id = "as", value_name = "FORMAT")]
    form: Option<Form>,
}

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let is_stream = self.to.as_os_str() == "-";
        let form = match (self.form, context.output.format) {
            (Some(form), _) => form,
            (None, Format::Csv) if is_stream => Form::Csv,
            (None, Format::Json) if is_stream => {
                let reason =
                    "is one document, and rows are written one after the other; use --format jsonl or csv";
                return Err(Error::invalid("--format json", reason));
            }
            (None, _) => Form::Jsonl,
        };
        let export = Export { tables: self.tables, since: self.since, form };
        let db = context.database()?;
        let bar = progress(context);
        let mut tell = |table: &str, rows: u64| bar.set_message(format!("{table}  {}", HumanCount(rows)));
        let mut data = context.output.data();
        let to = match is_stream {
            true => Destination::Stream(&mut data),
            false => Destination::at(&self.to, &export),
        };
        let exported = ops::export(&db, &export, to, &mut tell);
        bar.finish_and_clear();
        // Nothing is lost when the reader of a mere listing leaves.
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

/// Progress by rows, on a terminal only.
fn progress(context: &Context) -> ProgressBar {
    if context.quiet || !io::stderr().is_terminal() {
        ProgressBar::hidden()
    } else {
        ProgressBar::new_spinner()
    }
}
