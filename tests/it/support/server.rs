//! A private PostgreSQL server, for the tests and for the benchmarks.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use viraldb::diesel::connection::SimpleConnection;
use viraldb::diesel::pg::PgConnection;
use viraldb::diesel::prelude::*;

pub struct Server {
    /// The parts of a URL before and after the name of a database.
    before: String,
    after: String,
    /// The data folder, if this process started the server.
    data: Option<PathBuf>,
    /// A shell that stops the server when its standard input closes, that is, when this process ends.
    _keeper: Option<Child>,
}

impl Server {
    /// Returns the server that `VIRALDB_TEST_POSTGRES_URL` names, or starts one with these settings.
    #[allow(dead_code)] // unused by torture
    pub fn new(settings: &[&str]) -> Self {
        match std::env::var("VIRALDB_TEST_POSTGRES_URL") {
            Ok(url) => {
                let (before, rest) =
                    url.rsplit_once('/').expect("VIRALDB_TEST_POSTGRES_URL is postgres://…/NAME");
                let after = rest.find('?').map_or("", |at| &rest[at..]);
                Self { before: format!("{before}/"), after: after.to_owned(), data: None, _keeper: None }
            }
            Err(_) => Self::own(settings),
        }
    }

    /// Starts a server with these settings, even if the environment names one.
    pub fn own(settings: &[&str]) -> Self {
        Self::own_in(&std::env::temp_dir(), settings)
    }

    /// Like [`Self::own`], with all files of the server in a new folder inside `place`.
    pub fn own_in(place: &Path, settings: &[&str]) -> Self {
        start(place, settings)
    }

    /// Stops a server started by this process abruptly and starts it again. Also starts it after [`Self::stop`].
    #[allow(dead_code)] // unused by the benchmarks
    pub fn restart(&self) {
        self.control(&["-l", "/dev/null", "restart"]);
    }

    /// Stops a server started by this process abruptly, without notice to its clients.
    #[allow(dead_code)] // unused by the benchmarks
    pub fn stop(&self) {
        self.control(&["stop"]);
    }

    /// Starts a streaming replica of a server started by this process.
    #[allow(dead_code)] // unused by the benchmarks
    pub fn replica(&self) -> Self {
        let dir = folder(&std::env::temp_dir());
        let host = self.folder();
        let data = dir.join("data");
        let copied = as_postgres(&bin().join("pg_basebackup"))
            .args([
                "--write-recovery-conf",
                "--checkpoint=fast",
                "--no-sync",
                "--username=postgres",
                "--host",
            ])
            .arg(host)
            .arg("--pgdata")
            .arg(&data)
            .output()
            .unwrap();
        assert!(copied.status.success(), "pg_basebackup: {}", String::from_utf8_lossy(&copied.stderr));
        run(&dir, &["hot_standby=on"])
    }

    /// Promotes a replica to a primary.
    #[allow(dead_code)] // unused by the benchmarks
    pub fn promote(&self) {
        self.control(&["promote"]);
    }

    /// Returns the folder of a server started by this process. It contains the server's socket.
    #[allow(dead_code)] // unused by the benchmarks
    pub fn folder(&self) -> &Path {
        self.data.as_ref().and_then(|data| data.parent()).expect("only a server started here has a folder")
    }

    fn control(&self, args: &[&str]) {
        let data = self.data.as_ref().expect("only a server started by this process can be controlled");
        let done = as_postgres(&bin().join("pg_ctl"))
            .arg("-D")
            .arg(data)
            .args(["-m", "immediate", "-w"])
            .args(args)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Creates a database from a template and returns its URL.
    #[allow(dead_code)] // unused by torture
    pub fn create_database(&self, name: &str, template: &str) -> String {
        let mut conn = PgConnection::establish(&self.url("postgres")).unwrap();
        conn.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).unwrap();
        self.url(name)
    }

