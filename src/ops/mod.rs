//! Operations: inspecting, maintaining, backing up and copying databases.
//!
//! | item | purpose |
//! |---|---|
//! | [`status`], [`status_exact`], [`sizes`] | show the contents of the database and the size of each table |
//! | [`describe`](fn@describe) | describes the tables: columns, keys, indexes and comments, also as a diagram |
//! | [`doctor`], [`drift`] | look for problems, and compare the schema with the migrations |
//! | [`backup`] | creates, verifies, lists, deletes and restores backups |
//! | [`prune`], [`optimize`] | delete old rows, and free disk space |
//! | [`export`] | writes the rows of tables as JSON Lines or CSV |
//! | [`transfer`](mod@transfer) | copies a database into another one, also between SQLite and PostgreSQL |
//! | [`takeover`](mod@takeover) | copies the database of a Python application into a viraldb database |
//!
//! `workspace.rs` provides folders for temporary files to several of them.

pub mod backup;
mod describe;
mod doctor;
mod drift;
mod export;
#[cfg(all(unix, feature = "sqlite"))]
mod mounts;
mod optimize;
mod prune;
pub(crate) mod resume;
mod sizes;
mod status;
pub mod takeover;
pub mod transfer;
mod workspace;

pub use describe::{
    ColumnDescription, Domain, ForeignKey, IndexDescription, OnDelete, TableDescription, describe, dot,
    markdown, mermaid,
};
pub(crate) use describe::{column_comment, table_comment};
pub use doctor::{Check, Examination, Finding, Mended, Report, Severity, Verdict, doctor};
pub use drift::{Difference, Object, drift};
pub use export::{Destination, Export, Exported, Form, export};
pub use optimize::{Optimize, Optimized, optimize};
pub use prune::{Part, Prune, Pruned, Pruning, TableRows, prune};
pub use sizes::{TableSize, sizes};
pub use status::{NichePending, Status, StatusCounts, status, status_exact};
pub use takeover::takeover;
pub use transfer::transfer;
