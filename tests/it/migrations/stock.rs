//! Databases that viraldb and Diesel's own migration harness both migrate.

use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use viraldb::db::migrate::{self, Verdict};
use viraldb::diesel::prelude::*;
use viraldb::{Database, DbConnection};

use crate::make::query;
use crate::support::both;

fn with_diesel(
    c: &mut DbConnection,
    folder: &str,
    work: fn(&mut dyn Harness, FileBasedMigrations) -> bool,
) -> bool {
    let migrations = FileBasedMigrations::from_path(folder).unwrap();
    match c {
        #[cfg(feature = "sqlite")]
        DbConnection::Sqlite(c) => work(c, migrations),
        #[cfg(feature = "postgres")]
        DbConnection::Postgres(c) => work(c, migrations),
    }
}

/// Diesel's migration harness, independent of the engine.
trait Harness {
    fn run_all(&mut self, migrations: FileBasedMigrations);
    fn has_pending(&mut self, migrations: FileBasedMigrations) -> bool;
    fn revert_all(&mut self, migrations: FileBasedMigrations);
}

macro_rules! harness {
    ($($feature:literal $connection:ty),+) => {
        $(
            #[cfg(feature = $feature)]
            impl Harness for $connection {
                fn run_all(&mut self, migrations: FileBasedMigrations) {
                    self.run_pending_migrations(migrations).unwrap();
                }
                fn has_pending(&mut self, migrations: FileBasedMigrations) -> bool {
                    self.has_pending_migration(migrations).unwrap()
                }
                fn revert_all(&mut self, migrations: FileBasedMigrations) {
                    self.revert_all_migrations(migrations).unwrap();
                }
            }
        )+
    };
}
harness!("sqlite" SqliteConnection, "postgres" PgConnection);

both! {
    fn database_migrated_by_diesel_is_accepted(t) {
        let ours = t.another();
        drop(ours.db());
        with_diesel(&mut t.plain(), t.folder(), |c, migrations| {
            c.run_all(migrations);
            true
        });
        assert_eq!(t.dump(), ours.dump());
        // Migrations after the fifth record themselves, without a checksum.
        let recorded = t.versions("viraldb_migrations");
        assert_eq!(recorded.len(), t.migrations().len() - 5);
        // Missing checksums are not a difference, and `connect` and `status` do not record them.
        drop(Database::connect(&t.url).unwrap());
        assert_eq!(migrate::status(&t.url).unwrap().verdict(), Verdict::Current);
        assert_eq!(t.versions("viraldb_migrations"), recorded);
        drop(Database::open(&t.url).unwrap());
        t.require_current();
        let checksums = "SELECT checksum AS v FROM viraldb_migrations ORDER BY version";
        assert_eq!(query(&mut t.plain(), checksums), query(&mut ours.plain(), checksums));
    }

    fn diesel_can_migrate_a_viraldb_database(t) {
        drop(t.db());
        assert!(!with_diesel(&mut t.plain(), t.folder(), |c, migrations| c.has_pending(migrations)));
        migrate::revert(&t.url, 1).unwrap();
        assert!(with_diesel(&mut t.plain(), t.folder(), |c, migrations| c.has_pending(migrations)));
        with_diesel(&mut t.plain(), t.folder(), |c, migrations| {
            c.run_all(migrations.clone());
            c.revert_all(migrations);
            true
        });
        assert!(t.tables().is_empty());
        drop(t.db());
        t.require_current();
    }
}
