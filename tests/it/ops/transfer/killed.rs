//! A transfer that is killed at any time can be resumed.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::*;
use crate::support::both;

const ROWS: u32 = 1_500;

both! {
    fn killed_transfer_can_be_resumed(t) {
        let db = t.db();
        seed(&db);
        insert_many(t, &db, ROWS);
        let expected = digests(&run(t, &other_engine(t), Existing::Refuse).unwrap());
        let there = other_engine(t);
        let start = |how: &str| -> Child {
            let args = ["transfer", "--from", &t.url, "--to", &there.url, "--batch", "40", "--format", "json", how];
            t.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let begin = Instant::now();
        assert!(start("--replace").wait().unwrap().success());
        let whole = begin.elapsed();
        let (mut killed, mut finished, mut partial, mut how) = (0, 0, 0, "--replace");
        let mut wait = Duration::ZERO;
        while killed < 100 {
            let mut child = start(how);
            wait = if how == "--replace" { whole.mul_f64(fastrand::f64() * 0.9) } else { wait.mul_f64(0.5).max(whole.mul_f64(fastrand::f64() * 0.6)) };
            std::thread::sleep(wait);
            child.kill().unwrap();
            let done = child.wait_with_output().unwrap();
            let error = String::from_utf8_lossy(&done.stderr);
            how = match done.status.code() {
                None => {
                    killed += 1;
                    let recorded_rows = recorded_rows(&there);
                    partial += u32::from(recorded_rows.is_some_and(|rows| rows > 0));
                    // Before the first transaction, no progress is recorded and the target is unchanged.
                    if recorded_rows.is_some() { "--resume" } else { "--replace" }
                }
                Some(code) => {
                    assert_eq!(code, 0, "{error}");
                    finished += 1;
                    let report: serde_json::Value = serde_json::from_slice(&done.stdout).unwrap();
                    let rows: u64 = expected.iter().map(|table| table.1).sum();
                    assert_eq!(report["rows"], rows);
                    "--replace"
                }
            };
        }
        assert!(partial > 20, "only {partial} of 100 kills hit a transfer in progress, {finished} transfers finished");
        let last = run(t, &there, if recorded_rows(&there).is_some() { Existing::Resume } else { Existing::Replace }).unwrap();
        assert_eq!(digests(&last), expected);
        assert_eq!(recorded_rows(&there), None);
    }
}

/// Returns the number of rows recorded as copied, or `None` if no transfer is in progress.
fn recorded_rows(there: &Scratch) -> Option<u64> {
    let db = there.db();
    db.read(|c| {
        let is_there = tables(there, c).contains(&"viraldb_transfer".to_owned());
        Ok(is_there.then(|| {
            make::query(c, "SELECT CAST(sum(rows) AS text) AS v FROM viraldb_transfer")
                .remove(0)
                .parse()
                .unwrap()
        }))
    })
    .unwrap()
}
