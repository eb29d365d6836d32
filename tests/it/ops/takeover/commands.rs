//! What `viraldb takeover` refuses, says and leaves, of files that tests make.

use serde_json::Value;

use super::{made, of_table, rows, taken, text};
use crate::support::{Ran, both};

fn viralforge() -> String {
    made("viralforge.db").display().to_string()
}

both! {
    fn a_person_is_told_what_came_and_what_did_not(t) {
        let ran = t.run(&["takeover", &viralforge(), "--to", &t.url]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let line = ran.out.lines().find(|line| line.starts_with("took ")).unwrap_or_default();
        assert!(line.contains(" rows of viralforge from ") && line.contains(" rejected, "), "{}", ran.out);
        let left = ran.out.lines().find(|line| line.starts_with("without a place here: ")).unwrap_or_default();
        assert!(left.contains("scripts.hook_text, trend_reports, "), "{}", ran.out);
        assert!(ran.err.lines().count() == 6 && ran.err.contains("more (keep rejected rows with --rejects FILE)"), "{}", ran.err);
        let numbered = t.db().write(|c| {
            Ok(viraldb::generation::NewJob::default().insert(c)?.id.0)
        }).unwrap();
        assert!(rows(t, "jobs").keys().all(|id| id.parse::<i64>().unwrap() <= numbered), "{numbered}");
    }

    fn a_second_takeover_says_that_it_is_complete(t) {
        for source in ["viralforge.db", "channel_manager.db", "viral_channel.db"] {
            let to = t.another();
            let source = made(source).display().to_string();
            // Killed after its commit, a takeover has not said what it did.
            let (first, rejected) = taken(&to, &source, &[]);
            let channels = to.ok(&["export", "channels", "videos", "jobs", "trends", "--to", "before"]);
            let (again, rejected_again) = taken(&to, &source, &[]);
            assert_eq!((&first["was_complete"], &again["was_complete"]), (&false.into(), &true.into()), "{source}");
            // The engines word their reasons differently.
            let keys = |rejected: &[Value]| rejected.iter().map(|row| row["key"].clone()).collect::<Vec<_>>();
            assert_eq!((&first["tables"], keys(&rejected)), (&again["tables"], keys(&rejected_again)), "{source}");
            assert_eq!(to.ok(&["export", "channels", "videos", "jobs", "trends", "--to", "after"]), channels.replace("before", "after"));
            let ran = to.run(&["takeover", &source, "--to", &to.url]);
            assert!(ran.code == 0 && ran.out.contains("complete already; nothing was written"), "{ran:?}");
            let ran = to.run(&["takeover", &source, "--to", &to.url, "--dry-run"]);
            assert!(ran.code == 0 && ran.out.contains("complete already; nothing was written"), "{ran:?}");
        }
    }

    fn a_takeover_into_other_rows_is_refused_and_changes_nothing(t) {
        taken(t, &viralforge(), &[]);
        t.db().write(|c| crate::make::execute(c, "UPDATE jobs SET theme = 'another' WHERE id = (SELECT min(id) FROM jobs)")).unwrap();
        let before = t.ok(&["export", "trends"]);
        let ran = t.run(&["takeover", &viralforge(), "--to", &t.url]);
        assert!(ran.code == 1 && ran.err.contains("holds rows in jobs, trends, job_scripts, job_videos already, and not those that would be taken; take viralforge over into a database without"), "{ran:?}");
        assert_eq!(t.ok(&["export", "trends"]), before);
        // Another application's tables are others.
        taken(t, made("viral_channel.db").to_str().unwrap(), &[]);
    }

    fn settings_of_the_application_replace_those_that_init_wrote(t) {
        t.ok(&["init"]);
        let path = t.path("old");
        std::fs::copy(made("channel_manager.db"), &path).unwrap();
        let conn = rusqlite::Connection::open(&path).unwrap();
        let at = "2026-01-01 00:00:00";
        conn.execute("INSERT INTO system_configuration (key, value, encrypted, created_at, updated_at) VALUES ('max_clips', '7', 0, ?1, ?1)", [at]).unwrap();
        drop(conn);
        taken(t, path.to_str().unwrap(), &[]);
        let settings = rows(t, "system_configuration");
        assert_eq!((&settings["max_clips"]["value"], &settings["min_clips"]["value"]), (&7.into(), &8.into()));
    }

    fn a_dry_run_says_the_same_and_takes_nothing(t) {
        let source = viralforge();
        let (first, _) = taken(t, &source, &["--dry-run"]);
        let missing = t.run(&["status"]);
        assert!(missing.code == 1 && missing.err.contains("viraldb init"), "{missing:?}");
        t.ok(&["init"]);
        let (dry, would) = taken(t, &source, &["--dry-run"]);
        assert_eq!(dry["tables"], first["tables"]);
        assert_eq!(t.ok(&["export", "trends"]), "");
        let (done, did) = taken(t, &source, &[]);
        assert_eq!((&dry["tables"], &would), (&done["tables"], &did));
    }

    fn strictly_all_is_taken_or_nothing(t) {
        let ran = t.run(&["takeover", &viralforge(), "--to", &t.url, "--strict", "--rejects", "bad.jsonl"]);
        assert!(ran.code == 1 && ran.err.contains("nothing was written; the first: jobs 30: created_at: is NULL"), "{ran:?}");
        assert!(std::fs::read_to_string(t.path("bad.jsonl")).unwrap().lines().count() > 20);
        assert_eq!(t.ok(&["export", "jobs"]), "");
    }

    fn a_database_of_nobody_known_is_refused_by_what_it_has(t) {
        let path = t.path("other");
        let conn = rusqlite::Connection::open(&path).unwrap();
        conn.execute_batch("CREATE TABLE users (id INTEGER); CREATE TABLE \"odd name\" (id INTEGER)").unwrap();
        let refused = |source: &str, more: &[&str]| {
            let mut args = vec!["takeover", source, "--to", &t.url];
            args.extend(more);
            let Ran { code, err, .. } = t.run(&args);
            assert_eq!(code, 1, "{err}");
            err
        };
        let path = path.to_str().unwrap();
        assert!(refused(path, &[]).contains("has no tables of viral_channel or channel-manager or viralforge; it has odd name, users"));
        assert!(refused(path, &["--application", "viralforge"]).contains("has no table of viralforge"));
        conn.execute_batch("CREATE TABLE trends (id INTEGER); CREATE TABLE clips (id INTEGER); CREATE TABLE pipeline_runs (id INTEGER)").unwrap();
        assert!(refused(path, &[]).contains("say which to take with --application"));
        assert!(refused("none.db", &[]).contains("none.db: is not there"));
        let no_database = t.file("text.db", "no database at all, but long enough to be one");
        assert!(refused(no_database.to_str().unwrap(), &[]).contains("is no SQLite database"));
        let empty = t.file("empty.db", "");
        assert!(refused(empty.to_str().unwrap(), &[]).contains("it has none at all"));
        t.ok(&["init"]);
        assert!(refused(&t.url, &[]).contains("viraldb transfer"));
        let ran = t.run(&["takeover", path, "--to", &t.url, "--application", "viralforge", "--rejects", path]);
        assert!(ran.code == 1 && ran.err.contains("is a file that is to be read"), "{ran:?}");
    }

    fn only_rows_that_are_taken_stand_in_the_way_of_others(t) {
        let path = t.path("old");
        let conn = rusqlite::Connection::open(&path).unwrap();
        conn.execute_batch(
            "CREATE TABLE trends (id INTEGER, platform TEXT, external_id TEXT, collected_at TEXT, hashtags JSON, trend_metadata TEXT);
             INSERT INTO trends VALUES
                 (1, 'nowhere', 'x', '2026-01-01', '', NULL), (2, 'TikTok', 'x', '2026-01-01', '', '{\"a\": 1}'),
                 (NULL, 'tiktok', 'y', '2026-01-01', '[]', NULL), (NULL, 'tiktok', 'y', '2026-01-01', '[]', NULL);
             CREATE VIEW jobs AS SELECT 1 AS id",
        )
        .unwrap();
        let (report, rejected) = taken(t, path.to_str().unwrap(), &[]);
        let trends = of_table(&report, "trends");
        assert_eq!((&trends["rows"], &trends["taken"], &trends["rejected"]), (&4.into(), &1.into(), &3.into()));
        let reasons: Vec<_> = rejected.iter().map(|row| text(&row["reason"])).collect();
        assert!(reasons[0].starts_with("platform: ") && reasons[1..].iter().all(|reason| reason.starts_with("id: is NULL")), "{reasons:?}");
        let row = &rows(t, "trends")["2"];
        assert_eq!((&row["hashtags"], &row["metadata"]["a"]), (&Value::Null, &1.into()));
    }

    fn a_rejects_file_that_cannot_be_written_stops_it(t) {
        let ran = t.run(&["takeover", &viralforge(), "--to", &t.url, "--rejects", "/dev/full"]);
        assert!(ran.code == 1 && ran.err.contains("/dev/full"), "{ran:?}");
        assert_eq!(t.ok(&["export", "jobs"]), "");
    }

    fn credentials_in_the_clear_are_sealed_or_left_out(t) {
        let path = t.file("old.db", "");
        let conn = rusqlite::Connection::open(&path).unwrap();
        conn.execute_batch(
            "CREATE TABLE channels (id TEXT, name TEXT, youtube_channel_id TEXT, youtube_channel_url TEXT, api_credentials_encrypted TEXT,
                 github_secret_key_encrypted TEXT, posting_schedule TEXT, content_filters TEXT, metadata_template TEXT);
             CREATE TABLE videos (id TEXT);
             CREATE TABLE system_configuration (key TEXT, value TEXT, encrypted INTEGER);
             INSERT INTO channels VALUES
                 ('0190b5a0-0000-7000-8000-000000000001', 'A', 'UC1', 'u', '{\"token\": \"planted 1\"}', 'planted 2', '{}', '{}', '{}'),
                 ('0190b5a0-0000-7000-8000-000000000002', 'B', 'UC2', 'u', 'gAAAAABtoken', NULL, '{}', '{}', '{}'),
                 ('0190b5a0-0000-7000-8000-000000000003', 'C', 'UC1', 'u', 'planted 3', NULL, '{}', '{}', '{}'),
                 ('0190b5a0-0000-7000-8000-000000000004', 'D', 'UC4', 'u', CAST(X'706c616e746564ff' AS TEXT), NULL, '{}', '{}', '{}'),
                 ('0190b5a0-0000-7000-8000-000000000005', 'E', 'UC5', 'u', NULL, NULL, NULL, '{}', '{}');
             ALTER TABLE channels ADD COLUMN refresh_token TEXT;
             UPDATE channels SET refresh_token = 'planted 5';
             INSERT INTO system_configuration VALUES ('a', 'plain', 0), ('b', 'planted 4', 1), ('c', 'gAAAAABtoken', 1)",
        )
        .unwrap();
        let source = path.to_str().unwrap();
        let (report, rejected) = taken(t, source, &[]);
        let channels = of_table(&report, "channels");
        assert_eq!((&channels["taken"], &channels["withheld"], &channels["sealed"]), (&3.into(), &2.into(), &0.into()));
        let named: Vec<_> = rejected.iter().map(|row| (text(&row["key"]), text(&row["reason"]))).collect();
        assert!(named[0].1.contains("youtube_channel_id: another row has \"UC1\" already"), "{named:?}");
        assert_eq!(named[1].1, "api_credentials_encrypted: is not text");
        assert!(named[2].0 == "b" && named[2].1.contains("VIRALDB_KEY"), "{named:?}");
        assert_eq!((&rejected[0]["row"]["api_credentials_encrypted"], &rejected[2]["row"]["value"]), (&"***".into(), &"***".into()));
        assert_eq!(rejected[0]["row"]["refresh_token"], "***");
        let stored = rows(t, "channels");
        assert_eq!(stored["0190b5a0-0000-7000-8000-000000000001"]["api_credentials_encrypted"], "");
        assert_eq!(stored["0190b5a0-0000-7000-8000-000000000002"]["api_credentials_encrypted"], "gAAAAABtoken");

        let unconnected = &stored["0190b5a0-0000-7000-8000-000000000005"];
        assert_eq!((&unconnected["api_credentials_encrypted"], &unconnected["posting_schedule"]), (&"".into(), &Value::Null));

        let other = t.another();
        let key = viraldb::secrets::Key::generate().unwrap().to_text();
        let ran: Ran = other.command(&["takeover", source, "--to", &other.url, "--format", "json"]).env("VIRALDB_KEY", key.reveal()).output().unwrap().into();
        let report: Value = serde_json::from_str(&ran.out).unwrap();
        assert_eq!(of_table(&report, "channels")["sealed"], 2);
        assert_eq!(of_table(&report, "system_configuration")["sealed"], 1);
        for (place, secret) in [
            (["--channel", "UC1", "--credentials"].as_slice(), "{\"token\": \"planted 1\"}"),
            (&["--setting", "b"], "planted 4"),
        ] {
            let args: Vec<&str> = ["secrets", "get"].iter().chain(place).chain(&["--reveal"]).copied().collect();
            let shown = Ran::revealed(other.command(&args).env("VIRALDB_KEY", key.reveal()).output().unwrap());
            assert_eq!(shown.out.trim_end(), secret, "{}", shown.err);
        }
    }
}
