//! Databases of somebody else, and servers and roles with which a migration would fail: refused before anything is made.

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
    /// Nobody takes the database for ours, every way in says why, and nothing of it changes.
    fn has_no_room(&self, says: &str) {
        // The file itself, so also its journal mode.
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

    /// The commands that need a database of ours name the obstacle, and do not advise `viraldb init`, which would fail.
    fn is_not_offered_init(&self, says: &str) {
        for args in [&["status"][..], &["videos", "list"], &["backup", "create"], &["migrate", "revert"]] {
            let ran = self.run(args);
            assert_eq!(ran.code, 1, "{args:?}: {}", ran.out);
            assert!(ran.err.contains(says) && !ran.err.contains("viraldb init"), "{args:?}: {}", ran.err);
        }
        let ran = self.run(&["doctor", "--fix"]);
        assert_eq!(ran.code, 4, "{}", ran.out);
        assert!(!ran.out.contains("mended"), "what is not ours stays as it is: {}", ran.out);
        assert!(ran.out.contains(says) && !ran.out.contains("viraldb init"), "{}", ran.out);
    }

    fn is_taken_over(&self) {
        let ours = self.another();
        let report = ours.ok(&["takeover", &self.url]);
        assert!(report.contains("viral_channel"), "{report}");
        assert_eq!(query(&mut ours.plain(), "SELECT video_id AS v FROM discovered_videos"), ["v1"]);
    }
}

