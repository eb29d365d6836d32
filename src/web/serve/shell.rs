//! What surrounds the content of the dashboard's pages.

use axum::http::HeaderMap;
use axum::response::{Html, IntoResponse, Response};
use chrono::{DateTime, Utc};
use maud::Markup;

use super::app::App;
use super::section::Section;
use super::visitor::{Visitor, wants_fragment};
use crate::web::layout::{self, Link, Page, Served, Shell};

/// The content of a page.
pub(super) struct Content<'a> {
    pub title: &'a str,
    /// The address of the page, with its query. Empty for pages without one.
    pub path: &'a str,
    pub body: Markup,
    pub at: DateTime<Utc>,
    /// Whether the script reads the page again and again.
    pub is_live: bool,
}

/// Returns the whole page, or only its content if the script asks for that.
pub(super) fn answer(
    app: &App,
    visitor: Option<&Visitor>,
    headers: &HeaderMap,
    content: &Content,
) -> Response {
    let is_fragment = wants_fragment(headers);
    let cookie = visitor.and_then(|visitor| visitor.cookie.as_deref());
    let token = cookie.map(|cookie| app.forms.token(cookie)).unwrap_or_default();
    let user = visitor.and_then(|visitor| visitor.user.as_deref());
    let notice = if is_fragment { None } else { cookie.and_then(|cookie| app.sessions.notice(cookie)) };
    let (path, query) = content.path.split_once('?').unwrap_or((content.path, ""));
    // The sections share the period, the channel and the niche.
    let query = if Section::of_path(path).is_some() && !query.is_empty() {
        format!("?{query}")
    } else {
        String::new()
    };
    let mut hrefs: Vec<(String, &str, bool)> = Section::ALL
        .iter()
        .map(|section| (format!("{}{query}", section.path()), section.label(), section.has(path)))
        .collect();
    hrefs.push(("/tables".to_owned(), "Tables", path == "/tables" || path.starts_with("/tables/")));
    let nav: Vec<Link> = hrefs
        .iter()
        .map(|(href, label, current)| Link { label, href, current: *current, alert: None })
        .collect();
    let search = form_value(content.path);
    let page = Page {
        title: content.title,
        database: &app.name,
        at: content.at,
        nav: &nav,
        body: content.body.clone(),
        shell: Shell::Dashboard(Served {
            style: &app.assets.style,
            script: &app.assets.script,
            search: &search,
            refresh: content.is_live.then_some(content.path),
            user: user.zip(cookie).map(|(user, _)| (user, token.as_str())),
            notice: notice.as_deref(),
        }),
    };
    let markup = if is_fragment { layout::content(&page) } else { layout::page(&page) };
    Html(markup.into_string()).into_response()
}

/// Returns the text that was searched for.
fn form_value(path: &str) -> String {
    let Some(query) = path.strip_prefix("/search?q=") else { return String::new() };
    let query = query.split('&').next().unwrap_or_default().replace('+', " ");
    percent_encoding::percent_decode_str(&query).decode_utf8_lossy().into_owned()
}
