//! The parts that pages are made of.
//!
//! A state is never shown by color alone: it always has a word, and an icon with a shape of its own.

mod forms;
mod pager;
mod steps;
mod table;

pub use forms::{choice, text};
pub use pager::pager;
pub use steps::{Reached, Step, steps};
pub use table::{Column, table};

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::chart::{Hue, Unit, date_and_time};

/// How good or bad something is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tone {
    /// Waiting, or of no importance.
    #[default]
    Muted,
    /// In progress.
    Info,
    /// As it should be.
    Good,
    /// Needs a person soon.
    Warn,
    /// Failed or broken.
    Bad,
}

impl Tone {
    /// Returns the class of the style sheet.
    pub fn class(self) -> &'static str {
        match self {
            Self::Muted => "tone-muted",
            Self::Info => "tone-info",
            Self::Good => "tone-good",
            Self::Warn => "tone-warn",
            Self::Bad => "tone-bad",
        }
    }

    /// Returns the state as a word, for places without one of their own.
    pub fn word(self) -> &'static str {
        match self {
            Self::Muted => "waiting",
            Self::Info => "in progress",
            Self::Good => "OK",
            Self::Warn => "need attention",
            Self::Bad => "failed",
        }
    }

    /// Returns the tone of a status of any table. Unknown words are muted.
    pub fn of_status(status: &str) -> Self {
        match status {
            "running" | "processing" | "downloading" | "publishing" => Self::Info,
            "review" | "retrying" => Self::Warn,
            "approved" | "completed" | "downloaded" | "generated" | "published" | "transformed"
            | "uploaded" => Self::Good,
            "failed" | "rejected" => Self::Bad,
            _ => Self::Muted,
        }
    }
}

impl Hue {
    /// Returns the color of a status in charts. Unlike its tone, it tells `approved` from `uploaded`.
    pub fn of_status(status: &str) -> Self {
        match (status, Tone::of_status(status)) {
            ("approved" | "generated" | "downloaded", _) => Self::Four,
            (_, Tone::Muted) => Self::Muted,
            (_, Tone::Info) => Self::Info,
            (_, Tone::Good) => Self::Good,
            (_, Tone::Warn) => Self::Warn,
            (_, Tone::Bad) => Self::Bad,
        }
    }
}

/// Returns the icon of a tone: ring, dot, check mark, triangle or cross.
pub fn icon(tone: Tone) -> Markup {
    html! {
        svg class={ "icon " (tone.class()) } viewBox="0 0 16 16" aria-hidden="true" {
            @match tone {
                Tone::Muted => circle class="ring" cx="8" cy="8" r="5" {},
                Tone::Info => circle cx="8" cy="8" r="6" {},
                Tone::Good => path class="ring" d="M2.5 8.5l3.5 3.5 7.5-8" {},
                Tone::Warn => path d="M8 1.5L15.5 14.5H.5z" {},
                Tone::Bad => path class="ring" d="M3 3l10 10M13 3L3 13" {},
            }
        }
    }
}

/// Returns a word with its tone.
pub fn badge(tone: Tone, word: &str) -> Markup {
    html! { span class={ "badge " (tone.class()) } { (icon(tone)) (word) } }
}

/// Returns the badge of a status of any table.
pub fn status(word: &str) -> Markup {
    badge(Tone::of_status(word), word)
}

/// A number that is read at a glance.
#[derive(Clone, Debug, Default)]
pub struct Card<'a> {
    /// Name of the number, such as `Jobs due`.
    pub label: &'a str,
    /// The number.
    pub value: String,
    /// The state.
    pub tone: Tone,
    /// The state as a word: `on time`, `late`, `none`.
    pub word: &'a str,
    /// One line of detail: `oldest waits 12 s`.
    pub detail: &'a str,
    /// The page with the reason.
    pub href: Option<&'a str>,
    /// A small chart, see [`spark`](super::chart::spark).
    pub spark: Option<Markup>,
}

