//! `viraldb transfer`: moving all rows from one database to another.

mod commands;
mod killed;
mod refused;
mod resumed;
mod rows;
mod unfinished;

use viraldb::ops::transfer::{Existing, Options, Report, transfer};
use viraldb::{Database, DbConnection, Result};

use crate::make;
use crate::support::Scratch;

/// Returns a scratch on the other engine.
#[cfg(all(feature = "sqlite", feature = "postgres"))]
pub(super) fn other_engine(t: &Scratch) -> Scratch {
    if t.is_postgres { Scratch::sqlite() } else { Scratch::postgres() }
}

/// Returns another scratch on the only compiled engine.
#[cfg(not(all(feature = "sqlite", feature = "postgres")))]
pub(super) fn other_engine(t: &Scratch) -> Scratch {
    t.another()
}

/// Transfers in batches of 7 rows.
fn run(from: &Scratch, to: &Scratch, existing: Existing) -> Result<Report> {
    transfer(&from.url, &to.url, &Options { existing, batch: 7 }, &mut |_| ())
}

fn digests(report: &Report) -> Vec<(String, u64, String)> {
    report.tables.iter().map(|table| (table.table.clone(), table.rows, table.digest.clone())).collect()
}

/// Runs statements as another program would.
fn execute(db: &Database, statements: &str) {
    db.write(|c| make::execute(c, statements)).unwrap();
}

/// Inserts one row into each of the 22 tables, which refer to each other.
pub(super) fn seed(db: &Database) {
    db.write(|c| make::seed(c).and_then(|()| make::link(c))).unwrap();
}

/// Inserts `count` discovered videos and `count` analytics rows.
pub(super) fn insert_many(t: &Scratch, db: &Database, count: u32) {
    let numbers = if t.is_postgres {
        format!("generate_series(1, {count}) AS numbers (n)")
    } else {
        format!(
            "(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < {count}) SELECT n FROM s) AS numbers"
        )
    };
    execute(
        db,
        &format!(
            "INSERT INTO discovered_videos (video_id, title, channel_name, channel_id, url, niche, view_count, viral_score) \
             SELECT 'm' || n, 'Title ' || n, 'Channel', 'UC', 'https://youtu.be/' || n, 'gaming', n * 1000, n / 7.0 FROM {numbers}; \
             INSERT INTO analytics (youtube_video_id, view_count) SELECT 'a' || (n % 50), n FROM {numbers}"
        ),
    );
}

/// Returns the tables of a database.
pub(super) fn tables(t: &Scratch, c: &mut DbConnection) -> Vec<String> {
    let sql = if t.is_postgres {
        "SELECT relname::text AS v FROM pg_class WHERE relkind = 'r' AND relnamespace = 'public'::regnamespace ORDER BY 1"
    } else {
        "SELECT name AS v FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%' ORDER BY 1"
    };
    make::query(c, sql)
}

/// Makes the database reject a second row of `jobs` with the same status. Transfers copy `jobs` after most other tables.
fn block(db: &Database) {
    execute(db, "CREATE UNIQUE INDEX blocked ON jobs (status)");
}

fn unblock(db: &Database) {
    execute(db, "DROP INDEX blocked");
}
