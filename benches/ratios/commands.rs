//! Measures complete commands as users run them: a process reads a file from the disk and stores its rows in the database.
//! The rivals are the Python scripts in benches/peers, which also run as complete processes.
//!
//! They need a Python with benches/peers/requirements.txt installed: `VIRALDB_BENCH_PYTHON`, or else python3. Without it
//! these lines are skipped with a message.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
#[cfg(feature = "postgres")]
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use rusqlite::{Connection, TransactionBehavior, params};
use tempfile::TempDir;

use crate::measure::{Asked, Line, time};
#[cfg(feature = "postgres")]
use crate::server::Server;
use crate::sqlite::COLUMNS;

const NEW: &str = "command: trending CSV, new, sqlite";
const SAME: &str = "command: trending CSV, again, sqlite";
#[cfg(feature = "postgres")]
const NEW_POSTGRES: &str = "command: trending CSV, new, postgres";
#[cfg(feature = "postgres")]
const SETTINGS: &[&str] = &["shared_buffers=256MB", "max_wal_size=4GB"];
const API: &str = "command: API JSON Lines, new, sqlite";

/// The formats, their options, and the names of their lines: against sqlite-utils, and growth on each engine.
const FORMATS: [(&str, &[&str], [&str; 3]); 6] = [
    (
        "trending",
        &[],
        [
            "command: trending CSV, sqlite-utils",
            "command: trending CSV, 100 times the rows, sqlite",
            "command: trending CSV, 100 times the rows, postgres",
        ],
    ),
    (
        "api",
        &[],
        [
            "command: API JSON Lines, sqlite-utils",
            "command: API JSON Lines, 100 times the rows, sqlite",
            "command: API JSON Lines, 100 times the rows, postgres",
        ],
    ),
    (
        "ytdlp",
        &[],
        [
            "command: yt-dlp, sqlite-utils",
            "command: yt-dlp, 100 times the rows, sqlite",
            "command: yt-dlp, 100 times the rows, postgres",
        ],
    ),
    (
        "jsonl-videos",
        &["--table", "discovered_videos"],
        [
            "command: JSON Lines, videos, sqlite-utils",
            "command: JSON Lines, videos, 100 times the rows, sqlite",
            "command: JSON Lines, videos, 100 times the rows, postgres",
        ],
    ),
    (
        "jsonl-analytics",
        &["--table", "analytics"],
        [
            "command: JSON Lines, analytics, sqlite-utils",
            "command: JSON Lines, analytics, 100 times the rows, sqlite",
            "command: JSON Lines, analytics, 100 times the rows, postgres",
        ],
    ),
    (
        "jsonl-jobs",
        &["--table", "jobs"],
        [
            "command: JSON Lines, jobs, sqlite-utils",
            "command: JSON Lines, jobs, 100 times the rows, sqlite",
            "command: JSON Lines, jobs, 100 times the rows, postgres",
        ],
    ),
];

pub fn lines(asked: &Asked) -> Vec<Line> {
    let mut names = vec![NEW, SAME, API];
    #[cfg(feature = "postgres")]
    names.push(NEW_POSTGRES);
    names.extend(FORMATS.iter().flat_map(|(.., names)| names));
    if !asked.wants_any(&names) {
        return Vec::new();
    }
    let Some(python) = python() else {
        eprintln!(
            "  commands: skipped, because Python lacks the packages of benches/peers/requirements.txt; install them into a \
             virtual environment and set VIRALDB_BENCH_PYTHON to its python"
        );
        return Vec::new();
    };
    let place = Place { python, dir: tempfile::tempdir().unwrap() };
    let mut lines = Vec::new();
    if asked.wants_any(&[NEW, SAME]) {
        lines.extend(place.trending(asked));
    }
    #[cfg(feature = "postgres")]
    if asked.wants(NEW_POSTGRES) {
        lines.push(place.trending_postgres(asked));
    }
    if asked.wants(API) {
        lines.push(place.api(asked));
    }
    for (format, options, [rival, growth, _]) in FORMATS {
        if asked.wants(rival) {
            lines.push(place.sqlite_utils(asked, format, options, rival));
        }
        if asked.wants(growth) {
            lines.push(place.growth(asked, format, options, growth, &|| place.database("ours").1));
        }
    }
    #[cfg(feature = "postgres")]
    if asked.wants_any(&FORMATS.map(|(.., [.., growth])| growth)) {
        let server = Server::new(SETTINGS);
        for (format, options, [.., growth]) in FORMATS {
            if asked.wants(growth) {
                lines.push(place.growth(asked, format, options, growth, &|| place.on(&server)));
            }
        }
    }
    lines
}

