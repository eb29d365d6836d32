//! Prunes that are killed at any time, and prunes while other programs write.

use std::collections::BTreeSet;
use std::fs::File;
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use viraldb::Database;
use viraldb::compilation::*;
use viraldb::config::Config;
use viraldb::ops::{Prune, prune};

use super::prune::run;
use super::{days_ago, number, texts};
use crate::make;
use crate::support::both;

/// Counts runs that lack some of their child rows.
pub(super) const PARTIAL_RUNS: &str = "SELECT CAST(count(*) AS text) AS v FROM pipeline_runs AS r WHERE \
    (SELECT count(*) FROM clips WHERE pipeline_run_id = r.id) <> 1 \
    OR (SELECT count(*) FROM scripts WHERE pipeline_run_id = r.id) <> 1 \
    OR (SELECT count(*) FROM tts_audio WHERE pipeline_run_id = r.id) <> 1 \
    OR (SELECT count(*) FROM shorts WHERE pipeline_run_id = r.id) <> 1 \
    OR (SELECT count(*) FROM review_log WHERE pipeline_run_id = r.id) <> 1 \
    OR (SELECT count(*) FROM error_log WHERE pipeline_run_id = r.id) <> 1";

const OLD_RUNS: &str = "SELECT CAST(count(*) AS text) AS v FROM pipeline_runs WHERE status = 'failed'";

fn videos(db: &Database) -> BTreeSet<String> {
    texts(db, "SELECT video_file_path AS v FROM pipeline_runs WHERE status = 'failed'").into_iter().collect()
}

