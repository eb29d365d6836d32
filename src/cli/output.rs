//! Everything that the command prints: data on stdout, messages on stderr. No other file writes to either.
//!
//! [`message`], [`Output::text`], [`Output::table`] and JSON escape control characters of data, files and arguments, so that
//! they cannot act on a terminal.
//!
//! A command does its work even if its output cannot be written. When stdout fails, the command continues and the rest of
//! its output is dropped. [`Output::finish`] reports the loss at the end, unless the reader closed the pipe. Messages that
//! cannot be written to stderr are dropped.

use std::io::{self, BufWriter, IsTerminal, Write};

use comfy_table::{Cell, ContentArrangement, Table, presets};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::{Format, cells, closed, color, masks};
use viraldb::private::json_upsert::{cell, columns};
pub(super) use viraldb::private::quote::visible;
use viraldb::private::quote::{quoted, visible_json, visible_lines};
use viraldb::{Error, Result};

/// A row or an object by the names of its fields.
type Document = Map<String, Value>;

pub(super) struct Output {
    pub(super) format: Format,
    /// The columns that `--columns` chose. If empty, the command's own columns are printed.
    columns: Vec<String>,
    out: BufWriter<Lossy<Stdout>>,
}

/// Maximum length of a message, in characters. The middle of a longer message is cut out.
const LONGEST: usize = 1_000;

impl Output {
    pub(super) fn new(format: Format, columns: Vec<String>) -> Self {
        let columns = columns.iter().map(|name| name.trim().to_owned()).collect();
        Self { format, columns, out: BufWriter::new(Lossy { to: Stdout, lost: None }) }
    }

    /// Returns true if `--columns` chose columns.
    pub(super) fn has_columns(&self) -> bool {
        !self.columns.is_empty()
    }

    /// Returns true if a command chooses what it prints: text for people, without `--columns`.
    pub(super) fn is_for_people(&self) -> bool {
        self.format == Format::Table && self.columns.is_empty()
    }

    /// Returns true if a report is one JSON document. With `--columns` only its rows are printed, as in other formats.
    pub(super) fn is_document(&self) -> bool {
        self.format == Format::Json && self.columns.is_empty()
    }

    /// Prints rows. A table for people has only the columns that `shown` names; `--columns` chooses them in every format.
    ///
    /// # Errors
    /// `Invalid` if `--columns` names a column that the rows do not have.
    pub(super) fn rows<'de, T: Serialize + Deserialize<'de>>(
        &mut self,
        rows: &[T],
        shown: &[&str],
    ) -> Result<()> {
        if self.has_columns() {
            let (chosen, documents) = self.chosen(rows)?;
            let chosen: Vec<&str> = chosen.iter().map(String::as_str).collect();
            return self.documents(&documents, &chosen, &chosen);
        }
        match self.format {
            // Serialize the rows directly, without a copy of each row.
            Format::Json => self.json(&rows),
            Format::Jsonl => rows.iter().try_for_each(|row| self.line(row)),
            _ => self.documents(&documents(rows)?, shown, columns::<T>()),
        }
    }

    /// Returns the columns that `--columns` chose, and the rows with these columns only.
    fn chosen<'de, T: Serialize + Deserialize<'de>>(
        &self,
        rows: &[T],
    ) -> Result<(Vec<String>, Vec<Document>)> {
        check_columns(&self.columns, columns::<T>())?;
        let names: Vec<&str> = self.columns.iter().map(String::as_str).collect();
        let rows = documents(rows)?.into_iter().map(|row| only(&names, row)).collect();
        Ok((self.columns.clone(), rows))
    }

    fn documents(&mut self, rows: &[Document], shown: &[&str], all: &[&str]) -> Result<()> {
        match self.format {
            Format::Json => self.json(&rows),
            Format::Jsonl => rows.iter().try_for_each(|row| self.line(row)),
            Format::Csv => self.csv(all, true, rows),
            _ => self.table(
                shown,
                rows.iter()
                    .map(|row| shown.iter().map(|name| cells::in_table(name, row.get(*name))).collect()),
            ),
        }
    }

