//! Sources, targets and rows that a transfer rejects.

use super::*;
use crate::support::both;

fn transfer_error(from: &Scratch, to: &Scratch, existing: Existing) -> String {
    run(from, to, existing).unwrap_err().to_string()
}

both! {
    fn target_with_rows_is_rejected(t) {
        seed(&t.db());
        let there = other_engine(t);
        execute(&there.db(), "INSERT INTO trends (platform, external_id) VALUES ('tiktok', 'a'), ('tiktok', 'b'); INSERT INTO jobs (stage) VALUES ('old')");
        for (existing, then) in [
            (Existing::Refuse, "--replace deletes all of its rows first"),
            (Existing::Resume, "--resume found no interrupted transfer, and it is not a complete copy: "),
        ] {
            let error = transfer_error(t, &there, existing);
            assert!(error.contains(&format!("is not empty: it has rows in jobs (1), trends (2); {then}")), "{error}");
            assert!(error.contains("; --replace deletes all of its rows first"), "{error}");
        }
        let stages = || there.db().read(|c| Ok(make::query(c, "SELECT stage AS v FROM jobs"))).unwrap();
        assert_eq!(stages(), ["old"]);
        run(t, &there, Existing::Replace).unwrap();
        assert_eq!(stages(), ["NULL"]);
        // Now every table of the target has rows.
        execute(&there.db(), "INSERT INTO viraldb_keys (id) VALUES ('mine')");
        assert!(transfer_error(t, &there, Existing::Refuse).contains("viraldb_keys (1);"));
        run(t, &there, Existing::Replace).unwrap();
    }

    fn source_as_target_is_rejected(t) {
        seed(&t.db());
        for existing in [Existing::Refuse, Existing::Resume, Existing::Replace] {
            let error = transfer_error(t, t, existing);
            assert!(error.contains("is the source itself"), "{error}");
        }
        // The same database under another URL is rejected too.
        let other = if t.is_postgres { format!("{}{}application_name=other", t.url, if t.url.contains('?') { '&' } else { '?' }) } else {
            let folder = t.dir.path();
            format!("sqlite://{}/../{}/viral.db", folder.display(), folder.file_name().unwrap().display())
        };
        let error = transfer(&t.url, &other, &Options { existing: Existing::Replace, ..Default::default() }, &mut |_| ()).unwrap_err().to_string();
        assert!(error.contains("is the source itself"), "{error}");
        assert_eq!(t.db().read(|c| Ok(make::query(c, "SELECT 'x' AS v FROM jobs"))).unwrap(), ["x"]);
    }

    fn outdated_source_is_rejected_and_outdated_target_is_migrated(t) {
        seed(&t.db());
        let there = other_engine(t);
        there.db();
        t.ok(&["transfer", "--from", &t.url, "--to", &there.url, "--dry-run"]);
        there.ok(&["migrate", "revert"]);
        t.ok(&["transfer", "--from", &t.url, "--to", &there.url, "--dry-run"]);
        let status = there.run(&["migrate", "check"]);
        assert_eq!(status.code, 3, "{status:?}");
        run(t, &there, Existing::Refuse).unwrap();
        assert_eq!(there.run(&["migrate", "check"]).code, 0);

        t.ok(&["migrate", "revert"]);
        let error = transfer_error(t, &there, Existing::Replace);
        assert!(error.contains(&format!("the database has pending migrations: {}", crate::support::newest_migration())), "{error}");
        let empty = t.another();
        let error = transfer_error(&empty, &there, Existing::Replace);
        assert!(error.contains("no viraldb database found"), "{error}");
        assert_eq!(there.db().read(|c| Ok(make::query(c, "SELECT 'x' AS v FROM jobs"))).unwrap(), ["x"]);
    }

    fn row_rejected_by_the_target_is_named(t) {
        let (db, there) = (t.db(), other_engine(t));
        insert_many(t, &db, 30);
        execute(&db, "INSERT INTO jobs (id) VALUES (1), (20), (21)");
        let target = there.db();
        execute(&target, "CREATE UNIQUE INDEX blocked ON discovered_videos (view_count)");
        execute(&db, "UPDATE discovered_videos SET view_count = 16000 WHERE id = 17");
        let error = transfer_error(t, &there, Existing::Refuse);
assert!(error.contains("row 17 of discovered_videos was rejected by the target: ") && error.contains("--resume"), "{error}");
        // Rows before the failed batch are kept, and none of the batch. After the source is fixed, the transfer continues.
        let count = || target.read(|c| Ok(make::query(c, "SELECT CAST(count(*) AS text) AS v FROM discovered_videos"))).unwrap().remove(0);
        assert_eq!(count(), "14");
        execute(&db, "UPDATE discovered_videos SET view_count = 17000 WHERE id = 17");
        let report = run(t, &there, Existing::Resume).unwrap();
        assert_eq!((report.resumed, report.rows, &*count()), (14, 63, "30"));
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn memory_and_missing_files_are_rejected() {
    let t = Scratch::sqlite();
    let refused =
        |from: &str, to: &str| transfer(from, to, &Options::default(), &mut |_| ()).unwrap_err().to_string();
    let missing = format!("sqlite://{}", t.path("missing.db").display());
    assert!(refused(&missing, &t.url).contains("no viraldb database found"), "{}", refused(&missing, &t.url));
    assert!(!t.path("missing.db").exists() && !t.path("viral.db").exists());
    t.db();
    assert!(refused(&t.url, "sqlite::memory:").contains("would be lost"));
    assert!(refused("sqlite::memory:", &missing).contains("no viraldb database found"));
    let text = t.file(
        "text.db",
        "this is not a database, but it is long enough to look like something else entirely",
    );
    assert!(refused(&t.url, &format!("sqlite://{}", text.display())).contains("is not a SQLite database"));
}

/// Each statement writes a row that PostgreSQL cannot store. The error must name the row as given.
#[cfg(all(feature = "sqlite", feature = "postgres"))]
#[test]
fn values_that_postgresql_cannot_store_are_named() {
    for (statement, name) in [
        (
            "INSERT INTO jobs (id, theme) VALUES (7, 'a' || char(0) || 'b')",
            "jobs.theme in row 7 contains the NUL character",
        ),
        (
            "INSERT INTO jobs (id, theme) VALUES (7, CAST(x'ff61' AS TEXT))",
            "jobs.theme in row 7 is not UTF-8",
        ),
        (
            r#"INSERT INTO jobs (id, metadata) VALUES (7, '"\ud800"')"#,
            "jobs.metadata in row 7 contains an unpaired surrogate",
        ),
        (
            r#"INSERT INTO jobs (id, metadata) VALUES (7, '"\u0000"')"#,
            "row 7 of jobs was rejected by the target",
        ),
        (
            "INSERT INTO jobs (id, metadata) VALUES (7, '1e200000')",
            "row 7 of jobs was rejected by the target",
        ),
        (
            "INSERT INTO config_overrides (key, value) VALUES ('k', char(0))",
            "config_overrides.value in row \"k\"",
        ),
        (
            "PRAGMA ignore_check_constraints = ON; INSERT INTO clips SELECT 7, 1, 1, 5000000000, 0, 0, 0, NULL, NULL, 'low'; PRAGMA ignore_check_constraints = OFF",
            "clips.rank_position in row 7 is 5000000000",
        ),
        (
            "PRAGMA ignore_check_constraints = ON; UPDATE videos SET music_replaced = 2; PRAGMA ignore_check_constraints = OFF",
            "videos.music_replaced in row 0190a000-0000-7000-8000-00000000000b is 2",
        ),
        (
            "PRAGMA ignore_check_constraints = ON; INSERT INTO jobs (id, created_at) VALUES (7, 'soon'); PRAGMA ignore_check_constraints = OFF",
            "jobs.created_at in row 7",
        ),
        (
            "PRAGMA ignore_check_constraints = ON; INSERT INTO jobs (id, status) VALUES (7, 'odd'); PRAGMA ignore_check_constraints = OFF",
            "row 7 of jobs was rejected by the target",
        ),
    ] {
        let (from, to) = (Scratch::sqlite(), Scratch::postgres());
        let db = from.db();
        seed(&db);
        let mut session = db.session().unwrap();
        make::execute(&mut session, statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
        let error = transfer_error(&from, &to, Existing::Refuse);
        assert!(error.contains(name), "{statement}: {error}");
        let error = transfer_error(&from, &to, Existing::Refuse);
        assert!(error.contains("interrupted"), "{error}");
    }
}

/// SQLite allows 1,000 levels and rejects 1,001.
#[cfg(all(feature = "sqlite", feature = "postgres"))]
#[test]
fn documents_can_be_as_deep_as_sqlite_allows() {
    let insert = |levels: usize| {
        format!("INSERT INTO jobs (id, metadata) VALUES (7, '{}{}')", "[".repeat(levels), "]".repeat(levels))
    };
    let (from, to, back) = (Scratch::postgres(), Scratch::sqlite(), Scratch::postgres());
    let db = from.db();
    execute(&db, &insert(1_000));
    run(&from, &to, Existing::Refuse).unwrap();
    run(&to, &back, Existing::Refuse).unwrap();
    execute(&to.db(), "DELETE FROM jobs");
    assert!(to.db().write(|c| make::execute(c, &insert(1_001))).is_err());
    execute(&db, "DELETE FROM jobs");
    execute(&db, &insert(1_001));
    let error = transfer_error(&from, &to, Existing::Replace);
    assert!(error.contains("jobs.metadata in row 7 is nested deeper than 1,000 levels"), "{error}");
}

/// viraldb parses settings with serde_json, which accepts less than the engines. SQLite values would be read as text.
#[cfg(all(feature = "sqlite", feature = "postgres"))]
#[test]
fn unreadable_setting_is_named() {
    let deep = "[".repeat(200) + &"]".repeat(200);
    for (from, to) in [(Scratch::sqlite(), Scratch::postgres()), (Scratch::postgres(), Scratch::sqlite())] {
        for value in [&*deep, "1e400"] {
            let set =
                "INSERT INTO system_configuration (key, value) VALUES ('mine', '{}')".replace("{}", value);
            execute(&from.db(), &set);
            let error = transfer_error(&from, &to, Existing::Replace);
            assert!(
                error.contains(
                    "system_configuration.value in row \"mine\" is nested deeper than 127 levels or"
                ),
                "{error}"
            );
            execute(&from.db(), "DELETE FROM system_configuration WHERE key = 'mine'");
        }
        // Numbers may have any number of digits.
        execute(
            &from.db(),
            "INSERT INTO system_configuration (key, value) VALUES ('mine', '[123456789012345678901234567890]')",
        );
        run(&from, &to, Existing::Replace).unwrap();
        let mine = "SELECT CAST(value AS text) AS v FROM system_configuration WHERE key = 'mine'";
        assert_eq!(make::query(&mut to.plain(), mine), ["[123456789012345678901234567890]"]);
    }
}

#[cfg(all(feature = "sqlite", feature = "postgres"))]
#[test]
fn values_that_sqlite_cannot_store_are_named() {
    for (column, value, reason) in [
        ("click_through_rate", "'NaN'", "is NaN"),
        ("measured_at", "'infinity'", "is outside the years"),
        ("measured_at", "'10000-01-01'", "is outside the years"),
        ("measured_at", "'0044-03-15 BC'", "is outside the years"),
    ] {
        let (from, to) = (Scratch::postgres(), Scratch::sqlite());
        execute(
            &from.db(),
            &format!("INSERT INTO analytics (id, youtube_video_id, {column}) VALUES (7, 'a', {value})"),
        );
        let error = transfer_error(&from, &to, Existing::Refuse);
        assert!(error.contains(&format!("analytics.{column} in row 7 {reason}")), "{error}");
    }
}
