//! The addresses of the dashboard.

use std::sync::Arc;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::{get, post};

use super::app::App;
use super::pages::section;
use super::section::Section;
use super::{actions, answer, api, assets, details, guard, log_in, probes};

/// Maximum size of a form in bytes.
const FORM: usize = 64 * 1024;

pub(super) fn router(app: &Arc<App>) -> Router {
    let mut router = Router::new()
        .route("/healthz", get(probes::healthz))
        .route("/readyz", get(probes::readyz))
        .route("/metrics", get(probes::metrics))
        .route(&app.assets.style, get(assets::style))
        .route(&app.assets.script, get(assets::script))
        .route("/login", get(log_in::form).post(log_in::log_in))
        .route("/logout", post(log_in::log_out))
        .merge(actions::router())
        .merge(api::router())
        .merge(details::router());
    for of in Section::ALL {
        router = router.route(of.path(), get(section));
    }
    // The last layer is the first to see a request.
    router
        .layer(DefaultBodyLimit::max(FORM))
        .layer(from_fn(guard::same_origin))
        .layer(from_fn_with_state(Arc::clone(app), guard::visitors))
        .layer(from_fn_with_state(Arc::clone(app), answer::dress))
        .layer(from_fn_with_state(Arc::clone(app), guard::hosts))
        .layer(from_fn(guard::headers))
        .with_state(Arc::clone(app))
}