/// Returns a Python that has the packages that the rivals need.
fn python() -> Option<String> {
    let python = std::env::var("VIRALDB_BENCH_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let has_all = Command::new(&python)
        .args(["-c", "import sqlalchemy, psycopg, sqlite_utils"])
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    has_all.then_some(python)
}

fn peer(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers").join(name)
}

/// Runs a command that must succeed.
fn run(command: &mut Command) {
    let status = command.stdout(Stdio::null()).status().unwrap();
    assert!(status.success(), "{command:?}");
}

fn viraldb(url: &str, args: &[&str]) {
    run(Command::new(env!("CARGO_BIN_EXE_viraldb")).args(["--quiet", "--database-url", url]).args(args));
}

struct Place {
    python: String,
    dir: TempDir,
}

impl Place {
    /// Returns a file with the given number of rows, and creates it if necessary.
    fn input(&self, format: &str, rows: u64) -> String {
        let file = self.dir.path().join(format!("{format}-{rows}"));
        if !file.exists() {
            run(Command::new(&self.python)
                .arg(peer("make_input.py"))
                .args([format, &rows.to_string()])
                .arg(&file));
        }
        file.display().to_string()
    }

    /// Creates an empty viraldb database in a file.
    fn database(&self, name: &str) -> (PathBuf, String) {
        let path = self.dir.path().join(format!("{name}.db"));
        for ending in ["", "-wal", "-shm"] {
            let _ = std::fs::remove_file(format!("{}{ending}", path.display()));
        }
        let url = format!("sqlite://{}", path.display());
        viraldb(&url, &["init"]);
        (path, url)
    }

    /// Creates an empty viraldb database on a server.
    #[cfg(feature = "postgres")]
    fn on(&self, server: &Server) -> String {
        static MADE: AtomicUsize = AtomicUsize::new(0);
        let name = format!("commands{}_{}", std::process::id(), MADE.fetch_add(1, Ordering::Relaxed));
        let url = server.create_database(&name, "template0");
        viraldb(&url, &["init"]);
        url
    }

    fn sqlalchemy(&self, url: &str, file: &str, args: &[&str]) {
        run(Command::new(&self.python).arg(peer("sqlalchemy_trending.py")).args([url, file]).args(args));
    }

    fn trending(&self, asked: &Asked) -> [Line; 2] {
        let count = asked.rows(300_000);
        let file = self.input("trending", count);
        let (mut new, mut same) = (Line::new(NEW, 4.0, count), Line::new(SAME, 6.0, count));
        for _ in 0..asked.rounds(3) {
            let (_, ours) = self.database("ours");
            let (path, _) = self.database("rival");
            let rival = format!("sqlite:///{}", path.display());
            let first = time(|| viraldb(&ours, &["ingest", &file]));
            new.add(first, time(|| self.sqlalchemy(&rival, &file, &[])));
            let again = time(|| viraldb(&ours, &["ingest", &file]));
            same.add(again, time(|| self.sqlalchemy(&rival, &file, &["--update"])));
        }
        [new, same]
    }

    #[cfg(feature = "postgres")]
    fn trending_postgres(&self, asked: &Asked) -> Line {
        let count = asked.rows(300_000);
        let file = self.input("trending", count);
        let server = Server::new(SETTINGS);
        let mut line = Line::new(NEW_POSTGRES, 5.0, count);
        for _ in 0..asked.rounds(3) {
            let (ours, rival) = (self.on(&server), self.on(&server));
            let rival = for_sqlalchemy(&rival);
            let took = time(|| viraldb(&ours, &["ingest", &file]));
            line.add(took, time(|| self.sqlalchemy(&rival, &file, &[])));
        }
        line
    }

    /// Compares with a rival that inserts rows that are already parsed into the same table in one transaction.
    fn api(&self, asked: &Asked) -> Line {
        let count = asked.rows(1_000_000);
        let file = self.input("api", count);
        let (from, url) = self.database("parsed");
        viraldb(&url, &["ingest", &file]);
        let mut line = Line::new(API, 0.8, count);
        for _ in 0..asked.rounds(3) {
            let (_, ours) = self.database("ours");
            let (to, _) = self.database("rival");
            let took = time(|| viraldb(&ours, &["ingest", &file]));
            line.add(took, bare(&from, &to));
        }
        line
    }

    fn sqlite_utils(&self, asked: &Asked, format: &str, options: &[&str], name: &'static str) -> Line {
        let count = asked.rows(100_000);
        let file = self.input(format, count);
        let mut line = Line::new(name, 5.0, count);
        for _ in 0..asked.rounds(3) {
            let (_, ours) = self.database("ours");
            let rival = self.dir.path().join("rival-utils.db");
            let _ = std::fs::remove_file(&rival);
            let took = time(|| viraldb(&ours, &[&["ingest", &file], options].concat()));
            let kind = if format == "trending" { "--csv" } else { "--nl" };
            let insert = || {
                run(Command::new(&self.python)
                    .args(["-m", "sqlite_utils", "insert"])
                    .arg(&rival)
                    .args(["rows", &file, kind]));
            };
            line.add(took, time(insert));
        }
        line
    }

    /// Compares the time for all rows with a hundred times the time for a hundredth of the rows.
    fn growth(
        &self,
        asked: &Asked,
        format: &str,
        options: &[&str],
        name: &'static str,
        database: &dyn Fn() -> String,
    ) -> Line {
        let count = asked.rows(1_000_000);
        let (large, small) = (self.input(format, count), self.input(format, count / 100));
        let mut line = Line::new(name, 0.67, count);
        for _ in 0..asked.rounds(1) {
            let took = |file: &str| {
                let url = database();
                time(|| viraldb(&url, &[&["ingest", file], options].concat()))
            };
            let few = took(&small);
            line.add(took(&large), few * 100);
        }
        line
    }
}

/// Returns the URL of a server on a Unix socket for SQLAlchemy, which expects the socket's folder as a parameter.
#[cfg(feature = "postgres")]
fn for_sqlalchemy(url: &str) -> String {
    let rest = url.trim_start_matches("postgres://");
    let (user, rest) = rest.split_once('@').unwrap();
    let (host, name) = rest.split_once('/').unwrap();
    format!("postgresql://{user}@/{name}?host={}", host.replace("%2F", "/"))
}

/// Inserts the videos of one database into another in one transaction. Returns the time without reading them.
fn bare(from: &Path, to: &Path) -> Duration {
    let from = Connection::open(from).unwrap();
    let mut rows = from.prepare(&format!("SELECT {COLUMNS} FROM discovered_videos ORDER BY id")).unwrap();
    let width = COLUMNS.split(',').count();
    let rows = rows.query_map(params![], |row| (0..width).map(|at| row.get(at)).collect()).unwrap();
    let rows: Vec<Vec<rusqlite::types::Value>> = rows.collect::<Result<_, _>>().unwrap();
    let mut to = Connection::open(to).unwrap();
    to.execute_batch("PRAGMA foreign_keys = ON; PRAGMA synchronous = NORMAL; PRAGMA cache_size = -32000")
        .unwrap();
    let places = vec!["?"; width].join(", ");
    time(|| {
        let write = to.transaction_with_behavior(TransactionBehavior::Immediate).unwrap();
        let mut insert =
            write.prepare(&format!("INSERT INTO discovered_videos ({COLUMNS}) VALUES ({places})")).unwrap();
        for row in &rows {
            insert.execute(rusqlite::params_from_iter(row)).unwrap();
        }
        drop(insert);
        write.commit().unwrap();
    })
}
