//! Shell completions from the database: ids with their titles, and niches.
//!
//! A completion never creates, migrates or changes a database, and never fails. Without a database, it offers nothing.

use std::ffi::OsStr;
use std::time::Duration;

use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use viraldb::compilation::{
    Clip, DiscoveredVideo, ErrorLog, ErrorLogFilter, PipelineRun, ReviewLog, Script, Short, niches,
};
use viraldb::config::Registry;
use viraldb::db::database_url;
use viraldb::generation::Trend;
use viraldb::private::quote::{short, visible};
use viraldb::private::set_default_busy_timeout;
use viraldb::queue::JobSchedule;
use viraldb::republishing::{Channel, Music, TransformationPreset, Video, VideoProcessingJob};
use viraldb::{Database, DbConnection, Page, Result};

/// Maximum number of rows that a completion offers, newest first.
const NEWEST: i64 = 100;

/// The longest time that a completion waits for a lock.
const WAIT: Duration = Duration::from_millis(500);

/// Values and their descriptions.
type Found = Vec<(String, String)>;

/// Completes a value from the database.
fn from_database(find: fn(&mut DbConnection) -> Result<Found>) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        let current = current.to_string_lossy();
        let found = open().and_then(|db| db.read(find)).unwrap_or_default(); // a completion has nowhere to report an error
        found
            .into_iter()
            .filter(|(value, _)| value.starts_with(&*current))
            .map(|(value, help)| CompletionCandidate::new(value).help(Some(visible(&short(&help)).into())))
            .collect()
    })
}

/// Completes one of these values.
fn one_of(values: fn() -> Found) -> ArgValueCompleter {
    ArgValueCompleter::new(move |current: &OsStr| {
        let current = current.to_string_lossy();
        let found = values().into_iter().filter(|(value, _)| value.starts_with(&*current));
        found.map(|(value, help)| CompletionCandidate::new(value).help(Some(help.into()))).collect()
    })
}

/// Completes the key of a setting.
pub(super) fn settings() -> ArgValueCompleter {
    one_of(|| Registry::default().iter().map(|key| (key.name.to_string(), key.help.to_string())).collect())
}

/// Completes the name of a table.
pub(super) fn tables() -> ArgValueCompleter {
    one_of(|| viraldb::private::tables().map(|table| (table.to_owned(), String::new())).collect())
}

/// Opens the database that the command line being completed names.
fn open() -> Result<Database> {
    let args: Vec<String> = std::env::args().collect();
    let after = args.windows(2).find_map(|pair| match pair {
        [name, url] if name == "--database-url" => Some(url.as_str()),
        _ => None,
    });
    let joined = || args.iter().find_map(|arg| arg.strip_prefix("--database-url="));
    set_default_busy_timeout(WAIT);
    Database::connect(&database_url(after.or_else(joined))?)
}

fn page<K>() -> Page<K> {
    Page { after: None, limit: NEWEST }
}

/// Completes the id of a channel.
pub(super) fn channels() -> ArgValueCompleter {
    from_database(|c| {
        let rows = Channel::list(c, &Default::default(), &page())?;
        Ok(rows.into_iter().map(|row| (row.id.to_string(), row.name)).collect())
    })
}

/// Completes the id of a clip.
pub(super) fn clips() -> ArgValueCompleter {
    from_database(|c| {
        let rows = Clip::list(c, &Default::default(), &page())?;
        let help = |row: &Clip| format!("rank {} of run {}", row.rank_position, row.pipeline_run_id);
        Ok(rows.into_iter().map(|row| (row.id.to_string(), help(&row))).collect())
    })
}

/// Completes the number of an unresolved error.
pub(super) fn errors() -> ArgValueCompleter {
    from_database(|c| {
        let filter = ErrorLogFilter { resolved: Some(false), ..Default::default() };
        let rows = ErrorLog::list(c, &filter, &page())?;
        Ok(rows.into_iter().map(|row| (row.id.to_string(), row.error_message)).collect())
    })
}

/// Completes the id of a job.
pub(super) fn jobs() -> ArgValueCompleter {
    from_database(|c| {
        let rows = VideoProcessingJob::list(c, &Default::default(), &page())?;
        Ok(rows
            .into_iter()
            .map(|row| (row.id.to_string(), format!("{} {}", row.job_type, row.status)))
            .collect())
    })
}

