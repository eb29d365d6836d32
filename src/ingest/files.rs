//! The files to ingest: those that are named, those in a folder, and those that match a pattern.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File, Metadata};
use std::io::{self, Read, Seek};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use rustix::fs::{Access, AtFlags, CWD, accessat};
use walkdir::{DirEntry, WalkDir};

use super::archive::{Inputs, Skipped, inputs};
use super::pattern::{Pattern, has_wildcard};
use super::{names, studio};
use crate::db::files::{Identity, identity, identity_of};
use crate::quote::quoted;
use crate::{Database, Error, Result, bounded};

/// A file to ingest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputFile {
    /// Where it is; `-` is standard input.
    pub path: PathBuf,
    /// Its size on the disk in bytes. Standard input, pipes and devices have none.
    pub size: Option<u64>,
    /// When it was last modified.
    pub modified: Option<SystemTime>,
    /// True if it was named itself, false if a folder or a pattern led to it.
    pub is_named: bool,
}

/// The files that [`files`] found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Files {
    /// The files, each once, in the order of the names; those of a folder are sorted by name.
    pub files: Vec<InputFile>,
    /// How many files of folders were left out because viraldb does not read files with such names. Hidden files do not
    /// count.
    pub left_out: u64,
    /// Folders that could not be listed, and links in them that lead nowhere.
    pub failures: Vec<Error>,
    /// The folders whose files are read.
    folders: Vec<PathBuf>,
}

/// Finds the files that names lead to. No file is opened.
///
/// - The name of a file leads to that file, and `-` to standard input.
/// - A folder leads to the files in it and in its folders that ingest reads by their names: `.csv`, `.tsv`, `.txt`,
///   `.json`, `.jsonl`, `.ndjson`, also with `.gz` or `.zst`, and `.zip`.
/// - Where no file has the name, it is a pattern: `*` and `?` match within a name, `**` matches folders of any depth,
///   `[a-z]` one character and `{a,b}` either text. A pattern takes whatever file it matches and, unless it has `**`, the
///   files of a folder that it matches.
///
/// Folders and patterns leave out hidden files (`.name`, `~name`) and files that another program is still writing
/// (`.part`, `.tmp`, `.crdownload`). A file that several names or links lead to is listed once. Links to folders are
/// followed, except in a pattern with `**`.
///
/// # Errors
/// `Io` if a file that is named does not exist or may not be read; `Invalid` for a folder without files to read, and for a pattern that
/// matches none.
///
/// ```no_run
/// use viraldb::{Database, ingest};
///
/// # fn main() -> viraldb::Result<()> {
/// let db = Database::open("sqlite://viral.db")?;
/// let mut found = ingest::files(&["exports", "more/*.json"])?;
/// found.leave_out_own(&db)?;
/// for file in &found.files {
///     for input in file.open()?.inputs {
///         ingest::ingest(&db, &input.name, input.read, &ingest::Options::default(), &mut |_| Ok(()))?;
///     }
/// }
/// # Ok(())
/// # }
/// ```
pub fn files(paths: &[impl AsRef<Path>]) -> Result<Files> {
    let mut search = Search::default();
    paths.iter().try_for_each(|path| search.add(path.as_ref()))?;
    Ok(search.found)
}

/// Finds the files of a folder, which may be none, except some files and folders.
pub(super) fn in_folder(folder: &Path, except: impl Iterator<Item = Identity>) -> Files {
    let mut search = Search { left_out: except.collect(), ..Search::default() };
    search.folder(folder);
    search.found
}

impl InputFile {
    /// Opens the file and lists its inputs.
    ///
    /// The totals of YouTube Studio, which cannot be ingested, are skipped unless the file was named itself: they are part
    /// of every unpacked export.
    ///
    /// # Errors
    /// Those of [`inputs`]; `Invalid` for a SQLite database.
    pub fn open(&self) -> Result<Inputs> {
        let unreadable = |error| Error::io(&self.path, error);
        if self.is_stdin() {
            let stdin = io::stdin().as_fd().try_clone_to_owned().map_err(unreadable)?;
            return Ok(Inputs { modified: None, ..inputs("-", stdin.into())? });
        }
        let name = self.path.display().to_string();
        let mut file = bounded::open(&self.path)?;
        let metadata = file.metadata().map_err(unreadable)?;
        if metadata.is_dir() {
            return Err(unreadable(io::ErrorKind::IsADirectory.into()));
        }
        if !self.is_named && metadata.is_file() {
            let mut head = Vec::new();
            file.by_ref().take(names::HEAD).read_to_end(&mut head).map_err(unreadable)?;
            file.rewind().map_err(unreadable)?;
            if names::is_totals(&name, &head) {
                let skipped = vec![Skipped { name, reason: studio::TOTALS.to_owned() }];
                return Ok(Inputs { skipped, ..Inputs::default() });
            }
        }
        inputs(&name, file)
    }

