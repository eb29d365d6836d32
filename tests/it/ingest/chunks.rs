//! Tests of storing rows in chunks: the division into chunks changes nothing, large files take no longer per
//! row than small ones, and other programs can write meanwhile.

use std::time::Duration;

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::json;
use viraldb::diesel::prelude::*;
use viraldb::on_backend;
use viraldb::schema::jobs;

use super::*;
#[cfg(feature = "sqlite")]
use crate::support::neighbors;

/// Random rows: a video number, a day and a view count.
fn rows() -> impl Strategy<Value = Vec<(u8, u32, Option<u16>)>> {
    proptest::collection::vec((0_u8..6, 10_u32..28, proptest::option::of(any::<u16>())), 1..40)
}

/// Returns the contents of a database without anything that depends on the order of the rows.
fn contents(db: &Database) -> (Vec<String>, Vec<String>) {
    let (videos, snapshots, _) = everything(db);
    let mut videos: Vec<String> = videos
        .iter()
        .map(|v| format!("{:?}", (&v.video_id, v.discovered_at, v.view_count, v.like_count, v.view_velocity)))
        .collect();
    let mut snapshots: Vec<String> = snapshots
        .iter()
        .map(|s| format!("{:?}", (&s.youtube_video_id, s.measured_at, s.view_count)))
        .collect();
    videos.sort();
    snapshots.sort();
    (videos, snapshots)
}

both! {
    fn division_of_a_file_does_not_matter(t) {
        let whole = t.db();
        let parts = t.db();
        let mut runner = TestRunner::new_with_rng(
            Config { cases: 24, failure_persistence: None, ..Config::default() },
            proptest::test_runner::TestRng::deterministic_rng(proptest::test_runner::RngAlgorithm::ChaCha),
        );
        runner.run(&(rows(), proptest::collection::vec(1_usize..12, 1..8)), |(rows, sizes)| {
            for db in [&whole, &parts] {
                db.write(|c| Ok(c.batch_execute("DELETE FROM analytics; DELETE FROM discovered_videos")?)).unwrap();
            }
            let text = |rows: &[(u8, u32, Option<u16>)]| {
                let each = rows.iter().map(|(id, day, views)| row(&format!("v{id}"), *day, &views.map_or(String::new(), |v| v.to_string())));
                HEADER.to_owned() + &each.collect::<String>()
            };
            read(&whole, text(&rows), &Options::default());
            let mut left = &rows[..];
            for size in sizes.iter().cycle() {
                if left.is_empty() {
                    break;
                }
                let (part, rest) = left.split_at((*size).min(left.len()));
                read(&parts, text(part), &Options::default());
                left = rest;
            }
            prop_assert_eq!(contents(&whole), contents(&parts));
            Ok(())
        })
        .unwrap();
    }

    fn time_per_row_does_not_grow_with_the_file(t) {
        let time = |count: usize| {
            let db = t.db();
            let text: String = (0..count).map(|n| row(&format!("{count}{:08x}", n.wrapping_mul(0x9E37_79B1) as u32), 12 + (n * 10 / count) as u32, "1")).collect();
            let before = processor_time();
            let (report, _) = read(&db, format!("{HEADER}{text}"), &Options::default());
            assert_eq!((report.new, report.snapshots), (count as u64, count as u64));
            processor_time() - before
        };
        time(1_000); // warm-up for one-time costs
        let (few, many) = (time(20_000), time(200_000));
        assert!(many < few * 20, "20,000 rows took {few:?}, and 200,000 took {many:?}");
    }

    /// The rejected row makes SQLite roll back a chunk and assign the ids of that chunk again.
    fn rows_without_a_key_are_inserted_once_despite_concurrent_inserts_and_a_rejected_row(t) {
        let db = t.db();
        let other = t.db();
        db.write(|c| Ok(c.batch_execute(
            "CREATE UNIQUE INDEX own ON jobs (theme) WHERE stage = 'once';
             INSERT INTO jobs (theme, stage, metadata) VALUES ('taken', 'once', '{}')",
        )?))
        .unwrap();
        let rows = || (0..60_000).map(|n| match n {
            31_000 => "{\"theme\":\"taken\",\"stage\":\"once\",\"metadata\":{\"n\":1}}\n".to_owned(),
            n if n < 30_000 => job(n),
            n => job(n - 500), // 500 rows are repeated in another batch
        });
        let insert = move || {
            let job = NewJob { theme: Some("job 59000".into()), metadata: Some(viraldb::Json(json!({"n": 59_000, "share": 0.5}))), ..NewJob::new() };
            other.write(|c| job.insert(c)).unwrap();
        };
        let mut input = Meanwhile { rows: rows().enumerate(), at: 45_000, run: Some(insert), left: Vec::new() };
        let mut rejects = Vec::new();
        let options = Options { table: Some("jobs"), format: Some(Format::Jsonl), ..Default::default() };
        let report = ingest(&db, "input", &mut input, &options, &mut |reject| {
            rejects.push(reject.line);
            Ok(())
        })
        .unwrap();
        assert_eq!(rejects, [31_001]);
        // 59,500 different rows, minus the one that the rejected row replaces and the one that was stored
        // already.
        assert_eq!((report.rows, report.new), (60_000, 59_498));
        let stored: i64 = db.read(|c| Ok(on_backend!(c, |c| jobs::table.count().get_result(c))?)).unwrap();
        assert_eq!(stored, 59_500);
        let (again, _) = read(&db, rows().collect::<String>(), &options);
        assert_eq!((again.rows, again.new, again.updated, again.rejected), (60_000, 0, 0, 1));
    }
}

