//! The plan, progress and report of a transfer.

use serde::{Deserialize, Serialize};

/// The step of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The rows of the table are being written to the target.
    Copying,
    /// The rows of the table are being read to compare source and target.
    Comparing,
}

/// The progress of a transfer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Progress {
    /// The current step.
    pub phase: Phase,
    /// The table that is being processed.
    pub table: &'static str,
    /// Rows of the table that are done.
    pub done: u64,
    /// Rows that the table has in the source.
    pub of: u64,
}

/// The result of a transfer. The digests of source and target are equal.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Report {
    /// The source URL, with its password masked.
    pub from: String,
    /// The target URL, with its password masked.
    pub to: String,
    /// Rows of all tables.
    pub rows: u64,
    /// The number of these rows that an interrupted transfer had already copied.
    pub resumed: u64,
    /// True if the target already was a complete copy and nothing was written.
    pub was_complete: bool,
    /// Duration in seconds.
    pub seconds: f64,
    /// The result for each table.
    pub tables: Vec<Transferred>,
}

/// The result of a transfer for one table.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Transferred {
    /// The name of the table.
    pub table: String,
    /// The number of its rows.
    pub rows: u64,
    /// The [`Digest`](super::Digest) of its rows, in hexadecimal.
    pub digest: String,
    /// Seconds that it took to copy the table and to read it back.
    pub seconds: f64,
}

/// The plan of a transfer, from a dry run.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Plan {
    /// The source URL, with its password masked.
    pub from: String,
    /// The target URL, with its password masked.
    pub to: String,
    /// The plan for each table.
    pub tables: Vec<Planned>,
}

/// The plan of a transfer for one table.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Planned {
    /// The name of the table.
    pub table: String,
    /// Rows that would be copied.
    pub rows: u64,
    /// Rows that an interrupted transfer has already copied.
    pub copied: u64,
    /// Rows of the target that would be deleted first.
    pub deleted: u64,
}
