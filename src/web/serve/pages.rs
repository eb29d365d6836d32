//! The sections of the report as pages: `/`, `/queue`, `/pipeline` and so on.

use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use chrono::Utc;
use maud::{Markup, PreEscaped, html};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use utoipa::IntoParams;

use super::app::App;
use super::cache::Kept;
use super::failure::Failure;
use super::section::Section;
use super::shell;
use super::visitor::Visitor;
use crate::db::time_limit;
use crate::ops::{self, Report, Status, backup};
use crate::report::Span;
use crate::republishing::{Channel, ChannelFilter};
use crate::types::ChannelId;
use crate::web::report::in_words;
use crate::web::sections::channels::Channels;
use crate::web::sections::errors::Errors;
use crate::web::sections::glance::Glance;
use crate::web::sections::money::Money;
use crate::web::sections::pipeline::Pipeline;
use crate::web::sections::queue::Queue;
use crate::web::sections::storage::{Storage, findings};
use crate::web::sections::trends::Trends;
use crate::web::sections::videos::Videos;
use crate::web::sections::{Links, Scope, short};
use crate::{DbConnection, Error, Page, Result};

/// The periods that a page can cover, in hours.
const PERIODS: [(&str, u64); 4] = [("24h", 24), ("7d", 7 * 24), ("30d", 30 * 24), ("90d", 90 * 24)];
/// How long the queries of a section may take.
const LONGEST: Duration = Duration::from_secs(15);
/// Maximum number of channels in the form.
const CHANNELS: i64 = 200;
/// Maximum number of the doctor's findings on a page.
const FINDINGS: usize = 200;

/// Returns a period in words, such as `24 hours` or `7 days`.
fn length(hours: u64) -> String {
    if hours <= 24 { format!("{hours} hours") } else { in_words(Duration::from_secs(hours * 3600)) }
}

/// The part of the database that a visitor asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub(super) struct Asked {
    /// Length of the period: 24h (the default), 7d, 30d or 90d
    since: Option<String>,
    /// Only jobs, statistics and publications of the channel with this id
    channel: Option<String>,
    /// Only videos and runs of this niche
    niche: Option<String>,
}

impl Asked {
    /// Treats fields that were left empty as missing, and drops what is the default.
    pub fn cleaned(mut self) -> Self {
        for field in [&mut self.since, &mut self.channel, &mut self.niche] {
            if field.as_ref().is_some_and(|text| text.trim().is_empty()) {
                *field = None;
            }
        }
        if self.since.as_deref() == Some(PERIODS[0].0) {
            self.since = None;
        }
        self
    }

    /// Returns the query of the address: `?since=7d`, or nothing.
    fn query(&self) -> String {
        let mut query = String::new();
        let fields = [("since", &self.since), ("channel", &self.channel), ("niche", &self.niche)];
        for (name, value) in fields {
            if let Some(value) = value {
                query.push(if query.is_empty() { '?' } else { '&' });
                query.push_str(&format!("{name}={}", utf8_percent_encode(value, NON_ALPHANUMERIC)));
            }
        }
        query
    }

    pub fn scope(&self) -> Result<Scope, Failure> {
        let since = self.since.as_deref().unwrap_or(PERIODS[0].0);
        let Some((_, hours)) = PERIODS.into_iter().find(|(word, _)| *word == since) else {
            let words = PERIODS.map(|(word, _)| word).join(", ");
            return Err(Failure::invalid(format!(
                "since must be one of {words}, got {}",
                crate::quote::quoted(since)
            )));
        };
        let channel = self.channel.as_deref().map(str::parse::<uuid::Uuid>).transpose();
        let Ok(channel) = channel else {
            return Err(Failure::invalid("channel must be the id of a channel, which is a UUID"));
        };
        let span = Span::last(Duration::from_secs(hours * 3600));
        Ok(Scope {
            length: length(hours),
            span,
            channel: channel.map(ChannelId),
            niche: self.niche.clone(),
            links: Links::Dashboard(self.query()),
        })
    }
}

/// What a page shows.
pub(super) enum Data {
    Glance(Box<(Glance, Queue, Pipeline, Storage)>),
    Queue(Box<Queue>),
    Pipeline(Pipeline),
    Channels(Channels),
    Videos(Videos),
    Trends(Trends),
    Money(Money),
    Storage(Box<(Status, Storage)>),
    Errors(Errors),
    Doctor(Option<Arc<Report>>),
}

