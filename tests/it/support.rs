//! Creates a separate database for each test, on either engine.

pub mod kills;
#[cfg(feature = "sqlite")]
pub mod mounts;
#[cfg(feature = "sqlite")]
pub mod neighbors;
pub mod planted;
#[cfg(feature = "postgres")]
pub mod pooler;
#[cfg(feature = "postgres")]
pub mod server;
pub mod small_disk;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use viraldb::diesel::connection::{Connection, InstrumentationEvent, SimpleConnection};
use viraldb::diesel::prelude::*;
use viraldb::diesel::sql_query;
use viraldb::diesel::sql_types::Text;
use viraldb::{Database, DbConnection, Result};

/// Runs each body on SQLite and, with the feature `postgres`, on PostgreSQL:
/// `both! { fn name(t) { … t.db() … } }` makes the tests `name::sqlite` and `name::postgres`.
macro_rules! both {
    ($($(#[$meta:meta])* fn $name:ident($t:ident) $body:block)+) => {
        $(
            $(#[$meta])*
            mod $name {
                #[allow(unused_imports)]
                use super::*;

                fn body($t: &crate::support::Scratch) $body

                #[cfg(feature = "sqlite")]
                #[test]
                fn sqlite() {
                    body(&crate::support::Scratch::sqlite());
                }

                #[cfg(feature = "postgres")]
                #[test]
                fn postgres() {
                    body(&crate::support::Scratch::postgres());
                }
            }
        )+
    };
}
pub(crate) use both;

/// A database for one test and a temporary folder, which is deleted with it. The database has no tables until
/// [`Scratch::db`] migrates it.
pub struct Scratch {
    pub url: String,
    pub dir: TempDir,
    pub is_postgres: bool,
    /// The files that the test itself wrote into the folder.
    written: Mutex<Vec<PathBuf>>,
}

impl Scratch {
    /// Returns a scratch for a SQLite file that does not exist yet.
    #[cfg(feature = "sqlite")]
    pub fn sqlite() -> Self {
        Self::sqlite_in(tempfile::tempdir().unwrap())
    }

    /// Like [`Scratch::sqlite`], in the given folder.
    #[cfg(feature = "sqlite")]
    fn sqlite_in(dir: TempDir) -> Self {
        let url = format!("sqlite://{}", dir.path().join("viral.db").display());
        Self { url, dir, is_postgres: false, written: Mutex::default() }
    }

    /// Creates a PostgreSQL database without tables.
    #[cfg(feature = "postgres")]
    pub fn postgres() -> Self {
        let url = postgres::create_database(None);
        Self { url, dir: tempfile::tempdir().unwrap(), is_postgres: true, written: Mutex::default() }
    }

    /// Like [`Scratch::postgres`], with the table files in the given folder.
    #[cfg(feature = "postgres")]
    fn postgres_in(dir: TempDir) -> Self {
        let url = postgres::create_database(Some(dir.path()));
        Self { url, dir, is_postgres: true, written: Mutex::default() }
    }

    /// Returns another scratch on the same engine.
    pub fn another(&self) -> Self {
        #[cfg(feature = "postgres")]
        if self.is_postgres {
            return Self::postgres();
        }
        #[cfg(feature = "sqlite")]
        return Self::sqlite();
        #[cfg(not(feature = "sqlite"))]
        unreachable!("at least one engine is compiled in");
    }

    /// Opens the database and migrates it.
    pub fn db(&self) -> Database {
        Database::open(&self.url).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file into the test's folder and returns its path.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        self.written.lock().unwrap().push(path.clone());
        path
    }

    /// Returns a `viraldb` command that runs in the test's folder on the test's database.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = viraldb(self.dir.path(), args);
        command.env("DATABASE_URL", &self.url);
        command
    }

    /// Runs `viraldb` and returns its exit code and output.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.command(args).output().unwrap().into()
    }

    /// Runs `viraldb`, requires that it succeeds, and returns its stdout.
    pub fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.out, ran.err);
        ran.out
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let found = if std::thread::panicking() { Vec::new() } else { self.planted() };
        #[cfg(feature = "postgres")]
        if self.is_postgres {
            postgres::drop_database(&self.url);
        }
        assert!(found.is_empty(), "found a planted secret in {found:?}");
    }
}

/// Returns a `viraldb` command that runs in a folder and does not see the environment variables of the test run.
pub fn viraldb(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_viraldb"));
    command
        .current_dir(folder)
        .args(args)
        .stdin(Stdio::null())
        .env("XDG_CONFIG_HOME", folder.join(".config"))
        .env("TMPDIR", folder)
        .env_remove("DATABASE_URL")
        .env_remove("RUST_LOG")
        .env_remove("VIRALDB_KEY")
        .env_remove("VIRALDB_KEY_FILE");
    command
}

/// The exit code and output of a command.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Like [`Ran::from`], for a command with `--reveal`: its stdout may contain a planted secret.
    pub fn revealed(output: Output) -> Self {
        assert!(!planted::is_in(&output.stderr), "{}", String::from_utf8_lossy(&output.stderr));
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        assert!(!planted::is_in(&output.stdout), "{}", String::from_utf8_lossy(&output.stdout));
        Self::revealed(output)
    }
}

