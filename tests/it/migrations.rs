//! Migrations: run once, whole or not at all, back and forth, and only on histories that are ours.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use diesel_migrations::{FileBasedMigrations, MigrationHarness};
use viraldb::db::migrate::{self, Migration, State, Verdict};
use viraldb::diesel::prelude::*;
use viraldb::{Database, DbConnection, Error};

use crate::make::{self, contract, execute, query, seed};
use crate::support::{Scratch, both};

impl Scratch {
    fn another(&self) -> Self {
        #[cfg(feature = "postgres")]
        if self.is_postgres {
            return Self::postgres();
        }
        #[cfg(feature = "sqlite")]
        return Self::sqlite();
        #[cfg(not(feature = "sqlite"))]
        unreachable!("one engine is there");
    }

    /// A connection as other programs open it. On SQLite it makes the file if it is not there.
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
        unreachable!("one engine is there");
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

    /// The tables but for Diesel's own.
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

    /// The versions in one of the two tables that keep them, if the table is there.
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

    /// Everything in the database but rows and Diesel's own table.
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
                "SELECT concat_ws(' ', 'column', table_schema, table_name, column_name, ordinal_position, data_type,
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

    /// How many rows each of the 22 tables has; a table that is not there has `None`.
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

    /// Current, with every migration on record once.
    fn is_current(&self) {
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

/// A migration's version as Diesel keeps it.
fn key(migration: &Migration) -> String {
    migration.version().replace('-', "")
}

fn names(migrations: &[Migration]) -> Vec<&'static str> {
    migrations.iter().map(|migration| migration.name).collect()
}

/// What the processes below run: opens the database when the gate file is there. Without the variables
/// it is a test of nothing.
#[test]
fn child_opens() {
    let Ok(url) = std::env::var("VIRALDB_TEST_OPEN_URL") else { return };
    let gate = PathBuf::from(std::env::var_os("VIRALDB_TEST_OPEN_GATE").unwrap());
    std::fs::write(gate.with_extension(std::process::id().to_string()), "").unwrap();
    while !gate.exists() {
        std::thread::sleep(Duration::from_micros(100));
    }
    Database::open(&url).unwrap();
}

/// Processes that open the database the moment the gate is opened, and the gate.
fn children(t: &Scratch, count: usize) -> (Vec<Child>, PathBuf) {
    let gate = t.path("gate");
    let children: Vec<Child> = (0..count)
        .map(|_| {
            Command::new(std::env::current_exe().unwrap())
                .args(["--exact", "migrations::child_opens", "--nocapture"])
                .env("VIRALDB_TEST_OPEN_URL", &t.url)
                .env("VIRALDB_TEST_OPEN_GATE", &gate)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    let waiting = |child: &Child| gate.with_extension(child.id().to_string()).exists();
    let deadline = Instant::now() + Duration::from_secs(60);
    while !children.iter().all(waiting) {
        assert!(Instant::now() < deadline, "the children do not start");
        std::thread::sleep(Duration::from_millis(1));
    }
    (children, gate)
}

fn open_gate(gate: &Path) {
    std::fs::write(gate, "").unwrap();
}

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
    fn the_program_holds_the_folders(t) {
        let mut folders: Vec<PathBuf> = std::fs::read_dir(t.folder()).unwrap().map(|folder| folder.unwrap().path()).collect();
        folders.sort();
        assert_eq!(folders.len(), t.migrations().len());
        for (migration, folder) in t.migrations().iter().zip(folders) {
            assert_eq!(folder.file_name().unwrap(), migration.name);
            assert_eq!(std::fs::read_to_string(folder.join("up.sql")).unwrap(), migration.up);
            assert_eq!(std::fs::read_to_string(folder.join("down.sql")).unwrap(), migration.down);
        }
    }

    fn eight_processes_open_one_new_database(t) {
        for _ in 0..4 {
            let t = t.another();
            let (children, gate) = children(&t, 8);
            open_gate(&gate);
            for child in children {
                let done = child.wait_with_output().unwrap();
                assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
            }
            t.is_current();
        }
    }

    fn a_killed_migration_leaves_a_whole_step(t) {
        // The tables after each number of migrations.
        let mut whole = vec![t.tables()];
        migrate::run(&t.url).unwrap();
        for _ in t.migrations() {
            whole.insert(1, t.tables());
            migrate::revert(&t.url, 1).unwrap();
        }
        assert_eq!((t.tables(), whole.len()), (whole[0].clone(), t.migrations().len() + 1));

        let keys: Vec<String> = t.migrations().iter().map(key).collect();
        let mut window = {
            let t = t.another();
            let (mut children, gate) = children(&t, 1);
            open_gate(&gate);
            let start = Instant::now();
            children[0].wait().unwrap();
            start.elapsed()
        };
        let (mut killed, mut seen) = (0, Vec::new());
        for n in 0..24_u32 {
            let t = t.another();
            let (mut children, gate) = children(&t, 1);
            open_gate(&gate);
            // Sweeps over the time a migration takes, somewhat unevenly, and over less of it when one is
            // done before it is killed.
            std::thread::sleep(window * (n % 8) / 8 + Duration::from_micros(u64::from(n * 7919 % 997)));
            children[0].kill().unwrap();
            if children[0].wait().unwrap().success() {
                window = window * 3 / 4;
            } else {
                killed += 1;
            }
            if t.is_postgres {
                // The server may not have noticed yet.
                let mut c = t.plain();
                let busy = "SELECT pid::text AS v FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
                let deadline = Instant::now() + Duration::from_secs(60);
                while !query(&mut c, busy).is_empty() && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_millis(1));
                }
            }
            if t.is_postgres || t.sqlite_file().exists() {
                let applied = t.versions("__diesel_schema_migrations");
                assert_eq!(applied, keys[..applied.len()]);
                assert_eq!(t.versions("viraldb_migrations"), applied, "recorded with the migration");
                assert_eq!(t.tables(), whole[applied.len()], "after {applied:?}");
                seen.push(applied.len());
            }
            let db = Database::open(&t.url).unwrap();
            t.is_current();
            db.write(seed).unwrap();
        }
        assert!(killed > 5, "only {killed} were still at it; migrations they had done: {seen:?}");
    }

