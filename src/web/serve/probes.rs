//! Whether the process lives, whether the dashboard can answer, and metrics.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use chrono::Utc;
use serde::Serialize;

use super::app::App;
use super::cache::Kept;
use super::failure::Failure;
use crate::{Timestamp, queue};

/// A lease that expired longer ago than this is stuck: no worker and no `viraldb jobs rescue` runs.
const STUCK: Duration = Duration::from_secs(600);

pub(super) async fn healthz() -> &'static str {
    "ok\n"
}

#[derive(Debug, Serialize)]
struct Readiness {
    ready: bool,
    checks: Vec<Outcome>,
}

/// The outcome of a check. Everyone can read it, so it contains no text of the database.
#[derive(Debug, Serialize)]
struct Outcome {
    check: &'static str,
    ok: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

pub(super) async fn readyz(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    let compute_app = Arc::clone(&app);
    let compute = move || async move {
        let checks = match compute_app.blocking(|app| Ok(checks(app))).await {
            Ok(checks) => checks,
            Err(failure) => vec![Outcome { check: "database", ok: false, reason: Some(failure.text) }],
        };
        let ready = checks.iter().all(|check| check.ok);
        let text = serde_json::to_string(&Readiness { ready, checks });
        Ok(Kept { at: Utc::now(), text: text.map_err(crate::Error::other)? })
    };
    let kept = app.cache.get("readyz", compute).await?;
    let is_ready = kept.text.starts_with("{\"ready\":true");
    let status = if is_ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    Ok((status, [(CONTENT_TYPE, "application/json")], kept.text.clone()).into_response())
}

fn checks(app: &App) -> Vec<Outcome> {
    let outcome = |check, reason: Option<String>| Outcome { check, ok: reason.is_none(), reason };
    if let Err(error) = app.db.ping() {
        tracing::warn!("not ready: {error}");
        return vec![outcome("database", Some("the database does not answer; the log says why".to_owned()))];
    }
    let schema = match app.db.history().and_then(|history| history.require_current()) {
        Ok(()) => None,
        Err(error) => {
            tracing::warn!("not ready: {error}");
            Some("the schema is not the current one; run `viraldb migrate status`".to_owned())
        }
    };
    let mut checks = vec![outcome("database", None), outcome("schema", schema)];
    if checks.iter().all(|check| check.ok) {
        checks.push(outcome("leases", leases(app)));
    }
    checks
}

/// Returns why the leases are stuck.
fn leases(app: &App) -> Option<String> {
    let running = match app.db.read(queue::running) {
        Ok(running) => running,
        Err(error) => {
            tracing::warn!("not ready: {error}");
            return Some("the jobs cannot be read; the log says why".to_owned());
        }
    };
    let before = Timestamp::now() - STUCK;
    let stuck = running.iter().filter(|job| job.lease_expires_at.is_some_and(|at| at < before)).count();
    (stuck > 0).then(|| {
        let jobs = crate::quote::counted(stuck, "job");
        let minutes = STUCK.as_secs() / 60;
        format!("{jobs} had a lease that expired more than {minutes} minutes ago; start a worker or run `viraldb jobs rescue`")
    })
}

pub(super) async fn metrics(State(app): State<Arc<App>>) -> Result<Response, Failure> {
    let compute_app = Arc::clone(&app);
    let compute = move || async move {
        let text = compute_app.blocking(|app| crate::web::metrics::metrics(&app.db, &app.backups())).await?;
        Ok(Kept { at: Utc::now(), text })
    };
    let kept = app.cache.get("metrics", compute).await?;
    let pool = app.db.connections();
    let mut text = kept.text.clone();
    text.push_str("# HELP viraldb_dashboard_connections Connections of the dashboard to the database\n");
    text.push_str("# TYPE viraldb_dashboard_connections gauge\n");
    for (state, count) in
        [("in_use", pool.open - pool.idle.min(pool.open)), ("idle", pool.idle), ("most", pool.most)]
    {
        text.push_str(&format!("viraldb_dashboard_connections{{state=\"{state}\"}} {count}\n"));
    }
    Ok(([(CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")], text).into_response())
}
