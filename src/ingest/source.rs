//! Where the rows come from: which format an input has, and who reads it.

use std::io::BufRead;

use super::convert::each;
use super::found::{Sink, When};
use super::{
    Format, Options, json, jsonl, shape, takeout, tiktok, youtube_analytics, youtube_api, youtube_channels,
    youtube_trending, yt_dlp,
};
use crate::{Error, Result};

/// Where the rows come from.
pub(super) enum Source {
    YoutubeTrending,
    YoutubeApi(When),
    YoutubeAnalytics(When),
    YoutubeChannels(When),
    YtDlp(When),
    Tiktok(When),
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
            Format::YoutubeApi => Self::YoutubeApi(When::of(options)),
            Format::YoutubeAnalytics => Self::YoutubeAnalytics(When::of(options)),
            Format::YoutubeChannels => Self::YoutubeChannels(When::of(options)),
            Format::YtDlp => Self::YtDlp(When::of(options)),
            Format::Tiktok => Self::Tiktok(When::of(options)),
            Format::Takeout => return Err(takeout::refuse(name)),
        };
        if options.niche.is_some() && source.table() != "discovered_videos" {
            let reason = format!("goes with videos, and the rows are for {}", source.table());
            return Err(Error::invalid("--niche", reason));
        }
        Ok((source, format))
    }

    /// The table that the counts of new, updated and unchanged rows are of.
    pub(super) fn table(&self) -> &'static str {
        match self {
            Self::Jsonl(table) => table.name(),
            Self::YoutubeAnalytics(_) => "analytics",
            Self::YoutubeChannels(_) => "channel_statistics",
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
            Self::YoutubeApi(when) => {
                json::read(input, &mut each(&["items"], |item| youtube_api::found(item, niche, *when)), sink)
            }
            Self::YoutubeAnalytics(when) => {
                json::read(input, &mut youtube_analytics::Reports::new(*when), sink)
            }
            Self::YoutubeChannels(when) => {
                json::read(input, &mut each(&["items"], |item| youtube_channels::found(item, *when)), sink)
            }
            Self::YtDlp(when) => {
                json::read(input, &mut each(&["entries"], |item| yt_dlp::found(item, niche, *when)), sink)
            }
            Self::Tiktok(when) => {
                json::read(input, &mut each(tiktok::LISTS, |item| tiktok::found(item, niche, *when)), sink)
            }
            Self::Jsonl(target) => jsonl::read(input, target, niche, sink),
        }
    }
}

/// Recognises a format by how it begins.
fn recognise(name: &str, head: &[u8], options: &Options<'_>) -> Result<Format> {
    let text = String::from_utf8_lossy(head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head));
    let text = text.trim_start();
    if text.starts_with(['{', '[']) {
        return if options.table.is_some() { Ok(Format::Jsonl) } else { shape::format(name, text) };
    }
    if takeout::is_html(text) {
        return Ok(Format::Takeout);
    }
    let header = text.lines().next().unwrap_or_default();
    if header.contains("video_id") && header.contains("trending_date") {
        return Ok(Format::YoutubeTrending);
    }
    let known: Vec<&str> = Format::ALL.iter().map(|format| format.as_str()).collect();
    let what = if text.is_empty() { "is empty" } else { "is of no format we recognise" };
    Err(Error::invalid(name, format!("{what}; name it with --as {}", known.join("|"))))
}
