//! Processes that open a new database concurrently, and migrations that are killed.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use viraldb::Database;
use viraldb::db::migrate;

use super::key;
use crate::make::{query, seed};
use crate::support::{Scratch, both};

/// Runs in the child processes of the tests below: opens the database as soon as the gate file exists. Without the
/// environment variables it does nothing.
#[test]
fn child_opens() {
    let Ok(url) = std::env::var("VIRALDB_TEST_OPEN_URL") else { return };
    let gate = PathBuf::from(std::env::var_os("VIRALDB_TEST_OPEN_GATE").unwrap());
    std::fs::write(gate.with_extension(std::process::id().to_string()), "").unwrap();
    while !gate.exists() {
        std::thread::sleep(Duration::from_micros(100));
    }
    Database::open(&url).unwrap();
}

/// Starts processes that open the database as soon as the gate file exists. Returns them and the path of that file.
fn children(t: &Scratch, count: usize) -> (Vec<Child>, PathBuf) {
    let gate = t.path("gate");
    let children: Vec<Child> = (0..count)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "migrations::processes::child_opens", "--nocapture"])
                .env("VIRALDB_TEST_OPEN_URL", &t.url)
                .env("VIRALDB_TEST_OPEN_GATE", &gate)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let waiting = |child: &Child| gate.with_extension(child.id().to_string()).exists();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !children.iter().all(waiting) {
        assert!(Instant::now() < deadline, "the child processes did not start");
        std::thread::sleep(Duration::from_millis(1));
    }
    (children, gate)
}

fn open_gate(gate: &Path) {
    std::fs::write(gate, "").unwrap();
}

both! {
    fn eight_processes_can_open_one_new_database(t) {
        for _ in 0..4 {
            let t = t.another();
            let (children, gate) = children(&t, 8);
            open_gate(&gate);
            for child in children {
                let done = child.wait_with_output().unwrap();
                assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            }
            t.require_current();
        }
    }

    fn killed_migration_leaves_only_whole_steps(t) {
        // The tables after 0, 1, 2, … migrations.
        let mut whole = vec![t.tables()];
        migrate::run(&t.url).unwrap();
        for _ in t.migrations() {
            whole.insert(1, t.tables());
            migrate::revert(&t.url, 1).unwrap();
        }
        assert_eq!((t.tables(), whole.len()), (whole[0].clone(), t.migrations().len() + 1));

        let keys: Vec<String> = t.migrations().iter().map(key).collect();
        let mut window = {
            let t = t.another();
            let (mut children, gate) = children(&t, 1);
            open_gate(&gate);
            let start = Instant::now();
            children[0].wait().unwrap();
            start.elapsed()
        };
        let (mut killed, mut seen) = (0, BTreeSet::new());
        for n in 0_u32.. {
            if killed == 100 {
                break;
            }
            let t = t.another();
            // A first init is one transaction. An upgrade uses one transaction per migration.
            let before = if n % 2 == 0 { 0 } else { keys.len() - 3 };
            if before > 0 {
                migrate::run(&t.url).unwrap();
                migrate::revert(&t.url, 3).unwrap();
            }
            let (mut children, gate) = children(&t, 1);
            open_gate(&gate);
            // Kill at different points in time within the duration of a migration. If the process finished before it was
            // killed, shorten the range.
            std::thread::sleep(window * (n % 8) / 8 + Duration::from_micros(u64::from(n * 7919 % 997)));
            children[0].kill().unwrap();
            if children[0].wait().unwrap().success() {
                window = window * 3 / 4;
            } else {
                killed += 1;
            }
            if t.is_postgres {
                // The server may not have noticed yet that the client is gone.
                let mut c = t.plain();
                let busy = "SELECT pid::text AS v FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
                let deadline = Instant::now() + Duration::from_secs(60);
                while !query(&mut c, busy).is_empty() && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            if t.is_postgres || t.sqlite_file().exists() {
                let applied = t.versions("__diesel_schema_migrations");
                assert!(applied.len() >= before && applied == keys[..applied.len()], "{applied:?}");
                assert!(before > 0 || applied.is_empty() || applied == keys, "a first init must be applied completely or not at all: {applied:?}");
                assert_eq!(t.versions("viraldb_migrations"), applied, "a migration and its record must be committed together");
                assert_eq!(t.tables(), whole[applied.len()], "after {applied:?}");
                seen.insert(applied.len());
            }
            let db = Database::open(&t.url).unwrap();
            t.require_current();
            db.write(seed).unwrap();
        }
        assert!(seen.contains(&0) && seen.len() > 2, "too few different numbers of migrations before the kill: {seen:?}");
    }
}
