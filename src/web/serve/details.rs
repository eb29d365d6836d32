//! Tables, rows, details and search as pages.

use std::sync::Arc;

use axum::Extension;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, Uri};
use axum::response::Response;
use axum::routing::get;
use chrono::Utc;
use maud::Markup;
use serde::Deserialize;

use super::actions;
use super::app::App;
use super::failure::Failure;
use super::rows::{Pairs, key, known};
use super::shell::{self, Content};
use super::visitor::Visitor;
use crate::Result;
use crate::browse;
use crate::types::{ChannelId, ErrorLogId, PipelineRunId, VideoProcessingJobId};
use crate::web::pages;
use crate::web::sections::short;

pub(super) fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/tables", get(tables))
        .route("/tables/{table}", get(list))
        .route("/tables/{table}/{key}", get(row))
        .route("/runs/{id}", get(run))
        .route("/jobs/{id}", get(job))
        .route("/channels/{id}", get(channel))
        .route("/videos/{id}", get(video))
        .route("/search", get(search))
}

/// A request for a page.
struct Asked {
    app: Arc<App>,
    visitor: Visitor,
    headers: HeaderMap,
    uri: Uri,
}

/// The parts of a request that every page needs.
type Parts = (State<Arc<App>>, Extension<Visitor>, HeaderMap, Uri);

impl Asked {
    fn new((State(app), Extension(visitor), headers, uri): Parts) -> Self {
        Self { app, visitor, headers, uri }
    }

    /// Reads and renders the title and the content on a thread that may block, and answers with the page.
    async fn page(
        self,
        is_live: bool,
        work: impl FnOnce(&App, &Visitor) -> Result<(String, Markup)> + Send + 'static,
    ) -> Result<Response, Failure> {
        let at = Utc::now();
        let visitor = self.visitor.clone();
        let (title, body) = self.app.blocking(move |app| work(app, &visitor)).await?;
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let content = Content { title: &title, path, body, at, is_live };
        Ok(shell::answer(&self.app, Some(&self.visitor), &self.headers, &content))
    }
}

/// Returns the buttons unless there are none.
fn some(buttons: &Markup) -> Option<&Markup> {
    (!buttons.0.is_empty()).then_some(buttons)
}

async fn tables(parts: Parts) -> Result<Response, Failure> {
    Asked::new(parts).page(false, |_, _| Ok(("Tables".to_owned(), pages::list::tables()))).await
}

async fn list(
    state: State<Arc<App>>,
    visitor: Extension<Visitor>,
    Path(table): Path<String>,
    Query(pairs): Pairs,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    known(&table)?;
    let query = browse::Query::from_pairs(&table, pairs)?;
    let work = move |app: &App, _: &Visitor| {
        let page = app.db.read(|c| browse::page(c, &query))?;
        Ok((table, pages::list::list(&page, &query)))
    };
    // A page in the middle of a list would change under the reader's eyes.
    Asked::new((state, visitor, headers, uri)).page(false, work).await
}

async fn row(
    state: State<Arc<App>>,
    visitor: Extension<Visitor>,
    Path((table, key)): Path<(String, String)>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    known(&table)?;
    let work = move |app: &App, visitor: &Visitor| {
        let of = browse::table(&table)?;
        let row = app.db.read(|c| browse::row(c, &table, &key))?;
        let buttons = match key.parse::<ErrorLogId>() {
            Ok(id) if table == "error_log" => actions::of_error(app, visitor, id)?,
            _ => Markup::default(),
        };
        Ok((format!("{table} {}", short(&key, 60)), pages::row::row(of, &row, some(&buttons))))
    };
    Asked::new((state, visitor, headers, uri)).page(true, work).await
}

async fn run(
    state: State<Arc<App>>,
    visitor: Extension<Visitor>,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    let id: PipelineRunId = key(&id)?;
    let work = move |app: &App, visitor: &Visitor| {
        let view = app.db.read(|c| browse::run(c, id))?;
        let buttons = actions::of_run(app, visitor, id)?;
        Ok((format!("Run {id}"), pages::run::run(&view, some(&buttons))))
    };
    Asked::new((state, visitor, headers, uri)).page(true, work).await
}

async fn job(
    state: State<Arc<App>>,
    visitor: Extension<Visitor>,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    let id: VideoProcessingJobId = key(&id)?;
    let work = move |app: &App, visitor: &Visitor| {
        let view = app.db.read(|c| browse::job(c, id))?;
        let buttons = actions::of_job(app, visitor, id)?;
        Ok((format!("Job {id}"), pages::job::job(&view, Utc::now(), some(&buttons))))
    };
    Asked::new((state, visitor, headers, uri)).page(true, work).await
}

async fn channel(
    state: State<Arc<App>>,
    visitor: Extension<Visitor>,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    let id: ChannelId = key(&id)?;
    let work = move |app: &App, _: &Visitor| {
        let view = app.db.read(|c| browse::channel(c, id))?;
        Ok((title("Channel", &view.channel, "name"), pages::channel::channel(&view, None)))
    };
    Asked::new((state, visitor, headers, uri)).page(true, work).await
}

async fn video(
    state: State<Arc<App>>,
    visitor: Extension<Visitor>,
    Path(id): Path<String>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    let work = move |app: &App, _: &Visitor| {
        let view = app.db.read(|c| browse::video(c, &id))?;
        let name = if view.table == "videos" { "source_title" } else { "title" };
        Ok((title("Video", &view.video, name), pages::video::video(&view, None)))
    };
    Asked::new((state, visitor, headers, uri)).page(true, work).await
}

/// Returns the title of a row's page: its name or title, or else its key.
fn title(kind: &str, row: &browse::Row, column: &str) -> String {
    let name = row.values.get(column).and_then(|value| value.as_str()).filter(|name| !name.trim().is_empty());
    format!("{kind} {}", short(name.unwrap_or(&row.key), 80))
}

/// What to search for.
#[derive(Debug, Deserialize)]
struct Searched {
    #[serde(default)]
    q: String,
}

async fn search(
    state: State<Arc<App>>,
    visitor: Extension<Visitor>,
    Query(searched): Query<Searched>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Failure> {
    let work = move |app: &App, _: &Visitor| {
        let text = searched.q.trim();
        let found = match text {
            "" => None,
            text => Some(app.db.read(|c| browse::search(c, text))?),
        };
        Ok(("Search".to_owned(), pages::search::search(text, found.as_ref())))
    };
    Asked::new((state, visitor, headers, uri)).page(false, work).await
}
