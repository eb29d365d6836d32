//! Each row is taken over, or rejected for the reason in expected.json.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{data_file, expected, of_table, rows, take_over, text};
use crate::support::{Scratch, both};

both! {
    fn viral_channel_sqlite_database_is_taken_over(t) {
        compare(t, "viral_channel.db", data_file("viral_channel.db").to_str().unwrap());
    }

    fn channel_manager_sqlite_database_is_taken_over(t) {
        compare(t, "channel_manager.db", data_file("channel_manager.db").to_str().unwrap());
    }

    fn viralforge_sqlite_database_is_taken_over(t) {
        compare(t, "viralforge.db", data_file("viralforge.db").to_str().unwrap());
    }
}

#[cfg(feature = "postgres")]
both! {
    fn channel_manager_postgres_database_is_taken_over(t) {
        from_postgres(t, "channel_manager.postgres.sql");
    }

    fn viralforge_postgres_database_is_taken_over(t) {
        from_postgres(t, "viralforge.postgres.sql");
    }

    fn postgres_types_are_converted(t) {
        let source = Scratch::postgres();
        execute(&source.url, r#"
            CREATE SCHEMA app; SET search_path = app;
            CREATE TYPE kind AS ENUM ('TIKTOK');
            CREATE TABLE trends (id smallint, platform kind, external_id varchar(9), hashtags text[], views numeric(12, 0),
                metadata_info json, collected_at timestamptz) PARTITION BY RANGE (id);
            CREATE TABLE trends_1 PARTITION OF trends FOR VALUES FROM (0) TO (100);
            INSERT INTO trends VALUES (7, 'TIKTOK', 'a', ARRAY['x "y"', NULL, 'ü'], 3000000000, '{"b": 1, "a": [null]}', '2026-03-01 12:00:00+02');
            CREATE TABLE channels (id bytea, name text, youtube_channel_id text, youtube_channel_url text, api_credentials_encrypted bytea,
                posting_schedule jsonb, content_filters text, metadata_template text, is_active smallint, created_at date);
        "#);
        execute(&source.url, r#"
            INSERT INTO app.channels VALUES ('\x0190b5a000007000800000000000000a', 'A', 'UC1', 'u', convert_to('gAAAA\n"é"', 'UTF8'),
                '{"n": 1}', '[1]', '{}', 1, '2026-03-01');
            CREATE TABLE app.videos (id uuid);
            INSERT INTO app.videos VALUES (NULL)"#);
        let named = format!("{}{}options=-csearch_path%3Dapp", source.url, if source.url.contains('?') { '&' } else { '?' });
        let unnamed = t.run(&["takeover", &source.url, "--to", &t.url]);
        assert!(unnamed.code == 1 && unnamed.err.contains("?schema=NAME"), "{unnamed:?}");
        let ran = t.run(&["takeover", &named, "--to", &t.url]);
        assert!(ran.code == 1 && ran.err.contains("choose one of them with --application"), "{ran:?}");
        let (report, _) = take_over(t, &named, &["--application", "viralforge"]);
        assert_eq!(report["rejected"], 1, "{report}"); // The rejected row is the empty video.
        take_over(t, &named, &["--application", "channel-manager"]);
        let trend = &rows(t, "trends")["7"];
        let expected = serde_json::json!({"id": 7, "platform": "tiktok", "external_id": "a", "hashtags": ["x \"y\"", null, "ü"],
            "views": 3_000_000_000_i64, "metadata": {"b": 1, "a": [null]}, "collected_at": "2026-03-01T10:00:00Z"});
        for (column, value) in expected.as_object().unwrap() {
            assert_eq!(&trend[column], value, "{column}");
        }
        let channel = &rows(t, "channels")["0190b5a0-0000-7000-8000-00000000000a"];
        assert_eq!(channel["api_credentials_encrypted"], "gAAAA\\n\"é\"");
        assert_eq!((&channel["is_active"], &channel["content_filters"][0], &channel["created_at"]), (&true.into(), &1.into(), &"2026-03-01T00:00:00Z".into()));
    }
}

#[cfg(feature = "postgres")]
fn execute(url: &str, statements: &str) {
    use viraldb::diesel::connection::{Connection, SimpleConnection};
    use viraldb::diesel::pg::PgConnection;

    PgConnection::establish(url).unwrap().batch_execute(statements).unwrap();
}

#[cfg(feature = "postgres")]
fn from_postgres(t: &Scratch, dump: &str) {
    let source = Scratch::postgres();
    execute(&source.url, &std::fs::read_to_string(data_file(dump)).unwrap());
    compare(t, dump, &source.url);
}

/// Takes over a database and compares the result with expected.json.
fn compare(t: &Scratch, name: &str, source: &str) {
    let (report, rejected) = take_over(t, source, &[]);
    let expected = &expected()[name];
    let mut bad = Vec::new();
    for (table, expected) in expected["tables"].as_object().unwrap() {
        let mut reasons: BTreeMap<String, &str> = BTreeMap::new();
        for row in rejected.iter().filter(|row| row["table"] == *table) {
            reasons.insert(text(&row["key"]), row["reason"].as_str().unwrap());
        }
        let rejects = expected["rejects"].as_array().unwrap();
        for reject in rejects {
            let (id, keyword) = (text(&reject["id"]), reject["reason"].as_str().unwrap());
            match reasons.remove(&id) {
                Some(reason) if expected_texts(keyword).iter().any(|part| reason.contains(part)) => {}
                other => bad.push(format!("{table} {id}: {keyword} is reported as {other:?}")),
            }
        }
        bad.extend(reasons.iter().map(|(id, reason)| format!("{table} {id} is rejected: {reason}")));
        let counted = of_table(&report, table);
        let (all, out) = (expected["rows"].as_u64().unwrap(), rejects.len() as u64);
        let counts = ["rows", "taken", "rejected"].map(|count| counted[count].as_u64().unwrap());
        if counts != [all, all - out, out] {
            bad.push(format!("{table}: {counts:?} of {all} rows, {out} rejected"));
        }
        let ours = rows(t, expected["into"].as_str().unwrap());
        assert_eq!(ours.len() as u64, counts[1], "{table}");
        for row in expected["becomes"].as_array().unwrap() {
            for (column, value) in row["values"].as_object().unwrap() {
                let id = row["values"].get("id").unwrap_or(&row["id"]);
                let found = ours.get(&text(id)).map_or(&Value::Null, |row| &row[column]);
                if found != value {
                    bad.push(format!("{table} {id}: {column} is {found}, not {value}"));
                }
            }
        }
    }
    assert!(bad.is_empty(), "{}", bad.join("\n"));
    let left: Vec<&str> = report["left"].as_array().unwrap().iter().map(|it| it.as_str().unwrap()).collect();
    for table in expected["not_ours"].as_array().unwrap() {
        assert!(left.contains(&table.as_str().unwrap()), "{table} of {left:?}");
    }
    assert_eq!(report["rejected"], rejected.len());
    // Doctor finds no problems afterwards.
    let doctor = t.run(&["doctor", "--deep", "--only", "integrity,foreign_keys,shapes,sequences"]);
    assert_eq!(doctor.code, 0, "{}{}", doctor.out, doctor.err);
}

/// Returns the texts of which one must be in the message for a rejected row with this reason.
fn expected_texts(keyword: &str) -> &'static [&'static str] {
    match keyword {
        "orphan" => &["does not exist or was rejected"],
        "duplicate" => &["another row already has", "already has a row with this key"],
        "word" => &["unknown value \"", "unknown status ", "processed"],
        "number" => &["bit whole number", "is not a number", "attempts_check", "attempts"],
        "boolean" => &["is not a boolean"],
        "time" => &["is not a timestamp"],
        "json" => &["is not JSON"],
        "uuid" => &["is not a UUID"],
        "null" => &["is NULL"],
        "nul" => &["NUL character"],
        "text" => &["is not UTF-8"],
        "order" => &["cycle_order"],
        "surrogate" => &["is not JSON"],
        _ => &[],
    }
}
