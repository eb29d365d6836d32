//! A takeover into SQLite lets other programs write, and can be continued after it was killed.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use rusqlite::Connection;
use viraldb::ops::{Check, Examination, Severity, doctor};

use super::{data_file, take_over};
use crate::support::{Scratch, neighbors};

const VIDEOS: u64 = 12_000;

/// Creates a viral_channel database with many videos and no other rows.
fn source(t: &Scratch, name: &str) -> PathBuf {
    let path = t.path(name);
    std::fs::copy(data_file("viral_channel.db"), &path).unwrap();
    let mut conn = Connection::open(&path).unwrap();
    conn.execute_batch("PRAGMA foreign_keys = OFF").unwrap();
    let tx = conn.transaction().unwrap();
    let tables: Vec<String> = tx
        .prepare("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .collect::<Result<_, _>>()
        .unwrap();
    tx.execute_batch("CREATE TEMP TABLE one AS SELECT * FROM discovered_videos ORDER BY id LIMIT 1").unwrap();
    for table in tables {
        tx.execute(&format!("DELETE FROM {table}"), []).unwrap();
    }
    for n in 1..=VIDEOS {
        tx.execute("UPDATE one SET id = ?1, video_id = 'v' || ?1", [n]).unwrap();
        tx.execute("INSERT INTO discovered_videos SELECT * FROM one", []).unwrap();
    }
    tx.commit().unwrap();
    path
}

fn target(t: &Scratch) -> PathBuf {
    t.ok(&["init"]);
    let path = t.path("viral.db");
    neighbors::prepare(&path);
    path
}

fn count(path: &Path, what: &str) -> u64 {
    let conn = Connection::open(path).unwrap();
    conn.busy_timeout(Duration::from_secs(60)).unwrap();
    conn.query_row(&format!("SELECT count(*) FROM {what}"), [], |row| row.get(0)).unwrap()
}

const UNFINISHED: &str = "sqlite_schema WHERE name = 'viraldb_takeover'";

/// Kills a takeover after it has written some of the videos.
fn interrupt(t: &Scratch, source: &Path, target: &Path) {
    for _ in 0..20 {
        let mut child = t
            .command(&["takeover", source.to_str().unwrap()])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while count(target, "discovered_videos") == 0 {
            assert!(child.try_wait().unwrap().is_none(), "the takeover ended without writing a row");
            std::thread::sleep(Duration::from_millis(1));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        if count(target, "discovered_videos") < VIDEOS {
            return;
        }
        // The takeover finished before it was killed, so start over.
        Connection::open(target)
            .unwrap()
            .execute_batch("DELETE FROM discovered_videos; DROP TABLE IF EXISTS viraldb_takeover")
            .unwrap();
    }
    panic!("every takeover finished before it was killed");
}

#[test]
fn other_programs_can_write_during_a_takeover() {
    let t = Scratch::sqlite();
    let (source, target) = (source(&t, "old.db"), target(&t));
    let report = neighbors::while_others_write(&target, || take_over(&t, source.to_str().unwrap(), &[]).0);
    assert_eq!((&report["taken"], &report["resumed"]), (&VIDEOS.into(), &0.into()), "{report}");
    assert_eq!((count(&target, "discovered_videos"), count(&target, UNFINISHED)), (VIDEOS, 0));
}

#[test]
fn killed_takeover_completes_when_run_again() {
    let t = Scratch::sqlite();
    let (source, target) = (source(&t, "old.db"), target(&t));
    neighbors::while_others_write(&target, || interrupt(&t, &source, &target));
    assert_eq!(count(&target, UNFINISHED), 1);
    let report = doctor(&t.url, &Examination::default()).unwrap();
    let found = report.findings.iter().find(|finding| finding.check == Check::Transfer).unwrap();
    assert_eq!(found.severity, Severity::Warning);
    assert!(found.mend.as_ref().unwrap().contains("viraldb takeover /"), "{found:?}");

    // In between, a pipeline uses the first videos and adds another one.
    let there = count(&target, "discovered_videos");
    let conn = Connection::open(&target).unwrap();
    conn.execute_batch(
        "UPDATE discovered_videos SET processed = 1 WHERE id = 1;
         INSERT INTO discovered_videos (video_id, title, channel_name, channel_id, url, niche) VALUES ('new', 't', 'c', 'UC', 'u', 'n')",
    )
    .unwrap();
    assert_eq!(conn.last_insert_rowid() as u64, VIDEOS + 1);
    drop(conn);

    let ran = t.run(&["takeover", source.to_str().unwrap(), "--dry-run", "--format", "json"]);
    assert_eq!((ran.code, count(&target, "discovered_videos")), (0, there + 1), "{ran:?}");
    let (report, rejected) = take_over(&t, source.to_str().unwrap(), &[]);
    assert_eq!((&report["taken"], &report["resumed"]), (&VIDEOS.into(), &there.into()), "{report}");
    assert!(rejected.is_empty(), "{rejected:?}");
    assert_eq!((count(&target, "discovered_videos"), count(&target, UNFINISHED)), (VIDEOS + 1, 0));
    assert_eq!(count(&target, "discovered_videos WHERE id = 1 AND processed = 1"), 1);

    let whole = Scratch::sqlite();
    take_over(&whole, source.to_str().unwrap(), &[]);
    let rows = |t: &Scratch| {
        let rows = t.ok(&["export", "discovered_videos"]);
        rows.lines().skip(1).take(VIDEOS as usize - 1).map(str::to_owned).collect::<Vec<_>>()
    };
    assert!(rows(&t) == rows(&whole));
    let report = doctor(&t.url, &Examination::default()).unwrap();
    assert!(report.findings.iter().all(|finding| finding.check != Check::Transfer), "{report:?}");
}

#[test]
fn interrupted_takeover_rejects_another_source() {
    let t = Scratch::sqlite();
    let (source, other, target) = (source(&t, "old.db"), source(&t, "other.db"), target(&t));
    neighbors::while_others_write(&target, || interrupt(&t, &source, &target));
    let there = count(&target, "discovered_videos");
    let ran = t.run(&["takeover", other.to_str().unwrap()]);
    assert!(
        ran.code == 1 && ran.err.contains("contains an interrupted takeover of viral_channel from /"),
        "{ran:?}"
    );

    // The source gets a new row whose id another program has used in the target.
    Connection::open(&source)
        .unwrap()
        .execute("UPDATE discovered_videos SET id = ?1 WHERE id = ?2", [VIDEOS + 1, VIDEOS])
        .unwrap();
    Connection::open(&target)
        .unwrap()
        .execute(
            "INSERT INTO discovered_videos (video_id, title, channel_name, channel_id, url, niche) VALUES ('new', 't', 'c', 'UC', 'u', 'n')",
            [],
        )
        .unwrap();
    let ran = t.run(&["takeover", source.to_str().unwrap()]);
    assert!(
        ran.code == 1 && ran.err.contains("other programs wrote rows (1) to discovered_videos"),
        "{ran:?}"
    );
    assert_eq!(count(&target, "discovered_videos"), there + 1);
}

/// After the takeover has started, another program inserts a video that the source also has.
#[test]
fn row_that_conflicts_with_a_concurrent_insert_is_rejected() {
    let t = Scratch::sqlite();
    let (source, target) = (source(&t, "old.db"), target(&t));
    neighbors::while_others_write(&target, || interrupt(&t, &source, &target));
    Connection::open(&target)
        .unwrap()
        .execute(
            "INSERT INTO discovered_videos (video_id, title, channel_name, channel_id, url, niche) VALUES ('v' || ?1, 't', 'c', 'UC', 'u', 'n')",
            [VIDEOS],
        )
        .unwrap();
    let path = source.to_str().unwrap();
    let ran = t.run(&["takeover", path, "--strict"]);
    assert!(ran.code == 1 && ran.err.contains("run the same command again"), "{ran:?}");
    let (report, rejected) = take_over(&t, path, &[]);
    assert_eq!((&report["taken"], &report["rejected"]), (&(VIDEOS - 1).into(), &1.into()), "{report}");
    let reason = rejected[0]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("another program wrote a conflicting row during the takeover: ")
            && reason.contains("video_id"),
        "{reason}"
    );
    assert_eq!(rejected[0]["key"], VIDEOS.to_string());
    assert_eq!(count(&target, "discovered_videos"), VIDEOS);
}
