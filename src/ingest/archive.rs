//! The inputs in a file: the file itself, or the files of a ZIP archive.

use std::fs::File;
use std::io::{self, BufReader, Cursor, ErrorKind, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, Datelike};
use flate2::Crc;
use flate2::read::DeflateDecoder;
use zip::{CompressionMethod, ZipArchive};

use super::decode::{ZIP, cut_off};
use super::{names, studio};
use crate::{Error, Result, Timestamp};

/// One input for [`ingest`](super::ingest).
pub struct Input {
    /// Name of the input. A file in an archive has a name such as `archive.zip/Table data.csv`.
    pub name: String,
    /// Number of bytes to read, if known.
    pub length: Option<u64>,
    /// Number of bytes on disk, if known. For a compressed file in a ZIP archive this is usually less than `length`.
    pub on_disk: Option<u64>,
    /// Reads the content of the input.
    pub read: Box<dyn Read + Send>,
}

impl std::fmt::Debug for Input {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Input")
            .field("name", &self.name)
            .field("length", &self.length)
            .field("on_disk", &self.on_disk)
            .finish_non_exhaustive()
    }
}

/// A file of an archive that is not an input.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Skipped {
    /// Name of the file, in the form of [`Input::name`].
    pub name: String,
    /// Why viraldb skips the file.
    pub reason: String,
}

/// The inputs of a file, and the skipped files of its archive.
#[derive(Debug, Default)]
#[non_exhaustive]
pub struct Inputs {
    /// The inputs for [`ingest`](super::ingest), in the order of the archive.
    pub inputs: Vec<Input>,
    /// The files of the archive that are skipped.
    pub skipped: Vec<Skipped>,
    /// Modification time of the file, for [`Options::modified`](super::Options::modified). `None` for a pipe.
    pub modified: Option<Timestamp>,
}

/// Lists the inputs in a file: the file itself or, if it is a ZIP archive, each CSV or JSON file in it.
///
/// An archive that arrives through a pipe is first copied to a temporary file, because a ZIP archive lists its files at the
/// end. Inputs are unpacked while they are read, so memory use does not grow with their size.
///
/// # Errors
/// [`Io`](crate::Error::Io) if the file cannot be read. [`Invalid`](crate::Error::Invalid) if the archive is
/// damaged or encrypted, uses a compression other than deflate, or contains no CSV or JSON file.
///
/// ```no_run
/// use viraldb::{Database, ingest};
///
/// # fn main() -> viraldb::Result<()> {
/// let db = Database::open("sqlite://viral.db")?;
/// let file = std::fs::File::open("export.zip").map_err(viraldb::Error::other)?;
/// for input in ingest::inputs("export.zip", file)?.inputs {
///     let report = ingest::ingest(&db, &input.name, input.read, &ingest::Options::default(), &mut |_| Ok(()))?;
///     println!("{}: {} new", report.file, report.new);
/// }
/// # Ok(())
/// # }
/// ```
pub fn inputs(name: &str, mut file: File) -> Result<Inputs> {
    let unreadable = |error| Error::io(name, error);
    let metadata = file.metadata().map_err(unreadable)?;
    let start = if metadata.is_file() { file.stream_position().ok() } else { None };
    let modified = metadata.modified().ok().filter(|_| metadata.is_file()).and_then(timestamp);
    let mut head = Vec::new();
    file.by_ref().take(4).read_to_end(&mut head).map_err(unreadable)?;
    let is_zip = ZIP.into_iter().any(|mark| head.starts_with(mark));
    let file = match start {
        Some(start) => {
            file.seek(SeekFrom::Start(start)).map_err(unreadable)?;
            file
        }
        None if is_zip => {
            let mut copy = tempfile::tempfile().map_err(|error| Error::io("a temporary file", error))?;
            io::copy(&mut Cursor::new(head).chain(file), &mut copy).map_err(unreadable)?;
            copy
        }
        None => {
            let read = Box::new(Cursor::new(head).chain(file));
            let input = Input { name: name.to_owned(), length: None, on_disk: None, read };
            return Ok(Inputs { inputs: vec![input], ..Inputs::default() });
        }
    };
    if is_zip {
        return Ok(Inputs { modified, ..files(name, file)? });
    }
    let length = start.map(|start| metadata.len().saturating_sub(start));
    let input = Input { name: name.to_owned(), length, on_disk: length, read: Box::new(file) };
    Ok(Inputs { inputs: vec![input], modified, ..Inputs::default() })
}

/// Converts a file system time to a timestamp, if the database can store it.
fn timestamp(time: SystemTime) -> Option<Timestamp> {
    let since = time.duration_since(UNIX_EPOCH).ok()?;
    let time = DateTime::from_timestamp(since.as_secs().try_into().ok()?, since.subsec_nanos())?;
    (time.year() <= 9999).then(|| time.into())
}

