//! Problems of SQLite database files.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use rusqlite::Connection;

use super::*;

fn open(t: &Scratch) -> Connection {
    Connection::open(t.path("viral.db")).unwrap()
}

fn chmod(path: &Path, mode: u32) {
    std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
}

/// Creates a database with this number of analytics rows.
fn with_analytics(rows: u32) -> Scratch {
    let t = Scratch::sqlite();
    let db = t.db();
    db.write(|c| {
        execute(
            c,
            &format!(
                "INSERT INTO analytics (youtube_video_id) WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s \
                 WHERE n < {rows}) SELECT 'a video with a long id, number ' || n FROM s"
            ),
        );
        Ok(())
    })
    .unwrap();
    t
}

#[test]
fn world_readable_file_is_reported_and_fixed() {
    let t = Scratch::sqlite();
    drop(t.db());
    chmod(&t.path("viral.db"), 0o640);
    assert!(found(&t, Check::Permissions).is_empty(), "access for a group must be allowed");
    chmod(&t.path("viral.db"), 0o644);
    let finding = one(&t, Check::Permissions);
    assert!(
        finding.what.ends_with("viral.db (mode 0644)") && finding.severity == Severity::Warning,
        "{finding:?}"
    );
    assert!(fix(&t, Check::Permissions).starts_with("chmod o-rwx "));
    let mode = std::fs::metadata(t.path("viral.db")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o640, "only the permissions of others must change");
}

/// Runs as a user who does not own the file. Only root can switch to another user.
#[test]
fn unwritable_file_is_reported() {
    if std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) != 0 {
        let t = Scratch::sqlite();
        drop(t.db());
        chmod(&t.path("viral.db"), 0o400);
        assert!(one(&t, Check::Permissions).what.contains("is not writable by this user"));
        return;
    }
    let t = Scratch::sqlite();
    drop(t.db());
    chmod(t.dir.path(), 0o755);
    chmod(&t.path("viral.db"), 0o644);
    // The program may be in a folder that only root can access, so copy it.
    let program = t.path("viraldb");
    std::fs::copy(env!("CARGO_BIN_EXE_viraldb"), &program).unwrap();
    let ran = std::process::Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups"])
        .arg(&program)
        .args(["doctor", "--format", "json", "--database-url", &t.url])
        .current_dir(t.dir.path())
        .env("XDG_CONFIG_HOME", t.dir.path())
        .output()
        .unwrap();
    std::fs::remove_file(&program).unwrap();
    let report = json(&ran.into());
    let what: Vec<&str> = report["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["what"].as_str().unwrap())
        .collect();
    for expected in
        ["viral.db is not writable by this user", "the folder ", "every user of the machine may open"]
    {
        assert!(what.iter().any(|what| what.contains(expected)), "{expected}: {what:#?}");
    }
    // That user cannot open the database at all, which the report must contain too.
    assert_eq!(report["verdict"], "unknown");
    assert!(what.iter().any(|what| what.contains("change the permissions of the folder")), "{what:#?}");
}

#[test]
fn files_of_another_owner_are_reported() {
    let t = Scratch::sqlite();
    let db = t.db();
    let wal = t.path("viral.db-wal");
    if std::os::unix::fs::chown(&wal, Some(65534), None).is_err() {
        return; // Only root can change the owner of a file.
    }
    let finding = one(&t, Check::Permissions);
    assert!(finding.what.contains("viral.db-wal belongs to user 65534"), "{finding:?}");
    let mend = finding.mend.unwrap();
    let done = std::process::Command::new("sh").args(["-c", &mend]).status().unwrap();
    assert!(done.success(), "{mend}");
    assert!(found(&t, Check::Permissions).is_empty());
    drop(db);
}

#[test]
fn journal_mode_other_than_wal_is_reported() {
    let t = Scratch::sqlite();
    drop(t.db());
    open(&t).pragma_update(None, "journal_mode", "delete").unwrap();
    let finding = one(&t, Check::JournalMode);
    assert_eq!(
        (finding.what.as_str(), finding.severity),
        ("the journal mode is delete, expected wal", Severity::Warning)
    );
    assert!(finding.mend.unwrap().starts_with("viraldb init"));
    t.ok(&["init"]);
    assert!(found(&t, Check::JournalMode).is_empty());
}

