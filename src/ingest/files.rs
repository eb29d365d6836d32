//! Finds the files to ingest: named files, files in folders, and files that match a pattern.

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
    /// Path of the file. `-` is standard input.
    pub path: PathBuf,
    /// Size on disk in bytes. `None` for standard input, pipes and devices.
    pub size: Option<u64>,
    /// Modification time. `None` for standard input, pipes and devices.
    pub modified: Option<SystemTime>,
    /// True if the file was named explicitly, false if it was found through a folder or a pattern.
    pub is_named: bool,
}

/// The files that [`files`] found.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Files {
    /// The files without duplicates, in the order of the given names. Files of a folder are sorted by name.
    pub files: Vec<InputFile>,
    /// Number of files in folders that were skipped because viraldb does not read files with such names. Hidden files are
    /// not counted.
    pub left_out: u64,
    /// Errors for folders that could not be listed and for broken links in them.
    pub failures: Vec<Error>,
    /// The folders that were searched.
    folders: Vec<PathBuf>,
}

/// Finds the files for a list of names. No file is opened.
///
/// - The name of a file selects that file, and `-` selects standard input.
/// - A folder selects the files in it and in its subfolders that have one of these extensions: `.csv`, `.tsv`, `.txt`,
///   `.json`, `.jsonl` or `.ndjson`, optionally followed by `.gz` or `.zst`, and `.zip`.
/// - A name that does not exist is treated as a pattern. `*` and `?` match within a file name, `**` matches folders of any
///   depth, `[a-z]` matches one character, and `{a,b}` matches either text. A pattern selects every file that it matches.
///   Unless it contains `**`, it also selects the files of each folder that it matches.
///
/// Folders and patterns skip hidden files (`.name`, `~name`) and files that another program is still writing (`.part`,
/// `.tmp`, `.crdownload`). A file that is found through several names or links is listed once. Links to folders are
/// followed, except in a pattern with `**`.
///
/// # Errors
/// [`Io`](crate::Error::Io) if a named file does not exist or cannot be read.
/// [`Invalid`](crate::Error::Invalid) if a folder contains no files to read, or if a pattern is invalid or
/// matches no files.
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

/// Finds the files of a folder, except the given files and folders. An empty result is not an error.
pub(super) fn in_folder(folder: &Path, except: impl Iterator<Item = Identity>) -> Files {
    let mut search = Search { left_out: except.collect(), ..Search::default() };
    search.folder(folder);
    search.found
}

impl InputFile {
    /// Opens the file and lists its inputs.
    ///
    /// Channel totals from YouTube Studio cannot be ingested. A file with totals is skipped unless it was named explicitly,
    /// because every unpacked export contains one.
    ///
    /// # Errors
    /// The errors of [`inputs`], and [`Invalid`](crate::Error::Invalid) for a SQLite database.
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
    /// Removes the database's own files that folders and patterns found, and checks that the named files can be opened.
    ///
    /// Call it before you ingest the first file, so that a wrong name is reported before anything changes. No file stays
    /// open.
    ///
    /// # Errors
    /// [`Invalid`](crate::Error::Invalid) if a named file belongs to the database or is a SQLite database.
    /// [`Io`](crate::Error::Io) if a named file cannot be opened.
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
            // A pipe can be opened only once, so wait until it is read.
            if file.size.is_some() {
                drop::<File>(bounded::open(&file.path)?);
            }
        }
        self.files.retain(|file| file.is_named || !is_own(file));
        Ok(())
    }

    /// Returns true if a path refers to one of the files, directly or through a link, or to the file that is standard input.
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

    /// Returns true if a new file at this path would be found by another search, because its folder was searched.
    pub fn would_have(&self, path: &Path) -> bool {
        self.folders.iter().any(|folder| is_read_within(folder, path))
    }
}

fn is_missing(error: &walkdir::Error) -> bool {
    error.io_error().is_some_and(|error| error.kind() == io::ErrorKind::NotFound)
}

/// Returns true if a search of `folder` would find a file at this path.
pub(super) fn is_read_within(folder: &Path, path: &Path) -> bool {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let has_name = path.file_name().is_some_and(|name| names::is_read(name) && !names::is_hidden(name));
    let (Ok(parent), Ok(folder)) = (parent.canonicalize(), folder.canonicalize()) else { return false };
    let is_reached = |within: &Path| !within.iter().any(names::is_hidden);
    has_name && parent.strip_prefix(folder).is_ok_and(is_reached)
}

/// Collects files without duplicates.
#[derive(Default)]
struct Search {
    found: Files,
    /// The index in `found` of each file.
    places: HashMap<Identity, usize>,
    has_stdin: bool,
    /// Files and folders to skip, and the folders that were entered already. Each folder is entered once, even if several
    /// links point to it, so that loops of links end.
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
                // Check access without opening: closing a file of an open SQLite database would drop its locks.
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
            "contains no files to ingest; viraldb searches folders for {}; name a file explicitly to read it anyway",
            names::endings()
        );
        Err(Error::invalid(folder.display().to_string(), reason))
    }

    /// Adds the files of a folder and returns their number, including files that were found before.
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
                // Do not count hidden files as skipped, because users do not expect them to be read.
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
                // The first folder of the pattern does not exist, so nothing matches.
                Err(error) if error.depth() == 0 && is_missing(&error) => continue,
                Err(error) => {
                    self.failed(error);
                    continue;
                }
            };
            // With `**` the walk follows no links. Links to files are resolved below.
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
        let reason =
            "is not a file, and as a pattern it matches no files; check the folder and the file extension";
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

    /// Adds a file unless it was added before. A file that is both named and found in a folder counts as named.
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

    /// Records an entry that could not be listed. Loops of links are ignored, because every file in them is found anyway.
    /// Broken links are ignored if their name would be skipped.
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
