//! Drift: every change of the schema is reported, and nothing else.

use std::collections::BTreeSet;

use viraldb::diesel::connection::SimpleConnection;
use viraldb::ops::{self, Object, Severity};
use viraldb::{Database, DbConnection};

use crate::make::query;
use crate::support::{Scratch, both};

/// Returns the reported drift as a set of messages.
pub fn findings(db: &Database) -> BTreeSet<String> {
    let found = ops::drift(db).unwrap();
    let findings: BTreeSet<String> = found.iter().map(ToString::to_string).collect();
    assert_eq!(findings.len(), found.len(), "a finding is reported twice: {found:#?}");
    findings
}

pub fn query_engine(t: &Scratch, sqlite: &str, postgres: &str) -> Vec<String> {
    t.db().read(|c| Ok(query(c, if t.is_postgres { postgres } else { sqlite }))).unwrap()
}

pub fn execute(c: &mut DbConnection, sql: &str) {
    c.batch_execute(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
}

/// Returns viraldb's indexes as `index table`, without those of constraints.
pub fn indexes(t: &Scratch) -> Vec<String> {
    query_engine(
        t,
        "SELECT name || ' ' || tbl_name AS v FROM sqlite_master WHERE type = 'index' AND sql IS NOT NULL ORDER BY 1",
        "SELECT indexname || ' ' || tablename AS v FROM pg_indexes WHERE schemaname = 'public' \
         AND NOT EXISTS (SELECT 1 FROM pg_constraint WHERE conname = indexname) AND tablename NOT LIKE '\\_\\_%' ORDER BY 1",
    )
}

pub fn triggers(t: &Scratch) -> Vec<String> {
    query_engine(
        t,
        "SELECT name || ' ' || tbl_name AS v FROM sqlite_master WHERE type = 'trigger' ORDER BY 1",
        "SELECT tgname || ' ' || tgrelid::regclass AS v FROM pg_trigger WHERE NOT tgisinternal ORDER BY 1",
    )
}

both! {
    fn migrated_schema_has_no_drift(t) {
        let db = t.db();
        assert_eq!(findings(&db), BTreeSet::new());
        db.write(|c| Ok(c.batch_execute("CREATE TABLE mine (id integer PRIMARY KEY, note text); CREATE INDEX on_mine ON mine (note)")?)).unwrap();
        assert_eq!(findings(&db), BTreeSet::new(), "tables of other programs must not be reported");
        t.ok(&["migrate", "revert", "--count", "2"]);
        assert_eq!(findings(&db), BTreeSet::new(), "an older schema must be compared with its own migrations");
    }

    fn drift_check_leaves_nothing_behind(t) {
        let db = t.db();
        let before = query_engine(t, "SELECT name AS v FROM sqlite_master", "SELECT nspname::text AS v FROM pg_namespace");
        findings(&db);
        assert_eq!(query_engine(t, "SELECT name AS v FROM sqlite_master", "SELECT nspname::text AS v FROM pg_namespace"), before);
    }

    fn every_missing_index_is_reported_and_recreated(t) {
        let db = t.db();
        let all = indexes(t);
        assert!(all.len() > 45, "{all:?}");
        let mut expected = BTreeSet::new();
        for index in &all {
            let (index, table) = index.split_once(' ').unwrap();
            db.write(|c| Ok(c.batch_execute(&format!("DROP INDEX {index}"))?)).unwrap();
            expected.insert(format!("index {index} is missing on {table}"));
            assert_eq!(findings(&db), expected);
        }
        assert_eq!(t.run(&["doctor", "--only", "drift"]).code, 4);
        let fixed = t.ok(&["doctor", "--only", "drift", "--fix"]);
        for what in &expected {
            assert!(fixed.contains(what), "{what}: {fixed}");
        }
        assert_eq!(indexes(t), all);
        assert_eq!(findings(&db), BTreeSet::new());
    }

    fn every_missing_trigger_is_reported_and_recreated(t) {
        let db = t.db();
        let all = triggers(t);
        assert!(all.len() >= 8, "{all:?}");
        let mut expected = BTreeSet::new();
        for trigger in &all {
            let (trigger, table) = trigger.split_once(' ').unwrap();
            let on = if t.is_postgres { format!(" ON {table}") } else { String::new() };
            db.write(|c| Ok(c.batch_execute(&format!("DROP TRIGGER {trigger}{on}"))?)).unwrap();
            expected.insert(format!("trigger {trigger} is missing on {table}"));
        }
        assert_eq!(findings(&db), expected);
        t.ok(&["doctor", "--only", "drift", "--fix"]);
        assert_eq!(triggers(t), all);
        assert_eq!(findings(&db), BTreeSet::new());
    }

    fn added_missing_and_changed_objects_are_reported(t) {
        let db = t.db();
        db.write(|c| {
            for sql in [
                "ALTER TABLE shorts ADD COLUMN extra text",
                "ALTER TABLE scripts ADD COLUMN counted integer NOT NULL DEFAULT 0",
                "ALTER TABLE error_log DROP COLUMN stack_trace",
                "ALTER TABLE trends RENAME COLUMN creator TO author",
                "DROP TABLE tts_audio",
                "CREATE INDEX by_rank ON clips (rank_position)",
                "CREATE UNIQUE INDEX one_title ON shorts (title)",
                "DROP INDEX idx_videos_created_at; CREATE INDEX idx_videos_created_at ON videos (updated_at)",
                "DROP INDEX idx_jobs_status; CREATE INDEX idx_jobs_status ON video_processing_jobs (status) WHERE status = 'queued'",
            ] {
                execute(c, sql);
            }
            Ok(())
        })
        .unwrap();
        let changed = if t.is_postgres {
            ["btree (updated_at), expected btree (created_at)", "btree (status) WHERE (status = 'queued'::text), expected btree (status)"]
        } else {
            ["(updated_at), expected (created_at)", "(status) WHERE status = 'queued', expected (status)"]
        };
        let expected = [
            "column shorts.extra is not part of viraldb's schema".to_owned(),
            "column scripts.counted is not part of viraldb's schema".to_owned(),
            "column error_log.stack_trace is missing".to_owned(),
            "column trends.creator is missing".to_owned(),
            "column trends.author is not part of viraldb's schema".to_owned(),
            "table tts_audio is missing".to_owned(),
            "index by_rank on clips is not part of viraldb's schema".to_owned(),
            "index one_title on shorts is not part of viraldb's schema".to_owned(),
            format!("index idx_videos_created_at on videos is {}", changed[0]),
            format!("index idx_jobs_status on video_processing_jobs is {}", changed[1]),
        ];
        let mut expected = BTreeSet::from(expected);
        if t.is_postgres {
            expected.insert("view viralforge.trends differs from the one in viraldb's migrations".to_owned()); // The view follows the renamed column.
        }
        assert_eq!(findings(&db), expected);
        let found = ops::drift(&db).unwrap();
        let severity = |what: &str| found.iter().find(|found| found.what.contains(what)).unwrap().severity;
        assert_eq!(severity("shorts.extra"), Severity::Warning);
        assert_eq!(severity("by_rank"), Severity::Info);
        assert_eq!(severity("one_title"), Severity::Warning);
        assert_eq!(severity("tts_audio"), Severity::Error);
        assert!(found.windows(2).all(|two| two[0].severity >= two[1].severity), "the most severe findings must come first");
        let extra = found.iter().find(|found| found.name == "extra").unwrap();
        assert_eq!((extra.table.as_str(), extra.object), ("shorts", Object::Column));
    }
}

/// SQLite stores its schema as text, which these tests rewrite.
#[cfg(feature = "sqlite")]
mod on_sqlite {
    use super::*;

    /// Changes the stored CREATE TABLE statements in ways that ALTER TABLE cannot.
    fn rewrite(t: &Scratch, change: impl Fn(&str, &str) -> String) {
        let conn = rusqlite::Connection::open(t.path("viral.db")).unwrap();
        let tables: Vec<(String, String)> = conn
            .prepare("SELECT name, sql FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%'")
            .unwrap()
            .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))
            .unwrap()
            .map(Result::unwrap)
            .collect();
        conn.execute_batch("PRAGMA writable_schema = ON").unwrap();
        for (name, sql) in tables {
            let new = change(&name, &sql);
            conn.execute(
                "UPDATE sqlite_master SET sql = ?1 WHERE name = ?2 AND type = 'table'",
                [&new, &name],
            )
            .unwrap();
        }
        let version: i64 = conn.query_row("PRAGMA schema_version", [], |row| row.get(0)).unwrap();
        conn.execute_batch(&format!("PRAGMA schema_version = {}; PRAGMA writable_schema = OFF", version + 1))
            .unwrap();
    }

    /// Returns the position after the parenthesis that closes the first one opened at or after `from`.
    fn end_of_parenthesis(text: &str, from: usize) -> usize {
        let mut depth = 0;
        for (at, sign) in text[from..].char_indices() {
            depth += match sign {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            if sign == ')' && depth == 0 {
                return from + at + 1;
            }
        }
        panic!("{text}");
    }

    #[test]
    fn every_missing_check_is_reported() {
        let t = Scratch::sqlite();
        drop(t.db());
        let expected = std::cell::RefCell::new(BTreeSet::new());
        rewrite(&t, |table, sql| {
            let mut sql = sql.to_owned();
            while let Some(check) = sql.find(" CHECK (") {
                let from = sql[..check].rfind("CONSTRAINT ").unwrap();
                let name = sql[from + 11..check].trim().to_owned();
                let end = end_of_parenthesis(&sql, check);
                // A table constraint is preceded by a comma.
                let before = sql[..from].trim_end();
                let from = if before.ends_with(',') { before.len() - 1 } else { from };
                sql.replace_range(from..end, "");
                expected.borrow_mut().insert(format!("check {name} is missing on {table}"));
            }
            sql
        });
        assert!(expected.borrow().len() > 60, "{expected:?}");
        assert_eq!(findings(&t.db()), expected.into_inner());
    }

    #[test]
    fn every_missing_foreign_key_is_reported() {
        let t = Scratch::sqlite();
        drop(t.db());
        let expected = std::cell::RefCell::new(BTreeSet::new());
        rewrite(&t, |table, sql| {
            let mut sql = sql.to_owned();
            while let Some(at) = sql.find(" REFERENCES ") {
                let from = sql[..at].rfind("CONSTRAINT ").unwrap();
                let name = sql[from + 11..at].trim().to_owned();
                let mut end = end_of_parenthesis(&sql, at);
                for action in [" ON DELETE CASCADE", " ON DELETE SET NULL"] {
                    if sql[end..].starts_with(action) {
                        end += action.len();
                    }
                }
                sql.replace_range(from..end, "");
                expected.borrow_mut().insert(format!("foreign key {name} is missing on {table}"));
            }
            sql
        });
        assert_eq!(expected.borrow().len(), 24, "{expected:?}");
        assert_eq!(findings(&t.db()), expected.into_inner());
    }

    #[test]
    fn changed_definitions_are_reported() {
        let t = Scratch::sqlite();
        drop(t.db());
        rewrite(&t, |table, sql| {
            let (from, to) = match table {
                "discovered_videos" => {
                    ("processed INTEGER NOT NULL DEFAULT 0", "processed INTEGER NOT NULL DEFAULT 1")
                }
                "pipeline_runs" => ("retry_count INTEGER NOT NULL DEFAULT 0", "retry_count INTEGER NOT NULL"),
                "clips" => ("rank_position INTEGER NOT NULL", "rank_position INTEGER"),
                "scripts" => ("opening_text TEXT", "opening_text BLOB"),
                "shorts" => (
                    "'pending', 'review', 'uploaded', 'failed'",
                    "'pending', 'review', 'uploaded', 'lost', 'found'",
                ),
                "analytics" => (") STRICT", ")"),
                "videos" => ("ELSE download_status", "ELSE publication_status"),
                "channels" => (
                    "REFERENCES transformation_presets (id) ON DELETE SET NULL",
                    "REFERENCES transformation_presets (id) ON DELETE CASCADE",
                ),
                "error_log" => {
                    ("error_message TEXT NOT NULL", "error_message TEXT NOT NULL DEFAULT 'unknown'")
                }
                "review_log" => ("id INTEGER PRIMARY KEY AUTOINCREMENT", "id INTEGER PRIMARY KEY"),
                "jobs" => ("theme TEXT", "theme TEXT NOT NULL"),
                "music" => ("CHECK (usage_count BETWEEN", "CHECK (usage_count > 0 AND usage_count BETWEEN"),
                "config_overrides" => (
                    "key TEXT PRIMARY KEY NOT NULL",
                    "\"key\"   text /* the same */ PRIMARY KEY -- still\n NOT NULL",
                ),
                _ => return sql.to_owned(),
            };
            assert!(sql.contains(from), "{table}: {sql}");
            sql.replacen(from, to, 1)
        });
        let found = findings(&t.db());
        let expected = [
            "column discovered_videos.processed has the default 1, expected 0",
            "column pipeline_runs.retry_count has no default, expected 0",
            "column clips.rank_position is nullable but should be NOT NULL",
            "column scripts.opening_text has type blob, expected text",
            "the check on shorts.status allows different values: added found, lost; missing failed",
            "table analytics is not STRICT",
            "foreign key channels_effect_preset_id_fkey on channels is to transformation_presets (id) ON DELETE CASCADE ON UPDATE \
             NO ACTION, expected to transformation_presets (id) ON DELETE SET NULL ON UPDATE NO ACTION",
            "column error_log.error_message has the default 'unknown' but should have no default",
            "primary key review_log_pkey on review_log is (id), expected (id) AUTOINCREMENT",
            "column jobs.theme is NOT NULL but should be nullable",
            "the check on music.usage_count is usage_count > 0 AND usage_count BETWEEN -2147483648 AND 2147483647, expected \
             usage_count BETWEEN -2147483648 AND 2147483647",
        ];
        let generated: Vec<&String> = found
            .iter()
            .filter(|what| what.starts_with("column videos.status is generated as case"))
            .collect();
        assert_eq!(generated.len(), 1, "{found:#?}");
        let others: BTreeSet<String> = found.iter().filter(|what| *what != generated[0]).cloned().collect();
        assert_eq!(others, expected.map(str::to_owned).into_iter().collect());
    }
}

