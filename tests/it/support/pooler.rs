//! PgBouncer in front of a PostgreSQL server that a test started.

use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use viraldb::diesel::pg::PgConnection;
use viraldb::diesel::prelude::*;

use super::server::{Server, as_postgres, folder};

/// The number of server sessions per database. When all are in use, further clients wait.
pub const SESSIONS: usize = 2;

pub struct Pooler {
    /// The URL up to the name of a database.
    before: String,
    /// A shell that stops PgBouncer when its standard input closes, that is, when this process ends.
    _keeper: Child,
}

impl Pooler {
    /// Starts PgBouncer in transaction mode in front of `server`.
    pub fn before(server: &Server) -> Self {
        let dir = folder(&std::env::temp_dir());
        let shown = dir.display();
        let settings = format!(
            "[databases]\n* = host={} user=postgres\n[pgbouncer]\npool_mode = transaction\n\
             default_pool_size = {SESSIONS}\nmax_client_conn = 200\nauth_type = any\nlisten_addr =\n\
             listen_port = 6432\nunix_socket_dir = {shown}\nlogfile = {shown}/log\npidfile = {shown}/pid\n",
            server.folder().display()
        );
        std::fs::write(dir.join("pgbouncer.ini"), settings).unwrap();
        let started = as_postgres(&program()).arg("-d").arg(dir.join("pgbouncer.ini")).output().unwrap();
        assert!(started.status.success(), "pgbouncer: {}", String::from_utf8_lossy(&started.stderr));
        let keeper = Command::new("sh")
            .args(["-c", "cat >/dev/null; kill \"$(cat \"$1/pid\")\"; rm -rf \"$1\"", "keeper"])
            .arg(&dir)
            .stdin(Stdio::piped())
            .process_group(0)
            .spawn()
            .unwrap();
        let pooler = Self {
            before: format!("postgres://postgres@{}:6432/", shown.to_string().replace('/', "%2F")),
            _keeper: keeper,
        };
        let deadline = Instant::now() + Duration::from_secs(30);
        while let Err(error) = PgConnection::establish(&pooler.untold("postgres")) {
            let log = || std::fs::read_to_string(dir.join("log")).unwrap_or_default();
            assert!(Instant::now() < deadline, "pgbouncer does not answer: {error}: {}", log());
            std::thread::sleep(Duration::from_millis(20));
        }
        pooler
    }

    /// Returns the URL of a database with `pgbouncer=true`, which tells viraldb about the pooler.
    pub fn url(&self, database: &str) -> String {
        format!("{}{database}?pgbouncer=true", self.before)
    }

    /// Returns the URL of a database without `pgbouncer=true`.
    pub fn untold(&self, database: &str) -> String {
        format!("{}{database}", self.before)
    }
}

/// Returns the path of PgBouncer. Panics if it is not installed.
fn program() -> PathBuf {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut found = std::env::split_paths(&path).map(|folder| folder.join("pgbouncer"));
    found
        .find(|program| program.is_file())
        .or_else(|| Some(PathBuf::from("/usr/sbin/pgbouncer")).filter(|program| program.is_file()))
        .expect("pgbouncer was not found: install it (Debian: apt-get install pgbouncer)")
}
