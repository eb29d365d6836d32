//! Compares viraldb with rusqlite and prepared statements, with the same settings and values.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use libsqlite3_sys as ffi;
use rusqlite::{Connection, TransactionBehavior, params};
use tempfile::TempDir;
use viraldb::compilation::{ContentIdRisk, DiscoveredVideo, NewDiscoveredVideo, Processed};
use viraldb::types::{DiscoveredVideoId, Timestamp};
use viraldb::{Database, Upserted};

use crate::measure::{Asked, Line, time};
use crate::rows::{self, NICHES, Random};

/// The number of rows that are passed to viraldb in one call.
pub const CHUNK: usize = 5_000;

const NEW: &str = "sqlite ingest new, one write";
const NEW_CHUNKS: &str = "sqlite ingest new, one write per chunk";
const CHANGED: &str = "sqlite ingest changed, one write";
const CHANGED_CHUNKS: &str = "sqlite ingest changed, one write per chunk";
const SAME: &str = "sqlite ingest unchanged, one write";
const SAME_CHUNKS: &str = "sqlite ingest unchanged, one write per chunk";
const LOOKUP: &str = "sqlite lookup by video_id";
const PENDING: &str = "sqlite pending, 1,000 of a niche";

pub const COLUMNS: &str = "video_id, title, channel_name, channel_id, url, category_id, duration_seconds, view_count, \
     like_count, comment_count, view_velocity, viral_score, niche, discovery_source, discovered_at, processed, \
     content_id_risk";

pub fn lines(asked: &Asked) -> Vec<Line> {
    let mut lines = Vec::new();
    if asked.wants_any(&[NEW, NEW_CHUNKS, CHANGED, CHANGED_CHUNKS, SAME, SAME_CHUNKS]) {
        lines.extend(ingest(asked));
    }
    if asked.wants_any(&[LOOKUP, PENDING]) {
        lines.extend(reads(asked));
    }
    lines
}

/// A database that viraldb's migrations created, in a temporary folder that is deleted when it is dropped.
pub struct Scratch {
    pub path: PathBuf,
    _dir: TempDir,
}

impl Scratch {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let scratch = Self { path: dir.path().join("viral.db"), _dir: dir };
        scratch.open();
        scratch
    }

    pub fn open(&self) -> Database {
        Database::open(&format!("sqlite://{}", self.path.display())).unwrap()
    }
}

/// Opens a connection of the rival with viraldb's settings; see `src/db/sqlite.rs`.
pub fn rival(path: &Path) -> Connection {
    let conn = Connection::open(path).unwrap();
    conn.execute_batch(
        "PRAGMA busy_timeout = 5000;
         PRAGMA foreign_keys = ON;
         PRAGMA synchronous = NORMAL;
         PRAGMA cache_size = -32000;
         PRAGMA temp_store = MEMORY;",
    )
    .unwrap();
    assert_eq!(conn.query_row("PRAGMA journal_mode", [], |row| row.get::<_, String>(0)).unwrap(), "wal");
    conn
}

/// Measures ingests. Only one side has its database open: all connections of a process share one page cache, and the first
/// one would fill it.
fn ingest(asked: &Asked) -> Vec<Line> {
    let count = asked.rows(1_000_000);
    let line = |name, target| Line::new(name, target, count);
    let mut whole = [line(NEW, Some(0.8)), line(CHANGED, Some(0.8)), line(SAME, None)];
    let mut chunks = [line(NEW_CHUNKS, None), line(CHANGED_CHUNKS, None), line(SAME_CHUNKS, None)];
    let mut rows = rows::rows(count);
    for round in 0..asked.rounds(3) {
        let (ours, hand) = in_turns(round, &mut rows, |rows| ours(rows, one_write), hand);
        whole
            .iter_mut()
            .zip(ours.into_iter().zip(hand))
            .for_each(|(line, (ours, hand))| line.add(ours, hand));
        if chunks.iter().any(|line| asked.wants(line.name)) {
            let ours = self::ours(&mut rows, write_a_chunk);
            chunks
                .iter_mut()
                .zip(ours.into_iter().zip(hand))
                .for_each(|(line, (ours, hand))| line.add(ours, hand));
        }
    }
    whole.into_iter().chain(chunks).collect()
}

