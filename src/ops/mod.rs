//! What operators ask of a database and do to it.
//!
//! | part | what it does |
//! |---|---|
//! | [`status`], [`sizes`] | say what is in the database, and how much room each table takes |
//! | [`doctor`], [`drift`] | look for what is wrong, and compare the schema with the migrations |
//! | [`backup`] | makes backups, checks, lists and deletes them, and restores one |
//! | [`prune`], [`optimize`] | delete what is old, and give back room |
//! | [`export`] | writes rows of tables as JSON Lines or CSV |
//! | [`transfer`](mod@transfer) | copies a database into another one, between SQLite and PostgreSQL |
//! | [`takeover`](mod@takeover) | copies the database of a Python application into ours |
//!
//! `workspace.rs` is the room that several of them need for temporary files.

pub mod backup;
mod doctor;
mod drift;
mod export;
#[cfg(all(unix, feature = "sqlite"))]
mod mounts;
mod optimize;
mod prune;
mod sizes;
mod status;
pub mod takeover;
pub mod transfer;
mod workspace;

pub use doctor::{Check, Examination, Finding, Mended, Report, Severity, Verdict, doctor};
pub use drift::{Difference, Object, drift};
pub use export::{Destination, Export, Exported, Form, export};
pub use optimize::{Optimized, optimize};
pub use prune::{Part, Prune, Pruned, Pruning, prune};
pub use sizes::{TableSize, sizes};
pub use status::{NichePending, Status, StatusCounts, TableRows, status};
pub use takeover::takeover;
pub use transfer::transfer;
