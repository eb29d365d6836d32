//! `viraldb ingest`

mod progress;
mod reading;
mod watch;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;

use clap::ValueHint;

use super::complete::{niche, tables};
use super::output;
use super::rejects::Rejects;
use super::when::when;
use super::words::words;
use super::{Context, report};
use viraldb::ingest::{self, Files, Format, Options};
use viraldb::private::has_sealed_columns;
use viraldb::private::quote::quoted;
use viraldb::secrets::Keyring;
use viraldb::{Error, Result, Timestamp};

use progress::Progress;
pub(super) use reading::line;
use reading::{DryRun, Reading};

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Files, folders and quoted patterns such as 'exports/**/*.csv'; - reads standard input
    #[arg(required_unless_present = "watch", conflicts_with = "watch", value_name = "FILE", value_hint = ValueHint::AnyPath)]
    files: Vec<PathBuf>,
    /// Read the files of a folder, then new and changed files as they appear
    ///
    /// viraldb reads a file when it has not changed for two seconds. To be safe, rename finished files into the folder. It
    /// prints one row per file, in JSON one per line. SIGINT (Ctrl-C) or SIGTERM stops the watch.
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    watch: Option<PathBuf>,
    /// Move each file of --watch to this folder when its rows are stored
    ///
    /// A restart then does not read the file again. A file with the same name is kept.
    #[arg(long, value_hint = ValueHint::DirPath, requires = "watch", conflicts_with = "files", value_name = "DIR")]
    done: Option<PathBuf>,
    /// Format of the files, if viraldb does not recognize it
    #[arg(long = "as", id = "as", value_name = "FORMAT", value_parser = words(Format::ALL, Format::as_str))]
    format: Option<Format>,
    /// Niche of the videos, instead of the niche of their category
    #[arg(long, value_name = "NICHE", add = niche())]
    niche: Option<String>,
    /// Table of the rows of jsonl or csv [default: discovered_videos]
    #[arg(long, value_name = "TABLE", add = tables())]
    table: Option<String>,
    /// Columns of a CSV by their names in the file, such as title=Titel,view_count=Aufrufe
    ///
    /// These names take precedence over the names that viraldb knows.
    #[arg(long, value_name = "COLUMN=CSV_COLUMN,...")]
    map: Vec<ColumnMap>,
    /// Time of measurement, such as 2026-05-01T08:00:00Z, for rows without one
    ///
    /// The default is the time of the file's last modification; for standard input it is now.
    #[arg(long, value_name = "TIME", value_parser = when)]
    measured_at: Option<Timestamp>,
    /// Write rejected rows to this file, as JSON Lines
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    rejects: Option<PathBuf>,
    /// Store nothing of a file with an invalid row
    ///
    /// Each file is one transaction. On SQLite, other programs cannot write until the file has been read to its end.
    #[arg(long)]
    strict: bool,
    /// Show the format, the columns, the first rows and the counts, and store nothing
    ///
    /// viraldb stores each batch and rolls it back, so a video in several batches is counted in each.
    #[arg(short = 'n', long, conflicts_with_all = ["strict", "watch"])]
    dry_run: bool,
}

/// Exit code if rows were rejected.
const REJECTED: u8 = 3;

/// Maximum number of failed files that the last message names.
const NAMED: usize = 20;

impl Args {
    pub(super) const fn is_watch(&self) -> bool {
        self.watch.is_some()
    }

    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let keyring = match &self.table {
            Some(table) if has_sealed_columns(table) => Keyring::from_env()?,
            _ => Keyring::default(), // no key is needed, so an unreadable one does not matter
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
        // Print the reports even after an error, because the rows that were stored before the error stay.
        if !context.output.is_for_people() && (read.is_ok() || !reading.reports.is_empty()) {
            if self.dry_run {
                let previews = std::mem::take(&mut reading.previews);
                let runs: Vec<DryRun> = reading.reports.iter().zip(previews).map(DryRun::of).collect();
                context.output.rows(&runs, &[])?;
            } else {
                context.output.rows(&reading.reports, &[])?;
            }
            context.output.flush();
        }
        // The exit code tells a timer that runs the command about rejected rows.
        let any_rejected = reading.reports.iter().any(|report| report.rejected > 0);
        read.map(|()| if any_rejected { ExitCode::from(REJECTED) } else { ExitCode::SUCCESS })
    }

    /// Opens the file for rejected rows. It must not be a file that this command reads, now or later.
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

/// Reads files one after the other. If a named file fails, the command ends. If files of folders and patterns fail, viraldb
/// reports each of them and continues, and the last error names them.
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

/// Pairs of a viraldb column and the CSV column that fills it.
#[derive(Debug, Clone)]
struct ColumnMap(Vec<(String, String)>);

impl FromStr for ColumnMap {
    type Err = Error;

    /// Reads `title=Titel,view_count=Aufrufe`. A name in the CSV may contain commas: a comma that no `COLUMN=`
    /// follows is part of the name.
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