/// A row of `jobs`, which has no key.
fn job(n: usize) -> String {
    json!({"theme": format!("job {n}"), "metadata": {"n": n, "share": 0.5}}).to_string() + "\n"
}

/// An input that runs a closure before one of its lines.
struct Meanwhile<I, F> {
    rows: I,
    at: usize,
    run: Option<F>,
    left: Vec<u8>,
}

impl<I: Iterator<Item = (usize, String)>, F: FnOnce()> Read for Meanwhile<I, F> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        if self.left.is_empty()
            && let Some((number, row)) = self.rows.next()
        {
            if number == self.at
                && let Some(run) = self.run.take()
            {
                run();
            }
            self.left = row.into_bytes();
        }
        let count = self.left.len().min(into.len());
        into[..count].copy_from_slice(&self.left[..count]);
        self.left.drain(..count);
        Ok(count)
    }
}

/// Returns the processor time of this thread, which stores the rows, without the time it waited.
fn processor_time() -> Duration {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(stat.split_whitespace().next().unwrap().parse().unwrap())
}

/// Two writers of another program, with sqlite3's own busy handler, run during an ingest.
#[cfg(feature = "sqlite")]
#[test]
fn other_programs_write_during_an_ingest() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("viral.db");
    let db = Database::open(&format!("sqlite://{}", path.display())).unwrap();
    let rows: String =
        (0..60_000_u32).map(|n| row(&format!("{:08x}", n.wrapping_mul(0x9E37_79B1)), 12, "1")).collect();
    neighbors::prepare(&path);
    let (report, _) =
        neighbors::while_others_write(&path, || read(&db, format!("{HEADER}{rows}"), &Options::default()));
    assert_eq!(report.new, 60_000);
    let stored =
        db.read(|c| DiscoveredVideo::list(c, &DiscoveredVideoFilter::default(), &Page::first(1))).unwrap();
    assert_eq!(stored.len(), 1);
}

/// A user-defined index rejects one row among more rows than a chunk holds. All others are stored, and the
/// counts are right.
#[cfg(feature = "sqlite")]
#[test]
fn chunk_is_stored_again_without_the_rejected_row() {
    let dir = tempfile::tempdir().unwrap();
    let db = Database::open(&format!("sqlite://{}", dir.path().join("viral.db").display())).unwrap();
    db.write(|c| {
        Ok(c.batch_execute(
            "CREATE UNIQUE INDEX own ON discovered_videos (url);
             INSERT INTO discovered_videos (video_id, title, channel_name, channel_id, url, niche)
             VALUES ('other', 't', 'c', 'UC', 'https://www.youtube.com/watch?v=v9000', 'n')",
        )?)
    })
    .unwrap();
    let text: String = (0..12_000).map(|n| row(&format!("v{n}"), 12, "1")).collect();
    let (report, rejects) = read(&db, format!("{HEADER}{text}"), &Options::default());
    assert_eq!((report.rows, report.new, report.snapshots), (12_000, 11_999, 11_999));
    assert_eq!((rejects.len(), &rejects[0].row["video_id"]), (1, &"v9000".into()));
    assert!(rejects[0].reason.contains("url"), "{}", rejects[0].reason);
}
