//! Compares viraldb with hand-written binary COPY, the fastest way to load rows into PostgreSQL.

use std::io::{self, Write};

use viraldb::compilation::{ContentIdRisk, NewDiscoveredVideo, Processed};
use viraldb::diesel::connection::SimpleConnection;
use viraldb::diesel::pg::{CopyFormat, PgConnection};
use viraldb::diesel::prelude::*;
use viraldb::schema::discovered_videos as v;
use viraldb::{Database, Upserted};

use crate::measure::{Asked, Line, time};
use crate::rows;
use crate::server::Server;
use crate::sqlite::{one_write, write_a_chunk};

const NEW: &str = "postgres ingest new, one write";
const NEW_CHUNKS: &str = "postgres ingest new, one write per chunk";
const CHANGED: &str = "postgres ingest changed, one write";
const SAME: &str = "postgres ingest unchanged, one write";

/// 2000-01-01, PostgreSQL's epoch, in microseconds of Unix time.
const EPOCH: i64 = 946_684_800_000_000;

pub fn lines(asked: &Asked) -> Vec<Line> {
    if !asked.wants_any(&[NEW, NEW_CHUNKS, CHANGED, SAME]) {
        return Vec::new();
    }
    let count = asked.rows(200_000);
    let line = |name, target| Line::new(name, target, count);
    let [mut new, mut changed] = [line(NEW, Some(0.8)), line(CHANGED, Some(0.5))];
    let [mut new_chunks, mut same] = [line(NEW_CHUNKS, None), line(SAME, None)];
    let server = Server::new(&["shared_buffers=256MB", "max_wal_size=4GB"]);
    let url = server.create_database(&format!("bench{}", std::process::id()), "template0");
    let db = Database::open(&url).unwrap();
    let mut conn = PgConnection::establish(&url).unwrap();
    let mut rows = rows::rows(count);
    let all = rows.len();
    for _ in 0..asked.rounds(5) {
        empty(&mut conn);
        let ours = |rows: &[NewDiscoveredVideo<'_>], new, updated, unchanged| {
            time(|| assert_eq!(one_write(&db, rows), Upserted { new, updated, unchanged }))
        };
        let inserted = ours(&rows, all, 0, 0);
        settle(&mut conn);
        rows::grow(&mut rows, 3);
        let updated = ours(&rows, 0, all, 0);
        settle(&mut conn);
        let unchanged = ours(&rows, 0, 0, all);
        rows::grow(&mut rows, -3);

        empty(&mut conn);
        let hand = time(|| copy(&mut conn, &rows));

        new.add(inserted, hand);
        changed.add(updated, hand);
        same.add(unchanged, hand);
        if asked.wants(NEW_CHUNKS) {
            empty(&mut conn);
            new_chunks.add(time(|| write_a_chunk(&db, &rows)), hand);
        }
    }
    vec![new, new_chunks, changed, same]
}

fn empty(conn: &mut PgConnection) {
    conn.batch_execute("TRUNCATE discovered_videos RESTART IDENTITY CASCADE").unwrap();
    settle(conn);
}

/// Makes the server do its deferred work now, so that it does not affect the next measurement.
fn settle(conn: &mut PgConnection) {
    conn.batch_execute("VACUUM (ANALYZE) discovered_videos").unwrap();
    conn.batch_execute("CHECKPOINT").unwrap();
}

fn copy(conn: &mut PgConnection, rows: &[NewDiscoveredVideo<'_>]) {
    #[rustfmt::skip] // keep the tuple compact
    let columns = (
        v::video_id, v::title, v::channel_name, v::channel_id, v::url, v::category_id, v::duration_seconds,
        v::view_count, v::like_count, v::comment_count, v::view_velocity, v::viral_score, v::niche,
        v::discovery_source, v::discovered_at, v::processed, v::content_id_risk,
    );
    let copied = viraldb::diesel::copy_from(v::table)
        .from_raw_data(columns, |out: &mut dyn Write| -> Result<(), CopyError> { Ok(write(out, rows)?) })
        .with_format(CopyFormat::Binary)
        .execute(conn)
        .unwrap();
    assert_eq!(copied, rows.len());
}

fn write(out: &mut dyn Write, rows: &[NewDiscoveredVideo<'_>]) -> io::Result<()> {
    let mut buffer = Vec::with_capacity(72 * 1024);
    buffer.extend(b"PGCOPY\n\xff\r\n\0");
    buffer.extend([0; 8]); // no flags and an empty header extension
    for row in rows {
        buffer.extend(17_i16.to_be_bytes());
        for text in [&row.video_id, &row.title, &row.channel_name, &row.channel_id, &row.url] {
            field(&mut buffer, Some(text.as_bytes()));
        }
        for number in [row.category_id, row.duration_seconds] {
            field(&mut buffer, number.map(i32::to_be_bytes));
        }
        for number in [row.view_count, row.like_count, row.comment_count] {
            field(&mut buffer, number.map(i64::to_be_bytes));
        }
        for number in [row.view_velocity, row.viral_score] {
            field(&mut buffer, number.map(f64::to_be_bytes));
        }
        field(&mut buffer, Some(row.niche.as_bytes()));
        field(&mut buffer, row.discovery_source.as_deref().map(str::as_bytes));
        let micros = row.discovered_at.unwrap().to_utc().timestamp_micros() - EPOCH;
        field(&mut buffer, Some(micros.to_be_bytes()));
        field(&mut buffer, Some((row.processed.unwrap_or(Processed::Pending) as i32).to_be_bytes()));
        field(&mut buffer, Some(row.content_id_risk.unwrap_or(ContentIdRisk::Unknown).as_str()));
        if buffer.len() > 64 * 1024 {
            out.write_all(&buffer)?;
            buffer.clear();
        }
    }
    buffer.extend((-1_i16).to_be_bytes());
    out.write_all(&buffer)
}

fn field(buffer: &mut Vec<u8>, value: Option<impl AsRef<[u8]>>) {
    match value {
        Some(value) => {
            let value = value.as_ref();
            buffer.extend((value.len() as i32).to_be_bytes());
            buffer.extend(value);
        }
        None => buffer.extend((-1_i32).to_be_bytes()),
    }
}

/// An error of Diesel or of writing. Diesel requires one error type for both.
#[derive(Debug, thiserror::Error)]
enum CopyError {
    #[error(transparent)]
    Io(#[from] io::Error),
    #[error(transparent)]
    Diesel(#[from] viraldb::diesel::result::Error),
}
