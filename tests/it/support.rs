//! A database for each test, on either engine.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use tempfile::TempDir;
use viraldb::Database;

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

/// The command `viraldb` in a folder, with nothing of our own environment that it would read.
pub fn viraldb(folder: &Path, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_viraldb"));
    command
        .current_dir(folder)
        .args(args)
        .stdin(Stdio::null())
        .env_remove("DATABASE_URL")
        .env_remove("RUST_LOG");
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

/// A private PostgreSQL server for the test run.
#[cfg(feature = "postgres")]
pub mod postgres {
    use std::os::unix::process::CommandExt;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU32, Ordering};

    use viraldb::diesel::connection::SimpleConnection;
    use viraldb::diesel::pg::PgConnection;
    use viraldb::diesel::prelude::*;

    use super::*;

    struct Server {
        /// A URL of the server up to the name of a database, and what comes behind that.
        before: String,
        after: String,
        /// The server's keeper runs as long as this process holds its standard input.
        _keeper: Option<std::process::Child>,
    }

    impl Server {
        fn url(&self, database: &str) -> String {
            format!("{}{database}{}", self.before, self.after)
        }
    }

    /// The folder of the server programs; the tests fail without them.
    pub fn bin() -> PathBuf {
        if let Some(bin) = std::env::var_os("VIRALDB_TEST_POSTGRES_BIN") {
            return bin.into();
        }
        let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
            .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
            .unwrap_or_default();
        found.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
        found.retain(|folder| folder.join("initdb").exists());
        found.sort();
        found.pop().expect(
            "no PostgreSQL server programs found: install them (Debian: apt-get install postgresql), \
             name their folder in VIRALDB_TEST_POSTGRES_BIN, or a running server in VIRALDB_TEST_POSTGRES_URL",
        )
    }

    /// A command that runs as the user PostgreSQL is to run as: it refuses to run as root.
    pub fn as_postgres(program: &Path) -> Command {
        let root =
            std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
        if root {
            let mut command = Command::new("runuser");
            command.args(["-u", "postgres", "--"]).arg(program);
            command
        } else {
            Command::new(program)
        }
    }

    /// A database of its own, empty or copied from a template; returns its URL.
    pub fn create_database(template: Option<&str>) -> String {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let server = server();
        let name = format!("t{}_{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let mut conn = PgConnection::establish(&server.url("postgres")).unwrap();
        let template = template.unwrap_or("template0");
        conn.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).unwrap();
        server.url(&name)
    }

    fn server() -> &'static Server {
        static SERVER: OnceLock<Server> = OnceLock::new();
        SERVER.get_or_init(|| match std::env::var("VIRALDB_TEST_POSTGRES_URL") {
            Ok(url) => {
                let (before, rest) =
                    url.rsplit_once('/').expect("VIRALDB_TEST_POSTGRES_URL is postgres://…/NAME");
                let after = rest.find('?').map_or("", |at| &rest[at..]);
                Server { before: format!("{before}/"), after: after.to_owned(), _keeper: None }
            }
            Err(_) => start(),
        })
    }

    /// Starts a server on a Unix socket in a folder of its own. A shell keeps it: when this process
    /// ends, however it ends, the shell's input closes, and it stops the server and removes the folder.
    fn start() -> Server {
        let bin = bin();
        let dir = tempfile::Builder::new().prefix("viraldb-pg").tempdir().unwrap().keep();
        let shown = dir.display().to_string();
        let done = Command::new("chmod").args(["0777", &shown]).status().unwrap();
        assert!(done.success());
        let data = dir.join("data");
        let initdb = as_postgres(&bin.join("initdb"))
            .args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--username=postgres", "-D"])
            .arg(&data)
            .output()
            .unwrap();
        assert!(initdb.status.success(), "initdb: {}", String::from_utf8_lossy(&initdb.stderr));
        let options = format!(
            "-k {shown} -c listen_addresses= -c fsync=off -c max_connections=300 -c shared_buffers=64MB"
        );
        let pg_ctl = |args: &[&str]| {
            let mut command = as_postgres(&bin.join("pg_ctl"));
            command.arg("-D").arg(&data).args(args).stdout(Stdio::null());
            command
        };
        let log = dir.join("log");
        let started = pg_ctl(&["-w", "-l", log.to_str().unwrap(), "-o", &options, "start"]).status().unwrap();
        assert!(
            started.success(),
            "the server did not start: {}",
            std::fs::read_to_string(log).unwrap_or_default()
        );
        let stop = pg_ctl(&["-m", "immediate", "stop"]);
        let keeper = Command::new("sh")
            .args([
                "-c",
                "cat >/dev/null; dir=$1; shift; \"$@\" >/dev/null 2>&1; rm -rf \"$dir\"",
                "keeper",
                &shown,
            ])
            .arg(stop.get_program())
            .args(stop.get_args())
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let socket = shown.replace('/', "%2F");
        Server {
            before: format!("postgres://postgres@{socket}/"),
            after: String::new(),
            _keeper: Some(keeper),
        }
    }
}
