//! Notifications of the kernel that a file was written, so that a worker need not poll the file.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::inotify::{CreateFlags, WatchFlags, add_watch, init};

/// Watches one file by inotify(7).
pub(crate) struct FileEvents(OwnedFd);

impl FileEvents {
    /// Watches a file. Returns `None` if the kernel refuses, for example because the user watches too many files.
    pub(crate) fn of(path: &Path) -> Option<Self> {
        let events = init(CreateFlags::NONBLOCK | CreateFlags::CLOEXEC).ok()?;
        match add_watch(&events, path, WatchFlags::MODIFY) {
            Ok(_) => Some(Self(events)),
            Err(error) => {
                tracing::debug!("cannot watch {}, polling instead: {error}", path.display());
                None
            }
        }
    }

    /// Waits until the file is written, at most for `timeout`. Returns true if it was.
    pub(crate) fn wait(&self, timeout: Duration) -> bool {
        let mut is_written = self.take();
        if !is_written && let Ok(timeout) = Timespec::try_from(timeout) {
            // A failed poll looks like a timeout: the caller checks the file then.
            let _ = poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&timeout));
            is_written = self.take();
        }
        is_written
    }

    /// Takes the events that have arrived. Returns true if there were any.
    fn take(&self) -> bool {
        let (mut buffer, mut any) = ([0; 4096], false);
        while matches!(rustix::io::read(&self.0, &mut buffer), Ok(1..)) {
            any = true;
        }
        any
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_write_is_seen_once_and_silence_times_out() -> std::io::Result<()> {
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("file");
        let mut file = std::fs::File::create(&path)?;
        let events = FileEvents::of(&path).ok_or_else(|| std::io::Error::other("no inotify"))?;
        assert!(!events.wait(Duration::from_millis(10)));
        file.write_all(b"x")?;
        assert!(events.wait(Duration::from_secs(10)));
        assert!(!events.wait(Duration::from_millis(10)));
        Ok(())
    }

    #[test]
    fn a_missing_file_cannot_be_watched() {
        assert!(FileEvents::of(Path::new("/no/such/file")).is_none());
    }
}
