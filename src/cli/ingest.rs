//! `viraldb ingest`

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::output;
use super::rejects::{Rejects, Shown};
use super::{Context, Format as OutputFormat};
use crate::db::same_file;
use crate::ingest::{self, Format, Inputs, Options, Preview, Reject, Report};
use crate::quote::{quoted, visible};
use crate::secrets::{Keyring, has_sealed_columns};
use crate::{Database, Error, Result, Timestamp, bounded};

/// Rows that are bad are rejected, and the others are stored.
///
/// Files may be compressed with gzip or zstd, or be UTF-16 with a byte-order mark. Of a ZIP archive, each CSV and JSON
/// file is read. A CSV may be delimited by commas, semicolons, tabs or vertical bars.
///
/// Exit 0 if all rows were stored, 3 if rows were rejected, 1 if a file could not be read or stored, or --strict stored
/// nothing of it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files to read; - is standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Format of the files, when they do not show it: youtube-trending, youtube-studio, youtube-api, youtube-analytics,
    /// youtube-channels, yt-dlp, tiktok, takeout, jsonl, csv
    #[arg(long = "as", id = "as", value_name = "FORMAT")]
    format: Option<Format>,
    /// Niche of the videos, instead of the one of their category
    #[arg(long, value_name = "NAME")]
    niche: Option<String>,
    /// Table the rows of jsonl or csv are for [default: discovered_videos]
    #[arg(long, value_name = "TABLE")]
    table: Option<String>,
    /// Columns of a CSV: ours, and the name in the file, such as title=Titel,view_count=Aufrufe. They win over the names
    /// that viraldb knows
    #[arg(long, value_name = "COLUMN=CSV_COLUMN,...")]
    map: Vec<ColumnMap>,
    /// When the numbers were measured that say no time themselves, such as 2026-05-01T08:00:00Z [default: when the file
    /// was last modified; for standard input, now]
    #[arg(long, value_name = "TIME")]
    measured_at: Option<Timestamp>,
    /// Keep rejected rows here, as JSON Lines
    #[arg(long, value_name = "FILE")]
    rejects: Option<PathBuf>,
    /// Write nothing of a file in which any row is bad. Each file is one transaction: until it has been read to its end,
    /// no other program writes to a SQLite database
    #[arg(long)]
    strict: bool,
    /// Write nothing: show the format, which column becomes what, the first three rows as they would be stored, and how
    /// many would be new, updated and rejected. Each batch is stored and rolled back, so a video of several batches counts
    /// in each
    #[arg(long, conflicts_with = "strict")]
    dry_run: bool,
}

/// The exit code if rows were rejected.
const REJECTED: u8 = 3;

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let keyring = match &self.table {
            Some(table) if has_sealed_columns(table) => Keyring::from_env()?,
            _ => Keyring::default(), // a key that cannot be read does not matter
        };
        let map: Vec<(String, String)> = self.map.iter().flat_map(|map| map.0.clone()).collect();
        let options = Options {
            format: self.format,
            niche: self.niche.as_deref(),
            table: self.table.as_deref(),
            map: &map,
            measured_at: self.measured_at,
            strict: self.strict,
            dry_run: self.dry_run,
            keyring: Some(&keyring),
            ..Options::default()
        };
        // All are opened before any is read, so that a wrong name changes nothing.
        let opened = self.files.iter().map(open).collect::<Result<Vec<_>>>()?;
        let db = context.database()?;
        if let Some(own) = self.files.iter().find(|input| db.is_own_file(input)) {
            return Err(Error::invalid(own.display().to_string(), "is a file of the database itself"));
        }
        let is_taken =
            |path: &Path| db.is_own_file(path) || self.files.iter().any(|input| is_read_from(input, path));
        let kept = self.rejects.as_deref().map(|path| Rejects::new(path, is_taken));
        let mut kept = kept.transpose()?;
        let mut reports = Vec::new();
        let mut previews = Vec::new();
        let read_all = opened.into_iter().try_for_each(|Opened { name, modified, file }| {
            let Inputs { inputs, skipped } = ingest::inputs(&name, file)?;
            if !context.quiet {
                for file in skipped {
                    output::message(&format!("{}: skipped, because {}", visible(&file.name), file.reason));
                }
            }
            let options = Options { modified, ..options.clone() };
            inputs.into_iter().try_for_each(|mut input| {
                if self.dry_run {
                    let (preview, read) = ingest::preview(&input.name, input.read, &options)?;
                    input.read = read;
                    if context.output.format == OutputFormat::Table {
                        context.say(&preview_lines(&input.name, &preview))?;
                    }
                    previews.push(preview);
                }
                reports.push(read(context, &db, input, &options, &mut kept)?);
                kept.as_mut().map_or(Ok(()), Rejects::flush)
            })
        });
        // Also when one failed: what came in before it stays.
        if context.output.format != OutputFormat::Table && (read_all.is_ok() || !reports.is_empty()) {
            if self.dry_run {
                let runs: Vec<DryRun> = reports.iter().zip(previews).map(DryRun::of).collect();
                context.output.rows(&runs, &[])?;
            } else {
                context.output.rows(&reports, &[])?;
            }
            context.output.flush();
        }
        // Who runs it by a timer is to notice.
        let any_rejected = reports.iter().any(|report| report.rejected > 0);
        read_all.map(|()| if any_rejected { ExitCode::from(REJECTED) } else { ExitCode::SUCCESS })
    }
}

