//! A lane is one caller that runs commands one after another and kills some of them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use fastrand::Rng;
use serde_json::{Value, json};
use viraldb::Database;
use viraldb::diesel::prelude::*;
use viraldb::diesel::sql_query;
use viraldb::diesel::sql_types::Text;

use crate::postgres::Postgres;
use crate::round::Round;
use crate::tally::Left;

/// A command that runs longer than this is considered to hang.
const LONGEST: Duration = Duration::from_secs(180);
/// How long failed operations are retried. A killed server needs time to recover.
const PATIENCE: Duration = Duration::from_secs(90);

/// The work of a lane.
pub trait Work: Send {
    /// Prepares the database for the lane. Nothing is killed yet.
    fn set_up(&mut self, lane: &mut Lane<'_>);
    /// Runs a command that changes data, and checks the database if the command did not succeed.
    fn step(&mut self, lane: &mut Lane<'_>);
    /// Compares the database with everything that was acknowledged.
    fn check(&mut self, lane: &mut Lane<'_>);
}

/// The result of a command.
#[derive(Debug)]
pub struct Ran {
    /// True for exit code 0, which acknowledges the effect of the command.
    pub is_done: bool,
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Ran {
    /// Parses the output as JSON. Returns null if the output is not complete.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_default()
    }
}

pub struct Lane<'a> {
    pub round: &'a Round<'a>,
    pub name: String,
    pub rng: Rng,
    /// The encryption keys for the commands of the lane.
    pub keys: Option<String>,
    /// The database whose secrets are encrypted with these keys. `None` means the database of the round.
    pub keys_of: Option<String>,
    number: u64,
}

/// The typical duration of each kind of command on each engine, so that kills can hit every part of a command.
static TYPICAL: Mutex<BTreeMap<(bool, &'static str), Duration>> = Mutex::new(BTreeMap::new());

impl<'a> Lane<'a> {
    pub fn new(round: &'a Round<'a>, name: &str, rng: Rng) -> Self {
        std::fs::create_dir_all(round.plan.dir.join(name)).unwrap();
        Self { round, name: name.to_owned(), rng, keys: None, keys_of: None, number: 0 }
    }

    /// Returns a path in the lane's folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.round.plan.dir.join(&self.name).join(name)
    }

    pub fn text_path(&self, name: &str) -> String {
        self.path(name).display().to_string()
    }

    /// Runs a command on the round's database, and may kill it.
    pub fn run(&mut self, kind: &'static str, args: &[&str]) -> Ran {
        let url = self.round.url.clone();
        self.run_on(&url, kind, args, None)
    }

    /// Runs a command on a database with the given input, and may kill it.
    pub fn run_on(&mut self, url: &str, kind: &'static str, args: &[&str], input: Option<&str>) -> Ran {
        let typical = TYPICAL.lock().unwrap().get(&(self.round.plan.is_postgres, kind)).copied();
        // Half of the kills hit the end, because a short command spends most of its time starting and commits at the end.
        let kill = typical.filter(|_| self.rng.bool()).map(|typical| {
            let part = if self.rng.bool() { self.rng.f64() } else { 0.7 + 0.5 * self.rng.f64() };
            typical.mul_f64(part)
        });
        self.spawn(url, kind, args, input, kill)
    }

    /// Runs a command that must end with one of the given exit codes, and returns the exit code.
    pub fn sure_code(&mut self, url: &str, args: &[&str], codes: &[i32]) -> i32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ran = self.spawn(url, "check", args, None, None);
            match ran.code {
                Some(code) if codes.contains(&code) => return code,
                Some(1) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(100)),
                code => {
                    self.violation(&format!(
                        "{args:?} ended with {code:?}: {} {}",
                        ran.out.trim(),
                        ran.err.trim()
                    ));
                    return code.unwrap_or(-1);
                }
            }
        }
    }

    /// Runs a command that must succeed. It is not killed, and it is retried while it fails.
    pub fn sure(&mut self, kind: &'static str, args: &[&str]) -> Ran {
        let url = self.round.url.clone();
        self.sure_on(&url, kind, args, None)
    }

    pub fn sure_on(&mut self, url: &str, kind: &'static str, args: &[&str], input: Option<&str>) -> Ran {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ran = self.spawn(url, kind, args, input, None);
            if ran.is_done || Instant::now() > deadline {
                self.expect(ran.is_done, || format!("{args:?} keeps failing: {}", ran.err.trim()));
                return ran;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Runs a command without killing it until it succeeds or viraldb rejects it because the lease is lost.
    ///
    /// Returns true if it succeeded.
    pub fn sure_or_refused(&mut self, kind: &'static str, args: &[&str]) -> bool {
        let url = self.round.url.clone();
        let deadline = Instant::now() + PATIENCE;
        loop {
            let ran = self.spawn(&url, kind, args, None, None);
            if ran.is_done || ran.err.contains("lease") {
                return ran.is_done;
            }
            self.expect(Instant::now() < deadline, || format!("{args:?} keeps failing: {}", ran.err.trim()));
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn spawn(
        &mut self,
        url: &str,
        kind: &'static str,
        args: &[&str],
        input: Option<&str>,
        kill: Option<Duration>,
    ) -> Ran {
        self.number += 1;
        let session = format!("torture_{}_{}_{}", self.round.plan.number, self.name, self.number);
        let is_postgres = url.starts_with("postgres");
        let url = if is_postgres { Postgres::named(url, &session) } else { url.to_owned() };
        // Use files instead of pipes, so that all output of a killed command can be read afterwards.
        let [out, err, stdin] = ["out", "err", "in"].map(|name| self.path(name));
        if let Some(input) = input {
            std::fs::write(&stdin, input).unwrap();
        }
        let mut command = Command::new(self.round.plan.viraldb);
        command
            .args(args)
            .current_dir(self.path(""))
            .stdin(if input.is_some() { File::open(&stdin).unwrap().into() } else { Stdio::null() })
            .stdout(File::create(&out).unwrap())
            .stderr(File::create(&err).unwrap())
            .env("DATABASE_URL", &url)
            .env("PGAPPNAME", &session)
            .env("XDG_CONFIG_HOME", self.path(""))
            .env("TMPDIR", self.path(""))
            .env_remove("VIRALDB_KEY_FILE")
            .env_remove("VIRALDB_CONFIG")
            .env_remove("RUST_LOG");
        match &self.keys {
            Some(keys) => command.env("VIRALDB_KEY", keys),
            None => command.env_remove("VIRALDB_KEY"),
        };
        let begin = Instant::now();
        let mut child = command.spawn().unwrap();
        let deadline = begin + kill.unwrap_or(LONGEST);
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                child.kill().unwrap();
                break child.wait().unwrap();
            }
            std::thread::sleep(left.min(Duration::from_micros(500)));
        };
        let elapsed = begin.elapsed();
        let text = |path| String::from_utf8_lossy(&std::fs::read(path).unwrap()).into_owned();
        let ran = Ran { is_done: status.success(), code: status.code(), out: text(&out), err: text(&err) };
        if !ran.is_done
            && is_postgres
            && let Some(server) = self.round.plan.server
        {
            let settled = server.settle(&session);
            self.expect(settled.is_ok(), || settled.unwrap_err());
        }

        let ended = match ran.code {
            Some(0) => "done",
            Some(_) => "failed",
            None => "killed",
        };
        self.round.log(json!({
            "lane": self.name, "n": self.number, "kind": kind, "args": args, "ended": ended, "code": ran.code,
            "ms": elapsed.as_secs_f64() * 1e3, "out": short(&ran.out, 2_000), "err": short(&ran.err, 500),
        }));
        // Do not count commands that only check the database: their exit codes are results, not failures.
        let is_look = ["doctor", "check"].contains(&kind);
        self.round.plan.tally.add(|counts| {
            if is_look {
                return;
            }
            let of = counts.commands.entry(kind).or_default();
            of[match ran.code {
                Some(0) => 0,
                Some(_) => 2,
                None => 1,
            }] += 1;
            if ran.code.is_some_and(|code| code != 0) {
                *counts.failures.entry(format!("{kind}: {}", reason(&ran.err))).or_default() += 1;
            }
        });
        if ran.is_done {
            let mut typical = TYPICAL.lock().unwrap();
            let of = typical.entry((self.round.plan.is_postgres, kind)).or_insert(elapsed);
            *of = of.mul_f64(0.8) + elapsed.mul_f64(0.2);
        }
        match ran.code {
            None if kill.is_none() => self.violation(&format!(
                "{args:?} crashed or hung: it ended with {status} after {elapsed:?}: {}",
                ran.err.trim()
            )),
            Some(101 | 2) => self.violation(&format!("{args:?} ended with {status}: {}", ran.err.trim())),
            _ => {}
        }
        ran
    }

    /// Returns the values of a query on the round's database, through a new connection.
    pub fn texts(&self, sql: &str) -> Vec<String> {
        self.texts_of(&self.round.url, sql)
    }

    pub fn texts_of(&self, url: &str, sql: &str) -> Vec<String> {
        #[derive(QueryableByName)]
        struct Line {
            #[diesel(sql_type = Text)]
            v: String,
        }
        let deadline = Instant::now() + PATIENCE;
        loop {
            let read = Database::connect(url).and_then(|db| db.read(|c| Ok(sql_query(sql).load::<Line>(c)?)));
            match read {
                Ok(lines) => return lines.into_iter().map(|line| line.v).collect(),
                Err(error) if Instant::now() > deadline => {
                    self.violation(&format!("cannot read the database: {error}: {sql}"));
                    return Vec::new();
                }
                Err(_) => std::thread::sleep(Duration::from_millis(100)),
            }
        }
    }

    /// Changes rows directly, without the command, as another program would.
    pub fn write_to(&self, url: &str, sql: &str) {
        let deadline = Instant::now() + PATIENCE;
        while let Err(error) =
            Database::connect(url).and_then(|db| db.write(|c| Ok(sql_query(sql).execute(c)?)))
        {
            if Instant::now() > deadline {
                return self.violation(&format!("cannot write to the database: {error}: {sql}"));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    /// Returns the number that a `count(*)` query on the round's database yields.
    pub fn number(&self, sql: &str) -> u64 {
        self.number_of(&self.round.url, sql)
    }

    pub fn number_of(&self, url: &str, sql: &str) -> u64 {
        let texts = self.texts_of(url, &sql.replacen("count(*)", "CAST(count(*) AS text) AS v", 1));
        texts.first().and_then(|text| text.parse().ok()).unwrap_or_default()
    }

    /// Runs `viraldb doctor` on a database, which must find no errors.
    pub fn doctor(&mut self, url: &str, is_deep: bool) {
        let deadline = Instant::now() + PATIENCE;
        let args = ["doctor", "--format", "json", "--deep"];
        loop {
            let ran = self.spawn(url, "doctor", &args[..if is_deep { 4 } else { 3 }], None, None);
            self.round.plan.tally.add(|counts| counts.doctors += 1);
            match ran.code {
                Some(0 | 3) => return,
                // The doctor could not examine the database.
                Some(1) if Instant::now() < deadline => std::thread::sleep(Duration::from_millis(100)),
                code => {
                    let report = ran.json();
                    // Without the keys, ignore findings about secrets. Only the secrets lane has the keys of the round.
                    let has_keys =
                        self.keys.is_some() && self.keys_of.as_ref().unwrap_or(&self.round.url) == url;
                    let is_error = |finding: &&Value| {
                        finding["severity"] == "error" && (has_keys || finding["check"] != "secrets")
                    };
                    let errors: Vec<&Value> =
                        report["findings"].as_array().into_iter().flatten().filter(is_error).collect();
                    if errors.is_empty() && code == Some(4) {
                        return;
                    }
                    // The doctor reports a server that was killed in the meantime as an error, but the server recovers.
                    let is_gone = errors.iter().all(|error| error["check"] == "open");
                    if is_gone && Instant::now() < deadline {
                        std::thread::sleep(Duration::from_millis(100));
                        continue;
                    }
                    return self
                        .violation(&format!("doctor ended with {code:?}: {errors:?} {}", ran.err.trim()));
                }
            }
        }
    }

    /// After a killed command, records how much of its effect it has left and runs the doctor on the round's database.
    pub fn after(&mut self, ran: &Ran, left: Left) {
        if ran.code.is_none() {
            self.round.plan.tally.add(|counts| counts.left[left as usize] += 1);
            let url = self.round.url.clone();
            self.doctor(&url, false);
        }
    }

    /// Records a violation unless `holds` is true.
    pub fn expect(&self, holds: bool, text: impl FnOnce() -> String) {
        self.round.plan.tally.add(|counts| counts.checks += 1);
        if !holds {
            self.violation(&text());
        }
    }

    pub fn violation(&self, text: &str) {
        self.round.violation(&format!("lane {}, command {}: {}", self.name, self.number, short(text, 2_000)));
    }

    pub fn acknowledged(&self, rows: u64) {
        self.round.plan.tally.add(|counts| counts.rows += rows);
    }
}

fn short(text: &str, most: usize) -> String {
    text.chars().take(most).collect()
}

/// Returns the kind of a failure, or its error message without the parts that vary.
fn reason(err: &str) -> String {
    let line = err.lines().rev().find(|line| line.starts_with("error")).unwrap_or(err.trim());
    let is = |parts: &[&str]| parts.iter().any(|part| line.contains(part));
    if is(&["the connection was lost", "server closed the connection", "terminating connection"]) {
        return "the connection was lost".to_owned();
    }
    if is(&["cannot be reached", "the server refused"]) {
        return "the server is unavailable".to_owned();
    }
    if is(&["is locked"]) {
        return "the SQLite database is locked".to_owned();
    }
    let words = line.split(' ').map(|word| {
        let varies = word.chars().any(|c| c.is_ascii_digit()) || word.contains('/') && word.len() > 12;
        if varies { "…" } else { word }
    });
    short(&words.collect::<Vec<_>>().join(" "), 110)
}
