//! Connections, transactions, migrations: all that knows which engine it is on.

mod bulk;
pub(crate) mod catalog;
pub(crate) mod clock;
#[allow(missing_docs)] // Diesel's derive makes public items without docs
mod connection;
#[cfg(feature = "postgres")]
pub(crate) mod conninfo;
mod database;
pub(crate) mod document;
pub(crate) mod files;
mod halve;
mod insert;
#[cfg(feature = "postgres")]
mod listen;
pub mod migrate;
#[cfg(feature = "async")]
mod nonblocking;
#[cfg(feature = "postgres")]
pub(crate) mod notices;
pub(crate) mod opener;
mod pool;
#[cfg(feature = "postgres")]
pub(crate) mod postgres;
pub(crate) mod prepared;
pub(crate) mod replica;
#[cfg(feature = "sqlite")]
pub(crate) mod sqlite;
pub(crate) mod unfinished;
#[cfg(feature = "sqlite")]
pub(crate) mod untouched;
mod url;
pub(crate) mod wake;
#[cfg(feature = "sqlite")]
mod writer;

pub(crate) use bulk::{Bulk, Chunk, Manner};
pub use connection::{DbConnection, MultiBackend, MultiField, MultiRawValue, MultiRow, Page, Upserted};
pub(crate) use connection::{lock_ingest, on_backend};
pub use database::{Database, Options, Session};
pub(crate) use files::{beside, same_file};
pub(crate) use halve::store_or_halve;
pub(crate) use insert::insert_many;
#[cfg(feature = "async")]
pub use nonblocking::AsyncDatabase;
pub(crate) use opener::{default_busy_timeout, set_default_busy_timeout};
pub(crate) use url::Hidden;
#[cfg(feature = "postgres")]
pub(crate) use url::schema;
pub use url::{DatabaseUrl, database_url};

/// How many ids a query looks for at once: SQLite binds 32,766 values at most.
pub(crate) const IDS: usize = 30_000;
