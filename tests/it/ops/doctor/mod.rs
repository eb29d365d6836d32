//! `viraldb doctor` finds each problem, names its fix, and does not find it again after the fix.

#[cfg(feature = "postgres")]
mod on_postgres;
#[cfg(feature = "sqlite")]
mod on_sqlite;

use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use viraldb::ops::{self, Check, Examination, Finding, Report, Severity, Verdict};
use viraldb::queue::{self, Claim};
use viraldb::secrets::{self, Key, Keyring, Place, Secret};

use super::drift::execute;
use crate::make;
use crate::support::{Ran, Scratch, both};

fn examine(t: &Scratch, asked: Examination) -> Report {
    ops::doctor(
        &t.url,
        &Examination { keyring: Some(Arc::default()), backups: Some(t.path("backups")), ..asked },
    )
    .unwrap()
}

/// Returns the findings of one check.
fn found(t: &Scratch, check: Check) -> Vec<Finding> {
    let report = examine(t, Examination { only: vec![check], ..Default::default() });
    assert!(report.checks.contains(&check), "{report:?}");
    report.findings
}

/// Returns the only finding of a check.
fn one(t: &Scratch, check: Check) -> Finding {
    let mut found = found(t, check);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

fn deep(t: &Scratch, check: Check) -> Vec<Finding> {
    examine(t, Examination { only: vec![check], deep: true, ..Default::default() }).findings
}

/// Runs `doctor --fix` for one check, requires that it fixes every finding, and returns what it did.
fn fix(t: &Scratch, check: Check) -> String {
    let report = examine(t, Examination { only: vec![check], fix: true, ..Default::default() });
    assert!(report.findings.is_empty() && !report.mended.is_empty(), "{report:#?}");
    assert!(found(t, check).is_empty());
    report.mended.into_iter().map(|mended| mended.done).collect::<Vec<_>>().join("; ")
}

/// Parses the JSON report of the command.
fn json(ran: &Ran) -> Value {
    serde_json::from_str(&ran.out).unwrap_or_else(|error| panic!("{error}: {}{}", ran.out, ran.err))
}

fn write(t: &Scratch, sql: &str) {
    t.db()
        .write(|c| {
            execute(c, sql);
            Ok(())
        })
        .unwrap();
}

fn key_of(text: &str) -> Key {
    text.parse().unwrap()
}

both! {
    fn new_database_is_healthy(t) {
        drop(t.db());
        for args in [&["doctor"][..], &["doctor", "--deep"]] {
            let ran = t.run(args);
            assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
            assert!(!ran.out.contains("warning ") && !ran.out.contains("error "), "{}", ran.out);
            assert!(ran.out.contains(" checks: 0 errors, 0 warnings, "), "{}", ran.out);
        }
        let ran = t.run(&["doctor", "--format", "json"]);
        let report = json(&ran);
        assert_eq!((&report["verdict"], &report["deep"], &report["mended"]), (&"healthy".into(), &false.into(), &Value::Array(vec![])));
        let checks: Vec<&str> = report["checks"].as_array().unwrap().iter().map(|check| check.as_str().unwrap()).collect();
        for check in ["integrity", "foreign_keys", "history", "drift", "sequences", "jobs", "runs", "secrets", "statistics"] {
            assert!(checks.contains(&check), "{checks:?}");
        }
        let own = if t.is_postgres { ["autovacuum", "unused_indexes"] } else { ["wal", "file_system"] };
        assert!(own.iter().all(|check| checks.contains(check)), "{checks:?}");
        assert!(report["findings"].as_array().unwrap().iter().all(|finding| finding["severity"] == "info"), "{report}");
    }

    fn reports_print_in_every_format(t) {
        write(t, "DROP INDEX idx_clips_pipeline");
        let report = json(&t.run(&["doctor", "--only", "drift", "--format", "json"]));
        let finding = &report["findings"][0];
        assert_eq!((&finding["check"], &finding["severity"]), (&"drift".into(), &"error".into()));
        assert_eq!(finding["what"], "index idx_clips_pipeline is missing on clips");
        assert_eq!((&finding["mend"], &report["verdict"]), (&"viraldb doctor --fix".into(), &"errors".into()));
        assert!(!finding["why"].as_str().unwrap().is_empty());
        let row: Value = serde_json::from_str(t.run(&["doctor", "--only", "drift", "--format", "jsonl"]).out.trim()).unwrap();
        assert_eq!(&row, finding);
        let csv = t.run(&["doctor", "--only", "drift,jobs", "--format", "csv"]);
        assert!(csv.out.starts_with("check,severity,what,why,mend\ndrift,error,index idx_clips_pipeline is missing on clips,"), "{}", csv.out);
        assert_eq!(csv.code, 4);
        let quiet = t.run(&["doctor", "--only", "jobs", "--quiet"]);
        assert_eq!((quiet.code, &*quiet.out), (0, ""));
        let wrong = t.run(&["doctor", "--only", "jbos"]);
        assert_eq!((wrong.code, &*wrong.out), (2, ""), "{}", wrong.err);
        assert!(wrong.err.starts_with("error: invalid value 'jbos' for '--only <CHECKS>'\n  [possible values: open, version, "), "{}", wrong.err);
        assert!(wrong.err.contains("\n  tip: a similar value exists: 'jobs'\n"), "{}", wrong.err);
        let fixed = json(&t.run(&["doctor", "--only", "drift", "--fix", "--format", "json"]));
        assert_eq!((&fixed["verdict"], &fixed["mended"][0]["what"]), (&"healthy".into(), &finding["what"]));
        assert!(fixed["mended"][0]["done"].as_str().unwrap().contains("INDEX"), "{fixed}");
    }

    fn sequence_behind_its_table_is_fixed(t) {
        let db = t.db();
        db.write(|c| {
            for n in [5, 9, 7] {
                execute(c, &format!("INSERT INTO error_log (id, module, error_type, error_message) VALUES ({n}, 'a', 'b', 'c')"));
            }
            if !t.is_postgres {
                execute(c, "UPDATE sqlite_sequence SET seq = 5 WHERE name = 'error_log'");
            }
            Ok(())
        })
        .unwrap();
        let finding = one(t, Check::Sequences);
        let at = if t.is_postgres { "is unused" } else { "is at 5" };
        assert_eq!(finding.what, format!("the sequence of error_log.id {at}, but the highest existing value is 9"));
        assert_eq!(finding.severity, if t.is_postgres { Severity::Error } else { Severity::Warning });
        fix(t, Check::Sequences);
        let next = db.write(|c| make::error().insert(c)).unwrap();
        assert_eq!(next.id.0, 10);
    }

    fn unique_index_that_cannot_be_recreated_is_reported(t) {
        let db = t.db();
        db.write(|c| {
            execute(c, "DROP INDEX video_processing_jobs_unique_key_key");
            for _ in 0..2 {
                let mut job = make::video_job(c);
                job.unique_key = Some("k".into());
                job.insert(c)?;
            }
            Ok(())
        })
        .unwrap();
        let ran = t.run(&["doctor", "--only", "drift", "--fix", "--format", "json"]);
        let report = json(&ran);
        assert_eq!((ran.code, &report["mended"]), (4, &Value::Array(vec![])));
        assert_eq!(report["findings"].as_array().unwrap().len(), 1, "{report}");
        let what = report["findings"][0]["what"].as_str().unwrap();
        assert!(what.starts_with("index video_processing_jobs_unique_key_key is missing on video_processing_jobs; it could not be fixed: "), "{what}");
        write(t, "UPDATE video_processing_jobs SET unique_key = NULL");
        fix(t, Check::Drift);
    }

    /// A worker's clock was wrong for a while.
    fn jobs_with_timestamps_far_in_the_future_are_reported(t) {
        let db = t.db();
        let jobs = db.write(|c| (0..5).map(|_| make::video_job(c).insert(c)).collect::<viraldb::Result<Vec<_>>>()).unwrap();
        let set = |at: usize, to: &str| write(t, &format!("UPDATE video_processing_jobs SET {to} WHERE id = '{}'", jobs[at].id));
        let later = if t.is_postgres { "'2040-01-01 00:00:00+00'" } else { "'2040-01-01 00:00:00'" };
        set(0, &format!("status = 'processing', leased_by = 'w', lease_expires_at = {later}"));
        set(1, &format!("status = 'retrying', run_at = {later}"));
        set(2, &format!("run_at = {later}, queued_at = {later}"));
        // This job was enqueued for that time on purpose.
        set(3, &format!("run_at = {later}"));
        let found = found(t, Check::Jobs);
        let what: Vec<&str> = found.iter().map(|finding| &*finding.what).collect();
        assert_eq!(what, [
            "1 job has a lease that ends more than 2 days ahead",
            "2 jobs have an attempt that is due more than 2 days ahead",
        ]);
        assert!(found.iter().all(|finding| finding.mend.as_deref().is_some_and(|mend| mend.contains("viraldb jobs cancel ID"))));
        for job in &jobs[..3] {
            t.ok(&["jobs", "cancel", &job.id.to_string()]);
            t.ok(&["jobs", "retry", &job.id.to_string()]);
        }
        assert!(examine(t, Examination { only: vec![Check::Jobs], ..Default::default() }).findings.is_empty());
    }

    fn jobs_past_their_lease_are_reported_and_rescued(t) {
        let db = t.db();
        db.write(|c| {
            for _ in 0..3 {
                make::video_job(c).insert(c)?;
            }
            queue::claim(c, &Claim::new("w1").at_most(2).lease(Duration::from_millis(1)))?;
            queue::claim(c, &Claim::new("w2").lease(Duration::from_secs(600)))
        })
        .unwrap();
        std::thread::sleep(Duration::from_millis(20));
        let finding = one(t, Check::Jobs);
        assert_eq!(finding.what, "2 jobs are processing past their leases");
        assert_eq!((finding.severity, finding.mend.as_deref()), (Severity::Warning, Some("viraldb jobs rescue")));
        assert_eq!(t.run(&["doctor", "--only", "jobs,runs"]).code, 3);
        assert_eq!(t.ok(&["jobs", "rescue"]), "2 enqueued again, 0 failed\n");
        assert!(found(t, Check::Jobs).is_empty());
        db.write(|c| queue::claim(c, &Claim::new("w1").lease(Duration::from_millis(1)))).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(one(t, Check::Jobs).what, "1 job is processing past its lease");
        assert_eq!(fix(t, Check::Jobs), "viraldb jobs rescue: 1 retrying, 0 failed");
    }

    fn runs_longer_than_a_cycle_are_reported(t) {
        write(t, "INSERT INTO pipeline_runs (niche, cycle_start, cycle_end, status, started_at) VALUES
            ('gaming', '2026-01-01 00:00:00+00', '2026-01-01 06:00:00+00', 'running', '2026-01-01 01:00:00+00'),
            ('music', '2026-01-02 00:00:00+00', '2026-01-02 06:00:00+00', 'running', NULL),
            ('sports', '2026-01-02 00:00:00+00', '2026-01-02 06:00:00+00', 'failed', '2026-01-01 01:00:00+00')"
            .replace(if t.is_postgres { "\0" } else { "+00" }, "").as_str());
        let what: Vec<String> = found(t, Check::Runs).into_iter().map(|finding| finding.what).collect();
        assert_eq!(what, [
            "run 1 of gaming has been running since 2026-01-01T01:00:00Z, longer than a cycle of 6 h",
            "run 2 of music has been running since 2026-01-02T00:00:00Z, longer than a cycle of 6 h",
        ]);
        let mend = found(t, Check::Runs)[0].mend.clone().unwrap();
        assert!(mend.contains("viraldb runs move 1 failed --error \"ran too long\""), "{mend}");
        t.ok(&["runs", "move", "1", "failed", "--error", "ran too long"]);
        assert_eq!(found(t, Check::Runs).len(), 1);
        // The limit is the setting cycle_hours. The other run started five hours ago.
        let began = viraldb::Timestamp::now() - Duration::from_secs(5 * 3600);
        write(t, &format!("UPDATE pipeline_runs SET started_at = '{}' WHERE id = 2", if t.is_postgres { began.to_string() } else { began.to_utc().format("%F %T").to_string() }));
        assert!(found(t, Check::Runs).is_empty());
        t.ok(&["config", "set", "cycle_hours", "4"]);
        assert!(one(t, Check::Runs).what.ends_with("longer than a cycle of 4 h"));
    }

    fn missing_keys_and_damaged_secrets_are_reported(t) {
        let db = t.db();
        let (old, new) = (Key::generate().unwrap(), Key::generate().unwrap());
        let (texts, id) = ([old.to_text(), new.to_text()], old.id());
        let ring = Keyring::new([old]);
        let look = |keys: &[&str]| {
            let keyring = Keyring::new(keys.iter().map(|text| key_of(text)));
            let asked = Examination { only: vec![Check::Secrets], keyring: Some(Arc::new(keyring)), ..Default::default() };
            ops::doctor(&t.url, &asked).unwrap()
        };
        let channel = db.write(|c| {
            let channel = viraldb::republishing::NewChannel::new("Clips", "UC1").insert(c)?.id;
            secrets::set(c, &ring, &Place::ChannelCredentials(channel), &Secret::from("planted".to_owned()))?;
            secrets::set(c, &ring, &Place::Setting("a".to_owned()), &Secret::from("planted".to_owned()))?;
            Ok(channel)
        }).unwrap();
        assert_eq!(look(&[texts[0].reveal()]).findings, []);
        let none = look(&[]);
        assert_eq!(none.findings[0].what, format!("missing key: 2 values are encrypted with {id}"));
        assert_eq!((none.verdict, none.findings.len()), (Verdict::Warnings, 1));
        let other = look(&[texts[1].reveal()]);
        assert_eq!((other.verdict, other.findings.len()), (Verdict::Errors, 1));
        assert!(other.findings[0].mend.as_ref().unwrap().contains("VIRALDB_KEY"));
        // The command reads the key from the environment.
        assert_eq!(t.run(&["doctor", "--only", "secrets"]).code, 3);
        let with = |text: &str| Ran::from(t.command(&["doctor", "--only", "secrets"]).env("VIRALDB_KEY", text).output().unwrap());
        assert_eq!(with(texts[0].reveal()).code, 0);
        let bad = with("nonsense");
        assert!(bad.code == 3 && bad.out.contains("VIRALDB_KEY"), "{}", bad.out);
        // One value is damaged, the other is not encrypted at all.
        write(t, &format!("UPDATE channels SET api_credentials_encrypted = 'viraldb:1:{id}:AAAA', github_secret_key_encrypted = 'gAAAA'"));
        let report = look(&[texts[0].reveal()]);
        let what: Vec<&str> = report.findings.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(what.len(), 2, "{what:?}");
        assert!(what[0].starts_with(&format!("channels.api_credentials_encrypted of {channel} cannot be decrypted")), "{what:?}");
        assert!(what[1].starts_with(&format!("channels.github_secret_key_encrypted of {channel} is not encrypted")), "{what:?}");
        for place in [Place::ChannelCredentials(channel), Place::ChannelGithubKey(channel)] {
            db.write(|c| secrets::set(c, &ring, &place, &Secret::from("planted".to_owned()))).unwrap();
        }
        assert_eq!(look(&[texts[0].reveal()]).findings, []);
    }

    fn pending_modified_and_unknown_migrations_are_reported(t) {
        t.db();
        t.ok(&["migrate", "revert"]);
        let finding = one(t, Check::History);
        assert_eq!((finding.what, finding.severity), (format!("migration {} is pending", crate::support::newest_migration()), Severity::Warning));
        let all = examine(t, Examination::default());
        assert_eq!(all.verdict, Verdict::Warnings, "the other checks must still run on an older schema: {all:#?}");
        assert_eq!(finding.mend.as_deref(), Some("viraldb migrate run"));
        t.ok(&["migrate", "run"]);
        assert!(found(t, Check::History).is_empty());

        write(t, "UPDATE viraldb_migrations SET checksum = 'x' WHERE version = '20261121000002'");
        let finding = one(t, Check::History);
        assert_eq!((finding.what.as_str(), finding.severity), ("migration 2026-11-21-000002_compilation was changed after it was applied", Severity::Error));
        let other = t.another();
        let insert = |version: &str| {
            format!(
                "INSERT INTO __diesel_schema_migrations (version) VALUES ('{version}');
                 INSERT INTO viraldb_migrations (version, checksum) VALUES ('{version}', 'x')"
            )
        };
        write(&other, &insert("20990101000001"));
        assert!(one(&other, Check::History).what.contains("is newer than this program"));
        let ran = other.run(&["doctor"]);
        assert!(ran.code == 4 && ran.out.contains("warning  drift"), "{}", ran.out);
        let other = t.another();
        write(&other, &insert("20261121000003x"));
        assert!(one(&other, Check::History).what.contains("this program does not have it"));
    }

    fn missing_migration_table_is_reported_and_can_be_recreated(t) {
        write(t, "DROP TABLE viraldb_migrations");
        let finding = one(t, Check::History);
        assert_eq!((finding.what.as_str(), finding.severity), ("the table viraldb_migrations is missing", Severity::Error));
        assert!(found(t, Check::Drift).is_empty());
        assert!(finding.mend.as_ref().unwrap().contains("viraldb migrate sql 2026-11-21-000001_viraldb"));
        let sql = t.ok(&["migrate", "sql", "2026-11-21-000001_viraldb"]);
        let table = &sql[sql.find("CREATE TABLE viraldb_migrations").unwrap()..];
        write(t, &table[..table.find(';').unwrap()]);
        t.ok(&["migrate", "run"]);
        assert!(found(t, Check::History).is_empty());
    }

    fn empty_database_is_an_error(t) {
        if !t.is_postgres {
            t.file("viral.db", "");
        }
        let report = examine(t, Examination::default());
        assert_eq!(report.verdict, Verdict::Errors);
        assert_eq!((report.findings[0].check, report.findings[0].severity), (Check::History, Severity::Error));
        assert!(report.findings[0].what.ends_with("does not contain a viraldb database"));
        assert_eq!(t.run(&["doctor"]).code, 4);
        t.ok(&["init"]);
        assert_eq!(t.run(&["doctor", "--only", "history,drift"]).code, 0);
    }

    fn missing_tables_are_reported_and_other_checks_continue(t) {
        let db = t.db();
        write(t, "DROP TABLE viraldb_job_waits; DROP TABLE viraldb_job_attempts; DROP TABLE video_processing_jobs");
        let report = examine(t, Examination::default());
        let of = |check| report.findings.iter().find(|finding| finding.check == check).unwrap_or_else(|| panic!("{check}: {report:#?}"));
        let is_missing = |finding: &Finding| finding.what == "table video_processing_jobs is missing";
        assert!(report.findings.iter().any(is_missing), "{report:#?}");
        assert!(of(Check::Jobs).what.starts_with("could not be checked: "));
        assert_eq!(report.verdict, Verdict::Errors);
        assert!(report.checks.contains(&Check::Runs));
        drop(db);
    }

    fn sample_database_has_no_findings_without_a_fix(t) {
        t.ok(&["init", "--sample"]);
        let report = examine(t, Examination { only: Check::ALL.iter().copied().filter(|check| *check != Check::Backups).collect(), ..Default::default() });
        let sizes = |finding: &&Finding| finding.what.contains("largest");
        assert_eq!(report.findings.iter().find(sizes), None);
        assert!(report.findings.iter().all(|finding| finding.severity != Severity::Info || finding.mend.is_some()), "{report:#?}");
    }

    fn missing_statistics_are_reported_and_gathered(t) {
        t.db();
        assert!(found(t, Check::Statistics).is_empty(), "empty tables need no statistics");
        let numbers = if t.is_postgres {
            "generate_series(1, 1500) AS n"
        } else {
            "(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 1500) SELECT n FROM s)"
        };
        if t.is_postgres {
            // Autovacuum could gather statistics if the test is slow.
            execute(&mut t.db().session().unwrap(), "ALTER TABLE analytics SET (autovacuum_enabled = false)");
        }
        write(t, &format!("INSERT INTO analytics (youtube_video_id) SELECT 'v' || n FROM {numbers}"));
        if t.is_postgres {
            // The check uses an estimated number of rows, which only VACUUM or autovacuum updates.
            execute(&mut t.db().session().unwrap(), "VACUUM analytics");
        }
        let finding = one(t, Check::Statistics);
        assert_eq!((finding.severity, finding.what.as_str()), (Severity::Info, "ANALYZE has never run on analytics"));
        assert!(fix(t, Check::Statistics).contains("ANALYZE"));
    }
}

/// Without a database, `doctor` prints an error instead of a report.
#[test]
fn missing_database_is_an_error_without_a_report() {
    let folder = tempfile::tempdir().unwrap();
    let mut urls = Vec::new();
    if cfg!(feature = "sqlite") {
        urls.push("sqlite://none.db");
    }
    if cfg!(feature = "postgres") {
        urls.push("postgres://me@%2Fnowhere/none");
    }
    for url in urls {
        let ran: Ran = crate::support::viraldb(folder.path(), &["doctor", "--database-url", url])
            .output()
            .unwrap()
            .into();
        assert_eq!((ran.code, &*ran.out), (1, ""), "{}", ran.err);
        assert!(ran.err.starts_with("error: "), "{}", ran.err);
    }
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "doctor created files");
}

