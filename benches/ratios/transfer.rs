//! Compares a transfer from SQLite to PostgreSQL with COPY of the same rows from CSV in memory.

use std::io::{self, Write};

use viraldb::compilation::NewDiscoveredVideo;
use viraldb::diesel::connection::SimpleConnection;
use viraldb::diesel::pg::{CopyFormat, CopyTarget, PgConnection};
use viraldb::diesel::prelude::*;
use viraldb::ops::transfer::{Existing, Options, transfer};
use viraldb::schema::{analytics, discovered_videos};
use viraldb::{Database, schema};

use crate::measure::{Asked, Line, time};
use crate::rows::{self, Random};
use crate::server::Server;
use crate::sqlite::CHUNK;

const THERE: &str = "transfer to postgres";
const BACK: &str = "transfer to sqlite";

pub fn lines(asked: &Asked) -> Vec<Line> {
    if !asked.wants_any(&[THERE, BACK]) {
        return Vec::new();
    }
    let count = asked.rows(1_000_000);
    let mut there = Line::new(THERE, Some(0.6), 2 * count);
    let mut back = Line::new(BACK, None, 2 * count);
    let dir = tempfile::tempdir().unwrap();
    let sqlite = |name: &str| format!("sqlite://{}", dir.path().join(name).display());
    let source = sqlite("source.db");
    fill(&source, count);

    let server = Server::new(&["shared_buffers=256MB", "max_wal_size=4GB"]);
    let url = server.create_database(&format!("transfer{}", std::process::id()), "template0");
    drop(Database::open(&url).unwrap());
    let mut conn = PgConnection::establish(&url).unwrap();
    let options = Options { existing: Existing::Replace, ..Options::default() };
    let run = |from: &str, to: &str| {
        let report = transfer(from, to, &options, &mut |_| ()).unwrap();
        assert_eq!(report.rows, 2 * count);
    };
    run(&source, &url);
    let csv = [csv_of(&url, discovered_videos::table), csv_of(&url, analytics::table)];
    for round in 0..asked.rounds(3) {
        empty(&mut conn);
        let hand = time(|| {
            conn.transaction(|conn| {
                copy(conn, discovered_videos::table, &csv[0])?;
                copy(conn, analytics::table, &csv[1])
            })
            .unwrap();
        });
        empty(&mut conn);
        there.add(time(|| run(&source, &url)), hand);
        if asked.wants(BACK) {
            let file = sqlite(&format!("back{round}.db"));
            back.add(time(|| run(&url, &file)), hand);
        }
    }
    vec![there, back]
}

/// Creates a SQLite file with `count` videos and `count` snapshots.
fn fill(url: &str, count: u64) {
    let db = Database::open(url).unwrap();
    for start in (0..count).step_by(CHUNK) {
        let rows: Vec<NewDiscoveredVideo<'_>> =
            (start..(start + CHUNK as u64).min(count)).map(rows::row).collect();
        db.write(|c| NewDiscoveredVideo::insert_or_update_many(c, &rows)).unwrap();
    }
    db.write(|c| {
        let mut random = Random::new(7);
        for n in 0..count {
            let views = random.below(1 << 40) as i64;
            viraldb::diesel::insert_into(schema::analytics::table)
                .values((
                    analytics::youtube_video_id.eq(rows::video_id(n % 20_000)),
                    analytics::view_count.eq(views),
                    analytics::like_count.eq(views / 30),
                    analytics::comment_count.eq(views / 500),
                    analytics::average_view_duration_seconds.eq(views as f64 / 1e10),
                    analytics::click_through_rate.eq(1.0 / (views + 1) as f64),
                    analytics::subscriber_gain.eq((n % 100) as i32),
                    analytics::estimated_revenue_usd.eq(views as f64 / 1e6),
                ))
                .execute(c)?;
        }
        Ok(())
    })
    .unwrap();
}

fn empty(conn: &mut PgConnection) {
    conn.batch_execute("TRUNCATE discovered_videos, analytics RESTART IDENTITY CASCADE").unwrap();
    conn.batch_execute("VACUUM (ANALYZE) discovered_videos, analytics").unwrap();
    conn.batch_execute("CHECKPOINT").unwrap();
}

/// Returns the rows of a table as CSV from PostgreSQL, through a separate connection that is closed afterwards.
fn csv_of(url: &str, table: impl CopyTarget) -> Vec<u8> {
    let mut conn = PgConnection::establish(url).unwrap();
    let mut csv = Vec::new();
    let mut rows = viraldb::diesel::copy_to(table).with_format(CopyFormat::Csv).load_raw(&mut conn).unwrap();
    io::copy(&mut rows, &mut csv).unwrap();
    csv
}

fn copy<T>(conn: &mut PgConnection, table: T, csv: &[u8]) -> QueryResult<usize>
where
    T: CopyTarget<Table = T> + Table + Copy,
{
    viraldb::diesel::copy_from(table)
        .from_raw_data(table, |out: &mut dyn Write| -> Result<(), CopyError> {
            Ok(csv.chunks(64 * 1024).try_for_each(|part| out.write_all(part))?)
        })
        .with_format(CopyFormat::Csv)
        .execute(conn)
        .map_err(|error| match error {
            CopyError::Diesel(error) => error,
            CopyError::Io(error) => viraldb::diesel::result::Error::SerializationError(Box::new(error)),
        })
}

/// An error of Diesel or of writing. Diesel requires one error type for both.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Diesel(#[from] viraldb::diesel::result::Error),
}
