//! The report: one HTML file about a database.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use maud::html;

use super::layout::{Link, Page, page};
use super::sections::Scope;
use super::sections::channels::Channels;
use super::sections::errors::Errors;
use super::sections::glance::Glance;
use super::sections::money::Money;
use super::sections::pipeline::Pipeline;
use super::sections::queue::Queue;
use super::sections::storage::Storage;
use super::sections::trends::Trends;
use super::sections::videos::Videos;
use crate::ops::{self, Examination, backup};
use crate::report::Span;
use crate::republishing::Channel;
use crate::types::ChannelId;
use crate::{Database, Error, Result};

/// The options of a report. `ReportOptions::default()` covers the last 30 days of all channels and niches.
#[derive(Debug, Clone)]
pub struct ReportOptions {
    /// Length of the period, which ends now.
    pub since: Duration,
    /// Only jobs, statistics and publications of this channel.
    pub channel: Option<ChannelId>,
    /// Only videos and runs of this niche.
    pub niche: Option<String>,
    /// Folder of the backups. The default is the default folder of `viraldb backup create`.
    pub backups: Option<PathBuf>,
    /// The configuration file, as in `viraldb --config`.
    pub config: Option<PathBuf>,
}

impl Default for ReportOptions {
    fn default() -> Self {
        let since = Duration::from_secs(30 * 86_400);
        Self { since, channel: None, niche: None, backups: None, config: None }
    }
}

/// Returns a report about the database at `url` as one HTML document. The database must exist and have the current schema.
///
/// The document needs no other file and no connection to the internet. It contains no script and no secrets.
///
/// ```
/// use viraldb::web::{ReportOptions, report};
///
/// # fn main() -> viraldb::Result<()> {
/// # let folder = tempfile::tempdir().unwrap();
/// # let url = format!("sqlite://{}", folder.path().join("viral.db").display());
/// viraldb::init_db(&url)?;
/// let html = report(&url, &ReportOptions::default())?;
/// assert!(html.starts_with("<!DOCTYPE html>"));
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// - [`NotFound`](crate::Error::NotFound) if the channel does not exist.
/// - The errors of [`Database::connect`] and [`ops::doctor`].
/// - [`Io`](crate::Error::Io) if the folder of the backups cannot be read.
pub fn report(url: &str, options: &ReportOptions) -> Result<String> {
    render(&Database::connect(url)?, url, options)
}

/// Writes a [`report`] to a file, replaces an existing file, and returns its size in bytes.
///
/// Other programs see either the old file or the whole new one. A path that is not a regular file, such as `/dev/stdout`, is
/// written to.
///
/// # Errors
/// - [`Invalid`](crate::Error::Invalid) if the file belongs to the database.
/// - [`Io`](crate::Error::Io) if the file cannot be written.
/// - The errors of [`report`].
pub fn write_report(url: &str, options: &ReportOptions, file: &Path) -> Result<u64> {
    let db = Database::connect(url)?;
    if db.is_own_file(file) {
        let reason = "is a file of the database itself; choose another file for the report";
        return Err(Error::invalid(file.display().to_string(), reason));
    }
    let html = render(&db, url, options)?;
    put(file, html.as_bytes()).map_err(|error| Error::io(file, error))?;
    Ok(html.len() as u64)
}

/// Replaces the content of a file.
fn put(file: &Path, content: &[u8]) -> io::Result<()> {
    let file = &match fs::metadata(file) {
        Ok(there) if !there.is_file() => return fs::write(file, content),
        Ok(_) => file.canonicalize()?, // replace the file that a link leads to, not the link
        Err(_) => file.to_owned(),
    };
    let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut new = tempfile::Builder::new();
    new.prefix(".viraldb-");
    #[cfg(unix)]
    new.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666)); // the umask applies
    let mut new = new.tempfile_in(folder)?;
    new.write_all(content)?;
    new.as_file().sync_all()?;
    new.persist(file)?;
    Ok(())
}

fn render(db: &Database, url: &str, options: &ReportOptions) -> Result<String> {
    let span = Span::last(options.since);
    let scope = Scope {
        length: in_words(span.length()),
        span,
        channel: options.channel,
        niche: options.niche.clone(),
    };
    let channel = options.channel.map(|id| db.read(|c| Channel::find(c, id))).transpose()?;
    let folder = options.backups.clone().unwrap_or_else(|| backup::default_folder(db.url()));
    let examination = Examination {
        backups: options.backups.clone(),
        config: options.config.clone(),
        ..Default::default()
    };
    let status = ops::status(db)?;
    let resume =
        if status.queue_paused { Some(db.read(ops::resume::resume_command)?.to_owned()) } else { None };
    let glance = Glance { status, doctor: ops::doctor(url, &examination)?, resume };
    let storage = Storage { sizes: ops::sizes(db)?, backups: backup::list_of(db.url(), &folder)? };
    let (queue, pipeline, channels, videos) = db.read(|c| {
        c.snapshot(|c| {
            Ok((
                Queue::read(c, &scope)?,
                Pipeline::read(c, &scope)?,
                Channels::read(c, &scope)?,
                Videos::read(c, &scope)?,
            ))
        })
    })?;
    let (trends, money, errors) = db.read(|c| {
        c.snapshot(|c| Ok((Trends::read(c, &scope)?, Money::read(c, &scope)?, Errors::read(c, &scope)?)))
    })?;
    let body = html! {
        (glance.render(&scope, &queue, &pipeline, &storage))
        (queue.render(&scope)) (pipeline.render(&scope)) (channels.render(&scope)) (videos.render(&scope))
        (trends.render(&scope)) (money.render(&scope)) (storage.render(&glance.status, &glance.doctor, &scope)) (errors.render(&scope))
    };
    let nav = [
        ("At a glance", "#content"),
        ("Queue", "#queue"),
        ("Pipeline", "#pipeline"),
        ("Channels", "#channels"),
        ("Videos", "#videos"),
        ("Trends", "#trends"),
        ("Costs and revenue", "#money"),
        ("Storage and backups", "#storage"),
        ("Errors", "#errors"),
    ]
    .map(|(label, href)| Link { label, href, current: false, alert: None });
    let mut title = format!("Report on the last {}", scope.length);
    if let Some(channel) = &channel {
        title.push_str(&format!(" · channel {}", super::sections::short(&channel.name, 60)));
    }
    if let Some(niche) = &scope.niche {
        title.push_str(&format!(" · niche {}", super::sections::short(niche, 60)));
    }
    let document =
        Page { title: &title, database: &glance.status.database, at: scope.now(), nav: &nav, body };
    Ok(page(&document).into_string())
}

/// Returns a length in words: whole days, or else hours or minutes.
fn in_words(length: Duration) -> String {
    let seconds = length.as_secs();
    let units = [(86_400, "day"), (3_600, "hour"), (60, "minute")];
    let whole = units.into_iter().find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit));
    let (count, unit) = whole.map_or((seconds, "second"), |(size, unit)| (seconds / size, unit));
    crate::quote::counted(count, unit)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_written_in_its_largest_whole_unit() {
        let words = |seconds| in_words(Duration::from_secs(seconds));
        assert_eq!(
            [86_400, 30 * 86_400, 90_000, 5_400, 61].map(words),
            ["1 day", "30 days", "25 hours", "90 minutes", "61 seconds"]
        );
    }
}
