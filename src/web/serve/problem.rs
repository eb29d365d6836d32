//! JSON for programs: answers and errors.

use axum::Json;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_TYPE, HeaderValue, WWW_AUTHENTICATE};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

use super::failure::Failure;

/// An error, in the form of RFC 9457.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({"type": "about:blank", "title": "Not Found", "status": 404, "detail": "row 7 not found in clips"}))]
pub(super) struct Problem {
    /// Always `about:blank`: `status` says it all.
    #[serde(rename = "type")]
    of: String,
    /// The words for the status.
    title: String,
    /// The status of the answer.
    status: u16,
    /// What failed, why, and what to do.
    detail: String,
}

/// Returns the failure as JSON, in the form of RFC 9457.
pub(super) fn problem(failure: &Failure) -> Response {
    let status = failure.status;
    let body = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Error"),
        "status": status.as_u16(),
        "detail": failure.text,
    });
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if status == StatusCode::UNAUTHORIZED {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// Returns an answer with JSON.
pub(super) fn json(text: String) -> Response {
    ([(CONTENT_TYPE, HeaderValue::from_static("application/json"))], text).into_response()
}