impl Data {
    /// Reads the data of a section. All its queries see the same snapshot, except the summary of the whole database.
    pub fn read(app: &App, section: Section, scope: &Scope) -> Result<Self> {
        let db = &app.db;
        if let Some(channel) = scope.channel {
            db.read(|c| Channel::find(c, channel))?;
        }
        Ok(match section {
            Section::Glance => {
                let status = ops::status(db)?;
                let backups = backup::list_of(db.url(), &app.backups())?;
                let (queue, pipeline, resume) = snapshot(app, |c| {
                    let resume = match status.queue_paused {
                        true => Some(ops::resume::resume_command(c)?.to_owned()),
                        false => None,
                    };
                    Ok((Queue::read(c, scope)?, Pipeline::read(c, scope)?, resume))
                })?;
                let glance = Glance { status, doctor: app.doctor.newest(), resume };
                Self::Glance(Box::new((glance, queue, pipeline, Storage { sizes: Vec::new(), backups })))
            }
            Section::Queue => Self::Queue(Box::new(snapshot(app, |c| Queue::read(c, scope))?)),
            Section::Pipeline => Self::Pipeline(snapshot(app, |c| Pipeline::read(c, scope))?),
            Section::Channels => Self::Channels(snapshot(app, |c| Channels::read(c, scope))?),
            Section::Videos => Self::Videos(snapshot(app, |c| Videos::read(c, scope))?),
            Section::Trends => Self::Trends(snapshot(app, |c| Trends::read(c, scope))?),
            Section::Money => Self::Money(snapshot(app, |c| Money::read(c, scope))?),
            Section::Errors => Self::Errors(snapshot(app, |c| Errors::read(c, scope))?),
            Section::Storage => {
                let backups = backup::list_of(db.url(), &app.backups())?;
                Self::Storage(Box::new((ops::status(db)?, Storage { sizes: ops::sizes(db)?, backups })))
            }
            Section::Doctor => Self::Doctor(app.doctor.newest()),
        })
    }

    pub fn render(&self, scope: &Scope) -> Markup {
        match self {
            Self::Glance(all) => {
                let (glance, queue, pipeline, storage) = &**all;
                glance.render(scope, queue, pipeline, storage)
            }
            Self::Queue(queue) => queue.render(scope),
            Self::Pipeline(pipeline) => pipeline.render(scope),
            Self::Channels(channels) => channels.render(scope),
            Self::Videos(videos) => videos.render(scope),
            Self::Trends(trends) => trends.render(scope),
            Self::Money(money) => money.render(scope),
            Self::Storage(all) => all.1.render(&all.0, None, scope),
            Self::Errors(errors) => errors.render(scope),
            Self::Doctor(Some(report)) => html! {
                @if !report.findings.is_empty() {
                    p class="lead" {
                        (crate::quote::counted(report.checks.len(), "check")) " found "
                        (crate::quote::counted(report.findings.len(), "thing")) " worth knowing."
                    }
                }
                div class="panel wide" { (findings(report, FINDINGS)) }
            },
            Self::Doctor(None) => html! {
                div class="panel" {
                    div class="empty" {
                        p { "The first examination is running." }
                        p class="hint" { "Its findings appear here when it has ended. To run one yourself, use " code { "viraldb doctor" } "." }
                    }
                }
            },
        }
    }

    /// Returns the data as JSON.
    pub fn json(&self) -> Result<String> {
        let json = match self {
            Self::Glance(all) => {
                let (glance, queue, pipeline, storage) = &**all;
                serde_json::to_string(&serde_json::json!({
                    "status": glance.status,
                    "doctor": glance.doctor.as_deref(),
                    "queue": queue,
                    "pipeline": pipeline,
                    "backups": storage.backups,
                }))
            }
            Self::Queue(queue) => serde_json::to_string(queue),
            Self::Pipeline(pipeline) => serde_json::to_string(pipeline),
            Self::Channels(channels) => serde_json::to_string(channels),
            Self::Videos(videos) => serde_json::to_string(videos),
            Self::Trends(trends) => serde_json::to_string(trends),
            Self::Money(money) => serde_json::to_string(money),
            Self::Storage(all) => serde_json::to_string(&all.1),
            Self::Errors(errors) => serde_json::to_string(errors),
            Self::Doctor(report) => serde_json::to_string(&report.as_deref()),
        };
        json.map_err(Error::other)
    }
}

