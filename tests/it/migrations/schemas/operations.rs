//! Commands and library functions in a schema other than `public`.

use std::path::Path;

use viraldb::db::migrate::{self, Verdict};
use viraldb::ops::transfer::{Existing, Options, transfer};
use viraldb::ops::{drift, sizes};
use viraldb::{DbConnection, diesel::PgConnection, diesel::prelude::*};

use super::*;

/// Runs `work` in a schema that `?schema=` names and in one that `search_path` names.
fn for_both_url_forms(work: impl Fn(&Home<'_>)) {
    for is_by_path in [false, true] {
        let t = Scratch::postgres();
        let home = if is_by_path { Home::by_path(&t, "viral") } else { Home::by_parameter(&t, "viral") };
        work(&home);
        assert_eq!(t.relations("public"), [""; 0], "{}", home.url);
    }
}

#[test]
fn init_creates_everything_in_the_schema() {
    for_both_url_forms(|home| {
        let made = home.json(&["init"]);
        assert_eq!(made["tables"], 22);
        assert_eq!(home.t.schemas(), ["public", "viral", "viralforge_viral"]);
        assert_eq!(home.t.relations("viral").len(), 31);
        assert_eq!(home.t.relations("viralforge_viral"), ["jobs", "scripts", "trends", "videos"]);
        let status = migrate::status(&home.url).unwrap();
        assert_eq!(status.verdict(), Verdict::Current);
        home.ok(&["init"]);
        home.ok(&["migrate", "check"]);
        assert!(home.ok(&["migrate", "status"]).contains("applied"));
        // The checksums are the same as in `public`.
        let public = Scratch::postgres();
        drop(public.db());
        let sums = |t: &Scratch, schema: &str| {
            let asked =
                format!("SELECT version || checksum AS v FROM {schema}.viraldb_migrations ORDER BY 1");
            query(&mut t.plain(), &asked)
        };
        assert_eq!(sums(home.t, "viral"), sums(&public, "public"));
    });
}

#[test]
fn migrations_can_be_reverted_and_reapplied_in_a_schema() {
    for_both_url_forms(|home| {
        let names = migrate::run(&home.url).unwrap();
        home.seed();
        assert_eq!(migrate::redo(&home.url, names.len() - 3).unwrap(), names[3..]);
        assert_eq!(migrate::revert(&home.url, 99).unwrap().len(), names.len());
        assert_eq!(home.t.relations("viral"), ["__diesel_schema_migrations"]);
        assert!(!home.t.schemas().contains(&home.views()));
        assert_eq!(migrate::run(&home.url).unwrap(), names);
    });
}

#[test]
fn commands_work_in_a_schema() {
    for_both_url_forms(|home| {
        home.ok(&["init", "--sample"]);
        let csv = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/us_youtube_trending_cut_off.csv");
        let ran = home.run(&["ingest", csv.to_str().unwrap()]);
        assert_eq!(ran.code, 3, "one row is truncated, so one is rejected: {}{}", ran.out, ran.err);
        assert!(home.count("discovered_videos") > 100);
        let again = home.run(&["ingest", csv.to_str().unwrap()]);
        assert!(again.code == 3 && again.out.contains("0 videos new, 0 updated"), "{}", again.out);
        let jobs = home.t.file("jobs.jsonl", "{\"theme\":\"a\"}\n{\"theme\":\"b\"}\n");
        home.ok(&["ingest", jobs.to_str().unwrap(), "--as", "jsonl", "--table", "jobs"]);

        let status = home.json(&["status"]);
        assert!(status["database"].as_str().unwrap().contains("viral"), "{status:#}");
        let size = status["size_bytes"].as_i64().unwrap();
        let whole: i64 = query(&mut home.t.plain(), "SELECT pg_database_size(current_database())::text AS v")
            [0]
        .parse()
        .unwrap();
        assert!(size > 100_000 && size < whole, "{size} of {whole}");
        let rows = |table: &str| {
            let tables = status["tables"].as_array().unwrap();
            tables.iter().find(|row| row["table"] == table).unwrap()["rows"].as_u64().unwrap()
        };
        assert_eq!(rows("discovered_videos") as usize, home.count("discovered_videos"));
        assert!(home.ok(&["status", "--sizes"]).contains("discovered_videos"));
        assert!(sizes(&home.db()).unwrap().iter().all(|size| size.total_bytes > 0));

        home.ok(&["optimize"]);
        home.ok(&["optimize", "--vacuum"]);
        home.ok(&["prune", "--dry-run"]);
        home.ok(&["prune"]);
        home.ok(&["export", "--all", "--to", "rows"]);
        assert!(home.t.path("rows/discovered_videos.jsonl").metadata().unwrap().len() > 10_000);
        home.ok(&["config", "set", "max_clips", "7"]);
        home.ok(&["config", "set", "max_clips", "8", "--override"]);
        assert_eq!(home.ok(&["config", "get", "max_clips"]).trim(), "8");
        home.ok(&["runs", "start", "gaming"]);
        home.ok(&["videos", "list", "--limit", "1"]);

        let keys = home.t.path("keys").display().to_string();
        home.ok(&["secrets", "keygen", "--out", &keys]);
        let secret = home.t.file("secret", "a secret");
        let sealed = |args: &[&str]| {
            let mut command = home.t.command(args);
            let ran: Ran = command
                .env("DATABASE_URL", &home.url)
                .env("VIRALDB_KEY_FILE", &keys)
                .output()
                .unwrap()
                .into();
            assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.out, ran.err);
        };
        sealed(&["secrets", "set", "--setting", "youtube_api_key", "--from-file", secret.to_str().unwrap()]);
        sealed(&["secrets", "rotate"]);
        sealed(&["secrets", "verify"]);
    });
}

