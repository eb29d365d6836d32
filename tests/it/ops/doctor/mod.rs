//! The doctor: each bad state is found with what mends it, mended, and not found again.

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

fn examined(t: &Scratch, asked: Examination) -> Report {
    ops::doctor(
        &t.url,
        &Examination { keyring: Some(Arc::default()), backups: Some(t.path("backups")), ..asked },
    )
    .unwrap()
}

/// What one check finds.
fn found(t: &Scratch, check: Check) -> Vec<Finding> {
    let report = examined(t, Examination { only: vec![check], ..Default::default() });
    assert!(report.checks.contains(&check), "{report:?}");
    report.findings
}

/// The only finding of a check.
fn one(t: &Scratch, check: Check) -> Finding {
    let mut found = found(t, check);
    assert_eq!(found.len(), 1, "{found:#?}");
    found.remove(0)
}

fn deep(t: &Scratch, check: Check) -> Vec<Finding> {
    examined(t, Examination { only: vec![check], deep: true, ..Default::default() }).findings
}

/// What `doctor --fix` says that it did for one check; it must have mended all of it.
fn fixed(t: &Scratch, check: Check) -> String {
    let report = examined(t, Examination { only: vec![check], fix: true, ..Default::default() });
    assert!(report.findings.is_empty() && !report.mended.is_empty(), "{report:#?}");
    assert!(found(t, check).is_empty());
    report.mended.into_iter().map(|mended| mended.done).collect::<Vec<_>>().join("; ")
}

