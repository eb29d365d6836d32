//! Recognizes the format of an input and selects the reader for it.

use std::io::BufRead;

use super::convert::each;
use super::found::{Sink, When};
use super::tabular::Header;
use super::{
    Format, Options, csv_table, json, jsonl, shape, studio, takeout, tiktok, youtube_analytics, youtube_api,
    youtube_channels, youtube_trending, yt_dlp,
};
use crate::tables::{Target, table};
use crate::{Error, Result, Timestamp};

/// A source of rows.
pub(super) enum Source {
    YoutubeTrending(youtube_trending::Layout),
    YoutubeStudio(studio::Layout),
    YoutubeApi(When),
    YoutubeAnalytics(When),
    YoutubeChannels(When),
    YtDlp(When),
    Tiktok(When),
    Jsonl(&'static Target),
    Csv(csv_table::Layout),
    /// Not a file: a program supplies records of videos.
    Records,
}

impl Source {
    /// Returns the source and the format of an input that begins with `head`.
    pub(super) fn of(name: &str, head: &[u8], options: &Options<'_>) -> Result<(Self, Format)> {
        let format = match options.format {
            Some(format) => format,
            None => recognise(name, head, options)?,
        };
        let is_csv = matches!(format, Format::YoutubeTrending | Format::YoutubeStudio | Format::Csv);
        if !is_csv && !options.map.is_empty() {
            return Err(Error::invalid("--map", format!("works only with CSV, but {name} is {format}")));
        }
        if options.table.is_some() && !matches!(format, Format::Jsonl | Format::Csv) {
            let reason = format!(
                "works only with jsonl or csv, but {name} is {format}; add --as csv to read it as a table"
            );
            return Err(Error::invalid("--table", reason));
        }
        let table = || table(options.table.unwrap_or("discovered_videos"));
        let header = || Header::of(name, head);
        let map = options.map;
        let source = match format {
            Format::Jsonl => Self::Jsonl(table()?),
            Format::Csv => Self::Csv(csv_table::Layout::of(name, head, header()?, table()?, map)?),
            Format::YoutubeTrending => {
                Self::YoutubeTrending(youtube_trending::Layout::of(name, header()?, map)?)
            }
            Format::YoutubeStudio => {
                let measured_at = options.measured_at.or(options.modified).unwrap_or_else(Timestamp::now);
                Self::YoutubeStudio(studio::Layout::of(name, head, header()?, map, measured_at)?)
            }
            Format::YoutubeApi => Self::YoutubeApi(When::of(options)),
            Format::YoutubeAnalytics => Self::YoutubeAnalytics(When::of(options)),
            Format::YoutubeChannels => Self::YoutubeChannels(When::of(options)),
            Format::YtDlp => Self::YtDlp(When::of(options)),
            Format::Tiktok => Self::Tiktok(When::of(options)),
            Format::Takeout => return Err(takeout::refuse(name)),
        };
        if options.niche.is_some() && source.table() != "discovered_videos" {
            let reason = format!("applies only to videos, but the rows are for {}", source.table());
            return Err(Error::invalid("--niche", reason));
        }
        Ok((source, format))
    }

    /// Returns the table that the counts of new, updated and unchanged rows refer to.
    pub(super) fn table(&self) -> &'static str {
        match self {
            Self::YoutubeStudio(_) | Self::YoutubeAnalytics(_) => "analytics",
            Self::YoutubeChannels(_) => "channel_statistics",
            _ => self.target().map_or("discovered_videos", Target::name),
        }
    }

