//! The database layer of automated short-video channels.
//!
//! viraldb holds what such a channel knows — discovered videos, runs, clips, scripts, channels, jobs,
//! statistics, reviews, settings, secrets, errors — in one file on a laptop (SQLite) or in PostgreSQL in
//! production, with the same code and the same tables. There are three ways to it: typed models and
//! functions, one's own Diesel queries against [`schema`], and the command `viraldb`.
//!
//! ```
//! use viraldb::compilation::{DiscoveredVideo, NewDiscoveredVideo, Processed};
//! use viraldb::diesel::prelude::*;
//!
//! # fn main() -> viraldb::Result<()> {
//! let db = viraldb::Database::open("sqlite::memory:")?; // connects, migrates, checks history
//!
//! let found = NewDiscoveredVideo {
//!     video_id: "3C66w5Z0ixs".into(),
//!     title: "I asked her".into(),
//!     niche: "gaming".into(),
//!     view_count: Some(1_514_614),
//!     ..Default::default()
//! };
//! db.write(|c| found.insert(c))?; // one IMMEDIATE transaction
//! let best = db.read(|c| DiscoveredVideo::pending(c, "gaming", 15))?; // a read-only connection
//! db.write(|c| DiscoveredVideo::mark(c, &best[0].video_id, Processed::Used))?;
//!
//! // one's own Diesel
//! use viraldb::schema::discovered_videos::dsl::*;
//! let titles: Vec<String> =
//!     db.read(|c| Ok(discovered_videos.filter(view_count.gt(1_000_000)).select(title).load(c)?))?;
//! assert_eq!(titles, ["I asked her"]);
//! # Ok(())
//! # }
//! ```
//!
//! # Features
//!
//! - `sqlite` (default): SQLite, compiled in.
//! - `postgres`: PostgreSQL through the system's libpq.
//! - `async`: `AsyncDatabase`, for programs that run on tokio.

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
compile_error!("viraldb needs an engine: enable the feature `sqlite`, `postgres` or both");

mod bounded;
#[doc(hidden)] // the command line; what it does, the other modules do for a caller
pub mod cli;
pub mod compilation;
pub mod config;
pub mod correlation;
pub mod db;
mod environment;
mod error;
pub mod generation;
mod helpers;
pub mod ingest;
pub mod maintenance;
pub mod queue;
pub mod republishing;
#[rustfmt::skip] // as `diesel print-schema` prints it
#[allow(missing_docs)] // its docs are the comments in the database
pub mod schema;
pub mod secrets;
pub mod series;
pub mod types;

#[cfg(feature = "async")]
pub use db::AsyncDatabase;
pub use db::{Database, DatabaseUrl, DbConnection, Options, Page, Session, Upserted};
pub use diesel;
pub use error::{Error, Result};
pub use helpers::{get_pending_videos, get_session, init_db, log_error, mark_video_processed};
pub use types::{ConfigValue, CorrelationId, Json, Timestamp};

/// Runs the README's example with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
