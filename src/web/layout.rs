//! The shell of every page: head, navigation and footer.

use base64ct::{Base64, Encoding};
use chrono::{DateTime, Utc};
use maud::{DOCTYPE, Markup, PreEscaped, html};
use sha2::{Digest, Sha256};

use super::chart::{Unit, date_and_time};
use super::components::{Tone, icon};

/// The style sheet. It contains no `</style`.
pub const STYLE: &str = include_str!("style.css");

/// The icon in the browser's tab, as a data URI, so that no page asks for `/favicon.ico`.
const ICON: &str = "data:image/svg+xml,%3Csvg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 16 16'%3E\
    %3Crect width='16' height='16' rx='4' fill='%230b57d0'/%3E%3Cpath d='M4 11V8h2v3zm3 0V5h2v6zm3 0V7h2v4z' fill='%23fff'/%3E%3C/svg%3E";

/// An entry of the navigation.
#[derive(Clone, Copy, Debug)]
pub struct Link<'a> {
    /// The text.
    pub label: &'a str,
    /// The page, or the section of the report: `#queue`.
    pub href: &'a str,
    /// True for the page that is shown.
    pub current: bool,
    /// A number of things there that need attention, such as 3 failed jobs.
    pub alert: Option<(Tone, u64)>,
}

/// A page.
#[derive(Clone, Debug)]
pub struct Page<'a> {
    /// The title in the browser's tab and in the heading.
    pub title: &'a str,
    /// Which database it shows, without secrets: `viral.db (SQLite)`.
    pub database: &'a str,
    /// When the numbers were read.
    pub at: DateTime<Utc>,
    /// The navigation.
    pub nav: &'a [Link<'a>],
    /// The content below the heading.
    pub body: Markup,
    /// What surrounds the content.
    pub shell: Shell<'a>,
}

/// What surrounds the content of a page.
#[derive(Clone, Copy, Debug)]
pub enum Shell<'a> {
    /// The report: one file that needs no other.
    Report,
    /// The dashboard.
    Dashboard(Served<'a>),
}

/// What the pages of the dashboard have in common.
#[derive(Clone, Copy, Debug)]
pub struct Served<'a> {
    /// The address of the style sheet.
    pub style: &'a str,
    /// The address of the script.
    pub script: &'a str,
    /// The text in the search form.
    pub search: &'a str,
    /// The address of this page, to read it again. `None` for pages that do not change.
    pub refresh: Option<&'a str>,
    /// The user who has logged in, and the token of the form that logs them out.
    pub user: Option<(&'a str, &'a str)>,
    /// The result of the action that led to this page.
    pub notice: Option<&'a str>,
}

/// Returns the whole HTML document.
pub fn page(page: &Page) -> Markup {
    let served = match page.shell {
        Shell::Report => None,
        Shell::Dashboard(served) => Some(served),
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                // Without a referrer, browsers hide from the dashboard that a form is its own.
                meta name="referrer" content=(if served.is_some() { "same-origin" } else { "no-referrer" });
                title { (page.title) " – viraldb" }
                @match &served {
                    Some(served) => {
                        link rel="icon" href=(ICON);
                        link rel="stylesheet" href=(served.style);
                        script src=(served.script) defer {}
                    }
                    None => {
                        link rel="icon" href=(ICON);
                        // Only the style sheet below may style the page, and nothing may run or be loaded.
                        meta http-equiv="Content-Security-Policy" content=(policy());
                        style { (PreEscaped(STYLE)) }
                    }
                }
            }
            body {
                a class="skip" href="#content" { "Skip to the content" }
                header class="top" {
                    p class="brand" { (logo()) "viraldb" }
                    p class="database" { (page.database) }
                    @if let Some(served) = &served { (tools(served)) }
                }
                nav class="side" aria-label="Pages" { ul {
                    @for link in page.nav {
                        li { a href=(link.href) aria-current=[link.current.then_some("page")] {
                            span { (link.label) }
                            @if let Some((tone, count)) = link.alert {
                                span class={ "count " (tone.class()) } {
                                    (icon(tone)) (Unit::Count.short(count as f64)) span class="hidden" { " " (tone.word()) }
                                }
                            }
                        } }
                    }
                } }
                (content(page))
                footer { p { "viraldb " (env!("CARGO_PKG_VERSION")) " · all times are UTC" } }
            }
        }
    }
}

/// Returns the heading and the content.
pub fn content(page: &Page) -> Markup {
    html! {
        main id="content" tabindex="-1" {
            div class="heading" {
                h1 { (page.title) }
                p class="as-of" {
                    "As of " time datetime=(page.at.to_rfc3339()) { (date_and_time(page.at)) " UTC" }
                }
            }
            @if let Shell::Dashboard(Served { notice: Some(notice), .. }) = page.shell {
                p class="notice" role="status" { (icon(Tone::Good)) (notice) }
            }
            (page.body)
        }
    }
}

/// Returns the search form, the link that reads the page again, and the button that logs out.
///
/// The script adds a button next to the link that stops and starts the updates.
fn tools(served: &Served) -> Markup {
    html! {
        form class="search" role="search" aria-label="Everywhere" action="/search" {
            label class="hidden" for="search" { "Search" }
            input id="search" type="search" name="q" value=(served.search) placeholder="Search ids and titles";
            button type="submit" { "Search" }
        }
        @if let Some(address) = served.refresh {
            p class="live" { a class="button" href=(address) data-refresh="" { "Refresh" } span role="status" {} }
        }
        @if let Some((user, token)) = served.user {
            form class="user" method="post" action="/logout" {
                input type="hidden" name="token" value=(token);
                span { (user) }
                button type="submit" { "Log out" }
            }
        }
    }
}

/// Returns the Content-Security-Policy of the report.
fn policy() -> String {
    let hash = Base64::encode_string(&Sha256::digest(STYLE));
    format!(
        "default-src 'none'; style-src 'sha256-{hash}'; img-src data:; base-uri 'none'; form-action 'none'"
    )
}

fn logo() -> Markup {
    html! {
        svg class="logo" viewBox="0 0 16 16" aria-hidden="true" {
            rect width="16" height="16" rx="4" {}
            path d="M4 11V8h2v3zm3 0V5h2v6zm3 0V7h2v4z" {}
        }
    }
}