/// Lists the files of an archive.
fn files(archive: &str, file: File) -> Result<Inputs> {
    let bad = |error: zip::result::ZipError| match error {
        zip::result::ZipError::Io(error) => Error::io(archive, error),
        error => Error::invalid(
            archive,
            format!("is a damaged or incomplete ZIP archive ({error}); get a new copy of it"),
        ),
    };
    let place = Place { file: Arc::new(Mutex::new(file)), at: 0 };
    let mut zip = ZipArchive::new(place.clone()).map_err(bad)?;
    let mut found = Inputs::default();
    for index in 0..zip.len() {
        let entry = zip.by_index_raw(index).map_err(bad)?;
        let own_name = String::from_utf8_lossy(entry.name_raw()).into_owned();
        let name = format!("{archive}/{own_name}");
        if entry.is_dir() {
            continue;
        }
        if let Some(reason) = names::reason_to_skip(&own_name) {
            found.skipped.push(Skipped { name, reason: reason.to_owned() });
            continue;
        }
        if entry.encrypted() {
            return Err(Error::invalid(name, "is encrypted; unpack the archive with its password first"));
        }
        let method = entry.compression();
        if !matches!(method, CompressionMethod::Stored | CompressionMethod::Deflated) {
            let reason = format!(
                "is compressed with {method}, but viraldb reads only deflate; unpack the archive first"
            );
            return Err(Error::invalid(name, reason));
        }
        let part = Part {
            file: Arc::clone(&place.file),
            at: entry.data_start().ok_or_else(|| {
                Error::invalid(&*name, "has no data in its archive; get a new copy of the archive")
            })?,
            packed: entry.compressed_size(),
            size: entry.size(),
            crc: entry.crc32(),
            is_deflated: method == CompressionMethod::Deflated,
        };
        let mut head = Vec::new();
        // Ignore corrupt data here: it is reported when the file is ingested.
        let _ = part.open().take(names::HEAD).read_to_end(&mut head).is_ok();
        if names::is_totals(&name, &head) {
            found.skipped.push(Skipped { name, reason: studio::TOTALS.to_owned() });
            continue;
        }
        let (length, on_disk) = (Some(part.size), Some(part.packed));
        found.inputs.push(Input { name, length, on_disk, read: Box::new(Unopened { part, data: None }) });
    }
    if found.inputs.is_empty() {
        let names: Vec<&str> = found.skipped.iter().map(|skipped| &*skipped.name).take(5).collect();
        let has = if names.is_empty() {
            "it is empty".to_owned()
        } else {
            format!("it contains {}", names.join(", "))
        };
        return Err(Error::invalid(archive, format!("contains no CSV or JSON file with rows: {has}")));
    }
    Ok(found)
}

/// A read position in a file that several readers share.
#[derive(Clone)]
struct Place {
    file: Arc<Mutex<File>>,
    at: u64,
}

impl Read for Place {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        file.seek(SeekFrom::Start(self.at))?;
        let count = file.read(out)?;
        self.at += count as u64;
        Ok(count)
    }
}

impl Seek for Place {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let SeekFrom::Current(_) = to {
            file.seek(SeekFrom::Start(self.at))?;
        }
        self.at = file.seek(to)?;
        Ok(self.at)
    }
}

/// The location of the data of one file in an archive.
struct Part {
    file: Arc<Mutex<File>>,
    at: u64,
    /// Compressed size in bytes.
    packed: u64,
    /// Uncompressed size in bytes.
    size: u64,
    crc: u32,
    is_deflated: bool,
}

impl Part {
    fn open(&self) -> Entry {
        let place = Place { file: Arc::clone(&self.file), at: self.at };
        let packed = BufReader::new(place).take(self.packed);
        let data: Box<dyn Read + Send> =
            if self.is_deflated { Box::new(DeflateDecoder::new(packed)) } else { Box::new(packed) };
        Entry { data, left: self.size, crc: Crc::new(), expected: self.crc }
    }
}

/// A file of an archive. Its buffers are allocated on the first read, because an archive may contain thousands of files.
struct Unopened {
    part: Part,
    data: Option<Entry>,
}

impl Read for Unopened {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.data.get_or_insert_with(|| self.part.open()).read(out)
    }
}

/// The data of one file of an archive, checked against the length and checksum stored in the archive.
struct Entry {
    data: Box<dyn Read + Send>,
    /// Number of bytes still expected.
    left: u64,
    crc: Crc,
    expected: u32,
}

