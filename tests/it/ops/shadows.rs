//! Functions and operators in `public` that shadow PostgreSQL's own.
//!
//! A role that may create functions in `public` must not get an administrator to call them. `shadows.sql` plants one for
//! each function name in viraldb's SQL and for the operators, with argument types that PostgreSQL prefers. Each raises an
//! error when it is called.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;
use viraldb::diesel::{Connection, PgConnection};

use super::*;
use crate::support::Scratch;

/// Returns all names in viraldb's source that are followed by a parenthesis.
fn called_names() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut folders = vec![root.join("src"), root.join("migrations/postgres")];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            for (end, _) in text.match_indices('(') {
                let is_part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
                let name = text[..end].rsplit(|c| !is_part(c)).next().unwrap();
                names.insert(name.to_owned());
            }
        }
    }
    names.remove("");
    names
}

fn plant_functions(t: &Scratch) {
    let names: Vec<String> = called_names().into_iter().collect();
    let mut conn = PgConnection::establish(&t.url).unwrap();
    conn.batch_execute(&format!("SET shadows.names = '{}'", names.join(","))).unwrap();
    conn.batch_execute(include_str!("../support/shadows.sql")).unwrap();
}

/// Runs a command on the planted database, requires that it succeeds, and returns its stdout.
fn run(t: &Scratch, args: &[&str]) -> String {
    let keys = t.path("keys").display().to_string();
    let ran: crate::support::Ran = t.command(args).env("VIRALDB_KEY_FILE", keys).output().unwrap().into();
    // One of the files ends within a row, so this row is rejected.
    let code = if args[0] == "ingest" && ran.out.contains(", 1 rejected") { 3 } else { 0 };
    assert_eq!(ran.code, code, "{args:?}: {}{}", ran.out, ran.err);
    assert!(!ran.out.contains("could not be checked"), "{args:?}: {}", ran.out);
    ran.out
}

fn json(t: &Scratch, args: &[&str]) -> Value {
    let all: Vec<&str> = args.iter().copied().chain(["--format", "json"]).collect();
    serde_json::from_str(&run(t, &all)).unwrap()
}

#[test]
fn no_command_calls_a_planted_function() {
    let t = Scratch::postgres();
    let keys = t.path("keys").display().to_string();
    t.ok(&["secrets", "keygen", "--out", &keys]);
    t.ok(&["init", "--sample"]);
    plant_functions(&t);
    let raised =
        PgConnection::establish(&t.url).unwrap().batch_execute("SELECT format('%s', now()::text)").is_err();
    assert!(raised, "an unqualified name must find a planted function");

    run(&t, &["init"]);
    run(&t, &["migrate", "status"]);
    run(&t, &["migrate", "check"]);
    run(&t, &["status", "--sizes"]);
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/takeover/viralforge.db");
    run(&t, &["takeover", source.to_str().unwrap(), "--to", &t.url]);
    ingest_commands(&t);
    compilation_commands(&t);
    republishing_commands(&t);
    settings_commands(&t);
    operations_commands(&t);
}

#[test]
fn estimates_call_no_planted_function() {
    let t = Scratch::postgres();
    let db = t.db();
    // The blocks of the first table have different numbers of rows, so viraldb takes both samples of it.
    sql(
        &db,
        "INSERT INTO analytics (youtube_video_id)
             SELECT repeat('x', CASE WHEN n < 60000 THEN 1 ELSE 200 END) FROM generate_series(1, 70000) AS numbers (n);
         INSERT INTO discovered_videos (video_id, title, channel_name, channel_id, url, niche)
             SELECT 'v' || n, 't', 'c', 'UC1', 'https://youtu.be/v' || n, CASE WHEN n % 100 = 0 THEN 'rare' ELSE 'gaming' END
             FROM generate_series(1, 60000) AS numbers (n);
         INSERT INTO error_log (module, error_type, error_message)
             SELECT 'm', 'T', 'e' FROM generate_series(1, 60000) AS numbers (n)",
    );
    plant_functions(&t);
    let status = json(&t, &["status"]);
    assert_eq!(status["estimates"], serde_json::json!(["pending_videos.gaming", "unresolved_errors"]));
}

