//! Text from data, files and arguments must not control the terminal or flood it.

#[cfg(feature = "sqlite")]
use viraldb::diesel::Connection;
#[cfg(feature = "sqlite")]
use viraldb::diesel::connection::SimpleConnection;

use super::json;
use crate::make;
use crate::support::{Ran, Scratch, both};

/// Contains characters that clear the screen (as C0 and as C1), ring the bell, delete, reverse the text direction and end
/// the line.
const HOSTILE: &str = "x\u{1b}[2J\u{9b}2J\u{7}\u{7f}\u{202e}\u{2028}\u{2066}y";

fn controls_terminal(c: char) -> bool {
    c.is_control() && c != '\n'
        || matches!(c, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Requires that the output of a command contains nothing that controls the terminal.
fn require_inert(ran: &Ran) {
    for text in [&ran.out, &ran.err] {
        assert!(!text.contains(controls_terminal), "{text:?}");
    }
}

/// Requires that a command printed [`HOSTILE`] in escaped form.
fn require_escaped(ran: &Ran) {
    require_inert(ran);
    let all = format!("{}{}", ran.out, ran.err);
    assert!(all.contains(r"x\u{1b}[2J") || all.contains(r"x\u001b[2J"), "{all:?}");
}

/// Requires that a message quotes only the beginning of a long value.
fn require_short(ran: &Ran) {
    let said = format!("{}{}", ran.out, ran.err);
    assert!(said.len() < 2_000 && !said.contains(&"a".repeat(81)), "{} bytes: {said:.3000}", said.len());
    assert!(said.contains('…') || !said.contains("aaa"), "{said}");
}

fn ingest_rows(t: &Scratch, table: &str, rows: &[serde_json::Value], more: &[&str]) -> Ran {
    t.file("rows.jsonl", rows.iter().map(|row| format!("{row}\n")).collect::<String>());
    let mut args = vec!["ingest", "rows.jsonl", "--as", "jsonl", "--table", table];
    args.extend(more);
    t.run(&args)
}

#[cfg(feature = "sqlite")]
#[test]
fn logs_cannot_control_the_terminal() {
    let t = Scratch::sqlite();
    for (log, escape) in [("text", r"\u{202e}"), ("json", r"\u202e")] {
        let path = t.path(&format!("{HOSTILE}{log}.db"));
        let url = format!("sqlite://{}", path.display());
        let run = |args: &[&str]| {
            t.run(&[&["-vvv", "--log-format", log, "--database-url", &url][..], args].concat())
        };
        require_inert(&run(&["init"]));
        // The next command that writes logs a warning with the path of the database.
        let mut conn = viraldb::diesel::SqliteConnection::establish(path.to_str().unwrap()).unwrap();
        conn.batch_execute("PRAGMA journal_mode = DELETE").unwrap();
        drop(conn);
        let ran = run(&["errors", "log", "--module", "m", "--type", "t", HOSTILE]);
        require_inert(&ran);
        assert!(ran.err.contains("had lost write-ahead logging") && ran.err.contains(escape), "{}", ran.err);
    }
}

both! {
    fn messages_cannot_control_the_terminal(t) {
        t.ok(&["init"]);
        let unknown = serde_json::json!({ "theme": "a", HOSTILE: 1 });
        for more in [&["--strict"][..], &[], &["--format", "table"], &["--format", "json"]] {
            require_escaped(&ingest_rows(t, "jobs", std::slice::from_ref(&unknown), more));
        }
        require_escaped(&ingest_rows(t, "jobs", &[serde_json::json!({ "status": HOSTILE })], &["--strict"]));
        require_escaped(&ingest_rows(t, "trends", &[serde_json::json!({ "platform": "youtube", "external_id": "a", "collected_at": HOSTILE })], &[]));
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
            require_escaped(&ran);
        }
    }

    fn rows_cannot_control_the_terminal(t) {
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
            require_escaped(&t.run(args));
        }
        // JSON output keeps the text unchanged, for programs.
        for format in ["json", "jsonl"] {
            let ran = t.run(&["trends", "list", "--format", format]);
            require_inert(&ran);
            let row = json(&ran.out);
            assert_eq!(row.get(0).unwrap_or(&row)["title"], HOSTILE);
        }
    }

    fn messages_truncate_long_values(t) {
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
                let ran = ingest_rows(t, table, std::slice::from_ref(&row), more);
                if row.get("x").is_none() {
                    require_short(&ran);
                }
            }
            let rejects = ingest_rows(t, table, std::slice::from_ref(&row), &["--rejects", "rejects.jsonl"]);
            assert_eq!(rejects.code, 3, "{rejects:?}");
            let kept = json(&std::fs::read_to_string(t.path("rejects.jsonl")).unwrap());
            assert!(kept["reason"].as_str().unwrap().len() < 1_000 && kept["row"] == row);
        }
        let item = |field: &str| format!(r#"{{"id":"v","snippet":{{"title":"t","publishedAt":"{field}"}},"statistics":{{"viewCount":"{field}"}}}}"#);
        t.file("api.json", item(&long));
        require_short(&t.run(&["ingest", "api.json", "--as", "youtube-api"]));
        t.file("error.json", format!(r#"{{"error":{{"message":"{long}","errors":[{{"reason":"{long}"}}]}}}}"#));
        require_short(&t.run(&["ingest", "error.json", "--as", "youtube-api"]));
        t.file("dlp.json", format!(r#"{{"id":"v","title":"t","extractor":"youtube","webpage_url":"u","duration":"{long}"}}"#));
        require_short(&t.run(&["ingest", "dlp.json", "--as", "yt-dlp"]));

        let long = "a".repeat(100_000); // Linux limits an argument to 128 KiB.
        for args in [
            &["videos", "mark", &long, "used"][..], &["config", "get", &long], &["export", &long], &["runs", "list", "--status", &long],
            &["secrets", "get", "--setting", &long], &["migrate", "sql", &long], &["jobs", "list", "--format", &long], &[&long],
            &["jobs", "claim", "--worker", "w", "--lease", &long],
        ] {
            let ran = t.run(args);
            assert!(ran.code == 1 || ran.code == 2, "{:.200?}", ran.err);
            require_short(&ran);
        }
    }

    fn takeover_report_cannot_control_the_terminal(t) {
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
                require_escaped(&ran);
                require_short(&ran);
            }
            assert!(!ran.err.contains(controls_terminal), "{:?}", ran.err);
        }
        conn.execute_batch("DROP TABLE trends").unwrap();
        require_escaped(&t.run(&["takeover", source, "--to", &t.url]));
    }

    fn backup_manifest_cannot_control_the_terminal(t) {
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
        require_escaped(&ran);
        require_short(&ran);
        require_escaped(&t.run(&["backup", "list", "--in", "."]));
        require_inert(&t.run(&["backup", "verify", "b.zst"]));
        manifest["schema"] = serde_json::json!({ HOSTILE: 1 });
        manifest["engine"] = HOSTILE.into();
        t.file("b.zst.manifest.json", manifest.to_string());
        require_inert(&t.run(&["backup", "verify", "b.zst"]));
        require_inert(&t.run(&["backup", "list", "--in", "."]));
    }
}