    /// Prints rows that arrive over time, and flushes them: in JSON one per line. `is_first` is true if CSV still needs its
    /// header.
    pub(super) fn stream<'de, T: Serialize + Deserialize<'de>>(
        &mut self,
        rows: &[T],
        is_first: bool,
    ) -> Result<()> {
        let (names, rows) = match self.has_columns() {
            true => self.chosen(rows)?,
            false => (columns::<T>().iter().map(|name| (*name).to_owned()).collect(), documents(rows)?),
        };
        let names: Vec<&str> = names.iter().map(String::as_str).collect();
        match self.format {
            Format::Csv => self.csv(&names, is_first, &rows)?,
            Format::Table => self.documents(&rows, &names, &names)?,
            _ => rows.iter().try_for_each(|row| self.line(row))?,
        }
        self.flush();
        Ok(())
    }

    /// Prints a table for people under a heading, or nothing if there are no rows.
    pub(super) fn section<'de, T: Serialize + Deserialize<'de>>(
        &mut self,
        heading: &str,
        rows: &[T],
        shown: &[&str],
    ) -> Result<()> {
        if rows.is_empty() {
            return Ok(());
        }
        self.text(&format!("\n{heading}\n"))?;
        self.rows(rows, shown)
    }

    /// Prints one object; in CSV it is one row. `--columns` chooses its fields.
    ///
    /// # Errors
    /// `Invalid` if `--columns` names a field that the object does not have.
    pub(super) fn object(&mut self, object: &impl Serialize) -> Result<()> {
        if self.columns.is_empty() {
            return self.whole(object);
        }
        let object = match serde_json::to_value(object).map_err(Error::other)? {
            Value::Object(object) => object,
            // Nothing was made, so there are no fields.
            Value::Null => return self.whole(&Value::Null),
            _ => {
                return Err(Error::invalid("--columns", "does not apply to a command that prints one value"));
            }
        };
        check_columns(&self.columns, &object.keys().map(String::as_str).collect::<Vec<_>>())?;
        let chosen = only(&self.columns.iter().map(String::as_str).collect::<Vec<_>>(), object);
        if self.format == Format::Table { self.fields(&chosen) } else { self.whole(&chosen) }
    }

    /// Prints an object with all of its fields.
    fn whole(&mut self, object: &impl Serialize) -> Result<()> {
        match self.format {
            Format::Json => self.json(object),
            Format::Csv if serde_json::to_value(object).is_ok_and(|value| value.is_null()) => Ok(()),
            Format::Csv => {
                let documents = documents(std::slice::from_ref(object))?;
                let columns: Vec<String> = documents.iter().flat_map(Map::keys).cloned().collect();
                self.csv(&columns.iter().map(String::as_str).collect::<Vec<_>>(), true, &documents)
            }
            _ => self.line(object),
        }
    }

    /// Prints one row; for people each column is on its own line.
    ///
    /// # Errors
    /// `Invalid` if `--columns` names a column that the row does not have.
    pub(super) fn row(&mut self, row: &impl Serialize) -> Result<()> {
        if !self.is_for_people() {
            return self.object(row);
        }
        self.fields(&viraldb::private::json_upsert::from_row(row)?)
    }

    /// Prints the fields of an object for people, one per line.
    fn fields(&mut self, fields: &Document) -> Result<()> {
        let width = fields.keys().map(String::len).max().unwrap_or_default();
        fields.iter().try_for_each(|(name, value)| {
            let value = cells::for_people(name, Some(value));
            writeln!(self.out, "{}", format!("{name:width$}  {value}").trim_end()).map_err(failed)
        })
    }