/// The JSON report of the command.
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
    fn a_new_database_is_healthy(t) {
        drop(t.db());
        for args in [&["doctor"][..], &["doctor", "--deep"]] {
            let ran = t.run(args);
            assert_eq!(ran.code, 0, "{}{}", ran.out, ran.err);
            assert!(!ran.out.contains("warning ") && !ran.out.contains("error "), "{}", ran.out);
            assert!(ran.out.contains("checked: errors 0, warnings 0"), "{}", ran.out);
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

    fn the_forms_of_a_report(t) {
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
        assert!(wrong.code == 2 && wrong.err.contains("is none of"), "{}", wrong.err);
        let fixed = json(&t.run(&["doctor", "--only", "drift", "--fix", "--format", "json"]));
        assert_eq!((&fixed["verdict"], &fixed["mended"][0]["what"]), (&"healthy".into(), &finding["what"]));
        assert!(fixed["mended"][0]["done"].as_str().unwrap().contains("INDEX"), "{fixed}");
    }

    fn a_sequence_behind_its_table(t) {
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
        let at = if t.is_postgres { "has given none yet" } else { "is at 5" };
        assert_eq!(finding.what, format!("the sequence of error_log.id {at}, and a row has 9"));
        assert_eq!(finding.severity, if t.is_postgres { Severity::Error } else { Severity::Warning });
        fixed(t, Check::Sequences);
        let next = db.write(|c| make::error().insert(c)).unwrap();
        assert_eq!(next.id.0, 10);
    }

    fn a_unique_index_that_cannot_be_made_again(t) {
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
        assert!(what.starts_with("index video_processing_jobs_unique_key_key is missing on video_processing_jobs; it could not be mended: "), "{what}");
        write(t, "UPDATE video_processing_jobs SET unique_key = NULL");
        fixed(t, Check::Drift);
    }

    /// Somebody's clock was set to another year for a while.
    fn jobs_that_wait_for_a_day_far_ahead(t) {
        let db = t.db();
        let jobs = db.write(|c| (0..5).map(|_| make::video_job(c).insert(c)).collect::<viraldb::Result<Vec<_>>>()).unwrap();
        let set = |at: usize, to: &str| write(t, &format!("UPDATE video_processing_jobs SET {to} WHERE id = '{}'", jobs[at].id));
        let later = if t.is_postgres { "'2040-01-01 00:00:00+00'" } else { "'2040-01-01 00:00:00'" };
        set(0, &format!("status = 'processing', leased_by = 'w', lease_expires_at = {later}"));
        set(1, &format!("status = 'retrying', run_at = {later}"));
        set(2, &format!("run_at = {later}, queued_at = {later}"));
        // As it was asked for.
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
        assert!(examined(t, Examination { only: vec![Check::Jobs], ..Default::default() }).findings.is_empty());
    }

    fn jobs_past_their_lease(t) {
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
        assert_eq!(t.ok(&["jobs", "rescue"]), "2 back to work, 0 failed\n");
        assert!(found(t, Check::Jobs).is_empty());
        db.write(|c| queue::claim(c, &Claim::new("w1").lease(Duration::from_millis(1)))).unwrap();
        std::thread::sleep(Duration::from_millis(20));
        assert_eq!(one(t, Check::Jobs).what, "1 job is processing past its lease");
        assert_eq!(fixed(t, Check::Jobs), "viraldb jobs rescue: 1 back to work, 0 failed");
    }

    fn runs_longer_than_a_cycle(t) {
        write(t, "INSERT INTO pipeline_runs (niche, cycle_start, cycle_end, status, started_at) VALUES
            ('gaming', '2026-01-01 00:00:00+00', '2026-01-01 06:00:00+00', 'running', '2026-01-01 01:00:00+00'),
            ('music', '2026-01-02 00:00:00+00', '2026-01-02 06:00:00+00', 'running', NULL),
            ('sports', '2026-01-02 00:00:00+00', '2026-01-02 06:00:00+00', 'failed', '2026-01-01 01:00:00+00')"
            .replace(if t.is_postgres { "\0" } else { "+00" }, "").as_str());
        let what: Vec<String> = found(t, Check::Runs).into_iter().map(|finding| finding.what).collect();
        assert_eq!(what, [
            "run 1 of gaming is running since 2026-01-01T01:00:00Z, longer than a cycle of 6 h",
            "run 2 of music is running since 2026-01-02T00:00:00Z, longer than a cycle of 6 h",
        ]);
        let mend = found(t, Check::Runs)[0].mend.clone().unwrap();
        assert!(mend.contains("viraldb runs move 1 failed --error \"ran too long\""), "{mend}");
        t.ok(&["runs", "move", "1", "failed", "--error", "ran too long"]);
        assert_eq!(found(t, Check::Runs).len(), 1);
        // The setting counts: the other began five hours ago.
        let began = viraldb::Timestamp::now() - Duration::from_secs(5 * 3600);
        write(t, &format!("UPDATE pipeline_runs SET started_at = '{}' WHERE id = 2", if t.is_postgres { began.to_string() } else { began.to_utc().format("%F %T").to_string() }));
        assert!(found(t, Check::Runs).is_empty());
        t.ok(&["config", "set", "cycle_hours", "4"]);
        assert!(one(t, Check::Runs).what.ends_with("longer than a cycle of 4 h"));
    }

    fn sealed_values_and_their_keys(t) {
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
        assert_eq!(none.findings[0].what, format!("key missing: 2 sealed values are under {id}, which was not given"));
        assert_eq!((none.verdict, none.findings.len()), (Verdict::Warnings, 1));
        let other = look(&[texts[1].reveal()]);
        assert_eq!((other.verdict, other.findings.len()), (Verdict::Errors, 1));
        assert!(other.findings[0].mend.as_ref().unwrap().contains("VIRALDB_KEY"));
        // The command takes the key of the environment.
        assert_eq!(t.run(&["doctor", "--only", "secrets"]).code, 3);
        let with = |text: &str| Ran::from(t.command(&["doctor", "--only", "secrets"]).env("VIRALDB_KEY", text).output().unwrap());
        assert_eq!(with(texts[0].reveal()).code, 0);
        let bad = with("nonsense");
        assert!(bad.code == 3 && bad.out.contains("VIRALDB_KEY"), "{}", bad.out);
        // Damaged, and not sealed at all.
        write(t, &format!("UPDATE channels SET api_credentials_encrypted = 'viraldb:1:{id}:AAAA', github_secret_key_encrypted = 'gAAAA'"));
        let report = look(&[texts[0].reveal()]);
        let what: Vec<&str> = report.findings.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(what.len(), 2, "{what:?}");
        assert!(what[0].starts_with(&format!("channels.api_credentials_encrypted of {channel} does not open")), "{what:?}");
        assert!(what[1].starts_with(&format!("channels.github_secret_key_encrypted of {channel} is not sealed")), "{what:?}");
        for place in [Place::ChannelCredentials(channel), Place::ChannelGithubKey(channel)] {
            db.write(|c| secrets::set(c, &ring, &place, &Secret::from("planted".to_owned()))).unwrap();
        }
        assert_eq!(look(&[texts[0].reveal()]).findings, []);
    }

    fn a_history_that_is_not_ours(t) {
        t.db();
        t.ok(&["migrate", "revert"]);
        let finding = one(t, Check::History);
        assert_eq!((finding.what.as_str(), finding.severity), ("migration 2026-11-27-000005_safe_functions is pending", Severity::Warning));
        let all = examined(t, Examination::default());
        assert_eq!(all.verdict, Verdict::Warnings, "the rest is looked at as far as it is there: {all:#?}");
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

    fn books_that_are_gone(t) {
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

    fn a_database_with_nothing_in_it(t) {
        if !t.is_postgres {
            t.file("viral.db", "");
        }
        let report = examined(t, Examination::default());
        assert_eq!(report.verdict, Verdict::Errors);
        assert_eq!((report.findings[0].check, report.findings[0].severity), (Check::History, Severity::Error));
        assert!(report.findings[0].what.ends_with("holds no viraldb database"));
        assert_eq!(t.run(&["doctor"]).code, 4);
        t.ok(&["init"]);
        assert_eq!(t.run(&["doctor", "--only", "history,drift"]).code, 0);
    }

    fn tables_that_are_gone(t) {
        let db = t.db();
        write(t, "DROP TABLE video_processing_jobs");
        let report = examined(t, Examination::default());
        let of = |check| report.findings.iter().find(|finding| finding.check == check).unwrap_or_else(|| panic!("{check}: {report:#?}"));
        assert_eq!(of(Check::Drift).what, "table video_processing_jobs is missing");
        assert!(of(Check::Jobs).what.starts_with("could not be looked at: "));
        assert_eq!(report.verdict, Verdict::Errors);
        assert!(report.checks.contains(&Check::Runs));
        drop(db);
    }

    fn a_fresh_database_has_no_findings(t) {
        t.ok(&["init", "--sample"]);
        let report = examined(t, Examination { only: Check::ALL.iter().copied().filter(|check| *check != Check::Backups).collect(), ..Default::default() });
        let sizes = |finding: &&Finding| finding.what.contains("largest");
        assert_eq!(report.findings.iter().find(sizes), None);
        assert!(report.findings.iter().all(|finding| finding.severity != Severity::Info || finding.mend.is_some()), "{report:#?}");
    }

    fn statistics_that_were_never_gathered(t) {
        t.db();
        assert!(found(t, Check::Statistics).is_empty(), "there is nothing to know yet");
        let numbers = if t.is_postgres {
            "generate_series(1, 1500) AS n"
        } else {
            "(WITH RECURSIVE s (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM s WHERE n < 1500) SELECT n FROM s)"
        };
        if t.is_postgres {
            // Autovacuum would gather them in a test that takes its time.
            execute(&mut t.db().session().unwrap(), "ALTER TABLE analytics SET (autovacuum_enabled = false)");
        }
        write(t, &format!("INSERT INTO analytics (youtube_video_id) SELECT 'v' || n FROM {numbers}"));
        if t.is_postgres {
            // An estimate only; a VACUUM makes it, as autovacuum does after a while.
            execute(&mut t.db().session().unwrap(), "VACUUM analytics");
        }
        let finding = one(t, Check::Statistics);
        assert_eq!((finding.severity, finding.what.as_str()), (Severity::Info, "ANALYZE has never looked at analytics"));
        assert!(fixed(t, Check::Statistics).contains("ANALYZE"));
    }
}

/// Where there is nothing to look at, there is no report.
#[test]
fn what_is_not_there() {
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
    assert_eq!(folder.path().read_dir().unwrap().count(), 0, "nothing is made");
}

both! {
    fn a_database_without_a_young_backup_is_told(t) {
        drop(t.db());
        assert!(found(t, Check::Backups).is_empty(), "it was made just now");
        write(t, "UPDATE viraldb_migrations SET recorded_at = '2026-01-01 00:00:00'");
        let none = one(t, Check::Backups);
        assert!(none.severity == Severity::Warning && none.what.starts_with("there is no backup in "), "{none:?}");
        assert!(none.mend.unwrap().starts_with("viraldb backup create "));
        let made: Value = serde_json::from_str(&t.ok(&["backup", "create", "--format", "json"])).unwrap();
        assert!(found(t, Check::Backups).is_empty());
        t.ok(&["doctor", "--only", "backups"]);
        // As it is a month later.
        let file = t.path(made["file"].as_str().unwrap());
        let manifest = viraldb::ops::backup::Manifest::path_of(&file);
        let mut told: Value = serde_json::from_slice(&std::fs::read(&manifest).unwrap()).unwrap();
        told["created_at"] = "2026-10-01T00:00:00Z".into();
        std::fs::write(&manifest, told.to_string()).unwrap();
        assert!(one(t, Check::Backups).what.ends_with("is of 2026-10-01T00:00:00Z"));
        t.ok(&["backup", "create", "--to", "elsewhere"]);
        t.ok(&["doctor", "--only", "backups", "--backups", "elsewhere"]);
        // Another database's is none of this one's.
        assert_eq!(t.run(&["doctor", "--only", "backups"]).code, 3);
        std::fs::write(&file, "cut off").unwrap();
        let found = found(t, Check::Backups);
        assert!(found.iter().any(|finding| finding.what.contains("is cut off: 7 of ")), "{found:?}");
    }
}