    fn new(path: PathBuf, metadata: &Metadata, is_named: bool) -> Self {
        let is_file = metadata.is_file();
        let size = is_file.then_some(metadata.len());
        Self { path, size, modified: metadata.modified().ok().filter(|_| is_file), is_named }
    }

    fn is_stdin(&self) -> bool {
        self.path.as_os_str() == "-"
    }
}

impl Files {
    /// Leaves out the files of the database that folders and patterns led to, and checks that the named files can be
    /// opened, so that a wrong name changes nothing. No file stays open.
    ///
    /// # Errors
    /// `Invalid` if one of the named files belongs to the database, or is a SQLite database; `Io` if one cannot be opened.
    pub fn leave_out_own(&mut self, db: &Database) -> Result<()> {
        let own = db.own_files();
        let is_own = |file: &InputFile| identity(&file.path).is_some_and(|file| own.contains(&file));
        for file in self.files.iter().filter(|file| file.is_named && !file.is_stdin()) {
            if is_own(file) || db.is_own_file(&file.path) {
                return Err(Error::invalid(
                    file.path.display().to_string(),
                    "is a file of the database itself",
                ));
            }
            // A pipe is opened once only, when it is read.
            if file.size.is_some() {
                drop::<File>(bounded::open(&file.path)?);
            }
        }
        self.files.retain(|file| file.is_named || !is_own(file));
        Ok(())
    }

    /// Returns true if a path leads to one of the files, also through a link, or to where standard input comes from.
    pub fn has(&self, path: &Path) -> bool {
        let Some(given) = identity(path) else { return false };
        self.files.iter().any(|file| {
            if file.is_stdin() {
                path.is_file() && identity(Path::new("/dev/stdin")) == Some(given)
            } else {
                identity(&file.path) == Some(given)
            }
        })
    }

    /// Returns true if a file at this path would be read when the same names are read again, because of its folder.
    pub fn would_have(&self, path: &Path) -> bool {
        self.folders.iter().any(|folder| is_read_within(folder, path))
    }
}

