//! The API: the same data as JSON, described by an OpenAPI document that is generated from the handlers.

use std::sync::{Arc, OnceLock};

use axum::Router;
use axum::extract::{Query, State};
use axum::response::Response;
use axum::routing::get;
use utoipa::OpenApi;
use utoipa::openapi::security::{Http, HttpAuthScheme, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::failure::Failure;
use super::pages::{Asked, kept};
use super::problem::{Problem, json};
use super::section::Section;
use crate::ops;

/// The description, made from the handlers when the router is.
static DOCUMENT: OnceLock<String> = OnceLock::new();

#[derive(OpenApi)]
#[openapi(
    info(
        title = "viraldb",
        description = "Reads a viraldb database. Times are RFC 3339 in UTC, and counts are numbers. The fields of rows are the columns of \
            their tables. Errors are `application/problem+json`."
    ),
    components(schemas(Problem)),
    security(("token" = []))
)]
struct Document;

/// Returns the routes of the API.
pub(super) fn router() -> Router<Arc<App>> {
    let (router, mut document) = OpenApiRouter::with_openapi(Document::openapi())
        .routes(routes!(status))
        .routes(routes!(glance))
        .routes(routes!(queue))
        .routes(routes!(pipeline))
        .routes(routes!(channels))
        .routes(routes!(videos))
        .routes(routes!(trends))
        .routes(routes!(money))
        .routes(routes!(storage))
        .routes(routes!(errors))
        .routes(routes!(doctor))
        .merge(super::rows::router())
        .split_for_parts();
    let components = document.components.get_or_insert_default();
    let bearer = SecurityScheme::Http(Http::new(HttpAuthScheme::Bearer));
    components.add_security_scheme("token", bearer);
    DOCUMENT.get_or_init(|| document.to_pretty_json().unwrap_or_default());
    router.route("/api/v1/openapi.json", get(openapi))
}

async fn openapi() -> Response {
    json(DOCUMENT.get().cloned().unwrap_or_default())
}

async fn section(app: Arc<App>, section: Section, asked: Asked) -> Result<Response, Failure> {
    let kept = kept(&app, section, asked.cleaned(), "json", |data, _| data.json()).await?;
    Ok(json(kept.text.clone()))
}

/// Versions, sizes, row counts and pending work
///
/// The object of `viraldb status --json`.
#[utoipa::path(get, path = "/api/v1/status", tag = "sections", responses(
    (status = 200, description = "The summary", body = Object, content_type = "application/json"),
    (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
))]
async fn status(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    let compute_app = Arc::clone(&app);
    let compute = move || async move {
        let status = compute_app.blocking(|app| ops::status(&app.db)).await?;
        let text = serde_json::to_string(&status).map_err(crate::Error::other)?;
        Ok(super::cache::Kept { at: chrono::Utc::now(), text })
    };
    Ok(json(app.cache.get("json /status", compute).await?.text.clone()))
}

/// Declares the handler of a section.
macro_rules! sections {
    ($($(#[doc = $doc:literal])+ $name:ident $section:ident $path:literal;)+) => {$(
        $(#[doc = $doc])+
        #[utoipa::path(get, path = $path, tag = "sections", params(Asked), responses(
            (status = 200, description = "The numbers of the section", body = Object, content_type = "application/json"),
            (status = 400, description = "The period or the channel is invalid", body = Problem, content_type = "application/problem+json"),
            (status = 404, description = "The channel does not exist", body = Problem, content_type = "application/problem+json"),
            (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
        ))]
        async fn $name(State(app): State<Arc<App>>, Query(asked): Query<Asked>) -> Result<Response, Failure> {
            section(app, Section::$section, asked).await
        }
    )+};
}

sections! {
    /// What needs attention: status, doctor, queue, pipeline and backups
    glance Glance "/api/v1/glance";
    /// What the queue got done, what failed, and what it does now
    queue Queue "/api/v1/queue";
    /// Runs over time, time in each status, and reviews
    pipeline Pipeline "/api/v1/pipeline";
    /// Subscribers and views of the channels over time, and publications
    channels Channels "/api/v1/channels";
    /// Top lists and ages of discovered videos
    videos Videos "/api/v1/videos";
    /// Trends by platform
    trends Trends "/api/v1/trends";
    /// Costs and revenue by day
    money Money "/api/v1/money";
    /// Sizes of the tables, and backups
    storage Storage "/api/v1/storage";
    /// Errors by module over time, and the newest unresolved ones
    errors Errors "/api/v1/errors";
    /// The newest findings of the doctor; null while the first examination runs
    doctor Doctor "/api/v1/doctor";
}
