//! Tests of plaintext secrets in rows of `viraldb ingest`.

use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use super::*;
use crate::support::{Ran, Scratch, both};

const CHANNEL: &str = "0190b5a0-0000-7000-8000-00000000000a";

/// A channel row with plaintext credentials, with or without an id.
fn channel(id: Option<&str>, youtube_id: &str, credentials: &str, github_key: Option<&str>) -> Value {
    let mut row = json!({
        "name": "n", "youtube_channel_id": youtube_id, "youtube_channel_url": "u", "api_credentials_encrypted": credentials,
        "posting_schedule": {}, "content_filters": {}, "metadata_template": {},
    });
    if let Some(id) = id {
        row["id"] = id.into();
    }
    if let Some(github_key) = github_key {
        row["github_secret_key_encrypted"] = github_key.into();
    }
    row
}

/// Ingests rows through the command line and returns the report.
fn ingest(t: &Scratch, table: &str, key: Option<&str>, rows: &[Value]) -> Value {
    let lines: String = rows.iter().map(|row| format!("{row}\n")).collect();
    t.file("rows.jsonl", lines);
    // The rejects file contains the rows as given, so only its owner may read it.
    t.file("rejects.jsonl", "");
    let mut command = t.command(&[
        "ingest",
        "rows.jsonl",
        "--as",
        "jsonl",
        "--table",
        table,
        "--rejects",
        "rejects.jsonl",
        "--format",
        "json",
    ]);
    if let Some(key) = key {
        command.env("VIRALDB_KEY", key);
    }
    let ran: Ran = command.output().unwrap().into();
    let report =
        serde_json::from_str::<Value>(&ran.out).unwrap_or_else(|error| panic!("{error}: {ran:?}"))[0].take();
    assert_eq!(ran.code, if report["rejected"] == 0 { 0 } else { 3 }, "{ran:?}");
    assert_eq!(std::fs::metadata(t.path("rejects.jsonl")).unwrap().permissions().mode() & 0o777, 0o600);
    report
}

fn rejects(t: &Scratch) -> Vec<(u64, String)> {
    let lines = std::fs::read_to_string(t.path("rejects.jsonl")).unwrap();
    let rows = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.map(|row| (row["line"].as_u64().unwrap(), row["reason"].as_str().unwrap().to_owned())).collect()
}

fn counts(report: &Value) -> [u64; 4] {
    ["new", "updated", "unchanged", "rejected"].map(|count| report[count].as_u64().unwrap())
}

fn place(c: &mut viraldb::DbConnection, youtube_id: &str) -> Place {
    let id = make::query(
        c,
        &format!("SELECT CAST(id AS text) AS v FROM channels WHERE youtube_channel_id = '{youtube_id}'"),
    );
    Place::ChannelCredentials(id[0].parse().unwrap())
}

