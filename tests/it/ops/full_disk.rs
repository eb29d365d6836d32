//! Full disks: a command reports the full disk and what to do, and leaves the database intact. Once there is free space,
//! the same command continues.

use std::collections::BTreeSet;

use serde_json::Value;
use viraldb::compilation::*;
use viraldb::db::migrate;
use viraldb::{Database, Error};

use super::prune::run;
use super::prune_killed::PARTIAL_RUNS;
use super::transfer::{insert_many, other_engine, seed, tables};
use super::{days_ago, number, texts};
use crate::make;
use crate::support::small_disk::on_small_disk;
use crate::support::{Ran, Scratch, both};

/// Requires that a command failed with one line about the full disk, and returns the line.
fn require_full_disk_error(ran: Ran) -> String {
    assert_eq!((ran.code, ran.err.lines().count()), (1, 1), "{}{}", ran.out, ran.err);
    let said = ran.err;
    // viraldb's own message is in lower case; PostgreSQL's programs and zstd quote the operating system.
    let is_reported = ["disk is full", "or is full", "no space left", "No space left", " free, but "]
        .iter()
        .any(|part| said.contains(part));
    assert!(said.starts_with("error: ") && is_reported, "{said}");
    assert!(said.to_lowercase().contains("make room"), "{said}");
    said
}

fn require_intact(t: &Scratch) {
    t.ok(&["doctor", "--deep", "--only", "integrity,foreign_keys,shapes,drift"]);
}

/// Returns the number of rows in each table. Works for every schema version.
fn rows(t: &Scratch) -> Vec<(String, String)> {
    let mut conn = t.plain();
    let names = tables(t, &mut conn).into_iter();
    names
        .map(|table| {
            let asked = format!("SELECT CAST(count(*) AS text) AS v FROM {table}");
            (table, make::query(&mut conn, &asked).remove(0))
        })
        .collect()
}

fn insert_old_run(db: &Database, name: &str) {
    db.write(|c| Ok(run(c, RunStatus::Failed, Some(days_ago(90)), name))).unwrap();
}

const RUNS: &str = "SELECT CAST(count(*) AS text) AS v FROM pipeline_runs";

