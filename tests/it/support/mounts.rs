//! Tools of util-linux that some systems do not permit.

use std::process::Command;

use super::Ran;

/// Returns a command for a tool with these arguments. Panics with a hint if the system does not permit it.
pub fn tool(name: &str, args: &[&str]) -> Command {
    let tried = Command::new(name).args(args).arg("true").output();
    assert!(
        tried.as_ref().is_ok_and(|tried| tried.status.success()),
        "this test needs `{name} {}` of util-linux, but this system does not permit it: {tried:?}",
        args.join(" ")
    );
    let mut command = Command::new(name);
    command.args(args);
    command
}

/// Runs a script that may mount file systems. They are unmounted when it ends.
pub fn with_mounts(script: &str) -> Ran {
    let mut command = tool("unshare", &["--mount", "--map-root-user"]);
    command.args(["bash", "-c", script]).env("DATABASE_URL", "sqlite://viral.db").output().unwrap().into()
}
