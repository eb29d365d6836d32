//! The command `viraldb takeover`: its output, the databases it rejects and the data it does not take.

use serde_json::Value;

use super::{data_file, of_table, rows, take_over, text};
use crate::support::{Ran, both};

fn viralforge() -> String {
    data_file("viralforge.db").display().to_string()
}

both! {
    fn table_output_reports_taken_rejected_and_skipped_data(t) {
        let ran = t.run(&["takeover", &viralforge(), "--to", &t.url]);
        assert_eq!(ran.code, 0, "{ran:?}");
        let line = ran.out.lines().find(|line| line.starts_with("took ")).unwrap_or_default();
        assert!(line.contains(" rows of viralforge from ") && line.contains(" rejected, "), "{}", ran.out);
        let left = |what: &str| {
            let begin = format!("not imported, because viraldb has no such {what}: ");
            ran.out.lines().find_map(|line| line.strip_prefix(&*begin)).unwrap_or_default().split(", ").collect::<Vec<_>>()
        };
        assert!(left("tables").contains(&"trend_reports") && left("columns").contains(&"scripts.hook_text"), "{}", ran.out);
        assert!(!left("tables").iter().any(|name| name.contains('.')), "{}", ran.out);
        assert!(left("columns").iter().all(|name| name.contains('.')), "{}", ran.out);
        assert!(ran.err.lines().count() == 6 && ran.err.contains("more (keep rejected rows with --rejects FILE)"), "{}", ran.err);
        let numbered = t.db().write(|c| {
            Ok(viraldb::generation::NewJob::default().insert(c)?.id.0)
        }).unwrap();
        assert!(rows(t, "jobs").keys().all(|id| id.parse::<i64>().unwrap() <= numbered), "{numbered}");
    }

    fn repeated_takeover_reports_that_it_is_complete(t) {
        for source in ["viralforge.db", "channel_manager.db", "viral_channel.db"] {
            let to = t.another();
            let source = data_file(source).display().to_string();
            // A takeover that is killed after its commit printed no report, so a repeated run must report the same.
            let (first, rejected) = take_over(&to, &source, &[]);
            let channels = to.ok(&["export", "channels", "videos", "jobs", "trends", "--to", "before"]);
            let (again, rejected_again) = take_over(&to, &source, &[]);
            assert_eq!((&first["was_complete"], &again["was_complete"]), (&false.into(), &true.into()), "{source}");
            // The reasons may differ in wording, so compare only the keys of the rejected rows.
            let keys = |rejected: &[Value]| rejected.iter().map(|row| row["key"].clone()).collect::<Vec<_>>();
            assert_eq!((&first["tables"], keys(&rejected)), (&again["tables"], keys(&rejected_again)), "{source}");
            assert_eq!(to.ok(&["export", "channels", "videos", "jobs", "trends", "--to", "after"]), channels.replace("before", "after"));
            let ran = to.run(&["takeover", &source, "--to", &to.url]);
            assert!(ran.code == 0 && ran.out.contains("complete already; nothing was written"), "{ran:?}");
            let ran = to.run(&["takeover", &source, "--to", &to.url, "--dry-run"]);
            assert!(ran.code == 0 && ran.out.contains("complete already; nothing was written"), "{ran:?}");
        }
    }

    fn takeover_into_tables_with_other_rows_is_rejected(t) {
        take_over(t, &viralforge(), &[]);
        t.db().write(|c| crate::make::execute(c, "UPDATE jobs SET theme = 'another' WHERE id = (SELECT min(id) FROM jobs)")).unwrap();
        let before = t.ok(&["export", "trends"]);
        let ran = t.run(&["takeover", &viralforge(), "--to", &t.url]);
        assert!(ran.code == 1 && ran.err.contains("already has rows in jobs, trends, job_scripts, job_videos that are not those of the source; take over viralforge into a database where these tables are empty"), "{ran:?}");
        assert_eq!(t.ok(&["export", "trends"]), before);
        // Another application uses other tables.
        take_over(t, data_file("viral_channel.db").to_str().unwrap(), &[]);
    }

    fn settings_of_the_application_replace_the_defaults_of_init(t) {
        t.ok(&["init"]);
        let path = t.path("old");
        std::fs::copy(data_file("channel_manager.db"), &path).unwrap();
        let conn = rusqlite::Connection::open(&path).unwrap();
        let at = "2026-01-01 00:00:00";
        conn.execute("INSERT INTO system_configuration (key, value, encrypted, created_at, updated_at) VALUES ('max_clips', '7', 0, ?1, ?1)", [at]).unwrap();
        drop(conn);
        take_over(t, path.to_str().unwrap(), &[]);
        let settings = rows(t, "system_configuration");
        assert_eq!((&settings["max_clips"]["value"], &settings["min_clips"]["value"]), (&7.into(), &8.into()));
    }

    fn dry_run_reports_the_same_and_writes_nothing(t) {
        let source = viralforge();
        let (first, _) = take_over(t, &source, &["--dry-run"]);
        let missing = t.run(&["status"]);
        assert!(missing.code == 1 && missing.err.contains("viraldb init"), "{missing:?}");
        t.ok(&["init"]);
        let (dry, would) = take_over(t, &source, &["--dry-run"]);
        assert_eq!(dry["tables"], first["tables"]);
        assert_eq!(t.ok(&["export", "trends"]), "");
        let (done, did) = take_over(t, &source, &[]);
        assert_eq!((&dry["tables"], &would), (&done["tables"], &did));
    }

    fn strict_takeover_writes_all_rows_or_none(t) {
        let ran = t.run(&["takeover", &viralforge(), "--to", &t.url, "--strict", "--rejects", "bad.jsonl"]);
        assert!(ran.code == 1 && ran.err.contains("nothing was written; the first: jobs 30: created_at: is NULL"), "{ran:?}");
        assert!(std::fs::read_to_string(t.path("bad.jsonl")).unwrap().lines().count() > 20);
        assert_eq!(t.ok(&["export", "jobs"]), "");
    }

    fn database_of_an_unknown_application_is_rejected(t) {
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
        assert!(refused(path, &["--application", "viralforge"]).contains("has no tables of viralforge"));
        conn.execute_batch("CREATE TABLE trends (id INTEGER); CREATE TABLE clips (id INTEGER); CREATE TABLE pipeline_runs (id INTEGER)").unwrap();
        assert!(refused(path, &[]).contains("choose one of them with --application"));
        assert!(refused("none.db", &[]).contains("none.db: does not exist"));
        let no_database = t.file("text.db", "no database at all, but long enough to be one");
        assert!(refused(no_database.to_str().unwrap(), &[]).contains("is not a SQLite database"));
        let empty = t.file("empty.db", "");
        assert!(refused(empty.to_str().unwrap(), &[]).contains("it has no tables at all"));
        t.ok(&["init"]);
        assert!(refused(&t.url, &[]).contains("viraldb transfer"));
        let ran = t.run(&["takeover", path, "--to", &t.url, "--application", "viralforge", "--rejects", path]);
        assert!(ran.code == 1 && ran.err.contains("is an input or a file of the database; name another file"), "{ran:?}");
    }

    fn rejected_rows_do_not_count_as_duplicates(t) {
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
        let (report, rejected) = take_over(t, path.to_str().unwrap(), &[]);
        let trends = of_table(&report, "trends");
        assert_eq!((&trends["rows"], &trends["taken"], &trends["rejected"]), (&4.into(), &1.into(), &3.into()));
        let reasons: Vec<_> = rejected.iter().map(|row| text(&row["reason"])).collect();
        assert!(reasons[0].starts_with("platform: ") && reasons[1..].iter().all(|reason| reason.starts_with("id: is NULL")), "{reasons:?}");
        let row = &rows(t, "trends")["2"];
        assert_eq!((&row["hashtags"], &row["metadata"]["a"]), (&Value::Null, &1.into()));
    }

    fn unwritable_rejects_file_stops_the_takeover(t) {
        let ran = t.run(&["takeover", &viralforge(), "--to", &t.url, "--rejects", "/dev/full"]);
        assert!(ran.code == 1 && ran.err.contains("/dev/full"), "{ran:?}");
        assert_eq!(t.ok(&["export", "jobs"]), "");
    }

    fn plain_text_credentials_are_encrypted_or_withheld(t) {
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
        let (report, rejected) = take_over(t, source, &[]);
        let channels = of_table(&report, "channels");
        assert_eq!((&channels["taken"], &channels["withheld"], &channels["sealed"]), (&3.into(), &2.into(), &0.into()));
        let named: Vec<_> = rejected.iter().map(|row| (text(&row["key"]), text(&row["reason"]))).collect();
        assert!(named[0].1.contains("youtube_channel_id: another row already has \"UC1\""), "{named:?}");
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
