//! What operators ask of a database and do to it.

mod status;

pub use status::{NichePending, Status, StatusCounts, TableRows, status};
