//! A program that keeps tables of its own in the same database, with migrations of its own in Diesel's table.

use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use viraldb::db::migrate::{self, State, Verdict};
use viraldb::{Database, DbConnection};

use super::{key, make};
use crate::make::{execute, query};
use crate::support::{Scratch, both};

/// Before all of ours, between them, and after them.
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
    /// A folder of the first migrations of the program, so many.
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

    /// What the program's own `revert_last_migration` says.
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

    fn is_whole(&self) {
        assert_eq!(migrate::status(&self.url).unwrap().verdict(), Verdict::Current);
        for version in VERSIONS {
            assert!(!self.versions("viraldb_migrations").contains(&version.to_owned()), "{version}");
        }
        drop(Database::open(&self.url).unwrap());
        drop(Database::connect(&self.url).unwrap());
    }
}

both! {
    fn migrations_of_a_program_run_before_and_after_ours(t) {
        assert_eq!(t.run_theirs(2), 2);
        drop(t.db());
        t.is_whole();
        assert_eq!(t.run_theirs(3), 1);
        t.is_whole();
        let status = migrate::status(&t.url).unwrap();
        assert_eq!(status.foreign, ["2020-01-01-000000", "2026-11-21-0000035", "2027-01-01-000000"]);
        assert_eq!(status.newest_applied(), Some(t.migrations().last().unwrap().version()));
        let id = t.db().write(|c| make::discovered_video().insert(c)).unwrap().id.0;
        execute(&mut t.plain(), &format!("INSERT INTO notes (id, video, text) VALUES (1, {id}, 'good')")).unwrap();
    }

    fn an_upgrade_of_ours_comes_after_a_later_one_of_theirs(t) {
        assert_eq!(t.run_theirs(2), 2);
        // What an older viraldb had made.
        migrate::run(&t.url).unwrap();
        migrate::revert(&t.url, 1).unwrap();
        assert_eq!(t.run_theirs(3), 1);
        let status = migrate::status(&t.url).unwrap();
        assert_eq!(status.verdict(), Verdict::Pending);
        assert!(status.entries.iter().all(|entry| entry.state != State::OutOfOrder));
        assert_eq!(migrate::run(&t.url).unwrap().len(), 1);
        t.is_whole();
        assert_eq!(migrate::redo(&t.url, 1).unwrap().len(), 1);
        t.is_whole();
        assert_eq!(query(&mut t.plain(), "SELECT count(*) AS v FROM (SELECT 1 FROM notes) AS n WHERE 1 = 0").len(), 1);
    }

    fn status_and_doctor_name_migrations_of_others_as_a_note(t) {
        drop(t.db());
        t.run_theirs(3);
        let ran = t.run(&["migrate", "status"]);
        assert_eq!(ran.code, 0);
        let note = "migrations of another program, which viraldb leaves alone: 2020-01-01-000000, 2026-11-21-0000035, \
                    2027-01-01-000000";
        assert!(ran.err.contains(note), "{}", ran.err);
        assert_eq!(t.run(&["migrate", "check"]).code, 0);
        let ran = t.run(&["doctor", "--only", "history"]);
        assert_eq!(ran.code, 0, "{}", ran.out);
        assert!(ran.out.contains("migrations of another program are in Diesel's table: 2020-01-01-000000"), "{}", ran.out);
    }

    fn a_backup_is_of_our_schema_and_holds_the_tables_of_others(t) {
        drop(t.db());
        t.run_theirs(3);
        execute(&mut t.plain(), "INSERT INTO people (id, name) VALUES (1, 'Ada')").unwrap();
        let made = t.ok(&["backup", "create", "--format", "json"]);
        let made: serde_json::Value = serde_json::from_str(&made).unwrap();
        let file = t.path(made["file"].as_str().unwrap());
        let other = t.another();
        other.ok(&["restore", "--yes", file.to_str().unwrap()]);
        assert_eq!(query(&mut other.plain(), "SELECT name AS v FROM people"), ["Ada"]);
        other.is_whole();
        let listed = t.ok(&["backup", "list", "--format", "json"]);
        let listed: serde_json::Value = serde_json::from_str(&listed).unwrap();
        let ours = t.migrations().last().unwrap().version();
        assert_eq!(listed[0]["schema"], ours, "{listed}");
    }

    /// As the docs say: the newest version is a program's own if it is later than ours.
    fn a_program_reverts_its_own_migration_and_never_one_of_ours(t) {
        drop(t.db());
        t.run_theirs(3);
        assert_eq!(t.revert_theirs().unwrap(), "20270101000000");
        t.is_whole();
        let newest = key(t.migrations().last().unwrap());
        let error = t.revert_theirs().unwrap_err();
        assert!(error.contains(&newest), "{error}");
        t.is_whole();
        assert_eq!(t.run_theirs(3), 1);
    }

    /// A later viraldb's migrations record themselves, so that also those which the stock command applied are recognized.
    fn a_migration_that_recorded_itself_is_of_a_newer_viraldb(t) {
        drop(t.db());
        execute(&mut t.plain(), "INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000001');
            INSERT INTO viraldb_migrations (version, checksum) VALUES ('20991231000001', '')").unwrap();
        assert_eq!(migrate::status(&t.url).unwrap().verdict(), Verdict::Newer);
    }

    fn a_migration_of_ours_that_recorded_itself_gets_its_checksum(t) {
        drop(t.db());
        let last = t.migrations().last().unwrap();
        execute(&mut t.plain(), &format!("UPDATE viraldb_migrations SET checksum = '' WHERE version = '{}'", key(last))).unwrap();
        drop(Database::open(&t.url).unwrap());
        let checksums = query(&mut t.plain(), "SELECT checksum AS v FROM viraldb_migrations");
        assert!(checksums.len() == t.migrations().len() && checksums.iter().all(|sum| sum.len() == 64), "{checksums:?}");
    }
}
