//! Another program keeps its tables in the same database and records its migrations in the same Diesel table.

use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use viraldb::db::migrate::{self, State, Verdict};
use viraldb::{Database, DbConnection};

use super::{key, make};
use crate::make::{execute, query};
use crate::support::{Scratch, both};

/// Migrations of the other program with versions before, between and after those of viraldb.
const THEIRS: [(&str, &str, &str); 3] = [
    (
        "2020-01-01-000000_people",
        "CREATE TABLE people (id integer PRIMARY KEY, name text)",
        "DROP TABLE people",
    ),
    ("2026-11-21-000003-5_empty", "SELECT 1", "SELECT 1"),
    (
        "2027-01-01-000000_notes",
        "CREATE TABLE notes (id integer PRIMARY KEY, person integer REFERENCES people (id), \
         video bigint NOT NULL REFERENCES discovered_videos (id), text text NOT NULL)",
        "DROP TABLE notes",
    ),
];

const VERSIONS: [&str; 3] = ["20200101000000", "202611210000035", "20270101000000"];

impl Scratch {
    /// Writes the first `count` migrations of the other program into a folder.
    fn their_folder(&self, count: usize) -> FileBasedMigrations {
        let folder = self.path(&format!("migrations{count}"));
        for (name, up, down) in &THEIRS[..count] {
            std::fs::create_dir_all(folder.join(name)).unwrap();
            std::fs::write(folder.join(name).join("up.sql"), up).unwrap();
            std::fs::write(folder.join(name).join("down.sql"), down).unwrap();
        }
        FileBasedMigrations::from_path(folder).unwrap()
    }

    fn run_theirs(&self, count: usize) -> usize {
        let theirs = self.their_folder(count);
        match &mut self.plain() {
            #[cfg(feature = "sqlite")]
            DbConnection::Sqlite(c) => c.run_pending_migrations(theirs).unwrap().len(),
            #[cfg(feature = "postgres")]
            DbConnection::Postgres(c) => c.run_pending_migrations(theirs).unwrap().len(),
        }
    }

    /// Reverts the newest migration as the other program would. Returns its version or the error.
    fn revert_theirs(&self) -> Result<String, String> {
        let theirs = self.their_folder(3);
        let reverted = match &mut self.plain() {
            #[cfg(feature = "sqlite")]
            DbConnection::Sqlite(c) => c.revert_last_migration(theirs),
            #[cfg(feature = "postgres")]
            DbConnection::Postgres(c) => c.revert_last_migration(theirs),
        };
        reverted.map(|version| version.to_string()).map_err(|error| error.to_string())
    }

    fn require_current_and_separate(&self) {
        assert_eq!(migrate::status(&self.url).unwrap().verdict(), Verdict::Current);
        for version in VERSIONS {
            assert!(!self.versions("viraldb_migrations").contains(&version.to_owned()), "{version}");
        }
        drop(Database::open(&self.url).unwrap());
        drop(Database::connect(&self.url).unwrap());
    }
}