    /// Returns the target table if rows are converted to documents of its columns.
    pub(super) fn target(&self) -> Option<&'static Target> {
        match self {
            Self::Jsonl(target) => Some(target),
            Self::Csv(layout) => Some(layout.target),
            _ => None,
        }
    }

    /// Returns pairs of a viraldb column and the CSV column that fills it. Empty for other formats.
    pub(super) fn mapping(&self) -> Vec<(String, String)> {
        match self {
            Self::YoutubeTrending(layout) => layout.mapping(),
            Self::YoutubeStudio(layout) => layout.mapping(),
            Self::Csv(layout) => layout.mapping(),
            _ => Vec::new(),
        }
    }

    /// Passes each row of the input to `sink`.
    pub(super) fn read(
        &self,
        name: &str,
        input: &mut impl BufRead,
        niche: Option<&str>,
        sink: &mut Sink<'_>,
    ) -> Result<()> {
        match self {
            Self::YoutubeTrending(layout) => youtube_trending::read(name, input, layout, niche, sink),
            Self::YoutubeStudio(layout) => studio::read(name, input, layout, sink),
            Self::Csv(layout) => csv_table::read(name, input, layout, niche, sink),
            Self::YoutubeApi(when) => json::read(
                name,
                input,
                &mut each(&["items"], |item| youtube_api::found(item, niche, *when)),
                sink,
            ),
            Self::YoutubeAnalytics(when) => {
                json::read(name, input, &mut youtube_analytics::Reports::new(*when), sink)
            }
            Self::YoutubeChannels(when) => json::read(
                name,
                input,
                &mut each(&["items"], |item| youtube_channels::found(item, *when)),
                sink,
            ),
            Self::YtDlp(when) => json::read(
                name,
                input,
                &mut each(&["entries"], |item| yt_dlp::found(item, niche, *when)),
                sink,
            ),
            Self::Tiktok(when) => json::read(
                name,
                input,
                &mut each(tiktok::LISTS, |item| tiktok::found(item, niche, *when)),
                sink,
            ),
            Self::Jsonl(target) => jsonl::read(name, input, target, niche, sink),
            Self::Records => Ok(()), // records do not come from an input
        }
    }
}

/// Recognizes the format of an input by its beginning.
fn recognise(name: &str, head: &[u8], options: &Options<'_>) -> Result<Format> {
    let text = String::from_utf8_lossy(head.strip_prefix(b"\xef\xbb\xbf").unwrap_or(head));
    let text = text.trim_start();
    if text.starts_with(['{', '[']) {
        return if options.table.is_some() { Ok(Format::Jsonl) } else { shape::format(name, text) };
    }
    if takeout::is_html(text) {
        return Ok(Format::Takeout);
    }
    recognise_csv(name, head, text.is_empty(), options)
}

/// Recognizes a CSV by the columns of its header.
fn recognise_csv(name: &str, head: &[u8], is_empty: bool, options: &Options<'_>) -> Result<Format> {
    let known: Vec<&str> = Format::ALL.iter().map(|format| format.as_str()).collect();
    let known = known.join("|");
    if is_empty {
        return Err(Error::invalid(
            name,
            format!("is empty, so its format cannot be recognized; choose one with --as {known}"),
        ));
    }
    let header = Header::of(name, head)?;
    if youtube_trending::is_header(&header) {
        return Ok(Format::YoutubeTrending);
    }
    if studio::is_header(&header) {
        return Ok(Format::YoutubeStudio);
    }
    if options.table.is_some() || !options.map.is_empty() {
        return Ok(Format::Csv);
    }
    if studio::is_totals_header(&header) {
        return Err(Error::invalid(name, format!("cannot be ingested: {}", studio::TOTALS)));
    }
    // Compare the share of missing columns, in thousandths to avoid comparing floats.
    let closest = [
        (Format::YoutubeTrending, youtube_trending::lacks(&header)),
        (Format::YoutubeStudio, studio::lacks(&header)),
    ]
    .into_iter()
    .filter(|(_, (lacking, all))| lacking.len() < *all)
    .min_by_key(|(_, (lacking, all))| lacking.len() * 1_000 / all);
    let closest = closest.map_or_else(String::new, |(format, (lacking, _))| {
        format!("; the closest format is {format}, which also needs {}", lacking.join(", "))
    });
    Err(Error::invalid(
        format!("cannot recognize the format of {name}:"),
        format!(
            "its first columns are {}{closest}; map columns with --map COLUMN=CSV_COLUMN, read it into a table with \
             --as csv --table TABLE, or choose a format with --as {known}",
            header.list()
        ),
    ))
}
