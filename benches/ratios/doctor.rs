//! Compares the doctor with SQLite's quick check and a row count of every table.

use std::sync::Arc;

use viraldb::compilation::NewDiscoveredVideo;
use viraldb::diesel::connection::SimpleConnection;
use viraldb::ops::{self, Examination, Verdict};

use crate::measure::{Asked, Line, time};
use crate::rows;
use crate::sqlite::{Scratch, in_turns, rival};

const DOCTOR: &str = "sqlite doctor";
const CHUNK: u64 = 5_000;

pub fn lines(asked: &Asked) -> Vec<Line> {
    if asked.wants(DOCTOR) { vec![doctor(asked)] } else { Vec::new() }
}

/// Measures the doctor. Half of the rows are videos and half are clips, each of which refers to a video and to a run.
fn doctor(asked: &Asked) -> Line {
    let count = asked.rows(1_000_000);
    let scratch = Scratch::new();
    let url = format!("sqlite://{}", scratch.path.display());
    fill(&scratch, count / 2);
    let mut line = Line::new(DOCTOR, Some(1.0), 1);
    for round in 0..asked.rounds(9) {
        let asked = Examination { keyring: Some(Arc::default()), ..Default::default() };
        let ours = |_: &mut ()| {
            time(|| {
                let report = ops::doctor(&url, &asked).unwrap();
                assert_eq!(report.verdict, Verdict::Healthy, "{report:#?}");
            })
        };
        let hand = |_: &mut ()| time(|| check_and_count(&scratch));
        let (ours, hand) = in_turns(round, &mut (), ours, hand);
        line.add(ours, hand);
    }
    line
}

fn fill(scratch: &Scratch, count: u64) {
    let db = scratch.open();
    for start in (0..count).step_by(CHUNK as usize) {
        let chunk: Vec<_> = (start..(start + CHUNK).min(count)).map(rows::row).collect();
        db.write(|c| NewDiscoveredVideo::insert_many(c, &chunk)).unwrap();
    }
    db.write(|c| {
        Ok(c.batch_execute(
            "INSERT INTO pipeline_runs (niche, cycle_start, cycle_end)
                 SELECT niche, '2026-01-01 00:00:00', '2026-01-01 06:00:00' FROM discovered_videos LIMIT 50000;
             INSERT INTO clips (pipeline_run_id, discovered_video_id, rank_position, start_time_seconds, end_time_seconds,
                     clip_duration_seconds)
                 SELECT 1 + id % (SELECT count(*) FROM pipeline_runs), id, 1 + id % 10, 0.5, 9.5, 9 FROM discovered_videos;",
        )?)
    })
    .unwrap();
}

/// Does what an operator would do by hand.
fn check_and_count(scratch: &Scratch) {
    let conn = rival(&scratch.path);
    let says: String = conn.query_row("PRAGMA quick_check", [], |row| row.get(0)).unwrap();
    assert_eq!(says, "ok");
    let mut tables = conn
        .prepare("SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        .unwrap();
    let tables: Vec<String> = tables.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    for table in tables {
        let rows: i64 =
            conn.query_row(&format!("SELECT count(*) FROM {table}"), [], |row| row.get(0)).unwrap();
        std::hint::black_box(rows);
    }
}