#[test]
fn wal_kept_by_a_reader_is_reported() {
    let t = Scratch::sqlite();
    let db = t.db();
    let size = || std::fs::metadata(t.path("viral.db-wal")).unwrap().len();
    let reader = open(&t);
    reader.execute_batch("BEGIN; SELECT count(*) FROM analytics").unwrap();
    let writer = open(&t);
    let text = "x".repeat(1000);
    let insert = "INSERT INTO analytics (youtube_video_id) WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 14000) \
                  SELECT ?1 || n FROM s";
    writer.execute(insert, [&text]).unwrap();
    let finding = one(&t, Check::Wal);
    assert!(
        finding.what.starts_with("the write-ahead log has ") && finding.severity == Severity::Warning,
        "{finding:?}"
    );
    assert!(finding.mend.as_ref().unwrap().starts_with("end the program that reads"), "{finding:?}");
    // The WAL cannot be emptied while the reader is active, so the report must not say that it was.
    let tried = t.run(&["doctor", "--only", "wal", "--fix", "--format", "json"]);
    assert_eq!((tried.code, &json(&tried)["mended"]), (3, &Value::Array(vec![])), "{}", tried.out);
    assert!(tried.out.contains(&format!("(process {})", std::process::id())), "{}", tried.out);
    reader.execute_batch("COMMIT").unwrap();
    // A large WAL file alone is not a problem: the next writers truncate it.
    assert!(size() > 64 << 20, "{}", size());
    assert!(found(&t, Check::Wal).is_empty());
    for _ in 0..3 {
        db.write(|c| crate::make::execute(c, "DELETE FROM analytics WHERE id = 1")).unwrap();
    }
    assert!(size() <= 64 << 20, "{}", size());
}

#[test]
fn free_pages_are_reported() {
    let t = with_analytics(40_000);
    assert!(found(&t, Check::FreePages).is_empty());
    write(&t, "DELETE FROM analytics");
    let finding = one(&t, Check::FreePages);
    assert!(finding.what.contains("are free pages") && finding.severity == Severity::Info, "{finding:?}");
    assert_eq!(finding.mend.as_deref(), Some("while nothing writes: viraldb optimize --vacuum"));
    t.ok(&["optimize", "--vacuum"]);
    assert!(found(&t, Check::FreePages).is_empty());
}

/// A sparse file has a size but occupies no disk space.
#[test]
fn low_disk_space_is_reported() {
    let t = Scratch::sqlite();
    drop(t.db());
    let require_no_warning =
        || assert!(found(&t, Check::DiskSpace).iter().all(|finding| finding.severity == Severity::Info));
    require_no_warning();
    let file = std::fs::OpenOptions::new().write(true).open(t.path("viral.db")).unwrap();
    let size = file.metadata().unwrap().len();
    file.set_len(1 << 43).unwrap();
    let finding = one(&t, Check::DiskSpace);
    file.set_len(size).unwrap();
    assert!(finding.what.contains("less than the size of the database: 8.00 TiB"), "{finding:?}");
    assert_eq!(finding.severity, Severity::Warning);
    require_no_warning();
}

#[test]
fn damaged_pages_are_reported_and_nothing_is_fixed() {
    let t = with_analytics(5_000);
    let path = t.path("viral.db");
    open(&t).pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap();
    let whole = std::fs::read(&path).unwrap();
    // Damage the first half of about 12 pages, one after another. The first page is tested separately below.
    let pages = whole.len() / 4096;
    let mut reported = 0;
    for page in (1..pages).step_by(pages / 12) {
        let mut broken = whole.clone();
        for byte in &mut broken[page * 4096..page * 4096 + 2048] {
            *byte ^= 0x5a;
        }
        t.file("viral.db", &broken);
        let ran = t.run(&["doctor", "--format", "json"]);
        let report = json(&ran);
        assert_eq!((ran.code, &report["verdict"]), (4, &"errors".into()), "page {page}: {}", ran.out);
        let first = report["findings"][0].clone();
        reported += u32::from(
            first["check"] == "integrity" && first["mend"].as_str().unwrap().contains("viraldb restore"),
        );
    }
    assert!(reported >= 10, "only {reported} of 12 reports begin with the damage");
    chmod(&path, 0o644);
    let ran = t.run(&["doctor", "--fix"]);
    assert!(
        ran.code == 4 && ran.out.contains("nothing was fixed, because the database is damaged"),
        "{}",
        ran.out
    );
    chmod(&path, 0o600);
    t.file("viral.db", &whole);
    assert_eq!(t.run(&["doctor"]).code, 0);
    t.file("viral.db", &whole[..whole.len() / 2]);
    assert_eq!(t.run(&["doctor"]).code, 4, "the file is truncated");
    let mut broken = whole;
    broken[100..200].fill(0xff);
    t.file("viral.db", &broken);
    assert_eq!(t.run(&["doctor"]).code, 4, "the first page is damaged");
}

