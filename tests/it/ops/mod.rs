//! Operations on a database: backups, checks, drift, exports, pruning, takeovers and transfers.

mod backup;
mod doctor;
mod drift;
mod export;
mod export_files;
mod export_rows;
mod full_disk;
mod optimize;
#[cfg(unix)]
mod other_names;
mod prune;
mod prune_killed;
mod prune_paths;
#[cfg(all(feature = "postgres", feature = "sqlite"))]
mod roles;
#[cfg(all(feature = "postgres", feature = "sqlite"))]
mod shadows;
mod status;
mod takeover;
mod transfer;

use std::time::Duration;

use viraldb::diesel::connection::SimpleConnection;
use viraldb::{Database, Timestamp};

use crate::make;

fn days_ago(days: u64) -> Timestamp {
    Timestamp::now() - Duration::from_secs(days * 24 * 3600)
}

/// Runs statements as another program would.
fn sql(db: &Database, statements: &str) {
    db.write(|c| Ok(c.batch_execute(statements)?)).unwrap();
}

/// Returns the only column of a query as text.
fn texts(db: &Database, query: &str) -> Vec<String> {
    db.read(|c| Ok(make::query(c, query))).unwrap()
}

fn number(db: &Database, query: &str) -> i64 {
    texts(db, query)[0].parse().unwrap()
}
