//! Database files that the system does not allow to be replaced.

use std::os::unix::fs::{MetadataExt, PermissionsExt};

use super::*;
use crate::support::mounts::{tool, with_mounts};

/// Simulates a container that mounts a single file of its host, without the folder of the file.
#[test]
fn restore_into_a_single_mounted_file_is_rejected() {
    let t = Scratch::sqlite();
    with_rows(&t, 2);
    let file = back_up(&t);
    let script = format!(
        "mkdir {here}/inside && cd {here}/inside && touch viral.db && mount --bind ../viral.db viral.db && \
         {viraldb} restore --yes {file}; echo $?; ls; {viraldb} doctor --only file_system; echo $?",
        here = t.dir.path().display(),
        viraldb = env!("CARGO_BIN_EXE_viraldb"),
        file = file.display(),
    );
    let ran = with_mounts(&script);
    let said =
        "viral.db: is mounted as a single file, so it cannot be replaced; mount the folder that contains it";
    assert!(ran.err.contains(said), "{}", ran.err);
    assert!(ran.out.starts_with("1\nviral.db\n"), "{}", ran.out);
    assert!(
        ran.out.contains("error    file_system     viral.db is mounted as a single file, without its folder"),
        "{}",
        ran.out
    );
    assert!(
        ran.out.contains("mount the folder instead of the file") && ran.out.ends_with("\n4\n"),
        "{}",
        ran.out
    );
    assert_eq!(videos(&t), 2);
    let doctor = t.run(&["doctor", "--only", "file_system"]);
    assert_eq!(doctor.code, 0, "{}", doctor.out);
}

/// In a sticky folder such as /tmp, only the owner can replace a file. The test needs root to switch users.
#[test]
fn restore_over_a_file_of_another_user_in_a_sticky_folder_is_rejected() {
    let t = Scratch::sqlite();
    with_rows(&t, 2);
    let file = back_up(&t);
    let viraldb = t.path("command");
    std::fs::copy(env!("CARGO_BIN_EXE_viraldb"), &viraldb).unwrap();
    let mode = |path: &Path, mode| std::fs::set_permissions(path, PermissionsExt::from_mode(mode)).unwrap();
    mode(&t.path("viral.db"), 0o666);
    mode(&t.path("backups"), 0o755);
    for name in names(&t.path("backups")) {
        mode(&t.path("backups").join(name), 0o644);
    }
    mode(t.dir.path(), 0o1777);
    let mut command = tool("setpriv", &["--reuid=65534", "--regid=65534", "--clear-groups"]);
    command.arg(&viraldb).args(["restore", "--yes"]).arg(&file).current_dir(t.dir.path());
    let ran: Ran = command.env("DATABASE_URL", &t.url).env("TMPDIR", t.dir.path()).output().unwrap().into();
    assert_eq!(ran.code, 1, "{}", ran.out);
    let said = "viral.db: belongs to user 0, and only that user can replace it in ";
    assert!(
        ran.err.contains(said) && ran.err.contains(", which has the sticky bit; restore as that user"),
        "{}",
        ran.err
    );
    assert_eq!(
        std::fs::metadata(t.path("viral.db")).unwrap().nlink(),
        1,
        "a second hard link to the database is left"
    );
    assert_eq!(names(t.dir.path()).iter().filter(|name| name.contains("replaced")).count(), 0);
    assert_eq!(videos(&t), 2);
}