    fn a_newer_database_is_refused(t) {
        drop(t.db());
        execute(&mut t.plain(), "INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000007')").unwrap();
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
        execute(&mut t.plain(), "INSERT INTO __diesel_schema_migrations (version) VALUES ('20260101000000')").unwrap();
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
             DELETE FROM __diesel_schema_migrations WHERE version = '{}';
             INSERT INTO __diesel_schema_migrations (version) VALUES ('20260101000000')",
            key(first), key(second),
        )).unwrap();
        t.is_refused(Verdict::Differs, &["2026-01-01-000000 is", &format!("{first} was"), &format!("{second} is not")]);
        // Newer is said before anything else: the newer program can tell.
        execute(&mut t.plain(), "INSERT INTO __diesel_schema_migrations (version) VALUES ('20991231000007')").unwrap();
        t.is_refused(Verdict::Newer, &["2099-12-31-000007"]);
    }

    fn connecting_changes_nothing(t) {
        // Nothing is there, or a database of somebody else's.
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

        // Beside somebody else's tables ours have room.
        drop(t.db());
        t.is_current();
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

    fn run_revert_and_redo_say_what_they_did(t) {
        let all = names(t.migrations());
        let newest_first: Vec<_> = all.iter().rev().copied().collect();
        assert_eq!(migrate::run(&t.url).unwrap(), all);
        t.is_current();
        assert!(migrate::run(&t.url).unwrap().is_empty());
        assert!(migrate::revert(&t.url, 0).unwrap().is_empty());
        assert_eq!(migrate::revert(&t.url, 2).unwrap(), newest_first[..2]);
        assert_eq!(migrate::redo(&t.url, 1).unwrap(), [all[1]]);
        assert_eq!(migrate::run(&t.url).unwrap(), all[2..]);
        assert_eq!(migrate::redo(&t.url, 3).unwrap(), all[1..]);
        assert_eq!(migrate::redo(&t.url, 99).unwrap(), all);
        t.is_current();
        assert_eq!(migrate::revert(&t.url, 99).unwrap(), newest_first);
        assert!(matches!(migrate::revert(&t.url, 1), Err(Error::NotInitialised(_))));
        assert_eq!(migrate::run(&t.url).unwrap(), all);
        t.is_current();
    }

    fn every_step_goes_down_and_up_again(t) {
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
            assert!(left.len() < tables.len());
            for ((table, after), (_, before)) in made.into_iter().zip(&counts) {
                // What the step made is made anew; no row of another step is touched.
                let expected = if left.iter().any(|name| name == table) { *before } else { before.map(|_| 0) };
                assert_eq!(after, expected, "{table} after {step}");
            }
        }
        assert_eq!(t.dump(), nothing);
        assert_eq!(migrate::run(&t.url).unwrap(), names(t.migrations()));
        assert_eq!(t.dump(), full);
    }

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

