//! What every request passes: the Host header, the security headers, the log-in, and proof against forged forms.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::header::{
    AUTHORIZATION, CACHE_CONTROL, CONTENT_SECURITY_POLICY, COOKIE, HOST, HeaderName, HeaderValue, ORIGIN,
    REFERRER_POLICY, SET_COOKIE, VARY, X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::app::App;
use super::failure::Failure;
use super::listen::Peer;
use super::session::random;
use super::visitor::{Visitor, wants_fragment};

/// Only files of the dashboard itself may style, run and show something, and its forms may only answer to it.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self' data:; connect-src 'self'; \
    form-action 'self'; base-uri 'none'; frame-ancestors 'none'";
/// How long a request may take, with its body.
const LONGEST: Duration = Duration::from_secs(60);
/// Refuses requests with an unknown Host header, and requests that take too long.
pub(super) async fn hosts(State(app): State<Arc<App>>, request: Request, next: Next) -> Response {
    if !app.hosts.allows(request.headers()) {
        let why = "The dashboard does not answer to this host name. To allow it, start `viraldb serve` with --host NAME.\n";
        return (StatusCode::MISDIRECTED_REQUEST, why).into_response();
    }
    match tokio::time::timeout(LONGEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => (StatusCode::REQUEST_TIMEOUT, "The request took too long.\n").into_response(),
    }
}

/// Adds the security headers to every answer.
pub(super) async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_FRAME_OPTIONS, "DENY"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Without a referrer, browsers send `Origin: null` with the dashboard's own forms.
        (REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(CACHE_CONTROL) {
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        headers.insert(VARY, HeaderValue::from_static("accept, cookie"));
    }
    response
}

/// Lets those in who have logged in, or have the token.
pub(super) async fn visitors(State(app): State<Arc<App>>, mut request: Request, next: Next) -> Response {
    let headers = request.headers();
    let cookie = cookie_of(headers, name_of_cookie(&app)).map(str::to_owned);
    let mut visitor = Visitor { user: None, cookie: None, address: address(&app, &request) };
    let mut new = None;
    if !app.needs_log_in() {
        // The cookie proves that a form comes from a page of the dashboard.
        visitor.cookie = match cookie {
            Some(cookie) if cookie.len() == 43 => Some(cookie),
            _ if app.options.allow_actions && !is_public(request.uri().path()) => match random() {
                Ok(cookie) => {
                    new = Some(set_cookie(&app, &cookie));
                    Some(cookie)
                }
                Err(error) => return Failure::from(error).into_response(),
            },
            _ => None,
        };
    } else if let Some(token) = bearer(headers) {
        if !app.access.is_token(token) {
            return Failure::log_in("The token is wrong.").into_response();
        }
        visitor.user = Some("token".to_owned());
    } else if let Some(cookie) = cookie
        && let Some(user) = app.sessions.user(&cookie, wants_fragment(headers))
    {
        visitor.user = Some(user);
        visitor.cookie = Some(cookie);
    } else if !is_public(request.uri().path()) {
        return Failure::log_in("Log in first.").into_response();
    }
    request.extensions_mut().insert(visitor.clone());
    let mut response = next.run(request).await;
    response.extensions_mut().insert(visitor);
    if let Some(cookie) = new.and_then(|cookie| HeaderValue::try_from(cookie).ok()) {
        response.headers_mut().append(SET_COOKIE, cookie);
    }
    response
}

/// Returns true for what needs no log-in.
fn is_public(path: &str) -> bool {
    matches!(path, "/healthz" | "/readyz" | "/login") || path.starts_with("/assets/")
}

fn address(app: &App, request: &Request) -> Option<IpAddr> {
    if app.options.behind_proxy {
        let forwarded = request.headers().get_all("x-forwarded-for").iter().next_back()?;
        return forwarded.to_str().ok()?.rsplit(',').next()?.trim().parse().ok();
    }
    request.extensions().get::<Peer>().map(|peer| peer.0.ip())
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = headers.get(AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token.trim())
}

/// Returns the name of the cookie. Browsers accept the prefix `__Host-` only over HTTPS, and then no other host of the domain can
/// set the cookie.
fn name_of_cookie(app: &App) -> &'static str {
    if app.options.behind_proxy { "__Host-viraldb" } else { "viraldb" }
}

fn cookie_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers
        .get_all(COOKIE)
        .iter()
        .filter_map(|cookies| cookies.to_str().ok())
        .flat_map(|cookies| cookies.split(';'))
        .filter_map(|cookie| cookie.trim().split_once('='))
        .find_map(|(of, value)| (of == name).then_some(value))
}

/// Returns the header that sets the cookie. An empty value deletes it.
pub(super) fn set_cookie(app: &App, value: &str) -> String {
    let secure = if app.options.behind_proxy { "; Secure" } else { "" };
    let age = if value.is_empty() { 0 } else { super::session::LONGEST.as_secs() };
    let name = name_of_cookie(app);
    format!("{name}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}{secure}")
}

/// Refuses requests that change something if they come from a page of another site.
pub(super) async fn same_origin(request: Request, next: Next) -> Response {
    if request.method() == Method::POST && !is_of_own_page(request.headers()) {
        let why = "The form was sent by a page of another site. Open the dashboard and try again. If the dashboard is behind a \
            proxy, the proxy must pass the Host header on.";
        return Failure::refused(why).into_response();
    }
    next.run(request).await
}

fn is_of_own_page(headers: &HeaderMap) -> bool {
    if headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none") {
        return false;
    }
    let Some(origin) = headers.get(ORIGIN) else { return true };
    let origin = origin.to_str().ok().and_then(|origin| origin.split_once("://"));
    let host = headers.get(HOST).and_then(|host| host.to_str().ok());
    let (Some((_, origin)), Some(host)) = (origin, host) else { return false };
    match (origin.parse::<Authority>(), host.parse::<Authority>()) {
        (Ok(origin), Ok(host)) => {
            origin.host().eq_ignore_ascii_case(host.host()) && (origin.port_u16() == host.port_u16())
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(name: HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn only_own_pages_may_send_forms() {
        let of = |origin: &str| {
            let mut headers = header(HOST, "localhost:8480");
            headers.insert(ORIGIN, origin.parse().unwrap());
            is_of_own_page(&headers)
        };
        assert!(of("http://localhost:8480") && of("https://LOCALHOST:8480"));
        for origin in [
            "null",
            "http://localhost",
            "http://localhost:8481",
            "http://evil.example:8480",
            "localhost:8480",
        ] {
            assert!(!of(origin), "{origin}");
        }
        assert!(is_of_own_page(&header(HOST, "localhost")));
        let mut cross = header(HOST, "localhost");
        cross.insert("sec-fetch-site", "cross-site".parse().unwrap());
        assert!(!is_of_own_page(&cross));
    }
}
