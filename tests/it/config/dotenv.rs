//! Tests of unreadable `.env` files.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::{Ran, viraldb};

fn run(folder: &Path, args: &[&str]) -> Ran {
    viraldb(folder, args).output().unwrap().into()
}

const NAMED: [&str; 2] = ["--database-url", "sqlite://viral.db"];

/// A command with an explicit database URL continues and warns that the file is ignored. Other commands fail,
/// because the file may contain the database URL.
fn check_unreadable_file(folder: &Path, says: &str) {
    let ran = run(folder, &[&["videos", "list"], &NAMED[..]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.err.matches("ignoring the .env file: ").count(), 1, "{}", ran.err);
    assert!(ran.err.contains(says), "{}", ran.err);
    let ran = run(folder, &["videos", "list"]);
    assert!(ran.code == 1 && ran.err.contains(says), "{}", ran.err);
}

#[test]
fn unreadable_env_file_stops_only_commands_that_need_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    assert_eq!(run(folder, &[&["init", "--sample"], &NAMED[..]].concat()).code, 0);
    let file = folder.join(".env");
    std::fs::write(&file, b"NAME=M\xfcller\nDATABASE_URL=sqlite://viral.db\n").unwrap();
    check_unreadable_file(folder, ".env: ");
    let ran = run(folder, &[&["config", "validate"], &NAMED[..]].concat());
    assert!(ran.code == 3 && ran.out.contains("cannot be read, so all of it is ignored"), "{}", ran.out);
    std::fs::remove_file(&file).unwrap();
    symlink(".env", &file).unwrap();
    check_unreadable_file(folder, ".env: too many levels of symbolic links");
    std::fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    check_unreadable_file(folder, "not a regular file; to read it anyway, set VIRALDB_ENV_FILE=.env");

    // A file named in VIRALDB_ENV_FILE is read even if it is not a regular file, here /dev/null. The FIFO is
    // not opened: its writer still waits for a reader.
    let writer = std::thread::spawn({
        let file = file.clone();
        move || std::fs::write(file, "DATABASE_URL=sqlite://viral.db\n").unwrap()
    });
    let named = viraldb(folder, &["videos", "list"]).env("VIRALDB_ENV_FILE", "/dev/null").output().unwrap();
    assert_eq!(Ran::from(named).code, 0);
    let mut reader = std::process::Command::new("cat");
    assert!(reader.arg(&file).output().unwrap().status.success(), "the writer can finish");
    writer.join().unwrap();

    // Some people keep a Python environment in a folder named .env.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let ran = run(folder, &["videos", "list"]);
    assert_eq!((ran.code, &*ran.err), (0, ""));
}

#[test]
fn lowercase_variable_is_reported() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(run(dir.path(), &[&["init"], &NAMED[..]].concat()).code, 0);
    let validate = |name: &str| -> Ran {
        let mut command = viraldb(dir.path(), &[&["config", "validate"], &NAMED[..]].concat());
        command.env(name, "3").output().unwrap().into()
    };
    let ran = validate("VIRALDB_max_concurrent_jobs");
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("VIRALDB_max_concurrent_jobs in the environment"), "{}", ran.out);
    assert!(ran.out.contains("use VIRALDB_MAX_CONCURRENT_JOBS to set max_concurrent_jobs"), "{}", ran.out);
    assert_eq!(validate("VIRALDB_MAX_CONCURRENT_JOBS").code, 0);
}