#[test]
fn migrations_depend_on_no_planted_function() {
    let t = Scratch::postgres();
    plant_functions(&t);
    t.ok(&["init", "--sample"]);
    let mut conn = PgConnection::establish(&t.url).unwrap();
    conn.batch_execute("SET search_path = pg_catalog").unwrap();
    #[derive(viraldb::diesel::QueryableByName)]
    struct Row {
        #[diesel(sql_type = viraldb::diesel::sql_types::Text)]
        v: String,
    }
    let dependent = "SELECT pg_describe_object(classid, objid, objsubid) AS v FROM pg_depend \
        WHERE classid NOT IN ('pg_proc'::regclass, 'pg_operator'::regclass, 'pg_trigger'::regclass) AND ( \
            refclassid = 'pg_proc'::regclass AND refobjid IN (SELECT oid FROM pg_proc WHERE pronamespace = 'public'::regnamespace) \
            OR refclassid = 'pg_operator'::regclass AND refobjid IN \
                (SELECT oid FROM pg_operator WHERE oprnamespace = 'public'::regnamespace))";
    let found: Vec<Row> =
        viraldb::diesel::RunQueryDsl::load(viraldb::diesel::sql_query(dependent), &mut conn).unwrap();
    let found: Vec<String> = found.into_iter().map(|row| row.v).collect();
    assert!(found.is_empty(), "{found:#?}");
}

fn ingest_commands(t: &Scratch) {
    let csv = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/us_youtube_trending_cut_off.csv");
    run(t, &["ingest", csv.to_str().unwrap()]);
    run(t, &["ingest", csv.to_str().unwrap()]);
    insert_into_every_table(t);
    run(t, &["export", "--all", "--to", "rows"]);
    for table in make::contract() {
        let file = format!("rows/{}.jsonl", table.table);
        run(t, &["ingest", &file, "--as", "jsonl", "--table", table.table]);
    }
    let new = t.file("jobs.jsonl", "{\"theme\":\"a\"}\n{\"theme\":\"b\",\"metadata\":{\"a\":1}}\n");
    run(t, &["ingest", new.to_str().unwrap(), "--as", "jsonl", "--table", "jobs"]);
    let trend = json(t, &["trends", "add", "tiktok", "t1"])["id"].to_string();
    run(t, &["trends", "edit", &trend, "--title", "x"]);
    run(t, &["trends", "show", &trend]);
    run(t, &["trends", "list"]);
    run(t, &["trends", "remove", &trend]);
}

/// Inserts a row into every table, by statements that the planted functions do not affect.
fn insert_into_every_table(t: &Scratch) {
    let db = t.db();
    db.write(make::seed).unwrap();
    db.write(make::link).unwrap();
    sql(&db, "UPDATE channels SET api_credentials_encrypted = '', github_secret_key_encrypted = NULL");
}

fn compilation_commands(t: &Scratch) {
    for args in [
        &["videos", "list", "--limit", "3"] as &[&str],
        &["videos", "pending", "gaming"],
        &["videos", "list", "--niche", "music"],
    ] {
        run(t, args);
    }
    let video =
        json(t, &["videos", "list", "--status", "pending"])[0]["video_id"].as_str().unwrap().to_owned();
    run(t, &["videos", "mark", &video, "used"]);
    let started = json(t, &["runs", "start", "gaming"]);
    let id = started["id"].to_string();
    run(t, &["runs", "choose", &id]);
    run(t, &["runs", "show", &id]);
    run(t, &["runs", "move", &id, "running"]);
    run(t, &["runs", "move", &id, "review"]);
    let review = json(t, &["reviews", "send", &id])["id"].to_string();
    run(t, &["reviews", "list"]);
    run(t, &["reviews", "hold"]);
    run(t, &["reviews", "answer", &review, "approve"]);
    run(t, &["runs", "list"]);
    run(t, &["errors", "log", "--module", "m", "--type", "t", "message"]);
    run(t, &["errors", "list"]);
    run(t, &["errors", "resolve", "--module", "m"]);
}

