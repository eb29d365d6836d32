//! Shell completions for `--columns`: the columns of what the command prints, as far as they are known.

use std::ffi::OsStr;

use clap::CommandFactory;
use clap_complete::engine::{ArgValueCompleter, CompletionCandidate};

use super::{Cli, schema, stats};
use viraldb::compilation::{
    Analytics, Clip, DiscoveredVideo, ErrorLog, PipelineRun, ReviewLog, RunView, Script, Short,
};
use viraldb::config::{Change, Explained, Problem};
use viraldb::db::migrate::Entry;
use viraldb::generation::Trend;
use viraldb::ingest::Report;
use viraldb::ops::Finding;
use viraldb::ops::backup::Listed;
use viraldb::private::json_upsert::columns as of;
use viraldb::queue::{JobSchedule, TypeStats};
use viraldb::republishing::{
    Channel, ChannelStatistics, Music, TransformationPreset, Video, VideoProcessingJob, VideoStatistics,
};

/// Completes a column of the command that is being typed.
pub(super) fn columns() -> ArgValueCompleter {
    ArgValueCompleter::new(|current: &OsStr| {
        let current = current.to_string_lossy();
        let words: Vec<String> = std::env::args().collect();
        let command = command_in(words.iter().map(String::as_str));
        let command: Vec<&str> = command.iter().map(String::as_str).collect();
        let found = columns_of(&command).into_iter().filter(|name| name.starts_with(&*current));
        found.map(CompletionCandidate::new).collect()
    })
}

/// Returns the command in a command line, such as `videos list`. Words that are not commands are skipped, because they
/// are values of options.
fn command_in<'a>(words: impl Iterator<Item = &'a str>) -> Vec<String> {
    let mut command = Cli::command();
    let mut found = Vec::new();
    for word in words {
        if let Some(sub) = command.find_subcommand(word).cloned() {
            command = sub;
            found.push(word.to_owned());
        }
    }
    found
}

/// Returns the columns of a command's rows or the fields of its object. Returns none if they are not known.
fn columns_of(command: &[&str]) -> Vec<&'static str> {
    match command {
        ["videos", "show"] => [of::<DiscoveredVideo>(), &["latest", "runs"]].concat(),
        ["runs", "show"] => of::<RunView>().to_vec(),
        ["reviews", "answer"] => [of::<ReviewLog>(), &["run_status"]].concat(),
        ["jobs", "stats"] => of::<TypeStats>().to_vec(),
        ["stats", "video"] => either(of::<Analytics>(), of::<VideoStatistics>()),
        ["stats", "channel"] => of::<ChannelStatistics>().to_vec(),
        ["stats", "growth" | "top"] => either(stats::VIDEO_GROWTH, stats::CHANNEL_GROWTH),
        ["config", "list" | "explain" | "set" | "unset"] => of::<Explained>().to_vec(),
        ["config", "history"] => of::<Change>().to_vec(),
        ["config", "validate"] => of::<Problem>().to_vec(),
        ["backup", "list" | "prune"] => of::<Listed>().to_vec(),
        ["migrate", "status"] => of::<Entry>().to_vec(),
        ["channels" | "presets" | "music" | "trends", "remove"] | ["jobs", "rescue" | "prune"] => Vec::new(),
        ["schedules", "delete" | "tick"] => Vec::new(),
        ["schedules", "show"] => [of::<JobSchedule>(), &["next_times"]].concat(),
        ["schedules", "next"] => vec!["at", "local"],
        ["schedules", "run"] => of::<VideoProcessingJob>().to_vec(),
        ["schedules", ..] => of::<JobSchedule>().to_vec(),
        ["videos", ..] => of::<DiscoveredVideo>().to_vec(),
        ["runs", "choose"] | ["clips", ..] => of::<Clip>().to_vec(),
        ["runs", ..] => of::<PipelineRun>().to_vec(),
        ["scripts", ..] => of::<Script>().to_vec(),
        ["shorts", ..] => of::<Short>().to_vec(),
        ["reviews", ..] => of::<ReviewLog>().to_vec(),
        ["jobs", ..] => of::<VideoProcessingJob>().to_vec(),
        ["channels", ..] => of::<Channel>().to_vec(),
        ["source-videos", ..] => of::<Video>().to_vec(),
        ["presets", ..] => of::<TransformationPreset>().to_vec(),
        ["music", ..] => of::<Music>().to_vec(),
        ["trends", ..] => of::<Trend>().to_vec(),
        ["errors", "list" | "log"] => of::<ErrorLog>().to_vec(),
        ["doctor"] => of::<Finding>().to_vec(),
        ["ingest"] => of::<Report>().to_vec(),
        ["schema"] => of::<schema::Row>().to_vec(),
        _ => Vec::new(),
    }
}

/// Returns the names of two lists, without duplicates.
fn either(one: &[&'static str], other: &[&'static str]) -> Vec<&'static str> {
    one.iter().chain(other.iter().filter(|name| !one.contains(name))).copied().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn command_is_found_among_options() {
        let words = ["viraldb", "--", "viraldb", "--format", "json", "jobs", "list", "--columns", "i"];
        assert_eq!(command_in(words.into_iter()), ["jobs", "list"]);
        assert!(command_in(["viraldb", "--columns"].into_iter()).is_empty());
    }

    #[test]
    fn every_list_has_known_columns() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            if command.find_subcommand("list").is_some() {
                assert!(!columns_of(&[name, "list"]).is_empty(), "{name} list has no columns");
            }
        }
        assert!(columns_of(&["stats", "video"]).contains(&"youtube_video_id"));
    }
}