/// Returns a row of cards that wraps.
pub fn cards(cards: &[Card]) -> Markup {
    html! {
        ul class="cards" {
            @for card in cards {
                li class={ "card " (card.tone.class()) } {
                    p class="label" {
                        @match card.href {
                            Some(href) => a href=(href) { (card.label) },
                            None => (card.label),
                        }
                    }
                    p class="value" { (card.value) }
                    p class="word" { (icon(card.tone)) (card.word) }
                    @if !card.detail.is_empty() { p class="detail" { (card.detail) } }
                    @if let Some(spark) = &card.spark { (spark) }
                }
            }
        }
    }
}

/// A reason why the state is not good, and what mends it.
#[derive(Clone, Debug)]
pub struct Reason<'a> {
    /// How bad it is.
    pub tone: Tone,
    /// The problem: `12 jobs failed in the last hour`.
    pub what: &'a str,
    /// More about it: the most frequent error.
    pub why: &'a str,
    /// The page or section that shows it.
    pub href: &'a str,
    /// The command or button that mends it.
    pub mend: Markup,
}

/// Returns the verdict on everything: the state, then each reason with what mends it.
///
/// `words` is the state in a few words: `2 things need attention`. Pass the worst reason first.
pub fn verdict(words: &str, reasons: &[Reason]) -> Markup {
    let tone = reasons.iter().map(|reason| reason.tone).max().unwrap_or(Tone::Good);
    html! {
        section class={ "verdict " (tone.class()) } aria-label="State" {
            p class="state" { (icon(tone)) (words) }
            @if !reasons.is_empty() {
                ul {
                    @for reason in reasons {
                        li {
                            (icon(reason.tone))
                            div class="what" {
                                p { a href=(reason.href) { (reason.what) } }
                                @if !reason.why.is_empty() { p class="why" { (reason.why) } }
                            }
                            div class="mend" { (reason.mend) }
                        }
                    }
                }
            }
        }
    }
}

/// Returns a section of a page. `lead` says in one sentence what to read from it.
pub fn section(id: &str, title: &str, lead: &str, body: &Markup) -> Markup {
    html! {
        section class="part" id=(id) aria-labelledby={ (id) "-title" } {
            h2 id={ (id) "-title" } { (title) }
            @if !lead.is_empty() { p class="lead" { (lead) } }
            (body)
        }
    }
}

/// Returns panels side by side where there is room, and below each other where there is not.
pub fn grid(panels: &[Markup]) -> Markup {
    html! { div class="grid" { @for panel in panels { (panel) } } }
}

/// Returns a surface for a chart or a table. Charts bring their own title, so `title` may be empty.
pub fn panel(title: &str, body: &Markup) -> Markup {
    html! { div class="panel" { @if !title.is_empty() { h3 { (title) } } (body) } }
}

/// Returns a surface that takes the whole width.
pub fn wide_panel(title: &str, body: &Markup) -> Markup {
    html! { div class="panel wide" { @if !title.is_empty() { h3 { (title) } } (body) } }
}

/// Returns names with their values.
pub fn facts(facts: &[(&str, Markup)]) -> Markup {
    html! {
        dl class="facts" {
            @for (name, value) in facts { div { dt { (name) } dd { (value) } } }
        }
    }
}

/// Returns what a list says when it has no rows: what is missing, and what fills it.
pub fn empty(words: &str, hint: &Markup) -> Markup {
    html! { div class="empty" { p { (words) } p class="hint" { (hint) } } }
}

/// Returns how long ago something was, with the time as a hover title: `12 min ago`.
pub fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> Markup {
    let seconds = (now - at).num_seconds();
    let words = match seconds {
        0..=1 => "just now".to_owned(),
        2.. => format!("{} ago", whole(seconds)),
        _ => format!("in {}", whole(-seconds)),
    };
    html! { time datetime=(at.to_rfc3339()) title={ (date_and_time(at)) " UTC" } { (words) } }
}

/// Returns a number of seconds in its largest unit, without decimals.
fn whole(seconds: i64) -> String {
    let size = [86_400, 3_600, 60].into_iter().find(|size| seconds >= *size).unwrap_or(1);
    Unit::Seconds.short((seconds / size * size) as f64)
}

/// Returns a command to be copied.
pub fn command(line: &str) -> Markup {
    html! { code class="command" { (line) } }
}
