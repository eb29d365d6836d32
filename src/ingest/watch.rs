//! Watches a folder and returns each file once it is no longer being written.

use std::collections::{HashMap, HashSet, VecDeque};
use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime};

use super::files::{Files, InputFile, in_folder, is_read_within};
use super::moving::move_file;
use crate::db::files::identity;
use crate::queue::Stop;
use crate::{Database, Error, Result};

/// How often the watch checks whether it should stop.
const BEAT: Duration = Duration::from_millis(100);

/// How often the folder is listed. The watch polls, because a network file system does not report changes that another
/// machine makes. Polling also finds files that existed before, and files that changed while another one was read.
const POLL: Duration = Duration::from_secs(1);

/// The pause after a listing is at least this many times as long as the listing, so that listing takes at most about a tenth
/// of the time.
const SHARE: u32 = 10;

/// Maximum delay until a file is retried after the database was unavailable.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// Maximum number of attempts for a file if the database reports an error that viraldb does not know. The file may be the
/// cause.
const MOST_TRIES: u32 = 5;

/// Watches a folder for files to ingest: an iterator over the files that are no longer being written.
///
/// The iterator starts with the existing files of the folder and its subfolders, in the order of their names. It continues
/// with new files until it is stopped. It selects the same files as [`files`](super::files) does for a folder.
///
/// A file is returned when it is not empty and its size and modification time have not changed for two seconds. A file that
/// changes later is returned again. The watch remembers the returned files only in memory. Set [`done`](Self::done) to move
/// files away, so that they are not read again after a restart. Reading a file again changes nothing.
///
/// An item is an error if a folder cannot be listed. The error is returned once, until the folder can be listed again. After
/// each `Ok` item, call [`finished`](Self::finished) or [`failed`](Self::failed).
///
/// ```no_run
/// use viraldb::{Database, ingest};
///
/// # fn main() -> viraldb::Result<()> {
/// let db = Database::open("sqlite://viral.db")?;
/// let mut watch = ingest::Watch::new(&db, "incoming")?.done("done")?;
/// watch.stop().on_signals()?; // SIGTERM and Ctrl-C
/// while let Some(found) = watch.next() {
///     let file = match found {
///         Ok(file) => file,
///         Err(error) => {
///             eprintln!("{error}");
///             continue;
///         }
///     };
///     let read = file.open().and_then(|opened| {
///         opened.inputs.into_iter().try_for_each(|input| {
///             let read = watch.reader(input.read);
///             ingest::ingest(&db, &input.name, read, &ingest::Options::default(), &mut |_| Ok(())).map(drop)
///         })
///     });
///     match read {
///         Ok(()) => drop(watch.finished(&file)?),
///         Err(error) => match watch.failed(file, &error) {
///             Some(delay) => eprintln!("trying again in {} s: {error}", delay.as_secs()),
///             None => eprintln!("{error}"),
///         },
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Watch {
    db: Database,
    folder: PathBuf,
    done: Option<PathBuf>,
    settle: Duration,
    stop: Stop,
    was_cut_short: Arc<AtomicBool>,
    known: HashMap<PathBuf, Known>,
    /// The next files to return.
    settled: VecDeque<InputFile>,
    /// When to list the folder again.
    look_at: Instant,
    /// When the next file may be returned. This is in the future while the database is unavailable.
    open_at: Instant,
    /// Number of failed attempts for the first file in `settled`.
    tries: u32,
    /// The failures of the last listing.
    failures: HashSet<String>,
    /// The failures that were not returned yet.
    unreported: Vec<Error>,
}

/// A file that was listed.
#[derive(Debug)]
struct Known {
    stamp: Stamp,
    /// When this stamp was first seen.
    since: Instant,
    is_handed_out: bool,
}

/// The size and modification time of a file, which show whether it has changed.
type Stamp = (Option<u64>, Option<SystemTime>);

