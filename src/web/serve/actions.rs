//! What visitors may change, if the dashboard allows it. Each action is a form with a token, and leaves a line in the log.

use std::fmt::Display;
use std::str::FromStr;
use std::sync::Arc;

use axum::extract::{Form, Path, State};
use axum::http::StatusCode;
use axum::http::header::LOCATION;
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Extension, Router};
use chrono::Utc;
use maud::{Markup, html};
use serde::Deserialize;

use super::app::App;
use super::cache::Kept;
use super::failure::Failure;
use super::section::Section;
use super::visitor::Visitor;
use crate::compilation::{ErrorLog, ReviewAction, ReviewLog, ReviewLogFilter};
use crate::config::{Config, ConfigOverride, Options, Scope};
use crate::queue::{self, Lease};
use crate::republishing::{JobStatus, VideoProcessingJob};
use crate::types::{ErrorLogId, PipelineRunId, ReviewLogId, VideoProcessingJobId};
use crate::web::components::Tone;
use crate::{Database, Error, Page, Result};

/// The target of the log lines. The command shows them without `-v`.
const LOG: &str = "viraldb::dashboard";

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/jobs/{id}/{action}", post(job))
        .route("/reviews/{id}/{action}", post(review))
        .route("/errors/{id}/resolve", post(resolve))
        .route("/queue/{action}", post(pause))
}

/// What every form sends.
#[derive(Debug, Deserialize)]
struct Sent {
    #[serde(default)]
    token: String,
    /// Why a review is rejected.
    detail: Option<String>,
}

async fn job(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    Path((id, action)): Path<(String, String)>,
    Form(sent): Form<Sent>,
) -> Result<Response, Failure> {
    let job: VideoProcessingJobId = key(&id)?;
    let work: fn(&Database, VideoProcessingJobId) -> Result<&'static str> = match action.as_str() {
        "retry" => |db, id| db.write(|c| queue::retry(c, id)).map(|_| "is queued again"),
        "cancel" => |db, id| db.write(|c| queue::cancel(c, id)).map(|_| "is canceled"),
        "release" => |db, id| release(db, id).map(|()| "is released; any worker may claim it"),
        _ => return Err(unknown(&action)),
    };
    let next = format!("/jobs/{job}");
    act(&app, &visitor, &sent, (&action, &format!("job {job}")), next, move |app| work(&app.db, job)).await
}

/// Takes a job from its worker, without counting the attempt. The worker learns this at its next heartbeat.
fn release(db: &Database, id: VideoProcessingJobId) -> Result<()> {
    db.write(|c| {
        let job = VideoProcessingJob::find(c, id)?;
        if job.status != JobStatus::Processing || job.lease_token.is_none() {
            let reason = format!("is {}, so no worker holds it", job.status);
            return Err(Error::invalid(format!("job {id}"), reason));
        }
        queue::release(c, Lease::from(&job)).map(drop)
    })
}

async fn review(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    Path((id, action)): Path<(String, String)>,
    Form(sent): Form<Sent>,
) -> Result<Response, Failure> {
    let review: ReviewLogId = key(&id)?;
    let (answer, done) = match action.as_str() {
        "approve" => (ReviewAction::Approve, "is answered: approved"),
        "reject" => (ReviewAction::Reject, "is answered: rejected"),
        "hold" => (ReviewAction::Hold, "is held"),
        _ => return Err(unknown(&action)),
    };
    let run =
        app.blocking(move |app| app.db.read_newest(|c| ReviewLog::find(c, review))).await?.pipeline_run_id;
    let detail = sent.detail.clone().filter(|detail| !detail.trim().is_empty());
    let work = move |app: &App| {
        app.db.write(|c| ReviewLog::answer(c, review, answer, detail.as_deref())).map(|_| done)
    };
    let next = format!("/runs/{run}");
    act(&app, &visitor, &sent, (&action, &format!("review {review} of run {run}")), next, work).await
}

