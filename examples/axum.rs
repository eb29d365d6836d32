//! A small HTTP service for a database: `cargo run --example axum --features async -- URL [ADDRESS]`
//!
//! ```sh
//! curl 'localhost:3000/niches/gaming/pending?limit=5'
//! curl localhost:3000/videos/M9Pmf9AB4Mo/mark --json '{"status": "used"}'
//! curl localhost:3000/jobs/claim --json '{"worker": "w1", "types": ["download"], "limit": 2}'
//! ```

use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use viraldb::compilation::{DiscoveredVideo, Processed};
use viraldb::queue::{self, Claim};
use viraldb::republishing::{JobType, VideoProcessingJob};
use viraldb::{AsyncDatabase, CorrelationId, Error, correlation};

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let mut args = std::env::args().skip(1);
    let url = args.next().ok_or("usage: axum URL [ADDRESS]")?;
    let address = args.next().unwrap_or_else(|| "127.0.0.1:3000".to_owned());

    let db = AsyncDatabase::connect(&url).await?;
    let service = Router::new()
        .route("/niches/{niche}/pending", get(pending))
        .route("/videos/{video_id}/mark", post(mark))
        .route("/jobs/claim", post(claim))
        .layer(axum::middleware::from_fn(with_correlation))
        .with_state(db);
    let listener = tokio::net::TcpListener::bind(&address).await?;
    tracing::info!("listening on http://{}", listener.local_addr()?);
    let stop = async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!("cannot handle Ctrl-C, so it will not stop the service gracefully: {error}");
            std::future::pending::<()>().await;
        }
    };
    axum::serve(listener, service).with_graceful_shutdown(stop).await?;
    Ok(())
}

/// Runs each request as a separate unit of work.
async fn with_correlation(request: axum::extract::Request, next: axum::middleware::Next) -> Response {
    correlation::async_unit_of_work("request", CorrelationId::default(), next.run(request)).await
}

#[derive(Deserialize)]
struct Most {
    limit: Option<i64>,
}

async fn pending(
    State(db): State<AsyncDatabase>,
    Path(niche): Path<String>,
    Query(most): Query<Most>,
) -> Result<Json<Vec<DiscoveredVideo>>, Failure> {
    let limit = most.limit.unwrap_or(15).clamp(1, 1_000);
    Ok(Json(db.read(move |c| DiscoveredVideo::pending(c, &niche, limit)).await?))
}

#[derive(Deserialize)]
struct Mark {
    status: String,
}

async fn mark(
    State(db): State<AsyncDatabase>,
    Path(video_id): Path<String>,
    Json(mark): Json<Mark>,
) -> Result<Json<DiscoveredVideo>, Failure> {
    let status: Processed = mark.status.parse()?;
    Ok(Json(db.write(move |c| DiscoveredVideo::mark(c, &video_id, status)).await?))
}

#[derive(Deserialize)]
struct Wanted {
    worker: String,
    #[serde(default)]
    types: Vec<JobType>,
    limit: Option<u32>,
}

/// Claims jobs. The response contains each job's `lease_token`, which the worker needs to finish the job.
async fn claim(
    State(db): State<AsyncDatabase>,
    Json(wanted): Json<Wanted>,
) -> Result<Json<Vec<VideoProcessingJob>>, Failure> {
    let claim = Claim::new(wanted.worker).types(wanted.types).at_most(wanted.limit.unwrap_or(1));
    Ok(Json(db.write(move |c| queue::claim(c, &claim)).await?))
}

/// The error of a handler, which becomes an HTTP status.
struct Failure(Error);

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let status = match &self.0 {
            Error::NotFound { .. } => StatusCode::NOT_FOUND,
            Error::Conflict { .. } | Error::LeaseLost { .. } => StatusCode::CONFLICT,
            Error::Invalid { .. } => StatusCode::UNPROCESSABLE_ENTITY,
            Error::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        if status.is_server_error() {
            // Log the details of a database error, but do not send them to the client.
            tracing::error!("{}", self.0);
            return (status, Json(serde_json::json!({ "error": status.to_string() }))).into_response();
        }
        (status, Json(serde_json::json!({ "error": self.0.to_string() }))).into_response()
    }
}
