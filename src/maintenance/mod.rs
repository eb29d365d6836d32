//! What operators ask of a database and do to it.

pub mod backup;
mod export;
mod optimize;
mod prune;
mod sizes;
mod status;

pub use export::{Destination, Export, Exported, Form, export};
pub use optimize::{Optimized, optimize};
pub use prune::{Part, Prune, Pruned, Pruning, prune};
pub use sizes::{TableSize, sizes};
pub use status::{NichePending, Status, StatusCounts, TableRows, status};
