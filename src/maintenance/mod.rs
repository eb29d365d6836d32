//! What operators ask of a database and do to it.

mod status;
pub mod transfer;

pub use status::{NichePending, Status, StatusCounts, TableRows, status};
pub use transfer::transfer;
