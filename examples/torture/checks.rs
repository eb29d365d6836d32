//! Tests commands that change a whole database: `restore`, `transfer`, `takeover`, `migrate` and `init`.
//!
//! They use separate small databases that no other process has open. A kill therefore also ends the last process that uses
//! the file.

use std::path::Path;

use crate::lane::{Lane, Work};
use crate::tally::Left;

const ROWS: u64 = 1_200;
const VIDEOS: &str = "SELECT count(*) FROM discovered_videos";
const SUM: &str = "SELECT CAST(count(*) AS text) || ' ' || CAST(COALESCE(sum(view_count), 0) AS text) || ' ' || \
    CAST((SELECT count(*) FROM error_log) AS text) AS v FROM discovered_videos";
const TRENDS: &str = "SELECT count(*) FROM trends";

#[derive(Default)]
pub struct Whole {
    url: String,
    backup: String,
    /// The number of trends after a complete takeover.
    trends: u64,
    extra: u64,
    made: u64,
}

impl Work for Whole {
    fn set_up(&mut self, lane: &mut Lane<'_>) {
        self.url = self.database(lane, lane.round.plan.is_postgres);
        let url = self.url.clone();
        lane.sure_on(&url, "init", &["init"], None);
        add(lane, &url, 0, ROWS);
        let errors: String = (0..300)
            .map(|n| format!("{{\"module\":\"m\",\"error_type\":\"E\",\"error_message\":\"m{n}\"}}\n"))
            .collect();
        lane.sure_on(
            &url,
            "ingest",
            &["ingest", "-", "--as", "jsonl", "--table", "error_log"],
            Some(&errors),
        );
        let made = lane.sure_on(
            &url,
            "backup create",
            &["backup", "create", "--to", "backups", "--format", "json"],
            None,
        );
        self.backup = made.json()["file"].as_str().unwrap_or_default().to_owned();

        let target = self.database(lane, lane.round.plan.is_postgres);
        lane.sure_on(&target, "takeover", &["takeover", &source(), "--to", &target], None);
        self.trends = lane.number_of(&target, TRENDS);
        lane.expect(self.trends > 0, || "the takeover copied no trends".to_owned());
    }

    fn step(&mut self, lane: &mut Lane<'_>) {
        match lane.rng.u8(..6) {
            0 | 1 => self.restore(lane),
            2 | 3 => self.transfer(lane),
            4 => self.takeover(lane),
            _ => self.migrate(lane),
        }
    }

    fn check(&mut self, lane: &mut Lane<'_>) {
        let there = lane.number_of(&self.url, VIDEOS);
        lane.expect(there == ROWS + self.extra, || {
            format!("found {there} videos, expected {}", ROWS + self.extra)
        });
        let url = self.url.clone();
        lane.doctor(&url, true);
    }
}

impl Whole {
    /// Creates a new, empty database and returns its URL.
    fn database(&mut self, lane: &Lane<'_>, is_postgres: bool) -> String {
        self.made += 1;
        match lane.round.plan.server.filter(|_| is_postgres) {
            Some(server) => server.create(&format!("{}_w{}", prefix(lane), self.made)),
            None => format!("sqlite://{}", lane.path(&format!("whole{}.db", self.made)).display()),
        }
    }

    /// Checks that a restore either happens completely or leaves the database as it was.
    fn restore(&mut self, lane: &mut Lane<'_>) {
        let url = self.url.clone();
        if self.extra == 0 {
            add(lane, &url, ROWS, 1);
            self.extra = 1;
        }
        let ran = lane.run_on(&url, "restore", &["restore", "--yes", &self.backup], None);
        let there = lane.number_of(&url, VIDEOS);
        let expected: &[u64] = if ran.is_done { &[ROWS] } else { &[ROWS, ROWS + self.extra] };
        lane.expect(expected.contains(&there), || {
            format!("found {there} videos after a restore, expected one of {expected:?}")
        });
        let is_new = there == ROWS;
        if is_new {
            self.extra = 0;
        }
        if ran.is_done {
            lane.acknowledged(ROWS);
        } else {
            lane.doctor(&url, false);
            lane.after(&ran, if is_new { Left::Whole } else { Left::Nothing });
        }
        forget_kept(lane, &url);
    }

    /// Checks that a killed transfer can be resumed until the copy is complete.
    fn transfer(&mut self, lane: &mut Lane<'_>) {
        let from = self.url.clone();
        let is_postgres = lane.round.plan.server.is_some() && lane.rng.bool();
        let to = self.database(lane, is_postgres);
        let mut how = "--replace";
        for _ in 0..6 {
            let args = ["transfer", "--from", &from, "--to", &to, "--batch", "100", how];
            let ran = lane.run("transfer", &args);
            if ran.is_done {
                break;
            }
            how = "--resume";
            lane.after(&ran, if ran.code.is_none() { Left::Part } else { Left::Nothing });
        }
        // The transfer may have been killed after its last commit. Then `--resume` only compares the databases.
        lane.sure("transfer", &["transfer", "--from", &from, "--to", &to, "--resume"]);
        let [source, target] = [&from, &to].map(|url| lane.texts_of(url, SUM));
        lane.expect(source == target, || {
            format!("after a transfer the target has {target:?}, but the source has {source:?}")
        });
        lane.doctor(&to, true);
        lane.acknowledged(ROWS);
        self.forget(lane, &to);
    }

