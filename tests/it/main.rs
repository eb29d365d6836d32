//! All integration tests in one binary. Most tests run the same body on both engines.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod make;
mod support;

#[cfg(feature = "async")]
mod async_database;
mod bad_input;
mod browse;
mod cli;
mod config;
mod database;
mod generation;
mod guide;
mod ingest;
mod lifecycle;
mod migrations;
mod models;
mod ops;
#[cfg(feature = "postgres")]
mod pooler;
mod queue;
#[cfg(feature = "sqlite")]
mod reference;
#[cfg(feature = "postgres")]
mod replica;
mod report;
mod schema;
mod secrets;
mod series;
#[cfg(feature = "web")]
mod serve;
mod structure;
#[cfg(feature = "web")]
mod web;
