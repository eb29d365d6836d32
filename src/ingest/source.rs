//! Where the rows come from: which format an input has, and who reads it.

use std::io::BufRead;

use super::found::Sink;
use super::tabular::Header;
use super::{Format, Options, csv_table, json, jsonl, studio, youtube_api, youtube_trending, yt_dlp};
use crate::{Error, Result, Timestamp};

/// Where the rows come from.
pub(super) enum Source {
    YoutubeTrending(youtube_trending::Layout),
    YoutubeStudio(studio::Layout),
    YoutubeApi,
    YtDlp,
    Jsonl(&'static jsonl::Target),
    Csv(csv_table::Layout),
}

impl Source {
    /// The source of an input that begins with `head`.
    pub(super) fn of(name: &str, head: &[u8], options: &Options<'_>) -> Result<(Self, Format)> {
        let format = match options.format {
            Some(format) => format,
            None => recognise(name, head, options)?,
        };
        let is_csv = matches!(format, Format::YoutubeTrending | Format::YoutubeStudio | Format::Csv);
        if !is_csv && !options.map.is_empty() {
            return Err(Error::invalid("--map", format!("is for CSV, and {name} is {format}")));
        }
        if options.table.is_some() && !matches!(format, Format::Jsonl | Format::Csv) {
            let reason =
                format!("goes with jsonl or csv, and {name} is {format}; add --as csv to read it as a table");
            return Err(Error::invalid("--table", reason));
        }
        let table = || jsonl::table(options.table.unwrap_or("discovered_videos"));
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
            Format::YoutubeApi => Self::YoutubeApi,
            Format::YtDlp => Self::YtDlp,
        };
        let takes_niche =
            source.target().map_or(source.table() == "discovered_videos", jsonl::Target::takes_niche);
        if options.niche.is_some() && !takes_niche {
            let reason = format!("goes with videos, and the rows are for {}", source.table());
            return Err(Error::invalid("--niche", reason));
        }
        Ok((source, format))
    }

    /// The table that the counts of new, updated and unchanged rows are of.
    pub(super) fn table(&self) -> &'static str {
        match self {
            Self::YoutubeStudio(_) => "analytics",
            _ => self.target().map_or("discovered_videos", jsonl::Target::name),
        }
    }

    /// The table whose rows come as documents of its columns.
    pub(super) fn target(&self) -> Option<&'static jsonl::Target> {
        match self {
            Self::Jsonl(target) => Some(target),
            Self::Csv(layout) => Some(layout.target),
            _ => None,
        }
    }

    /// Which column of a CSV becomes which of ours; empty for other formats.
    pub(super) fn mapping(&self) -> Vec<(String, String)> {
        match self {
            Self::YoutubeTrending(layout) => layout.mapping(),
            Self::YoutubeStudio(layout) => layout.mapping(),
            Self::Csv(layout) => layout.mapping(),
            Self::YoutubeApi | Self::YtDlp | Self::Jsonl(_) => Vec::new(),
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
            Self::YoutubeTrending(layout) => youtube_trending::read(name, input, layout, niche, sink),
            Self::YoutubeStudio(layout) => studio::read(name, input, layout, sink),
            Self::Csv(layout) => csv_table::read(name, input, layout, niche, sink),
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
    recognise_csv(name, head, text.is_empty(), options)
}

/// Recognizes a CSV by the columns of its header.
fn recognise_csv(name: &str, head: &[u8], is_empty: bool, options: &Options<'_>) -> Result<Format> {
    let known: Vec<&str> = Format::ALL.iter().map(|format| format.as_str()).collect();
    let known = known.join("|");
    if is_empty {
        return Err(Error::invalid(name, format!("is empty; name it with --as {known}")));
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
    // The share of its columns that a format lacks, in thousandths, without which floats would be compared.
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
        name,
        format!(
            "is of no format we recognise: its first columns are {}{closest}; say which column is which with --map \
             COLUMN=CSV_COLUMN, read it into a table with --as csv --table TABLE, or name its format with --as {known}",
            header.list()
        ),
    ))
}

/// Whether it is what the YouTube API answers when it refuses.
fn is_api_error(text: &str) -> bool {
    text.strip_prefix('{').is_some_and(|rest| rest.trim_start().starts_with("\"error\""))
}