async fn resolve(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    Path(id): Path<String>,
    Form(sent): Form<Sent>,
) -> Result<Response, Failure> {
    let error: ErrorLogId = key(&id)?;
    let work = move |app: &App| app.db.write(|c| ErrorLog::resolve(c, error)).map(|_| "is resolved");
    let next = format!("/tables/error_log/{error}");
    act(&app, &visitor, &sent, ("resolve", &format!("error {error}")), next, work).await
}

async fn pause(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    Path(action): Path<String>,
    Form(sent): Form<Sent>,
) -> Result<Response, Failure> {
    let (pause, done) = match action.as_str() {
        "pause" => (true, "is paused: workers claim no new jobs"),
        "resume" => (false, "is resumed: workers claim jobs again"),
        _ => return Err(unknown(&action)),
    };
    let by =
        visitor.user.as_ref().map_or_else(|| "dashboard".to_owned(), |user| format!("dashboard: {user}"));
    let work = move |app: &App| set_paused(app, pause, &by).map(|()| done);
    act(&app, &visitor, &sent, (&action, "queue"), Section::Queue.path().to_owned(), work).await
}

/// Pauses or resumes the queue in the layer that takes effect.
fn set_paused(app: &App, pause: bool, by: &str) -> Result<()> {
    const KEY: &str = "queue_paused";
    let is_overridden = match app.db.read_newest(|c| ConfigOverride::find(c, KEY)) {
        Ok(_) => true,
        Err(Error::NotFound { .. }) => false,
        Err(error) => return Err(error),
    };
    let scope = if is_overridden { Scope::Override } else { Scope::System };
    let options = Options { file: app.options.config.clone(), ..Options::default() };
    Config::open_with(&app.db, options)?.set(scope, KEY, &serde_json::Value::Bool(pause), by)
}

/// Checks the form, does the work, logs it, and leads to the next page.
async fn act(
    app: &Arc<App>,
    visitor: &Visitor,
    sent: &Sent,
    (action, object): (&str, &str),
    next: String,
    work: impl FnOnce(&App) -> Result<&'static str> + Send + 'static,
) -> Result<Response, Failure> {
    let who = visitor.name();
    if !app.options.allow_actions {
        tracing::warn!(target: LOG, who, action, object, "refused: actions are not allowed");
        return Err(Failure::refused(
            "This dashboard changes nothing. To allow actions, start `viraldb serve` with --allow-actions.",
        ));
    }
    if let Err(failure) = app.forms.check(visitor, &sent.token) {
        tracing::warn!(target: LOG, who, action, object, "refused: the form has no valid token");
        return Err(failure);
    }
    // A client may close the connection before the work ends, so the work itself leaves the line in the log.
    let (owned, cookie) = ([who.clone(), action.to_owned(), object.to_owned()], visitor.cookie.clone());
    let logged = move |app: &App| {
        let [who, action, object] = owned;
        let result = work(app);
        match &result {
            Ok(done) => {
                tracing::info!(target: LOG, who, action, object, "done");
                app.cache.clear();
                if let Some(cookie) = &cookie {
                    app.sessions.notify(cookie, format!("The {object} {done}."));
                }
            }
            Err(error) => tracing::warn!(target: LOG, who, action, object, "failed: {error}"),
        }
        result
    };
    match app.blocking(logged).await {
        Ok(_) => Ok((StatusCode::SEE_OTHER, [(LOCATION, next)]).into_response()),
        Err(failure) => {
            if failure.status == StatusCode::SERVICE_UNAVAILABLE {
                tracing::warn!(target: LOG, who, action, object, "not answered in time: {}", failure.text);
            }
            Err(failure)
        }
    }
}

/// Returns the key of a row from an address.
fn key<K: FromStr>(text: &str) -> Result<K, Failure> {
    text.parse().map_err(|_| {
        Failure::missing(format!("There is no row with the key {}.", crate::quote::quoted(text)))
    })
}

fn unknown(action: &str) -> Failure {
    Failure::missing(format!("There is no action {}.", crate::quote::quoted(action)))
}