both! {
    fn plaintext_secrets_are_rejected_without_a_key(t) {
        t.db();
        let rows = [
            channel(Some(CHANNEL), "UC1", "planted 1", None),
            channel(None, "UC2", "", Some("planted 2")),
            channel(None, "UC3", "", None),
            channel(None, "UC4", "gAAAAtoken", None),
        ];
        let report = ingest(t, "channels", None, &rows);
        assert_eq!(counts(&report), [2, 0, 0, 2]);
        let said = rejects(t);
        assert_eq!((said[0].0, said[1].0), (1, 2), "{said:?}");
        assert!(said[0].1.starts_with("api_credentials_encrypted: is not encrypted; set VIRALDB_KEY"), "{said:?}");
        assert!(said[1].1.starts_with("github_secret_key_encrypted: is not encrypted"), "{said:?}");

        let rows = [
            json!({ "key": "token", "value": "planted 3", "encrypted": true }),
            json!({ "key": "open", "value": "plain", "encrypted": false }),
            json!({ "key": "document", "value": { "token": "planted 4" }, "encrypted": true }),
        ];
        let report = ingest(t, "system_configuration", None, &rows);
        assert_eq!(counts(&report), [1, 0, 0, 2]);
        assert!(rejects(t).iter().all(|(_, reason)| reason.starts_with("value: is not encrypted")), "{:?}", rejects(t));
        // A value that is not text is not quoted in the reason.
        let mut row = channel(None, "UC5", "", None);
        row["api_credentials_encrypted"] = json!({ "token": "planted 5" });
        ingest(t, "channels", None, &[row]);
        assert_eq!(rejects(t)[0].1, "api_credentials_encrypted: is not text");
    }

    fn plaintext_secrets_are_encrypted_with_the_key(t) {
        let db = t.db();
        let keyring = ring([&key()]);
        let text = keyring.first().unwrap().to_text();
        let rows = [
            channel(Some(CHANNEL), "UC1", "planted 1", Some("planted 2")),
            channel(None, "UC2", "planted 3", None),
            channel(None, "UC2", "planted 4", None),
            channel(None, "UC3", "", None),
        ];
        let report = ingest(t, "channels", Some(text.reveal()), &rows);
        assert_eq!(counts(&report), [3, 0, 0, 0]);
        let id = CHANNEL.parse().unwrap();
        assert_eq!(get(&db, &keyring, &Place::ChannelCredentials(id)).unwrap(), "planted 1");
        assert_eq!(get(&db, &keyring, &Place::ChannelGithubKey(id)).unwrap(), "planted 2");
        let second = db.read(|c| Ok(place(c, "UC2"))).unwrap();
        assert_eq!(get(&db, &keyring, &second).unwrap(), "planted 4", "the last line wins");
        assert_eq!(recorded(&db).len(), 1);

        // The same rows change nothing; different values update the row.
        assert_eq!(counts(&ingest(t, "channels", Some(text.reveal()), &rows[..1])), [0, 0, 1, 0]);
        assert_eq!(counts(&ingest(t, "channels", Some(text.reveal()), &rows[2..])), [0, 0, 2, 0]);
        let report = ingest(t, "channels", Some(text.reveal()), &[channel(None, "UC2", "planted 5", None)]);
        assert_eq!(counts(&report), [0, 1, 0, 0]);
        assert_eq!(get(&db, &keyring, &second).unwrap(), "planted 5");

        let rows = [json!({ "key": "token", "value": "planted 6", "encrypted": true }), json!({ "key": "open", "value": 7 })];
        assert_eq!(counts(&ingest(t, "system_configuration", Some(text.reveal()), &rows)), [2, 0, 0, 0]);
        assert_eq!(counts(&ingest(t, "system_configuration", Some(text.reveal()), &rows)), [0, 0, 2, 0]);
        assert_eq!(get(&db, &keyring, &Place::Setting("token".to_owned())).unwrap(), "planted 6");

        // A key that is not in use in this database encrypts nothing.
        let stranger = key().to_text();
        let report = ingest(t, "channels", Some(stranger.reveal()), &[channel(None, "UC9", "planted 7", None), channel(None, "UC8", "", None)]);
        assert_eq!(counts(&report), [1, 0, 0, 1]);
        assert!(rejects(t)[0].1.contains("needs key "), "{:?}", rejects(t));
    }

    fn exports_can_be_ingested_again_with_or_without_a_key(t) {
        let db = t.db();
        let keyring = ring([&key()]);
        let text = keyring.first().unwrap().to_text();
        ingest(t, "channels", Some(text.reveal()), &[channel(None, "UC1", "planted 1", Some("planted 2"))]);
        ingest(t, "system_configuration", Some(text.reveal()), &[json!({ "key": "token", "value": "planted 3", "encrypted": true })]);
        for table in ["channels", "system_configuration"] {
            let rows: Vec<Value> = t.ok(&["export", table]).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
            for key in [None, Some(text.reveal())] {
                assert_eq!(counts(&ingest(t, table, key, &rows)), [0, 0, rows.len() as u64, 0], "{table}");
            }
            let other = t.another();
            other.db();
            assert_eq!(counts(&ingest(&other, table, None, &rows)), [rows.len() as u64, 0, 0, 0], "{table}");
            assert_eq!(other.ok(&["export", table]), t.ok(&["export", table]));
        }
        let first = db.read(|c| Ok(place(c, "UC1"))).unwrap();
        assert_eq!(get(&db, &keyring, &first).unwrap(), "planted 1");
    }
}
