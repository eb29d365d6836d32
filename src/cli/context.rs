//! The context of every command: the location of the database, the settings, and the output.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};

use super::Format;
use super::output::{self, Output};
use super::schema::Diagram;
use viraldb::config::{Config, Options};
use viraldb::db::database_url;
use viraldb::private::quote::visible;
use viraldb::{Database, Result};

/// The global options of a command, and its output.
pub(super) struct Context {
    pub(super) url: Option<String>,
    pub(super) config: Option<PathBuf>,
    /// The diagram that `schema` prints instead of rows.
    pub(super) diagram: Option<Diagram>,
    pub(super) output: Output,
    pub(super) quiet: bool,
}

impl Context {
    pub(super) fn url(&self) -> Result<String> {
        database_url(self.url.as_deref())
    }

    /// Prints a message on stdout, unless `--quiet` asks for data only.
    pub(super) fn say(&mut self, text: &str) -> Result<()> {
        if self.quiet { Ok(()) } else { self.output.text(text) }
    }

    /// Prints one line of text for people, or for programs the object that was changed.
    pub(super) fn done(&mut self, text: &str, object: &impl serde::Serialize) -> Result<()> {
        if self.output.is_for_people() {
            return self.say(&format!("{}\n", visible(text)));
        }
        self.output.object(object).map_err(|error| error.with("the command itself succeeded"))
    }

    /// Prints the rows of a list. If the list is empty, people get the text `none` on stderr.
    pub(super) fn list<'de, T: Serialize + Deserialize<'de>>(
        &mut self,
        rows: &[T],
        shown: &[&str],
        none: &str,
    ) -> Result<()> {
        self.list_or(rows, shown, || Ok(none.to_owned()))
    }

    /// Like [`list`](Self::list), but computes the text for an empty list only when it is needed.
    pub(super) fn list_or<'de, T: Serialize + Deserialize<'de>>(
        &mut self,
        rows: &[T],
        shown: &[&str],
        none: impl FnOnce() -> Result<String>,
    ) -> Result<()> {
        if !rows.is_empty() || self.output.format != Format::Table {
            return self.output.rows(rows, shown);
        }
        if !self.quiet {
            output::message(&output::visible(&none()?));
        }
        Ok(())
    }

    /// Returns a progress bar that counts rows. It is hidden when stderr is not a terminal.
    pub(super) fn rows_bar(&self) -> ProgressBar {
        if self.quiet || !io::stderr().is_terminal() {
            return ProgressBar::hidden();
        }
        let style = ProgressStyle::with_template("{msg:36} {wide_bar} {pos}/{len}  {per_sec}  {eta}");
        ProgressBar::new(0).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
    }

    /// Opens the settings of the database.
    pub(super) fn config(&self, db: &Database) -> Result<Config> {
        Config::open_with(db, Options { file: self.config.clone(), ..Default::default() })
    }

    /// Connects to the database, which must exist and have the current schema.
    pub(super) fn database(&self) -> Result<Database> {
        Database::connect(&self.url()?)
    }
}
