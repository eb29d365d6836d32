//! Diesel's own command line beside us.

use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use viraldb::db::migrate::{self, Verdict};
use viraldb::diesel::prelude::*;
use viraldb::{Database, DbConnection};

use crate::make::query;
use crate::support::both;

fn stock(
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

/// Diesel's own way to migrate, whatever the engine.
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
    fn what_stock_diesel_migrated_is_ours(t) {
        let ours = t.another();
        drop(ours.db());
        stock(&mut t.plain(), t.folder(), |c, migrations| {
            c.run_all(migrations);
            true
        });
        assert_eq!(t.dump(), ours.dump());
        assert!(t.versions("viraldb_migrations").is_empty());
        // Nothing on record is no difference, and looking does not record.
        drop(Database::connect(&t.url).unwrap());
        assert_eq!(migrate::status(&t.url).unwrap().verdict(), Verdict::Current);
        assert!(t.versions("viraldb_migrations").is_empty());
        drop(Database::open(&t.url).unwrap());
        t.is_current();
        let checksums = "SELECT checksum AS v FROM viraldb_migrations ORDER BY version";
        assert_eq!(query(&mut t.plain(), checksums), query(&mut ours.plain(), checksums));
    }

    fn stock_diesel_takes_over_what_is_ours(t) {
        drop(t.db());
        assert!(!stock(&mut t.plain(), t.folder(), |c, migrations| c.has_pending(migrations)));
        migrate::revert(&t.url, 1).unwrap();
        assert!(stock(&mut t.plain(), t.folder(), |c, migrations| c.has_pending(migrations)));
        stock(&mut t.plain(), t.folder(), |c, migrations| {
            c.run_all(migrations.clone());
            c.revert_all(migrations);
            true
        });
        assert!(t.tables().is_empty());
        drop(t.db());
        t.is_current();
    }
}
