//! `viraldb ingest`

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};

use super::{Context, Format as OutputFormat};
use crate::db::same_file;
use crate::ingest::{self, Format, Options, Reject, Report};
use crate::{Database, Error, Result};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files to read; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Format of the files, when they do not show it: youtube-trending, youtube-api, yt-dlp, jsonl
    #[arg(long = "as", id = "as", value_name = "FORMAT")]
    format: Option<Format>,
    /// Niche of the videos, instead of the one of their category
    #[arg(long, value_name = "NAME")]
    niche: Option<String>,
    /// Table the rows of jsonl are for [default: discovered_videos]
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// Keep rejected rows here, as JSON Lines
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Write nothing of a file in which any row is bad
    #[arg(long)]
    strict: bool,
}

/// Rejected rows that are shown for each file.
const SHOWN: u64 = 5;

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let options = Options {
            format: self.format,
            niche: self.niche.as_deref(),
            table: self.table.as_deref(),
            strict: self.strict,
        };
        // All are opened before any is read, so that a wrong name changes nothing.
        let inputs = self.files.iter().map(open).collect::<Result<Vec<_>>>()?;
        let db = context.database()?;
        let rejects = self.rejects.as_deref().map(|path| Rejects::new(path, &self.files, &db));
        let mut rejects = rejects.transpose()?;
        let mut reports = Vec::new();
        let read_all = inputs.into_iter().try_for_each(|Input { name, length, read }| {
            let bar = progress(context, length);
            let mut shown = Vec::new();
            let report = ingest::ingest(&db, &name, bar.wrap_read(read), &options, &mut |row: Reject| {
                if (shown.len() as u64) < SHOWN {
                    shown.push(format!("  line {}: {}", row.line, row.reason));
                }
                rejects.as_mut().map_or(Ok(()), |rejects| rejects.keep(&row))
            });
            bar.finish_and_clear();
            let flushed = match &mut rejects {
                Some(rejects) if report.is_ok() => rejects.flush(),
                _ => Ok(()),
            };
            if let (Ok(report), OutputFormat::Table) = (&report, context.output.format) {
                context.say(&line(report))?;
                context.output.finish()?;
            }
            if !context.quiet {
                explain(&shown, report.as_ref().map_or(0, |report| report.rejected), self.rejects.is_some());
            }
            reports.push(report?);
            flushed
        });
        // Also when one failed: what came in before it stays.
        if context.output.format != OutputFormat::Table && (read_all.is_ok() || !reports.is_empty()) {
            context.output.rows(&reports, &[])?;
            context.output.finish()?;
        }
        read_all.map(|()| ExitCode::SUCCESS)
    }
}

/// The file of rejected rows. What it held before is gone with the first of them, or when an input was read
/// to its end, not before.
struct Rejects<'a> {
    path: &'a Path,
    file: Option<BufWriter<File>>,
}

impl<'a> Rejects<'a> {
    fn new(path: &'a Path, inputs: &[PathBuf], db: &Database) -> Result<Self> {
        let refused = |why: &str| Err(Error::invalid(format!("--rejects {}", path.display()), why));
        if path.as_os_str() == "-" {
            return refused("names no file");
        }
        if db.is_own_file(path) || inputs.iter().any(|input| same_file(input, path)) {
            return refused("is a file that is to be read, or the database's own");
        }
        Ok(Self { path, file: None })
    }

    fn keep(&mut self, row: &Reject) -> Result<()> {
        let path = self.path;
        let file = self.file()?;
        serde_json::to_writer(&mut *file, row)
            .map_err(io::Error::from)
            .and_then(|()| file.write_all(b"\n"))
            .map_err(|error| Error::io(path, error))
    }

    fn flush(&mut self) -> Result<()> {
        let path = self.path;
        self.file()?.flush().map_err(|error| Error::io(path, error))
    }

    fn file(&mut self) -> Result<&mut BufWriter<File>> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => {
                let file = File::create(self.path).map_err(|error| Error::io(self.path, error))?;
                Ok(none.insert(BufWriter::new(file)))
            }
        }
    }
}

struct Input {
    name: String,
    length: Option<u64>,
    read: Box<dyn Read>,
}

fn open(path: &PathBuf) -> Result<Input> {
    if path.as_os_str() == "-" {
        return Ok(Input { name: "-".to_owned(), length: None, read: Box::new(io::stdin()) });
    }
    let file = File::open(path).map_err(|error| Error::io(path, error))?;
    let metadata = file.metadata().map_err(|error| Error::io(path, error))?;
    if metadata.is_dir() {
        return Err(Error::io(path, io::ErrorKind::IsADirectory.into()));
    }
    let length = metadata.is_file().then_some(metadata.len());
    Ok(Input { name: path.display().to_string(), length, read: Box::new(file) })
}

/// Progress by bytes, on a terminal only.
fn progress(context: &Context, length: Option<u64>) -> ProgressBar {
    if context.quiet || !io::stderr().is_terminal() {
        return ProgressBar::hidden();
    }
    match length {
        Some(length) => {
            let style =
                ProgressStyle::with_template("{wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta}");
            ProgressBar::new(length).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        }
        None => {
            let style = ProgressStyle::with_template("{spinner} {bytes}  {bytes_per_sec}");
            ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
        }
    }
}

/// What came in, for people.
pub(super) fn line(report: &Report) -> String {
    let rows = counted(report.rows, "row");
    let new = match &*report.table {
        "discovered_videos" => format!("{} new", counted(report.new, "video")),
        table => format!("{} new in {table}", report.new),
    };
    let mut line = format!("{}  {rows}: {new}, {} updated", report.file, report.updated);
    if report.format == Format::YoutubeTrending.as_str() {
        line += &format!(", {}", counted(report.snapshots, "snapshot"));
    }
    if report.trends > 0 {
        line += &format!(", {}", counted(report.trends, "trend"));
    }
    line + &format!(", {} rejected\n", report.rejected)
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[allow(clippy::print_stderr)] // for people, beside the data
fn explain(shown: &[String], rejected: u64, kept: bool) {
    let hint = if kept { "" } else { " (keep rejected rows with --rejects FILE)" };
    for (place, line) in shown.iter().enumerate() {
        let is_last = place + 1 == shown.len();
        eprintln!("{line}{}", if is_last && rejected <= SHOWN { hint } else { "" });
    }
    if rejected > SHOWN {
        eprintln!("  and {} more{hint}", rejected - SHOWN);
    }
}
