//! Output files that are the database or an input file under another name, such as a link.

use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};
use std::path::Path;

#[cfg(feature = "sqlite")]
use viraldb::generation::{Job, JobFilter, NewJob};
#[cfg(feature = "sqlite")]
use viraldb::ops::transfer::{Existing, Options, transfer};
#[cfg(feature = "sqlite")]
use viraldb::{Database, Page};

use crate::support::{Ran, Scratch, both};

const GOOD: &str = "{\"theme\":\"a\"}\n";
const LINES: &str = "{\"theme\":\"a\"}\n{\"theme\":1}\n";

fn text(path: &Path) -> &str {
    path.to_str().unwrap()
}

fn require_error(ran: Ran, why: &str) {
    assert!(ran.code == 1 && ran.err.contains(why) && ran.err.lines().count() == 1, "{ran:?}");
}

/// Runs the command with umask 0, so that files are open to everybody unless the command restricts them.
fn with_open_umask(t: &Scratch, args: &[&str]) -> Ran {
    let mut command = std::process::Command::new("sh");
    let viraldb = t.command(args);
    command.arg("-c").arg("umask 0; exec \"$0\" \"$@\"").arg(viraldb.get_program()).args(viraldb.get_args());
    command.current_dir(t.dir.path()).env("DATABASE_URL", &t.url).env_remove("VIRALDB_KEY");
    command.output().unwrap().into()
}

fn mode(path: &Path) -> u32 {
    std::fs::metadata(path).unwrap().permissions().mode() & 0o7777
}

/// Creates a SQLite database with one job.
#[cfg(feature = "sqlite")]
fn with_a_job() -> (Scratch, Database) {
    let t = Scratch::sqlite();
    let db = t.db();
    db.write(|c| NewJob { theme: Some("kept".into()), ..Default::default() }.insert(c)).unwrap();
    (t, db)
}

#[cfg(feature = "sqlite")]
fn themes(db: &Database) -> Vec<Option<String>> {
    let jobs = db.read(|c| Job::list(c, &JobFilter::default(), &Page::first(10))).unwrap();
    jobs.into_iter().map(|job| job.theme).collect()
}

/// Returns names that lead to a file of the database: hard links, symlinks, and files that do not exist yet.
#[cfg(feature = "sqlite")]
fn names(t: &Scratch) -> Vec<std::path::PathBuf> {
    std::fs::hard_link(t.path("viral.db"), t.path("hard")).unwrap();
    symlink(t.path("viral.db"), t.path("soft")).unwrap();
    std::fs::hard_link(t.path("viral.db-wal"), t.path("hard-log")).unwrap();
    symlink("viral.db-journal", t.path("dangling")).unwrap();
    ["viral.db", "hard", "soft", "hard-log", "dangling", "viral.db-wal", "viral.db-shm", "viral.db-journal"]
        .map(|name| t.path(name))
        .to_vec()
}

#[cfg(feature = "sqlite")]
#[test]
fn commands_never_overwrite_the_database_through_links() {
    let (t, db) = with_a_job();
    t.file("in.jsonl", LINES);
    let other = t.another();
    other.db();
    for name in names(&t) {
        let name = text(&name);
        let ingest = ["ingest", "in.jsonl", "--as", "jsonl", "--table", "jobs", "--rejects", name];
        require_error(t.run(&ingest), "is an input or a file of the database; name another file");
        require_error(t.run(&["export", "jobs", "--to", name]), "is a file of the database itself");
        require_error(t.run(&["prune", "--files", name]), "is a file of the database itself");
        require_error(t.run(&["secrets", "keygen", "--out", name]), "is a file of the database itself");
        let why = if Path::new(name).exists() { "is a file of the database itself" } else { "no such file" };
        require_error(t.run(&["ingest", name, "--as", "jsonl", "--table", "jobs"]), why);
        let takeover =
            ["takeover", &t.url, "--application", "viralforge", "--to", &other.url, "--rejects", name];
        require_error(t.run(&takeover), "is an input or a file of the database; name another file");
        let takeover = ["takeover", "old", "--application", "viralforge", "--to", &t.url, "--rejects", name];
        require_error(t.run(&takeover), "is an input or a file of the database; name another file");
        if Path::new(name).exists() {
            require_error(t.run(&["restore", name, "--yes"]), "is a file of the database itself");
        }
    }
    assert!(!t.path("viral.db-journal").exists());
    assert_eq!(themes(&db), [Some("kept".to_owned())]);
}

/// Closing a database file that was opened as text would drop the POSIX locks that the process holds on it.
#[cfg(feature = "sqlite")]
#[test]
fn commands_never_read_a_database_as_text() {
    let (t, _db) = with_a_job();
    let other = t.another();
    other.db();
    std::fs::hard_link(t.path("viral.db"), t.path("hard")).unwrap();
    let key = viraldb::secrets::Key::generate().unwrap();
    for name in ["viral.db", "hard", text(&other.path("viral.db"))] {
        for args in [
            &["secrets", "set", "--setting", "k", "--from-file", name][..],
            &["secrets", "import-fernet", "--key-file", name, "--salt", "s"],
            &["config", "import", name],
            &["config", "list", "--config", name],
            &["backup", "create", "--to", "new.zst", "--passphrase-file", name],
        ] {
            let mut command = t.command(args);
            let ran: Ran = command.env("VIRALDB_KEY", key.to_text().reveal()).output().unwrap().into();
            assert!(ran.code == 1 && ran.err.contains("is a SQLite database"), "{args:?}: {ran:?}");
        }
        let mut command = t.command(&["secrets", "verify"]);
        require_error(command.env("VIRALDB_KEY_FILE", name).output().unwrap().into(), "is a SQLite database");
    }
    let ran = t.run(&["ingest", text(&other.path("viral.db")), "--as", "jsonl", "--table", "jobs"]);
    require_error(ran, "is a SQLite database");
}

