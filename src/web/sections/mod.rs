//! The sections of the report and the pages of the dashboard. Each file reads the data of one section and renders it.

pub(super) mod channels;
pub(super) mod errors;
pub(super) mod glance;
pub(super) mod money;
pub(super) mod pipeline;
pub(super) mod queue;
pub(super) mod storage;
pub(super) mod trends;
pub(super) mod videos;

use std::fmt::Display;

use chrono::{DateTime, Utc};
use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::chart::Unit;
use crate::report::Span;
use crate::series::Every;
use crate::types::{ChannelId, Timestamp};

/// The part of the database that a page covers.
#[derive(Debug, Clone)]
pub(super) struct Scope {
    /// The period of time.
    pub span: Span,
    /// The period in words, such as `30 days`.
    pub length: String,
    /// Only jobs, statistics and publications of this channel.
    pub channel: Option<ChannelId>,
    /// Only videos and runs of this niche.
    pub niche: Option<String>,
    /// Where links lead.
    pub links: Links,
}

/// The characters of a key that an address cannot contain as they are.
const IN_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Where links lead.
#[derive(Debug, Clone, Default)]
pub(super) enum Links {
    /// To sections of the report.
    #[default]
    Report,
    /// To pages of the dashboard, with the query that keeps the period, channel and niche: `?since=7d`, or empty.
    Dashboard(String),
}

impl Scope {
    /// Returns when the numbers were read.
    pub fn now(&self) -> DateTime<Utc> {
        self.span.until.to_utc()
    }

    /// Returns the time axis of charts about the period.
    pub fn axis(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        Some((self.span.since.to_utc(), self.now()))
    }

    pub fn niche(&self) -> Option<&str> {
        self.niche.as_deref()
    }

    /// Returns the address of a section: `#queue` in the report and `/queue?since=7d` in the dashboard.
    pub fn part(&self, section: &str) -> String {
        match &self.links {
            Links::Report => format!("#{section}"),
            Links::Dashboard(query) => format!("/{section}{query}"),
        }
    }

    /// Returns the address of a row's own page, such as `/jobs/ID`. The report has no such pages.
    pub fn page_of(&self, kind: &str, key: impl Display) -> Option<String> {
        match &self.links {
            Links::Report => None,
            Links::Dashboard(_) => {
                Some(format!("/{kind}/{}", utf8_percent_encode(&key.to_string(), IN_PATH)))
            }
        }
    }

    /// Returns a text that leads to a row's own page, where there is one.
    fn link(&self, kind: &str, key: impl Display, text: &Markup) -> Markup {
        match self.page_of(kind, key) {
            Some(href) => html! { a href=(href) { (text) } },
            None => text.clone(),
        }
    }

    /// Returns the word for the length of a period in titles: `hour`, `day` or `week`.
    pub fn every(&self) -> &'static str {
        match self.span.every {
            Every::Hour => "hour",
            Every::Day => "day",
            Every::Week => "week",
        }
    }
}

/// Returns a count in full, such as `12,345`.
fn full(count: i64) -> String {
    Unit::Count.full(count as f64)
}

/// Returns a count in full, or a dash for an unknown one.
fn known(count: Option<i64>) -> String {
    count.map_or_else(|| "–".to_owned(), full)
}

/// Returns how much a count grew, with its sign.
fn growth(count: i64) -> String {
    let sign = if count > 0 { "+" } else { "" };
    format!("{sign}{}", full(count))
}

/// Returns a duration, or a dash for an unknown one.
fn duration(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "–".to_owned(), |seconds| Unit::Seconds.short(seconds))
}

/// Returns how long ago something was.
fn ago(at: Timestamp, scope: &Scope) -> Markup {
    super::components::ago(at.to_utc(), scope.now())
}

/// Returns how long ago something was, or a dash for an unknown time.
fn maybe_ago(at: Option<Timestamp>, scope: &Scope) -> Markup {
    at.map_or_else(|| html! { "–" }, |at| ago(at, scope))
}

/// Returns a text without the characters that HTML cannot contain.
///
/// The template engine escapes markup, but a NUL, another control character or a noncharacter would make the document invalid.
pub(in crate::web) fn clean(text: &str) -> String {
    let is_noncharacter = |c: char| matches!(c, '\u{FDD0}'..='\u{FDEF}') || u32::from(c) & 0xFFFE == 0xFFFE;
    let is_forbidden = |c: char| c.is_control() && !matches!(c, '\n' | '\t') || is_noncharacter(c);
    text.chars().map(|c| if is_forbidden(c) { '\u{FFFD}' } else { c }).collect()
}

/// Returns the start of a text with at most `most` characters, without control characters.
pub(super) fn short(text: &str, most: usize) -> String {
    let mut shown: String = text.chars().take(most).collect();
    if shown.len() < text.len() {
        shown.push('…');
    }
    clean(&shown.replace(['\n', '\t', '\r'], " "))
}

/// Returns the hint of an empty list.
fn nothing(words: &str, hint: &str, command: &str) -> Markup {
    super::components::empty(words, &html! { (hint) " " (super::components::command(command)) })
}

/// Returns what mends a problem. Commands in it are in backticks, unless it is only a command.
pub(super) fn mend(text: &str) -> Markup {
    let text = clean(text);
    if text.starts_with("viraldb ") && !text.contains('`') {
        return super::components::command(&text);
    }
    html! {
        @for (place, part) in text.split('`').enumerate() {
            @if place % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}
