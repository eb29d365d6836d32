//! `viraldb prune`

use std::cell::RefCell;
use std::fs::File;
use std::io::{self, BufRead, BufReader, IsTerminal, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use indicatif::{HumanCount, ProgressBar};
use serde::{Serialize, Serializer};

use super::output::visible;
use super::{Context, Format};
use crate::db::files::private;
use crate::maintenance::{self, Part, Prune, Pruned, Pruning};
use crate::{Database, Error, Result};

/// How long rows are kept is said by the settings error_retention_days and archive_retention_days.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Only count what would go, and list its files
    #[arg(long)]
    dry_run: bool,
    /// Most rows deleted in one transaction, where a run counts as one
    #[arg(long, value_name = "N", default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    batch: u32,
    /// Only these, separated by commas: errors, analytics, jobs, runs, generation
    #[arg(long, value_name = "PARTS", value_delimiter = ',')]
    only: Vec<Part>,
    /// Add the paths that deleted rows named to this file, one a line, instead of printing them; the files
    /// themselves are left to you
    #[arg(long, value_name = "FILE")]
    files: Option<PathBuf>,
}

impl Args {
    pub(super) fn run(self, context: &mut Context) -> Result<ExitCode> {
        let db = context.database()?;
        let mut prune = Prune::new(&context.config(&db)?)?;
        (prune.dry_run, prune.batch) = (self.dry_run, self.batch);
        if !self.only.is_empty() {
            prune.parts = self.only;
        }
        let mut listed = Listed::new(self.files.as_deref(), &db)?;
        let bar = progress(context);
        let pruned = maintenance::prune(&db, &prune, &mut |at| match at {
            Pruning::Files(paths) => listed.add(paths),
            Pruning::Rows(rows) => {
                bar.set_message(format!("{} rows", HumanCount(rows)));
                Ok(())
            }
        });
        bar.finish_and_clear();
        // Also when it failed: what went before is gone.
        print(context, pruned.as_ref().ok(), listed)?;
        pruned.map(|_| ExitCode::SUCCESS)
    }
}

/// The paths that rows named: in a file that was asked for, or kept for later where memory does not fill.
struct Listed<'a> {
    /// The file's name, if it was asked for.
    path: Option<&'a Path>,
    out: File,
}

impl<'a> Listed<'a> {
    fn new(path: Option<&'a Path>, db: &Database) -> Result<Self> {
        let out = match path {
            Some(path) if db.is_own_file(path) => {
                let what = format!("--files {}", path.display());
                return Err(Error::invalid(what, "is a file of the database itself"));
            }
            // Added to: the list of a prune that was stopped is not lost to the next one.
            Some(path) => private().append(true).create(true).open(path),
            None => tempfile::tempfile(),
        };
        let mut listed = Self { path, out: out.map_err(|error| Error::io(named(path), error))? };
        if path.is_some_and(|path| !ends_with_a_line(path)) {
            listed.write(b"\n")?;
        }
        Ok(listed)
    }

    /// A path ends with a newline in the file, and with NUL, which no path has, in ours.
    fn add(&mut self, paths: &[String]) -> Result<()> {
        let end = if self.path.is_some() { b'\n' } else { 0 };
        let lines: Vec<u8> = paths.iter().flat_map(|path| path.bytes().chain([end])).collect();
        self.write(&lines)
    }

    /// Writes all of it, or nothing: half a path would be the path of something else.
    fn write(&mut self, lines: &[u8]) -> Result<()> {
        let failed = |error| Error::io(named(self.path), error);
        let before = self.out.metadata().map_err(failed)?.len();
        self.out.write_all(lines).map_err(|error| {
            let _ = self.out.set_len(before); // the first error is the one to tell
            failed(error)
        })
    }

    /// The paths that are to be printed.
    fn read(mut self) -> Result<impl Iterator<Item = io::Result<String>>> {
        self.out.rewind().map_err(|error| Error::io(named(self.path), error))?;
        let text = |path: Vec<u8>| String::from_utf8(path).map_err(io::Error::other);
        Ok(BufReader::new(self.out).split(0).map(move |path| path.and_then(text)))
    }
}

/// The name of a list, for errors.
fn named(path: Option<&Path>) -> PathBuf {
    path.map_or_else(|| std::env::temp_dir().join("a temporary file"), Path::to_owned)
}

/// Whether what is added to a file begins a line of its own.
fn ends_with_a_line(path: &Path) -> bool {
    let mut last = [b'\n'];
    let is_file = path.metadata().is_ok_and(|file| file.is_file() && file.len() > 0);
    // Who may add to a file and not read it has to see to it.
    let read = is_file.then(|| {
        File::open(path).and_then(|mut file| {
            file.seek(io::SeekFrom::End(-1))?;
            file.read_exact(&mut last)
        })
    });
    read.is_none_or(|read| read.is_err() || last == [b'\n'])
}

/// Serializes what an iterator gives, one by one.
struct Each<I>(RefCell<I>);

impl<I: Iterator<Item = io::Result<String>>> Serialize for Each<I> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::{Error, SerializeSeq};
        let mut list = serializer.serialize_seq(None)?;
        for path in &mut *self.0.borrow_mut() {
            list.serialize_element(&path.map_err(S::Error::custom)?)?;
        }
        list.end()
    }
}

/// What JSON says.
#[derive(Serialize)]
struct Document<'a, F> {
    #[serde(flatten)]
    pruned: Option<&'a Pruned>,
    #[serde(skip_serializing_if = "Option::is_none")]
    files: Option<F>,
}

fn print(context: &mut Context, pruned: Option<&Pruned>, listed: Listed<'_>) -> Result<()> {
    let paths = if listed.path.is_none() { Some(listed.read()?) } else { None };
    match context.output.format {
        Format::Json => {
            let files = paths.map(|paths| Each(RefCell::new(paths)));
            return context.output.object(&Document { pruned, files });
        }
        Format::Jsonl | Format::Csv => {
            return pruned.map_or(Ok(()), |pruned| context.output.rows(&pruned.tables, &[]));
        }
        Format::Table => {}
    }
    for path in paths.into_iter().flatten() {
        let path = path.map_err(|error| Error::io(named(None), error))?;
        context.output.text(&format!("{}\n", visible(&path)))?;
    }
    pruned.map_or(Ok(()), |pruned| context.say(&for_people(pruned)))
}

fn for_people(pruned: &Pruned) -> String {
    let verb = if pruned.dry_run { "would delete" } else { "deleted" };
    let counts: Vec<String> = pruned
        .tables
        .iter()
        .filter(|table| table.rows > 0)
        .map(|table| format!("{} of {}", table.rows, table.table))
        .collect();
    let mut text = match &*counts {
        [] => format!("{verb} nothing\n"),
        counts => format!("{verb} {}\n", counts.join(", ")),
    };
    match pruned.file_count {
        0 => {}
        1 => text += "1 file belonged to them; viraldb deletes none\n",
        count => text += &format!("{count} files belonged to them; viraldb deletes none\n"),
    }
    text
}

/// Progress by rows, on a terminal only.
fn progress(context: &Context) -> ProgressBar {
    if context.quiet || !io::stderr().is_terminal() {
        ProgressBar::hidden()
    } else {
        ProgressBar::new_spinner()
    }
}
