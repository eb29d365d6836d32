//! One test binary; every behaviour runs on both engines from one body.

#![allow(clippy::unwrap_used, clippy::expect_used, missing_docs)]

mod make;
mod support;

mod bad_input;
mod cli;
mod config;
mod database;
mod generation;
mod guide;
mod ingest;
mod lives;
mod maintenance;
mod migrations;
mod models;
#[cfg(feature = "async")]
mod nonblocking;
#[cfg(feature = "postgres")]
mod pooler;
mod queue;
#[cfg(feature = "postgres")]
mod replica;
mod schema;
mod secrets;
mod series;
