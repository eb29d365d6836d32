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
//! # What programs do with it
//!
//! - **Store and find rows**: each of the 22 tables has a struct with `find`, `list`, `count`, `exists` and `delete`, a `New…` struct
//!   with `insert`, and a `…Changes` struct with `update`, in [`compilation`], [`republishing`] and [`generation`].
//! - **Their own queries and tables**: [`schema`] for Diesel, [`joinable!`] for tables of your own, [`on_backend!`] for what only one
//!   engine has. `examples/own_tables` has migrations of its own in the same database.
//! - **Distribute work**: [`queue::enqueue`], and [`queue::Worker`] or [`queue::claim`] in any number of processes.
//! - **Read files and streams**: `ingest::ingest` for files of YouTube, TikTok and yt-dlp, `ingest::ingest_records` for what a
//!   program has itself.
//! - **Settings and secrets**: [`config::Config`] says which value counts and why, [`secrets`] encrypts credentials.
//!
//! `ops` has what operators do: backup, restore, doctor, prune, transfer. Errors say by [`Error::kind`] what a program can do about them.
//!
//! # Features
//!
//! | feature | holds | default |
//! |---|---|---|
//! | `sqlite` | SQLite, compiled in | yes |
//! | `postgres` | PostgreSQL through the system's libpq | |
//! | `async` | `AsyncDatabase`, for programs that run on tokio | |
//! | `ingest` | [`ingest`]: files in the formats of the field | through `cli` |
//! | `ops` | [`ops`]: backup, restore, doctor, prune, export, transfer, takeover | through `cli` |
//! | `encrypted-backups` | backups encrypted with age; implies `ops` | through `cli` |
//! | `cli` | the command `viraldb`; implies `ingest` and `ops` | yes |
//!
//! Models, migrations, queries, the queue, the configuration and secrets are always there. A program that needs no more
//! builds a third of the crates with `default-features = false, features = ["sqlite"]`.

// What only the features of the command use is there without them, too: a `cfg` on each such item would hide the code. With
// the command, nothing may be unused.
#![cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
compile_error!("viraldb needs an engine: enable the feature `sqlite`, `postgres` or both");

mod bounded;
pub mod compilation;
pub mod config;
pub mod correlation;
pub mod db;
mod environment;
mod error;
pub mod generation;
mod helpers;
#[cfg(feature = "ingest")]
pub mod ingest;
mod joins;
#[cfg(feature = "ops")]
pub mod ops;
#[cfg(feature = "cli")]
#[doc(hidden)]
pub mod private;
pub mod queue;
mod quote;
pub mod republishing;
#[rustfmt::skip] // as `diesel print-schema` prints it
#[allow(missing_docs)] // its docs are the comments in the database
pub mod schema;
pub mod secrets;
pub mod series;
#[cfg(any(feature = "ingest", feature = "ops"))]
mod tables;
pub mod types;

#[cfg(feature = "async")]
pub use db::AsyncDatabase;
pub use db::{Database, DatabaseUrl, DbConnection, Options, Page, Session, Upserted};
pub use error::{Error, ErrorKind, Result};
pub use helpers::{get_pending_videos, get_session, init_db, log_error, mark_video_processed};
pub use types::{ConfigValue, CorrelationId, Json, Timestamp};
/// The crates whose types stand in signatures, in the version that viraldb was built with.
#[doc(no_inline)]
pub use {chrono, diesel, serde_json, uuid};

/// Runs the README's example with the doc tests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
