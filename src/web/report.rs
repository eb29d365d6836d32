//! The report: one HTML file about a database.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use maud::html;

use super::layout::{Link, Page, Shell, page};
use super::sections::channels::Channels;
use super::sections::errors::Errors;
use super::sections::glance::Glance;
use super::sections::money::Money;
use super::sections::pipeline::Pipeline;
use super::sections::queue::Queue;
use super::sections::storage::{Storage, is_large};
use super::sections::trends::Trends;
use super::sections::videos::Videos;
use super::sections::{Links, Scope};
use crate::compilation::{DiscoveredVideo, DiscoveredVideoFilter, PipelineRun, PipelineRunFilter};
use crate::ops::{self, Check, Examination, backup};
use crate::quote::quoted;
use crate::report::Span;
use crate::republishing::Channel;
use crate::types::ChannelId;
use crate::{Database, DbConnection, Error, Result};

/// The options of a report. `ReportOptions::default()` covers the last 30 days of all channels and niches.
#[derive(Debug, Clone)]
pub struct ReportOptions {
    /// Length of the period, which ends now.
    pub since: Duration,
    /// Only the jobs, statistics and publications of this channel. Sections about the whole database are left out.
    pub channel: Option<ChannelId>,
    /// Only the videos and runs of this niche. Sections about the whole database are left out.
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
/// - [`Invalid`](crate::Error::Invalid) if no video and no run belongs to the niche.
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
    fs::metadata(folder)?; // the error of a missing folder would name the temporary file
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
        links: Links::Report,
    };
    let channel = options.channel.map(|id| db.read(|c| Channel::find(c, id))).transpose()?;
    if let Some(niche) = &options.niche {
        db.read(|c| require_niche(c, niche))?;
    }
    // A page about a channel or a niche has no numbers of the whole database.
    let (is_whole, of_channel, of_niche) = match (options.channel, &options.niche) {
        (None, None) => (true, true, true),
        (channel, niche) => (false, channel.is_some(), niche.is_some()),
    };
    let (queue, channels, pipeline, videos) = db.read(|c| {
        c.snapshot(|c| {
            Ok((
                of_channel.then(|| Queue::read(c, &scope)).transpose()?,
                of_channel.then(|| Channels::read(c, &scope)).transpose()?,
                of_niche.then(|| Pipeline::read(c, &scope)).transpose()?,
                of_niche.then(|| Videos::read(c, &scope)).transpose()?,
            ))
        })
    })?;
    let whole = if is_whole { Some(Whole::read(db, url, options, &scope)?) } else { None };
    let database = match &whole {
        Some(whole) => whole.glance.status.database.clone(),
        None => db.url().to_string(),
    };
    let body = html! {
        @if let (Some(whole), Some(queue), Some(pipeline)) = (&whole, &queue, &pipeline) {
            (whole.glance.render(&scope, queue, pipeline, &whole.storage))
        }
        @if let Some(queue) = &queue { (queue.render(&scope)) }
        @if let Some(pipeline) = &pipeline { (pipeline.render(&scope)) }
        @if let Some(channels) = &channels { (channels.render(&scope)) }
        @if let Some(videos) = &videos { (videos.render(&scope)) }
        @if let Some(whole) = &whole {
            (whole.trends.render(&scope)) (whole.money.render(&scope))
            (whole.storage.render(&whole.glance.status, whole.glance.doctor.as_deref(), &scope)) (whole.errors.render(&scope))
        }
    };
    let nav: Vec<Link> = [
        ("At a glance", "#content", is_whole),
        ("Queue", "#queue", of_channel),
        ("Pipeline", "#pipeline", of_niche),
        ("Channels", "#channels", of_channel),
        ("Videos", "#videos", of_niche),
        ("Trends", "#trends", is_whole),
        ("Costs and revenue", "#money", is_whole),
        ("Storage and backups", "#storage", is_whole),
        ("Errors", "#errors", is_whole),
    ]
    .into_iter()
    .filter(|(_, _, is_shown)| *is_shown)
    .map(|(label, href, _)| Link { label, href, current: false, alert: None })
    .collect();
    let mut title = format!("Report on the last {}", scope.length);
    if let Some(channel) = &channel {
        title.push_str(&format!(" · channel {}", super::sections::short(&channel.name, 60)));
    }
    if let Some(niche) = &scope.niche {
        title.push_str(&format!(" · niche {}", super::sections::short(niche, 60)));
    }
    let document =
        Page { title: &title, database: &database, at: scope.now(), nav: &nav, body, shell: Shell::Report };
    Ok(page(&document).into_string())
}

/// The sections about the whole database.
struct Whole {
    glance: Glance,
    storage: Storage,
    trends: Trends,
    money: Money,
    errors: Errors,
}

impl Whole {
    fn read(db: &Database, url: &str, options: &ReportOptions, scope: &Scope) -> Result<Self> {
        let status = ops::status(db)?;
        // Checking every page of a large file takes minutes.
        let wants = |check: &Check| *check != Check::Integrity || !is_large(&status);
        let examination = Examination {
            only: Check::ALL.iter().copied().filter(wants).collect(),
            backups: options.backups.clone(),
            config: options.config.clone(),
            ..Default::default()
        };
        let folder = options.backups.clone().unwrap_or_else(|| backup::default_folder(db.url()));
        let resume =
            if status.queue_paused { Some(db.read(ops::resume::resume_command)?.to_owned()) } else { None };
        let storage =
            Storage { sizes: Storage::sizes(db, &status)?, backups: backup::list_of(db.url(), &folder)? };
        let glance = Glance { status, doctor: Some(Arc::new(ops::doctor(url, &examination)?)), resume };
        db.read(|c| {
            c.snapshot(|c| {
                let (trends, money) = (Trends::read(c, scope)?, Money::read(c, scope)?);
                Ok(Self { glance, storage, trends, money, errors: Errors::read(c, scope)? })
            })
        })
    }
}

/// Fails if no video and no run belongs to the niche.
fn require_niche(conn: &mut DbConnection, niche: &str) -> Result<()> {
    let videos = DiscoveredVideoFilter { niche: Some(niche), ..Default::default() };
    let runs = PipelineRunFilter { niche: Some(niche), ..Default::default() };
    if DiscoveredVideo::exists(conn, &videos)? || PipelineRun::exists(conn, &runs)? {
        return Ok(());
    }
    let reason = "has no videos and no runs; `viraldb status` lists the niches";
    Err(Error::invalid(format!("the niche {}", quoted(niche)), reason))
}

/// Returns a length in words: whole days, or else hours or minutes.
pub(super) fn in_words(length: Duration) -> String {
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