#[test]
fn doctor_checks_and_fixes_the_schema() {
    for_both_url_forms(|home| {
        home.ok(&["init", "--sample"]);
        home.seed();
        home.db()
            .write(|c| {
                make::execute(
                    c,
                    "UPDATE channels SET api_credentials_encrypted = '', github_secret_key_encrypted = NULL",
                )
            })
            .unwrap();
        assert_eq!(drift(&home.db()).unwrap(), []);
        let report = home.json(&["doctor", "--deep"]);
        let found: Vec<&Value> = report["findings"]
            .as_array()
            .unwrap()
            .iter()
            // The test server has data checksums turned off, which the integrity check reports.
            .filter(|finding| finding["check"] != "integrity")
            .collect();
        assert!(found.is_empty() && report["verdict"] == "healthy", "{report:#}");

        // Doctor finds problems in the schema and fixes them.
        home.t.sql(
            "DROP INDEX viral.idx_clips_pipeline; DROP VIEW viralforge_viral.trends;
             GRANT CREATE ON SCHEMA viral TO PUBLIC; INSERT INTO viral.jobs (id) OVERRIDING SYSTEM VALUE VALUES (1000)",
        );
        let ran = home.run(&["doctor"]);
        assert_eq!(ran.code, 4, "{}", ran.out);
        for says in [
            "idx_clips_pipeline is missing",
            "view viralforge_viral.trends is missing",
            "every role may create objects in the schema viral",
            "the sequence of jobs.id",
        ] {
            assert!(ran.out.contains(says), "{says}: {}", ran.out);
        }
        home.run(&["doctor", "--fix"]);
        let ran = home.run(&["doctor"]);
        assert!(
            !ran.out.contains("idx_clips_pipeline") && !ran.out.contains("the sequence of"),
            "{}",
            ran.out
        );
    });
}

