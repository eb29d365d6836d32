//! Answers that say what failed and what to do, as a page or as JSON.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{CONTENT_TYPE, HeaderValue, LOCATION, RETRY_AFTER};
use axum::http::{HeaderMap, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use maud::html;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::app::App;
use super::failure::Failure;
use super::problem::problem;
use super::shell;
use super::visitor::{Visitor, wants_fragment};

/// Turns failures into pages, or into JSON for programs.
pub(super) async fn dress(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    let headers = request.headers().clone();
    let path = request.uri().clone();
    let is_get = request.method().is_safe();
    let response = next.run(request).await;
    let failure = match response.extensions().get::<Failure>() {
        Some(failure) => failure.clone(),
        None if !response.status().is_client_error() && !response.status().is_server_error() => {
            return response;
        }
        None if response.headers().get(CONTENT_TYPE).is_some_and(|of| of != "text/plain; charset=utf-8") => {
            return response;
        }
        None => of_status(response.status()),
    };
    let visitor = response.extensions().get::<Visitor>().cloned();
    let mut dressed = match path.path() {
        path if is_for_programs(path) => problem(&failure),
        _ if failure.status == StatusCode::UNAUTHORIZED && is_get && !wants_fragment(&headers) => {
            let next = path.path_and_query().map_or("/", |path| path.as_str());
            to_log_in(next)
        }
        _ => page(&app, &failure, &headers, visitor.as_ref()),
    };
    for (name, value) in response.headers() {
        if name != CONTENT_TYPE && name != "content-length" && !dressed.headers().contains_key(name) {
            dressed.headers_mut().append(name, value.clone());
        }
    }
    if matches!(failure.status, StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS) {
        let seconds = if failure.status == StatusCode::SERVICE_UNAVAILABLE { "5" } else { "60" };
        dressed.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static(seconds));
    }
    dressed
}

/// Returns true for addresses that programs read.
fn is_for_programs(path: &str) -> bool {
    path.starts_with("/api/") || matches!(path, "/metrics" | "/healthz" | "/readyz")
}

/// Returns the failure for a status of the router, such as an unknown address.
fn of_status(status: StatusCode) -> Failure {
    let text = match status {
        StatusCode::NOT_FOUND => "The dashboard has no page with this address.",
        StatusCode::METHOD_NOT_ALLOWED => "This address does not accept requests of this kind.",
        StatusCode::PAYLOAD_TOO_LARGE => "The form is too large.",
        StatusCode::UNSUPPORTED_MEDIA_TYPE => "The form has an unknown format.",
        status if status.is_server_error() => "The program failed; its log says why.",
        _ => "The address or the form contains an invalid value.",
    };
    Failure::new(status, text)
}

fn to_log_in(next: &str) -> Response {
    let next = if next == "/" {
        String::new()
    } else {
        format!("?next={}", utf8_percent_encode(next, NON_ALPHANUMERIC))
    };
    (StatusCode::SEE_OTHER, [(LOCATION, format!("/login{next}"))]).into_response()
}

fn page(app: &App, failure: &Failure, headers: &HeaderMap, visitor: Option<&Visitor>) -> Response {
    let (title, hint) = match failure.status {
        StatusCode::NOT_FOUND => ("Not found", "Search for it above, or choose a page from the navigation."),
        StatusCode::UNAUTHORIZED => ("Please log in", "Your session has ended."),
        StatusCode::FORBIDDEN => ("Not allowed", "Nothing was changed."),
        StatusCode::SERVICE_UNAVAILABLE => (
            "The database does not answer",
            "Try again in a few seconds. If this lasts, `viraldb doctor` says what is wrong.",
        ),
        StatusCode::TOO_MANY_REQUESTS => ("Too many attempts", "Wait a minute, then try again."),
        status if status.is_server_error() => (
            "Something failed",
            "The log of `viraldb serve` says more. `viraldb doctor` checks the database.",
        ),
        _ => ("This did not work", "Nothing was changed. Go back and correct it."),
    };
    let text = crate::web::sections::short(&failure.text, 2_000);
    let body = html! {
        div class="panel failure" {
            p class="what" { (text) }
            p class="hint" { (crate::web::sections::mend(hint)) }
            p {
                @if failure.status == StatusCode::UNAUTHORIZED { a class="button" href="/login" { "Log in" } }
                @else { a class="button" href="/" { "At a glance" } }
            }
        }
    };
    let page = shell::Content { title, path: "", body, at: chrono::Utc::now(), is_live: false };
    (failure.status, shell::answer(app, visitor, headers, &page)).into_response()
}