/// Waits until `has_happened` returns true and returns how long that took. Panics after 30 seconds.
pub fn wait_until(what: &str, mut has_happened: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !has_happened() {
        assert!(start.elapsed() < Duration::from_secs(30), "did not happen within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    start.elapsed()
}

/// Returns the statements that `work` runs on this connection.
pub fn statements<T>(c: &mut DbConnection, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Vec<String> {
    watch(c, work, |event| match event {
        InstrumentationEvent::StartQuery { query, .. } => {
            query.to_string().split(" -- binds").next().map(str::to_owned)
        }
        _ => None,
    })
}

/// Returns the statements that `work` is the first to prepare and cache on this connection.
pub fn newly_prepared<T>(
    c: &mut DbConnection,
    work: impl FnOnce(&mut DbConnection) -> Result<T>,
) -> Vec<String> {
    watch(c, work, |event| match event {
        InstrumentationEvent::CacheQuery { sql, .. } => Some(sql.to_owned()),
        _ => None,
    })
}

fn watch<T>(
    c: &mut DbConnection,
    work: impl FnOnce(&mut DbConnection) -> Result<T>,
    pick: fn(InstrumentationEvent<'_>) -> Option<String>,
) -> Vec<String> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let log = seen.clone();
    c.set_instrumentation(move |event: InstrumentationEvent<'_>| log.lock().unwrap().extend(pick(event)));
    work(c).unwrap();
    c.set_instrumentation(|_: InstrumentationEvent<'_>| {});
    std::mem::take(&mut *seen.lock().unwrap())
}

#[derive(QueryableByName)]
struct Line {
    #[diesel(sql_type = Text)]
    detail: String,
}

/// Returns the query plan of a statement, independent of its parameters.
pub fn plan(t: &Scratch, c: &mut DbConnection, statement: &str) -> Vec<String> {
    #[derive(QueryableByName)]
    struct PgLine {
        #[diesel(sql_type = Text, column_name = "QUERY PLAN")]
        detail: String,
    }
    if !t.is_postgres {
        let lines: Vec<Line> = sql_query(format!("EXPLAIN QUERY PLAN {statement}")).load(c).unwrap();
        return lines.into_iter().map(|line| line.detail).collect();
    }
    let parameters =
        (1..).take_while(|n| statement.contains(&format!("${n}"))).map(|_| "NULL").collect::<Vec<_>>();
    c.batch_execute(&format!("SET plan_cache_mode = force_generic_plan; PREPARE asked AS {statement}"))
        .unwrap();
    let given = if parameters.is_empty() { String::new() } else { format!("({})", parameters.join(", ")) };
    let explain = format!("EXPLAIN EXECUTE asked{given}");
    let lines: Vec<PgLine> = sql_query(explain).load(c).unwrap();
    c.batch_execute("DEALLOCATE asked").unwrap();
    lines.into_iter().map(|line| line.detail).collect()
}

/// The PostgreSQL server of this test run.
#[cfg(feature = "postgres")]
pub mod postgres {
    use std::path::Path;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use viraldb::diesel::pg::PgConnection;

    use super::server::Server;
    use super::{Connection, Line, RunQueryDsl, SimpleConnection, sql_query};

    static SERVER: OnceLock<Server> = OnceLock::new();

    /// Creates an empty database and returns its URL. With `folder`, which works only on a server that the tests started,
    /// its tables go into a tablespace in that folder.
    pub fn create_database(folder: Option<&Path>) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let server =
            SERVER.get_or_init(|| Server::new(&["fsync=off", "max_connections=300", "shared_buffers=64MB"]));
        let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let url = server.create_database(&name, "template0");
        if let Some(folder) = folder {
            let tables = folder.join("tables");
            std::fs::create_dir(&tables).unwrap();
            let mut conn = PgConnection::establish(&server.url("postgres")).unwrap();
            for statement in [
                format!("CREATE TABLESPACE {name} LOCATION '{}'", tables.display()),
                format!("ALTER DATABASE {name} SET TABLESPACE {name}"),
            ] {
                conn.batch_execute(&statement).unwrap();
            }
        }
        url
    }

    /// Returns the tables of a database that contain a planted secret, and "the server's log" if the log contains one.
    pub fn planted(url: &str) -> Vec<String> {
        let mark = super::planted::MARK;
        let mut conn = PgConnection::establish(url).unwrap();
        conn.batch_execute("SET lock_timeout = '10 s'").unwrap();
        let asked = format!(
            "SELECT table_name::text AS detail FROM information_schema.tables WHERE table_type = 'BASE TABLE' \
             AND table_schema NOT IN ('pg_catalog', 'information_schema') AND pg_catalog.query_to_xml(pg_catalog.format('SELECT 1 FROM \
             %I.%I AS t WHERE t::text LIKE ''%%{mark}%%'' LIMIT 1', table_schema, table_name), false, true, '')::text <> ''"
        );
        let tables: Vec<Line> = sql_query(asked).load(&mut conn).unwrap();
        let log = SERVER.get().and_then(Server::log).is_some_and(|log| super::planted::is_in(&log));
        tables.into_iter().map(|line| line.detail).chain(log.then(|| "the server's log".to_owned())).collect()
    }

    pub fn drop_database(url: &str) {
        if let Some(server) = SERVER.get() {
            server.drop_database(url);
        }
    }
}

/// Returns the names of all migrations, oldest first.
pub fn migration_names() -> Vec<String> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
    let mut names: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Returns the name of the newest migration.
pub fn newest_migration() -> String {
    migration_names().pop().unwrap()
}

/// Returns the schema version after all migrations: the name of the newest one without its description.
pub fn newest_version() -> String {
    newest_migration().split('_').next().unwrap().to_owned()
}
