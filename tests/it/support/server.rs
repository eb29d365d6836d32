//! A private PostgreSQL server, for the tests and for the benchmarks.

use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use viraldb::diesel::connection::SimpleConnection;
use viraldb::diesel::pg::PgConnection;
use viraldb::diesel::prelude::*;

pub struct Server {
    /// A URL of the server up to the name of a database, and what comes behind that.
    before: String,
    after: String,
    /// Its data, if the server is our own.
    data: Option<PathBuf>,
    /// The server's keeper runs as long as this process holds its standard input.
    _keeper: Option<Child>,
}

impl Server {
    /// The server that `VIRALDB_TEST_POSTGRES_URL` names, or one that is started with these settings.
    #[allow(dead_code)] // torture does not
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

    /// A server of its own, whatever the environment names.
    pub fn own(settings: &[&str]) -> Self {
        Self::own_in(&std::env::temp_dir(), settings)
    }

    /// One with all that is its own in a folder.
    pub fn own_in(place: &Path, settings: &[&str]) -> Self {
        start(place, settings)
    }

    /// Ends a server of its own without a word to anybody, and starts it again, or starts it after a [`Self::stop`].
    #[allow(dead_code)] // the benchmarks do not
    pub fn restart(&self) {
        self.control(&["-l", "/dev/null", "restart"]);
    }

    /// Ends a server of its own without a word to anybody.
    #[allow(dead_code)] // the benchmarks do not
    pub fn stop(&self) {
        self.control(&["stop"]);
    }

    /// A streaming replica of a server of its own.
    #[allow(dead_code)] // the benchmarks do not
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

    /// Makes a server of its own of a replica.
    #[allow(dead_code)] // the benchmarks do not
    pub fn promote(&self) {
        self.control(&["promote"]);
    }

    /// The folder of a server of its own, in which its socket is.
    #[allow(dead_code)] // the benchmarks do not
    pub fn folder(&self) -> &Path {
        self.data.as_ref().and_then(|data| data.parent()).expect("only a server of its own has a folder here")
    }

    fn control(&self, args: &[&str]) {
        let data = self.data.as_ref().expect("only a server of its own is stopped");
        let done = as_postgres(&bin().join("pg_ctl"))
            .arg("-D")
            .arg(data)
            .args(["-m", "immediate", "-w"])
            .args(args)
            .output()
            .unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    }

    /// Makes a database, copied from a template, and returns its URL.
    #[allow(dead_code)] // torture does not
    pub fn create_database(&self, name: &str, template: &str) -> String {
        let mut conn = PgConnection::establish(&self.url("postgres")).unwrap();
        conn.batch_execute(&format!("CREATE DATABASE {name} TEMPLATE {template}")).unwrap();
        self.url(name)
    }

    /// Drops a database that a URL names, on a server that stays; one of our own goes away as a whole.
    #[allow(dead_code)] // the benchmarks do not
    pub fn drop_database(&self, url: &str) {
        let name = url.strip_prefix(&self.before).and_then(|rest| rest.strip_suffix(&self.after));
        if let (Some(name), None) = (name, &self.data) {
            let mut conn = PgConnection::establish(&self.url("postgres")).unwrap();
            conn.batch_execute(&format!("DROP DATABASE IF EXISTS {name} WITH (FORCE)")).unwrap();
        }
    }

    /// What a server of its own has written to its log.
    #[allow(dead_code)] // the benchmarks do not
    pub fn log(&self) -> Option<Vec<u8>> {
        Some(std::fs::read(self.data.as_ref()?.with_file_name("log")).unwrap())
    }

    /// The URL of one of its databases.
    pub fn url(&self, database: &str) -> String {
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
    // The newest version; a folder of the PATH has none and comes first.
    found.sort_by_key(|bin| {
        let version = bin.parent().and_then(|folder| folder.file_name()?.to_str()?.parse::<u32>().ok());
        version.unwrap_or_default()
    });
    found.pop().expect(
        "no PostgreSQL server programs found: install them (Debian: apt-get install postgresql), \
         name their folder in VIRALDB_TEST_POSTGRES_BIN, or a running server in VIRALDB_TEST_POSTGRES_URL",
    )
}

/// A command that runs as the user PostgreSQL is to run as: it refuses to run as root.
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

/// Starts a server on a Unix socket in a folder of its own, in the place named. A shell keeps it: when this process
/// ends, however it ends, the shell's input closes, and it stops the server and removes the folder.
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

/// A folder that the user PostgreSQL runs as may write.
pub fn folder(place: &Path) -> PathBuf {
    let dir = tempfile::Builder::new().prefix("viraldb-pg").tempdir_in(place).unwrap().keep();
    let done = Command::new("chmod").arg("0777").arg(&dir).status().unwrap();
    assert!(done.success());
    dir
}

/// Runs a server on the data in a folder, with its socket there.
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
