//! Statistics, free space and sizes.

use serde_json::Value;
use viraldb::compilation::*;
use viraldb::ops::{Optimize, TableSize, optimize, sizes};

#[cfg(feature = "sqlite")]
use super::texts;
use super::{number, sql};
use crate::make;
#[cfg(feature = "sqlite")]
use crate::support::Scratch;
use crate::support::both;

fn fill(db: &viraldb::Database) {
    let rows: Vec<_> = (0..4_000)
        .map(|n| NewAnalytics { youtube_video_id: format!("yt{}", n % 40).into(), ..make::analytics() })
        .collect();
    db.write(|c| NewAnalytics::insert_many(c, &rows)).unwrap();
}

both! {
    fn optimize_updates_planner_statistics(t) {
        let db = t.db();
        fill(&db);
        let known = if t.is_postgres {
            "SELECT CAST(count(*) AS text) AS v FROM pg_stats WHERE tablename = 'analytics'"
        } else {
            "SELECT CAST(count(*) AS text) AS v FROM sqlite_schema WHERE name = 'sqlite_stat1'"
        };
        assert_eq!(number(&db, known), 0);
        let done = optimize(&db, &Optimize::default()).unwrap();
        assert!(number(&db, known) > 0);
        assert!(done.bytes_before > 0 && done.bytes_after > 0 && !done.vacuumed, "{done:?}");
        assert_eq!((done.free_bytes.is_none(), done.wal_bytes_after.is_none()), (t.is_postgres, t.is_postgres));
        let said: Value = serde_json::from_str(&t.ok(&["optimize", "--format", "json"])).unwrap();
        assert_eq!(said["vacuumed"], false);
        assert!(t.ok(&["optimize"]).contains("statistics updated\nsize "));
        let ran = t.run(&["optimize", "--vacuum"]);
        assert!(ran.code == 0 && ran.out.contains(": vacuumed, "), "{ran:?}");
        let is_warned = ran.err.contains("other programs cannot write until this is done");
        assert_eq!(is_warned, !t.is_postgres, "{ran:?}");
        assert_eq!(t.run(&["optimize", "--vacuum", "-q"]).err, "");
        assert_eq!(t.ok(&["optimize", "-q"]), "");
    }

    fn vacuum_frees_disk_space(t) {
        let db = t.db();
        fill(&db);
        sql(&db, "DELETE FROM analytics");
        let size = |sizes: &[TableSize]| sizes.iter().find(|size| size.table == "analytics").unwrap().total_bytes;
        let before = size(&sizes(&db).unwrap());
        let done = optimize(&db, &Optimize { vacuum: true }).unwrap();
        assert!(done.vacuumed);
        // On PostgreSQL, deleted rows occupy their table until the vacuum. On SQLite, free pages belong to no table.
        assert!(size(&sizes(&db).unwrap()) < before || !t.is_postgres);
        assert!(done.bytes_after < done.bytes_before, "{done:?}");
        fill(&db);
        assert_eq!(number(&db, "SELECT CAST(count(*) AS text) AS v FROM analytics"), 4_000);
    }

    fn tables_are_listed_by_size(t) {
        let db = t.db();
        fill(&db);
        let all = sizes(&db).unwrap();
        assert_eq!((all.len(), &*all[0].table), (30, "analytics"));
        assert!(all[0].table_bytes > 100_000 && all[0].index_bytes > 50_000, "{:?}", all[0]);
        assert!(all.iter().all(|size| size.total_bytes == size.table_bytes + size.index_bytes && size.total_bytes > 0));
        assert!(all.is_sorted_by_key(|size| -size.total_bytes));
        let json: Value = serde_json::from_str(&t.ok(&["status", "--sizes", "--format", "json"])).unwrap();
        assert!(all.iter().map(|size| size.total_bytes).sum::<i64>() <= json["size_bytes"].as_i64().unwrap());
        assert_eq!((&json["sizes"][0]["table"], &json["sizes"][0]["total_bytes"]), (&"analytics".into(), &all[0].total_bytes.into()));
        let table = t.ok(&["status", "--sizes"]);
        let lines: Vec<&str> = table.lines().skip_while(|line| !line.trim_start().starts_with("table")).collect();
        assert!(lines.len() == 31 && lines[1].contains("analytics") && lines[1].contains("KiB"), "{table}");
        assert!(!t.ok(&["status"]).contains("KiB  "));
        let plain: Value = serde_json::from_str(&t.ok(&["status", "--format", "json"])).unwrap();
        assert!(plain.get("sizes").is_none());
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn free_pages_are_reported_and_released_by_both_vacuum_modes() {
    let t = Scratch::sqlite();
    let db = t.db();
    fill(&db);
    sql(&db, "DELETE FROM analytics");
    let done = optimize(&db, &Optimize::default()).unwrap();
    let free = done.free_bytes.unwrap();
    assert!(free > 100_000 && done.bytes_after >= done.bytes_before, "{done:?}");
    assert_eq!((done.wal_bytes_before > Some(0), done.wal_bytes_after), (true, Some(0)), "{done:?}");
    assert!(t.ok(&["optimize"]).contains("; `viraldb optimize --vacuum` returns it\n"));
    let vacuumed = optimize(&db, &Optimize { vacuum: true }).unwrap();
    assert_eq!(
        (vacuumed.free_bytes, vacuumed.bytes_before - vacuumed.bytes_after >= free - 8192),
        (Some(0), true),
        "{vacuumed:?}"
    );

    // With incremental auto_vacuum, the file releases pages without a full VACUUM.
    rusqlite::Connection::open(t.path("viral.db"))
        .unwrap()
        .execute_batch("PRAGMA auto_vacuum = INCREMENTAL; VACUUM")
        .unwrap();
    assert_eq!(texts(&db, "SELECT CAST(auto_vacuum AS text) AS v FROM pragma_auto_vacuum"), ["2"]);
    fill(&db);
    sql(&db, "DELETE FROM analytics");
    let done = optimize(&db, &Optimize::default()).unwrap();
    assert!(done.free_bytes == Some(0) && done.bytes_after < done.bytes_before, "{done:?}");
    assert_eq!(texts(&db, "SELECT integrity_check AS v FROM pragma_integrity_check"), ["ok"]);
}

#[cfg(feature = "sqlite")]
#[test]
fn concurrent_reader_keeps_the_wal_and_is_named() {
    let t = Scratch::sqlite();
    let db = t.db();
    fill(&db);
    let other = rusqlite::Connection::open(t.path("viral.db")).unwrap();
    other.execute_batch("BEGIN; SELECT count(*) FROM analytics").unwrap();
    let mut statement = other.prepare("SELECT id FROM analytics").unwrap();
    let mut rows = statement.query([]).unwrap();
    rows.next().unwrap();
    sql(&db, "DELETE FROM analytics WHERE id % 2 = 0");
    let done = optimize(&db, &Optimize::default()).unwrap();
    assert!(done.wal_bytes_after > Some(0), "{done:?}");
    // A process that another test is starting has this program's files open for a moment.
    crate::support::wait_until("only this program has the file open", || {
        optimize(&db, &Optimize::default()).unwrap().wal_held_by
            == ["this program, or one that viraldb cannot see"]
    });
    // For the command, this test process is the reader.
    let said = t.ok(&["optimize"]);
    assert!(
        said.contains("not emptied: another program reads an older snapshot. The file is open in "),
        "{said}"
    );
    assert!(said.contains(&format!("(process {})", std::process::id())), "{said}");
    drop(rows);
    drop(statement);
    other.execute_batch("COMMIT").unwrap();
    drop(other);
    let done = optimize(&db, &Optimize::default()).unwrap();
    assert_eq!((done.wal_bytes_after, done.wal_held_by), (Some(0), Vec::new()));
}
