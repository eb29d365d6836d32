//! The style sheet and the script. Their addresses contain a hash of their content, so browsers may keep them forever.

use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::response::IntoResponse;
use sha2::{Digest, Sha256};

use crate::web::layout::STYLE;

const SCRIPT: &str = include_str!("live.js");

/// The addresses of the files.
pub(super) struct Assets {
    pub style: String,
    pub script: String,
}

impl Assets {
    pub fn new() -> Self {
        Self { style: address("style.css", STYLE), script: address("live.js", SCRIPT) }
    }
}

fn address(name: &str, content: &str) -> String {
    let hash: String = Sha256::digest(content).iter().take(8).map(|byte| format!("{byte:02x}")).collect();
    format!("/assets/{hash}/{name}")
}

pub(super) async fn style() -> impl IntoResponse {
    file("text/css; charset=utf-8", STYLE)
}

pub(super) async fn script() -> impl IntoResponse {
    file("text/javascript; charset=utf-8", SCRIPT)
}

fn file(content_type: &'static str, content: &'static str) -> impl IntoResponse {
    ([(CONTENT_TYPE, content_type), (CACHE_CONTROL, "public, max-age=31536000, immutable")], content)
}