/// Runs queries that see the same snapshot, and stops them when they take too long.
fn snapshot<T>(app: &App, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Result<T> {
    app.db
        .read(|c| time_limit::within(c, LONGEST, "the page", "choose a shorter period", |c| c.snapshot(work)))
}

/// Answers with the page of a section.
pub(super) async fn section(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    let section =
        Section::of_path(uri.path()).ok_or_else(|| Failure::missing("There is no such section."))?;
    let asked = asked.cleaned();
    let address = format!("{}{}", section.path(), asked.query());
    let kept = kept(&app, section, asked.clone(), "page", |data, scope| Ok(data.render(scope).into_string()))
        .await?;
    let body = html! {
        (form(&app, section, &asked).await?)
        (super::actions::of_section(&app, &visitor, section).await?)
        div class="single" { (PreEscaped(&kept.text)) }
    };
    let content = shell::Content { title: section.label(), path: &address, body, at: kept.at, is_live: true };
    Ok(shell::answer(&app, Some(&visitor), &headers, &content))
}

/// Reads and renders the data of a section, or returns what was rendered a moment ago.
pub(super) async fn kept(
    app: &Arc<App>,
    section: Section,
    asked: Asked,
    form: &str,
    render: fn(&Data, &Scope) -> Result<String>,
) -> Result<Arc<Kept>, Failure> {
    asked.scope()?; // reject invalid values before they become part of a key
    let key = format!("{form} {}{}", section.path(), asked.query());
    app.doctor.refresh(&app.url, &app.options);
    let compute_app = Arc::clone(app);
    let compute = move || async move {
        let scope = asked.scope()?;
        let at = Utc::now();
        let text =
            compute_app.blocking(move |app| render(&Data::read(app, section, &scope)?, &scope)).await?;
        Ok(Kept { at, text })
    };
    app.cache.get(&key, compute).await
}

/// Returns the form that chooses the period, the channel and the niche.
async fn form(app: &Arc<App>, section: Section, asked: &Asked) -> Result<Markup, Failure> {
    if !section.is_of_period() {
        return Ok(html! {});
    }
    let channels = if section.is_by_channel() { Some(channels(app).await?) } else { None };
    let since = asked.since.as_deref().unwrap_or(PERIODS[0].0);
    Ok(html! {
        form class="filters" action=(section.path()) {
            label { span { "Period" } select name="since" {
                @for (word, hours) in PERIODS {
                    option value=(word) selected[word == since] { "last " (length(hours)) }
                }
            } }
            @if let Some(channels) = &channels {
                label { span { "Channel" } select name="channel" {
                    option value="" { "all" }
                    (PreEscaped(channels.text.replace(
                        // Ids contain no character that HTML escapes.
                        &format!("value=\"{}\"", asked.channel.as_deref().unwrap_or("-")),
                        &format!("value=\"{}\" selected", asked.channel.as_deref().unwrap_or("-")),
                    )))
                } }
            }
            @if section.is_by_niche() {
                label { span { "Niche" } input type="search" name="niche" value=(asked.niche.as_deref().unwrap_or_default()) placeholder="all"; }
            }
            button type="submit" { "Show" }
        }
    })
}

/// Returns the options of the form that chooses a channel.
async fn channels(app: &Arc<App>) -> Result<Arc<Kept>, Failure> {
    let compute_app = Arc::clone(app);
    let compute = move || async move {
        let list = move |app: &App| {
            app.db.read(|c| Channel::list(c, &ChannelFilter::default(), &Page::first(CHANNELS)))
        };
        let channels = compute_app.blocking(list).await?;
        let text = html! {
            @for channel in &channels { option value=(channel.id) { (short(&channel.name, 60)) } }
        };
        Ok(Kept { at: Utc::now(), text: text.into_string() })
    };
    app.cache.get("channels of the form", compute).await
}

/// Begins the first examination of the doctor, so that the first visitor finds its result.
pub(super) fn warm(app: &Arc<App>) {
    app.doctor.refresh(&app.url, &app.options);
}
