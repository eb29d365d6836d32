//! A database for each test, on either engine.

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

/// One test's own database, empty but for `migrated`, and a folder that goes away with it.
pub struct Scratch {
    pub url: String,
    pub dir: TempDir,
    pub is_postgres: bool,
    /// The files of the folder that the test itself has written.
    written: Mutex<Vec<PathBuf>>,
}

impl Scratch {
    /// A SQLite file that is not there yet.
    #[cfg(feature = "sqlite")]
    pub fn sqlite() -> Self {
        Self::sqlite_in(tempfile::tempdir().unwrap())
    }

    /// One in a folder.
    #[cfg(feature = "sqlite")]
    fn sqlite_in(dir: TempDir) -> Self {
        let url = format!("sqlite://{}", dir.path().join("viral.db").display());
        Self { url, dir, is_postgres: false, written: Mutex::default() }
    }

    /// A PostgreSQL database without any table.
    #[cfg(feature = "postgres")]
    pub fn postgres() -> Self {
        let url = postgres::create_database(None);
        Self { url, dir: tempfile::tempdir().unwrap(), is_postgres: true, written: Mutex::default() }
    }

    /// One whose tables are in a folder.
    #[cfg(feature = "postgres")]
    fn postgres_in(dir: TempDir) -> Self {
        let url = postgres::create_database(Some(dir.path()));
        Self { url, dir, is_postgres: true, written: Mutex::default() }
    }

    /// Another one on the same engine.
    pub fn another(&self) -> Self {
        #[cfg(feature = "postgres")]
        if self.is_postgres {
            return Self::postgres();
        }
        #[cfg(feature = "sqlite")]
        return Self::sqlite();
        #[cfg(not(feature = "sqlite"))]
        unreachable!("one engine is there");
    }

    /// The database, migrated. On PostgreSQL a test that wants only this is quickest with a fresh scratch,
    /// because then a migrated template is copied.
    pub fn db(&self) -> Database {
        Database::open(&self.url).unwrap()
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// Writes a file into the test's folder.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, content).unwrap();
        self.written.lock().unwrap().push(path.clone());
        path
    }

    /// The command `viraldb` in the test's folder, on the test's database.
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = viraldb(self.dir.path(), args);
        command.env("DATABASE_URL", &self.url);
        command
    }

    /// Runs the command and returns what it did.
    pub fn run(&self, args: &[&str]) -> Ran {
        self.command(args).output().unwrap().into()
    }

    /// Runs the command, which must succeed, and returns what it printed.
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
        assert!(found.is_empty(), "a planted secret lies in {found:?}");
    }
}

/// The command `viraldb` in a folder, with nothing of our own environment that it would read.
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

/// What a command did.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// What a command did that was asked with `--reveal`.
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

/// Waits for something that is to happen soon, and fails if it does not. Returns how long it took.
pub fn wait_until(what: &str, mut has_happened: impl FnMut() -> bool) -> Duration {
    let start = Instant::now();
    while !has_happened() {
        assert!(start.elapsed() < Duration::from_secs(30), "not in 30 s: {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
    start.elapsed()
}

/// The statements that `work` runs on this connection.
pub fn statements<T>(c: &mut DbConnection, work: impl FnOnce(&mut DbConnection) -> Result<T>) -> Vec<String> {
    watch(c, work, |event| match event {
        InstrumentationEvent::StartQuery { query, .. } => {
            query.to_string().split(" -- binds").next().map(str::to_owned)
        }
        _ => None,
    })
}

/// The statements that `work` is the first to run on this connection, and that stay prepared.
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

/// How the database runs a statement, whatever its parameters.
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

/// The test run's PostgreSQL server.
#[cfg(feature = "postgres")]
pub mod postgres {
    use std::path::Path;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use viraldb::diesel::pg::PgConnection;

    use super::server::Server;
    use super::{Connection, Line, RunQueryDsl, SimpleConnection, sql_query};

    static SERVER: OnceLock<Server> = OnceLock::new();

    /// A database of its own, empty; returns its URL. Its tables are among the server's, or in a folder of a server
    /// that is our own.
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

    /// The tables of a database that hold a planted secret, and the server's log.
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
