//! A database for each test, on either engine.

#[cfg(feature = "postgres")]
pub mod server;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{Arc, Mutex};

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
}

impl Scratch {
    /// A SQLite file that is not there yet.
    #[cfg(feature = "sqlite")]
    pub fn sqlite() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("sqlite://{}", dir.path().join("viral.db").display());
        Self { url, dir, is_postgres: false }
    }

    /// A PostgreSQL database without any table.
    #[cfg(feature = "postgres")]
    pub fn postgres() -> Self {
        Self { url: postgres::create_database(None), dir: tempfile::tempdir().unwrap(), is_postgres: true }
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

#[cfg(feature = "postgres")]
impl Drop for Scratch {
    fn drop(&mut self) {
        if self.is_postgres {
            postgres::drop_database(&self.url);
        }
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

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }
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

/// How the database runs a statement, whatever its parameters.
pub fn plan(t: &Scratch, c: &mut DbConnection, statement: &str) -> Vec<String> {
    #[derive(QueryableByName)]
    struct Line {
        #[diesel(sql_type = Text)]
        detail: String,
    }
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
    let explain = format!("EXPLAIN EXECUTE asked({})", parameters.join(", "));
    let lines: Vec<PgLine> = sql_query(explain).load(c).unwrap();
    c.batch_execute("DEALLOCATE asked").unwrap();
    lines.into_iter().map(|line| line.detail).collect()
}

/// The test run's PostgreSQL server.
#[cfg(feature = "postgres")]
pub mod postgres {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::server::Server;

    static SERVER: OnceLock<Server> = OnceLock::new();

    /// A database of its own, empty or copied from a template; returns its URL.
    pub fn create_database(template: Option<&str>) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let server =
            SERVER.get_or_init(|| Server::new(&["fsync=off", "max_connections=300", "shared_buffers=64MB"]));
        let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        server.create_database(&name, template.unwrap_or("template0"))
    }

    pub fn drop_database(url: &str) {
        if let Some(server) = SERVER.get() {
            server.drop_database(url);
        }
    }
}