#[cfg(feature = "sqlite")]
mod on_sqlite {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn looking_leaves_the_file_as_it_is() {
        let t = Scratch::sqlite();
        let file = t.sqlite_file();
        let files = || {
            let mut names: Vec<_> =
                t.dir.path().read_dir().unwrap().map(|file| file.unwrap().file_name()).collect();
            names.sort();
            names
        };
        let status = migrate::status(&t.url).unwrap();
        assert_eq!((status.verdict(), status.is_initialised()), (Verdict::Pending, false));
        match Database::connect(&t.url) {
            Err(Error::NotInitialised(named)) => assert_eq!(Path::new(&named), file),
            other => panic!("{other:?}"),
        }
        assert!(files().is_empty());

        // An empty file is an empty database.
        std::fs::write(&file, "").unwrap();
        assert_eq!(migrate::status(&t.url).unwrap().verdict(), Verdict::Pending);
        assert!(matches!(Database::connect(&t.url), Err(Error::NotInitialised(_))));
        assert_eq!((std::fs::read(&file).unwrap().len(), files()), (0, vec!["viral.db".into()]));

        // So is one of somebody else's, which keeps its own journal mode.
        execute(&mut t.plain(), "CREATE TABLE theirs (id integer)").unwrap();
        let before = std::fs::read(&file).unwrap();
        migrate::status(&t.url).unwrap();
        assert!(Database::connect(&t.url).is_err());
        assert_eq!((std::fs::read(&file).unwrap(), files()), (before, vec!["viral.db".into()]));
        std::fs::remove_file(&file).unwrap();

        drop(t.db());
        let before = std::fs::read(&file).unwrap();
        migrate::status(&t.url).unwrap();
        drop(Database::connect(&t.url).unwrap());
        assert_eq!((std::fs::read(&file).unwrap(), files()), (before, vec!["viral.db".into()]));
    }

    #[test]
    fn each_connection_has_our_settings() {
        let t = Scratch::sqlite();
        let db = t.db();
        let settings = |c: &mut DbConnection| {
            let text = "SELECT concat_ws(' ', foreign_keys, journal_mode, synchronous, query_only) AS v
                FROM pragma_foreign_keys, pragma_journal_mode, pragma_synchronous, pragma_query_only";
            Ok(query(c, text).remove(0))
        };
        assert_eq!(db.read(settings).unwrap(), "1 wal 1 1");
        assert_eq!(db.write(settings).unwrap(), "1 wal 1 0");
        assert_eq!(settings(&mut db.session().unwrap()).unwrap(), "1 wal 1 0");
        // On every reader, not only on the first.
        db.read(|_| {
            assert_eq!(db.read(settings)?, "1 wal 1 1");
            Ok(())
        })
        .unwrap();
        assert_eq!(t.db().write(settings).unwrap(), "1 wal 1 0");
        assert_eq!(Database::connect(&t.url).unwrap().write(settings).unwrap(), "1 wal 1 0");
        let memory = Database::open("sqlite::memory:").unwrap();
        assert_eq!(memory.read(settings).unwrap(), "1 memory 1 1");
        assert_eq!(memory.write(settings).unwrap(), "1 memory 1 0");
        let orphan = db.write(|c| viraldb::compilation::NewScript::default().insert(c));
        assert!(matches!(orphan, Err(Error::Invalid { .. })), "{orphan:?}");
    }

    #[test]
    fn a_new_file_is_its_owners_only() {
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        let t = Scratch::sqlite();
        let db = t.db();
        db.write(seed).unwrap();
        for file in ["viral.db", "viral.db-wal", "viral.db-shm"] {
            assert_eq!(mode(&t.path(file)), 0o600, "{file}");
        }
        // One that is there keeps what its owner chose.
        let t = Scratch::sqlite();
        std::fs::write(t.sqlite_file(), "").unwrap();
        std::fs::set_permissions(t.sqlite_file(), PermissionsExt::from_mode(0o640)).unwrap();
        drop(t.db());
        assert_eq!(mode(&t.sqlite_file()), 0o640);
    }
}

#[cfg(feature = "postgres")]
#[test]
fn looking_leaves_an_empty_postgres_database_empty() {
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
fn both_engines_have_the_same_steps() {
    let sqlite = migrate::embedded("sqlite::memory:").unwrap();
    let postgres = migrate::embedded("postgres://localhost/x").unwrap();
    assert_eq!(names(sqlite), names(postgres));
    assert!(names(sqlite).is_sorted() && sqlite.len() >= 4);
}