impl Read for Entry {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let count = self.data.read(out).map_err(|error| match error.kind() {
            ErrorKind::UnexpectedEof => cut_off("ZIP"),
            ErrorKind::InvalidInput | ErrorKind::InvalidData => corrupt(&error.to_string()),
            _ => error,
        })?;
        self.crc.update(out.get(..count).unwrap_or_default());
        self.left = self
            .left
            .checked_sub(count as u64)
            .ok_or_else(|| corrupt("it is longer than the archive says"))?;
        if count == 0 && !out.is_empty() {
            if self.left > 0 {
                return Err(cut_off("ZIP"));
            }
            if self.crc.sum() != self.expected {
                return Err(corrupt("checksum mismatch"));
            }
        }
        Ok(count)
    }
}

fn corrupt(reason: &str) -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        format!("the ZIP data is corrupt ({reason}); get a new copy of the file"),
    )
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use zip::write::{SimpleFileOptions, ZipWriter};

    use super::*;

    fn zip(files: &[(&str, &str)]) -> Vec<u8> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (number, (name, text)) in files.iter().enumerate() {
            let method = [CompressionMethod::Deflated, CompressionMethod::Stored][number % 2];
            zip.start_file(*name, SimpleFileOptions::default().compression_method(method)).unwrap();
            zip.write_all(text.as_bytes()).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn open(bytes: &[u8]) -> Result<Inputs> {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        file.rewind().unwrap();
        inputs("a.zip", file)
    }

    fn contents(found: Inputs) -> Vec<(String, String)> {
        found
            .inputs
            .into_iter()
            .map(|mut input| {
                let mut text = String::new();
                let said = match input.read.read_to_string(&mut text) {
                    Ok(_) => text,
                    Err(error) => error.to_string(),
                };
                (input.name, said)
            })
            .collect()
    }

    const FILES: [(&str, &str); 6] = [
        ("Table data.csv", "Content,Video title,Views\na,b,1\n"),
        ("Gesamtwerte.csv", "Datum,Aufrufe\n2026-05-01,7\n"),
        ("Totals.csv", "Date,Something\n"),
        ("x/", ""),
        ("x/rows.JSONL", "{}\n"),
        ("logo.png", "..."),
    ];

    #[test]
    fn archive_lists_its_csv_and_json_files() {
        let bytes = zip(&FILES);
        let found = open(&bytes).unwrap();
        let skipped: Vec<_> = found.skipped.iter().map(|s| (&*s.name, &*s.reason)).collect();
        assert_eq!(
            skipped,
            [
                ("a.zip/Gesamtwerte.csv", studio::TOTALS),
                ("a.zip/Totals.csv", studio::TOTALS),
                ("a.zip/logo.png", "it is not a CSV or JSON file"),
            ]
        );
        let expected = [("a.zip/Table data.csv", FILES[0].1), ("a.zip/x/rows.JSONL", "{}\n")];
        assert_eq!(contents(found), expected.map(|(name, text)| (name.to_owned(), text.to_owned())));
    }

    #[cfg(unix)]
    #[test]
    fn piped_archive_is_copied_to_a_temporary_file() {
        let (read, mut write) = io::pipe().unwrap();
        let bytes = zip(&FILES);
        let writer = std::thread::spawn(move || write.write_all(&bytes).unwrap());
        let found = inputs("-", File::from(std::os::fd::OwnedFd::from(read))).unwrap();
        writer.join().unwrap();
        assert_eq!(contents(found).len(), 2);
        let (read, mut write) = io::pipe().unwrap();
        write.write_all(b"plain").unwrap();
        drop(write);
        let found = inputs("-", File::from(std::os::fd::OwnedFd::from(read))).unwrap();
        assert_eq!(contents(found), [("-".to_owned(), "plain".to_owned())]);
    }

    #[test]
    fn damaged_archives_are_reported() {
        let text = "a,b\n".repeat(5_000);
        let bytes = zip(&[("a.csv", &text), ("b.csv", &text)]);
        let said = open(&bytes[..bytes.len() / 2]).err().unwrap().to_string();
        assert!(said.contains("is a damaged or incomplete ZIP archive"), "{said}");
        let mut corrupt = bytes.clone();
        let at = bytes.len() - 300; // inside b.csv, which is stored without compression
        corrupt[at] ^= 1;
        let found = contents(open(&corrupt).unwrap());
        assert_eq!(found[0].1, text);
        assert!(found[1].1.contains("the ZIP data is corrupt (checksum mismatch)"), "{}", found[1].1);
        let said = open(&zip(&[("a.png", "")])).err().unwrap().to_string();
        assert_eq!(said, "a.zip contains no CSV or JSON file with rows: it contains a.zip/a.png");
        assert!(open(&zip(&[])).err().unwrap().to_string().ends_with("it is empty"));
    }
}
