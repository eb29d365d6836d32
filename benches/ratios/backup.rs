//! Measures backups of a large file while another thread writes, and the verification of a backup.

use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::Connection;
use viraldb::Database;
use viraldb::compilation::NewDiscoveredVideo;
use viraldb::ops::backup::{self, Create, Step};

use crate::measure::{Asked, Line};
use crate::rows;
use crate::sqlite::Scratch;

const BACKUP: &str = "sqlite backup during writes";
const COPY: &str = "sqlite backup during writes, only copying";
const INTO: &str = "sqlite VACUUM INTO, against the backup API";
const P99: &str = "sqlite backup, p99 of concurrent writes";
const VERIFY: &str = "verify of a backup, against sha256sum";

/// Rows that make about 1 GB.
const ROWS: u64 = 2_000_000;
/// The pause of the writer after each row.
const REST: Duration = Duration::from_millis(2);

pub fn lines(asked: &Asked) -> Vec<Line> {
    if !asked.wants_any(&[BACKUP, COPY, INTO, P99, VERIFY]) {
        return Vec::new();
    }
    let count = asked.rows(ROWS);
    let scratch = Scratch::new();
    let db = scratch.open();
    fill(&db, count);
    let size = std::fs::metadata(&scratch.path).unwrap().len();
    println!("  {size} bytes");
    let folder = scratch.path.parent().unwrap().to_owned();
    let line = |name, target| Line::new(name, target, size / 1_000_000);
    let [mut whole, mut copying] = [line(BACKUP, Some(0.8)), line(COPY, Some(0.8))];
    let [mut into, mut verify] = [line(INTO, None), line(VERIFY, Some(0.5))];
    let mut p99 = Line::new(P99, Some(0.5), 1);
    for round in 0..asked.rounds(5) {
        let alone = beside_a_writer(&db, || std::thread::sleep(Duration::from_secs(3))).1;
        let bare = || {
            let to = folder.join("bare.db");
            let (time, _) = beside_a_writer(&db, || bare(&scratch.path, &to));
            std::fs::remove_file(to).unwrap();
            time
        };
        let ours = || {
            let mut copied = None;
            let begun = Instant::now();
            let options = Create { to: Some(folder.join("made.zst")), ..Default::default() };
            let (time, p99) = beside_a_writer(&db, || {
                backup::create(db_url(&scratch.path).as_str(), &options, &mut |at| {
                    if at.step == Step::Compressing {
                        copied.get_or_insert_with(|| begun.elapsed());
                    }
                })
                .unwrap();
            });
            (time, copied.unwrap(), p99)
        };
        let (bare, (time, copied, beside)) = if round.is_multiple_of(2) {
            let bare = bare();
            (bare, ours())
        } else {
            let ours = ours();
            (bare(), ours)
        };
        whole.add(time, bare);
        copying.add(copied, bare);
        p99.add(beside, alone);
        let to = folder.join("into.db");
        let (vacuumed, _) = beside_a_writer(&db, || {
            Connection::open(&scratch.path).unwrap().execute("VACUUM INTO ?1", [to.to_str()]).unwrap();
        });
        std::fs::remove_file(to).unwrap();
        into.add(vacuumed, bare);

        let file = folder.join("made.zst");
        let begun = Instant::now();
        backup::verify(&file, None, &mut |_| ()).unwrap();
        let verified = begun.elapsed();
        let begun = Instant::now();
        assert!(Command::new("sha256sum").arg(&scratch.path).output().unwrap().status.success());
        verify.add(verified, begun.elapsed());
        for file in [backup::Manifest::path_of(&file), file] {
            std::fs::remove_file(file).unwrap();
        }
    }
    vec![whole, copying, into, p99, verify]
}

fn db_url(path: &Path) -> String {
    format!("sqlite://{}", path.display())
}

fn fill(db: &Database, count: u64) {
    let chunk = 50_000.min(count);
    for n in 0..count.div_ceil(chunk) {
        let mut rows = rows::rows(chunk);
        for row in &mut rows {
            row.video_id = format!("{}-{n}", row.video_id).into();
        }
        db.write(|c| NewDiscoveredVideo::insert_or_update_many(c, &rows)).unwrap();
    }
}

/// Copies the database with SQLite's backup API in one step.
fn bare(from: &Path, to: &Path) {
    let from = Connection::open(from).unwrap();
    let mut to = Connection::open(to).unwrap();
    let backup = rusqlite::backup::Backup::new(&from, &mut to).unwrap();
    assert_eq!(backup.step(-1).unwrap(), rusqlite::backup::StepResult::Done);
}

/// Runs `work` while a thread repeatedly writes a row. Returns the time of the work and the 99th percentile of the writes.
fn beside_a_writer(db: &Database, work: impl FnOnce()) -> (Duration, Duration) {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            let mut took = Vec::new();
            let mut rows = rows::rows(1);
            while !stop.load(Ordering::Relaxed) {
                rows::grow(&mut rows, 1);
                let begun = Instant::now();
                db.write(|c| NewDiscoveredVideo::insert_or_update_many(c, &rows)).unwrap();
                took.push(begun.elapsed());
                std::thread::sleep(REST);
            }
            took.sort_unstable();
            took[(took.len() - 1) * 99 / 100]
        });
        let begun = Instant::now();
        work();
        let time = begun.elapsed();
        stop.store(true, Ordering::Relaxed);
        (time, writer.join().unwrap())
    })
}
