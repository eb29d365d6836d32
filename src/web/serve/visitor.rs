//! Who sends a request, and what for.

use std::net::IpAddr;

use axum::http::HeaderMap;
use axum::http::header::ACCEPT;

/// What the script asks for: only the content of the page, without what surrounds it.
pub(super) const FRAGMENT: &str = "text/vnd.viraldb.content+html";

/// Who sends a request.
#[derive(Debug, Clone)]
pub(super) struct Visitor {
    /// The user who has logged in. `None` if nobody needs to log in.
    pub user: Option<String>,
    /// The value of the cookie that tells visitors apart. `None` for programs with a token.
    pub cookie: Option<String>,
    pub address: Option<IpAddr>,
}

impl Visitor {
    /// Returns the name for the log.
    pub fn name(&self) -> String {
        let address =
            self.address.map_or_else(|| "unknown address".to_owned(), |address| address.to_string());
        match &self.user {
            Some(user) => format!("{user} ({address})"),
            None => address,
        }
    }
}

/// Returns true if the script asks for the content of a page.
pub(super) fn wants_fragment(headers: &HeaderMap) -> bool {
    headers.get(ACCEPT).is_some_and(|accept| accept == FRAGMENT)
}
