//! A `.env` that cannot be read.

use std::os::unix::fs::symlink;
use std::path::Path;

use crate::support::{Ran, viraldb};

fn run(folder: &Path, args: &[&str]) -> Ran {
    viraldb(folder, args).output().unwrap().into()
}

const NAMED: [&str; 2] = ["--database-url", "sqlite://viral.db"];

/// A command that is told what database to use goes on, and says that nothing of the file counts; others do not know
/// what it may say.
fn only_stops_who_needs_it(folder: &Path, says: &str) {
    let ran = run(folder, &[&["videos", "list"], &NAMED[..]].concat());
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(ran.err.matches("nothing of .env counts: ").count(), 1, "{}", ran.err);
    assert!(ran.err.contains(says), "{}", ran.err);
    let ran = run(folder, &["videos", "list"]);
    assert!(ran.code == 1 && ran.err.contains(says), "{}", ran.err);
}

#[test]
fn a_file_that_cannot_be_read_stops_only_who_needs_it() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path();
    assert_eq!(run(folder, &[&["init", "--sample"], &NAMED[..]].concat()).code, 0);
    let file = folder.join(".env");
    std::fs::write(&file, b"NAME=M\xfcller\nDATABASE_URL=sqlite://viral.db\n").unwrap();
    only_stops_who_needs_it(folder, ".env: ");
    let ran = run(folder, &[&["config", "validate"], &NAMED[..]].concat());
    assert!(ran.code == 3 && ran.out.contains("cannot be read, and nothing of it counts"), "{}", ran.out);
    std::fs::remove_file(&file).unwrap();
    symlink(".env", &file).unwrap();
    only_stops_who_needs_it(folder, ".env: Too many levels of symbolic links");
    std::fs::remove_file(&file).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&file).status().unwrap().success());
    only_stops_who_needs_it(folder, "a pipe or a device is read if it is named: VIRALDB_ENV_FILE=.env");

    // Who names it, wants it read.
    let writer = std::thread::spawn({
        let file = file.clone();
        move || std::fs::write(file, "DATABASE_URL=sqlite://viral.db\n").unwrap()
    });
    let named = viraldb(folder, &["videos", "list"]).env("VIRALDB_ENV_FILE", "/dev/null").output().unwrap();
    assert_eq!(Ran::from(named).code, 0);
    let mut reader = std::process::Command::new("cat");
    assert!(reader.arg(&file).output().unwrap().status.success(), "the writer goes on");
    writer.join().unwrap();

    // Some keep their Python environment in a folder of this name.
    std::fs::remove_file(&file).unwrap();
    std::fs::create_dir(&file).unwrap();
    let ran = run(folder, &["videos", "list"]);
    assert_eq!((ran.code, &*ran.err), (0, ""));
}

#[test]
fn a_variable_in_lower_case_is_told() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(run(dir.path(), &[&["init"], &NAMED[..]].concat()).code, 0);
    let validate = |name: &str| -> Ran {
        let mut command = viraldb(dir.path(), &[&["config", "validate"], &NAMED[..]].concat());
        command.env(name, "3").output().unwrap().into()
    };
    let ran = validate("VIRALDB_max_concurrent_jobs");
    assert_eq!(ran.code, 3, "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("VIRALDB_max_concurrent_jobs of the environment"), "{}", ran.out);
    assert!(ran.out.contains("max_concurrent_jobs is set by VIRALDB_MAX_CONCURRENT_JOBS"), "{}", ran.out);
    assert_eq!(validate("VIRALDB_MAX_CONCURRENT_JOBS").code, 0);
}
