//! Disks that are full: whoever finds no room says so, with what to do, and leaves the database whole; with room again,
//! the same command goes on.

use std::collections::BTreeSet;

use serde_json::Value;
use viraldb::compilation::*;
use viraldb::db::migrate;
use viraldb::{Database, Error};

use super::prune::run;
use super::prune_killed::HALF;
use super::transfer::{across, many, seed, tables};
use super::{days_ago, number, texts};
use crate::make;
use crate::support::small_disk::on_small_disk;
use crate::support::{Ran, Scratch, both};

/// The one line that a command says which found no room.
fn refused(ran: Ran) -> String {
    assert_eq!((ran.code, ran.err.lines().count()), (1, 1), "{}{}", ran.out, ran.err);
    let said = ran.err;
    let is_told =
        ["disk is full", "or is full", "No space left", " free, and "].iter().any(|part| said.contains(part));
    assert!(said.starts_with("error: ") && is_told, "{said}");
    assert!(said.to_lowercase().contains("make room"), "{said}");
    said
}

fn require_whole(t: &Scratch) {
    t.ok(&["doctor", "--deep", "--only", "integrity,foreign_keys,shapes,drift"]);
}

/// Rows of each table, in a database of whatever version.
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

fn old_run(db: &Database, name: &str) {
    db.write(|c| Ok(run(c, RunStatus::Failed, Some(days_ago(90)), name))).unwrap();
}

const RUNS: &str = "SELECT CAST(count(*) AS text) AS v FROM pipeline_runs";

