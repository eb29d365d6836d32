//! Text from data, files and arguments that would act on a terminal, or fill it.

#[cfg(feature = "sqlite")]
use viraldb::diesel::Connection;
#[cfg(feature = "sqlite")]
use viraldb::diesel::connection::SimpleConnection;

use super::json;
use crate::make;
use crate::support::{Ran, Scratch, both};

/// Clears the screen, in C0 and in C1, rings, deletes, turns the text around and ends the line.
const HOSTILE: &str = "x\u{1b}[2J\u{9b}2J\u{7}\u{7f}\u{202e}\u{2028}\u{2066}y";

fn acts(c: char) -> bool {
    c.is_control() && c != '\n'
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Requires that nothing of what a command printed acts on a terminal.
fn inert(ran: &Ran) {
    for text in [&ran.out, &ran.err] {
        assert!(!text.contains(acts), "{text:?}");
    }
}

/// Requires that a command showed the text in a form that does not act on a terminal.
fn harmless(ran: &Ran) {
    inert(ran);
    let all = format!("{}{}", ran.out, ran.err);
    assert!(all.contains(r"x\u{1b}[2J") || all.contains(r"x\u001b[2J"), "{all:?}");
}

/// Requires that a message quotes no more than the beginning of a long value.
fn short(ran: &Ran) {
    let said = format!("{}{}", ran.out, ran.err);
    assert!(said.len() < 2_000 && !said.contains(&"a".repeat(81)), "{} bytes: {said:.3000}", said.len());
    assert!(said.contains('…') || !said.contains("aaa"), "{said}");
}

fn lines(t: &Scratch, table: &str, rows: &[serde_json::Value], more: &[&str]) -> Ran {
    t.file("rows.jsonl", rows.iter().map(|row| format!("{row}\n")).collect::<String>());
    let mut args = vec!["ingest", "rows.jsonl", "--as", "jsonl", "--table", table];
    args.extend(more);
    t.run(&args)
}

#[cfg(feature = "sqlite")]
#[test]
fn the_log_does_not_steer_the_terminal() {
    let t = Scratch::sqlite();
    for (log, escape) in [("text", r"\u{202e}"), ("json", r"\u202e")] {
        let path = t.path(&format!("{HOSTILE}{log}.db"));
        let url = format!("sqlite://{}", path.display());
        let run = |args: &[&str]| {
            t.run(&[&["-vvv", "--log-format", log, "--database-url", &url][..], args].concat())
        };
        inert(&run(&["init"]));
        // The next one who opens it for writing says so, with its path.
        let mut conn = viraldb::diesel::SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        conn.batch_execute("PRAGMA journal_mode = DELETE").unwrap();
        drop(conn);
        let ran = run(&["errors", "log", "--module", "m", "--type", "t", HOSTILE]);
        inert(&ran);
        assert!(ran.err.contains("had lost write-ahead logging") && ran.err.contains(escape), "{}", ran.err);
    }
}

both! {
    fn messages_do_not_steer_the_terminal(t) {
        t.ok(&["init"]);
        let unknown = serde_json::json!({ "theme": "a", HOSTILE: 1 });
        for more in [&["--strict"][..], &[], &["--format", "table"], &["--format", "json"]] {
            harmless(&lines(t, "jobs", std::slice::from_ref(&unknown), more));
        }
        harmless(&lines(t, "jobs", &[serde_json::json!({ "status": HOSTILE })], &["--strict"]));
        harmless(&lines(t, "trends", &[serde_json::json!({ "platform": "youtube", "external_id": "a", "collected_at": HOSTILE })], &[]));
        for args in [
            &["ingest", HOSTILE][..],
            &["ingest", "--table", HOSTILE, "rows.jsonl"],
            &["export", HOSTILE],
            &["videos", "mark", HOSTILE, "used"],
            &["config", "get", HOSTILE],
            &["config", "set", HOSTILE, "1"],
            &["secrets", "get", "--setting", HOSTILE],
            &["migrate", "sql", HOSTILE],
            &["runs", "list", "--status", HOSTILE],
            &["jobs", "list", "--format", HOSTILE],
            &["--database-url", HOSTILE, "status"],
            &[HOSTILE],
            &["status", HOSTILE],
            &["backup", "verify", HOSTILE],
            &["restore", HOSTILE, "--yes"],
        ] {
            let ran = t.run(args);
            assert_ne!(ran.code, 0, "{args:?}: {ran:?}");
            harmless(&ran);
        }
    }

    fn rows_do_not_steer_the_terminal(t) {
        t.ok(&["init"]);
        t.db().write(|c| {
            make::execute(c, &format!("INSERT INTO jobs (theme) VALUES ('{HOSTILE}')"))?;
            make::execute(c, &format!("INSERT INTO discovered_videos (video_id, title, channel_name, channel_id, url, niche) VALUES ('v', '{HOSTILE}', 'c', 'c', 'u', '{HOSTILE}')"))?;
            make::execute(c, &format!("INSERT INTO pipeline_runs (niche, cycle_start, cycle_end, error_message) VALUES ('{HOSTILE}', '2026-01-01 00:00:00', '2026-01-02 00:00:00', '{HOSTILE}')"))?;
            make::execute(c, &format!("INSERT INTO trends (platform, external_id, title) VALUES ('youtube', 'e', '{HOSTILE}')"))?;
            make::execute(c, &format!("INSERT INTO config_overrides (key, value) VALUES ('max_clips', '{HOSTILE}')"))
        }).unwrap();
        for args in [
            &["videos", "list"][..], &["runs", "list"], &["runs", "show", "1"], &["trends", "list"], &["status"], &["config", "validate"],
            &["config", "explain", "max_clips"], &["videos", "list", "--format", "table"],
        ] {
            harmless(&t.run(args));
        }
        // A program gets the text as it is.
        for format in ["json", "jsonl"] {
            let ran = t.run(&["trends", "list", "--format", format]);
            inert(&ran);
            let row = json(&ran.out);
            assert_eq!(row.get(0).unwrap_or(&row)["title"], HOSTILE);
        }
    }

    fn messages_quote_the_beginning_of_a_long_value(t) {
        t.ok(&["init"]);
        let long = "a".repeat(200_000);
        for (table, row) in [
            ("jobs", serde_json::json!({ "theme": 1, "x": 1 })),
            ("jobs", serde_json::json!({ long.as_str(): 1 })),
            ("jobs", serde_json::json!({ "status": long })),
            ("jobs", serde_json::json!({ "created_at": long })),
            ("clips", serde_json::json!({ "pipeline_run_id": long })),
            ("channels", serde_json::json!({ "id": long })),
            ("trends", serde_json::json!({ "platform": long, "external_id": "e" })),
            ("job_videos", serde_json::json!({ "cost_usd": long })),
        ] {
            for more in [&["--strict"][..], &[]] {
                let ran = lines(t, table, std::slice::from_ref(&row), more);
                if row.get("x").is_none() {
                    short(&ran);
                }
            }
            let rejects = lines(t, table, std::slice::from_ref(&row), &["--rejects", "rejects.jsonl"]);
            assert_eq!(rejects.code, 3, "{rejects:?}");
            let kept = json(&std::fs::read_to_string(t.path("rejects.jsonl")).unwrap());
            assert!(kept["reason"].as_str().unwrap().len() < 1_000 && kept["row"] == row);
        }
        let item = |field: &str| format!(r#"{{"id":"v","snippet":{{"title":"t","publishedAt":"{field}"}},"statistics":{{"viewCount":"{field}"}}}}"#);
        t.file("api.json", item(&long));
        short(&t.run(&["ingest", "api.json", "--as", "youtube-api"]));
        t.file("error.json", format!(r#"{{"error":{{"message":"{long}","errors":[{{"reason":"{long}"}}]}}}}"#));
        short(&t.run(&["ingest", "error.json", "--as", "youtube-api"]));
        t.file("dlp.json", format!(r#"{{"id":"v","title":"t","extractor":"youtube","webpage_url":"u","duration":"{long}"}}"#));
        short(&t.run(&["ingest", "dlp.json", "--as", "yt-dlp"]));

        let long = "a".repeat(100_000); // the longest argument that Linux takes is 128 KiB
        for args in [
            &["videos", "mark", &long, "used"][..], &["config", "get", &long], &["export", &long], &["runs", "list", "--status", &long],
            &["secrets", "get", "--setting", &long], &["migrate", "sql", &long], &["jobs", "list", "--format", &long], &[&long],
            &["jobs", "claim", "--worker", "w", "--lease", &long],
        ] {
            let ran = t.run(args);
            assert!(ran.code == 1 || ran.code == 2, "{:.200?}", ran.err);
            short(&ran);
        }
    }

    fn a_takeover_names_what_it_leaves_without_steering_the_terminal(t) {
        let path = t.path("old");
        let conn = rusqlite::Connection::open(&path).unwrap();
        let long = "a".repeat(500);
        conn.execute_batch(&format!(
            "CREATE TABLE trends (id INTEGER, platform TEXT, external_id TEXT, collected_at TEXT, \"{HOSTILE}\" TEXT, \"{long}\" TEXT);
             CREATE TABLE \"{HOSTILE}\" (id INTEGER);
             INSERT INTO trends VALUES (1, '{HOSTILE}', 'x', '2026-01-01', '', '')"
        )).unwrap();
        let source = path.to_str().unwrap();
        for format in ["table", "json", "csv"] {
            let args = ["takeover", source, "--to", &t.url, "--application", "viralforge", "--format", format, "--dry-run"];
            let ran = t.run(&args);
            assert_eq!(ran.code, 0, "{ran:?}");
            if format == "table" {
                harmless(&ran);
                short(&ran);
            }
            assert!(!ran.err.contains(acts), "{:?}", ran.err);
        }
        conn.execute_batch("DROP TABLE trends").unwrap();
        harmless(&t.run(&["takeover", source, "--to", &t.url]));
    }

    fn a_manifest_does_not_steer_the_terminal(t) {
        t.ok(&["init"]);
        t.ok(&["backup", "create", "--to", "b.zst"]);
        let path = t.path("b.zst.manifest.json");
        let mut manifest = json(&std::fs::read_to_string(&path).unwrap());
        manifest["rows"][HOSTILE] = 7.into();
        manifest["rows"]["a".repeat(500)] = 7.into();
        manifest["database"] = HOSTILE.into();
        t.file("b.zst.manifest.json", manifest.to_string());
        let ran = t.run(&["restore", "b.zst", "--yes"]);
        assert_eq!(ran.code, 1, "{ran:?}");
        harmless(&ran);
        short(&ran);
        harmless(&t.run(&["backup", "list", "--in", "."]));
        inert(&t.run(&["backup", "verify", "b.zst"]));
        manifest["schema"] = serde_json::json!({ HOSTILE: 1 });
        manifest["engine"] = HOSTILE.into();
        t.file("b.zst.manifest.json", manifest.to_string());
        inert(&t.run(&["backup", "verify", "b.zst"]));
        inert(&t.run(&["backup", "list", "--in", "."]));
    }
}
