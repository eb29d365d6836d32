//! Where the rows come from: which format an input has, and who reads it.

use std::io::BufRead;

use super::found::Sink;
use super::{Format, Options, json, jsonl, youtube_api, youtube_trending, yt_dlp};
use crate::{Error, Result};

/// Where the rows come from.
pub(super) enum Source {
    YoutubeTrending,
    YoutubeApi,
    YtDlp,
    Jsonl(&'static jsonl::Target),
}

impl Source {
    /// The source of an input that begins with `head`.
    pub(super) fn of(name: &str, head: &[u8], options: &Options<'_>) -> Result<(Self, Format)> {
        let format = match options.format {
            Some(format) => format,
            None => recognise(name, head, options)?,
        };
        let source = match format {
            Format::Jsonl => Self::Jsonl(jsonl::table(options.table.unwrap_or("discovered_videos"))?),
            _ if options.table.is_some() => {
                return Err(Error::invalid("--table", format!("goes with jsonl, and {name} is {format}")));
            }
            Format::YoutubeTrending => Self::YoutubeTrending,
            Format::YoutubeApi => Self::YoutubeApi,
            Format::YtDlp => Self::YtDlp,
        };
        if let (Self::Jsonl(table), Some(_)) = (&source, options.niche)
            && !table.takes_niche()
        {
            let reason = format!("goes with videos, and the rows are for {}", table.name());
            return Err(Error::invalid("--niche", reason));
        }
        Ok((source, format))
    }

    /// The table that the counts of new, updated and unchanged rows are of.
    pub(super) fn table(&self) -> &'static str {
        match self {
            Self::Jsonl(table) => table.name(),
            _ => "discovered_videos",
        }
    }

    /// Hands each row of the input to `sink`.
    pub(super) fn read(
        &self,
        name: &str,
        input: &mut impl BufRead,
        niche: Option<&str>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        match self {
            Self::YoutubeTrending => youtube_trending::read(name, input, niche, sink),
            Self::YoutubeApi => json::read(input, "items", &mut |item| youtube_api::found(item, niche), sink),
            Self::YtDlp => json::read(input, "entries", &mut |item| yt_dlp::found(item, niche), sink),
            Self::Jsonl(target) => jsonl::read(input, target, niche, sink),
        }
    }
}

/// Recognises a format by how it begins.
fn recognise(name: &str, head: &[u8], options: &Options<'_>) -> Result<Format> {
    let text = String::from_utf8_lossy(head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head));
    let text = text.trim_start();
    let has = |words: &[&str]| words.iter().any(|word| text.contains(word));
    if text.starts_with(['{', '[']) {
        return Ok(if options.table.is_some() {
            Format::Jsonl
        } else if has(&["\"youtube#video"]) || is_api_error(text) {
            Format::YoutubeApi
        } else if has(&[
            "\"extractor\"",
            // Its list comes before all else, and may be longer than the head.
            "\"format_id\"",
            "\"extractor_key\"",
            "\"webpage_url\"",
            "\"ie_key\"",
            "\"_type\"",
            "\"entries\"",
        ]) {
            Format::YtDlp
        } else if has(&["\"statistics\"", "\"snippet\"", "\"contentDetails\""]) {
            Format::YoutubeApi
        } else {
            Format::Jsonl
        });
    }
    let header = text.lines().next().unwrap_or_default();
    if header.contains("video_id") && header.contains("trending_date") {
        return Ok(Format::YoutubeTrending);
    }
    let known: Vec<&str> = Format::ALL.iter().map(|format| format.as_str()).collect();
    let what = if text.is_empty() { "is empty" } else { "is of no format we recognise" };
    Err(Error::invalid(name, format!("{what}; name it with --as {}", known.join("|"))))
}

/// Whether it is what the YouTube API answers when it refuses.
fn is_api_error(text: &str) -> bool {
    text.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with("\"error\""))
}
