//! The command line, as people and programs use it.

mod commands;
pub mod help;
mod hostile;
mod lists;
#[cfg(feature = "sqlite")]
mod mistakes;
mod streams;
mod tables;
mod tail;
mod top;
mod urls;
mod waits;
mod work;

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;

use crate::make;
#[cfg(feature = "sqlite")]
use crate::support::{Ran, viraldb};
use crate::support::{Scratch, both, migration_names, newest_migration, newest_version};

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

/// Creates the database with the sample rows.
fn with_sample(t: &Scratch) {
    t.ok(&["init", "--sample"]);
}

both! {
    fn init_creates_a_database_and_prints_the_next_step(t) {
        let out = t.ok(&["init"]);
        assert!(out.starts_with("created "), "{out}");
        assert!(out.contains(&format!("22 tables, schema {})", newest_version())));
        assert!(out.contains("next: viraldb ingest"));
        assert!(t.ok(&["init"]).starts_with("nothing to do for "));
        assert_eq!(t.ok(&["init", "--quiet"]), "");
        let object = json(&t.ok(&["init", "--format", "json"]));
        assert_eq!((&object["tables"], &object["migrations_applied"]), (&22.into(), &Value::Array(vec![])));
    }

    fn sample_videos_can_be_listed_and_marked_used(t) {
        let out = t.ok(&["init", "--sample"]);
        assert!(out.contains("90 rows: 60 videos new, 0 updated, 90 snapshots, 0 rejected"), "{out}");
        let status = json(&t.ok(&["status", "--format", "json"]));
        assert_eq!(status["schema"], newest_version());
        let rows = |table: &str| status["tables"].as_array().unwrap().iter().find(|row| row["table"] == table).unwrap()["rows"].clone();
        assert_eq!((rows("discovered_videos"), rows("analytics"), rows("clips")), (60.into(), 90.into(), 0.into()));
        let niche = status["pending_videos"][0]["niche"].as_str().unwrap();
        let pending = json(&t.ok(&["videos", "pending", niche, "--format", "json"]));
        let best = pending[0]["video_id"].as_str().unwrap();
        assert_eq!(t.ok(&["videos", "mark", best, "used"]), format!("{best} is used\n"));
        let left = json(&t.ok(&["videos", "pending", niche, "--format", "json"]));
        assert_eq!(left.as_array().unwrap().len(), pending.as_array().unwrap().len() - 1);
        let used = json(&t.ok(&["videos", "list", "--status", "used", "--format", "json"]));
        assert_eq!((used.as_array().unwrap().len(), &used[0]["processed"]), (1, &1.into()));
    }

    fn lists_print_in_every_format(t) {
        with_sample(t);
        let all = json(&t.ok(&["videos", "list", "--format", "json", "--limit", "1000"]));
        assert_eq!(all.as_array().unwrap().len(), 60);
        let lines = t.ok(&["videos", "list", "--format", "jsonl", "--limit", "1000"]);
        assert_eq!(lines.lines().map(json).collect::<Vec<_>>(), *all.as_array().unwrap());
        let csv = t.ok(&["videos", "list", "--format", "csv", "--limit", "1000"]);
        let mut reader = csv::Reader::from_reader(csv.as_bytes());
        let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
        assert_eq!(header, all[0].as_object().unwrap().keys().cloned().collect::<Vec<_>>());
        assert_eq!(reader.records().count(), 60);
        let none = t.ok(&["videos", "list", "--niche", "none", "--format", "csv"]);
        assert_eq!(none.trim_end(), header.join(","), "an empty list must still have a header");
        assert_eq!(t.ok(&["videos", "list", "--niche", "none", "--format", "json"]).trim(), "[]");
        let table = t.ok(&["videos", "list", "--limit", "2"]);
        assert_eq!(table.lines().count(), 3);
        // Fetch the list in pages of two.
        let first = json(&t.ok(&["videos", "list", "--format", "json", "--limit", "2"]));
        let id = first[1]["id"].to_string();
        let second = json(&t.ok(&["videos", "list", "--format", "json", "--limit", "2", "--after", &id]));
        assert_eq!((&second[0], &second[1]), (&all[2], &all[3]));
        for command in [vec!["status"], vec!["migrate", "status"], vec!["errors", "list"]] {
            for format in ["json", "jsonl", "csv"] {
                let out = t.ok(&[&command[..], &["--format", format]].concat());
                assert!(format == "csv" || out.is_empty() || out.lines().next().is_some_and(|l| l.starts_with(['{', '['])), "{out}");
            }
        }
    }

    fn errors_are_logged_listed_and_resolved(t) {
        t.ok(&["init"]);
        let trace = t.file("trace.txt", "at a\nat b");
        let logged = json(&t.ok(&["errors", "log", "--module", "cut", "--type", "Timeout", "--stack-trace", trace.to_str().unwrap(), "late", "--format", "json"]));
        assert_eq!((&logged["stack_trace"], &logged["resolved"]), (&"at a\nat b".into(), &false.into()));
        assert_eq!(logged["correlation_id"].as_str().unwrap().len(), 36);
        t.ok(&["errors", "log", "--module", "voice", "--type", "T", "x"]);
        t.ok(&["errors", "log", "--module", "voice", "--type", "T", "y"]);
        let listed = json(&t.ok(&["errors", "list", "--module", "voice", "--format", "json"]));
        assert_eq!((listed.as_array().unwrap().len(), &listed[0]["error_message"]), (2, &"y".into()));
        assert_eq!(t.ok(&["errors", "resolve", "--module", "voice"]), "resolved 2 errors\n");
        assert_eq!(t.ok(&["errors", "resolve", &logged["id"].to_string()]), "resolved 1 error\n");
        assert_eq!(json(&t.ok(&["errors", "list", "--format", "json"])), Value::Array(vec![]));
        assert_eq!(json(&t.ok(&["errors", "list", "--all", "--format", "json"])).as_array().unwrap().len(), 3);
        let ran = t.run(&["errors", "resolve", "1", "99"]);
        assert_eq!((ran.code, &*ran.err), (1, "error: row 99 not found in error_log; list the errors with `viraldb errors list`\n"));
        let ran = t.run(&["errors", "log", "--module", "", "--type", "T", "x"]);
        assert_eq!((ran.code, &*ran.err), (1, "error: module is empty\n"));
        let ran = t.run(&["errors", "log", "--module", "m", "--type", "T", "--run", "99", "x"]);
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains("refers to a row that does not exist"), "{}", ran.err);
    }

    fn migrate_commands_run_revert_and_redo(t) {
        assert_eq!(t.run(&["migrate", "check"]).code, 3);
        let sql = t.ok(&["migrate", "sql"]);
        assert!(sql.contains("CREATE TABLE clips") && sql.contains("CREATE TABLE job_videos"));
        let (all, newest) = (migration_names().len(), newest_migration());
        assert_eq!(t.ok(&["migrate", "run"]).lines().count(), all);
        assert_eq!(t.ok(&["migrate", "run"]), "nothing to do\n");
        assert_eq!((t.run(&["migrate", "check"]).code, t.ok(&["migrate", "sql"]).as_str()), (0, ""));
        assert_eq!(t.ok(&["migrate", "revert"]), format!("reverted {newest}\n"));
        let ran = t.run(&["migrate", "check"]);
        assert_eq!((ran.code, ran.out), (3, format!("pending\npending  {newest}\n")));
        let ran = t.run(&["videos", "list"]);
        assert_eq!((ran.code, ran.err), (1, format!("error: the database has pending migrations: {newest}; run `viraldb migrate run`\n")));
        t.ok(&["migrate", "run"]);
        assert_eq!(t.ok(&["migrate", "redo", "--count", "2"]).lines().count(), 2);
        assert_eq!(t.ok(&["migrate", "revert", "--all"]).lines().count(), all);
        assert_eq!(t.run(&["migrate", "check"]).code, 3);
        assert!(t.ok(&["migrate", "sql", "2026-11-21-000002", "--down"]).contains("DROP TABLE clips"));
        assert_eq!(t.run(&["migrate", "sql", "nope"]).code, 1);
        let states = json(&t.ok(&["migrate", "status", "--format", "json"]));
        assert!(states.as_array().unwrap().iter().all(|entry| entry["state"] == "pending"));
    }

    fn check_reports_modified_and_newer_history(t) {
        use viraldb::diesel::connection::SimpleConnection;
        let db = t.db();
        let run = |sql: &str| db.write(|c| Ok(c.batch_execute(sql)?)).unwrap();
        run("UPDATE viraldb_migrations SET checksum = 'x' WHERE version = '20261121000002'");
        let ran = t.run(&["migrate", "check"]);
        assert_eq!((ran.code, &*ran.out), (4, "differs\nmodified  2026-11-21-000002_compilation\n"));
        run("INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000001');
             INSERT INTO viraldb_migrations (version, checksum) VALUES ('20991231000001', 'x')");
        let ran = t.run(&["migrate", "check"]);
        assert_eq!(ran.code, 5);
        assert!(ran.out.contains("newer  2099-12-31-000001"), "{}", ran.out);
        let ran = t.run(&["status"]);
        assert_eq!(ran.code, 1);
        let supported = format!("has schema version 2099-12-31-000001, but this viraldb supports versions up to {}", newest_version());
        assert!(ran.err.contains(&supported), "{}", ran.err);
    }

    fn ingest_reads_files_and_stdin(t) {
        t.ok(&["init"]);
        let line = r#"{"video_id":"a","title":"t","channel_name":"c","channel_id":"d","url":"u","niche":"gaming"}"#;
        let file = t.file("one.jsonl", format!("{line}\n{{\"title\":1}}\n"));
        let rejects = t.path("rejects.jsonl");
        let ran = t.run(&["ingest", "one.jsonl", "--rejects", "rejects.jsonl"]);
        assert_eq!((ran.code, &*ran.out), (3, "one.jsonl  2 rows: 1 video new, 0 updated, 1 rejected\n"), "{}", ran.err);
        assert!(ran.err.starts_with("  line 2: "), "{}", ran.err);
        let kept = json(&std::fs::read_to_string(rejects).unwrap());
        assert_eq!((&kept["file"], &kept["line"], &kept["row"]["title"]), (&"one.jsonl".into(), &2.into(), &1.into()));
        let mut child = t.command(&["ingest", "-", "--format", "json"]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(line.replace("\"a\"", "\"b\"").as_bytes()).unwrap();
        let report = json(&String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap());
        assert_eq!((&report[0]["new"], &report[0]["file"]), (&1.into(), &"-".into()));
        let ran = t.run(&["ingest", file.to_str().unwrap(), "--strict"]);
        assert_eq!(ran.code, 1);
        assert!(ran.err.contains("1 bad row, nothing was written"), "{}", ran.err);
        // One missing file among existing ones prevents the whole ingest.
        let ran = t.run(&["ingest", t.file("two.jsonl", line.replace("\"a\"", "\"c\"")).to_str().unwrap(), "missing.csv"]);
        assert_eq!((ran.code, &*ran.err), (1, "error: missing.csv: no such file or directory; check the path\n"));
        assert_eq!(t.run(&["videos", "mark", "c", "used"]).err, "error: row c not found in discovered_videos; list the videos with `viraldb videos list`\n");
        assert_eq!(t.run(&["ingest", "one.jsonl", "--as", "nonsense"]).code, 2);
    }

    /// The exit code lets a timer notice rejected rows. The rows are listed in file order, whichever check rejected them.
    fn rejected_rows_exit_with_3_and_are_reported_in_line_order(t) {
        t.ok(&["init"]);
        let (no_job, bad) = (r#"{"job_id": 9999, "file_path": "f"}"#, r#"{"job_id": "x"}"#);
        t.file("none.jsonl", format!("{no_job}\n{bad}\n{no_job}\n{bad}\n"));
        t.file("good.jsonl", "{\"theme\":\"a\"}\n");
        let ran = t.run(&["ingest", "none.jsonl", "--table", "job_videos", "--rejects", "bad.jsonl"]);
        assert!(ran.code == 3 && ran.out.contains("4 rows: 0 new in job_videos, 0 updated, 4 rejected"), "{}", ran.out);
        let numbers: Vec<&str> = ran.err.lines().filter_map(|line| line.trim().strip_prefix("line ")?.split(':').next()).collect();
        assert_eq!(numbers, ["1", "2", "3", "4"], "{}", ran.err);
        let kept = std::fs::read_to_string(t.path("bad.jsonl")).unwrap();
        assert_eq!(kept.lines().map(|line| json(line)["line"].as_u64().unwrap()).collect::<Vec<_>>(), [1, 2, 3, 4]);
        assert_eq!(t.run(&["ingest", "good.jsonl", "--table", "jobs", "-q"]).code, 0);
        assert_eq!(t.run(&["ingest", "good.jsonl", "none.jsonl", "--table", "jobs", "--format", "json"]).code, 3);
    }

    fn unknown_status_is_rejected_with_the_known_ones_and_exit_code_2(t) {
        with_sample(t);
        let known = "  [possible values: pending, used, skipped, rejected]\n\n";
        for (args, expected) in [
            (["videos", "mark", "x", "usd"], format!("error: invalid value 'usd' for '<STATUS>'\n{known}  tip: a similar value exists: 'used'\n\n")),
            (["videos", "mark", "x", "4"], format!("error: invalid value '4' for '<STATUS>'\n{known}")),
            (["videos", "list", "--status", "4"], format!("error: invalid value '4' for '--status <STATUS>'\n{known}")),
            (["videos", "list", "--status", "-1"], "error: unexpected argument '-1' found\n\nUsage: viraldb videos list [OPTIONS]\n\n".to_owned()),
        ] {
            let ran = t.run(&args);
            let expected = format!("{expected}For more information, try '--help'.\n");
            assert_eq!((ran.code, &*ran.err, &*ran.out), (2, &*expected, ""), "{args:?}");
        }
    }

    fn json_logs_carry_one_correlation_id(t) {
        let ran = t.run(&["-v", "--log-format", "json", "init"]);
        let lines: Vec<Value> = ran.err.lines().map(json).collect();
        assert!(!lines.is_empty(), "-v logs each migration");
        let id = lines[0]["span"]["correlation_id"].as_str().unwrap();
        assert!(lines.iter().all(|line| line["span"]["correlation_id"] == id));
        assert!(t.run(&["-q", "init"]).err.is_empty());
    }

    fn job_left_processing_by_another_program_is_requeued_with_cancel_and_retry(t) {
        let db = t.db();
        let id = db.write(|c| make::video_job(c).insert(c)).unwrap().id.to_string();
        db.write(|c| make::execute(c, "UPDATE video_processing_jobs SET status = 'processing', started_at = '2020-01-01 00:00:00'")).unwrap();
        assert_eq!(t.ok(&["jobs", "rescue"]), "0 enqueued again, 0 failed\n");
        let listed = json(&t.ok(&["jobs", "list", "--status", "processing", "--format", "json"]));
        assert_eq!((&listed[0]["id"], &listed[0]["leased_by"]), (&Value::from(&*id), &Value::Null));
        t.ok(&["jobs", "cancel", &id]);
        t.ok(&["jobs", "retry", &id]);
        let claimed = json(&t.ok(&["jobs", "claim", "--worker", "w", "--format", "json"]));
        assert_eq!(claimed[0]["id"], Value::from(&*id));
    }

    fn closed_pipe_is_not_an_error(t) {
        with_sample(t);
        for format in ["table", "json", "jsonl", "csv"] {
            let mut child = t.command(&["videos", "list", "--format", format, "--limit", "60"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
            drop(child.stdout.take());
            let output = child.wait_with_output().unwrap();
            assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""), "{format}");
        }
    }

    fn files_before_a_failing_file_are_reported(t) {
        t.ok(&["init"]);
        t.file("one.jsonl", "{\"theme\":\"a\"}\n");
        t.file("two.txt", "no format\n");
        for format in ["json", "jsonl", "csv", "table"] {
            let args = ["ingest", "one.jsonl", "two.txt", "--format", format];
            let ran = t.run(&[&args[..], &["--as", "jsonl", "--table", "jobs", "--strict"]].concat());
            assert_eq!((ran.code, ran.out.matches("one.jsonl").count()), (1, 1), "{}{}", ran.out, ran.err);
            assert!(!ran.out.contains("two.txt") && ran.err.contains("two.txt"), "{}{}", ran.out, ran.err);
        }
    }

    fn rejects_file_never_overwrites_input_or_database(t) {
        t.ok(&["init"]);
        let input = t.file("in.jsonl", "{}\n");
        let of_the_database: &[&str] = if t.is_postgres { &[] } else { &["viral.db", "./viral.db-wal", "viral.db-shm"] };
        for rejects in ["in.jsonl", "./in.jsonl", "-"].iter().chain(of_the_database) {
            let ran = t.run(&["ingest", "in.jsonl", "--rejects", rejects]);
            assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{rejects}");
            assert!(ran.err.starts_with("error: --rejects "), "{}", ran.err);
        }
        assert_eq!(std::fs::read_to_string(input).unwrap(), "{}\n");
        // An existing rejects file is replaced only after an input was read.
        let kept = t.file("kept.jsonl", "before\n");
        t.file("empty.jsonl", "");
        assert_eq!(t.run(&["ingest", "empty.jsonl", "--rejects", "kept.jsonl"]).code, 1);
        assert_eq!(std::fs::read_to_string(&kept).unwrap(), "before\n");
        assert_eq!(t.run(&["ingest", "in.jsonl", "--rejects", "kept.jsonl"]).code, 3);
        assert_eq!(std::fs::read_to_string(&kept).unwrap().lines().count(), 1);
    }

    fn quiet_prints_data_and_errors_only(t) {
        t.file("in.jsonl", "{\"theme\":\"one\"}\n{\"theme\":1}\n");
        for (args, code, prints) in [
            (&["init", "--sample"][..], 0, false),
            (&["ingest", "in.jsonl", "--table", "jobs"], 3, false),
            (&["errors", "log", "--module", "m", "--type", "t", "x"], 0, false),
            (&["errors", "list"], 0, true),
            (&["migrate", "run"], 0, false),
            (&["migrate", "check"], 0, true),
            (&["status"], 0, true),
        ] {
            let ran = t.run(&[args, &["-q"]].concat());
            assert_eq!((ran.code, &*ran.err, !ran.out.is_empty()), (code, "", prints), "{args:?}: {}", ran.out);
        }
        let ran = t.run(&["videos", "mark", "none", "used", "-q"]);
        assert_eq!((ran.code, ran.err.lines().count()), (1, 1));
    }

    fn counts_of_one_are_singular(t) {
        t.ok(&["init"]);
        t.file("one.jsonl", "{\"theme\":\"one\"}\n");
        assert_eq!(t.ok(&["ingest", "one.jsonl", "--table", "jobs"]), "one.jsonl  1 row: 1 new in jobs, 0 updated, 0 rejected\n");
        let video = r#"{"id":"a","title":"t","snippet":{"title":"t"}}"#;
        t.file("one.json", video);
        assert_eq!(t.ok(&["ingest", "one.json"]), "one.json  1 row: 1 video new, 0 updated, 0 rejected\n");
        t.file("bad.jsonl", "{}\n");
        assert!(t.run(&["ingest", "bad.jsonl", "--strict"]).err.contains("error: 1 bad row, nothing was written"));
    }

    fn stored_text_cannot_control_the_terminal(t) {
        t.ok(&["init"]);
        let text = "red \u{1b}[31m bell \u{7} c1 \u{9b}2J";
        t.ok(&["errors", "log", "--module", "m", "--type", "t", text]);
        let table = t.ok(&["errors", "list"]);
        assert!(table.contains(r"red \u{1b}[31m bell \u{7} c1 \u{9b}2J"), "{table:?}");
        assert_eq!(json(&t.ok(&["errors", "list", "--format", "json"]))[0]["error_message"], text);
    }

    fn verbose_logs_progress(t) {
        t.ok(&["init"]);
        t.file("in.jsonl", "{}\n");
        let ran = t.run(&["-v", "--log-format", "json", "ingest", "in.jsonl"]);
        let lines: Vec<serde_json::Value> = ran.err.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect();
        assert!(lines.iter().any(|line| line["message"] == "stored so far" && line["rows"] == 1), "{}", ran.err);
        assert!(lines.iter().all(|line| line["span"]["unit"] == "ingest" && line["span"]["correlation_id"].is_string()), "{}", ran.err);
        assert!(!t.run(&["-v", "ingest", "in.jsonl"]).err.contains('\u{1b}'), "colors must not appear in a file");
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn database_comes_from_option_then_environment_then_dotenv_then_default() {
    let dir = tempfile::tempdir().unwrap();
    let made = |command: &mut std::process::Command| {
        let ran: Ran = command.output().unwrap().into();
        assert_eq!(ran.code, 0, "{}", ran.err);
        let mut names: Vec<String> = std::fs::read_dir(dir.path())
            .unwrap()
            .map(|file| file.unwrap().file_name().into_string().unwrap())
            .collect();
        names.retain(|name| name.ends_with(".db"));
        names.iter().for_each(|name| std::fs::remove_file(dir.path().join(name)).unwrap());
        names
    };
    assert_eq!(made(&mut viraldb(dir.path(), &["init"])), ["viral.db"]);
    std::fs::write(dir.path().join(".env"), "OTHER=1\nDATABASE_URL=sqlite://dotenv.db\n").unwrap();
    assert_eq!(made(&mut viraldb(dir.path(), &["init"])), ["dotenv.db"]);
    assert_eq!(made(viraldb(dir.path(), &["init"]).env("DATABASE_URL", "env.db")), ["env.db"]);
    assert_eq!(
        made(viraldb(dir.path(), &["init", "--database-url", "given.db"]).env("DATABASE_URL", "env.db")),
        ["given.db"]
    );
    assert_eq!(made(viraldb(dir.path(), &["init"]).env("DATABASE_URL", "")), ["dotenv.db"]);
    // In a subfolder, `.env` of the parent folder selects the same database.
    std::fs::create_dir(dir.path().join("below")).unwrap();
    assert_eq!(made(&mut viraldb(&dir.path().join("below"), &["init"])), ["dotenv.db"]);
    assert_eq!(std::fs::read_dir(dir.path().join("below")).unwrap().count(), 0);
    // An invalid line of another program is ignored. An invalid DATABASE_URL line is an error.
    std::fs::write(dir.path().join(".env"), "OTHER=a b c\nDATABASE_URL=sqlite://dotenv.db\n").unwrap();
    assert_eq!(made(&mut viraldb(dir.path(), &["init"])), ["dotenv.db"]);
    std::fs::write(dir.path().join(".env"), "DATABASE_URL=postgres://u:SECRET WORD@h/d\n").unwrap();
    let ran: Ran = viraldb(dir.path(), &["init"]).output().unwrap().into();
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains(".env") && !ran.err.contains("WORD"), "{}", ran.err);
}

/// SQLite would delete the log, although it may contain rows that are nowhere else.
#[cfg(feature = "sqlite")]
#[test]
fn init_never_deletes_the_log_of_a_missing_database() {
    let t = Scratch::sqlite();
    for ending in ["-wal", "-journal"] {
        let log = t.file(&format!("viral.db{ending}"), "the latest changes");
        for args in [&["init"][..], &["ingest", "none.jsonl"], &["migrate", "run"]] {
            let ran = t.run(args);
            assert_eq!((ran.code, &*ran.out), (1, ""), "{args:?}");
            let said = format!("viral.db: is missing, but its log {} is there", log.display());
            assert!(args[0] == "ingest" || ran.err.contains(&said), "{}", ran.err);
        }
        assert_eq!(std::fs::read(&log).unwrap(), b"the latest changes");
        assert!(!t.path("viral.db").exists());
        std::fs::remove_file(log).unwrap();
    }
    // An empty log contains nothing.
    t.file("viral.db-wal", "");
    t.ok(&["init"]);
}

#[cfg(feature = "sqlite")]
#[test]
fn completions_exist_for_every_shell() {
    let dir = tempfile::tempdir().unwrap();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran: Ran = viraldb(dir.path(), &["completions", shell]).output().unwrap().into();
        assert!(ran.code == 0 && ran.out.contains("viraldb"), "{shell}");
    }
}
