//! What operators ask of a database and do to it.

pub mod backup;
mod status;

pub use status::{NichePending, Status, StatusCounts, TableRows, status};
