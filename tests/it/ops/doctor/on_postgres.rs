//! Checks that only apply to PostgreSQL servers.

use super::*;

#[test]
fn unused_indexes_are_reported() {
    let t = Scratch::postgres();
    t.db();
    assert!(found(&t, Check::UnusedIndexes).is_empty(), "new usage counters must not be judged");
    write(&t, "UPDATE viraldb_migrations SET recorded_at = now() - interval '9 days'");
    // If the test server records when its counters were reset, that time is now, and the check reports nothing.
    let reset = super::super::drift::query_engine(
        &t,
        "",
        "SELECT coalesce(stats_reset::text, 'never') AS v FROM pg_stat_database WHERE datname = current_database()",
    );
    let found = found(&t, Check::UnusedIndexes);
    if reset == ["never"] {
        assert_eq!(found.len(), 1, "{found:#?}");
        assert!(
            found[0].what.contains("idx_clips_discovered_video 8.00 KiB")
                && found[0].severity == Severity::Info,
            "{found:#?}"
        );
        assert!(
            !found[0].what.contains("video_processing_jobs_unique_key_key"),
            "a unique index rejects rows and is never unused"
        );
    } else {
        assert_eq!(found, []);
    }
}

#[test]
fn dead_rows_are_reported_when_autovacuum_is_behind() {
    let t = Scratch::postgres();
    t.db();
    write(&t, "ALTER TABLE analytics SET (autovacuum_enabled = false)");
    write(&t, "INSERT INTO analytics (youtube_video_id) SELECT 'v' || n FROM generate_series(1, 5000) AS n");
    write(&t, "DELETE FROM analytics");
    // A session reports its statistics when it ends, or within a second.
    let finding = (0..100)
        .find_map(|_| {
            std::thread::sleep(Duration::from_millis(100));
            found(&t, Check::Autovacuum).into_iter().next()
        })
        .unwrap();
    assert!(
        finding
            .what
            .starts_with("autovacuum is behind on analytics: 5000 dead rows, but it should start at "),
        "{finding:?}"
    );
    assert_eq!(
        (finding.severity, finding.mend.as_deref()),
        (Severity::Warning, Some("VACUUM (ANALYZE) analytics"))
    );
    // Another session may still see the rows or report its statistics late. Then a later VACUUM removes them.
    let clean = (0..100).any(|_| {
        execute(&mut t.db().session().unwrap(), "VACUUM (ANALYZE) analytics");
        std::thread::sleep(Duration::from_millis(100));
        found(&t, Check::Autovacuum).is_empty()
    });
    assert!(clean);
}

/// A program that disables triggers can violate foreign keys.
#[test]
fn orphans_are_reported_by_a_deep_check() {
    let t = Scratch::postgres();
    t.db();
    write(
        &t,
        "SET LOCAL session_replication_role = replica; INSERT INTO scripts (pipeline_run_id) VALUES (7), (8)",
    );
    assert!(found(&t, Check::ForeignKeys).is_empty(), "only a deep check looks for orphans");
    let found = deep(&t, Check::ForeignKeys);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(
        found[0].what,
        "2 rows of scripts refer through pipeline_run_id to a missing row of pipeline_runs"
    );
    write(&t, "DELETE FROM scripts");
    assert!(deep(&t, Check::ForeignKeys).is_empty());
}

/// A session that alters a table blocks all others until it commits.
#[test]
fn locked_table_is_reported_without_waiting_long() {
    let t = Scratch::postgres();
    let db = t.db();
    let mut holder = db.session().unwrap();
    execute(&mut holder, "BEGIN; LOCK TABLE pipeline_runs");
    let begin = std::time::Instant::now();
    let finding = one(&t, Check::Runs);
    assert!(
        finding.what.contains("could not be checked") && finding.what.contains("is locked"),
        "{finding:?}"
    );
    assert!(begin.elapsed() < Duration::from_secs(20));
    execute(&mut holder, "COMMIT");
    assert!(found(&t, Check::Runs).is_empty());
}

/// After an upgrade of the collation library, indexes still have the old order.
#[test]
fn collation_version_mismatch_is_reported_once() {
    use viraldb::diesel::pg::PgConnection;
    use viraldb::diesel::{Connection, connection::SimpleConnection};
    let t = Scratch::postgres();
    let own = t.url.rsplit_once('/').unwrap().1.split('?').next().unwrap();
    let mut server = PgConnection::establish(&t.url.replace(own, "postgres")).unwrap();
    let name = format!("{own}_icu");
    let made = format!(
        "CREATE DATABASE {name} TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C' LOCALE_PROVIDER icu ICU_LOCALE 'en'"
    );
    server.batch_execute(&made).unwrap();
    let url = t.url.replace(own, &name);
    let on = |args: &[&str]| -> Ran { t.command(args).env("DATABASE_URL", &url).output().unwrap().into() };
    assert_eq!(on(&["init"]).code, 0);
    assert_eq!(on(&["doctor", "--only", "collation"]).code, 0);
    server
        .batch_execute(&format!("UPDATE pg_database SET datcollversion = '1.0' WHERE datname = '{name}'"))
        .unwrap();
    let ran = on(&["doctor", "--only", "collation"]);
    assert_eq!(ran.code, 4, "{}{}", ran.out, ran.err);
    assert!(
        ran.out.contains("the indexes were built with version 1.0 of the collation library"),
        "{}",
        ran.out
    );
    assert!(ran.out.contains(&format!("ALTER DATABASE {name} REFRESH COLLATION VERSION")), "{}", ran.out);
    // The server warns every connection. viraldb prints the warning once, and not at all with `-q`.
    let warnings = |ran: &Ran| ran.err.matches("collation version mismatch").count();
    assert_eq!(warnings(&ran), 1, "{}", ran.err);
    assert!(ran.err.lines().count() == 1 && ran.err.contains("WARN"), "{}", ran.err);
    for args in [&["status"][..], &["videos", "list"], &["jobs", "stats"], &["backup", "create"]] {
        let ran = on(args);
        assert!(ran.code == 0 && warnings(&ran) == 1, "{args:?}: {}", ran.err);
        let quiet = on(&[args, &["-q"]].concat());
        assert_eq!((quiet.code, &*quiet.err), (0, ""), "{args:?}");
    }
    server.batch_execute(&format!("ALTER DATABASE {name} REFRESH COLLATION VERSION")).unwrap();
    let ran = on(&["doctor", "--only", "collation"]);
    assert_eq!((ran.code, &*ran.err), (0, ""), "{}", ran.out);
    server.batch_execute(&format!("DROP DATABASE {name} WITH (FORCE)")).unwrap();
}

/// A server can be configured to quote every identifier.
#[test]
fn quoted_identifiers_are_not_drift() {
    let t = Scratch::postgres();
    t.db();
    let own = t.url.rsplit_once('/').unwrap().1.split('?').next().unwrap();
    execute(&mut t.plain(), &format!("ALTER DATABASE {own} SET quote_all_identifiers = on"));
    let report = examine(&t, Examination::default());
    assert!(
        report.findings.iter().all(|finding| finding.severity == Severity::Info),
        "{:#?}",
        report.findings
    );
    execute(&mut t.plain(), "DROP INDEX idx_clips_pipeline");
    assert_eq!(one(&t, Check::Drift).what, "index idx_clips_pipeline is missing on clips");
    fix(&t, Check::Drift);
    t.ok(&["status", "--sizes"]);
    t.ok(&["optimize"]);
    t.ok(&["init", "--sample"]);
    t.ok(&["backup", "create"]);
    t.ok(&["export", "--all", "--to", "out"]);
}