    /// Checks that a takeover into PostgreSQL is one transaction, and that one into SQLite continues when it is run again.
    fn takeover(&mut self, lane: &mut Lane<'_>) {
        let to = self.database(lane, lane.round.plan.is_postgres);
        lane.sure_on(&to, "init", &["init"], None);
        let ran = lane.run("takeover", &["takeover", &source(), "--to", &to]);
        if !ran.is_done {
            let there = lane.number_of(&to, TRENDS);
            lane.expect(!lane.round.plan.is_postgres || [0, self.trends].contains(&there), || {
                format!("found {there} trends after a takeover, expected 0 or {}", self.trends)
            });
            lane.after(
                &ran,
                match there {
                    0 => Left::Nothing,
                    there if there == self.trends => Left::Whole,
                    _ => Left::Part,
                },
            );
            lane.sure("takeover", &["takeover", &source(), "--to", &to]);
            lane.doctor(&to, true);
        }
        let there = lane.number_of(&to, TRENDS);
        lane.expect(there == self.trends, || {
            format!("found {there} trends after a takeover, expected {}", self.trends)
        });
        lane.acknowledged(self.trends);
        self.forget(lane, &to);
    }

    /// Checks that each migration is applied completely or not at all when `init`, `migrate revert`, `migrate redo` or
    /// `migrate run` is killed.
    fn migrate(&mut self, lane: &mut Lane<'_>) {
        let url = self.database(lane, lane.round.plan.is_postgres);
        let ran = lane.run_on(&url, "init", &["init"], None);
        if !ran.is_done {
            lane.after(&ran, Left::Nothing);
            lane.sure_on(&url, "init", &["init"], None);
        }
        add(lane, &url, 0, 50);
        for _ in 0..4 {
            let count = ["1", "2", "3"][lane.rng.usize(..3)];
            let (kind, args): (_, &[&str]) = match lane.rng.u8(..3) {
                0 => ("migrate redo", &["migrate", "redo", "--no-backup"]),
                1 => ("migrate revert", &["migrate", "revert", "--no-backup", "--count", count]),
                _ => ("migrate run", &["migrate", "run"]),
            };
            let ran = lane.run_on(&url, kind, args, None);
            if !ran.is_done {
                let check = lane.sure_code(&url, &["migrate", "check"], &[0, 3]);
                lane.after(&ran, if check == 3 { Left::Part } else { Left::Nothing });
            }
            // Migrate to the newest schema again, so that the migration that creates the videos is never reverted.
            lane.sure_on(&url, "migrate run", &["migrate", "run", "--no-backup"], None);
        }
        lane.sure_code(&url, &["migrate", "check"], &[0]);
        let there = lane.number_of(&url, VIDEOS);
        lane.expect(there == 50, || format!("found {there} videos after migrations, expected 50"));
        lane.doctor(&url, true);
        self.forget(lane, &url);
    }

    /// Removes a database that is no longer needed.
    fn forget(&self, lane: &Lane<'_>, url: &str) {
        match (url.strip_prefix("sqlite://"), lane.round.plan.server) {
            (Some(path), _) => {
                for ending in ["", "-wal", "-shm"] {
                    let _ = std::fs::remove_file(format!("{path}{ending}"));
                }
            }
            (None, Some(server)) => server.drop_like(&format!("{}_w{}", prefix(lane), self.made)),
            (None, None) => {}
        }
    }
}

/// Removes the replaced databases that restores have kept.
fn forget_kept(lane: &Lane<'_>, url: &str) {
    if let (Some(server), false) = (lane.round.plan.server, url.starts_with("sqlite")) {
        let name: String = format!("{}_w1", prefix(lane)).chars().take(16).collect();
        return server.drop_like(&format!("{name}_replaced_"));
    }
    for entry in std::fs::read_dir(lane.path("")).unwrap().flatten() {
        if entry.file_name().to_string_lossy().contains(".replaced-") {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

fn prefix(lane: &Lane<'_>) -> String {
    format!("torture{}_{}", std::process::id(), lane.round.plan.number)
}

/// Returns the path of a Python application's database.
fn source() -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/takeover/viralforge.db");
    path.display().to_string()
}

fn add(lane: &mut Lane<'_>, url: &str, from: u64, count: u64) {
    let rows: String = (from..from + count)
        .map(|n| {
            format!(
                "{{\"video_id\":\"whole{n}\",\"title\":\"t\",\"channel_name\":\"c\",\"channel_id\":\"UC1\",\"url\":\"https://youtu.be/x\",\
                 \"niche\":\"torture\",\"view_count\":{n}}}\n"
            )
        })
        .collect();
    lane.sure_on(url, "ingest", &["ingest", "-", "--as", "jsonl"], Some(&rows));
}