    /// Returns a writer to stdout that reports errors, for commands that stop when their output is lost.
    pub(super) fn data(&mut self) -> Data<'_> {
        Data(&mut self.out)
    }

    /// Returns true if the reader of stdout closed the pipe.
    pub(super) fn is_closed(&self) -> bool {
        self.out.get_ref().lost.as_ref().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
    }

    /// Flushes output that must arrive, such as a token that exists nowhere else. `note` explains what its loss means.
    ///
    /// # Errors
    /// `Io` if stdout could not be written, also if the reader closed the pipe.
    pub(super) fn deliver(&mut self, note: &str) -> Result<()> {
        self.data().flush().map_err(|error| failed(error).with(note))
    }

    /// [Delivers](Self::deliver) the output and, if stdout is a file, syncs it to disk.
    ///
    /// # Errors
    /// `Io` as for `deliver`, and if the file cannot be synced.
    pub(super) fn store(&mut self, note: &str) -> Result<()> {
        self.deliver(note)?;
        match rustix::fs::fdatasync(io::stdout()) {
            // Pipes, terminals and most devices cannot be synced.
            Ok(()) | Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOTSUP | rustix::io::Errno::ROFS) => {
                Ok(())
            }
            Err(error) => Err(failed(error.into()).with(note)),
        }
    }

    /// Prints bytes unchanged.
    pub(super) fn bytes(&mut self, bytes: &[u8]) -> Result<()> {
        self.out.write_all(bytes).map_err(failed)
    }

    /// Prints text for people.
    pub(super) fn text(&mut self, text: &str) -> Result<()> {
        self.bytes(masks::without_passwords(&visible_lines(text)).as_bytes())
    }

    /// Prints text unchanged for programs. On a terminal, control characters are escaped.
    pub(super) fn raw(&mut self, text: &str) -> Result<()> {
        if io::stdout().is_terminal() {
            // The user may have asked for a secret, so no passwords are masked.
            return self.bytes(visible_lines(text).as_bytes());
        }
        self.bytes(text.as_bytes())
    }

    /// Prints a table for people. If the terminal is too narrow for the longest words, each row is printed as a block.
    pub(super) fn table(&mut self, header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Result<()> {
        table_lines(header, rows).iter().try_for_each(|line| writeln!(self.out, "{line}").map_err(failed))
    }

    /// Prints a line that begins with a word in the color of its status.
    pub(super) fn event(&mut self, at: &str, word: &str, width: usize, rest: &str) -> Result<()> {
        let padding = " ".repeat(width.saturating_sub(word.chars().count()));
        let rest = masks::without_passwords(&visible(rest)).into_owned();
        writeln!(self.out, "{}{}{padding}  {rest}", visible(at), color::painted(word)).map_err(failed)
    }

    /// Draws lines over the whole terminal, as far as they fit, or erases them and shows what was there before if there are
    /// none.
    pub(super) fn draw(&mut self, lines: Option<&[String]>) -> Result<()> {
        let Some(lines) = lines else {
            self.bytes(b"\x1b[?25h\x1b[?1049l")?;
            self.flush();
            return Ok(());
        };
        let height =
            rustix::termios::tcgetwinsize(rustix::stdio::stdout()).map_or(24, |size| size.ws_row).max(2);
        let fits = usize::from(height) - 1;
        let cut = lines.len().saturating_sub(fits);
        let shown = lines.len() - if cut > 0 { cut + 1 } else { 0 };
        // Use the alternate screen without a cursor, and begin at the top left.
        let mut frame = "\x1b[?1049h\x1b[?25l\x1b[H".to_owned();
        for line in lines.iter().take(shown) {
            frame.push_str(line);
            frame.push_str("\x1b[K\r\n");
        }
        if cut > 0 {
            frame.push_str(&format!("… {} more lines\x1b[K\r\n", cut + 1));
        }
        frame.push_str("\x1b[J");
        self.bytes(frame.as_bytes())?;
        self.flush();
        Ok(())
    }

    /// Returns true if stdout is a terminal.
    pub(super) fn is_terminal(&self) -> bool {
        io::stdout().is_terminal()
    }

    /// Returns true if nobody reads stdout any more, or it could not be written.
    pub(super) fn is_lost(&self) -> bool {
        let stdout = rustix::stdio::stdout();
        let mut polled = [PollFd::from_borrowed_fd(stdout, PollFlags::empty())];
        let is_polled = poll(&mut polled, Some(&Timespec::default())).is_ok();
        // A closed terminal hangs up; a pipe without a reader has an error.
        let is_closed = polled[0].revents().intersects(PollFlags::ERR | PollFlags::HUP);
        self.out.get_ref().lost.is_some() || is_polled && is_closed
    }

    /// Flushes the output while the command continues. [`finish`](Self::finish) reports errors.
    pub(super) fn flush(&mut self) {
        let _ = self.out.flush(); // `Lossy` keeps the error
    }

    /// Flushes the output at the end of a command.
    ///
    /// # Errors
    /// `Io` if stdout could not be written. A reader that closed the pipe is not an error.
    pub(super) fn finish(&mut self) -> Result<()> {
        match self.data().flush() {
            Err(error) if !self.is_closed() => {
                Err(failed(error).with("the command succeeded, but its output is incomplete"))
            }
            _ => Ok(()),
        }
    }

    fn json(&mut self, value: &impl Serialize) -> Result<()> {
        serde_json::to_writer_pretty(Visible(&mut self.out), value).map_err(|error| failed(error.into()))?;
        writeln!(self.out).map_err(failed)
    }

    fn line(&mut self, value: &impl Serialize) -> Result<()> {
        serde_json::to_writer(Visible(&mut self.out), value).map_err(|error| failed(error.into()))?;
        writeln!(self.out).map_err(failed)
    }

    fn csv(&mut self, columns: &[&str], has_header: bool, rows: &[Document]) -> Result<()> {
        let mut csv = csv::Writer::from_writer(&mut self.out);
        let failed = |error: csv::Error| match error.into_kind() {
            csv::ErrorKind::Io(error) => failed(error),
            other => failed(io::Error::other(format!("{other:?}"))),
        };
        if has_header {
            csv.write_record(columns).map_err(failed)?;
        }
        for row in rows {
            csv.write_record(columns.iter().map(|column| cell(row.get(*column)))).map_err(failed)?;
        }
        csv.flush().map_err(self::failed)
    }
}

