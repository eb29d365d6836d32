//! Migrations run once, completely or not at all, in both directions, and only on viraldb's own history.

mod foreign;
#[cfg(feature = "sqlite")]
mod on_sqlite;
mod processes;
mod refused;
#[cfg(feature = "postgres")]
mod schemas;
mod shared;
mod stock;

use std::path::PathBuf;

use viraldb::db::migrate::{self, Migration, State, Verdict};
use viraldb::diesel::prelude::*;
use viraldb::{Database, DbConnection, Error};

use crate::make::{self, contract, execute, query, seed};
use crate::support::{Scratch, both};

impl Scratch {
    /// Opens a connection as another program would. On SQLite this creates the file if it does not exist.
    pub(crate) fn plain(&self) -> DbConnection {
        #[cfg(feature = "postgres")]
        if self.is_postgres {
            return DbConnection::Postgres(PgConnection::establish(&self.url).unwrap());
        }
        #[cfg(feature = "sqlite")]
        return DbConnection::Sqlite(
            SqliteConnection::establish(self.sqlite_file().to_str().unwrap()).unwrap(),
        );
        #[cfg(not(feature = "sqlite"))]
        unreachable!("at least one engine is compiled in");
    }

    fn sqlite_file(&self) -> PathBuf {
        self.path("viral.db")
    }

    fn migrations(&self) -> &'static [Migration] {
        migrate::embedded(&self.url).unwrap()
    }

    fn folder(&self) -> &'static str {
        if self.is_postgres { "migrations/postgres" } else { "migrations/sqlite" }
    }

    /// Returns the tables except Diesel's migration table.
    fn tables(&self) -> Vec<String> {
        let text = if self.is_postgres {
            "SELECT relname::text AS v FROM pg_class WHERE relkind = 'r' AND relname <> '__diesel_schema_migrations'
                 AND relnamespace = 'public'::regnamespace ORDER BY 1"
        } else {
            "SELECT name AS v FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'
                 AND name <> '__diesel_schema_migrations' ORDER BY 1"
        };
        query(&mut self.plain(), text)
    }

    /// Returns the versions in one of the two migration tables. Returns none if the table does not exist.
    fn versions(&self, table: &str) -> Vec<String> {
        let mut c = self.plain();
        let there = if self.is_postgres {
            format!("SELECT to_regclass('{table}')::text AS v WHERE to_regclass('{table}') IS NOT NULL")
        } else {
            format!("SELECT name AS v FROM sqlite_master WHERE name = '{table}'")
        };
        if query(&mut c, &there).is_empty() {
            return Vec::new();
        }
        query(&mut c, &format!("SELECT version AS v FROM {table} ORDER BY version"))
    }

    /// Returns the complete schema of the database as text, without Diesel's migration table.
    fn dump(&self) -> Vec<String> {
        let mut c = self.plain();
        if !self.is_postgres {
            return query(
                &mut c,
                "SELECT concat_ws(' ', type, tbl_name, name, sql) AS v FROM sqlite_master
                 WHERE name NOT LIKE 'sqlite_%' AND tbl_name <> '__diesel_schema_migrations' ORDER BY 1",
            );
        }
        let ours = "NOT IN ('pg_catalog', 'information_schema', 'pg_toast')";
        let parts = [
            format!("SELECT concat_ws(' ', 'schema', nspname) FROM pg_namespace WHERE nspname {ours}"),
            format!(
                "SELECT concat_ws(' ', 'column', table_schema, table_name, column_name, row_number() OVER (PARTITION BY table_schema, table_name ORDER BY ordinal_position), data_type,
                     is_nullable, column_default, is_identity, identity_generation, is_generated, generation_expression,
                     col_description(format('%I.%I', table_schema, table_name)::regclass, ordinal_position))
                 FROM information_schema.columns WHERE table_schema {ours}"
            ),
            format!("SELECT concat_ws(' ', 'index', tablename, indexdef) FROM pg_indexes WHERE schemaname {ours}"),
            format!(
                "SELECT concat_ws(' ', 'constraint', conrelid::regclass, conname, pg_get_constraintdef(oid))
                 FROM pg_constraint WHERE connamespace::regnamespace::text {ours}"
            ),
            "SELECT concat_ws(' ', 'trigger', tgrelid::regclass, pg_get_triggerdef(oid)) FROM pg_trigger
             WHERE NOT tgisinternal"
                .to_owned(),
            format!("SELECT concat_ws(' ', 'view', schemaname, viewname, definition) FROM pg_views WHERE schemaname {ours}"),
            format!(
                "SELECT concat_ws(' ', 'function', pg_get_functiondef(oid)) FROM pg_proc
                 WHERE pronamespace::regnamespace::text {ours}"
            ),
            format!(
                "SELECT concat_ws(' ', 'relation', oid::regclass, relkind, obj_description(oid, 'pg_class'))
                 FROM pg_class WHERE relnamespace::regnamespace::text {ours}"
            ),
        ];
        let text = format!("SELECT x AS v FROM ({}) AS all_of_it (x) ORDER BY 1", parts.join(" UNION ALL "));
        let mut lines = query(&mut c, &text);
        lines.retain(|line| !line.contains("__diesel_schema_migrations"));
        lines
    }

    /// Returns the number of rows in each of the 22 tables, or `None` if the table does not exist.
    fn counts(&self) -> Vec<(&'static str, Option<usize>)> {
        let there = self.tables();
        let mut c = self.plain();
        contract()
            .iter()
            .map(|contract| {
                let table = contract.table;
                let count = there.iter().any(|name| name == table).then(|| {
                    query(&mut c, &format!("SELECT CAST(count(*) AS text) AS v FROM {table}"))[0]
                        .parse()
                        .unwrap()
                });
                (table, count)
            })
            .collect()
    }

    /// Reverts every migration after the one whose name ends with `name`.
    #[cfg(feature = "postgres")]
    fn revert_to(&self, name: &str) {
        let kept = self.migrations().iter().position(|migration| migration.name.ends_with(name)).unwrap() + 1;
        migrate::revert(&self.url, self.migrations().len() - kept).unwrap();
    }

    /// Requires that the schema is current and that every migration is recorded exactly once.
    fn require_current(&self) {
        let keys: Vec<String> = self.migrations().iter().map(key).collect();
        assert_eq!(self.versions("__diesel_schema_migrations"), keys);
        assert_eq!(self.versions("viraldb_migrations"), keys);
        let status = migrate::status(&self.url).unwrap();
        assert_eq!(status.verdict(), Verdict::Current);
        assert!(
            status.entries.iter().all(|entry| entry.state == State::Applied && entry.recorded_at.is_some())
        );
    }
}

