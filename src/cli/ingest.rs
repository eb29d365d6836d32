//! `viraldb ingest`

mod progress;
mod reading;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use super::output;
use super::rejects::Rejects;
use super::{Context, Format as OutputFormat, report};
use viraldb::ingest::{self, Files, Format, Options};
use viraldb::private::has_sealed_columns;
use viraldb::private::quote::quoted;
use viraldb::secrets::Keyring;
use viraldb::{Error, Result, Timestamp};

use progress::Progress;
pub(super) use reading::line;
use reading::{DryRun, Reading};

/// Rows that are bad are rejected, and the others are stored.
///
/// Files may be compressed with gzip or zstd, or be UTF-16 with a byte-order mark. Of a ZIP archive, each CSV and JSON
/// file is read. A CSV may be delimited by commas, semicolons, tabs or vertical bars.
///
/// Of a folder, viraldb reads the .csv, .tsv, .txt, .json, .jsonl, .ndjson and .zip files, also with .gz or .zst, and those
/// in its folders. It reads each file once and leaves out hidden files and unfinished downloads (.part, .tmp, .crdownload).
/// A file of a folder or pattern that cannot be read is reported, and the others are read. A file that is named itself ends
/// the command.
///
/// Exit 0 if all rows were stored, 3 if rows were rejected, 1 if a file could not be read or stored, or --strict stored
/// nothing of it. A watch exits 0 when it is stopped.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files, folders and quoted patterns such as 'exports/**/*.csv' to read; - is standard input
    #[arg(required_unless_present = "watch", conflicts_with = "watch", value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Read the files of a folder, then new and changed ones as they come, until SIGINT (Ctrl-C) or SIGTERM. A file is read
    /// when it has not changed for two seconds; rename finished files into the folder to be safe. Prints a row for each file,
    /// in JSON one a line
    #[arg(long, value_name = "DIR")]
    watch: Option<PathBuf>,
    /// Move each file of --watch here once its rows are stored, so that a restart does not read it again. A file of the same
    /// name is kept
    #[arg(long, requires = "watch", conflicts_with = "files", value_name = "DIR")]
    done: Option<PathBuf>,
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
    #[arg(long, conflicts_with_all = ["strict", "watch"])]
    dry_run: bool,
}

/// The exit code if rows were rejected.
const REJECTED: u8 = 3;

/// How many files that failed are named at the end.
const NAMED: usize = 20;

impl Args {
    pub(super) const fn is_watch(&self) -> bool {
        self.watch.is_some()
    }

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
        options.check()?;
        match &self.watch {
            Some(folder) => self.watch(context, folder, options),
            None => self.read_all(context, options),
        }
    }

    fn read_all(&self, context: &mut Context, options: Options<'_>) -> Result<ExitCode> {
        let mut found = ingest::files(&self.files)?;
        let db = context.database()?;
        found.leave_out_own(&db)?;
        let kept =
            self.rejects(|path| db.is_own_file(path) || found.has(path), |path| found.would_have(path))?;
        if found.left_out > 0 && !context.quiet {
            let files = if found.left_out == 1 {
                "file whose name does not end in a known format"
            } else {
                "files whose names do not end in a known format"
            };
            let said = format!("skipped {} {files}; name a file to read it anyway", found.left_out);
            output::message(&said);
        }
        let mut reading = Reading::new(&db, options, kept);
        let read = read_files(context, &mut reading, found);
        // Print the reports also after an error: the rows that were stored before it stay.
        if context.output.format != OutputFormat::Table && (read.is_ok() || !reading.reports.is_empty()) {
            if self.dry_run {
                let previews = std::mem::take(&mut reading.previews);
                let runs: Vec<DryRun> = reading.reports.iter().zip(previews).map(DryRun::of).collect();
                context.output.rows(&runs, &[])?;
            } else {
                context.output.rows(&reading.reports, &[])?;
            }
            context.output.flush();
        }
        // A timer that runs the command notices rejected rows by the exit code.
        let any_rejected = reading.reports.iter().any(|report| report.rejected > 0);
        read.map(|()| if any_rejected { ExitCode::from(REJECTED) } else { ExitCode::SUCCESS })
    }

    /// Opens the file of rejected rows, which must not be one that is read, now or later.
    fn rejects(
        &self,
        is_taken: impl Fn(&Path) -> bool,
        is_read_later: impl Fn(&Path) -> bool,
    ) -> Result<Option<Rejects<'_>>> {
        let Some(path) = &self.rejects else { return Ok(None) };
        let kept = Rejects::new(path, is_taken)?;
        if is_read_later(path) {
            let reason =
                "is in a folder that is read, so its rows would be read as well; name a file elsewhere";
            return Err(Error::invalid(format!("--rejects {}", path.display()), reason));
        }
        Ok(Some(kept))
    }
}

/// Reads files one after the other. One that is named ends it if it fails; those of folders and patterns are reported, and
/// the last error names them.
fn read_files(context: &mut Context, reading: &mut Reading<'_>, found: Files) -> Result<()> {
    let count = found.files.len() + found.failures.len();
    let mut failed: Vec<String> = Vec::new();
    for error in found.failures {
        report(&error);
        if let Error::Io { path, .. } = error {
            failed.push(path.display().to_string());
        }
    }
    let mut progress = Progress::new(context, &found.files);
    for file in found.files {
        match reading.file(context, &file, &mut progress, None) {
            Err(error) if !file.is_named && reading.may_go_on_after(&error) => {
                progress.hide(|| report(&error));
                failed.push(file.path.display().to_string());
            }
            read => read?,
        }
    }
    match failed.as_slice() {
        [] => Ok(()),
        names => {
            let mut list: Vec<&str> = names.iter().take(NAMED).map(String::as_str).collect();
            let more = format!("{} more", names.len().saturating_sub(NAMED));
            if names.len() > NAMED {
                list.push(&more);
            }
            let what = format!("{} of {count} files", names.len());
            Err(Error::invalid(what, format!("could not be read or stored: {}", list.join(", "))))
        }
    }
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