#[test]
fn file_that_is_not_a_database_is_reported() {
    let t = Scratch::sqlite();
    t.file("viral.db", "Dear diary, today I found a database.".repeat(300));
    let ran = t.run(&["doctor", "--format", "json"]);
    let report = json(&ran);
    assert_eq!(
        (ran.code, &report["verdict"], &report["findings"][0]["check"]),
        (4, &"errors".into(), &"integrity".into())
    );
    assert!(ran.out.contains("is not a SQLite database"), "{}", ran.out);
}

#[test]
fn index_without_its_rows_is_rebuilt() {
    let t = with_analytics(100);
    let conn = open(&t);
    // Swap the root pages of two indexes.
    conn.execute_batch(
        "PRAGMA writable_schema = ON;
         CREATE TABLE empty (youtube_video_id TEXT, measured_at TEXT);
         CREATE INDEX of_empty ON empty (youtube_video_id, measured_at);
         CREATE TEMP TABLE roots AS SELECT sum(rootpage) AS both FROM sqlite_master WHERE name IN ('of_empty', 'idx_analytics_video');
         UPDATE sqlite_master SET rootpage = (SELECT both FROM temp.roots) - rootpage WHERE name IN ('of_empty', 'idx_analytics_video');",
    )
    .unwrap();
    drop(conn);
    let report = examine(&t, Examination { only: vec![Check::Integrity], deep: true, ..Default::default() });
    let finding =
        report.findings.iter().find(|finding| finding.what.starts_with("indexes do not match")).unwrap();
    assert!(finding.what.contains("missing from index idx_analytics_video"), "{}", finding.what);
    assert_eq!(finding.mend.as_deref(), Some("viraldb doctor --fix"));
    let fix = Examination { only: vec![Check::Integrity], deep: true, fix: true, ..Default::default() };
    assert_eq!(examine(&t, fix).mended.iter().map(|mended| &*mended.done).collect::<Vec<_>>(), ["REINDEX"]);
    let after = examine(&t, Examination { only: vec![Check::Integrity], deep: true, ..Default::default() });
    assert!(
        after.findings.iter().all(|finding| !finding.what.starts_with("indexes do not match")),
        "{after:#?}"
    );
}

#[test]
fn rows_that_violate_checks_are_reported() {
    let t = with_analytics(10);
    let conn = open(&t);
    conn.execute_batch(
        "PRAGMA ignore_check_constraints = ON;
         UPDATE analytics SET measured_at = 'yesterday' WHERE id IN (2, 5, 7);
         UPDATE analytics SET subscriber_gain = 5000000000 WHERE id = 3;
         INSERT INTO jobs (metadata) VALUES ('{not json');
         INSERT INTO config_overrides (key, value, updated_at) VALUES ('k', 'v', '2026-1-1');",
    )
    .unwrap();
    let finding = one(&t, Check::Integrity);
    assert_eq!((finding.check, finding.severity), (Check::Shapes, Severity::Error));
    assert!(
        finding.what.contains("CHECK constraint failed in analytics") && finding.what.contains("(6 in all)"),
        "{}",
        finding.what
    );
    assert!(finding.mend.as_ref().unwrap().contains("viraldb doctor --deep"));
    let what: Vec<String> = deep(&t, Check::Shapes).into_iter().map(|finding| finding.what).collect();
    assert_eq!(
        what,
        [
            "3 rows of analytics violate analytics_measured_at_check: 2, 5, 7",
            "1 row of analytics violates analytics_subscriber_gain_check: 3",
            "1 row of config_overrides violates config_overrides_updated_at_check: k",
            "1 row of jobs violates jobs_metadata_check: 1",
        ]
    );
    // The statement in the suggested fix finds the rows.
    let mend = deep(&t, Check::Shapes)[0].mend.clone().unwrap();
    let select = &mend[mend.find("SELECT").unwrap()..];
    let count = conn.prepare(select).unwrap().query_map([], |_| Ok(())).unwrap().count();
    assert_eq!(count, 3);
    conn.execute_batch(
        "UPDATE analytics SET measured_at = '2026-01-01 00:00:00', subscriber_gain = 1; DELETE FROM jobs; DELETE FROM config_overrides",
    )
    .unwrap();
    assert_eq!(t.run(&["doctor", "--deep"]).code, 0);
}