/// The times for new rows, for the same rows with changed counts, and for unchanged rows.
type Times = [Duration; 3];

fn ours(
    rows: &mut Vec<NewDiscoveredVideo<'_>>,
    write: impl Fn(&Database, &[NewDiscoveredVideo<'_>]) -> Upserted,
) -> Times {
    let scratch = Scratch::new();
    let db = scratch.open();
    let all = rows.len();
    let part = |rows: &[NewDiscoveredVideo<'_>], new, updated, unchanged| {
        time(|| assert_eq!(write(&db, rows), Upserted { new, updated, unchanged }))
    };
    let new = part(rows, all, 0, 0);
    rows::grow(rows, 3);
    let times = [new, part(rows, 0, all, 0), part(rows, 0, 0, all)];
    rows::grow(rows, -3);
    times
}

pub fn one_write(db: &Database, rows: &[NewDiscoveredVideo<'_>]) -> Upserted {
    db.write(|c| {
        let mut sum = Upserted::default();
        for chunk in rows.chunks(CHUNK) {
            sum += NewDiscoveredVideo::insert_or_update_many(c, chunk)?;
        }
        Ok(sum)
    })
    .unwrap()
}

pub fn write_a_chunk(db: &Database, rows: &[NewDiscoveredVideo<'_>]) -> Upserted {
    let mut sum = Upserted::default();
    for chunk in rows.chunks(CHUNK) {
        sum += db.write(|c| NewDiscoveredVideo::insert_or_update_many(c, chunk)).unwrap();
    }
    sum
}

fn hand(rows: &mut Vec<NewDiscoveredVideo<'_>>) -> Times {
    let scratch = Scratch::new();
    let mut conn = rival(&scratch.path);
    let new = time(|| execute(&mut conn, rows, INSERT));
    rows::grow(rows, 3);
    let times = [new, time(|| execute(&mut conn, rows, UPSERT)), time(|| execute(&mut conn, rows, UPSERT))];
    rows::grow(rows, -3);
    times
}

/// The rival for new rows: one prepared insert, one transaction.
const INSERT: &str = "";

/// The rival for rows that exist already.
const UPSERT: &str = "ON CONFLICT (video_id) DO UPDATE SET view_count = excluded.view_count, \
                      like_count = excluded.like_count, comment_count = excluded.comment_count";

fn execute(conn: &mut Connection, rows: &[NewDiscoveredVideo<'_>], on_conflict: &str) {
    let transaction = conn.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
    let mut statement = transaction
        .prepare_cached(&format!(
            "INSERT INTO discovered_videos ({COLUMNS}) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17) {on_conflict}"
        ))
        .unwrap();
    for row in rows {
        let changed = statement
            .execute(params![
                &*row.video_id,
                &*row.title,
                &*row.channel_name,
                &*row.channel_id,
                &*row.url,
                row.category_id,
                row.duration_seconds,
                row.view_count,
                row.like_count,
                row.comment_count,
                row.view_velocity,
                row.viral_score,
                &*row.niche,
                row.discovery_source.as_deref(),
                to_text(row.discovered_at.unwrap()),
                row.processed.unwrap_or(Processed::Pending) as i32,
                row.content_id_risk.unwrap_or(ContentIdRisk::Unknown).as_str(),
            ])
            .unwrap();
        assert_eq!(changed, 1);
    }
    drop(statement);
    transaction.commit().unwrap();
}

/// Formats a timestamp as viraldb stores it, in chrono's fastest way. `format` takes far longer.
pub fn to_text(at: Timestamp) -> String {
    let mut text = at.to_utc().to_rfc3339_opts(chrono::SecondsFormat::Micros, true);
    text.pop();
    text.replace_range(10..11, " ");
    text
}

/// The struct into which a hand-written program reads a row.
mod plain {
    use viraldb::Timestamp;
    use viraldb::compilation::{ContentIdRisk, DiscoveredVideoId, Processed};

    #[derive(Debug)]
    #[allow(dead_code)] // the fields are only printed
    pub struct DiscoveredVideo {
        pub id: DiscoveredVideoId,
        pub video_id: String,
        pub title: String,
        pub channel_name: String,
        pub channel_id: String,
        pub url: String,
        pub category_id: Option<i32>,
        pub duration_seconds: Option<i32>,
        pub view_count: Option<i64>,
        pub like_count: Option<i64>,
        pub comment_count: Option<i64>,
        pub view_velocity: Option<f64>,
        pub viral_score: Option<f64>,
        pub niche: String,
        pub discovery_source: Option<String>,
        pub discovered_at: Timestamp,
        pub processed: Processed,
        pub content_id_risk: ContentIdRisk,
    }
}

pub fn read(row: &rusqlite::Row<'_>) -> rusqlite::Result<plain::DiscoveredVideo> {
    let text = |index: usize| Ok::<_, rusqlite::Error>(row.get_ref(index)?.as_str()?);
    Ok(plain::DiscoveredVideo {
        id: DiscoveredVideoId(row.get(0)?),
        video_id: row.get(1)?,
        title: row.get(2)?,
        channel_name: row.get(3)?,
        channel_id: row.get(4)?,
        url: row.get(5)?,
        category_id: row.get(6)?,
        duration_seconds: row.get(7)?,
        view_count: row.get(8)?,
        like_count: row.get(9)?,
        comment_count: row.get(10)?,
        view_velocity: row.get(11)?,
        viral_score: row.get(12)?,
        niche: row.get(13)?,
        discovery_source: row.get(14)?,
        discovered_at: chrono::NaiveDateTime::parse_from_str(text(15)?, "%Y-%m-%d %H:%M:%S%.f")
            .unwrap()
            .and_utc()
            .into(),
        processed: row.get::<_, i32>(16)?.try_into().unwrap(),
        content_id_risk: text(17)?.parse().unwrap(),
    })
}

/// Measures reads. Both sides read the same file.
fn reads(asked: &Asked) -> Vec<Line> {
    let count = asked.rows(1_000_000);
    let scratch = Scratch::new();
    let db = scratch.open();
    for start in (0..count).step_by(CHUNK) {
        let chunk: Vec<_> = (start..(start + CHUNK as u64).min(count)).map(rows::row).collect();
        db.write(|c| NewDiscoveredVideo::insert_or_update_many(c, &chunk)).unwrap();
    }
    let conn = rival(&scratch.path);
    conn.pragma_update(None, "query_only", true).unwrap();
    handles::watch();
    let mut lines = Vec::new();
    if asked.wants(LOOKUP) {
        lines.push(lookup(asked, &db, &conn, count));
    }
    if asked.wants(PENDING) {
        lines.push(pending(asked, &db, &conn));
    }
    lines
}

fn lookup(asked: &Asked, db: &Database, conn: &Connection, count: u64) -> Line {
    const EACH: u64 = 20_000;
    let sql = format!("SELECT id, {COLUMNS} FROM discovered_videos WHERE video_id = ?1 LIMIT 1");
    let ours = |id: &str| db.read(|c| DiscoveredVideo::find_by_video_id(c, id)).unwrap();
    let hand = |id: &str| conn.prepare_cached(&sql).unwrap().query_row([id], read).unwrap();
    let warm = rows::video_id(0);
    assert_eq!(format!("{:?}", ours(&warm)), format!("{:?}", hand(&warm)));
    let before = handles::prepared_again();
    let mut line = Line::new(LOOKUP, 0.8, EACH);
    let mut random = Random::new(1);
    for round in 0..asked.rounds(21) {
        let ids: Vec<String> = (0..EACH).map(|_| rows::video_id(random.below(count))).collect();
        let each = |find: &dyn Fn(&str)| time(|| ids.iter().for_each(|id| find(id)));
        let (ours, hand) = in_turns(
            round,
            &mut (),
            |_| each(&|id| drop(std::hint::black_box(ours(id)))),
            |_| each(&|id| drop(std::hint::black_box(hand(id)))),
        );
        line.add(ours, hand);
    }
    line.note = format!("statements prepared again: {}", handles::prepared_again() - before);
    line
}

fn pending(asked: &Asked, db: &Database, conn: &Connection) -> Line {
    let sql = format!(
        "SELECT id, {COLUMNS} FROM discovered_videos WHERE processed = 0 AND niche = ?1 \
         ORDER BY viral_score DESC NULLS LAST, view_velocity DESC NULLS LAST, view_count DESC NULLS LAST, id \
         LIMIT 1000"
    );
    let ours = |niche: &str| db.read(|c| DiscoveredVideo::pending(c, niche, 1_000)).unwrap();
    let hand = |niche: &str| {
        let mut statement = conn.prepare_cached(&sql).unwrap();
        let rows = statement.query_map([niche], read).unwrap();
        rows.collect::<rusqlite::Result<Vec<_>>>().unwrap()
    };
    assert_eq!(format!("{:?}", ours(NICHES[0])), format!("{:?}", hand(NICHES[0])));
    let before = handles::prepared_again();
    let mut line = Line::new(PENDING, 0.85, 5 * NICHES.len() as u64);
    for round in 0..asked.rounds(21) {
        let times =
            |list: &dyn Fn(&str)| time(|| (0..5).for_each(|_| NICHES.iter().for_each(|niche| list(niche))));
        let (ours, hand) = in_turns(
            round,
            &mut (),
            |_| times(&|niche| drop(std::hint::black_box(ours(niche)))),
            |_| times(&|niche| drop(std::hint::black_box(hand(niche)))),
        );
        line.add(ours, hand);
    }
    line.note = format!("statements prepared again: {}", handles::prepared_again() - before);
    line
}

/// Runs both sides. The order alternates from round to round, and each side starts with an empty page cache, which all
/// connections of the process share.
pub fn in_turns<S, T>(
    round: usize,
    state: &mut S,
    ours: impl FnOnce(&mut S) -> T,
    hand: impl FnOnce(&mut S) -> T,
) -> (T, T) {
    handles::empty_page_cache();
    if round.is_multiple_of(2) {
        let ours = ours(state);
        handles::empty_page_cache();
        (ours, hand(state))
    } else {
        let hand = hand(state);
        handles::empty_page_cache();
        (ours(state), hand)
    }
}

/// Diesel does not expose the handle of a connection, so an auto-extension records each one when it is opened.
mod handles {
    use super::*;

    static OPEN: Mutex<Vec<usize>> = Mutex::new(Vec::new());

    unsafe extern "C" fn on_open(
        db: *mut ffi::sqlite3,
        _: *mut *mut std::ffi::c_char,
        _: *const ffi::sqlite3_api_routines,
    ) -> std::ffi::c_int {
        OPEN.lock().unwrap().push(db as usize);
        ffi::SQLITE_OK
    }

    /// Records every connection from now on. The connections must stay open until the last call of [`prepared_again`].
    pub fn watch() {
        // SAFETY: registering is thread-safe, and the function exists as long as the process.
        unsafe { ffi::sqlite3_auto_extension(Some(on_open)) };
    }

    /// Releases the memory of all cached pages that are not in use.
    pub fn empty_page_cache() {
        // SAFETY: the function takes a number, and SQLite locks the data that it changes.
        unsafe { ffi::sqlite3_release_memory(i32::MAX) };
    }

    /// Returns how often SQLite has prepared statements of the recorded connections again.
    pub fn prepared_again() -> i32 {
        let open = OPEN.lock().unwrap();
        assert!(!open.is_empty(), "no connection was opened");
        let mut sum = 0;
        for db in &*open {
            let mut statement = std::ptr::null_mut();
            loop {
                // SAFETY: the caller holds the database, whose pool keeps the connections open, and no other thread runs a
                // statement on them.
                unsafe {
                    statement = ffi::sqlite3_next_stmt(*db as *mut ffi::sqlite3, statement);
                    if statement.is_null() {
                        break;
                    }
                    sum += ffi::sqlite3_stmt_status(statement, ffi::SQLITE_STMTSTATUS_REPREPARE, 0);
                }
            }
        }
        sum
    }
}
