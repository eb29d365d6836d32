//! Each row is taken, or rejected for the reason that expected.json names.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{expected, made, of_table, rows, taken, text};
use crate::support::{Scratch, both};

both! {
    fn a_viral_channel_database_is_taken_over(t) {
        compare(t, "viral_channel.db", made("viral_channel.db").to_str().unwrap());
    }

    fn a_channel_manager_database_is_taken_over(t) {
        compare(t, "channel_manager.db", made("channel_manager.db").to_str().unwrap());
    }

    fn a_viralforge_database_is_taken_over(t) {
        compare(t, "viralforge.db", made("viralforge.db").to_str().unwrap());
    }
}

#[cfg(feature = "postgres")]
both! {
    fn a_channel_manager_database_of_postgres_is_taken_over(t) {
        from_postgres(t, "channel_manager.postgres.sql");
    }

    fn a_viralforge_database_of_postgres_is_taken_over(t) {
        from_postgres(t, "viralforge.postgres.sql");
    }

    fn types_of_postgres_come_as_they_are_meant(t) {
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
        assert!(ran.code == 1 && ran.err.contains("say which to take with --application"), "{ran:?}");
        let (report, _) = taken(t, &named, &["--application", "viralforge"]);
        assert_eq!(report["rejected"], 1, "{report}"); // a video without anything
        taken(t, &named, &["--application", "channel-manager"]);
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
    execute(&source.url, &std::fs::read_to_string(made(dump)).unwrap());
    compare(t, dump, &source.url);
}

/// Takes a database over and compares all of it with what is expected.
fn compare(t: &Scratch, name: &str, source: &str) {
    let (report, rejected) = taken(t, source, &[]);
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
                Some(reason) if says(keyword).iter().any(|part| reason.contains(part)) => {}
                other => bad.push(format!("{table} {id}: {keyword} is told as {other:?}")),
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
    // Nothing of it troubles who looks after the database.
    let doctor = t.run(&["doctor", "--deep", "--only", "integrity,foreign_keys,shapes,sequences"]);
    assert_eq!(doctor.code, 0, "{}{}", doctor.out, doctor.err);
}

/// What is said, in one of these forms, of a row that is rejected for a reason.
fn says(keyword: &str) -> &'static [&'static str] {
    match keyword {
        "orphan" => &["is not there, or was rejected"],
        "duplicate" => &["another row has", "already has such a row"],
        "word" => &["is none of", "processed"],
        "number" => &["is no whole number", "is no number", "attempts_check", "attempts"],
        "boolean" => &["is neither true nor false"],
        "time" => &["is no time"],
        "json" => &["is no JSON"],
        "uuid" => &["is no UUID"],
        "null" => &["is NULL"],
        "nul" => &["NUL character"],
        "text" => &["is not UTF-8"],
        "order" => &["cycle_order"],
        "surrogate" => &["is no JSON"],
        _ => &[],
    }
}
