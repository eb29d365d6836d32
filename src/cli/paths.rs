//! Writes the file paths in the rows that `prune` deletes. The paths exist nowhere else afterward, so viraldb writes them
//! before it commits the transaction that deletes the rows.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Format;
use super::output::{Output, message};
use viraldb::ops::Pruned;
use viraldb::private::files::private;
use viraldb::{Database, Error, Result};

/// The note that errors add about the rows.
const NOT_DELETED: &str = "rows whose paths were not written were not deleted";

/// The format in which paths are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// One path per line; see [`line()`].
    Lines,
    /// Each path unchanged, followed by NUL.
    Null,
    /// A list `files` in a single JSON document.
    Json,
    /// One object per line, `{"file":…}`.
    Jsonl,
    /// One CSV record per path, with a value only in the column `file`.
    Csv,
}

/// Writes the list of paths to the file that the user named, or to stdout.
pub(super) struct Paths {
    form: Form,
    file: Option<List>,
    /// Number of paths written.
    count: u64,
    is_dry_run: bool,
}

struct List {
    path: PathBuf,
    file: File,
    is_regular: bool,
}

impl Paths {
    /// Opens the list.
    ///
    /// # Errors
    /// `Invalid` if the file belongs to the database or contains paths in another form; `Io` if it cannot be written.
    pub(super) fn new(
        format: Format,
        path: Option<PathBuf>,
        has_nulls: bool,
        is_dry_run: bool,
        db: &Database,
    ) -> Result<Self> {
        let form = match format {
            _ if has_nulls => Form::Null,
            _ if path.is_some() => Form::Lines,
            Format::Table => Form::Lines,
            Format::Json => Form::Json,
            Format::Jsonl => Form::Jsonl,
            Format::Csv => Form::Csv,
        };
        if has_nulls && path.is_none() && format != Format::Table {
            return Err(Error::invalid("--null", "needs --files FILE, or the output format table"));
        }
        let file = path.map(|path| List::open(path, form, db)).transpose()?;
        Ok(Self { form, file, count: 0, is_dry_run })
    }

    /// Writes paths, and returns when they have left this process. Paths in a file are then also on disk.
    pub(super) fn add(&mut self, output: &mut Output, paths: &[String]) -> Result<()> {
        let mut text = Vec::new();
        for path in paths {
            self.append(&mut text, path);
            self.count += 1;
        }
        match &mut self.file {
            Some(list) => list.write(&text).map_err(|error| error.with(NOT_DELETED)),
            // A dry run deletes nothing, so losing its output does no harm.
            None if self.is_dry_run => output.bytes(&text),
            None => output.bytes(&text).and_then(|()| output.store(NOT_DELETED)),
        }
    }

    fn append(&self, text: &mut Vec<u8>, path: &str) {
        match self.form {
            Form::Lines => text.extend(format!("{}\n", line(path)).bytes()),
            Form::Null => text.extend(path.bytes().chain([0])),
            Form::Json if self.count == 0 => {
                text.extend(format!("{{\n  \"files\": [\n    {}", quoted(path)).bytes())
            }
            Form::Json => text.extend(format!(",\n    {}", quoted(path)).bytes()),
            Form::Jsonl => text.extend(format!("{}\n", json!({ "file": path })).bytes()),
            Form::Csv => {
                if self.count == 0 {
                    text.extend(b"table,rows,file\n");
                }
                text.extend(format!(",,{}\n", csv_field(path)).bytes());
            }
        }
    }

    /// Prints the result after the paths. `pruned` is `None` if the prune failed.
    pub(super) fn finish(
        self,
        output: &mut Output,
        pruned: Option<&Pruned>,
        for_people: Option<String>,
    ) -> Result<()> {
        let is_listed = self.file.is_none();
        match (output.format, pruned) {
            (Format::Json, _) if is_listed => self.end_document(output, pruned),
            (_, None) => Ok(()),
            (Format::Json, Some(pruned)) => output.object(pruned),
            (Format::Csv, Some(pruned)) if is_listed => {
                if self.count == 0 {
                    output.text("table,rows,file\n")?;
                }
                pruned
                    .tables
                    .iter()
                    .try_for_each(|table| output.text(&format!("{},{},\n", table.table, table.rows)))
            }
            (Format::Jsonl | Format::Csv, Some(pruned)) => output.rows(&pruned.tables, &[]),
            // Print the result on stderr, because a program that reads paths would mistake it for a path.
            (Format::Table, Some(_)) if is_listed && self.form == Form::Null => {
                for_people.iter().for_each(|text| message(text.trim_end()));
                Ok(())
            }
            (Format::Table, Some(_)) => for_people.map_or(Ok(()), |text| output.text(&text)),
        }
    }

