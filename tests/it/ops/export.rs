//! Exported rows can be ingested again without any change.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use serde_json::{Map, Value};
use viraldb::compilation::*;
use viraldb::ops::{Destination, Export, Form, export};
use viraldb::secrets::{self, Key, Keyring, Place};
use viraldb::{Database, ingest};

use super::{export_rows, number, sql};
use crate::make;
use crate::support::{Scratch, both};

fn export_of(table: &str) -> Export {
    Export { tables: vec![table.to_owned()], ..Default::default() }
}

fn text(db: &Database, how: &Export) -> String {
    let mut out = Vec::new();
    export(db, how, Destination::Stream(&mut out), &mut |_, _| ()).unwrap();
    String::from_utf8(out).unwrap()
}

fn lines(text: &str) -> Vec<Map<String, Value>> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn ingest_text(db: &Database, table: &str, text: &str) {
    let options =
        ingest::Options { format: Some(ingest::Format::Jsonl), table: Some(table), ..Default::default() };
    let report =
        ingest::ingest(db, table, text.as_bytes(), &options, &mut |row| panic!("{table}: {row:?}")).unwrap();
    assert_eq!(report.rejected, 0);
}

/// Ingests rows with difficult values into every table and returns them.
fn fill(db: &Database) -> Vec<(&'static str, Vec<Map<String, Value>>)> {
    let rows = export_rows::rows();
    for (table, rows) in &rows {
        let text: String = rows.iter().map(|row| serde_json::to_string(row).unwrap() + "\n").collect();
        ingest_text(db, table, &text);
    }
    rows
}

/// Returns the exported rows of every table.
fn all_rows(db: &Database) -> BTreeMap<String, Vec<Map<String, Value>>> {
    export_rows::rows()
        .iter()
        .map(|(table, _)| ((*table).to_owned(), lines(&text(db, &export_of(table)))))
        .collect()
}

fn key(row: &Map<String, Value>) -> &Value {
    row.get("id").unwrap_or_else(|| &row["key"])
}

fn insert_analytics(db: &Database, count: usize) {
    let rows: Vec<_> =
        (0..count).map(|n| NewAnalytics { view_count: Some(n as i64), ..make::analytics() }).collect();
    db.write(|c| NewAnalytics::insert_many(c, &rows)).unwrap();
}