/// SQLite refuses to evaluate a CHECK with the value `now`, so the integrity check fails as a whole.
#[test]
fn timestamps_with_the_text_now_are_reported() {
    let t = with_analytics(10);
    let conn = open(&t);
    conn.execute_batch(
        "PRAGMA ignore_check_constraints = ON;
         UPDATE analytics SET measured_at = 'now' WHERE id = 4; UPDATE analytics SET measured_at = 'NOW' WHERE id = 6",
    )
    .unwrap();
    let finding = one(&t, Check::Integrity);
    assert_eq!((finding.check, finding.severity), (Check::Shapes, Severity::Error));
    let rows = "2 rows of analytics violate analytics_measured_at_check: 4, 6";
    let what: Vec<String> = deep(&t, Check::Shapes).into_iter().map(|finding| finding.what).collect();
    assert_eq!(what, [rows]);
    drop(conn);
    // Such rows are backed up and restored like all others.
    t.ok(&["backup", "create", "--to", "it.zst"]);
    t.ok(&["restore", "--yes", "it.zst"]);
    let what: Vec<String> = deep(&t, Check::Shapes).into_iter().map(|finding| finding.what).collect();
    assert_eq!(what, [rows]);
}

#[test]
fn orphans_are_reported() {
    let t = Scratch::sqlite();
    drop(t.db());
    let conn = open(&t);
    conn.execute_batch(
        "PRAGMA foreign_keys = OFF;
         INSERT INTO scripts (pipeline_run_id) VALUES (7), (8);
         INSERT INTO shorts (pipeline_run_id, clip_id) VALUES (7, NULL);",
    )
    .unwrap();
    let found_ = found(&t, Check::ForeignKeys);
    let what: Vec<&str> = found_.iter().map(|finding| finding.what.as_str()).collect();
    assert_eq!(
        what,
        [
            "2 rows of scripts refer through pipeline_run_id to a missing row of pipeline_runs",
            "1 row of shorts refers through pipeline_run_id to a missing row of pipeline_runs",
        ]
    );
    let mend = found_[0].mend.as_ref().unwrap();
    let select = &mend[mend.find("SELECT").unwrap()..];
    assert_eq!(conn.prepare(select).unwrap().query_map([], |_| Ok(())).unwrap().count(), 2);
    conn.execute_batch("DELETE FROM scripts; DELETE FROM shorts").unwrap();
    assert!(found(&t, Check::ForeignKeys).is_empty());
}

#[test]
fn locked_database_has_the_verdict_unknown() {
    let t = with_analytics(10);
    let holder = open(&t);
    holder.execute_batch("BEGIN IMMEDIATE").unwrap();
    assert_eq!(t.run(&["doctor"]).code, 0, "a writer must not block the checks");
    holder.execute_batch("ROLLBACK; PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").unwrap();
    let ran = t.run(&["doctor", "--format", "json"]);
    let report = json(&ran);
    assert_eq!(
        (ran.code, &report["verdict"], &report["findings"][0]["check"]),
        (1, &"unknown".into(), &"open".into()),
        "{}",
        ran.out
    );
    assert!(report["findings"][0]["what"].as_str().unwrap().contains("is locked"), "{report}");
    assert!(report["checks"].as_array().unwrap().contains(&"disk_space".into()), "{report}");
    drop(holder);
    assert_eq!(t.run(&["doctor"]).code, 0);
}

/// If another program holds the write lock for too long, the report says so and names its process.
#[test]
fn fix_that_times_out_names_the_other_program() {
    let t = with_analytics(10);
    let holder = open(&t);
    holder.execute_batch("DROP INDEX idx_clips_pipeline; BEGIN IMMEDIATE").unwrap();
    let ran = t.run(&["doctor", "--only", "drift", "--fix"]);
    assert_eq!(ran.code, 4);
    assert!(
        ran.out.contains("index idx_clips_pipeline is missing on clips; it could not be fixed: "),
        "{}",
        ran.out
    );
    assert!(ran.out.contains(&format!("(process {})", std::process::id())), "{}", ran.out);
    holder.execute_batch("ROLLBACK").unwrap();
    fix(&t, Check::Drift);
}

#[test]
fn check_leaves_no_files_behind() {
    let t = with_analytics(10);
    open(&t).pragma_update(None, "wal_checkpoint", "TRUNCATE").unwrap();
    let before: Vec<_> = names(t.dir.path());
    let report = examine(&t, Examination::default());
    assert_eq!(report.verdict, Verdict::Healthy, "{report:#?}");
    assert_eq!(names(t.dir.path()), before);
}

fn names(folder: &Path) -> Vec<std::ffi::OsString> {
    let mut names: Vec<_> = folder.read_dir().unwrap().map(|file| file.unwrap().file_name()).collect();
    names.sort();
    names
}