fn republishing_commands(t: &Scratch) {
    let preset = json(t, &["presets", "add", "p"])["id"].as_str().unwrap().to_owned();
    let channel = json(t, &["channels", "add", "c", "UCshadow", "--preset", &preset])["id"]
        .as_str()
        .unwrap()
        .to_owned();
    run(t, &["channels", "edit", &channel, "--active"]);
    run(t, &["channels", "show", &channel]);
    for list in ["channels", "presets", "music"] {
        run(t, &[list, "list"]);
    }
    run(t, &["presets", "edit", &preset, "--description", "d", "--default"]);
    run(t, &["presets", "show", &preset]);
    let track = json(t, &["music", "add", "m"])["id"].as_str().unwrap().to_owned();
    run(t, &["music", "edit", &track, "--artist", "a"]);
    run(t, &["music", "show", &track]);
    run(t, &["music", "remove", &track]);
    let db = t.db();
    let video = db.write(|c| make::video(c).insert(c)).unwrap().id.to_string();
    for kind in ["download", "transform", "publish", "scrape"] {
        run(t, &["jobs", "enqueue", kind, "--video", &video, "--unique-key", kind]);
    }
    let claimed = json(
        t,
        &[
            "jobs",
            "claim",
            "--worker",
            "w",
            "--limit",
            "4",
            "--type",
            "download",
            "--type",
            "transform",
            "--type",
            "publish",
            "--type",
            "scrape",
        ],
    );
    let job = |n: usize| {
        (
            claimed[n]["id"].as_str().unwrap().to_owned(),
            claimed[n]["lease_token"].as_str().unwrap().to_owned(),
        )
    };
    let ((a, ta), (b, tb), (c, tc), (d, td)) = (job(0), job(1), job(2), job(3));
    run(t, &["jobs", "heartbeat", &a, "--token", &ta]);
    run(t, &["jobs", "complete", &a, "--token", &ta]);
    run(t, &["jobs", "fail", &b, "--token", &tb, "--error", "e"]);
    run(t, &["jobs", "release", &c, "--token", &tc]);
    run(t, &["jobs", "cancel", &c]);
    run(t, &["jobs", "retry", &c]);
    run(t, &["jobs", "complete", &d, "--token", &td]);
    run(t, &["jobs", "claim", "--worker", "w"]);
    run(t, &["jobs", "rescue"]);
    run(t, &["jobs", "list"]);
    run(t, &["jobs", "stats"]);
    run(t, &["jobs", "prune", "--older-than", "0s"]);
    run(t, &["channels", "remove", &channel]);
    run(t, &["presets", "remove", &preset]);
}

fn settings_commands(t: &Scratch) {
    run(t, &["config", "set", "max_clips", "7"]);
    run(t, &["config", "set", "max_clips", "8", "--override"]);
    run(t, &["config", "history", "max_clips"]);
    run(t, &["config", "unset", "max_clips", "--override"]);
    run(t, &["config", "list"]);
    run(t, &["config", "explain", "max_clips"]);
    let exported = run(t, &["config", "export"]);
    let file = t.file("settings.toml", exported);
    run(t, &["config", "import", file.to_str().unwrap()]);
    sql(&t.db(), "UPDATE channels SET api_credentials_encrypted = ''");
    let secret = t.file("secret", "a secret");
    run(t, &["secrets", "set", "--setting", "youtube_api_key", "--from-file", secret.to_str().unwrap()]);
    run(t, &["secrets", "status"]);
    run(t, &["secrets", "rotate"]);
    run(t, &["secrets", "verify"]);
    run(t, &["secrets", "get", "--setting", "youtube_api_key"]);
    run(t, &["secrets", "clear", "--setting", "youtube_api_key"]);
}

fn operations_commands(t: &Scratch) {
    run(t, &["optimize"]);
    run(t, &["optimize", "--vacuum"]);
    run(t, &["prune", "--dry-run"]);
    run(t, &["prune"]);
    // The dump contains the planted functions, and pg_restore recreates them.
    run(t, &["backup", "create", "--to", "one.dump.zst"]);
    run(t, &["backup", "verify", "one.dump.zst"]);
    run(t, &["backup", "create", "--to", "backups"]);
    run(t, &["backup", "list", "--in", "backups"]);
    run(t, &["backup", "drill", "--in", "backups"]);
    run(t, &["backup", "prune", "--in", "backups", "--keep", "1"]);
    // Some of these checks report warnings here, but none may call a planted function.
    for check in ["replica", "backups", "schema_rights"] {
        let keys = t.path("keys").display().to_string();
        let args = ["doctor", "--only", check];
        let ran: crate::support::Ran = t
            .command(&args)
            .env("VIRALDB_KEY_FILE", keys)
            .env("VIRALDB_READ_URL", &t.url)
            .output()
            .unwrap()
            .into();
        assert!([0, 3].contains(&ran.code), "{check}: {}{}", ran.out, ran.err);
        assert!(!ran.out.contains("could not be checked"), "{check}: {}", ran.out);
    }
    let there = Scratch::sqlite();
    run(t, &["transfer", "--from", &t.url, "--to", &there.url]);
    run(t, &["transfer", "--from", &there.url, "--to", &t.url, "--replace"]);
    run(t, &["transfer", "--from", &there.url, "--to", &t.url, "--resume"]);
    let deep = json(
        t,
        &[
            "doctor",
            "--only",
            "version,integrity,foreign_keys,shapes,history,drift,sequences,jobs,runs,secrets,statistics,unused_indexes,autovacuum",
            "--deep",
        ],
    );
    assert_eq!(deep["verdict"], "healthy", "{deep:#}");
    run(t, &["restore", "one.dump.zst", "--yes"]);
    run(t, &["migrate", "redo"]);
}