both! {
    fn missing_old_and_damaged_backups_are_reported(t) {
        drop(t.db());
        assert!(found(t, Check::Backups).is_empty(), "a new database needs no backup yet");
        write(t, "UPDATE viraldb_migrations SET recorded_at = '2026-01-01 00:00:00'");
        let none = one(t, Check::Backups);
        assert!(none.severity == Severity::Warning && none.what.starts_with("there is no backup in "), "{none:?}");
        assert!(none.mend.unwrap().starts_with("run `viraldb backup create`"));
        let made: Value = serde_json::from_str(&t.ok(&["backup", "create", "--format", "json"])).unwrap();
        assert!(found(t, Check::Backups).is_empty());
        t.ok(&["doctor", "--only", "backups"]);
        // Change the date of the backup, so that it is too old.
        let file = t.path(made["file"].as_str().unwrap());
        let manifest = viraldb::ops::backup::Manifest::path_of(&file);
        let mut told: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
        told["created_at"] = "2026-10-01T00:00:00Z".into();
        std::fs::write(&manifest, told.to_string()).unwrap();
        assert!(one(t, Check::Backups).what.ends_with("is from 2026-10-01T00:00:00Z"));
        t.ok(&["backup", "create", "--to", "elsewhere"]);
        t.ok(&["doctor", "--only", "backups", "--backups", "elsewhere"]);
        // The backup in the other folder does not count here.
        assert_eq!(t.run(&["doctor", "--only", "backups"]).code, 3);
        std::fs::write(&file, "cut off").unwrap();
        let found = found(t, Check::Backups);
        assert!(found.iter().any(|finding| finding.what.contains("is cut off: 7 of ")), "{found:?}");
    }
}