both! {
    fn tables_of_somebody_else_with_names_of_ours(t) {
        execute(&mut t.plain(), THEIRS).unwrap();
        let room = if t.is_postgres { "schema of its own with ?schema=NAME in the URL" } else { "file of its own; " };
        let says = format!("already has table discovered_videos, table pipeline_runs, not made by viraldb: give viraldb a {room}");
        t.has_no_room(&says);
        t.is_not_offered_init(&says);
        t.is_taken_over();
    }

    fn many_names_are_cut(t) {
        for migration in t.migrations() {
            for line in migration.up.lines().filter_map(|line| line.strip_prefix("CREATE TABLE ")) {
                if line.starts_with("viraldb_") {
                    continue; // these would be taken for a history of ours
                }
                execute(&mut t.plain(), &format!("CREATE TABLE {} (x integer)", line.trim_end_matches(" ("))).unwrap();
            }
        }
        t.has_no_room("table pipeline_runs, table clips");
        t.has_no_room("more, not made by viraldb");
    }

    fn a_view_and_an_index_take_names_too(t) {
        execute(&mut t.plain(), "CREATE VIEW music AS SELECT 1 AS x; CREATE TABLE x (y integer);
            CREATE INDEX idx_discovered_videos_niche ON x (y)").unwrap();
        t.has_no_room("already has index idx_discovered_videos_niche, view music, not made");
    }

    /// Older versions applied one migration after the other, and stopped where somebody else's table stood.
    fn what_an_older_init_left_half_done(t) {
        execute(&mut t.plain(), THEIRS).unwrap();
        let first = &t.migrations()[0];
        execute(&mut t.plain(), first.up).unwrap();
        execute(&mut t.plain(), &format!(
            "CREATE TABLE __diesel_schema_migrations (version varchar(50) PRIMARY KEY NOT NULL,
                 run_on timestamp NOT NULL DEFAULT CURRENT_TIMESTAMP);
             INSERT INTO __diesel_schema_migrations (version) VALUES ('{}')", key(first))).unwrap();
        t.has_no_room("already has table discovered_videos, table pipeline_runs");
        t.is_not_offered_init("already has table discovered_videos, table pipeline_runs");
        t.is_taken_over();
        let ran = t.run(&["backup", "create"]);
        assert!(ran.code == 1 && ran.err.contains("already has table discovered_videos"), "{}", ran.err);
    }

}

#[cfg(feature = "postgres")]
mod on_postgres {
    use super::*;
    use crate::support::Ran;

    /// A role of one test, without rights of its own.
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

        /// It is refused with these words, and nothing is made.
        fn is_refused(&self, t: &Scratch, says: &str) {
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
    fn a_role_that_may_not_make_schemas() {
        let t = Scratch::postgres();
        let role = Role::new(&t);
        let (name, database) = (role.name.clone(), database(&t));
        role.is_refused(&t, &format!("GRANT CREATE ON SCHEMA public TO {name}"));
        execute(&mut t.plain(), &format!("GRANT CREATE ON SCHEMA public TO {name}")).unwrap();
        role.is_refused(&t, &format!("GRANT CREATE ON DATABASE {database} TO {name}"));
        execute(&mut t.plain(), &format!("GRANT CREATE ON DATABASE {database} TO {name}")).unwrap();
        let ran = role.init(&t);
        assert_eq!(ran.code, 0, "{}", ran.err);
        t.is_current();
        role.drop(&t);
    }

    #[test]
    fn a_schema_that_ours_would_make() {
        let t = Scratch::postgres();
        execute(&mut t.plain(), "CREATE SCHEMA viralforge").unwrap();
        t.has_no_room("already has schema viralforge, not made by viraldb: rename it (ALTER SCHEMA viralforge RENAME TO …), \
                       or drop it if it is empty (DROP SCHEMA viralforge)");
        t.is_not_offered_init("already has schema viralforge");

        // Older versions stopped before the migration that makes the schema. A backup of that could not be restored.
        execute(&mut t.plain(), "DROP SCHEMA viralforge").unwrap();
        migrate::run(&t.url).unwrap();
        migrate::revert(&t.url, 2).unwrap();
        execute(&mut t.plain(), "CREATE SCHEMA viralforge").unwrap();
        for args in [&["backup", "create"][..], &["init"]] {
            let ran = t.run(args);
            assert_eq!(ran.code, 1, "{}", ran.out);
            assert!(ran.err.contains("already has schema viralforge"), "{}", ran.err);
        }
        execute(&mut t.plain(), "DROP SCHEMA viralforge").unwrap();
        t.ok(&["init"]);
        t.is_current();
    }

    /// A first `init` is one transaction, whichever of its migrations fails. On SQLite nothing can be planted that fails;
    /// `processes::a_killed_migration_leaves_a_whole_step` shows it there.
    #[test]
    fn a_first_init_that_fails_leaves_nothing() {
        let t = Scratch::postgres();
        execute(&mut t.plain(), "CREATE FUNCTION no_views() RETURNS event_trigger LANGUAGE plpgsql AS $$
                BEGIN RAISE 'no views here'; END $$;
            CREATE EVENT TRIGGER no_views ON ddl_command_start WHEN TAG IN ('CREATE VIEW') EXECUTE FUNCTION no_views()").unwrap();
        let before = t.dump();
        let error = migrate::run(&t.url).unwrap_err().to_string();
        assert!(error.contains("_generation failed and left nothing behind: no views here"), "{error}");
        assert_eq!((t.dump(), t.versions("__diesel_schema_migrations").len()), (before, 0));
        execute(&mut t.plain(), "DROP EVENT TRIGGER no_views; DROP FUNCTION no_views()").unwrap();
        drop(t.db());
        t.is_current();
    }

    /// PostgreSQL would take other names for what it makes beside a table, and nothing of ours would find them.
    #[test]
    fn names_that_postgresql_gives_itself() {
        for (made, says) in [
            ("CREATE INDEX clips_pkey ON x (a)", "index clips_pkey"),
            ("CREATE INDEX discovered_videos_video_id_key ON x (a)", "index discovered_videos_video_id_key"),
            ("CREATE SEQUENCE clips_id_seq", "sequence clips_id_seq"),
            ("CREATE TYPE jobs AS ENUM ('a')", "type jobs"),
        ] {
            let t = Scratch::postgres();
            execute(&mut t.plain(), &format!("CREATE TABLE x (a integer); {made}")).unwrap();
            t.has_no_room(&format!("already has {says}, not made by viraldb"));
        }
    }

    /// What would stop a migration is told before the backup that goes before it.
    #[test]
    fn a_right_that_is_missing_costs_no_backup() {
        let t = Scratch::postgres();
        let role = Role::new(&t);
        drop(t.db());
        t.db().write(|c| crate::make::discovered_video().insert(c)).unwrap();
        migrate::revert(&t.url, 2).unwrap();
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
    fn a_role_that_may_not_use_the_schema() {
        let t = Scratch::postgres();
        let role = Role::new(&t);
        execute(&mut t.plain(), "REVOKE USAGE ON SCHEMA public FROM PUBLIC").unwrap();
        role.is_refused(&t, &format!("GRANT USAGE, CREATE ON SCHEMA public TO {}", role.name));
        execute(&mut t.plain(), "GRANT USAGE ON SCHEMA public TO PUBLIC").unwrap();
        role.drop(&t);
    }

    #[test]
    fn no_schema_to_make_tables_in() {
        let t = Scratch::postgres();
        execute(&mut t.plain(), "DROP SCHEMA public").unwrap();
        let said = migrate::run(&t.url).unwrap_err().to_string();
        assert!(
            said.contains("no schema that search_path names is there")
                && said.contains("CREATE SCHEMA public"),
            "{said}"
        );
        execute(&mut t.plain(), "CREATE SCHEMA public").unwrap();
    }

    #[test]
    fn an_encoding_that_does_not_hold_every_text() {
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
    fn a_server_that_takes_no_writes() {
        let t = Scratch::postgres();
        let read_only = |is: &str| {
            let set = format!("ALTER DATABASE {} SET default_transaction_read_only = {is}", database(&t));
            execute(&mut t.plain(), &format!("BEGIN READ WRITE; {set}; COMMIT")).unwrap();
        };
        let says = "the server takes no writes: it is a replica, or default_transaction_read_only is on; connect to the primary";
        read_only("on");
        t.has_no_room(says);
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
        assert!(
            ran.code == 0 && ran.out.contains("cannot be compared on a server that takes no writes"),
            "{}",
            ran.out
        );
        read_only("off");

        // In a program it is the `read` that does not write.
        let error = t.db().read(|c| execute(c, "DELETE FROM music")).unwrap_err().to_string();
        assert!(error.ends_with("may not be written within `read`; use `write`"), "{error}");
    }
}
