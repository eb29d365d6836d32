//! A transfer that is killed at any moment goes on where it ended.

use std::process::{Child, Stdio};
use std::time::{Duration, Instant};

use super::*;
use crate::support::both;

const ROWS: u32 = 1_500;

both! {
    fn a_killed_transfer_goes_on_where_it_ended(t) {
        let db = t.db();
        seed(&db);
        many(t, &db, ROWS);
        let expected = digests(&run(t, &across(t), Existing::Refuse).unwrap());
        let there = across(t);
        let start = |how: &str| -> Child {
            let args = ["transfer", "--from", &t.url, "--to", &there.url, "--batch", "40", "--format", "json", how];
            t.command(&args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let begin = Instant::now();
        assert!(start("--replace").wait().unwrap().success());
        let whole = begin.elapsed();
        let (mut killed, mut finished, mut half, mut how) = (0, 0, 0, "--replace");
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
                    let noted = noted(&there);
                    half += u32::from(noted.is_some_and(|rows| rows > 0));
                    // Before its first transaction nothing is noted, and what was there is there.
                    if noted.is_some() { "--resume" } else { "--replace" }
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
        assert!(half > 20, "{half} of 100 kills were in the middle, {finished} ended");
        let last = run(t, &there, if noted(&there).is_some() { Existing::Resume } else { Existing::Replace }).unwrap();
        assert_eq!(digests(&last), expected);
        assert_eq!(noted(&there), None);
    }
}

/// The rows that are noted as copied, if a transfer is under way.
fn noted(there: &Scratch) -> Option<u64> {
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
