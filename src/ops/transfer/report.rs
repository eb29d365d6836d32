//! What a transfer says of itself: before it, meanwhile and in the end.

use serde::{Deserialize, Serialize};

/// What is being done with the tables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Its rows are written to the target.
    Copying,
    /// Its rows in the target are read back.
    Comparing,
}

/// How far a transfer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// What is being done.
    pub phase: Phase,
    /// The table that it is done with.
    pub table: &'static str,
    /// Rows of it that are done with.
    pub done: u64,
    /// Rows that the source has in it.
    pub of: u64,
}

/// What was transferred. The digests of source and target are the same.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The source, its password masked.
    pub from: String,
    /// The target, its password masked.
    pub to: String,
    /// Rows of all tables.
    pub rows: u64,
    /// Those of them that an interrupted transfer had copied before.
    pub resumed: u64,
    /// Whether the target was a complete copy already, and nothing was written.
    pub was_complete: bool,
    /// How long it took.
    pub seconds: f64,
    /// Each table.
    pub tables: Vec<Transferred>,
}

/// What was transferred of a table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Transferred {
    /// The table.
    pub table: String,
    /// Its rows.
    pub rows: u64,
    /// The [`Digest`](super::Digest) of its rows, in hexadecimal.
    pub digest: String,
    /// How long it took to copy it and to read it back.
    pub seconds: f64,
}

/// What a transfer would do.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The source, its password masked.
    pub from: String,
    /// The target, its password masked.
    pub to: String,
    /// Each table.
    pub tables: Vec<Planned>,
}

/// What a transfer would do with a table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Planned {
    /// The table.
    pub table: String,
    /// Rows that would be copied.
    pub rows: u64,
    /// Rows that an interrupted transfer has copied already.
    pub copied: u64,
    /// Rows of the target that would be deleted first.
    pub deleted: u64,
}