fn is_missing(error: &walkdir::Error) -> bool {
    error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Returns true if a file of this path would be read when its folder is.
pub(super) fn is_read_within(folder: &Path, path: &Path) -> bool {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let has_name = path.file_name().is_some_and(|name| names::is_read(name) && !names::is_hidden(name));
    let (Ok(parent), Ok(folder)) = (parent.canonicalize(), folder.canonicalize()) else { return false };
    let is_reached = |within: &Path| !within.iter().any(names::is_hidden);
    has_name && parent.strip_prefix(folder).is_ok_and(is_reached)
}

/// Collects files, each once.
#[derive(Default)]
struct Search {
    found: Files,
    /// Where in `found` a file is.
    places: HashMap<Identity, usize>,
    has_stdin: bool,
    /// Files and folders that are not to be found, and the folders that were entered: one that several links lead to is read
    /// once, so that loops end.
    left_out: HashSet<Identity>,
}

impl Search {
    fn add(&mut self, path: &Path) -> Result<()> {
        if path.as_os_str() == "-" {
            if !std::mem::replace(&mut self.has_stdin, true) {
                let path = path.to_owned();
                self.found.files.push(InputFile { path, size: None, modified: None, is_named: true });
            }
            return Ok(());
        }
        match (fs::metadata(path), path.to_str()) {
            (Ok(metadata), _) if metadata.is_dir() => self.named_folder(path),
            (Ok(metadata), _) => {
                // Opening the file would do as well, but closing one of an open SQLite database drops its locks.
                accessat(CWD, path, Access::READ_OK, AtFlags::EACCESS)
                    .map_err(|error| Error::io(path, error.into()))?;
                self.take(path.to_owned(), &metadata, true);
                Ok(())
            }
            (Err(error), Some(pattern))
                if error.kind() == io::ErrorKind::NotFound && has_wildcard(pattern) =>
            {
                self.pattern(pattern)
            }
            (Err(error), _) => Err(Error::io(path, error)),
        }
    }

    fn named_folder(&mut self, folder: &Path) -> Result<()> {
        let failures = self.found.failures.len();
        if self.folder(folder) > 0 || self.found.failures.len() > failures {
            return Ok(());
        }
        let reason = format!(
            "holds no file to read; a folder is searched for {}. Name a file to read it anyway",
            names::endings()
        );
        Err(Error::invalid(folder.display().to_string(), reason))
    }

    /// Adds the files of a folder, and returns how many there are, also if they were found before.
    fn folder(&mut self, folder: &Path) -> usize {
        self.found.folders.push(folder.to_owned());
        let mut count = 0;
        let mut walk = WalkDir::new(folder).follow_links(true).sort_by_file_name().into_iter();
        while let Some(entry) = walk.next() {
            let entry = match entry {
                Ok(entry) => entry,
                Err(error) => {
                    self.failed(error);
                    continue;
                }
            };
            let is_left_out = entry.depth() > 0 && names::is_hidden(entry.file_name());
            if entry.file_type().is_dir() {
                if is_left_out || !identity(entry.path()).is_some_and(|folder| self.left_out.insert(folder)) {
                    count += usize::from(!is_left_out);
                    walk.skip_current_dir();
                }
            } else if is_left_out {
                // Nobody expects a hidden file to be read.
            } else if entry.file_type().is_file() && names::is_read(entry.file_name()) {
                count += self.found_file(entry);
            } else {
                self.found.left_out += 1;
            }
        }
        count
    }

    /// Adds the files that match a pattern.
    fn pattern(&mut self, pattern: &str) -> Result<()> {
        let failures = self.found.failures.len();
        let pattern = Pattern::new(pattern)?;
        let mut count = 0;
        let mut walk = pattern.walk().into_iter();
        while let Some(entry) = walk.next() {
            let entry = match entry {
                Ok(entry) => entry,
                // The folder that the pattern begins with does not exist, so that nothing matches.
                Err(error) if error.depth() == 0 && is_missing(&error) => continue,
                Err(error) => {
                    self.failed(error);
                    continue;
                }
            };
            // `**` follows no links to folders, and links to files only here.
            let is_dir = entry.file_type().is_dir();
            let is_match = pattern.matches(&entry);
            if is_dir && (pattern.leaves_out(&entry) || (is_match && !pattern.is_recursive)) {
                walk.skip_current_dir();
            }
            if pattern.is_hidden(&entry) || !is_match {
                continue;
            }
            if is_dir && !pattern.is_recursive {
                count += self.folder(&pattern.shown(entry.path()));
            } else if !is_dir && names::is_unfinished(entry.file_name()) {
                self.found.left_out += 1;
            } else if !is_dir {
                match fs::metadata(entry.path()) {
                    Ok(metadata) if metadata.is_file() => {
                        self.take(pattern.shown(entry.path()), &metadata, false);
                        count += 1;
                    }
                    Ok(_) => self.found.left_out += 1,
                    Err(error) => self.found.failures.push(Error::io(entry.path(), error)),
                }
            }
        }
        if count > 0 || self.found.failures.len() > failures {
            return Ok(());
        }
        let reason = "is not a file, and no file matches it as a pattern; check the folder and the ending";
        Err(Error::invalid(quoted(&pattern.text), reason))
    }

    fn found_file(&mut self, entry: DirEntry) -> usize {
        match entry.metadata() {
            Ok(metadata) => {
                self.take(entry.into_path(), &metadata, false);
                1
            }
            Err(error) => {
                self.failed(error);
                0
            }
        }
    }

    /// Adds a file, unless it is there already. A file that is named as well counts as named.
    fn take(&mut self, path: PathBuf, metadata: &Metadata, is_named: bool) {
        let file = InputFile::new(path, metadata, is_named);
        let known = identity_of(metadata, &file.path).filter(|_| metadata.is_file());
        let Some(known) = known else {
            return self.found.files.push(file);
        };
        if self.left_out.contains(&known) {
            return;
        }
        let place = *self.places.entry(known).or_insert(self.found.files.len());
        match self.found.files.get_mut(place) {
            Some(file) => file.is_named |= is_named,
            None => self.found.files.push(file),
        }
    }

    /// Keeps what could not be listed. A loop of links costs no file, and neither does a link that leads nowhere if its name
    /// is one that is left out.
    fn failed(&mut self, error: walkdir::Error) {
        if error.loop_ancestor().is_some() {
            return;
        }
        let path = error.path().unwrap_or(Path::new(".")).to_owned();
        let name = path.file_name().unwrap_or_default();
        if path.is_symlink() && (names::is_hidden(name) || !names::is_read(name)) {
            self.found.left_out += u64::from(!names::is_hidden(name));
            return;
        }
        let source = error.into_io_error().unwrap_or_else(|| io::ErrorKind::Other.into());
        self.found.failures.push(Error::io(path, source));
    }
}
