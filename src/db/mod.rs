//! Connections, transactions and migrations: all code that depends on the database engine.

#[cfg(feature = "async")]
mod async_database;
mod bisect;
mod bulk;
pub(crate) mod catalog;
mod children;
pub(crate) mod clock;
#[allow(missing_docs)] // Diesel's derive generates public items without docs
mod connection;
mod database;
pub(crate) mod eager;
mod engine;
#[cfg(all(feature = "sqlite", target_os = "linux"))]
mod file_events;
pub(crate) mod files;
pub(crate) mod identifier;
mod insert;
pub(crate) mod json_upsert;
#[cfg(feature = "postgres")]
mod listen;
pub mod migrate;
#[cfg(feature = "postgres")]
pub(crate) mod notices;
pub(crate) mod opener;
pub(crate) mod options;
#[cfg(feature = "async")]
mod permits;
mod pool;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
pub(crate) mod prepared;
pub(crate) mod replica;
mod source;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
pub(crate) mod time_limit;
pub(crate) mod unfinished;
#[cfg(feature = "sqlite")]
pub(crate) mod untouched;
pub(crate) mod url;
pub(crate) mod wake;
#[cfg(feature = "sqlite")]
mod writer;

#[cfg(feature = "async")]
pub use async_database::AsyncDatabase;
pub(crate) use bisect::store_or_bisect;
pub(crate) use bulk::{Bulk, Chunk, Manner};
pub(crate) use children::children;
pub use connection::{DbConnection, MultiBackend, MultiField, MultiRawValue, MultiRow, Page, Upserted};
pub(crate) use connection::{lock_ingest, on_backend};
pub use database::{Database, Session};
pub use engine::Engine;
pub(crate) use files::{beside, same_file};
pub(crate) use insert::insert_many;
pub use options::Options;
pub(crate) use options::default_busy_timeout;
pub use pool::Connections;
#[cfg(feature = "postgres")]
pub(crate) use url::schema;
pub use url::{DatabaseUrl, database_url};

/// The maximum number of ids in one query. SQLite binds at most 32,766 values.
pub(crate) const IDS: usize = 30_000;