/// Returns the lines of a table for people. If the terminal is too narrow for the longest words, each row is a block.
pub(super) fn table_lines(header: &[&str], rows: impl Iterator<Item = Vec<String>>) -> Vec<String> {
    let mut table = Table::new();
    let rows: Vec<Vec<String>> = rows.collect();
    if table.width().is_some_and(|width| cells::least_width(header, &rows) > width.into()) {
        return blocks(header, &rows);
    }
    table
        .load_style(presets::NOTHING)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header);
    let has_color = color::on_stdout();
    if has_color {
        table.enforce_styling();
    }
    let cell = |(column, text): (&&str, &String)| {
        let cell = Cell::new(visible(text));
        match color::of_cell(column, text).filter(|_| has_color) {
            Some(color) => cell.fg(color),
            None => cell,
        }
    };
    table.add_rows(rows.iter().map(|row| header.iter().zip(row).map(cell).collect::<Vec<_>>()));
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// Returns each row as a block, with one line per column.
fn blocks(header: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let width = header.iter().map(|name| name.len()).max().unwrap_or_default();
    let mut lines = Vec::new();
    for (n, row) in rows.iter().enumerate() {
        if n > 0 {
            lines.push(String::new());
        }
        for (name, cell) in header.iter().zip(row) {
            lines.push(format!("{name:width$}  {}", visible(cell)).trim_end().to_owned());
        }
    }
    lines
}

/// Rejects a column that the rows do not have.
fn check_columns(chosen: &[String], known: &[&str]) -> Result<()> {
    match chosen.iter().find(|name| !known.contains(&name.as_str())) {
        Some(name) => Err(Error::invalid(
            format!("unknown column {};", quoted(name)),
            format!("expected {}", known.join(", ")),
        )),
        None => Ok(()),
    }
}

/// Returns a row with only these columns, in this order.
fn only(columns: &[&str], row: Document) -> Document {
    columns.iter().map(|name| ((*name).to_owned(), row.get(*name).cloned().unwrap_or_default())).collect()
}

