//! One test binary; every behaviour runs on both engines from one body.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod make;
mod support;

#[cfg(feature = "async")]
mod async_database;
mod bad_input;
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
#[cfg(feature = "postgres")]
mod replica;
mod schema;
mod secrets;
mod series;
mod structure;