/// Returns a form with one button, or nothing if the dashboard allows no actions.
fn button(app: &App, visitor: &Visitor, href: &str, word: &str, object: &dyn Display, tone: Tone) -> Markup {
    let Some(cookie) = visitor.cookie.as_ref().filter(|_| app.options.allow_actions) else { return html! {} };
    html! {
        form class="action" method="post" action=(href) {
            input type="hidden" name="token" value=(app.forms.token(cookie));
            button type="submit" class=(tone.class()) { (word) span class="hidden" { " " (object) } }
        }
    }
}

/// Returns the buttons of a page.
fn all(buttons: &[Markup]) -> Markup {
    html! { @for button in buttons { (button) } }
}

/// Returns the buttons of a section: pausing and resuming the queue.
pub(super) async fn of_section(
    app: &Arc<App>,
    visitor: &Visitor,
    section: Section,
) -> Result<Markup, Failure> {
    if !app.options.allow_actions || section != Section::Queue {
        return Ok(html! {});
    }
    let compute_app = Arc::clone(app);
    let compute = move || async move {
        let is_paused = compute_app.blocking(|app| app.db.read_newest(queue::is_paused)).await?;
        Ok(Kept { at: Utc::now(), text: is_paused.to_string() })
    };
    let is_paused = app.cache.get("queue is paused", compute).await?.text == "true";
    let button = match is_paused {
        true => button(app, visitor, "/queue/resume", "Resume the queue", &"", Tone::Good),
        false => button(app, visitor, "/queue/pause", "Pause the queue", &"", Tone::Warn),
    };
    Ok(html! { div class="actions" { (button) } })
}

/// Returns the buttons of a job: those that its status allows.
pub(super) fn of_job(app: &App, visitor: &Visitor, id: VideoProcessingJobId) -> Result<Markup> {
    if !app.options.allow_actions {
        return Ok(html! {});
    }
    let job = app.db.read_newest(|c| VideoProcessingJob::find(c, id))?;
    let object = format!("job {id}");
    let button =
        |action: &str, word, tone| button(app, visitor, &format!("/jobs/{id}/{action}"), word, &object, tone);
    let cancel = || button("cancel", "Cancel", Tone::Bad);
    Ok(match job.status {
        JobStatus::Failed => all(&[button("retry", "Retry", Tone::Info)]),
        JobStatus::Processing if job.lease_token.is_some() => {
            all(&[button("release", "Release", Tone::Warn), cancel()])
        }
        JobStatus::Queued | JobStatus::Retrying | JobStatus::Processing => all(&[cancel()]),
        _ => html! {},
    })
}

/// Returns the buttons of a run: the answers to its open review.
pub(super) fn of_run(app: &App, visitor: &Visitor, id: PipelineRunId) -> Result<Markup> {
    if !app.options.allow_actions {
        return Ok(html! {});
    }
    let reviews = app.db.read_newest(|c| {
        let filter = ReviewLogFilter { pipeline_run_id: Some(id) };
        ReviewLog::list(c, &filter, &Page::first(1))
    })?;
    let is_open = |review: &&ReviewLog| matches!(review.action, None | Some(ReviewAction::Hold));
    let Some(review) = reviews.first().filter(is_open) else { return Ok(html! {}) };
    let object = format!("run {id}");
    let button = |action: &str, word, tone| {
        button(app, visitor, &format!("/reviews/{}/{action}", review.id), word, &object, tone)
    };
    let mut buttons = vec![button("approve", "Approve", Tone::Good), button("reject", "Reject", Tone::Bad)];
    if review.action.is_none() {
        buttons.push(button("hold", "Hold", Tone::Warn));
    }
    Ok(all(&buttons))
}

/// Returns the button that resolves an error.
pub(super) fn of_error(app: &App, visitor: &Visitor, id: ErrorLogId) -> Result<Markup> {
    if !app.options.allow_actions || app.db.read_newest(|c| ErrorLog::find(c, id))?.resolved {
        return Ok(html! {});
    }
    let href = format!("/errors/{id}/resolve");
    Ok(all(&[button(app, visitor, &href, "Resolve", &format!("error {id}"), Tone::Good)]))
}