    fn end_document(&self, output: &mut Output, pruned: Option<&Pruned>) -> Result<()> {
        let rest = match pruned {
            Some(pruned) => serde_json::to_string_pretty(pruned).map_err(Error::other)?,
            None if self.count == 0 => return Ok(()),
            None => String::new(),
        };
        let rest = match rest.strip_prefix("{\n") {
            Some(rest) => format!(",\n{rest}\n"),
            None => "\n}\n".to_owned(),
        };
        let list = if self.count == 0 { "{\n  \"files\": []" } else { "\n  ]" };
        output.text(&format!("{list}{rest}"))
    }
}

impl List {
    fn open(path: PathBuf, form: Form, db: &Database) -> Result<Self> {
        let refused = |why: &str| Err(Error::invalid(format!("--files {}", path.display()), why));
        if path.as_os_str() == "-" {
            return refused("is not a file; leave --files out to print the paths");
        }
        if db.is_own_file(&path) {
            return refused("is a file of the database itself");
        }
        let between: &[u8] = match (form, last_byte(&path)) {
            (_, None) | (Form::Null, Some(0)) => b"",
            (Form::Null, Some(b'\n')) => {
                return refused("holds one path per line; name another file for --null");
            }
            (Form::Null, Some(_)) => b"\0",
            (_, Some(b'\n')) => b"",
            (_, Some(0)) => {
                return refused("holds paths with NULs between them; add --null, or name another file");
            }
            (_, Some(_)) => b"\n",
        };
        // Append, so that the next prune does not overwrite the list of an interrupted one.
        let open = || {
            let file = private().append(true).create(true).open(&path)?;
            let is_regular = file.metadata()?.is_file();
            if is_regular {
                sync_folder(&path);
            }
            Ok((file, is_regular))
        };
        let (file, is_regular) = open().map_err(|error| Error::io(&path, error))?;
        let mut list = Self { path, file, is_regular };
        if !between.is_empty() {
            list.write(between)?;
        }
        Ok(list)
    }

    /// Writes all of the text or none of it, because half a path could be the path of another file.
    fn write(&mut self, text: &[u8]) -> Result<()> {
        let failed = |error| Error::io(&self.path, error);
        let before = self.file.metadata().map_err(failed)?.len();
        let written = self.file.write_all(text).and_then(|()| match self.is_regular {
            true => self.file.sync_data(),
            false => self.file.flush(),
        });
        written.map_err(|error| {
            let _ = self.file.set_len(before); // the first error is the one to report
            failed(error)
        })
    }
}

/// Syncs a folder, so that the name of a new file is on disk. Some file systems cannot do this.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Err(error) = File::open(folder).and_then(|folder| folder.sync_all()) {
        tracing::debug!(folder = %folder.display(), %error, "the folder was not synced");
    }
}

/// Returns the last byte of a file, if the file can be read and is not empty.
fn last_byte(path: &Path) -> Option<u8> {
    let is_file = path.metadata().is_ok_and(|file| file.is_file());
    let read = || {
        let (mut file, mut last) = (File::open(path)?, [0]);
        file.seek(io::SeekFrom::End(-1))?;
        file.read_exact(&mut last).map(|()| last[0])
    };
    if is_file { read().ok() } else { None }
}

/// Returns a path as one line. A path that contains a control character or a line separator, or that begins with a quote,
/// becomes a JSON string. So each line is one path, and different paths have different lines.
fn line(path: &str) -> String {
    if path.starts_with('"') || path.contains(is_special) { quoted(path) } else { path.to_owned() }
}

/// Returns text as a JSON string without control characters.
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for c in Value::from(text).to_string().chars() {
        if is_special(c) {
            quoted += &format!("\\u{:04x}", u32::from(c));
        } else {
            quoted.push(c);
        }
    }
    quoted
}

fn is_special(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}')
}

fn csv_field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::line;

    #[test]
    fn each_line_is_one_path_and_can_be_read_back() {
        for path in ["/a/b c.mp4", "/ä/\u{1f3ac}.mp4", "\\n", "", "/a'b", "a\"b"] {
            assert_eq!(line(path), path);
        }
        for path in
            ["/a\n/etc/passwd", "\"/a\"", "/a\r", "/a\u{7f}\u{9b}31m", "/a\u{2028}b", "\u{1b}[31m", "/\u{85}"]
        {
            let line = line(path);
            assert!(line.starts_with('"') && !line.contains(super::is_special), "{line}");
            assert_eq!(serde_json::from_str::<String>(&line).unwrap(), path);
        }
    }
}
