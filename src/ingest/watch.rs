//! Watching a folder: files are handed out once nobody writes to them any more.

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

/// How often the watch looks whether it is to stop.
const BEAT: Duration = Duration::from_millis(100);

/// How often the folder is listed. A network file system tells nobody of changes that another machine makes, so the folder
/// is listed again and again; that also finds what was there before, and what changed while a file was read.
const POLL: Duration = Duration::from_secs(1);

/// A long list takes a tenth of the time at most.
const SHARE: u32 = 10;

/// The longest time until a file is tried again for which the database was away.
const LONGEST_DELAY: Duration = Duration::from_secs(30);

/// How often a file is tried for which the database reports an error that viraldb does not know. It may be the file's.
const MOST_TRIES: u32 = 5;

/// Watches a folder for files to ingest: an iterator over those that nobody writes to any more, each once.
///
/// It begins with the files that are in the folder and in its folders, in the order of their names, and goes on with new
/// ones until it is stopped. It takes the files that [`files`](super::files) takes from a folder. A file is handed out when
/// it is not empty and neither its size nor its modification time has changed for two seconds. One that changes later is
/// handed out again. The watch keeps what it has handed out in memory only; [`done`](Self::done) moves files away, so that
/// they are not read again after a restart. Reading a file again changes nothing.
///
/// An item is an error if a folder cannot be listed; it comes once until the folder can be listed again. After an `Ok` item, call
/// [`finished`](Self::finished) or [`failed`](Self::failed).
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
    /// Files to hand out.
    settled: VecDeque<InputFile>,
    look_at: Instant,
    /// When the next file may be handed out; later than now while the database is away.
    open_at: Instant,
    /// How often the file that is first in `settled` was tried.
    tries: u32,
    /// The failures of the last listing, and those that were not handed out yet.
    failures: HashSet<String>,
    unreported: Vec<Error>,
}

/// A file that was seen.
#[derive(Debug)]
struct Known {
    stamp: Stamp,
    /// Since when the stamp is this one.
    since: Instant,
    is_handed_out: bool,
}

/// The size and the modification time of a file, which tell whether it has changed.
type Stamp = (Option<u64>, Option<SystemTime>);

impl Watch {
    /// Watches a folder; the files of the database are left out.
    ///
    /// # Errors
    /// `Io` if the folder cannot be listed.
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

    /// Moves each file to this folder once its rows are stored, under the path that it has in the watched folder. It is
    /// created if it does not exist, and may be within the watched folder.
    ///
    /// # Errors
    /// `Io` if the folder cannot be created; `Invalid` if it is the watched folder.
    pub fn done(mut self, folder: impl Into<PathBuf>) -> Result<Self> {
        let folder = folder.into();
        fs::create_dir_all(&folder).map_err(|error| Error::io(&folder, error))?;
        if identity(&folder) == identity(&self.folder) {
            let reason = "is the folder that is watched, so its files would be read again; name another one";
            return Err(Error::invalid(folder.display().to_string(), reason));
        }
        self.done = Some(folder);
        Ok(self)
    }

    /// How long a file must not change before it is handed out. 2 seconds unless set.
    #[must_use]
    pub const fn settle(mut self, time: Duration) -> Self {
        self.settle = time;
        self
    }

    /// The handle that stops the watch, for another thread; `watch.stop().on_signals()?` for SIGTERM and SIGINT.
    #[must_use = "it is the handle; `.stop()` on it stops the watch"]
    pub fn stop(&self) -> Stop {
        self.stop.clone()
    }

    /// Returns a reader that fails once the watch is stopped, so that a long file does not keep it. The rows that were read
    /// before stay, and the file is read again by the next watch.
    pub fn reader<R: Read>(&self, read: R) -> impl Read + use<R> {
        Stoppable { read, stop: self.stop.clone(), was_cut_short: Arc::clone(&self.was_cut_short) }
    }

    /// Returns true if a [`reader`](Self::reader) failed because the watch was stopped.
    pub fn was_cut_short(&self) -> bool {
        self.was_cut_short.load(Ordering::Relaxed)
    }

    /// Returns true if a file at this path would be read.
    pub fn reads(&self, path: &Path) -> bool {
        let is_done = self.done.as_ref().is_some_and(|done| is_read_within(done, path));
        is_read_within(&self.folder, path) && !is_done
    }

    /// Takes note that the rows of a file are stored, and moves the file if there is a folder for it. Returns where it is
    /// then. A file that changed while it was read stays, and is handed out again.
    ///
    /// # Errors
    /// `Io` if the file cannot be moved. It stays where it is and is not read again by this watch.
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

    /// Takes note that a file could not be read or stored, and returns how long the watch waits until it hands the file out
    /// again. It does so while the database is away or locked. Otherwise the file is handed out again when it has changed.
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

    /// Lists the folder, and takes the files that have not changed for long enough.
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
            // A program that creates a file writes to it a moment later.
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

    /// Forgets the files that are gone, but not those of a folder that cannot be listed at the moment.
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

    /// The next file to hand out that is still as it was when the folder was listed.
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

    /// Waits for the next file. The end is that the watch was stopped.
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

/// Returns true if a file is as it was when the folder was listed.
fn is_unchanged(file: &InputFile) -> bool {
    let found = fs::metadata(&file.path);
    found.is_ok_and(|found| stamp(file) == (Some(found.len()), found.modified().ok()))
}

/// A reader that fails once it is to stop.
struct Stoppable<R> {
    read: R,
    stop: Stop,
    was_cut_short: Arc<AtomicBool>,
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_stopped() {
            self.was_cut_short.store(true, Ordering::Relaxed);
            return Err(io::Error::other("stopped before its end; read it again"));
        }
        self.read.read(out)
    }
}