both! {
    fn migrations_of_another_program_run_before_and_after_ours(t) {
        assert_eq!(t.run_theirs(2), 2);
        drop(t.db());
        t.require_current_and_separate();
        assert_eq!(t.run_theirs(3), 1);
        t.require_current_and_separate();
        let status = migrate::status(&t.url).unwrap();
        assert_eq!(status.foreign, ["2020-01-01-000000", "2026-11-21-0000035", "2027-01-01-000000"]);
        assert_eq!(status.newest_applied(), Some(t.migrations().last().unwrap().version()));
        let id = t.db().write(|c| make::discovered_video().insert(c)).unwrap().id.0;
        execute(&mut t.plain(), &format!("INSERT INTO notes (id, video, text) VALUES (1, {id}, 'good')")).unwrap();
    }

    fn viraldb_upgrade_works_after_a_later_migration_of_another_program(t) {
        assert_eq!(t.run_theirs(2), 2);
        // Create the schema of an older viraldb.
        migrate::run(&t.url).unwrap();
        migrate::revert(&t.url, 1).unwrap();
        assert_eq!(t.run_theirs(3), 1);
        let status = migrate::status(&t.url).unwrap();
        assert_eq!(status.verdict(), Verdict::Pending);
        assert!(status.entries.iter().all(|entry| entry.state != State::OutOfOrder));
        assert_eq!(migrate::run(&t.url).unwrap().len(), 1);
        t.require_current_and_separate();
        assert_eq!(migrate::redo(&t.url, 1).unwrap().len(), 1);
        t.require_current_and_separate();
        assert_eq!(query(&mut t.plain(), "SELECT count(*) AS v FROM (SELECT 1 FROM notes) AS n WHERE 1 = 0").len(), 1);
    }

    fn status_and_doctor_note_migrations_of_other_programs(t) {
        drop(t.db());
        t.run_theirs(3);
        let ran = t.run(&["migrate", "status"]);
        assert_eq!(ran.code, 0);
        let note = "migrations of other programs, which viraldb does not change: 2020-01-01-000000, 2026-11-21-0000035, \
                    2027-01-01-000000";
        assert!(ran.err.contains(note), "{}", ran.err);
        assert_eq!(t.run(&["migrate", "check"]).code, 0);
        let ran = t.run(&["doctor", "--only", "history"]);
        assert_eq!(ran.code, 0, "{}", ran.out);
        assert!(ran.out.contains("migrations of another program are in Diesel's table: 2020-01-01-000000"), "{}", ran.out);
    }

    fn backup_has_the_viraldb_version_and_includes_tables_of_other_programs(t) {
        drop(t.db());
        t.run_theirs(3);
        execute(&mut t.plain(), "INSERT INTO people (id, name) VALUES (1, 'Ada')").unwrap();
        let made = t.ok(&["backup", "create", "--format", "json"]);
        let made: serde_json::Value = serde_json::from_str(&made).unwrap();
        let file = t.path(made["file"].as_str().unwrap());
        let other = t.another();
        other.ok(&["restore", "--yes", file.to_str().unwrap()]);
        assert_eq!(query(&mut other.plain(), "SELECT name AS v FROM people"), ["Ada"]);
        other.require_current_and_separate();
        let listed = t.ok(&["backup", "list", "--format", "json"]);
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        let ours = t.migrations().last().unwrap().version();
        assert_eq!(listed[0]["schema"], ours, "{listed}");
    }

    /// Diesel reverts the newest version. As documented, this works while it belongs to the other program.
    fn another_program_can_revert_only_its_own_migrations(t) {
        drop(t.db());
        t.run_theirs(3);
        assert_eq!(t.revert_theirs().unwrap(), "20270101000000");
        t.require_current_and_separate();
        let newest = key(t.migrations().last().unwrap());
        let error = t.revert_theirs().unwrap_err();
        assert!(error.contains(&newest), "{error}");
        t.require_current_and_separate();
        assert_eq!(t.run_theirs(3), 1);
    }

    /// Migrations of later viraldb versions record themselves, so viraldb also recognizes those that the Diesel CLI applied.
    fn self_recorded_unknown_migration_means_a_newer_viraldb(t) {
        drop(t.db());
        execute(&mut t.plain(), "INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000001');
            INSERT INTO viraldb_migrations (version, checksum) VALUES ('20991231000001', '')").unwrap();
        assert_eq!(migrate::status(&t.url).unwrap().verdict(), Verdict::Newer);
    }

    fn self_recorded_known_migration_gets_its_checksum(t) {
        drop(t.db());
        let last = t.migrations().last().unwrap();
        execute(&mut t.plain(), &format!("UPDATE viraldb_migrations SET checksum = '' WHERE version = '{}'", key(last))).unwrap();
        drop(Database::open(&t.url).unwrap());
        let checksums = query(&mut t.plain(), "SELECT checksum AS v FROM viraldb_migrations");
        assert!(checksums.len() == t.migrations().len() && checksums.iter().all(|sum| sum.len() == 64), "{checksums:?}");
    }
}