both! {
    fn killed_prune_leaves_no_partial_run_and_continues(t) {
        let db = t.db();
        db.write(|c| { for n in 0..5 { run(c, RunStatus::Uploaded, Some(days_ago(1)), &format!("kept {n}")); } Ok(()) }).unwrap();
        let mut made = 0;
        let mut add = |runs: usize| db.write(|c| {
            for _ in 0..runs {
                made += 1;
                run(c, RunStatus::Failed, Some(days_ago(90)), &format!("old {made}"));
                NewErrorLog { resolved: Some(true), occurred_at: Some(days_ago(100)), ..make::error() }.insert(c)?;
                for hour in 0..2 {
                    let at = Some(days_ago(100) - Duration::from_secs(hour * 60));
                    NewAnalytics { youtube_video_id: format!("yt{made}").into(), measured_at: at, ..Default::default() }.insert(c)?;
                }
            }
            Ok(made)
        }).unwrap();
        let list = t.path("list.txt");
        let start = || t.command(&["prune", "--batch", "1", "--files", "list.txt"]).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        add(20);
        let begin = Instant::now();
        assert!(start().wait().unwrap().success());
        let whole = begin.elapsed();
        assert_eq!(number(&db, OLD_RUNS), 0);
        let (mut killed, mut partial) = (0, 0);
        while killed < 100 {
            let before = number(&db, OLD_RUNS);
            if before < 15 { add(20 - before as usize); }
            let there = videos(&db);
            let mut child = start();
            if killed % 2 == 0 {
                std::thread::sleep(whole.mul_f64(fastrand::f64() * 0.9));
            } else {
                // The startup time varies. Waiting for the first deletion makes sure that the kill hits a prune in progress.
                while videos(&db).len() == there.len() && child.try_wait().unwrap().is_none() {
                    std::thread::sleep(Duration::from_micros(fastrand::u64(..1_000)));
                }
            }
            child.kill().unwrap();
            let done = child.wait_with_output().unwrap();
            match done.status.code() {
                None => killed += 1,
                Some(code) => assert_eq!(code, 0, "{}", String::from_utf8_lossy(&done.stderr)),
            }
            // A server may still be finishing its last commit.
            let left = videos(&db);
            partial += u64::from(!left.is_empty() && left.len() < there.len());
            assert_eq!(number(&db, PARTIAL_RUNS), 0);
            if !t.is_postgres {
                assert_eq!(texts(&db, "SELECT \"table\" AS v FROM pragma_foreign_key_check"), [""; 0]);
            }
            let listed: BTreeSet<String> = std::fs::read_to_string(&list).unwrap().lines().map(str::to_owned).collect();
            assert!(there.difference(&left).all(|path| listed.contains(path)), "a deleted path was not listed");
        }
        assert!(partial > 10, "only {partial} of 100 kills hit a prune in progress");
        assert!(start().wait().unwrap().success());
        assert_eq!((number(&db, OLD_RUNS), number(&db, PARTIAL_RUNS)), (0, 0));
        let count = |table: &str| number(&db, &format!("SELECT CAST(count(*) AS text) AS v FROM {table}"));
        assert_eq!(["pipeline_runs", "clips", "shorts", "error_log"].map(count), [5; 4]);
        assert_eq!(count("analytics"), add(0) as i64);
    }

    fn killed_prune_has_printed_the_path_of_every_deleted_row(t) {
        let db = t.db();
        let (mut made, mut killed, mut partial) = (0, 0, 0);
        let mut listed = BTreeSet::new();
        for format in ["table", "json", "jsonl", "csv"].iter().cycle() {
            let before = number(&db, OLD_RUNS);
            db.write(|c| {
                for _ in before..30 {
                    made += 1;
                    run(c, RunStatus::Failed, Some(days_ago(90)), &format!("old {made}"));
                }
                Ok(())
            }).unwrap();
            let there = videos(&db);
            let printed = t.path("printed");
            let out = File::create(&printed).unwrap();
            let mut child = t.command(&["prune", "--batch", "1", "--format", format]).stdout(out).stderr(Stdio::null()).spawn().unwrap();
            while videos(&db).len() == there.len() && child.try_wait().unwrap().is_none() {
                std::thread::sleep(Duration::from_micros(fastrand::u64(..1_000)));
            }
            std::thread::sleep(Duration::from_micros(fastrand::u64(..20_000)));
            child.kill().unwrap();
            match child.wait().unwrap().code() {
                None => killed += 1,
                Some(code) => assert_eq!(code, 0),
            }
            // A server may still be finishing its last commit.
            let left = videos(&db);
            partial += u64::from(!left.is_empty() && left.len() < there.len());
            let text = std::fs::read_to_string(&printed).unwrap();
            // The server may finish the last commit of a killed prune only now, so earlier lists count, too.
            listed.extend(text.lines().map(|line| {
                line.trim_matches([' ', '"', ',', '{', '}']).trim_start_matches("file\":\"").to_owned()
            }));
            let lost: Vec<_> = there.difference(&left).filter(|path| !listed.contains(path.as_str())).collect();
            assert!(lost.is_empty(), "{format}: deleted but not listed: {lost:?}: {text}");
            if killed >= 40 {
                break;
            }
        }
        assert!(partial > 10, "only {partial} of 40 kills hit a prune in progress");
    }

    fn other_programs_can_write_during_a_prune(t) {
        let db = t.db();
        db.write(|c| {
            let rows: Vec<_> = (0..3_000).map(|_| NewErrorLog { resolved: Some(true), occurred_at: Some(days_ago(100)), ..make::error() }).collect();
            NewErrorLog::insert_many(c, &rows)?;
            for n in 0..40 { run(c, RunStatus::Failed, Some(days_ago(90)), &format!("old {n}")); }
            Ok(())
        }).unwrap();
        let how = Prune::new(&Config::open(&db).unwrap()).unwrap();
        let (stop, written) = (AtomicBool::new(false), AtomicU64::new(0));
        std::thread::scope(|s| {
            s.spawn(|| {
                // A separate connection pool stands for another program.
                let db = t.db();
                while !stop.load(Ordering::Relaxed) {
                    db.write(|c| make::error().insert(c)).unwrap();
                    written.fetch_add(1, Ordering::Relaxed);
                }
            });
            while written.load(Ordering::Relaxed) == 0 {
                std::thread::sleep(Duration::from_millis(1));
            }
            let done = prune(&db, &how, &mut |_| Ok(()));
            stop.store(true, Ordering::Relaxed);
            assert_eq!(done.unwrap().rows(), 3_000 + 40 * 7);
        });
        let written = written.into_inner() as i64;
        assert_eq!(number(&db, "SELECT CAST(count(*) AS text) AS v FROM error_log"), written);
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn prune_does_not_block_writers_of_other_programs() {
    use crate::support::{Scratch, neighbors};

    let t = Scratch::sqlite();
    let db = t.db();
    db.write(|c| {
        let old = || NewErrorLog { resolved: Some(true), occurred_at: Some(days_ago(100)), ..make::error() };
        NewErrorLog::insert_many(c, &(0..2_000).map(|_| old()).collect::<Vec<_>>())
    })
    .unwrap();
    let how = Prune::new(&Config::open(&db).unwrap()).unwrap();
    let path = t.path("viral.db");
    neighbors::prepare(&path);
    let pruned = neighbors::while_others_write(&path, || prune(&db, &how, &mut |_| Ok(())).unwrap());
    assert_eq!(pruned.rows(), 2_000);
}
