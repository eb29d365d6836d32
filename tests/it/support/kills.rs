//! Kills a command at random times.

use std::process::{Command, Stdio};
use std::time::Instant;

/// Runs a command once to the end, then starts it again and again and kills it within the time that it took, until `kills`
/// runs were killed before they ended. Calls `after` each time.
pub fn kill_often(kills: usize, command: &dyn Fn() -> Command, mut after: impl FnMut()) {
    let start = || command().stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let begin = Instant::now();
    let done = start().wait_with_output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let whole = begin.elapsed();
    after();
    let mut killed = 0;
    while killed < kills {
        let mut child = start();
        std::thread::sleep(whole.mul_f64(fastrand::f64()));
        child.kill().unwrap();
        let done = child.wait_with_output().unwrap();
        match done.status.code() {
            None => killed += 1,
            Some(code) => assert_eq!(code, 0, "{}", String::from_utf8_lossy(&done.stderr)),
        }
        after();
    }
}
