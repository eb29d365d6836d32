//! Migration histories that differ from viraldb's are rejected.

use viraldb::db::migrate::{self, State, Verdict};
use viraldb::{Database, Error};

use super::key;
use crate::make::execute;
use crate::support::{Scratch, both};

impl Scratch {
    /// Records a migration of another version of viraldb.
    fn insert_version(&self, key: &str) {
        let rows = format!(
            "INSERT INTO __diesel_schema_migrations (version) VALUES ('{key}');
             INSERT INTO viraldb_migrations (version, checksum) VALUES ('{key}', 'c')"
        );
        execute(&mut self.plain(), &rows).unwrap();
    }

    /// Requires that every function rejects the database with this verdict and changes nothing.
    fn require_rejected(&self, verdict: Verdict, says: &[&str]) {
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

/// The checksums that databases of earlier builds recorded. Only comments of the migrations have changed since.
const FORMER_SQLITE: [(&str, &str); 5] = [
    ("20261121000001", "4f4cef1977b24e645eb3d8b620c7245a7bc26c322c8a5843a8e2f3d3763749a0"),
    ("20261121000002", "c6cc9ca4c9c0c0ed675bd0cbeffc122a61d6d1d478c6086daa02b4efb03103b6"),
    ("20261121000003", "ff597550a2d58f353c822eb010e326a35f8e0d934253228c3116172711b1bf44"),
    ("20261121000004", "3c5c9ae42c37bc0a9a35a1fb0758641a173c58d49e9fa73a1e48c2bdb5313bba"),
    ("20261127000005", "b8075b6612b05b192a24f91aa7514a86fa8e86850bba59d86c470117b67b2500"),
];
const FORMER_POSTGRES: [(&str, &str); 5] = [
    ("20261121000001", "aca2d32f61f89c5b7366a933fc57bd6a9950603c1c0ba18165590977fa913cdc"),
    ("20261121000002", "5d8156b90a040a05f687cca9093a4566e00dc3ccb1e368019450f6fcad66c32f"),
    ("20261121000003", "15b1d5920e5437149311388ae7763abff94e8f523efd752576300711acd601c6"),
    ("20261121000004", "f1d8d5129328b47247803a5360ce6e334685da0c938ac25666c54baca26bd214"),
    ("20261127000005", "54abf29e694de844293e80ff67be10ff927765413f16aabecf672932653ede57"),
];

both! {
    fn newer_database_is_rejected(t) {
        drop(t.db());
        t.insert_version("20991231000007");
        t.require_rejected(Verdict::Newer, &["2099-12-31-000007", t.migrations().last().unwrap().version()]);
        let status = migrate::status(&t.url).unwrap();
        assert_eq!(status.newest_applied(), Some("2099-12-31-000007"));
        let last = status.entries.last().unwrap();
        assert_eq!((last.state, &*last.version, &*last.name), (State::Newer, "2099-12-31-000007", ""));
    }

    fn modified_migration_is_rejected(t) {
        drop(t.db());
        let changed = &t.migrations()[1];
        execute(&mut t.plain(), &format!("UPDATE viraldb_migrations SET checksum = '0' WHERE version = '{}'", key(changed))).unwrap();
        t.require_rejected(Verdict::Differs, &[&format!("{changed} was changed after it was applied")]);
        assert_eq!(migrate::status(&t.url).unwrap().entries[1].state, State::Modified);
    }

    fn checksums_from_before_comments_were_reworded_are_accepted(t) {
        drop(t.db());
        let former = if t.url.starts_with("postgres") { FORMER_POSTGRES } else { FORMER_SQLITE };
        for (version, checksum) in former {
            let sql = format!("UPDATE viraldb_migrations SET checksum = '{checksum}' WHERE version = '{version}'");
            execute(&mut t.plain(), &sql).unwrap();
        }
        assert_eq!(migrate::status(&t.url).unwrap().verdict(), Verdict::Current);
        drop(t.db());
    }

    fn unknown_migration_is_rejected(t) {
        drop(t.db());
        t.insert_version("20260101000000");
        t.require_rejected(Verdict::Differs, &["2026-01-01-000000 is applied, but this program does not know it"]);
        assert_eq!(migrate::status(&t.url).unwrap().entries[0].state, State::Missing);
    }

    fn out_of_order_migration_is_rejected(t) {
        drop(t.db());
        let left_out = &t.migrations()[2];
        let delete = format!("DELETE FROM __diesel_schema_migrations WHERE version = '{}'", key(left_out));
        execute(&mut t.plain(), &delete).unwrap();
        t.require_rejected(Verdict::Differs, &[&format!("{left_out} is not applied, but later ones are")]);
        assert_eq!(migrate::status(&t.url).unwrap().entries[2].state, State::OutOfOrder);
    }

    fn all_history_differences_are_reported(t) {
        drop(t.db());
        let [first, second, ..] = t.migrations() else { panic!() };
        execute(&mut t.plain(), &format!(
            "UPDATE viraldb_migrations SET checksum = '0' WHERE version = '{}';
             DELETE FROM __diesel_schema_migrations WHERE version = '{}'",
            key(first), key(second),
        )).unwrap();
        t.insert_version("20260101000000");
        t.require_rejected(Verdict::Differs, &["2026-01-01-000000 is", &format!("{first} was"), &format!("{second} is not")]);
        // A newer version is reported first, because only the newer program can judge the other differences.
        t.insert_version("20991231000007");
        t.require_rejected(Verdict::Newer, &["2099-12-31-000007"]);
    }
}
