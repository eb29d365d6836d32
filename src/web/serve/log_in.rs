//! Logging in and out.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use axum::Extension;
use axum::extract::{Form, Query, State};
use axum::http::header::{LOCATION, SET_COOKIE};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use maud::html;
use serde::Deserialize;
use zeroize::Zeroizing;

use super::access::Names;
use super::app::App;
use super::failure::Failure;
use super::guard::set_cookie;
use super::shell;
use super::visitor::Visitor;

#[derive(Debug, Default, Deserialize)]
pub(super) struct Next {
    next: Option<String>,
}

/// What a visitor typed.
#[derive(Deserialize)]
pub(super) struct Typed {
    #[serde(default)]
    user: String,
    password: String,
    next: Option<String>,
}

#[derive(Deserialize)]
pub(super) struct Leaving {
    token: String,
}

pub(super) async fn form(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    Query(next): Query<Next>,
    headers: HeaderMap,
) -> Response {
    if visitor.user.is_some() || !app.needs_log_in() {
        return (StatusCode::SEE_OTHER, [(LOCATION, local(next.next.as_deref()))]).into_response();
    }
    page(&app, &headers, next.next.as_deref(), None)
}

fn page(app: &App, headers: &HeaderMap, next: Option<&str>, failed: Option<&str>) -> Response {
    let by_name = app.access.names() == Names::Users;
    let body = html! {
        form class="panel log-in" method="post" action="/login" {
            @if let Some(failed) = failed { p class="failed" role="alert" { (failed) } }
            input type="hidden" name="next" value=(local(next));
            @if by_name {
                label { span { "User" } input name="user" autocomplete="username" required autofocus; }
                label { span { "Password" } input type="password" name="password" autocomplete="current-password" required; }
            } @else {
                label { span { "Token" } input type="password" name="password" autocomplete="off" required autofocus; }
            }
            button type="submit" { "Log in" }
        }
    };
    let content = shell::Content { title: "Log in", path: "", body, at: chrono::Utc::now(), is_live: false };
    shell::answer(app, None, headers, &content)
}

/// Returns the address to go to after the log-in. It must be a page of the dashboard, so that a link to the log-in cannot lead
/// elsewhere.
fn local(next: Option<&str>) -> String {
    let is_local = |next: &&str| {
        next.starts_with('/')
            && !next.starts_with("//")
            && !next.starts_with("/login")
            && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\')
    };
    next.filter(is_local).unwrap_or("/").to_owned()
}

pub(super) async fn log_in(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    headers: HeaderMap,
    Form(typed): Form<Typed>,
) -> Result<Response, Failure> {
    if !app.needs_log_in() {
        return Err(Failure::missing("Nobody needs to log in to this dashboard."));
    }
    let address = visitor.address.unwrap_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    if !app.sessions.may_try(address) {
        tracing::warn!(target: "viraldb::dashboard", "log-in from {address} refused: too many attempts");
        return Err(Failure::too_often("There were too many attempts to log in."));
    }
    // Argon2 takes long and needs memory, so only a few passwords are checked at the same time.
    let (user, password) = (typed.user.clone(), Zeroizing::new(typed.password));
    let checks = Arc::clone(&app);
    let permit = Arc::clone(&app.log_ins).acquire_owned().await;
    let is_right = tokio::task::spawn_blocking(move || {
        let is_right = checks.access.check(&user, &password);
        drop(permit);
        is_right
    })
    .await
    .unwrap_or(false);
    let name = if app.access.names() == Names::Users { typed.user } else { "token".to_owned() };
    let shown = crate::quote::short(&name);
    if !is_right {
        tracing::warn!(target: "viraldb::dashboard", "log-in of {shown} from {address} failed");
        let mut response =
            page(&app, &headers, typed.next.as_deref(), Some("The name or the password is wrong."));
        *response.status_mut() = StatusCode::UNAUTHORIZED;
        return Ok(response);
    }
    tracing::info!(target: "viraldb::dashboard", "{shown} logged in from {address}");
    let cookie = app.sessions.start(&name)?;
    let next = local(typed.next.as_deref());
    Ok((StatusCode::SEE_OTHER, [(LOCATION, next), (SET_COOKIE, set_cookie(&app, &cookie))]).into_response())
}

pub(super) async fn log_out(
    State(app): State<Arc<App>>,
    Extension(visitor): Extension<Visitor>,
    Form(leaving): Form<Leaving>,
) -> Result<Response, Failure> {
    app.forms.check(&visitor, &leaving.token)?;
    if let Some(cookie) = &visitor.cookie {
        app.sessions.end(cookie);
    }
    let headers = [(LOCATION, "/login".to_owned()), (SET_COOKIE, set_cookie(&app, ""))];
    Ok((StatusCode::SEE_OTHER, headers).into_response())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_in_leads_only_to_pages_of_the_dashboard() {
        for next in ["/queue?since=7d", "/tables/videos"] {
            assert_eq!(local(Some(next)), next);
        }
        for next in
            ["//evil.example", "/\\evil.example", "https://evil.example", "/\n/evil.example", "", "/login"]
        {
            assert_eq!(local(Some(next)), "/", "{next:?}");
        }
    }
}
