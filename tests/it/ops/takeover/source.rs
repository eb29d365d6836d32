//! A takeover does not change a byte of the source, and leaves no files next to it.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use viraldb::ops::takeover::{Options, takeover};

use super::super::export::peak_memory;
use super::{data_file, of_table, rows, take_over};
use crate::support::{Scratch, both};

/// Returns the files of a folder with their contents.
fn contents(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// Copies a test database into a separate folder.
fn copy(t: &Scratch, name: &str) -> std::path::PathBuf {
    let folder = t.path("old");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("database");
    std::fs::copy(data_file(name), &path).unwrap();
    path
}

fn takeover_rows(t: &Scratch, path: &Path) -> u64 {
    let (report, _) = take_over(t, path.to_str().unwrap(), &[]);
    of_table(&report, "trends")["taken"].as_u64().unwrap()
}

both! {
    fn source_file_is_not_changed(t) {
        let path = copy(t, "viralforge.db");
        let before = contents(path.parent().unwrap());
        assert!(takeover_rows(t, &path) > 10);
        assert!(contents(path.parent().unwrap()) == before, "{:?}", contents(path.parent().unwrap()).keys());
    }

    fn closed_wal_source_is_not_changed(t) {
        let path = copy(t, "viralforge.db");
        let conn = Connection::open(&path).unwrap();
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)).unwrap();
        conn.execute("DELETE FROM trend_reports", []).unwrap();
        drop(conn);
        let before = contents(path.parent().unwrap());
        assert_eq!(before.keys().collect::<Vec<_>>(), ["database"]);
        assert!(takeover_rows(t, &path) > 10);
        assert!(contents(path.parent().unwrap()) == before, "{:?}", contents(path.parent().unwrap()).keys());
    }

    fn rows_in_the_wal_are_read_and_kept(t) {
        let path = copy(t, "viralforge.db");
        let conn = Connection::open(&path).unwrap();
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)).unwrap();
        conn.execute("UPDATE trends SET title = 'from the log' WHERE id = 1", []).unwrap();
        let before = contents(path.parent().unwrap());
        assert!(takeover_rows(t, &path) > 10);
        let after = contents(path.parent().unwrap());
        assert!(["database", "database-wal"].iter().all(|name| before[*name] == after[*name]));
        drop(conn);
        assert_eq!(rows(t, "trends")["1"]["title"], "from the log");
    }

    fn wal_of_a_killed_program_is_read_from_a_copy(t) {
        let path = copy(t, "viralforge.db");
        let conn = Connection::open(&path).unwrap();
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)).unwrap();
        conn.execute("UPDATE trends SET title = 'from the log' WHERE id = 1", []).unwrap();
        let folder = path.parent().unwrap();
        let mut left = contents(folder);
        drop(conn);
        left.remove("database-shm");
        for (name, bytes) in &left {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        let mut nowhere = t.command(&["takeover", path.to_str().unwrap()]);
        let ran: crate::support::Ran = nowhere.env("TMPDIR", "/nowhere").output().unwrap().into();
        assert!(ran.code == 1 && ran.err.contains("/nowhere: ") && ran.err.contains("TMPDIR"), "{}", ran.err);
        assert!(takeover_rows(t, &path) > 10);
        assert!(contents(folder) == left, "{:?}", contents(folder).keys());
        assert_eq!(rows(t, "trends")["1"]["title"], "from the log");
    }

    fn source_changed_during_the_takeover_is_rejected(t) {
        let path = copy(t, "viralforge.db");
        let conn = Connection::open(&path).unwrap();
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)).unwrap();
        drop(conn);
        let result = takeover(path.to_str().unwrap(), &t.url, &Options::default(), &mut |_| {
            let conn = Connection::open(&path).unwrap();
            conn.execute("UPDATE trends SET title = 'new'", []).unwrap();
            Ok(())
        }, &mut |_| ());
        let error = result.unwrap_err().to_string();
        assert!(error.contains("another program wrote to the file while viraldb was reading it; try again"), "{error}");
        assert_eq!(t.ok(&["export", "trends"]), "");
        assert!(takeover_rows(t, &path) > 10);
    }

    fn sqlalchemy_urls_are_accepted(t) {
        let path = copy(t, "viralforge.db");
        for name in [format!("sqlite:///{}", path.display()), format!("sqlite+aiosqlite:///{}", path.display()), "sqlite:///old/database".to_owned()] {
            t.ok(&["takeover", &name, "--to", &t.url, "--dry-run"]);
        }
    }

    fn source_with_a_hot_journal_is_rejected_and_unchanged(t) {
        let path = copy(t, "viralforge.db");
        // Create the files that a program leaves when it is killed while writing.
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN; UPDATE trends SET title = hex(randomblob(4000))").unwrap();
        let folder = path.parent().unwrap();
        let left = contents(folder);
        assert!(left.contains_key("database-journal"), "{:?}", left.keys());
        conn.execute_batch("ROLLBACK").unwrap();
        drop(conn);
        for (name, bytes) in &left {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        let ran = t.run(&["takeover", path.to_str().unwrap(), "--to", &t.url]);
        assert!(ran.code == 1 && ran.err.contains("left a -journal file; open the database once with that program"), "{ran:?}");
        assert!(contents(folder) == left);
    }
}

both! {
    fn long_texts_need_a_small_multiple_of_their_length(t) {
        let path = copy(t, "viral_channel.db");
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch("DELETE FROM error_log").unwrap();
        let insert = |length: usize| {
            let sql = "INSERT INTO error_log (module, error_type, error_message, stack_trace, occurred_at, resolved)
                 VALUES ('m', 'e', 'long', ?1, '2026-01-01 00:00:00', 0)";
            conn.execute(sql, ["a\"".repeat(length / 2)]).unwrap();
        };
        insert(10);
        insert(50 << 20);
        insert(12);
        let most = peak_memory(t, &["takeover", path.to_str().unwrap(), "--to", &t.url]);
        // Diesel and libpq each keep a copy of what they send to a server.
        let allowed = if t.is_postgres { 450 } else { 300 };
        assert!(most < allowed * 1024, "{most} KiB");
        let lengths = "SELECT CAST(length(stack_trace) AS text) AS v FROM error_log ORDER BY id";
        let found = t.db().read(|c| Ok(crate::make::query(c, lengths))).unwrap();
        assert_eq!(found, ["10", &(50 << 20).to_string(), "12"]);
        // An export and another ingest handle such rows too, and ingesting them again changes nothing.
        let rows = t.ok(&["export", "error_log"]);
        assert_eq!(rows.lines().count(), 3);
        let error = |length: usize| serde_json::json!({ "module": "m", "error_type": "e", "error_message": "long",
            "stack_trace": "é\"".repeat(length / 3), "occurred_at": "2026-01-01T00:00:00Z", "resolved": true }).to_string();
        t.file("errors.jsonl", [error(3), error(6 << 20), error(6)].join("\n"));
        for new in [3, 0] {
            let report = t.ok(&["ingest", "errors.jsonl", "--as", "jsonl", "--table", "error_log", "--format", "json"]);
            let report: serde_json::Value = serde_json::from_str(&report).unwrap();
            assert_eq!((&report[0]["new"], &report[0]["unchanged"]), (&new.into(), &(3 - new).into()), "{report}");
        }
        let found = t.db().read(|c| Ok(crate::make::query(c, lengths))).unwrap();
        assert_eq!(found[3..], ["2", &((6 << 20) / 3 * 2).to_string(), "4"]);
    }
}