#[test]
fn transfers_work_between_schemas_and_databases() {
    let t = Scratch::postgres();
    let options = Options { existing: Existing::Refuse, batch: 7 };
    let transferred = |from: &str, to: &str| {
        let report = transfer(from, to, &options, &mut |_| ()).unwrap();
        report.tables.into_iter().map(|table| (table.table, table.rows, table.digest)).collect::<Vec<_>>()
    };
    let first = Home::by_path(&t, "first");
    let second = Home::by_parameter(&t, "Second one");
    #[cfg(feature = "sqlite")]
    let (from, back) = (Scratch::sqlite(), Scratch::sqlite());
    #[cfg(not(feature = "sqlite"))]
    let (from, back) = (Scratch::postgres(), Scratch::postgres());
    from.db().write(|c| make::seed(c).and_then(|()| make::link(c))).unwrap();

    let expected = transferred(&from.url, &first.url);
    // The other schema of the same database counts as empty although the first one has rows.
    let plan = first.ok(&["transfer", "--from", &first.url, "--to", &second.url, "--dry-run"]);
    assert!(plan.contains("channels"), "{plan}");
    assert_eq!(transferred(&first.url, &second.url), expected);
    assert_eq!(transferred(&second.url, &back.url), expected);
    let itself = transfer(&first.url, &first.url, &options, &mut |_| ()).unwrap_err().to_string();
    assert!(itself.contains("is the source itself"), "{itself}");
    let by_parameter = Home::by_parameter(&t, "first");
    let itself = transfer(&first.url, &by_parameter.url, &options, &mut |_| ()).unwrap_err().to_string();
    assert!(itself.contains("is the source itself"), "{itself}");
    let full = transfer(&from.url, &second.url, &options, &mut |_| ()).unwrap_err().to_string();
    assert!(full.contains("is not empty"), "{full}");
    let replaced =
        transfer(&from.url, &second.url, &Options { existing: Existing::Replace, batch: 7 }, &mut |_| ());
    assert_eq!(replaced.unwrap().tables.len(), expected.len());
    assert_eq!((first.count("channels"), second.count("channels")), (1, 1));
}

/// A ViralForge application sets `search_path` to the schema of the views.
#[test]
fn viralforge_can_use_the_views_of_a_schema() {
    for_both_url_forms(|home| {
        let db = home.db();
        let mut c = DbConnection::Postgres(PgConnection::establish(&home.t.url).unwrap());
        make::execute(&mut c, &format!("SET search_path = {}", quoted(&home.views()))).unwrap();
        let mut say = |text: &str| query(&mut c, text);
        assert_eq!(
            say("INSERT INTO jobs (theme) VALUES ('cats') RETURNING concat_ws(' ', id, status, theme) AS v"),
            ["1 pending cats"]
        );
        say(
            "INSERT INTO scripts (job_id, video_prompt, scenes) VALUES (1, 'a cat', '[]') RETURNING id::text AS v",
        );
        say("INSERT INTO videos (job_id, script_id, cost_usd) VALUES (1, 1, 0.25) RETURNING id::text AS v");
        say("INSERT INTO trends (platform, external_id) VALUES ('tiktok', 'x1') RETURNING id::text AS v");
        assert_eq!(say("UPDATE jobs SET status = 'running' RETURNING status AS v"), ["running"]);
        let job = db.read(|c| viraldb::generation::Job::find(c, viraldb::generation::JobId(1))).unwrap();
        assert_eq!(job.theme.as_deref(), Some("cats"));
        for table in ["videos", "scripts", "trends", "jobs"] {
            assert_eq!(say(&format!("DELETE FROM {table} RETURNING 'gone' AS v")), ["gone"], "{table}");
        }
        assert_eq!(home.count("jobs"), 0);
    });
}

/// viraldb does not call functions that another role created in the schema.
#[test]
fn functions_planted_in_the_schema_are_never_called() {
    let t = Scratch::postgres();
    let home = Home::by_path(&t, "viral");
    home.ok(&["init", "--sample"]);
    let planted = include_str!("../../support/shadows.sql").replace("public.", "viral.");
    let names = "concat,to_hex,hashtextextended,sum,pg_total_relation_size,format,quote_ident,to_regclass,coalesce,count,\
                 max,min,now,pg_notify,concat_ws,has_schema_privilege,current_setting,lower,pg_advisory_xact_lock";
    t.sql(&format!("SET shadows.names = '{names}'; {planted}"));
    let csv = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/us_youtube_trending_cut_off.csv");
    let ran = home.run(&["ingest", csv.to_str().unwrap()]);
    assert!(ran.code == 3 && ran.out.contains(", 1 rejected"), "{}{}", ran.out, ran.err);
    home.db().write(make::seed).unwrap();
    for args in [
        &["init"] as &[&str],
        &["migrate", "redo"],
        &["status", "--sizes"],
        &["optimize", "--vacuum"],
        &["prune"],
        &["config", "set", "max_clips", "7"],
        &["jobs", "claim", "--worker", "w"],
        &["backup", "create", "--to", "one.dump.zst"],
        &["restore", "one.dump.zst", "--yes"],
    ] {
        home.ok(args);
    }
    let ran = home.run(&["doctor", "--deep"]);
    assert!(!ran.out.contains("could not be checked") && !ran.out.contains("shadow"), "{}", ran.out);
}