impl Watch {
    /// Starts to watch a folder. The files of the database are skipped.
    ///
    /// # Errors
    /// [`Io`](crate::Error::Io) if the folder cannot be listed.
    pub fn new(db: &Database, folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        drop::<fs::ReadDir>(fs::read_dir(&folder).map_err(|error| Error::io(&folder, error))?);
        Ok(Self {
            db: db.clone(),
            folder,
            done: None,
            settle: Duration::from_secs(2),
            stop: Stop::default(),
            was_cut_short: Arc::default(),
            known: HashMap::new(),
            settled: VecDeque::new(),
            look_at: Instant::now(),
            open_at: Instant::now(),
            tries: 0,
            failures: HashSet::new(),
            unreported: Vec::new(),
        })
    }

    /// Sets the folder to which each file is moved after its rows are stored. The file keeps its relative path. The folder is
    /// created if it does not exist. It may be inside the watched folder.
    ///
    /// # Errors
    /// [`Io`](crate::Error::Io) if the folder cannot be created; [`Invalid`](crate::Error::Invalid) if it is
    /// the watched folder.
    pub fn done(mut self, folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(|error| Error::io(&folder, error))?;
        if identity(&folder) == identity(&self.folder) {
            let reason = "is the watched folder, so its files would be read again; choose another folder";
            return Err(Error::invalid(folder.display().to_string(), reason));
        }
        self.done = Some(folder);
        Ok(self)
    }

    /// Sets how long a file must be unchanged before it is returned. The default is 2 seconds.
    #[must_use]
    pub const fn settle(mut self, time: Duration) -> Self {
        self.settle = time;
        self
    }

    /// Returns a handle that stops the watch from another thread. Use `watch.stop().on_signals()?` for SIGTERM and SIGINT.
    #[must_use = "this only returns a handle; call `.stop()` on the handle to stop the watch"]
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Returns a reader that fails once the watch is stopped, so that a long file does not delay the stop. Rows that were read
    /// before are kept. The next watch reads the file again.
    pub fn reader<R: Read>(&self, read: R) -> impl Read + use<R> {
        Stoppable { read, stop: self.stop.clone(), was_cut_short: Arc::clone(&self.was_cut_short) }
    }

    /// Returns true if a [`reader`](Self::reader) failed because the watch was stopped.
    pub fn was_cut_short(&self) -> bool {
        self.was_cut_short.load(Ordering::Relaxed)
    }

    /// Returns true if the watch would read a file at this path.
    pub fn reads(&self, path: &Path) -> bool {
        let is_done = self.done.as_ref().is_some_and(|done| is_read_within(done, path));
        is_read_within(&self.folder, path) && !is_done
    }

    /// Records that the rows of a file are stored, and moves the file if a folder is set with [`done`](Self::done). Returns
    /// the new path, or `None` if the file was not moved. A file that changed while it was read is not moved, and is returned
    /// again.
    ///
    /// # Errors
    /// [`Io`](crate::Error::Io) if the file cannot be moved. This watch does not read it again.
    pub fn finished(&mut self, file: &InputFile) -> Result<Option<PathBuf>> {
        self.tries = 0;
        let Some(done) = &self.done else { return Ok(None) };
        if !is_unchanged(file) {
            return Ok(None);
        }
        let within = file.path.strip_prefix(&self.folder).unwrap_or(&file.path);
        let moved = move_file(&file.path, &done.join(within)).map_err(|error| {
            error.with("the rows are stored, but the file could not be moved; move it yourself")
        })?;
        self.known.remove(&file.path);
        Ok(Some(moved))
    }