#[cfg(feature = "postgres")]
mod on_postgres {
    use super::*;

    #[test]
    fn every_missing_constraint_is_reported() {
        let t = Scratch::postgres();
        let db = t.db();
        let all = query_engine(
            &t,
            "",
            "SELECT CASE contype WHEN 'c' THEN 'check' WHEN 'f' THEN 'foreign key' ELSE 'unique constraint' END \
             || '|' || conname || '|' || conrelid::regclass AS v FROM pg_constraint \
             WHERE connamespace = 'public'::regnamespace AND contype IN ('c', 'f', 'u')",
        );
        assert!(all.len() > 30, "{all:?}");
        let mut expected = BTreeSet::new();
        for row in &all {
            let [kind, name, table] = row.splitn(3, '|').collect::<Vec<_>>().try_into().unwrap();
            db.write(|c| Ok(c.batch_execute(&format!("ALTER TABLE {table} DROP CONSTRAINT {name}"))?))
                .unwrap();
            expected.insert(format!("{kind} {name} is missing on {table}"));
        }
        assert_eq!(findings(&db), expected);
    }

    #[test]
    fn changed_definitions_are_reported() {
        let t = Scratch::postgres();
        let db = t.db();
        db.write(|c| {
            for sql in [
                "ALTER TABLE clips ALTER rank_position TYPE bigint",
                "ALTER TABLE discovered_videos ALTER processed SET DEFAULT 1",
                "ALTER TABLE pipeline_runs ALTER retry_count DROP DEFAULT",
                "ALTER TABLE error_log ALTER error_message SET DEFAULT 'unknown'",
                "ALTER TABLE scripts ALTER generated_at DROP NOT NULL",
                "ALTER TABLE jobs ALTER theme SET NOT NULL",
                "ALTER TABLE analytics ALTER id SET GENERATED ALWAYS",
                "ALTER TABLE review_log ALTER id DROP IDENTITY",
                "ALTER TABLE videos ALTER status DROP EXPRESSION",
                "ALTER TABLE videos DROP CONSTRAINT videos_download_status_check, ADD CONSTRAINT videos_download_status_check \
                 CHECK (download_status IN ('pending', 'downloading', 'downloaded', 'skipped'))",
                "ALTER TABLE shorts DROP CONSTRAINT shorts_clip_id_fkey, ADD CONSTRAINT shorts_clip_id_fkey \
                 FOREIGN KEY (clip_id) REFERENCES clips (id) NOT VALID",
                "ALTER TABLE music ADD CONSTRAINT no_empty_names CHECK (name <> '')",
                "ALTER TABLE music DISABLE TRIGGER music_updated_at",
                "CREATE OR REPLACE FUNCTION viraldb_notify_jobs() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
                "DROP VIEW viralforge.trends",
                "ALTER TABLE transformation_presets DROP CONSTRAINT transformation_presets_pkey CASCADE",
            ] {
                execute(c, sql);
            }
            Ok(())
        })
        .unwrap();
        let found = findings(&db);
        let expected = [
            "column clips.rank_position has type bigint, expected integer",
            "column discovered_videos.processed has the default 1, expected 0",
            "column pipeline_runs.retry_count has no default, expected 0",
            "column error_log.error_message has the default 'unknown'::text but should have no default",
            "column scripts.generated_at is nullable but should be NOT NULL",
            "column jobs.theme is NOT NULL but should be nullable",
            "column analytics.id is generated as an identity, always, expected an identity, by default",
            "column review_log.id is not generated but should be generated as an identity, by default",
            "the check on videos.download_status allows different values: added skipped; missing failed",
            "foreign key shorts_clip_id_fkey on shorts is FOREIGN KEY (clip_id) REFERENCES clips(id) NOT VALID, expected \
             FOREIGN KEY (clip_id) REFERENCES clips(id)",
            "check no_empty_names on music is not part of viraldb's schema",
            "trigger music_updated_at on music differs from the one in viraldb's migrations",
            "function viraldb_notify_jobs differs from the one in viraldb's migrations",
            "view viralforge.trends is missing",
            "primary key transformation_presets_pkey is missing on transformation_presets",
            "foreign key channels_effect_preset_id_fkey is missing on channels",
            "foreign key videos_transformation_preset_id_fkey is missing on videos",
        ];
        let generated: Vec<&String> = found
            .iter()
            .filter(|what| {
                what.starts_with("column videos.status is not generated but should be generated as CASE")
            })
            .collect();
        assert_eq!(generated.len(), 1, "{found:#?}");
        let others: BTreeSet<String> = found.iter().filter(|what| *what != generated[0]).cloned().collect();
        assert_eq!(others, expected.map(str::to_owned).into_iter().collect());
    }