/// Reads one input, and says what came in.
fn read(
    context: &mut Context,
    db: &Database,
    input: ingest::Input,
    options: &Options<'_>,
    kept: &mut Option<Rejects<'_>>,
) -> Result<Report> {
    let bar = progress(context, input.length);
    let mut shown = Shown::default();
    let are_kept = kept.is_some();
    let report = ingest::ingest(db, &input.name, bar.wrap_read(input.read), options, &mut |row: Reject| {
        shown.add(|| format!("line {}: {}", row.line, row.reason));
        kept.as_mut().map_or(Ok(()), |kept| kept.keep(&row))
    });
    bar.finish_and_clear();
    if let (Ok(report), OutputFormat::Table) = (&report, context.output.format) {
        context.say(&line(report))?;
        context.output.flush();
    }
    if !context.quiet {
        shown.print(report.as_ref().map_or(0, |report| report.rejected), are_kept);
    }
    report
}

/// What a dry run prints for programs.
#[derive(Debug, Serialize, Deserialize)]
struct DryRun {
    file: String,
    format: String,
    table: String,
    rows: u64,
    new: u64,
    updated: u64,
    unchanged: u64,
    snapshots: u64,
    trends: u64,
    rejected: u64,
    /// The name in the CSV of each column that is read.
    mapping: Map<String, Value>,
    first_rows: Vec<Map<String, Value>>,
}

impl DryRun {
    fn of((report, preview): (&Report, Preview)) -> Self {
        Self {
            file: report.file.clone(),
            format: report.format.clone(),
            table: report.table.clone(),
            rows: report.rows,
            new: report.new,
            updated: report.updated,
            unchanged: report.unchanged,
            snapshots: report.snapshots,
            trends: report.trends,
            rejected: report.rejected,
            mapping: preview.mapping.into_iter().map(|(ours, csv)| (ours, csv.into())).collect(),
            first_rows: preview.rows,
        }
    }
}

/// How an input is understood, for people.
fn preview_lines(name: &str, preview: &Preview) -> String {
    let Preview { format, table, mapping, rows } = preview;
    let mut lines = format!("{}  dry run, nothing is written: {format} for {table}\n", visible(name));
    for (ours, csv) in mapping {
        lines += &format!("  {ours} is {}\n", quoted(csv));
    }
    for (place, row) in rows.iter().enumerate() {
        for (table, row) in row {
            lines += &format!("  row {} of {table}: {}\n", place + 1, visible(&row.to_string()));
        }
    }
    lines
}

/// Columns of a CSV, and what they become.
#[derive(Debug, Clone)]
struct ColumnMap(Vec<(String, String)>);

impl FromStr for ColumnMap {
    type Err = Error;

    /// Reads `title=Titel,view_count=Aufrufe`. A name in the CSV may have commas: one that no `COLUMN=` follows is part of
    /// it.
    fn from_str(text: &str) -> Result<Self> {
        let mut pairs: Vec<(String, String)> = Vec::new();
        for part in text.split(',') {
            let is_column = |name: &str| {
                !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_')
            };
            match (part.split_once('=').filter(|(column, _)| is_column(column.trim())), pairs.last_mut()) {
                (Some((column, name)), _) => pairs.push((column.trim().to_owned(), name.to_owned())),
                (None, Some((_, name))) => *name = format!("{name},{part}"),
                (None, None) => {
                    return Err(Error::invalid(
                        quoted(text),
                        "is not COLUMN=CSV_COLUMN, such as title=Titel",
                    ));
                }
            }
        }
        match pairs.iter().find(|(_, name)| name.trim().is_empty()) {
            Some((column, _)) => Err(Error::invalid(quoted(column), "has no column of the CSV after its =")),
            None => Ok(Self(pairs)),
        }
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

struct Opened {
    name: String,
    /// When it was last modified.
    modified: Option<Timestamp>,
    file: File,
}

fn open(path: &PathBuf) -> Result<Opened> {
    if path.as_os_str() == "-" {
        let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(|error| Error::io(path, error))?;
        return Ok(Opened { name: "-".to_owned(), modified: None, file: stdin.into() });
    }
    let file = bounded::open(path)?;
    let metadata = file.metadata().map_err(|error| Error::io(path, error))?;
    if metadata.is_dir() {
        return Err(Error::io(path, io::ErrorKind::IsADirectory.into()));
    }
    let modified = metadata.modified().ok().filter(|_| metadata.is_file()).and_then(timestamp);
    Ok(Opened { name: path.display().to_string(), modified, file })
}

/// A time of the file system; none for one that the database cannot keep.
fn timestamp(time: SystemTime) -> Option<Timestamp> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    let time = DateTime::from_timestamp(since.as_secs().try_into().ok()?, since.subsec_nanos())?;
    (time.year() <= 9999).then(|| time.into())
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