    /// Records that a file could not be read or stored. While the database is unavailable or locked, the watch returns the
    /// file again after the returned delay. Otherwise this returns `None`, and the file is returned again only after it
    /// changes.
    pub fn failed(&mut self, file: InputFile, error: &Error) -> Option<Duration> {
        let is_tried_again = match error {
            Error::Unusable { .. } => true,
            error if error.is_retryable() => true,
            Error::Database { .. } => self.tries + 1 < MOST_TRIES,
            _ => false,
        };
        if !is_tried_again {
            self.tries = 0;
            return None;
        }
        let delay = (Duration::from_secs(1) * 2_u32.saturating_pow(self.tries)).min(LONGEST_DELAY);
        self.tries = (self.tries + 1).min(MOST_TRIES);
        self.open_at = Instant::now() + delay;
        self.settled.push_front(file);
        Some(delay)
    }

    /// Lists the folder, and queues the files that have not changed for long enough.
    fn look(&mut self) {
        let began = Instant::now();
        let done = self.done.as_deref().and_then(identity);
        let found = in_folder(&self.folder, self.db.own_files().into_iter().chain(done));
        let now = Instant::now();
        self.look_at = now + POLL.max(now.duration_since(began) * SHARE);
        self.forget_missing(&found);
        for file in found.files {
            let stamp = stamp(&file);
            let known = self.known.entry(file.path.clone()).or_insert(Known {
                stamp,
                since: now,
                is_handed_out: false,
            });
            if known.stamp != stamp {
                *known = Known { stamp, since: now, is_handed_out: false };
            }
            // Skip empty files: the program that created one is about to write to it.
            let is_empty = file.size == Some(0);
            if !known.is_handed_out && !is_empty && now.duration_since(known.since) >= self.settle {
                known.is_handed_out = true;
                self.settled.push_back(file);
            }
        }
        let failures: HashMap<String, Error> =
            found.failures.into_iter().map(|error| (error.to_string(), error)).collect();
        let known = std::mem::replace(&mut self.failures, failures.keys().cloned().collect());
        self.unreported
            .extend(failures.into_iter().filter(|(text, _)| !known.contains(text)).map(|(_, error)| error));
    }

    /// Forgets the files that no longer exist, except those in a folder that currently cannot be listed.
    fn forget_missing(&mut self, found: &Files) {
        let seen: HashSet<&Path> = found.files.iter().map(|file| &*file.path).collect();
        let is_hidden = |path: &Path| {
            found
                .failures
                .iter()
                .any(|error| matches!(error, Error::Io { path: folder, .. } if path.starts_with(folder)))
        };
        self.known.retain(|path, _| seen.contains(&**path) || is_hidden(path));
    }

    /// Returns the next file that has not changed since the folder was listed.
    fn next_settled(&mut self) -> Option<InputFile> {
        while let Some(file) = self.settled.pop_front() {
            if is_unchanged(&file) {
                return Some(file);
            }
            self.tries = 0;
        }
        None
    }
}

impl Iterator for Watch {
    type Item = Result<InputFile>;

    /// Waits for the next file. Returns `None` when the watch is stopped.
    fn next(&mut self) -> Option<Self::Item> {
        while !self.stop.is_stopped() {
            let now = Instant::now();
            if now >= self.open_at
                && let Some(file) = self.next_settled()
            {
                return Some(Ok(file));
            }
            if let Some(error) = self.unreported.pop() {
                return Some(Err(error));
            }
            if self.settled.is_empty() && now >= self.look_at {
                self.look();
            } else {
                std::thread::sleep(BEAT);
            }
        }
        None
    }
}

fn stamp(file: &InputFile) -> Stamp {
    (file.size, file.modified)
}

/// Returns true if a file has not changed since the folder was listed.
fn is_unchanged(file: &InputFile) -> bool {
    let found = fs::metadata(&file.path);
    found.is_ok_and(|found| stamp(file) == (Some(found.len()), found.modified().ok()))
}

/// A reader that fails once the watch is stopped.
struct Stoppable<R> {
    read: R,
    stop: Stop,
    was_cut_short: Arc<AtomicBool>,
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_stopped() {
            self.was_cut_short.store(true, Ordering::Relaxed);
            return Err(io::Error::other("stopped before the end of the input; ingest it again"));
        }
        self.read.read(out)
    }
}
