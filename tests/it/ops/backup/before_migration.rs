//! The automatic backup before a migration.

use viraldb::db::migrate;
use viraldb::ops::backup;

use super::*;
use crate::support::both;

both! {
    fn database_with_rows_is_backed_up_before_a_migration(t) {
        with_rows(t, 2);
        migrate::revert(&t.url, 1).unwrap();
        let said = t.ok(&["migrate", "run"]);
        assert!(said.starts_with("backed up to ") && said.contains("applied "), "{said}");
        let made = backup::list(&t.path("backups")).unwrap();
        assert_eq!((made.len(), &made[0].state), (1, &backup::State::Intact));
        // No migration is pending now.
        assert_eq!(t.ok(&["migrate", "run"]), "nothing to do\n");
        migrate::revert(&t.url, 1).unwrap();
        assert!(!t.ok(&["migrate", "run", "--no-backup"]).contains("backed up"));
        migrate::revert(&t.url, 1).unwrap();
        assert!(t.ok(&["init", "--backup-to", "elsewhere"]).starts_with("backed up to elsewhere/"));
        assert_eq!(backup::list(&t.path("backups")).unwrap().len(), 1);
        // A backup of the older schema version can be verified and restored.
        t.ok(&["backup", "verify"]);
        t.ok(&["backup", "drill"]);
    }

    fn database_without_rows_is_not_backed_up(t) {
        migrate::run(&t.url).unwrap();
        migrate::revert(&t.url, 1).unwrap();
        assert!(!t.ok(&["migrate", "run"]).contains("backed up"));
        let new = t.another();
        assert!(!new.ok(&["init"]).contains("backed up"));
    }

    fn rows_are_backed_up_before_a_revert(t) {
        with_rows(t, 2);
        let status = |t: &Scratch| -> Value { serde_json::from_str(&t.ok(&["status", "--format", "json"])).unwrap() };
        let before = status(t)["tables"].clone();
        let all = crate::support::migration_names().len();
        for args in [&["migrate", "revert", "--all"][..], &["migrate", "redo", "--count", &all.to_string()]] {
            let said = t.ok(args);
            let file = said.lines().next().unwrap().strip_prefix("backed up to ").unwrap();
            assert_eq!(said.lines().count(), all + 1, "{said}");
            t.ok(&["restore", file, "--yes"]);
            assert_eq!(status(t)["tables"], before);
        }
        let done: Value = serde_json::from_str(&t.ok(&["migrate", "redo", "--format", "json"])).unwrap();
        assert!(t.path(done["backup"].as_str().unwrap()).exists(), "{done}");
        assert_eq!(done["applied_again"].as_array().unwrap().len(), 1);
        assert!(!t.ok(&["migrate", "revert", "--all", "--no-backup"]).contains("backed up"));
        // Without rows there is nothing to back up.
        t.ok(&["migrate", "run"]);
        assert!(!t.ok(&["migrate", "redo", "--count", "5"]).contains("backed up"));
    }

    fn unreachable_database_error_does_not_suggest_no_backup(t) {
        let nowhere = match t.is_postgres {
            true => t.url.replace("/t", "/nowhere_t"),
            false => format!("sqlite://{}", t.path("no/folder.db").display()),
        };
        let ran = t.run(&["--database-url", &nowhere, "migrate", "run"]);
        assert!(ran.code == 1 && !ran.err.contains("no-backup"), "{}", ran.err);
    }

    fn failed_migration_keeps_and_names_the_backup(t) {
        with_rows(t, 2);
        // Revert two migrations, because the last one creates no table.
        migrate::revert(&t.url, 2).unwrap();
        let db = t.path("backups");
        block_migrations(t);
        let ran = t.run(&["migrate", "run"]);
        assert_eq!(ran.code, 1);
        let why = if t.is_postgres { "no more tables" } else { "would leave 2 rows that refer" };
        assert!(ran.err.contains(why) && ran.err.contains("the backup is "), "{}", ran.err);
        let made = backup::list(&db).unwrap();
        assert_eq!((made.len(), &made[0].state), (1, &backup::State::Intact));
    }

    fn failed_backup_prevents_the_migration(t) {
        with_rows(t, 2);
        migrate::revert(&t.url, 1).unwrap();
        t.file("taken", "");
        let ran = t.run(&["migrate", "run", "--backup-to", "taken/here"]);
        assert!(ran.code == 1 && ran.err.contains("taken"), "{}", ran.err);
        assert_eq!(t.run(&["migrate", "check"]).code, 3);
    }
}

/// Makes every further migration fail, for a reason that viraldb cannot detect in advance.
fn block_migrations(t: &Scratch) {
    let obstacle = if t.is_postgres {
        "CREATE FUNCTION no_more() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'no more tables'; END $$;
         CREATE EVENT TRIGGER no_more ON ddl_command_start WHEN TAG IN ('CREATE TABLE') EXECUTE FUNCTION no_more()"
    } else {
        "PRAGMA foreign_keys = OFF; INSERT INTO clips (pipeline_run_id, discovered_video_id, rank_position, start_time_seconds,
             end_time_seconds, clip_duration_seconds) VALUES (999, 999, 1, 0, 1, 1)"
    };
    make::execute(&mut t.plain(), obstacle).unwrap();
}