#[cfg(feature = "sqlite")]
#[test]
fn database_behind_a_symlink_keeps_its_files() {
    let (t, db) = with_a_job();
    symlink(t.path("viral.db"), t.path("link.db")).unwrap();
    t.file("in.jsonl", LINES);
    for name in ["viral.db", "viral.db-wal", "viral.db-journal"] {
        let mut command =
            t.command(&["ingest", "in.jsonl", "--as", "jsonl", "--table", "jobs", "--rejects", name]);
        let ran = command
            .env("DATABASE_URL", format!("sqlite://{}", t.path("link.db").display()))
            .output()
            .unwrap();
        require_error(ran.into(), "is an input or a file of the database; name another file");
    }
    assert_eq!(themes(&db), [Some("kept".to_owned())]);
}

#[cfg(feature = "sqlite")]
#[test]
fn transfer_onto_a_link_to_its_source_is_rejected() {
    let (t, db) = with_a_job();
    for (name, is_hard) in [("hard.db", true), ("soft.db", false)] {
        let other = t.path(name);
        if is_hard {
            std::fs::hard_link(t.path("viral.db"), &other).unwrap();
        } else {
            symlink(t.path("viral.db"), &other).unwrap();
        }
        let url = format!("sqlite://{}", other.display());
        for existing in [Existing::Refuse, Existing::Resume, Existing::Replace] {
            for (from, to) in [(&t.url, &url), (&url, &t.url)] {
                let options = Options { existing, ..Default::default() };
                let error = transfer(from, to, &options, &mut |_| ()).unwrap_err().to_string();
                assert!(error.contains("is the source itself"), "{error}");
            }
        }
        require_error(
            t.run(&["takeover", text(&other), "--application", "viralforge"]),
            "is the target itself",
        );
        assert!(!t.path(&format!("{name}-wal")).exists(), "the database was opened under the other name");
    }
    assert_eq!(themes(&db), [Some("kept".to_owned())]);
}

both! {
    fn rejects_file_never_replaces_an_input(t) {
        t.db();
        let input = t.file("in.jsonl", LINES);
        std::fs::hard_link(&input, t.path("hard")).unwrap();
        symlink(&input, t.path("soft")).unwrap();
        for name in ["in.jsonl", "hard", "soft"] {
            require_error(t.run(&["ingest", "in.jsonl", "--as", "jsonl", "--table", "jobs", "--rejects", name]), "is an input or a file of the database; name another file");
            let mut command = t.command(&["ingest", "-", "--as", "jsonl", "--table", "jobs", "--rejects", name]);
            let ran = command.stdin(std::fs::File::open(&input).unwrap()).output().unwrap();
            require_error(ran.into(), "is an input or a file of the database; name another file");
        }
        assert_eq!(std::fs::read_to_string(&input).unwrap(), LINES);
        // A copy with the same content is a different file.
        t.file("copy", LINES);
        assert_eq!(t.run(&["ingest", "in.jsonl", "--as", "jsonl", "--table", "jobs", "--rejects", "copy"]).code, 3);
    }

    fn files_with_rows_are_private_to_their_owner(t) {
        t.db();
        t.file("in.jsonl", LINES);
        let ingest = |rejects| ["ingest", "in.jsonl", "--as", "jsonl", "--table", "jobs", "--rejects", rejects];
        let run = |args: &[&str]| {
            let ran = with_open_umask(t, args);
            assert_eq!(ran.code, if args[0] == "ingest" { 3 } else { 0 }, "{ran:?}");
        };
        run(&ingest("new"));
        assert_eq!(mode(&t.path("new")), 0o600);
        // An existing file loses the permissions of others before a row is written to it.
        let old = t.file("old", GOOD);
        std::fs::set_permissions(&old, std::fs::Permissions::from_mode(0o664)).unwrap();
        run(&ingest("old"));
        assert_eq!(mode(&old), 0o600);
        // The permissions of a device are not changed.
        let device = std::fs::metadata("/dev/null").unwrap().mode();
        run(&ingest("/dev/null"));
        assert_eq!(std::fs::metadata("/dev/null").unwrap().mode(), device);

        run(&["export", "jobs", "--to", "jobs.jsonl"]);
        run(&["export", "jobs", "trends", "--to", "rows/", "--as", "csv"]);
        run(&["prune", "--files", "files.txt"]);
        run(&["backup", "create", "--to", "b.zst"]);
        for name in ["jobs.jsonl", "rows/jobs.csv", "rows/trends.csv", "files.txt", "b.zst", "b.zst.manifest.json"] {
            assert_eq!(mode(&t.path(name)), 0o600, "{name}");
        }

        let source = t.path("old.db");
        let conn = rusqlite::Connection::open(&source).unwrap();
        conn.execute_batch("CREATE TABLE trends (id INTEGER, platform TEXT); INSERT INTO trends VALUES (1, 'nowhere')").unwrap();
        drop(conn);
        let other = t.another();
        run(&["takeover", text(&source), "--application", "viralforge", "--to", &other.url, "--dry-run", "--rejects", "taken"]);
        assert!(mode(&t.path("taken")) == 0o600 && std::fs::read(t.path("taken")).unwrap().len() > 10);
    }
}