/// Runs a command and returns its peak memory in KiB.
pub(super) fn peak_memory(t: &Scratch, args: &[&str]) -> u64 {
    let mut child = t.command(args).stdout(Stdio::null()).spawn().unwrap();
    let mut peak = 0;
    loop {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(peak);
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success());
            return peak;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

both! {
    fn null_json_documents_survive_export_and_ingest(t) {
        t.db().write(|c| make::execute(
            c,
            "INSERT INTO transformation_presets (id, name, parameters) VALUES ('0190b5a0-0000-7000-8000-000000000001', 'a', 'null');
             INSERT INTO channels (id, name, youtube_channel_id, youtube_channel_url, api_credentials_encrypted, posting_schedule,
                 content_filters, metadata_template) VALUES ('0190b5a0-0000-7000-8000-000000000002', 'a', 'UC1', 'u', '', 'null', 'null', 'null');
             INSERT INTO job_scripts (video_prompt, scenes, hashtags) VALUES ('p', 'null', NULL);
             INSERT INTO system_configuration (key, value) VALUES ('k', 'null')",
        )).unwrap();
        let other = t.another();
        other.db();
        for table in ["transformation_presets", "channels", "job_scripts", "system_configuration"] {
            let rows = t.ok(&["export", table]);
            let file = t.file(&format!("{table}.jsonl"), &rows);
            for new in [1, 0] {
                let report = other.ok(&["ingest", file.to_str().unwrap(), "--as", "jsonl", "--table", table, "--format", "json"]);
                let report: serde_json::Value = serde_json::from_str(&report).unwrap();
                assert_eq!((&report[0]["new"], &report[0]["unchanged"]), (&new.into(), &(1 - new).into()), "{table} {report}");
            }
            assert_eq!(other.ok(&["export", table]), rows);
        }
    }
}

both! {
    fn every_column_of_every_table_is_exported_unchanged(t) {
        let db = t.db();
        for (table, rows) in fill(&db) {
            let found = lines(&text(&db, &export_of(table)));
            assert_eq!(found.len(), rows.len(), "{table}");
            for row in &rows {
                let found = found.iter().find(|found| key(found) == key(row)).unwrap();
                for (column, value) in row.iter().filter(|(column, _)| !matches!(&***column, "cycle_start" | "cycle_end") || row.len() > 6) {
                    assert_eq!(&found[column], value, "{table}.{column}");
                }
            }
        }
    }

    fn every_table_survives_export_and_ingest(t) {
        let db = t.db();
        fill(&db);
        let out = t.path("out");
        t.ok(&["export", "--all", "--to", "out"]);
        assert_eq!(names(&out).len(), 22);
        let other = t.another();
        let again = other.db();
        for (table, _) in export_rows::rows() {
            let file = out.join(format!("{table}.jsonl"));
            other.ok(&["ingest", file.to_str().unwrap(), "--as", "jsonl", "--table", table]);
            assert_eq!(text(&again, &export_of(table)), std::fs::read_to_string(&file).unwrap(), "{table}");
        }
        assert_eq!(all_rows(&again), all_rows(&db));
    }

    fn floats_survive_export_and_ingest_exactly(t) {
        let (db, other) = (t.db(), t.another());
        let other = other.db();
        let mut floats = vec![0.1, 1.0 / 3.0, f64::MAX, f64::MIN_POSITIVE, 5e-324, 2.5e-310, 123_456_789.123_456_79, 1e22, 9.5e15];
        while floats.len() < 500 {
            let float = f64::from_bits(fastrand::u64(..));
            if float.is_finite() { floats.push(float); }
        }
        let rows: Vec<_> = floats.iter().map(|float| NewAnalytics { estimated_revenue_usd: Some(*float), ..make::analytics() }).collect();
        db.write(|c| NewAnalytics::insert_many(c, &rows)).unwrap();
        let first = text(&db, &export_of("analytics"));
        for (line, float) in lines(&first).iter().zip(&floats) {
            assert_eq!(line["estimated_revenue_usd"].as_f64().unwrap().to_bits(), float.to_bits());
        }
        ingest_text(&other, "analytics", &first);
        let differing: Vec<_> = first.lines().zip(text(&other, &export_of("analytics")).lines()).filter(|(a, b)| a != b).map(|(a, b)| format!("{a}\n{b}")).collect();
        assert!(differing.is_empty(), "{} of {}: {:#?}", differing.len(), floats.len(), &differing[..2]);
    }

    fn csv_has_a_header_and_the_same_values(t) {
        let db = t.db();
        fill(&db);
        for (table, rows) in export_rows::rows() {
            let csv = text(&db, &Export { form: Form::Csv, ..export_of(table) });
            let mut reader = csv::Reader::from_reader(csv.as_bytes());
            let header: Vec<String> = reader.headers().unwrap().iter().map(str::to_owned).collect();
            let found = lines(&text(&db, &export_of(table)));
            assert_eq!(header, found[0].keys().cloned().collect::<Vec<_>>(), "{table}");
            let records: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
            assert_eq!(records.len(), rows.len());
            for (record, row) in records.iter().zip(&found) {
                for (cell, value) in record.iter().zip(row.values()) {
                    match value {
                        Value::Null => assert_eq!(cell, ""),
                        Value::String(text) => assert_eq!(cell, text),
                        other => assert_eq!(&serde_json::from_str::<Value>(cell).unwrap(), other),
                    }
                }
            }
        }
        let empty = t.another();
        let header = text(&empty.db(), &Export { form: Form::Csv, ..export_of("clips") });
        assert!(header.starts_with("id,pipeline_run_id,") && header.lines().count() == 1, "{header}");
    }

    fn since_and_until_filter_by_the_timestamp_of_a_row(t) {
        let db = t.db();
        let at = |text: &str| NewErrorLog { occurred_at: Some(text.parse().unwrap()), ..make::error() };
        db.write(|c| NewErrorLog::insert_many(c, &[at("2026-03-01"), at("2026-03-01T00:00:00.000001Z"), at("2026-02-28T23:59:59.999999Z")])).unwrap();
        // Other programs write timestamps with fewer digits.
        sql(&db, "INSERT INTO error_log (module, error_type, error_message, occurred_at) VALUES ('a', 'b', 'c', '2026-03-01 00:00:00')");
        let ids = |how: &Export| lines(&text(&db, how)).iter().map(|row| row["id"].as_i64().unwrap()).collect::<Vec<_>>();
        let since = |text: &str, table: &str| Export { since: Some(text.parse().unwrap()), ..export_of(table) };
        assert_eq!(ids(&since("2026-03-01", "error_log")), [1, 2, 4]);
        assert_eq!(ids(&since("2026-03-01T01:00:00.000001+01:00", "error_log")), [2]);
        let until = |text: &str, table: &str| Export { until: Some(text.parse().unwrap()), ..export_of(table) };
        assert_eq!(ids(&until("2026-03-01", "error_log")), [3]);
        assert_eq!(ids(&until("2026-03-01T00:00:00.000001Z", "error_log")), [1, 3, 4]);
        assert_eq!(ids(&Export { since: since("2026-03-01", "").since, ..until("2026-03-01T00:00:00.000001Z", "error_log") }), [1, 4]);
        assert_eq!(t.ok(&["export", "error_log", "--since", "2026-03-01T00:00:00.000001Z"]).lines().count(), 1);
        assert_eq!(t.ok(&["export", "error_log", "--until", "2026-03-01"]).lines().count(), 1);
        // A row without `updated_at` is filtered by `created_at`.
        sql(&db, "INSERT INTO jobs (created_at, updated_at) VALUES ('2026-01-01 00:00:00', '2026-03-02 00:00:00'), ('2026-03-02 00:00:00', NULL), ('2026-01-01 00:00:00', NULL)");
        assert_eq!(ids(&since("2026-03-01", "jobs")), [1, 2]);
        assert_eq!(ids(&until("2026-03-01", "jobs")), [3]);
        for (table, _) in export_rows::rows() {
            let found = export(&db, &since("2026-03-01", table), Destination::Stream(&mut Vec::new()), &mut |_, _| ());
            assert_eq!(found.is_err(), ["clips", "shorts"].contains(&table), "{table}: {found:?}");
        }
        for limit in ["--since", "--until"] {
            let ran = t.run(&["export", "clips", limit, "2026-03-01"]);
            assert_eq!((ran.code, &*ran.out), (1, ""));
            assert!(ran.err.contains("clips cannot be limited to a period"), "{}", ran.err);
        }
    }

    fn tables_are_written_to_the_given_destination(t) {
        t.ok(&["init", "--sample"]);
        let videos = t.ok(&["export", "discovered_videos"]);
        assert_eq!(videos.lines().count(), 60);
        let said: Value = serde_json::from_str(&t.ok(&["export", "discovered_videos", "--to", "videos.jsonl", "--format", "json"])).unwrap();
        assert_eq!((&said[0]["table"], &said[0]["rows"], &said[0]["file"]), (&"discovered_videos".into(), &60.into(), &"videos.jsonl".into()));
        assert_eq!(std::fs::read_to_string(t.path("videos.jsonl")).unwrap(), videos);
        t.ok(&["export", "analytics", "discovered_videos", "--to", "two/below", "--as", "csv"]);
        assert_eq!(names(&t.path("two/below")), ["analytics.csv", "discovered_videos.csv"]);
        t.ok(&["export", "analytics", "--to", "two"]);
        assert_eq!(names(&t.path("two")), ["analytics.jsonl", "below"]);
        // An existing file is replaced.
        std::fs::write(t.path("videos.jsonl"), "old").unwrap();
        assert_eq!(t.ok(&["export", "discovered_videos", "--to", "videos.jsonl", "-q"]), "");
        assert_eq!(std::fs::read_to_string(t.path("videos.jsonl")).unwrap(), videos);
        for (args, why) in [
            (&["export", "nothing"][..], "unknown table \"nothing\"; expected discovered_videos, "),
            (&["export", "clips", "shorts"], "need a folder"),
            (&["export", "--all"], "need a folder"),
            (&["export", "clips", "--to", "/dev/null"], "is not a regular file"),
            (&["export", "clips", "--to", "no/such/folder.jsonl"], "no such file"),
        ] {
            let ran = t.run(args);
            assert_eq!((ran.code, &*ran.out), (1, ""), "{args:?}");
            assert!(ran.err.contains(why), "{args:?}: {}", ran.err);
        }
        if !t.is_postgres {
            for own in ["viral.db", "./viral.db-wal", "viral.db-shm"] {
                assert!(t.run(&["export", "clips", "--to", own]).err.contains("a file of the database itself"));
            }
            t.ok(&["status"]);
        }
        assert_eq!(t.run(&["export"]).code, 2);
        let left = names(t.dir.path());
        assert!(!left.iter().any(|name| name.ends_with(".tmp")), "{left:?}");
        // `--format` also applies to rows on stdout.
        let as_csv = t.ok(&["export", "music", "--as", "csv"]);
        assert_eq!(t.ok(&["export", "music", "--format", "csv"]), as_csv);
        assert_eq!(t.ok(&["export", "music", "--format", "jsonl"]), t.ok(&["export", "music"]));
        let ran = t.run(&["export", "music", "--format", "json"]);
        assert!(ran.code == 1 && ran.err.contains("use --format jsonl or csv"), "{}", ran.err);
    }

    fn closed_pipe_ends_an_export_quietly(t) {
        insert_analytics(&t.db(), 20_000);
        let mut child = t.command(&["export", "analytics"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let done = child.wait_with_output().unwrap();
        assert_eq!((done.status.code(), String::from_utf8(done.stderr).unwrap().as_str()), (Some(0), ""));
    }

    /// These documents would lose digits or could not be ingested again.
    fn documents_that_cannot_be_exported_exactly_are_rejected(t) {
        let db = t.db();
        let deep = "[".repeat(200) + &"]".repeat(200);
        for (document, says) in [
            ("[123456789012345678901234567890]", "contains a number with more digits than 64 bits can store"),
            ("{\"a\": 1e400}", "contains a number that is too large for 64 bits"),
            (&*deep, "is nested deeper than 127 levels"),
        ] {
            super::sql(&db, &format!("INSERT INTO jobs (id, metadata) VALUES (7, '{document}')"));
            for args in [&["export", "jobs"][..], &["export", "--all", "--to", "out"]] {
                let ran = t.run(args);
                assert_eq!((ran.code, &*ran.out), (1, ""), "{args:?}");
                assert!(ran.err.contains("jobs.metadata in row 7 ") && ran.err.contains(says), "{}", ran.err);
            }
            super::sql(&db, "DELETE FROM jobs");
        }
        super::sql(&db, "INSERT INTO jobs (id, metadata) VALUES (7, '[12345678901234567, 0.1, \"123456789012345678901234567890\"]')");
        assert!(t.ok(&["export", "jobs"]).contains("[12345678901234567,0.1,\"123456789012345678901234567890\"]"));
    }

    fn only_encrypted_secrets_are_exported(t) {
        let db = t.db();
        let keyring = Keyring::new([Key::generate().unwrap()]);
        let channel = db.write(|c| Ok(make::channel_id(c))).unwrap();
        let places = [Place::ChannelCredentials(channel), Place::ChannelGithubKey(channel), Place::Setting("a".to_owned())];
        let secret = |place: &Place| db.read(|c| secrets::get(c, &keyring, place)).unwrap().reveal().to_owned();
        db.write(|c| places.iter().try_for_each(|place| secrets::set(c, &keyring, place, &"planted".to_owned().into()).map(drop))).unwrap();
        let another = t.another();
        let other = another.db();
        for table in ["transformation_presets", "channels", "system_configuration"] {
            let rows = text(&db, &export_of(table));
            assert!(!rows.contains("planted"), "{rows}");
            ingest_text(&other, table, &rows);
        }
        for place in &places {
            assert_eq!(secret(place), "planted");
            assert_eq!(other.read(|c| secrets::get(c, &keyring, place)).unwrap().reveal(), "planted");
        }
        for (statement, table, column) in [
            ("UPDATE channels SET github_secret_key_encrypted = 'hunter2'", "channels", "github_secret_key_encrypted"),
            ("UPDATE system_configuration SET value = '\"hunter2\"' WHERE key = 'a'", "system_configuration", "value"),
        ] {
            sql(&db, statement);
            let ran = t.run(&["export", table, "--to", "rows.jsonl"]);
            assert_eq!(ran.code, 1, "{}", ran.out);
            assert!(ran.err.contains(&format!("{table}.{column} of ")) && ran.err.contains("not exported in the clear") && !ran.err.contains("hunter2"), "{}", ran.err);
            assert!(!names(t.dir.path()).iter().any(|name| name.contains("rows") || name.ends_with(".tmp")));
        }
    }

    fn all_tables_come_from_one_snapshot(t) {
        let db = t.db();
        insert_analytics(&db, 3);
        let how = Export { tables: vec!["analytics".to_owned(), "error_log".to_owned()], ..export_of("") };
        let mut written = false;
        let done = export(&db, &how, Destination::Folder(t.path("out")), &mut |table, _| {
            if table == "analytics" {
                written = true;
                t.db().write(|c| make::error().insert(c)).unwrap();
            }
        })
        .unwrap();
        assert_eq!((written, done[0].rows, done[1].rows), (true, 3, 0));
        assert_eq!(number(&db, "SELECT CAST(count(*) AS text) AS v FROM error_log"), 1);
    }

    fn killed_export_leaves_no_partial_file(t) {
        insert_analytics(&t.db(), 3_000);
        let file = t.path("rows.jsonl");
        let start = || t.command(&["export", "analytics", "--to", "rows.jsonl"]).stdout(Stdio::null()).spawn().unwrap();
        let begin = Instant::now();
        assert!(start().wait().unwrap().success());
        let (whole, expected) = (begin.elapsed(), std::fs::read(&file).unwrap());
        let (mut killed, mut none) = (0, 0);
        while killed < 40 {
            let is_there = killed % 2 == 0;
            if is_there { std::fs::write(&file, "before").unwrap() } else { drop(std::fs::remove_file(&file)) }
            let mut child = start();
            std::thread::sleep(whole.mul_f64(fastrand::f64()));
            child.kill().unwrap();
            killed += usize::from(child.wait().unwrap().code().is_none());
            match std::fs::read(&file) {
                Ok(found) => assert!(found == expected || is_there && found == b"before"),
                Err(_) => none += usize::from(!is_there),
            }
        }
        assert!(none > 0);
    }

    fn export_memory_does_not_grow_with_the_rows(t) {
        let db = t.db();
        insert_analytics(&db, 2_000);
        let few = peak_memory(t, &["export", "analytics"]);
        insert_analytics(&db, 40_000);
        let more = peak_memory(t, &["export", "analytics"]);
        assert!(few > 1_000 && more < few + 8 * 1024, "{few} KiB and {more} KiB");
    }
}

#[cfg(all(feature = "sqlite", feature = "postgres"))]
#[test]
fn rows_can_be_moved_between_engines() {
    let (sqlite, postgres) = (Scratch::sqlite(), Scratch::postgres());
    for (from, to) in [(&sqlite, &postgres), (&postgres.another(), &sqlite.another())] {
        let (from, to) = (from.db(), to.db());
        fill(&from);
        for (table, _) in export_rows::rows() {
            ingest_text(&to, table, &text(&from, &export_of(table)));
        }
        assert_eq!(all_rows(&to), all_rows(&from));
    }
}
