//! Histories that are not ours.

use viraldb::db::migrate::{self, State, Verdict};
use viraldb::{Database, Error};

use super::key;
use crate::make::execute;
use crate::support::{Scratch, both};

impl Scratch {
    /// A migration of another version of viraldb.
    fn plant(&self, key: &str) {
        let rows = format!(
            "INSERT INTO __diesel_schema_migrations (version) VALUES ('{key}');
             INSERT INTO viraldb_migrations (version, checksum) VALUES ('{key}', 'c')"
        );
        execute(&mut self.plain(), &rows).unwrap();
    }

    /// Nobody takes the database for ours, and nobody changes it.
    fn is_refused(&self, verdict: Verdict, says: &[&str]) {
        let before = (self.dump(), self.counts(), self.versions("__diesel_schema_migrations"));
        for (what, error) in [
            ("open", Database::open(&self.url).unwrap_err()),
            ("connect", Database::connect(&self.url).unwrap_err()),
            ("run", migrate::run(&self.url).unwrap_err()),
            ("revert", migrate::revert(&self.url, 1).unwrap_err()),
            ("redo", migrate::redo(&self.url, 1).unwrap_err()),
        ] {
            assert_eq!(
                matches!(error, Error::SchemaNewer { .. }),
                verdict == Verdict::Newer,
                "{what}: {error:?}"
            );
            assert_eq!(
                matches!(error, Error::SchemaModified(_)),
                verdict == Verdict::Differs,
                "{what}: {error:?}"
            );
            for part in says {
                assert!(error.to_string().contains(part), "{what}: {error}");
            }
        }
        assert_eq!(migrate::status(&self.url).unwrap().verdict(), verdict);
        assert_eq!((self.dump(), self.counts(), self.versions("__diesel_schema_migrations")), before);
    }
}

both! {
    fn a_newer_database_is_refused(t) {
        drop(t.db());
        t.plant("20991231000007");
        t.is_refused(Verdict::Newer, &["2099-12-31-000007", t.migrations().last().unwrap().version()]);
        let status = migrate::status(&t.url).unwrap();
        assert_eq!(status.newest_applied(), Some("2099-12-31-000007"));
        let last = status.entries.last().unwrap();
        assert_eq!((last.state, &*last.version, &*last.name), (State::Newer, "2099-12-31-000007", ""));
    }

    fn a_changed_migration_is_refused(t) {
        drop(t.db());
        let changed = &t.migrations()[1];
        execute(&mut t.plain(), &format!("UPDATE viraldb_migrations SET checksum = '0' WHERE version = '{}'", key(changed))).unwrap();
        t.is_refused(Verdict::Differs, &[&format!("{changed} was changed after it was applied")]);
        assert_eq!(migrate::status(&t.url).unwrap().entries[1].state, State::Modified);
    }

    fn a_missing_migration_is_refused(t) {
        drop(t.db());
        t.plant("20260101000000");
        t.is_refused(Verdict::Differs, &["2026-01-01-000000 is applied but this program does not have it"]);
        assert_eq!(migrate::status(&t.url).unwrap().entries[0].state, State::Missing);
    }

    fn a_migration_left_out_is_refused(t) {
        drop(t.db());
        let left_out = &t.migrations()[2];
        let delete = format!("DELETE FROM __diesel_schema_migrations WHERE version = '{}'", key(left_out));
        execute(&mut t.plain(), &delete).unwrap();
        t.is_refused(Verdict::Differs, &[&format!("{left_out} is not applied but later ones are")]);
        assert_eq!(migrate::status(&t.url).unwrap().entries[2].state, State::OutOfOrder);
    }

    fn all_differences_are_named(t) {
        drop(t.db());
        let [first, second, ..] = t.migrations() else { panic!() };
        execute(&mut t.plain(), &format!(
            "UPDATE viraldb_migrations SET checksum = '0' WHERE version = '{}';
             DELETE FROM __diesel_schema_migrations WHERE version = '{}'",
            key(first), key(second),
        )).unwrap();
        t.plant("20260101000000");
        t.is_refused(Verdict::Differs, &["2026-01-01-000000 is", &format!("{first} was"), &format!("{second} is not")]);
        // Newer is said before anything else: the newer program can tell.
        t.plant("20991231000007");
        t.is_refused(Verdict::Newer, &["2099-12-31-000007"]);
    }
}