/// Prints a line for people on stderr.
pub(super) fn message(line: &str) {
    write_message(&format!("{}\n", without_middle(visible(line))));
}

/// Shortens a long line to its beginning and its end.
fn without_middle(line: String) -> String {
    let count = line.chars().count();
    if count <= LONGEST {
        return line;
    }
    let at = |n| line.char_indices().nth(n).map_or(line.len(), |(at, _)| at);
    let part = |from, to| line.get(from..to).unwrap_or_default();
    format!("{}…{}", part(0, at(LONGEST * 2 / 3)), part(at(count - LONGEST / 3), line.len()))
}

/// Prints lines for people on stderr.
pub(super) fn lines(text: &str) {
    write_message(&visible_lines(text));
}

/// Prints text for people on stderr without a newline.
pub(super) fn prompt(text: &str) {
    write_message(&visible(text));
}

fn write_message(text: &str) {
    let _ = Messages.write_all(text.as_bytes()); // `Messages` reports no error
}

/// A writer to stderr that ignores errors.
#[derive(Debug, Clone, Copy)]
pub(super) struct Messages;

impl Write for Messages {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        let shown = String::from_utf8_lossy(text);
        let shown = masks::without_passwords(&shown);
        let _ = io::stderr().lock().write_all(shown.as_bytes()); // an error cannot be reported anywhere
        Ok(text.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A writer of JSON that escapes control characters. serde_json never splits a character between two writes.
struct Visible<W>(W);

impl<W: Write> Write for Visible<W> {
    fn write(&mut self, json: &[u8]) -> io::Result<usize> {
        match std::str::from_utf8(json) {
            Ok(text) => self.0.write_all(visible_json(text).as_bytes())?,
            Err(_) => self.0.write_all(json)?,
        }
        Ok(json.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Stdout without Rust's workaround for a closed stdout: here, writing to a closed stdout is an error.
#[derive(Debug)]
struct Stdout;

impl Write for Stdout {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        #[cfg(unix)]
        {
            if closed::stdout() {
                return Err(rustix::io::Errno::BADF.into());
            }
            Ok(rustix::io::write(rustix::stdio::stdout(), data)?)
        }
        #[cfg(not(unix))]
        io::stdout().write(data)
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stdout().flush()
    }
}

/// A writer that remembers the first error and drops everything after it.
#[derive(Debug)]
struct Lossy<W> {
    to: W,
    lost: Option<io::Error>,
}

impl<W: Write> Lossy<W> {
    fn unless_lost<T>(&mut self, act: impl Fn(&mut W) -> io::Result<T>, dropped: T) -> io::Result<T> {
        if self.lost.is_some() {
            return Ok(dropped);
        }
        match act(&mut self.to) {
            Err(error) if error.kind() != io::ErrorKind::Interrupted => {
                self.lost = Some(error);
                Ok(dropped)
            }
            result => result,
        }
    }
}

impl<W: Write> Write for Lossy<W> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.unless_lost(|to| to.write(data), data.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.unless_lost(W::flush, ())
    }
}

/// A writer to stdout that reports errors.
pub(super) struct Data<'a>(&'a mut BufWriter<Lossy<Stdout>>);

impl Data<'_> {
    fn check<T>(&self, done: T) -> io::Result<T> {
        match &self.0.get_ref().lost {
            None => Ok(done),
            Some(error) => Err(match error.raw_os_error() {
                Some(code) => io::Error::from_raw_os_error(code),
                None => io::Error::new(error.kind(), error.to_string()),
            }),
        }
    }
}

impl Write for Data<'_> {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        let written = self.0.write(data)?;
        self.check(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()?;
        self.check(())
    }
}

fn failed(error: io::Error) -> Error {
    Error::io("standard output", error)
}

fn documents<T: Serialize>(rows: &[T]) -> Result<Vec<Document>> {
    rows.iter().map(viraldb::private::json_upsert::from_row).collect()
}