both! {
    fn migration_on_a_full_disk_changes_nothing(t) {
        on_small_disk(t, module_path!(), 64, |disk| {
            let there = disk.scratch(t);
            insert_many(&there, &there.db(), 500);
            migrate::revert(&there.url, crate::support::migration_names().len() - 3).unwrap();
            let before = rows(&there);
            let backups = t.path("backups");
            let elsewhere = backups.to_str().unwrap();
            for left in [0, 60] {
                for args in [&["--no-backup"][..], &[], &["--backup-to", elsewhere]] {
                    disk.fill(left);
                    require_full_disk_error(there.run(&[&["migrate", "run"], args].concat()));
                    disk.free();
                    assert_eq!(there.run(&["migrate", "check"]).code, 3);
                    require_intact(&there);
                    assert_eq!(rows(&there), before);
                }
            }
            assert!(there.ok(&["migrate", "run"]).contains("applied "));
            require_intact(&there);
        });
    }

    fn prune_on_a_full_disk_continues_later(t) {
        on_small_disk(t, module_path!(), 64, |disk| {
            let there = disk.scratch(t);
            // The list of paths is on another disk.
            let list = t.path("files.txt");
            let prune = ["prune", "--only", "runs", "--batch", "10", "--files", list.to_str().unwrap()];
            let mut db = Some(there.db());
            (0..200).for_each(|n| insert_old_run(db.as_ref().unwrap(), &format!("old {n}")));
            for left in [0, 0, 100] {
                let before = rows(&there);
                disk.fill(left);
                let ran = there.run(&prune);
                disk.free();
                if there.is_postgres {
                    // PostgreSQL only marks rows as deleted, which needs no new space.
                    assert_eq!(ran.code, 0, "{}", ran.err);
                } else {
                    require_full_disk_error(ran);
                    // An existing WAL file still has free space inside.
                    assert!(left > 0 || db.is_some() || rows(&there) == before);
                }
                require_intact(&there);
                assert_eq!(number(&there.db(), PARTIAL_RUNS), 0);
                // In the first round another connection keeps the WAL file, in later rounds there is none.
                db = None;
            }
            there.ok(&prune);
            assert_eq!(number(&there.db(), RUNS), 0);
            drop(db);
        });
    }

    fn prune_deletes_only_rows_whose_paths_fit_into_the_list(t) {
        on_small_disk(t, module_path!(), 1, |disk| {
            let db = t.db();
            let of = |n: usize| ["video.mp4", "clip.mp4", "voice.mp3", "short.mp4"].map(|kind| format!("/files/{n}/{kind}"));
            (0..200).for_each(|n| insert_old_run(&db, &n.to_string()));
            let list = disk.path("files.txt");
            let prune = ["prune", "--only", "runs", "--batch", "7", "--files", list.to_str().unwrap()];
            // The existing list ends without a line break.
            std::fs::write(&list, "/files/other").unwrap();
            disk.fill(4);
            let said = require_full_disk_error(t.run(&prune));
            assert!(said.contains("files.txt"), "{said}");
            let lines = || -> BTreeSet<String> {
                let text = std::fs::read_to_string(&list).unwrap();
                assert!(text.ends_with('\n'));
                text.lines().map(str::to_owned).collect()
            };
            let left = texts(&db, "SELECT video_file_path AS v FROM pipeline_runs");
            assert!((1..200).contains(&left.len()), "{}", left.len());
            let named = lines();
            let gone = (0..200).map(of).filter(|files| !left.contains(&files[0]));
            assert!(gone.flatten().all(|file| named.contains(&file)), "a deleted path is missing from the list");
            disk.free();
            t.ok(&prune);
            assert_eq!(number(&db, RUNS), 0);
            let all = (0..200).flat_map(of).chain(["/files/other".to_owned()]);
            assert_eq!(lines(), all.collect(), "the list must contain each path on its own line");
        });
    }

    fn transfer_on_a_full_disk_can_be_resumed(t) {
        on_small_disk(t, module_path!(), 64, |disk| {
            let (from, there) = (other_engine(t), disk.scratch(t));
            let source = from.db();
            seed(&source);
            insert_many(&from, &source, 3_000);
            let before = rows(&from);
            drop(there.db());
            let transfer = |how: &[&str]| {
                let args = ["transfer", "--from", &from.url, "--to", &there.url, "--batch", "100", "--format", "json"];
                t.run(&[&args[..], how].concat())
            };
            disk.fill(300);
            let said = require_full_disk_error(transfer(&[]));
            assert!(said.contains("continue with --resume"), "{said}");
            let name = if t.is_postgres { "postgres@" } else { "viral.db" };
            assert!(said.contains(name), "{said}");
            // The disk is still full, so resuming fails as well, without losing anything.
            require_full_disk_error(transfer(&["--resume"]));
            disk.free();
            require_intact(&there);
            assert_eq!(rows(&from), before);
            let copied = rows(&there);
            let noted = make::query(&mut there.plain(), "SELECT name || ' ' || rows AS v FROM viraldb_transfer");
            for (table, rows) in copied.iter().filter(|(table, _)| before.iter().any(|(name, _)| name == table)) {
                let is_noted = noted.contains(&format!("{table} {rows}"));
                assert!(is_noted || !noted.iter().any(|line| line.starts_with(&format!("{table} "))), "{table} {rows} {noted:?}");
            }
            let ran = transfer(&["--resume"]);
            assert_eq!(ran.code, 0, "{}", ran.err);
            let report: Value = serde_json::from_str(&ran.out).unwrap();
            assert!(report["resumed"].as_u64().unwrap() > 100, "{report}");
            assert_eq!(report["rows"], 6_000 + 22);
            require_intact(&there);
        });
    }

    fn running_program_keeps_acknowledged_rows_on_a_full_disk(t) {
        on_small_disk(t, module_path!(), 64, |disk| {
            let there = disk.scratch(t);
            let db = there.db();
            let batch: Vec<_> = (0..200).map(|n| NewAnalytics { youtube_video_id: format!("yt{n}").into(), ..make::analytics() }).collect();
            let mut put = 0;
            let mut add = || db.write(|c| NewAnalytics::insert_many(c, &batch)).map(|_| put += batch.len());
            let stored = "SELECT CAST(count(*) AS text) AS v FROM analytics";
            for left in [0, 200, 50] {
                disk.fill(left);
                let mut refused = 0;
                while refused < 3 {
                    match add() {
                        Ok(()) => assert_eq!(refused, 0, "a write succeeded although the disk is still full"),
                        Err(Error::Unusable { database, reason }) => {
                            assert!(reason.contains("full") && !database.is_empty(), "{database}: {reason}");
                            refused += 1;
                        }
                        Err(error) => panic!("{error:?}"),
                    }
                }
                disk.free();
                add().unwrap();
            }
            assert_eq!(number(&db, stored), put as i64, "every acknowledged row must be stored");
            require_intact(&there);
        });
    }

    fn ingest_on_a_full_disk_reports_stored_rows_and_continues(t) {
        on_small_disk(t, module_path!(), 64, |disk| {
            let there = disk.scratch(t);
            drop(there.db());
            let row = |n| format!(
                "{{\"video_id\":\"v{n}\",\"title\":\"{}\",\"channel_name\":\"c\",\"channel_id\":\"UC\",\"url\":\"u\",\"niche\":\"gaming\"}}\n",
                "x".repeat(100)
            );
            let input = t.file("videos.jsonl", (0..30_000).map(row).collect::<String>());
            let ingest = ["ingest", input.to_str().unwrap(), "--table", "discovered_videos"];
            disk.fill(8_000);
            let said = require_full_disk_error(there.run(&ingest));
            disk.free();
            require_intact(&there);
            let videos = || number(&there.db(), "SELECT CAST(count(*) AS text) AS v FROM discovered_videos");
            let stored = videos();
            assert!((1..30_000).contains(&stored), "{stored}");
            assert!(said.contains(&format!("{stored} rows of ")), "{stored} are stored: {said}");
            there.ok(&ingest);
            assert_eq!(videos(), 30_000);
        });
    }

    fn backup_and_restore_on_a_full_disk_change_nothing(t) {
        on_small_disk(t, module_path!(), 64, |disk| {
            let there = disk.scratch(t);
            insert_many(&there, &there.db(), 3_000);
            let before = rows(&there);
            // Back up onto a full disk, then back up a database on a full disk, and below restore onto a full disk.
            for (left, to) in [(40, disk.path("backups")), (0, t.path("backups"))] {
                disk.fill(left);
                let ran = there.run(&["backup", "create", "--to", to.to_str().unwrap()]);
                disk.free();
                // A PostgreSQL server can still read when its disk is full.
                if left > 0 || !there.is_postgres {
                    require_full_disk_error(ran);
                }
            }
            let to = t.path("there.zst");
            there.ok(&["backup", "create", "--to", to.to_str().unwrap()]);
            for left in [0, 200] {
                disk.fill(left);
                require_full_disk_error(there.run(&["restore", "--yes", to.to_str().unwrap()]));
                disk.free();
                require_intact(&there);
                assert_eq!(rows(&there), before);
            }
            there.ok(&["restore", "--yes", to.to_str().unwrap()]);
            require_intact(&there);
            assert_eq!(rows(&there), before);
        });
    }

    fn optimize_on_a_full_disk_changes_nothing(t) {
        on_small_disk(t, module_path!(), 64, |disk| {
            let there = disk.scratch(t);
            insert_many(&there, &there.db(), 3_000);
            let before = rows(&there);
            disk.fill(60);
            let ran = there.run(&["optimize", "--vacuum", "-q"]);
            disk.free();
            if !there.is_postgres {
                require_full_disk_error(ran);
            }
            require_intact(&there);
            assert_eq!(rows(&there), before);
            there.ok(&["optimize", "--vacuum"]);
        });
    }
}