/// Completes the id of a track.
pub(super) fn music() -> ArgValueCompleter {
    from_database(|c| {
        let rows = Music::list(c, &Default::default(), &page())?;
        Ok(rows.into_iter().map(|row| (row.id.to_string(), row.name)).collect())
    })
}

/// Completes a niche.
pub(super) fn niche() -> ArgValueCompleter {
    from_database(|c| Ok(niches(c, NEWEST)?.into_iter().map(|niche| (niche, String::new())).collect()))
}

/// Completes the id of a transformation preset.
pub(super) fn presets() -> ArgValueCompleter {
    from_database(|c| {
        let rows = TransformationPreset::list(c, &Default::default(), &page())?;
        Ok(rows.into_iter().map(|row| (row.id.to_string(), row.name)).collect())
    })
}

/// Completes the number of a review.
pub(super) fn reviews() -> ArgValueCompleter {
    from_database(|c| {
        let rows = ReviewLog::list(c, &Default::default(), &page())?;
        Ok(rows.into_iter().map(|row| (row.id.to_string(), format!("run {}", row.pipeline_run_id))).collect())
    })
}

/// Completes the number of a run.
pub(super) fn runs() -> ArgValueCompleter {
    from_database(|c| {
        let rows = PipelineRun::list(c, &Default::default(), &page())?;
        Ok(rows
            .into_iter()
            .map(|row| (row.id.to_string(), format!("{} {}", row.niche, row.status)))
            .collect())
    })
}

/// Completes the name of a schedule.
pub(super) fn schedules() -> ArgValueCompleter {
    from_database(|c| {
        let rows = JobSchedule::list(c, &page())?;
        Ok(rows.into_iter().map(|row| (row.name, format!("{} {}", row.job_type, row.cron))).collect())
    })
}

/// Completes the id of a script.
pub(super) fn scripts() -> ArgValueCompleter {
    from_database(|c| {
        let rows = Script::list(c, &Default::default(), &page())?;
        Ok(rows.into_iter().map(|row| (row.id.to_string(), format!("run {}", row.pipeline_run_id))).collect())
    })
}

/// Completes the id of a short.
pub(super) fn shorts() -> ArgValueCompleter {
    from_database(|c| {
        let rows = Short::list(c, &Default::default(), &page())?;
        let help = |row: &Short| row.title.clone().unwrap_or_else(|| format!("run {}", row.pipeline_run_id));
        Ok(rows.into_iter().map(|row| (row.id.to_string(), help(&row))).collect())
    })
}

/// Completes the id of a source video.
pub(super) fn source_videos() -> ArgValueCompleter {
    from_database(|c| {
        let rows = Video::list(c, &Default::default(), &page())?;
        Ok(rows.into_iter().map(|row| (row.id.to_string(), row.source_title)).collect())
    })
}

/// Completes the number of a trend.
pub(super) fn trends() -> ArgValueCompleter {
    from_database(|c| {
        let rows = Trend::list(c, &Default::default(), &page())?;
        Ok(rows.into_iter().map(|row| (row.id.to_string(), row.title.unwrap_or(row.external_id))).collect())
    })
}

/// Completes the id of a video with statistics: YouTube's id of a discovered or uploaded video, or the id of a source
/// video.
pub(super) fn measured_videos() -> ArgValueCompleter {
    from_database(|c| {
        let discovered = DiscoveredVideo::list(c, &Default::default(), &page())?;
        let runs = PipelineRun::list(c, &Default::default(), &page())?;
        let sources = Video::list(c, &Default::default(), &page())?;
        let of_run =
            |run: PipelineRun| Some((run.youtube_video_id?, format!("run {} of {}", run.id, run.niche)));
        let discovered = discovered.into_iter().map(|row| (row.video_id, row.title));
        let uploaded = runs.into_iter().filter_map(of_run);
        let sources = sources.into_iter().map(|row| (row.id.to_string(), row.source_title));
        Ok(discovered.chain(uploaded).chain(sources).collect())
    })
}

/// Completes YouTube's id of a discovered video.
pub(super) fn videos() -> ArgValueCompleter {
    from_database(|c| {
        let rows = DiscoveredVideo::list(c, &Default::default(), &page())?;
        Ok(rows.into_iter().map(|row| (row.video_id, row.title)).collect())
    })
}
