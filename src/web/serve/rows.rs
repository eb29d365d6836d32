//! Tables, rows, details and search in the API.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::response::Response;
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::failure::Failure;
use super::problem::{Problem, json};
use crate::browse;
use crate::types::{ChannelId, PipelineRunId, VideoProcessingJobId};
use crate::{DbConnection, Result};

/// The parameters of an address, in their order.
pub(super) type Pairs = Query<Vec<(String, String)>>;

/// Returns the routes with their descriptions.
pub(super) fn router() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(tables))
        .routes(routes!(table))
        .routes(routes!(row))
        .routes(routes!(run))
        .routes(routes!(job))
        .routes(routes!(channel))
        .routes(routes!(video))
        .routes(routes!(search))
}

/// Reads on a connection of the pool and returns JSON.
async fn read<T: Serialize>(
    app: &Arc<App>,
    work: impl FnOnce(&mut DbConnection) -> Result<T> + Send + 'static,
) -> Result<Response, Failure> {
    let read = move |app: &App| {
        let found = app.db.read(work)?;
        serde_json::to_string(&found).map_err(crate::Error::other)
    };
    Ok(json(app.blocking(read).await?))
}

/// Returns the key of a row from an address. Other text is the key of a missing row.
pub(super) fn key<K: std::str::FromStr>(text: &str) -> Result<K, Failure> {
    text.parse().map_err(|_| {
        Failure::missing(format!("There is no row with the key {}.", crate::quote::quoted(text)))
    })
}

/// Fails unless there is such a table.
pub(super) fn known(table: &str) -> Result<(), Failure> {
    match browse::table(table) {
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::missing(error.to_string())),
    }
}

/// The tables and their columns, with the filters and orders that their lists offer
#[utoipa::path(get, path = "/api/v1/tables", tag = "rows", responses(
    (status = 200, description = "The tables", body = Vec<Object>, content_type = "application/json"),
))]
async fn tables() -> Result<Response, Failure> {
    Ok(json(serde_json::to_string(browse::tables()).map_err(crate::Error::other)?))
}

/// The parameters of a list, besides its filters.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
#[allow(dead_code)] // it only describes the parameters; `browse::Query::from_pairs` reads them
struct List {
    /// The column to sort by
    sort: Option<String>,
    /// `asc` or `desc`
    order: Option<String>,
    /// The position: `next` or `previous` of another page
    cursor: Option<String>,
    /// Maximum number of rows, from 1 to 100
    limit: Option<u32>,
}

/// A page of a table
///
/// Any other parameter is a condition: `status=failed`, or `view_count.ge=1000` with one of the comparisons that
/// `/api/v1/tables` names for the column. Texts are cut after 200 characters, and secrets are masked.
#[utoipa::path(get, path = "/api/v1/tables/{table}", tag = "rows",
    params(("table" = String, Path, description = "Name of the table"), List),
    responses(
        (status = 200, description = "The rows, and the positions of the pages before and after", body = Object, content_type = "application/json"),
        (status = 404, description = "The table does not exist", body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "A filter, an order or a position is not offered", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
    ))]
async fn table(
    State(app): State<Arc<App>>,
    Path(table): Path<String>,
    Query(pairs): Pairs,
) -> Result<Response, Failure> {
    known(&table)?;
    let query = browse::Query::from_pairs(&table, pairs)?;
    read(&app, move |c| browse::page(c, &query)).await
}

/// A whole row
#[utoipa::path(get, path = "/api/v1/tables/{table}/{key}", tag = "rows",
    params(("table" = String, Path, description = "Name of the table"), ("key" = String, Path, description = "Primary key of the row")),
    responses(
        (status = 200, description = "The row", body = Object, content_type = "application/json"),
        (status = 404, description = "The row does not exist", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
    ))]
async fn row(
    State(app): State<Arc<App>>,
    Path((table, key)): Path<(String, String)>,
) -> Result<Response, Failure> {
    known(&table)?;
    read(&app, move |c| browse::row(c, &table, &key)).await
}

/// Declares the handler of a row with everything that belongs to it.
macro_rules! details {
    ($(#[doc = $doc:literal] $name:ident $path:literal $id:literal |$c:ident, $key:ident| $read:expr;)+) => {$(
        #[doc = $doc]
        #[utoipa::path(get, path = $path, tag = "rows", params(("id" = String, Path, description = $id)), responses(
            (status = 200, description = "The row and what belongs to it", body = Object, content_type = "application/json"),
            (status = 404, description = "The row does not exist", body = Problem, content_type = "application/problem+json"),
            (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
        ))]
        async fn $name(State(app): State<Arc<App>>, Path(id): Path<String>) -> Result<Response, Failure> {
            let $key = key(&id)?;
            read(&app, move |$c| $read).await
        }
    )+};
}

details! {
    /// A run with its clips, scripts, audio, shorts, reviews and errors
    run "/api/v1/runs/{id}" "Id of the run" |c, id| browse::run(c, PipelineRunId::clone(&id));
    /// A job with its attempts, lease and payload
    job "/api/v1/jobs/{id}" "Id of the job" |c, id| browse::job(c, VideoProcessingJobId::clone(&id));
    /// A channel with its statistics over time
    channel "/api/v1/channels/{id}" "Id of the channel" |c, id| browse::channel(c, ChannelId::clone(&id));
    /// A video with its statistics over time
    video "/api/v1/videos/{id}" "Id of a source video, or the platform's id of a discovered one" |c, id| browse::video(c, &String::clone(&id));
}

/// What to search for.
#[derive(Debug, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct Asked {
    /// An id, or a part of a title, a name or an error
    q: String,
}

/// Rows by id, title, name or error
#[utoipa::path(get, path = "/api/v1/search", tag = "rows", params(Asked), responses(
    (status = 200, description = "The rows, in groups", body = Object, content_type = "application/json"),
    (status = 400, description = "The parameter q is missing", body = Problem, content_type = "application/problem+json"),
    (status = 422, description = "The text is too short or too long", body = Problem, content_type = "application/problem+json"),
    (status = 503, description = "The database does not answer", body = Problem, content_type = "application/problem+json"),
))]
async fn search(State(app): State<Arc<App>>, Query(asked): Query<Asked>) -> Result<Response, Failure> {
    read(&app, move |c| browse::search(c, &asked.q)).await
}
