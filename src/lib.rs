//! The database layer of automated short-video channels.
//!
//! viraldb stores the data of these channels: discovered videos, runs, clips, scripts, jobs, statistics, reviews,
//! settings, secrets, errors and the channels themselves. The same code and the same tables work with one SQLite file on a
//! laptop and with PostgreSQL in production. You can use typed models and functions, your own Diesel queries against
//! [`schema`], or the `viraldb` command.
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
//! // your own Diesel query
//! use viraldb::schema::discovered_videos::dsl::*;
//! let titles: Vec<String> =
//!     db.read(|c| Ok(discovered_videos.filter(view_count.gt(1_000_000)).select(title).load(c)?))?;
//! assert_eq!(titles, ["I asked her"]);
//! # Ok(())
//! # }
//! ```
//!
//! # What you can do with it
//!
//! - **Store and find rows.** Each of the 22 tables has a struct with `find`, `list`, `count`, `exists` and `delete`, a
//!   `New…` struct with `insert`, and a `…Changes` struct with `update`. They are in [`compilation`], [`republishing`] and
//!   [`generation`].
//! - **Write your own queries and tables.** Use [`schema`] for Diesel queries, [`joinable!`] to join your own tables, and
//!   [`on_backend!`] for SQL that only one engine supports. `examples/own_tables` keeps its own migrations in the same
//!   database.
//! - **Distribute work.** Call [`queue::enqueue`] to add jobs, and run [`queue::Worker`] or [`queue::claim`] in any number of
//!   processes.
//! - **Read files and streams.** `ingest::ingest` reads files from YouTube, TikTok and yt-dlp. `ingest::ingest_records`
//!   takes records that your program already has.
//! - **Manage settings and secrets.** [`config::Config`] tells you which value is in effect and why. [`secrets`] encrypts
//!   credentials.
//!
//! `ops` contains the operator's tasks, such as backup, restore, doctor, prune and transfer. [`Error::kind`] tells your
//! program how it can handle an error.
//!
//! # Features
//!
//! | feature | contents | default |
//! |---|---|---|
//! | `sqlite` | SQLite, bundled | yes |
//! | `postgres` | PostgreSQL, through the system's libpq | |
//! | `async` | `AsyncDatabase` and async workers, for programs that use tokio | |
//! | `ingest` | [`ingest`]: reads files from YouTube, TikTok and yt-dlp | through `cli` |
//! | `ops` | [`ops`], [`report`] and [`browse`]: row counts, lists and search, backup, restore, doctor, prune, export, transfer, takeover | through `cli` |
//! | `encrypted-backups` | backups encrypted with age; implies `ops` | through `cli` |
//! | `schedules` | `queue::JobSchedule`: jobs that are enqueued by cron expressions | through `cli` |
//! | `web` | [`web`]: the report as an HTML file, the dashboard, and metrics for Prometheus; implies `ops` | yes |
//! | `cli` | the `viraldb` command; implies `ingest`, `ops` and `schedules` | yes |
//!
//! Models, migrations, queries, the queue, configuration and secrets are always included. If your program needs only these,
//! set `default-features = false, features = ["sqlite"]`. It then builds a third of the crates.

// Items that only the command uses are also compiled without the feature `cli`, because a `cfg` on each item would clutter
// the code. With the feature `cli`, the compiler still reports unused items.
#![cfg_attr(not(feature = "cli"), allow(dead_code, unused_imports))]
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(not(any(feature = "sqlite", feature = "postgres")))]
compile_error!("viraldb needs a database engine: enable the feature `sqlite`, `postgres` or both");

mod bounded;
#[cfg(feature = "ops")]
pub mod browse;
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
#[cfg(feature = "ops")]
pub mod report;
pub mod republishing;
#[rustfmt::skip] // keep the layout that `diesel print-schema` prints
#[allow(missing_docs)] // the docs come from the comments in the database
pub mod schema;
pub mod secrets;
pub mod series;
#[cfg(any(feature = "ingest", feature = "ops"))]
mod tables;
pub mod types;
#[cfg(feature = "web")]
pub mod web;

#[cfg(feature = "async")]
pub use db::AsyncDatabase;
pub use db::{Database, DatabaseUrl, DbConnection, Engine, Options, Page, Session, Upserted};
pub use error::{Error, ErrorKind, Result};
pub use helpers::{get_pending_videos, get_session, init_db, log_error, mark_video_processed};
pub use types::{ConfigValue, CorrelationId, Json, Timestamp};
/// The crates whose types appear in public signatures, in the versions that viraldb was built with.
#[doc(no_inline)]
pub use {chrono, diesel, serde_json, uuid};

/// Runs the README's example as a doc test.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Runs the Rust examples in the how-to guides as doc tests.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../docs/src/how-to/own-tables.md")]
    struct OwnTables;
    #[doc = include_str!("../docs/src/how-to/queue.md")]
    struct Queue;
    #[cfg(feature = "web")]
    #[doc = include_str!("../docs/src/how-to/dashboard.md")]
    struct Dashboard;
    #[cfg(feature = "ops")]
    #[doc = include_str!("../docs/src/how-to/report.md")]
    struct Report;
    #[cfg(feature = "schedules")]
    #[doc = include_str!("../docs/src/how-to/schedules.md")]
    struct Schedules;
    #[doc = include_str!("../docs/src/how-to/workers.md")]
    struct Workers;
}
