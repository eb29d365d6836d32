//! The source stays as it is, byte for byte, and nothing is left beside it.

use std::collections::BTreeMap;
use std::path::Path;

use rusqlite::Connection;
use viraldb::maintenance::takeover::{Options, takeover};

use super::{made, of_table, rows, taken};
use crate::support::{Scratch, both};

/// Every file of a folder, with what is in it.
fn look(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let entry = entry.unwrap();
            (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap())
        })
        .collect()
}

/// A copy of a made database in a folder of its own, whatever its name.
fn copy(t: &Scratch, name: &str) -> std::path::PathBuf {
    let folder = t.path("old");
    std::fs::create_dir(&folder).unwrap();
    let path = folder.join("database");
    std::fs::copy(made(name), &path).unwrap();
    path
}

fn taken_rows(t: &Scratch, path: &Path) -> u64 {
    let (report, _) = taken(t, path.to_str().unwrap(), &[]);
    of_table(&report, "trends")["taken"].as_u64().unwrap()
}

both! {
    fn a_file_stays_as_it_is(t) {
        let path = copy(t, "viralforge.db");
        let before = look(path.parent().unwrap());
        assert!(taken_rows(t, &path) > 10);
        assert!(look(path.parent().unwrap()) == before, "{:?}", look(path.parent().unwrap()).keys());
    }

    fn so_does_one_with_a_write_ahead_log_that_nobody_has_open(t) {
        let path = copy(t, "viralforge.db");
        let conn = Connection::open(&path).unwrap();
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)).unwrap();
        conn.execute("DELETE FROM trend_reports", []).unwrap();
        drop(conn);
        let before = look(path.parent().unwrap());
        assert_eq!(before.keys().collect::<Vec<_>>(), ["database"]);
        assert!(taken_rows(t, &path) > 10);
        assert!(look(path.parent().unwrap()) == before, "{:?}", look(path.parent().unwrap()).keys());
    }

    fn what_stands_only_in_its_log_is_read_and_stays_there(t) {
        let path = copy(t, "viralforge.db");
        let conn = Connection::open(&path).unwrap();
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)).unwrap();
        conn.execute("UPDATE trends SET title = 'from the log' WHERE id = 1", []).unwrap();
        let before = look(path.parent().unwrap());
        assert!(taken_rows(t, &path) > 10);
        let after = look(path.parent().unwrap());
        assert!(["database", "database-wal"].iter().all(|name| before[*name] == after[*name]));
        drop(conn);
        assert_eq!(rows(t, "trends")["1"]["title"], "from the log");
    }

    fn what_a_killed_program_left_in_its_log_is_read_from_a_copy(t) {
        let path = copy(t, "viralforge.db");
        let conn = Connection::open(&path).unwrap();
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)).unwrap();
        conn.execute("UPDATE trends SET title = 'from the log' WHERE id = 1", []).unwrap();
        let folder = path.parent().unwrap();
        let mut left = look(folder);
        drop(conn);
        left.remove("database-shm");
        for (name, bytes) in &left {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        assert!(taken_rows(t, &path) > 10);
        assert!(look(folder) == left, "{:?}", look(folder).keys());
        assert_eq!(rows(t, "trends")["1"]["title"], "from the log");
    }

    fn what_was_written_to_meanwhile_is_not_taken(t) {
        let path = copy(t, "viralforge.db");
        let conn = Connection::open(&path).unwrap();
        conn.pragma_update_and_check(None, "journal_mode", "WAL", |row| row.get::<_, String>(0)).unwrap();
        drop(conn);
        let taken = takeover(path.to_str().unwrap(), &t.url, &Options::default(), &mut |_| {
            let conn = Connection::open(&path).unwrap();
            conn.execute("UPDATE trends SET title = 'new'", []).unwrap();
            Ok(())
        }, &mut |_| ());
        let error = taken.unwrap_err().to_string();
        assert!(error.contains("a program wrote to it while it was read; run this again"), "{error}");
        assert_eq!(t.ok(&["export", "trends"]), "");
        assert!(taken_rows(t, &path) > 10);
    }

    fn it_may_be_named_as_sqlalchemy_does(t) {
        let path = copy(t, "viralforge.db");
        for name in [format!("sqlite:///{}", path.display()), format!("sqlite+aiosqlite:///{}", path.display()), "sqlite:///old/database".to_owned()] {
            t.ok(&["takeover", &name, "--to", &t.url, "--dry-run"]);
        }
    }

    fn a_write_that_was_not_finished_is_left_to_its_program(t) {
        let path = copy(t, "viralforge.db");
        // What a program leaves that is killed while it writes.
        let conn = Connection::open(&path).unwrap();
        conn.execute_batch("PRAGMA cache_size = 1; PRAGMA cache_spill = 1; BEGIN; UPDATE trends SET title = hex(randomblob(4000))").unwrap();
        let folder = path.parent().unwrap();
        let left = look(folder);
        assert!(left.contains_key("database-journal"), "{:?}", left.keys());
        conn.execute_batch("ROLLBACK").unwrap();
        drop(conn);
        for (name, bytes) in &left {
            std::fs::write(folder.join(name), bytes).unwrap();
        }
        let ran = t.run(&["takeover", path.to_str().unwrap(), "--to", &t.url]);
        assert!(ran.code == 1 && ran.err.contains("-journal beside it; open it once with that program"), "{ran:?}");
        assert!(look(folder) == left);
    }
}
