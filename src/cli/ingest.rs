//! `viraldb ingest`

use std::io::{self, IsTerminal, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::{ProgressBar, ProgressStyle};

use super::rejects::{Rejects, Shown};
use super::{Context, Format as OutputFormat};
use crate::db::same_file;
use crate::ingest::{self, Format, Options, Reject, Report};
use crate::quote::visible;
use crate::secrets::{Keyring, has_sealed_columns};
use crate::{Error, Result, Timestamp, bounded};

/// Rows that are bad are rejected, and the others are stored.
///
/// Exit 0 if all rows were stored, 3 if rows were rejected, 1 if a file could not be read or stored, or --strict stored
/// nothing of it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files to read; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Format of the files, when they do not show it: youtube-trending, youtube-api, youtube-analytics,
    /// youtube-channels, yt-dlp, tiktok, takeout, jsonl
    #[arg(long = "as", id = "as", value_name = "FORMAT")]
    format: Option<Format>,
    /// Niche of the videos, instead of the one of their category
    #[arg(long, value_name = "NAME")]
    niche: Option<String>,
    /// Table the rows of jsonl are for [default: discovered_videos]
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// When the numbers were measured that say no time themselves [default: when the file was last modified]
    #[arg(long, value_name = "TIME")]
    measured_at: Option<Timestamp>,
    /// Keep rejected rows here, as JSON Lines
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Write nothing of a file in which any row is bad. Each file is one transaction: until it has been read to its end,
    /// no other program writes to a SQLite database
    #[arg(long)]
    strict: bool,
}

/// The exit code if rows were rejected.
const REJECTED: u8 = 3;

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let keyring = match &self.table {
            Some(table) if has_sealed_columns(table) => Keyring::from_env()?,
            _ => Keyring::default(), // a key that cannot be read does not matter
        };
        let options = Options {
            format: self.format,
            niche: self.niche.as_deref(),
            table: self.table.as_deref(),
            strict: self.strict,
            keyring: Some(&keyring),
            measured_at: self.measured_at,
            modified: None, // differs from file to file
        };
        // All are opened before any is read, so that a wrong name changes nothing.
        let inputs = self.files.iter().map(open).collect::<Result<Vec<_>>>()?;
        let db = context.database()?;
        if let Some(own) = self.files.iter().find(|input| db.is_own_file(input)) {
            return Err(Error::invalid(own.display().to_string(), "is a file of the database itself"));
        }
        let is_taken =
            |path: &Path| db.is_own_file(path) || self.files.iter().any(|input| is_read_from(input, path));
        let kept = self.rejects.as_deref().map(|path| Rejects::new(path, is_taken));
        let mut kept = kept.transpose()?;
        let mut reports = Vec::new();
        let read_all = inputs.into_iter().try_for_each(|Input { name, length, modified, read }| {
            let options = Options { modified, ..options.clone() };
            let bar = progress(context, length);
            let mut shown = Shown::default();
            let report = ingest::ingest(&db, &name, bar.wrap_read(read), &options, &mut |row: Reject| {
                shown.add(|| format!("line {}: {}", row.line, row.reason));
                kept.as_mut().map_or(Ok(()), |kept| kept.keep(&row))
            });
            bar.finish_and_clear();
            let flushed = match &mut kept {
                Some(kept) if report.is_ok() => kept.flush(),
                _ => Ok(()),
            };
            if let (Ok(report), OutputFormat::Table) = (&report, context.output.format) {
                context.say(&line(report))?;
                context.output.flush();
            }
            if !context.quiet {
                shown.print(report.as_ref().map_or(0, |report| report.rejected), self.rejects.is_some());
            }
            reports.push(report?);
            flushed
        });
        // Also when one failed: what came in before it stays.
        if context.output.format != OutputFormat::Table && (read_all.is_ok() || !reports.is_empty()) {
            context.output.rows(&reports, &[])?;
            context.output.flush();
        }
        // Who runs it by a timer is to notice.
        let any_rejected = reports.iter().any(|report| report.rejected > 0);
        read_all.map(|()| if any_rejected { ExitCode::from(REJECTED) } else { ExitCode::SUCCESS })
    }
}

/// Returns true if a file is the input of this name, which may also be where standard input comes from.
fn is_read_from(input: &Path, path: &Path) -> bool {
    if input.as_os_str() == "-" {
        path.is_file() && same_file(Path::new("/dev/stdin"), path)
    } else {
        same_file(input, path)
    }
}

struct Input {
    name: String,
    length: Option<u64>,
    /// When the file was last modified.
    modified: Option<Timestamp>,
    read: Box<dyn Read + Send>,
}

fn open(path: &PathBuf) -> Result<Input> {
    if path.as_os_str() == "-" {
        return Ok(Input { name: "-".to_owned(), length: None, modified: None, read: Box::new(io::stdin()) });
    }
    let file = bounded::open(path)?;
    let metadata = file.metadata().map_err(|error| Error::io(path, error))?;
    if metadata.is_dir() {
        return Err(Error::io(path, io::ErrorKind::IsADirectory.into()));
    }
    let length = metadata.is_file().then_some(metadata.len());
    // That of a pipe or a device says nothing of what comes out of it.
    let modified = metadata.is_file().then(|| metadata.modified().ok()).flatten();
    let modified = modified.map(|at| Timestamp::from(chrono::DateTime::<chrono::Utc>::from(at)));
    Ok(Input { name: path.display().to_string(), length, modified, read: Box::new(file) })
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
    let mut line = format!("{}  {rows}: {new}, {} updated", visible(&report.file), report.updated);
    let is_trending = report.format == Format::YoutubeTrending.as_str();
    if is_trending || (report.snapshots > 0 && report.table == "discovered_videos") {
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
