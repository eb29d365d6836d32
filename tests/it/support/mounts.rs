//! Tools of util-linux that only some systems let us use.

use std::process::Command;

use super::Ran;

/// A tool; fails with what is needed if the system does not let us use it so.
pub fn tool(name: &str, args: &[&str]) -> Command {
    let tried = Command::new(name).args(args).arg("true").output();
    assert!(
        tried.as_ref().is_ok_and(|tried| tried.status.success()),
        "this test needs `{name} {}` of util-linux, which this system refuses: {tried:?}",
        args.join(" ")
    );
    let mut command = Command::new(name);
    command.args(args);
    command
}

/// Runs a script that may mount file systems, which are gone when it ends.
pub fn with_mounts(script: &str) -> Ran {
    let mut command = tool("unshare", &["--mount", "--map-root-user"]);
    command.args(["bash", "-c", script]).env("DATABASE_URL", "sqlite://viral.db").output().unwrap().into()
}