/// A server that cannot write its WAL stops. After a restart it has all rows that it acknowledged.
#[cfg(feature = "postgres")]
mod server_with_a_full_wal_disk_keeps_acknowledged_rows {
    use super::*;
    use crate::support::server::Server;

    #[test]
    fn postgres() {
        let t = Scratch::postgres();
        on_small_disk(&t, module_path!(), 200, |disk| {
            let settings = ["fsync=off", "shared_buffers=16MB", "max_wal_size=32MB", "min_wal_size=32MB"];
            let server = Server::own_in(&disk.path(""), &settings);
            let url = server.create_database("viral", "template0");
            let run = |args: &[&str]| t.run(&[&["--database-url", &url], args].concat());
            let db = Database::open(&url).unwrap();
            insert_many(&t, &db, 500);
            disk.fill(0);
            let mut put = 0;
            let error = loop {
                // The message fills only the WAL.
                let written = db.write(|c| {
                    make::execute(
                        c,
                        "SELECT length(pg_logical_emit_message(true, 'x', repeat('x', 2000000))::text)",
                    )?;
                    make::execute(c, "UPDATE analytics SET view_count = view_count + 1 WHERE id = 1")
                });
                match written {
                    Ok(()) => put += 1,
                    Err(error) => break error,
                }
            };
            let said = error.to_string();
            let is_reported =
                ["disk is full", "the connection was lost"].iter().any(|part| said.contains(part));
            assert!(is_reported && said.starts_with("postgres://"), "{said}");
            // The server may be recovering or may have stopped.
            let ran = run(&["errors", "log", "--module", "m", "--type", "t", "x"]);
            assert_eq!((ran.code, ran.err.lines().count()), (1, 1), "{}", ran.err);
            assert!(ran.err.contains("viral") && ran.err.contains("the server"), "{}", ran.err);
            disk.free();
            server.restart();
            assert_eq!(
                number(&db, "SELECT CAST(view_count AS text) AS v FROM analytics WHERE id = 1"),
                1 + put
            );
            assert_eq!(run(&["doctor", "--deep", "--only", "integrity,foreign_keys,drift"]).code, 0);
            assert_eq!(run(&["errors", "log", "--module", "m", "--type", "t", "x"]).code, 0);
        });
    }
}