/// Returns a migration's version in the format of Diesel's table.
fn key(migration: &Migration) -> String {
    migration.version().replace('-', "")
}

fn names(migrations: &[Migration]) -> Vec<&'static str> {
    migrations.iter().map(|migration| migration.name).collect()
}

both! {
    fn embedded_migrations_match_the_folders(t) {
        let mut folders: Vec<PathBuf> = std::fs::read_dir(t.folder()).unwrap().map(|folder| folder.unwrap().path()).collect();
        folders.sort();
        assert_eq!(folders.len(), t.migrations().len());
        for (migration, folder) in t.migrations().iter().zip(folders) {
            assert_eq!(folder.file_name().unwrap(), migration.name);
            assert_eq!(std::fs::read_to_string(folder.join("up.sql")).unwrap(), migration.up);
            assert_eq!(std::fs::read_to_string(folder.join("down.sql")).unwrap(), migration.down);
        }
    }

    fn connecting_changes_nothing(t) {
        // First the database does not exist or is empty, then it belongs to another program.
        assert!(matches!(Database::connect(&t.url), Err(Error::NotInitialised(_))));
        if !t.is_postgres {
            assert!(!t.sqlite_file().exists());
        }
        execute(&mut t.plain(), "CREATE TABLE theirs (id integer PRIMARY KEY)").unwrap();
        let before = t.dump();
        assert!(matches!(Database::connect(&t.url), Err(Error::NotInitialised(_))));
        assert!(matches!(migrate::revert(&t.url, 1), Err(Error::NotInitialised(_))));
        assert!(matches!(migrate::redo(&t.url, 1), Err(Error::NotInitialised(_))));
        let status = migrate::status(&t.url).unwrap();
        assert_eq!((status.verdict(), status.is_initialised(), status.newest_applied()), (Verdict::Pending, false, None));
        assert_eq!(status.pending().map(|migration| migration.name).collect::<Vec<_>>(), names(t.migrations()));
        assert_eq!((t.dump(), t.versions("__diesel_schema_migrations").len()), (before, 0));

        // viraldb can share a database with tables of another program if the names differ.
        drop(t.db());
        t.require_current();
        drop(Database::connect(&t.url).unwrap());

        let newest = t.migrations().last().unwrap();
        assert_eq!(migrate::revert(&t.url, 1).unwrap(), [newest.name]);
        let before = t.dump();
        match Database::connect(&t.url) {
            Err(Error::SchemaPending(pending)) => assert_eq!(pending, [newest.name]),
            other => panic!("{other:?}"),
        }
        assert_eq!(migrate::status(&t.url).unwrap().verdict(), Verdict::Pending);
        assert_eq!(t.dump(), before);
        drop(Database::open(&t.url).unwrap());
        drop(Database::connect(&t.url).unwrap());
    }

    fn run_revert_and_redo_return_the_migrations(t) {
        let all = names(t.migrations());
        let newest_first: Vec<_> = all.iter().rev().copied().collect();
        assert_eq!(migrate::run(&t.url).unwrap(), all);
        t.require_current();
        assert!(migrate::run(&t.url).unwrap().is_empty());
        assert!(migrate::revert(&t.url, 0).unwrap().is_empty());
        assert_eq!(migrate::revert(&t.url, all.len() - 3).unwrap(), newest_first[..all.len() - 3]);
        assert_eq!(migrate::redo(&t.url, 1).unwrap(), [all[2]]);
        assert_eq!(migrate::run(&t.url).unwrap(), all[3..]);
        assert_eq!(migrate::redo(&t.url, all.len() - 2).unwrap(), all[2..]);
        assert_eq!(migrate::redo(&t.url, 99).unwrap(), all);
        t.require_current();
        assert_eq!(migrate::revert(&t.url, 99).unwrap(), newest_first);
        assert!(matches!(migrate::revert(&t.url, 1), Err(Error::NotInitialised(_))));
        assert_eq!(migrate::run(&t.url).unwrap(), all);
        t.require_current();
    }

    fn every_migration_can_be_reverted_and_reapplied(t) {
        let nothing = t.dump();
        drop(t.db());
        let full = t.dump();
        seed(&mut t.plain()).unwrap();
        make::link(&mut t.plain()).unwrap();
        assert!(t.counts().iter().all(|(_, count)| *count == Some(1)));
        for step in t.migrations().iter().rev() {
            let (before, counts, tables) = (t.dump(), t.counts(), t.tables());
            assert_eq!(migrate::redo(&t.url, 1).unwrap(), [step.name]);
            assert_eq!(t.dump(), before, "{step}");
            let made: Vec<(&str, Option<usize>)> = t.counts();
            assert_eq!(migrate::revert(&t.url, 1).unwrap(), [step.name]);
            let left = t.tables();
            let creates_tables = !["safe_functions", "job_payload", "report_indexes", "unresolved_errors"].iter().any(|name| step.name.ends_with(name));
            assert_eq!(left.len() < tables.len(), creates_tables, "{step}");
            for ((table, after), (_, before)) in made.into_iter().zip(&counts) {
                // `redo` recreates the tables of this migration without rows, and keeps the rows of all other tables.
                let expected = if left.iter().any(|name| name == table) { *before } else { before.map(|_| 0) };
                assert_eq!(after, expected, "{table} after {step}");
            }
        }
        assert_eq!(t.dump(), nothing);
        assert_eq!(migrate::run(&t.url).unwrap(), names(t.migrations()));
        assert_eq!(t.dump(), full);
    }
}

#[cfg(feature = "postgres")]
#[test]
fn status_and_connect_create_nothing_on_postgres() {
    let t = Scratch::postgres();
    let relations = || {
        query(
            &mut t.plain(),
            "SELECT relname::text AS v FROM pg_class WHERE relnamespace = 'public'::regnamespace",
        )
    };
    let status = migrate::status(&t.url).unwrap();
    assert_eq!((status.verdict(), status.is_initialised()), (Verdict::Pending, false));
    assert!(matches!(Database::connect(&t.url), Err(Error::NotInitialised(_))));
    assert!(relations().is_empty());
}

#[cfg(all(feature = "sqlite", feature = "postgres"))]
#[test]
fn both_engines_have_the_same_migrations() {
    let sqlite = migrate::embedded("sqlite::memory:").unwrap();
    let postgres = migrate::embedded("postgres://localhost/x").unwrap();
    assert_eq!(names(sqlite), names(postgres));
    assert!(names(sqlite).is_sorted() && sqlite.len() >= 4);
}
