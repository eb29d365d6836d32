//! Tests of configuration files that belong to another user. They change file owners, so they need root.

use std::os::unix::fs::{chown, lchown, symlink};
use std::path::Path;

use crate::support::{Ran, viraldb};

const SOMEBODY: u32 = 12_345;

fn give_away(path: &Path) {
    chown(path, Some(SOMEBODY), None).expect("run this test as root");
}

fn run(folder: &Path, variables: &[(&str, &str)]) -> Ran {
    let mut command = viraldb(folder, &["config", "get", "cycle_hours"]);
    command.env_remove("SUDO_UID").envs(variables.iter().copied()).output().unwrap().into()
}

fn refused(ran: Ran, file: &str) {
    assert_eq!((ran.code, &*ran.out), (1, ""), "{}", ran.err);
    let expected = format!("error: {file} belongs to another user (uid 12345), who could redirect viraldb");
    assert!(ran.err.starts_with(&expected), "{}", ran.err);
}

fn used(ran: Ran, hours: &str) {
    assert_eq!((ran.code, ran.out.trim()), (0, hours), "{}", ran.err);
}

#[test]
fn env_file_of_another_user_is_refused_unless_named() {
    let dir = tempfile::tempdir().unwrap();
    let inner = dir.path().join("a/b");
    std::fs::create_dir_all(&inner).unwrap();
    assert!(viraldb(&inner, &["init", "--database-url", "sqlite://viral.db"]).status().unwrap().success());
    let file = dir.path().join(".env");
    std::fs::write(&file, "VIRALDB_CYCLE_HOURS=12\n").unwrap();
    used(run(&inner, &[]), "12");
    give_away(&file);
    refused(run(&inner, &[]), "../../.env");
    refused(run(&inner, &[("SUDO_UID", "999")]), "../../.env");
    used(run(&inner, &[("SUDO_UID", "12345")]), "12");
    used(run(&inner, &[("VIRALDB_ENV_FILE", "../../.env")]), "12");
    used(run(&inner, &[("VIRALDB_ENV_FILE", "/dev/null")]), "6");
    let ran = viraldb(&inner, &["status", "--database-url", "sqlite://viral.db"]).output().unwrap().into();
    refused(ran, "../../.env");

    let link = inner.join(".env");
    symlink(&file, &link).unwrap();
    refused(run(&inner, &[]), ".env");
    chown(&file, Some(0), None).unwrap();
    used(run(&inner, &[]), "12");
    lchown(&link, Some(SOMEBODY), None).unwrap();
    refused(run(&inner, &[]), ".env");
    let ran = run(&inner, &[("VIRALDB_ENV_FILE", "none.env")]);
    assert!(ran.code == 1 && ran.err.contains("none.env"), "{}", ran.err);
}

#[test]
fn config_file_of_another_user_is_refused_unless_named() {
    let dir = tempfile::tempdir().unwrap();
    assert!(
        viraldb(dir.path(), &["init", "--database-url", "sqlite://viral.db"]).status().unwrap().success()
    );
    let file = dir.path().join("viraldb.toml");
    std::fs::write(&file, "brand = \"x\"\n[registry.brand]\ntype = \"text\"\n").unwrap();
    let get = |variables: &[(&str, &str)]| -> Ran {
        let mut command = viraldb(dir.path(), &["config", "get", "brand"]);
        command.env_remove("SUDO_UID").envs(variables.iter().copied()).output().unwrap().into()
    };
    used(get(&[]), "x");
    give_away(&file);
    refused(get(&[]), "viraldb.toml");
    used(get(&[("VIRALDB_CONFIG", "viraldb.toml")]), "x");
}