    /// Drops the database that a URL names, if the server outlives this process. Servers started here are removed as a whole.
    #[allow(dead_code)] // unused by the benchmarks
    pub fn drop_database(&self, url: &str) {
        let name = url.strip_prefix(&self.before).and_then(|rest| rest.strip_suffix(&self.after));
        if let (Some(name), None) = (name, &self.data) {
            let mut conn = PgConnection::establish(&self.url("postgres")).unwrap();
            conn.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).unwrap();
        }
    }

    /// Returns the log of a server started by this process, or `None` for other servers.
    #[allow(dead_code)] // unused by the benchmarks
    pub fn log(&self) -> Option<Vec<u8>> {
        Some(std::fs::read(self.data.as_ref()?.with_file_name("log")).unwrap())
    }

    /// Returns the URL of a database on this server.
    pub fn url(&self, database: &str) -> String {
        format!("{}{database}{}", self.before, self.after)
    }
}

/// Returns the folder of the PostgreSQL server programs. Panics if they are not installed.
pub fn bin() -> PathBuf {
    if let Some(bin) = std::env::var_os("VIRALDB_TEST_POSTGRES_BIN") {
        return bin.into();
    }
    let mut found: Vec<PathBuf> = std::fs::read_dir("/usr/lib/postgresql")
        .map(|versions| versions.flatten().map(|version| version.path().join("bin")).collect())
        .unwrap_or_default();
    found.extend(std::env::split_paths(&std::env::var_os("PATH").unwrap_or_default()));
    found.retain(|folder| folder.join("initdb").exists());
    // Choose the newest version. Folders on the PATH have no version number, so they sort first and are the last choice.
    found.sort_by_key(|bin| {
        let version = bin.parent().and_then(|folder| folder.file_name()?.to_str()?.parse::<u32>().ok());
        version.unwrap_or_default()
    });
    found.pop().expect(
        "no PostgreSQL server programs found: install them (Debian: apt-get install postgresql), \
         set VIRALDB_TEST_POSTGRES_BIN to their folder, or VIRALDB_TEST_POSTGRES_URL to the URL of a running server",
    )
}

/// Returns a command that runs as the user postgres if the tests run as root, because PostgreSQL refuses to run as root.
pub fn as_postgres(program: &Path) -> Command {
    let root = std::fs::metadata("/proc/self").is_ok_and(|m| std::os::unix::fs::MetadataExt::uid(&m) == 0);
    if root {
        let mut command = Command::new("runuser");
        command.args(["-u", "postgres", "--"]).arg(program);
        command
    } else {
        Command::new(program)
    }
}

/// Starts a server on a Unix socket, with its data in a new folder inside `place`. A shell watches this process: when
/// the process ends, even by a signal, the shell's input closes. The shell then stops the server and removes the folder.
fn start(place: &Path, settings: &[&str]) -> Server {
    let dir = folder(place);
    let initdb = as_postgres(&bin().join("initdb"))
        .args(["--auth=trust", "--no-sync", "--encoding=UTF8", "--locale=C", "--username=postgres", "-D"])
        .arg(dir.join("data"))
        .output()
        .unwrap();
    assert!(initdb.status.success(), "initdb: {}", String::from_utf8_lossy(&initdb.stderr));
    run(&dir, settings)
}

/// Creates a folder inside `place` that every user may write to, including the one PostgreSQL runs as.
pub fn folder(place: &Path) -> PathBuf {
    let dir = tempfile::Builder::new().prefix("viraldb-pg").tempdir_in(place).unwrap().keep();
    let done = Command::new("chmod").arg("0777").arg(&dir).status().unwrap();
    assert!(done.success());
    dir
}

/// Starts a server on the data in a folder, with its socket in the same folder.
fn run(dir: &Path, settings: &[&str]) -> Server {
    let (data, shown) = (dir.join("data"), dir.display().to_string());
    let mut options = format!("-k {shown} -c listen_addresses=");
    for setting in settings {
        options.push_str(&format!(" -c {setting}"));
    }
    let pg_ctl = |args: &[&str]| {
        let mut command = as_postgres(&bin().join("pg_ctl"));
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
        data: Some(data),
        _keeper: Some(keeper),
    }
}
