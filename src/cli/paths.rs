//! The paths of rows that `prune` deletes. They exist nowhere else afterwards, so they are written out before the
//! transaction that deletes the rows commits.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Format;
use super::output::{Output, message};
use viraldb::ops::Pruned;
use viraldb::private::files::private;
use viraldb::{Database, Error, Result};

/// What an error says about the rows.
const NOT_DELETED: &str = "rows whose paths were not written were not deleted";

/// How paths are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Form {
    /// Each on a line; see [`line()`].
    Lines,
    /// Each as it is, with a NUL at its end.
    Null,
    /// The list `files` of the one document.
    Json,
    /// Each in an object on a line, `{"file":…}`.
    Jsonl,
    /// Each in a record that has only a column `file`.
    Csv,
}

/// The list of paths: in a file that was asked for, or on stdout.
pub(super) struct Paths {
    form: Form,
    file: Option<List>,
    /// How many were written.
    count: u64,
    is_dry_run: bool,
}

struct List {
    path: PathBuf,
    file: File,
    is_regular: bool,
}

impl Paths {
    /// # Errors
    /// `Invalid` if the file is one of the database, or holds paths in another form; `Io` if it cannot be written.
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

    /// Writes paths, and returns when they are out of this process: in a file, also on its disk.
    pub(super) fn add(&mut self, output: &mut Output, paths: &[String]) -> Result<()> {
        let mut text = Vec::new();
        for path in paths {
            self.append(&mut text, path);
            self.count += 1;
        }
        match &mut self.file {
            Some(list) => list.write(&text).map_err(|error| error.with(NOT_DELETED)),
            // Nothing is lost with the output of a dry run.
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

    /// Prints the result after the paths; `pruned` is nothing if the prune failed.
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
            // A program that reads paths would take the result for one.
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
        // Append: a list that an interrupted prune wrote is not lost to the next one.
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

    /// Writes all of it, or nothing: half a path would be the path of something else.
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

/// Brings the name of a new file to disk, where the file system can do that for a folder.
fn sync_folder(path: &Path) {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Err(error) = File::open(folder).and_then(|folder| folder.sync_all()) {
        tracing::debug!(folder = %folder.display(), %error, "the folder was not synced");
    }
}

/// The last byte of a file, if the file can be read and is not empty.
fn last_byte(path: &Path) -> Option<u8> {
    let is_file = path.metadata().is_ok_and(|file| file.is_file());
    let read = || {
        let (mut file, mut last) = (File::open(path)?, [0]);
        file.seek(io::SeekFrom::End(-1))?;
        file.read_exact(&mut last).map(|()| last[0])
    };
    if is_file { read().ok() } else { None }
}

/// Returns a path on one line. A path with a control character or a line separator, and one that begins with a quote,
/// is written as a JSON string, so that a line is one path and no two paths have the same line.
fn line(path: &str) -> String {
    if path.starts_with('"') || path.contains(is_special) { quoted(path) } else { path.to_owned() }
}

/// Returns a text as a JSON string without a control character.
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
    fn a_line_is_one_path_and_says_which() {
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
