//! `init` and migrations reject databases of other programs, and servers and roles with which they would fail, before
//! they change anything.

use viraldb::db::migrate;
use viraldb::{Database, Error};

use super::key;
use crate::make::{execute, query};
use crate::support::{Scratch, both};

const THEIRS: &str = "CREATE TABLE pipeline_runs (id integer PRIMARY KEY, niche text, cycle_start text, cycle_end text);
    CREATE TABLE discovered_videos (id integer PRIMARY KEY, video_id text, title text, channel_name text, channel_id text,
        url text, niche text);
    INSERT INTO discovered_videos VALUES (1, 'v1', 't', 'n', 'c', 'u', 'gaming')";

impl Scratch {
    /// Requires that opening, `init` and migrations all fail with `says` and change nothing.
    fn require_no_init(&self, says: &str) {
        // Compare the bytes of the file, which include its journal mode.
        let file = || if self.is_postgres { Vec::new() } else { std::fs::read(self.sqlite_file()).unwrap() };
        let before = (self.dump(), self.versions("__diesel_schema_migrations"), file());
        for (what, error) in [
            ("open", Database::open(&self.url).map(drop).unwrap_err()),
            ("run", migrate::run(&self.url).map(drop).unwrap_err()),
        ] {
            assert!(matches!(error, Error::Unusable { .. }), "{what}: {error:?}");
            assert!(error.to_string().contains(says), "{what}: {error}");
        }
        for args in [&["init"][..], &["init", "--sample"], &["migrate", "run"]] {
            let ran = self.run(args);
            assert_eq!((ran.code, &*ran.out), (1, ""), "{args:?}: {}", ran.err);
            assert!(ran.err.contains(says), "{args:?}: {}", ran.err);
        }
        assert_eq!((self.dump(), self.versions("__diesel_schema_migrations"), file()), before);
        if !self.is_postgres {
            let left: Vec<_> =
                std::fs::read_dir(self.dir.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
            assert_eq!(left, ["viral.db"]);
        }
    }

    /// Requires that commands which need a viraldb database report `says` and do not suggest `viraldb init`, which would fail.
    fn require_no_init_hint(&self, says: &str) {
        for args in [&["status"][..], &["videos", "list"], &["backup", "create"], &["migrate", "revert"]] {
            let ran = self.run(args);
            assert_eq!(ran.code, 1, "{args:?}: {}", ran.out);
            assert!(ran.err.contains(says) && !ran.err.contains("viraldb init"), "{args:?}: {}", ran.err);
        }
        let ran = self.run(&["doctor", "--fix"]);
        assert_eq!(ran.code, 4, "{}", ran.out);
        assert!(
            !ran.out.contains("mended"),
            "doctor --fix must not change tables of another program: {}",
            ran.out
        );
        assert!(ran.out.contains(says) && !ran.out.contains("viraldb init"), "{}", ran.out);
    }

    fn require_takeover_works(&self) {
        let ours = self.another();
        let report = ours.ok(&["takeover", &self.url]);
        assert!(report.contains("viral_channel"), "{report}");
        assert_eq!(query(&mut ours.plain(), "SELECT video_id AS v FROM discovered_videos"), ["v1"]);
    }
}

both! {
    fn init_rejects_tables_of_another_program_with_viraldb_names(t) {
        execute(&mut t.plain(), THEIRS).unwrap();
        let room = if t.is_postgres { "separate schema with ?schema=NAME in the URL" } else { "separate file; " };
        let says = format!("already has table discovered_videos, table pipeline_runs, not created by viraldb: give viraldb a {room}");
        t.require_no_init(&says);
        t.require_no_init_hint(&says);
        t.require_takeover_works();
    }

    fn long_list_of_taken_names_is_truncated(t) {
        for migration in t.migrations() {
            for line in migration.up.lines().filter_map(|line| line.strip_prefix("CREATE TABLE ")) {
                if line.starts_with("viraldb_") {
                    continue; // Such a table would look like a viraldb migration history.
                }
                execute(&mut t.plain(), &format!("CREATE TABLE {} (x integer)", line.trim_end_matches(" ("))).unwrap();
            }
        }
        t.require_no_init("table pipeline_runs, table clips");
        t.require_no_init("more, not created by viraldb");
    }

    fn init_rejects_views_and_indexes_with_viraldb_names(t) {
        execute(&mut t.plain(), "CREATE VIEW music AS SELECT 1 AS x; CREATE TABLE x (y integer);
            CREATE INDEX idx_discovered_videos_niche ON x (y)").unwrap();
        t.require_no_init("already has index idx_discovered_videos_niche, view music, not created");
    }

    /// Older versions applied one migration after another and stopped at the first table that already existed.
    fn partial_init_of_an_older_version_is_reported(t) {
        execute(&mut t.plain(), THEIRS).unwrap();
        let first = &t.migrations()[0];
        execute(&mut t.plain(), first.up).unwrap();
        execute(&mut t.plain(), &format!(
            "CREATE TABLE __diesel_schema_migrations (version varchar(50) PRIMARY KEY NOT NULL,
                 run_on timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP);
             INSERT INTO __diesel_schema_migrations (version) VALUES ('{}')", key(first))).unwrap();
        t.require_no_init("already has table discovered_videos, table pipeline_runs");
        t.require_no_init_hint("already has table discovered_videos, table pipeline_runs");
        t.require_takeover_works();
        let ran = t.run(&["backup", "create"]);
        assert!(ran.code == 1 && ran.err.contains("already has table discovered_videos"), "{}", ran.err);
    }

}

#[cfg(feature = "postgres")]
mod on_postgres {
    use super::*;
    use crate::support::Ran;

    /// A role for one test, without any privileges.
    struct Role {
        name: String,
        url: String,
    }

    impl Role {
        fn new(t: &Scratch) -> Self {
            let name = format!("plain_{}", database(t));
            execute(&mut t.plain(), &format!("CREATE ROLE {name} LOGIN")).unwrap();
            Self { url: t.url.replacen("postgres@", &format!("{name}@"), 1), name }
        }

        fn init(&self, t: &Scratch) -> Ran {
            t.command(&["init"]).env("DATABASE_URL", &self.url).output().unwrap().into()
        }

        /// Requires that `init` as this role fails with `says` and creates nothing.
        fn require_rejected(&self, t: &Scratch, says: &str) {
            let before = t.dump();
            let ran = self.init(t);
            assert_eq!(ran.code, 1, "{}", ran.out);
            assert!(ran.err.contains(says), "{}", ran.err);
            assert_eq!((t.dump(), t.versions("__diesel_schema_migrations").len()), (before, 0));
        }

        fn drop(self, t: &Scratch) {
            execute(
                &mut t.plain(),
                &format!("REASSIGN OWNED BY {0} TO postgres; DROP OWNED BY {0}; DROP ROLE {0}", self.name),
            )
            .unwrap();
        }
    }

    fn database(t: &Scratch) -> &str {
        t.url.rsplit('/').next().unwrap().split('?').next().unwrap()
    }

    #[test]
    fn init_names_the_missing_create_privileges() {
        let t = Scratch::postgres();
        let role = Role::new(&t);
        let (name, database) = (role.name.clone(), database(&t));
        role.require_rejected(&t, &format!("GRANT CREATE ON SCHEMA public TO {name}"));
        execute(&mut t.plain(), &format!("GRANT CREATE ON SCHEMA public TO {name}")).unwrap();
        role.require_rejected(&t, &format!("GRANT CREATE ON DATABASE {database} TO {name}"));
        execute(&mut t.plain(), &format!("GRANT CREATE ON DATABASE {database} TO {name}")).unwrap();
        let ran = role.init(&t);
        assert_eq!(ran.code, 0, "{}", ran.err);
        t.require_current();
        role.drop(&t);
    }

    #[test]
    fn init_rejects_an_existing_viralforge_schema() {
        let t = Scratch::postgres();
        execute(&mut t.plain(), "CREATE SCHEMA viralforge").unwrap();
        t.require_no_init("already has schema viralforge, not created by viraldb: rename it (ALTER SCHEMA viralforge RENAME TO …), \
                       or drop it if it is empty (DROP SCHEMA viralforge)");
        t.require_no_init_hint("already has schema viralforge");

        // Older versions stopped before the migration that creates the schema. A backup of that state cannot be restored.
        execute(&mut t.plain(), "DROP SCHEMA viralforge").unwrap();
        migrate::run(&t.url).unwrap();
        t.revert_to("republishing");
        execute(&mut t.plain(), "CREATE SCHEMA viralforge").unwrap();
        for args in [&["backup", "create"][..], &["init"]] {
            let ran = t.run(args);
            assert_eq!(ran.code, 1, "{}", ran.out);
            assert!(ran.err.contains("already has schema viralforge"), "{}", ran.err);
        }
        execute(&mut t.plain(), "DROP SCHEMA viralforge").unwrap();
        t.ok(&["init"]);
        t.require_current();
    }

    /// A first `init` is one transaction, so a failure in any migration rolls back all of them. On SQLite a test cannot make
    /// a migration fail; `processes::killed_migration_leaves_only_whole_steps` covers SQLite.
    #[test]
    fn failed_first_init_is_rolled_back_completely() {
        let t = Scratch::postgres();
        execute(&mut t.plain(), "CREATE FUNCTION no_views() RETURNS event_trigger LANGUAGE plpgsql AS $$
                BEGIN RAISE 'no views here'; END $$;
            CREATE EVENT TRIGGER no_views ON ddl_command_start WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION no_views()").unwrap();
        let before = t.dump();
        let error = migrate::run(&t.url).unwrap_err().to_string();
        assert!(error.contains("_generation failed and was rolled back: no views here"), "{error}");
        assert_eq!((t.dump(), t.versions("__diesel_schema_migrations").len()), (before, 0));
        execute(&mut t.plain(), "DROP EVENT TRIGGER no_views; DROP FUNCTION no_views()").unwrap();
        drop(t.db());
        t.require_current();
    }

    /// If these names were taken, PostgreSQL would generate others for keys and sequences, and viraldb would not find them.
    #[test]
    fn init_rejects_names_that_postgresql_would_generate() {
        for (made, says) in [
            ("CREATE INDEX clips_pkey ON x (a)", "index clips_pkey"),
            ("CREATE INDEX discovered_videos_video_id_key ON x (a)", "index discovered_videos_video_id_key"),
            ("CREATE SEQUENCE clips_id_seq", "sequence clips_id_seq"),
            ("CREATE TYPE jobs AS ENUM ('a')", "type jobs"),
        ] {
            let t = Scratch::postgres();
            execute(&mut t.plain(), &format!("CREATE TABLE x (a integer); {made}")).unwrap();
            t.require_no_init(&format!("already has {says}, not created by viraldb"));
        }
    }

    /// Obstacles to a migration are reported before the automatic backup is made.
    #[test]
    fn missing_privilege_is_reported_before_a_backup_is_made() {
        let t = Scratch::postgres();
        let role = Role::new(&t);
        drop(t.db());
        t.db().write(|c| crate::make::discovered_video().insert(c)).unwrap();
        t.revert_to("republishing");
        let name = &role.name;
        execute(&mut t.plain(), &format!("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {name}; GRANT CREATE ON SCHEMA public TO {name}"))
            .unwrap();
        for args in [&["init"][..], &["migrate", "run"]] {
            let ran: Ran = t.command(args).env("DATABASE_URL", &role.url).output().unwrap().into();
            assert!(ran.code == 1 && ran.err.contains("GRANT CREATE ON DATABASE"), "{args:?}: {}", ran.err);
            assert!(!t.path("backups").exists() && !ran.err.contains("--no-backup"), "{}", ran.err);
        }
        role.drop(&t);
    }

    #[test]
    fn init_names_the_missing_usage_privilege() {
        let t = Scratch::postgres();
        let role = Role::new(&t);
        execute(&mut t.plain(), "REVOKE USAGE ON SCHEMA public FROM PUBLIC").unwrap();
        role.require_rejected(&t, &format!("GRANT USAGE, CREATE ON SCHEMA public TO {}", role.name));
        execute(&mut t.plain(), "GRANT USAGE ON SCHEMA public TO PUBLIC").unwrap();
        role.drop(&t);
    }

    #[test]
    fn init_without_a_schema_suggests_create_schema() {
        let t = Scratch::postgres();
        execute(&mut t.plain(), "DROP SCHEMA public").unwrap();
        let said = migrate::run(&t.url).unwrap_err().to_string();
        assert!(
            said.contains("no schema in search_path exists") && said.contains("CREATE SCHEMA public"),
            "{said}"
        );
        execute(&mut t.plain(), "CREATE SCHEMA public").unwrap();
    }

    #[test]
    fn init_rejects_encodings_other_than_utf8() {
        let t = Scratch::postgres();
        let latin = format!("{}_latin1", database(&t));
        execute(
            &mut t.plain(),
            &format!("CREATE DATABASE {latin} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"),
        )
        .unwrap();
        let url = t.url.replacen(database(&t), &latin, 1);
        let said = migrate::run(&url).unwrap_err().to_string();
        assert!(said.contains("has the encoding LATIN1") && said.contains("ENCODING 'UTF8'"), "{said}");
        assert!(migrate::status(&url).unwrap().newest_applied().is_none());
        execute(&mut t.plain(), &format!("DROP DATABASE {latin}")).unwrap();
    }

    #[test]
    fn read_only_server_is_reported() {
        let t = Scratch::postgres();
        let read_only = |is: &str| {
            let set = format!("ALTER DATABASE {} SET default_transaction_read_only = {is}", database(&t));
            execute(&mut t.plain(), &format!("BEGIN READ WRITE; {set}; COMMIT")).unwrap();
        };
        let says = "the server is read-only: it is a replica, or default_transaction_read_only is on; connect to the primary";
        read_only("on");
        t.require_no_init(says);
        read_only("off");
        drop(t.db());
        read_only("on");
        for args in [&["errors", "log", "--module", "m", "--type", "t", "x"][..], &["jobs", "rescue"]] {
            let ran = t.run(args);
            assert_eq!(ran.code, 1, "{args:?}: {}", ran.out);
            assert!(ran.err.contains(says), "{args:?}: {}", ran.err);
        }
        let from = t.another();
        drop(from.db());
        let ran = t.run(&["transfer", "--from", &from.url, "--to", &t.url, "--replace"]);
        assert!(ran.code == 1 && ran.err.contains(says), "{}", ran.err);
        let ran = t.run(&["doctor", "--only", "drift"]);
        assert!(ran.code == 0 && ran.out.contains("cannot be compared on a read-only server"), "{}", ran.out);
        read_only("off");

        // On a writable server, only `read` rejects writes.
        let error = t.db().read(|c| execute(c, "DELETE FROM music")).unwrap_err().to_string();
        assert!(error.ends_with("is read-only within `read`; use `write`"), "{error}");
    }
}
