//! Kills a command at random times.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Runs a command once to the end, then starts it again and again and kills it, until `kills` runs were killed before they
/// ended. `wait` gets the run and the time that the first one took, and returns when the run is to be killed. Calls `after`
/// after each run.
pub fn kill_often(
    kills: usize,
    command: &dyn Fn() -> Command,
    mut wait: impl FnMut(&mut Child, Duration),
    mut after: impl FnMut(),
) {
    let start = || command().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    let done = start().wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let whole = begin.elapsed();
    after();
    let mut killed = 0;
    while killed < kills {
        let mut child = start();
        wait(&mut child, whole);
        child.kill().unwrap();
        let done = child.wait_with_output().unwrap();
        match done.status.code() {
            None => killed += 1,
            Some(code) => assert_eq!(code, 0, "{}", String::from_utf8_lossy(&done.stderr)),
        }
        after();
    }
}

/// Waits until any time within a whole run.
pub fn at_any_time(_: &mut Child, whole: Duration) {
    std::thread::sleep(whole.mul_f64(fastrand::f64()));
}

/// Waits until `has_begun` returns true or the run has ended, and then until any time within `step`.
#[cfg(feature = "postgres")]
pub fn within(child: &mut Child, step: Duration, mut has_begun: impl FnMut() -> bool) {
    while child.try_wait().unwrap().is_none() && !has_begun() {
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(step.mul_f64(fastrand::f64()));
}