    /// An index whose concurrent creation was interrupted exists, but PostgreSQL does not use it.
    #[test]
    fn invalid_index_is_reported_and_rebuilt() {
        let t = Scratch::postgres();
        let db = t.db();
        db.write(|c| {
            execute(
                c,
                "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'idx_clips_pipeline'::regclass",
            );
            Ok(())
        })
        .unwrap();
        let expected = "index idx_clips_pipeline on clips is btree (pipeline_run_id), not valid, expected btree (pipeline_run_id)";
        assert_eq!(findings(&db), BTreeSet::from([expected.to_owned()]));
        let said = t.run(&["doctor", "--only", "drift"]);
        assert_eq!(said.code, 4);
        assert!(
            said.out.contains("a CREATE INDEX CONCURRENTLY did not finish: no query uses the index"),
            "{}",
            said.out
        );
        let fixed = t.run(&["doctor", "--only", "drift", "--fix"]);
        assert!(
            fixed.code == 0 && fixed.out.contains("REINDEX INDEX CONCURRENTLY idx_clips_pipeline"),
            "{}",
            fixed.out
        );
        assert_eq!(findings(&db), BTreeSet::new());
    }

    /// The role may read everything but create nothing.
    #[test]
    fn drift_check_without_create_privilege_is_a_warning() {
        let t = Scratch::postgres();
        let db = t.db();
        let role = format!("reader_{}", std::process::id());
        db.write(|c| {
            execute(
                c,
                &format!("CREATE ROLE {role} LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO {role}"),
            );
            execute(c, &format!("GRANT SELECT ON ALL SEQUENCES IN SCHEMA public TO {role}"));
            Ok(())
        })
        .unwrap();
        let url = format!("postgres://{role}@{}", t.url.split_once('@').unwrap().1);
        let said = t.command(&["doctor"]).env("DATABASE_URL", &url).output().unwrap();
        let out = String::from_utf8(said.stdout).unwrap();
        assert!(out.contains("warning  drift") && out.contains("permission denied for database"), "{out}");
        assert_eq!(said.status.code(), Some(3), "{out}");
        db.write(|c| {
            execute(c, &format!("DROP OWNED BY {role}; DROP ROLE {role}"));
            Ok(())
        })
        .unwrap();
    }
}
