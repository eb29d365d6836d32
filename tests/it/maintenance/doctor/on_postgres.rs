//! What only a server keeps.

use super::*;

#[test]
fn indexes_that_no_query_uses() {
    let t = Scratch::postgres();
    t.db();
    assert!(found(&t, Check::UnusedIndexes).is_empty(), "the counters are too young to tell");
    write(&t, "UPDATE viraldb_migrations SET recorded_at = now() - interval '9 days'");
    // The server of a test may know when its counters were set back, which is now.
    let reset = super::super::drift::say(
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
        assert!(!found[0].what.contains("video_processing_jobs_unique_key_key"), "it refuses rows");
    } else {
        assert_eq!(found, []);
    }
}

#[test]
fn dead_rows_that_nobody_clears() {
    let t = Scratch::postgres();
    t.db();
    write(&t, "ALTER TABLE analytics SET (autovacuum_enabled = false)");
    write(&t, "INSERT INTO analytics (youtube_video_id) SELECT 'v' || n FROM generate_series(1, 5000) AS n");
    write(&t, "DELETE FROM analytics");
    // A session tells what it did when it ends, or within a second.
    let finding = (0..100)
        .find_map(|_| {
            std::thread::sleep(Duration::from_millis(100));
            found(&t, Check::Autovacuum).into_iter().next()
        })
        .unwrap();
    assert!(
        finding.what.starts_with("autovacuum is behind on analytics: 5000 dead rows, and it begins at "),
        "{finding:?}"
    );
    assert_eq!(
        (finding.severity, finding.mend.as_deref()),
        (Severity::Warning, Some("VACUUM (ANALYZE) analytics"))
    );
    // Another session may see the rows still, or tell late what it did: then the next VACUUM clears them.
    let clean = (0..100).any(|_| {
        execute(&mut t.db().session().unwrap(), "VACUUM (ANALYZE) analytics");
        std::thread::sleep(Duration::from_millis(100));
        found(&t, Check::Autovacuum).is_empty()
    });
    assert!(clean);
}

/// A program that turns triggers off writes past the foreign keys.
#[test]
fn rows_that_refer_to_none() {
    let t = Scratch::postgres();
    t.db();
    write(
        &t,
        "SET LOCAL session_replication_role = replica; INSERT INTO scripts (pipeline_run_id) VALUES (7), (8)",
    );
    assert!(found(&t, Check::ForeignKeys).is_empty(), "only a deep examination looks");
    let found = deep(&t, Check::ForeignKeys);
    assert_eq!(found.len(), 1, "{found:#?}");
    assert_eq!(
        found[0].what,
        "2 rows of scripts refer by pipeline_run_id to a row of pipeline_runs that is not there"
    );
    write(&t, "DELETE FROM scripts");
    assert!(deep(&t, Check::ForeignKeys).is_empty());
}

/// Somebody who changes a table keeps everybody else out of it meanwhile.
#[test]
fn a_table_that_another_session_holds() {
    let t = Scratch::postgres();
    let db = t.db();
    let mut holder = db.session().unwrap();
    execute(&mut holder, "BEGIN; LOCK TABLE pipeline_runs");
    let begin = std::time::Instant::now();
    let finding = one(&t, Check::Runs);
    assert!(
        finding.what.contains("could not be looked at") && finding.what.contains("is locked"),
        "{finding:?}"
    );
    assert!(begin.elapsed() < Duration::from_secs(20));
    execute(&mut holder, "COMMIT");
    assert!(found(&t, Check::Runs).is_empty());
}