both! {
    fn a_migration(t) {
        on_small_disk(t, module_path!(), 64, |disk| {
            let there = disk.scratch(t);
            many(&there, &there.db(), 500);
            migrate::revert(&there.url, 2).unwrap();
            let before = rows(&there);
            let backups = t.path("backups");
            let elsewhere = backups.to_str().unwrap();
            for left in [0, 60] {
                for args in [&["--no-backup"][..], &[], &["--backup-to", elsewhere]] {
                    disk.fill(left);
                    refused(there.run(&[&["migrate", "run"], args].concat()));
                    disk.free();
                    assert_eq!(there.run(&["migrate", "check"]).code, 3);
                    require_whole(&there);
                    assert_eq!(rows(&there), before);
                }
            }
            assert!(there.ok(&["migrate", "run"]).contains("applied "));
            require_whole(&there);
        });
    }

    fn a_prune(t) {
        on_small_disk(t, module_path!(), 64, |disk| {
            let there = disk.scratch(t);
            // What the command keeps besides is elsewhere.
            let list = t.path("files.txt");
            let prune = ["prune", "--only", "runs", "--batch", "10", "--files", list.to_str().unwrap()];
            let mut db = Some(there.db());
            (0..200).for_each(|n| old_run(db.as_ref().unwrap(), &format!("old {n}")));
            for left in [0, 0, 100] {
                let before = rows(&there);
                disk.fill(left);
                let ran = there.run(&prune);
                disk.free();
                if there.is_postgres {
                    // It marks rows as deleted where they stand.
                    assert_eq!(ran.code, 0, "{}", ran.err);
                } else {
                    refused(ran);
                    // A log that is there has room in it.
                    assert!(left > 0 || db.is_some() || rows(&there) == before);
                }
                require_whole(&there);
                assert_eq!(number(&there.db(), HALF), 0);
                // The first time beside another who has it open, with its log there, and then alone.
                db = None;
            }
            there.ok(&prune);
            assert_eq!(number(&there.db(), RUNS), 0);
            drop(db);
        });
    }

    fn the_list_of_a_prune(t) {
        on_small_disk(t, module_path!(), 1, |disk| {
            let db = t.db();
            let of = |n: usize| ["video.mp4", "clip.mp4", "voice.mp3", "short.mp4"].map(|kind| format!("/files/{n}/{kind}"));
            (0..200).for_each(|n| old_run(&db, &n.to_string()));
            let list = disk.path("files.txt");
            let prune = ["prune", "--only", "runs", "--batch", "7", "--files", list.to_str().unwrap()];
            // Somebody's last line has no end.
            std::fs::write(&list, "/files/other").unwrap();
            disk.fill(4);
            let said = refused(t.run(&prune));
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
            assert!(gone.flatten().all(|file| named.contains(&file)), "what has gone is in the list");
            disk.free();
            t.ok(&prune);
            assert_eq!(number(&db, RUNS), 0);
            let all = (0..200).flat_map(of).chain(["/files/other".to_owned()]);
            assert_eq!(lines(), all.collect(), "each line is a path");
        });
    }

    fn a_transfer(t) {
        on_small_disk(t, module_path!(), 64, |disk| {
            let (from, there) = (across(t), disk.scratch(t));
            let source = from.db();
            seed(&source);
            many(&from, &source, 3_000);
            let before = rows(&from);
            drop(there.db());
            let transfer = |how: &[&str]| {
                let args = ["transfer", "--from", &from.url, "--to", &there.url, "--batch", "100", "--format", "json"];
                t.run(&[&args[..], how].concat())
            };
            disk.fill(300);
            let said = refused(transfer(&[]));
            assert!(said.contains("--resume goes on with it"), "{said}");
            let name = if t.is_postgres { "postgres@" } else { "viral.db" };
            assert!(said.contains(name), "{said}");
            // As full as before: nothing is lost.
            refused(transfer(&["--resume"]));
            disk.free();
            require_whole(&there);
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
            require_whole(&there);
        });
    }

    fn a_program_that_goes_on(t) {
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
                        Ok(()) => assert_eq!(refused, 0, "there is no more room than before"),
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
            assert_eq!(number(&db, stored), put as i64, "what was acknowledged");
            require_whole(&there);
        });
    }

    fn rows_that_come_in(t) {
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
            let said = refused(there.run(&ingest));
            disk.free();
            require_whole(&there);
            let videos = || number(&there.db(), "SELECT CAST(count(*) AS text) AS v FROM discovered_videos");
            let stored = videos();
            assert!((1..30_000).contains(&stored), "{stored}");
            assert!(said.contains(&format!("{stored} rows of ")), "{stored} are stored: {said}");
            there.ok(&ingest);
            assert_eq!(videos(), 30_000);
        });
    }

    fn a_backup_and_a_restore(t) {
        on_small_disk(t, module_path!(), 64, |disk| {
            let there = disk.scratch(t);
            many(&there, &there.db(), 3_000);
            let before = rows(&there);
            // Onto a disk that is full, of one that is, and into one.
            for (left, to) in [(40, disk.path("backups")), (0, t.path("backups"))] {
                disk.fill(left);
                let ran = there.run(&["backup", "create", "--to", to.to_str().unwrap()]);
                disk.free();
                // Its server reads on.
                if left > 0 || !there.is_postgres {
                    refused(ran);
                }
            }
            let to = t.path("there.zst");
            there.ok(&["backup", "create", "--to", to.to_str().unwrap()]);
            for left in [0, 200] {
                disk.fill(left);
                refused(there.run(&["restore", "--yes", to.to_str().unwrap()]));
                disk.free();
                require_whole(&there);
                assert_eq!(rows(&there), before);
            }
            there.ok(&["restore", "--yes", to.to_str().unwrap()]);
            require_whole(&there);
            assert_eq!(rows(&there), before);
        });
    }

    fn an_optimize(t) {
        on_small_disk(t, module_path!(), 64, |disk| {
            let there = disk.scratch(t);
            many(&there, &there.db(), 3_000);
            let before = rows(&there);
            disk.fill(60);
            let ran = there.run(&["optimize", "--vacuum", "-q"]);
            disk.free();
            if !there.is_postgres {
                refused(ran);
            }
            require_whole(&there);
            assert_eq!(rows(&there), before);
            there.ok(&["optimize", "--vacuum"]);
        });
    }
}

/// A server that cannot write its own log stops. What it had said was done is there when it runs again.
#[cfg(feature = "postgres")]
mod a_server_without_room_for_its_log {
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
            many(&t, &db, 500);
            disk.fill(0);
            let mut put = 0;
            let error = loop {
                // Rows that are deleted again take room in the log only.
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
            let is_told = ["disk is full", "the connection was lost"].iter().any(|part| said.contains(part));
            assert!(is_told && said.starts_with("postgres://"), "{said}");
            // Whether it tries to come back, or has given up.
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
