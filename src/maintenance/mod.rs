//! What operators ask of a database and do to it.

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
