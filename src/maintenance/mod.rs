//! What operators ask of a database and do to it.

mod doctor;
mod drift;
mod status;

pub use doctor::{Check, Examination, Finding, Mended, Report, Severity, Verdict, doctor};
pub use drift::{Difference, Object, drift};
pub use status::{NichePending, Status, StatusCounts, TableRows, status};
