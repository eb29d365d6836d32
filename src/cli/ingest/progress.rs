//! Shows the progress in bytes over all files, on a terminal only.

use std::io::{self, IsTerminal, Read};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};

use super::super::{Context, output};
use viraldb::ingest::{Input, InputFile};

/// A progress bar over the sizes of all files on disk, or a spinner if one of them has no size, such as a pipe.
pub(super) struct Progress {
    bar: ProgressBar,
    files: usize,
    /// Number of files that were begun.
    begun: usize,
    /// The positions on the bar where the current file begins (`start`) and ends (`end`), and where its next input begins
    /// (`at`).
    start: u64,
    end: u64,
    at: u64,
}

impl Progress {
    pub(super) fn new(context: &Context, files: &[InputFile]) -> Self {
        let bar = if context.quiet || !io::stderr().is_terminal() {
            ProgressBar::hidden()
        } else {
            match files.iter().map(|file| file.size).sum::<Option<u64>>() {
                Some(total) => {
                    let style = ProgressStyle::with_template(
                        "{msg:36!} {wide_bar} {bytes}/{total_bytes}  {bytes_per_sec}  {eta}",
                    );
                    ProgressBar::new(total).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
                }
                None => {
                    let style = ProgressStyle::with_template("{spinner} {msg:36!} {bytes}  {bytes_per_sec}");
                    let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
                    ProgressBar::new_spinner().with_style(style)
                }
            }
        };
        if !bar.is_hidden() {
            bar.enable_steady_tick(Duration::from_millis(100));
        }
        Self { bar, files: files.len(), begun: 0, start: 0, end: 0, at: 0 }
    }

    /// Shows which file is being read. The previous file now counts as read completely.
    pub(super) fn begin(&mut self, file: &InputFile) {
        self.begun += 1;
        self.start = if file.size.is_some() { self.end } else { self.bar.position() };
        self.end = self.start + file.size.unwrap_or_default();
        self.at = self.start;
        self.bar.set_position(self.start);
        let name = output::visible(&file.path.file_name().unwrap_or(file.path.as_os_str()).to_string_lossy());
        let number = if self.files > 1 { format!("{}/{} ", self.begun, self.files) } else { String::new() };
        self.bar.set_message(format!("{number}{name}"));
    }

    /// Moves the bar while an input is read. A file in an archive moves the bar by the bytes that it takes up in the archive.
    pub(super) fn reader(&mut self, input: Input) -> impl Read + Send + use<> {
        let on_disk = input.on_disk.unwrap_or_default();
        let counted = Counted {
            read: input.read,
            bar: self.bar.clone(),
            start: self.at,
            done: 0,
            length: input.length.filter(|length| *length > 0),
            on_disk,
        };
        self.at = (self.at + on_disk).min(self.end.max(self.at));
        counted
    }

    /// Hides the bar while `print` runs.
    pub(super) fn hide<T>(&self, print: impl FnOnce() -> T) -> T {
        self.bar.suspend(print)
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// A reader that moves a bar.
struct Counted {
    read: Box<dyn Read + Send>,
    bar: ProgressBar,
    start: u64,
    done: u64,
    length: Option<u64>,
    on_disk: u64,
}

impl Read for Counted {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.read.read(out)?;
        self.done += count as u64;
        let on_disk = match self.length {
            Some(length) => u128::from(self.done.min(length)) * u128::from(self.on_disk) / u128::from(length),
            None => self.done.into(),
        };
        self.bar.set_position(self.start + u64::try_from(on_disk).unwrap_or(u64::MAX));
        Ok(count)
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn file(size: Option<u64>) -> InputFile {
        InputFile { path: PathBuf::from("in/a\u{1b}.zip"), size, modified: None, is_named: true }
    }

    fn input(length: u64, on_disk: u64) -> Input {
        let read = Box::new(io::repeat(b'x').take(length));
        Input { name: String::new(), length: Some(length), on_disk: Some(on_disk), read }
    }

    #[test]
    fn the_bar_moves_by_the_size_of_files_on_disk() {
        let bar = ProgressBar::hidden();
        let mut progress = Progress { bar: bar.clone(), files: 2, begun: 0, start: 0, end: 0, at: 0 };
        progress.begin(&file(Some(100)));
        assert_eq!((bar.message(), bar.position()), ("1/2 a\\u{1b}.zip".to_owned(), 0));
        // An archive with two files and a list of files that takes 10 bytes.
        let mut first = progress.reader(input(1_000, 40));
        assert_eq!(first.read(&mut [0; 500]).unwrap(), 500);
        assert_eq!(bar.position(), 20);
        io::copy(&mut first, &mut io::sink()).unwrap();
        assert_eq!(bar.position(), 40);
        io::copy(&mut progress.reader(input(1_000, 50)), &mut io::sink()).unwrap();
        assert_eq!(bar.position(), 90);
        progress.begin(&file(Some(30)));
        assert_eq!(bar.position(), 100);
        io::copy(&mut progress.reader(input(30, 30)), &mut io::sink()).unwrap();
        assert_eq!(bar.position(), 130);
    }
}
