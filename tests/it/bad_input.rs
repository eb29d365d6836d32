//! Bad input produces one clear error line and exit code 1, and changes nothing.

use viraldb::diesel::connection::SimpleConnection;
use viraldb::{Database, Options};

#[cfg(feature = "sqlite")]
use crate::support::Scratch;
use crate::support::{Ran, both, viraldb};

/// Requires exit code 1, one error line on stderr and an empty stdout. Returns the line.
fn rejection(ran: Ran) -> String {
    assert_eq!((ran.code, &*ran.out, ran.err.lines().count()), (1, "", 1), "{}{}", ran.out, ran.err);
    assert!(ran.err.starts_with("error: "), "{}", ran.err);
    ran.err
}

fn rejected_url(url: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let said = rejection(viraldb(dir.path(), &["--database-url", url, "init"]).output().unwrap().into());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "init created files");
    said
}

#[test]
fn url_with_unknown_scheme_is_rejected() {
    assert!(
        rejected_url("mysql://u:secret@h/d")
            .contains("mysql://u:***@h/d: unknown scheme \"mysql\"; use sqlite://PATH")
    );
    assert!(rejected_url("postgresql+asyncpg://u:secret@h/d").contains("write postgresql://u:***@h/d"));
    assert!(rejected_url("viral").contains("is not the URL of a database"));
    assert!(rejected_url("").contains("is not the URL of a database"));
}

#[cfg(feature = "postgres")]
#[test]
fn unreachable_server_is_reported_without_the_password() {
    let said = rejected_url("postgres://me:secret@127.0.0.1:1/name");
    assert!(said.contains("127.0.0.1") && said.contains("port 1 failed"), "{said}");
    assert!(said.contains("me:***@") && !said.contains("secret"), "{said}");
}

#[cfg(feature = "postgres")]
#[test]
fn password_without_percent_encoding_is_rejected_and_hidden() {
    for place in [
        "u:100%secure@127.0.0.1:1/db",
        "u:sec%00ure@127.0.0.1:1/db",
        "u:pa/secure@127.0.0.1:1/db",
        "u:1/secure@127.0.0.1:1/db",
        "u:pa/?secure@127.0.0.1:1/db",
        "u:pa@secure@127.0.0.1:1/db",
    ] {
        let said = rejected_url(&format!("postgres://{place}"));
        assert!(said.contains("percent-encode") && said.contains("u:***@127.0.0.1:1/db"), "{said}");
        assert!(!said.contains("sec") && !said.contains("pa/"), "{said}");
    }
    let said = rejected_url("postgres://127.0.0.1:1/db?user=u&password=100%secure");
    assert!(said.contains("percent-encode") && !said.contains("secure"), "{said}");
    // A question mark does not end the password: libpq accepts it there.
    let said = rejected_url("postgres://u:sec?ret@127.0.0.1:1/db");
    assert!(said.contains("port 1 failed") && said.contains("u:***@") && !said.contains("sec"), "{said}");
}

#[cfg(not(feature = "postgres"))]
#[test]
fn missing_engine_error_names_the_cargo_feature() {
    assert!(rejected_url("postgres://u@h/d").contains("build it with `--features postgres`"));
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;
    use crate::support::mounts::{tool, with_mounts};

    /// Runs `viraldb` without root's right to read and write every file.
    fn run_without_root(t: &Scratch, args: &[&str]) -> Ran {
        let mut plain = t.command(args);
        if std::os::unix::fs::MetadataExt::uid(&std::fs::metadata("/proc/self").unwrap()) != 0 {
            return plain.output().unwrap().into();
        }
        tool("setpriv", &["--bounding-set=-dac_override,-dac_read_search"])
            .arg(plain.get_program())
            .args(plain.get_args())
            .current_dir(t.dir.path())
            .env("DATABASE_URL", &t.url)
            .output()
            .unwrap()
            .into()
    }

    #[test]
    fn directory_as_database_is_rejected() {
        let t = Scratch::sqlite();
        std::fs::create_dir(t.path("viral.db")).unwrap();
        assert!(rejection(t.run(&["init"])).contains("is a folder"));
        assert!(rejection(t.run(&["status"])).contains("is a folder"));
    }

    #[test]
    fn missing_folder_is_reported() {
        assert!(rejected_url("sqlite://none/viral.db").contains("none/viral.db: no such file or directory"));
    }

    #[test]
    fn file_that_is_not_a_database_is_rejected_and_unchanged() {
        let t = Scratch::sqlite();
        let file = t.file("viral.db", "the quick brown fox jumps over the lazy dog");
        for command in ["init", "status"] {
            assert!(rejection(t.run(&[command])).contains("is not a SQLite database"));
        }
        assert_eq!(std::fs::read(file).unwrap(), b"the quick brown fox jumps over the lazy dog");
        // A valid SQLite header followed by garbage.
        t.file("viral.db", [&b"SQLite format 3\0"[..], &[7; 4096]].concat());
        assert!(rejection(t.run(&["status"])).contains("is not a SQLite database"));
    }

    #[test]
    fn missing_or_empty_file_suggests_init() {
        let t = Scratch::sqlite();
        assert!(rejection(t.run(&["status"])).contains("no viraldb database found; run `viraldb init`"));
        assert!(!t.path("viral.db").exists());
        t.file("viral.db", "");
        assert!(rejection(t.run(&["videos", "list"])).contains("run `viraldb init`"));
        t.ok(&["init"]);
    }

    #[test]
    fn unreadable_file_is_reported() {
        let t = Scratch::sqlite();
        t.ok(&["init"]);
        std::fs::set_permissions(t.path("viral.db"), PermissionsExt::from_mode(0o000)).unwrap();
        let said = rejection(run_without_root(&t, &["status"]));
        assert!(said.contains("viral.db: permission denied"), "{said}");
        let input = t.file("in.csv", "x");
        std::fs::set_permissions(&input, PermissionsExt::from_mode(0o000)).unwrap();
        let said = rejection(run_without_root(&t, &["ingest", "in.csv"]));
        assert!(said.contains("in.csv: permission denied"), "{said}");
    }

    #[test]
    fn read_only_file_rejects_writes_and_allows_reads() {
        let t = Scratch::sqlite();
        t.ok(&["init", "--sample"]);
        std::fs::set_permissions(t.path("viral.db"), PermissionsExt::from_mode(0o444)).unwrap();
        let before = std::fs::read(t.path("viral.db")).unwrap();
        let said = rejection(run_without_root(&t, &["errors", "log", "--module", "m", "--type", "t", "x"]));
        assert!(said.contains("viral.db: is read-only"), "{said}");
        assert_eq!(std::fs::read(t.path("viral.db")).unwrap(), before);
        assert_eq!(run_without_root(&t, &["videos", "list"]).code, 0, "reading must work");
    }

    #[test]
    fn read_only_folder_is_reported_while_wal_files_are_missing() {
        let t = Scratch::sqlite();
        t.ok(&["init", "--sample"]);
        let set_mode =
            |mode| std::fs::set_permissions(t.dir.path(), PermissionsExt::from_mode(mode)).unwrap();
        set_mode(0o555);
        let said = rejection(run_without_root(&t, &["videos", "list"]));
        set_mode(0o755);
        assert!(said.contains("viral.db: cannot be read: SQLite needs write access to the folder"), "{said}");
        assert!(said.contains("unless a program that writes has the file open"), "{said}");
        let db = t.db();
        db.read(viraldb::compilation::ErrorLog::count_unresolved).unwrap();
        set_mode(0o555);
        let ran = run_without_root(&t, &["videos", "list"]);
        set_mode(0o755);
        assert_eq!(ran.code, 0, "{}", ran.err);
    }

    #[test]
    fn full_disk_keeps_the_committed_rows_of_an_ingest() {
        let t = Scratch::sqlite();
        let mut input = String::new();
        for number in 0..20_000 {
            input += &format!("{{\"theme\":\"{number} {}\"}}\n", "x".repeat(200));
        }
        let input = t.file("jobs.jsonl", input);
        let disk = t.path("disk");
        std::fs::create_dir(&disk).unwrap();
        let script = format!(
            "mount -t tmpfs -o size=2m tmpfs {disk} && cd {disk} && {viraldb} init >&2 && \
             {viraldb} ingest {input} --table jobs; echo $?; {viraldb} export jobs | tail -n 1; \
             {viraldb} status --format json",
            disk = disk.display(),
            input = input.display(),
            viraldb = env!("CARGO_BIN_EXE_viraldb"),
        );
        let ran = with_mounts(&script);
        assert!(ran.err.contains("error: viral.db: the disk is full"), "{}", ran.err);
        let [code, last, status] = ran.out.splitn(3, '\n').collect::<Vec<_>>().try_into().unwrap();
        assert_eq!(code, "1");
        let status: serde_json::Value = serde_json::from_str(status).unwrap();
        let jobs = status["tables"].as_array().unwrap().iter().find(|row| row["table"] == "jobs").unwrap();
        let rows = jobs["rows"].as_u64().unwrap();
        let is_first = last.contains(&format!("\"theme\":\"{} xx", rows.saturating_sub(1)));
        assert!(is_first, "the {rows} rows are not the first ones of the input: {last}");
        assert!(rows > 0 && ran.err.contains("uncommitted changes were rolled back"), "{}", ran.err);
        let stay = format!("; {rows} rows of {} are already stored and are kept", input.display());
        assert!(ran.err.contains(&stay), "{}", ran.err);
    }

    #[test]
    fn init_on_a_full_disk_leaves_no_files() {
        let t = Scratch::sqlite();
        let disk = t.path("disk");
        std::fs::create_dir(&disk).unwrap();
        // From no free space at all to enough for the file, but not for all of its tables.
        let script = format!(
            "mount -t tmpfs -o size=128k tmpfs {disk} && cd {disk} && for room in 0 4 16 40; do \
             head -c $((131072 - room * 1024)) /dev/zero >filler; {viraldb} init; rm filler; ls; done",
            disk = disk.display(),
            viraldb = env!("CARGO_BIN_EXE_viraldb"),
        );
        let ran = with_mounts(&script);
        let said: Vec<&str> = ran.err.lines().collect();
        assert_eq!(said.len(), 4, "{}", ran.err);
        assert!(
            said.iter().all(|line| line.contains("viral.db: the disk") && line.contains("is full")),
            "{}",
            ran.err
        );
        assert_eq!(ran.out, "", "init left files behind");
    }

    #[test]
    fn dangling_symlink_is_rejected() {
        let t = Scratch::sqlite();
        std::os::unix::fs::symlink("gone/real.db", t.path("viral.db")).unwrap();
        for command in ["init", "status"] {
            assert!(
                rejection(t.run(&[command]))
                    .contains("viral.db: is a link to gone/real.db, which does not exist")
            );
        }
    }

    #[test]
    fn device_pipe_or_socket_is_rejected() {
        let t = Scratch::sqlite();
        assert!(Command::new("mkfifo").arg(t.path("viral.db")).status().unwrap().success());
        for command in ["init", "status"] {
            assert!(rejection(t.run(&[command])).contains("viral.db: is a device, a pipe or a socket"));
        }
        assert!(rejected_url("sqlite:///dev/null").contains("/dev/null: is a device, a pipe or a socket"));
    }

    #[test]
    fn read_only_mount_allows_reads_and_rejects_writes() {
        let t = Scratch::sqlite();
        let disk = t.path("disk");
        std::fs::create_dir(&disk).unwrap();
        let script = format!(
            "mount -t tmpfs tmpfs {disk} && cd {disk} && export DATABASE_URL='sqlite://a %23.db' && \
             {viraldb} init --sample >/dev/null && {viraldb} migrate run -q && mount -o remount,ro {disk} && \
             {viraldb} videos list --limit 1000 --format jsonl | wc -l; {viraldb} migrate check; {viraldb} status | wc -l; \
             {viraldb} init | head -n 1; {viraldb} errors log --module m --type t x; \
             mount -o remount,rw {disk} && printf x >'a %23.db-wal' && mount -o remount,ro {disk} && {viraldb} status; ls",
            disk = disk.display(),
            viraldb = env!("CARGO_BIN_EXE_viraldb"),
        );
        let ran = with_mounts(&script);
        let out: Vec<&str> = ran.out.lines().collect();
        assert_eq!(out[..3], ["60", "current", "6"], "{}{}", ran.out, ran.err);
        assert!(out[3].starts_with("nothing to do for a %23.db"), "{}", ran.out);
        assert_eq!(out[4..], ["a %23.db", "a %23.db-wal"], "new files were created");
        let said: Vec<&str> = ran.err.lines().collect();
        assert_eq!(said.len(), 2, "{}", ran.err);
        assert!(said[0].starts_with("error: a %23.db: is read-only"), "{}", ran.err);
        assert!(said[1].contains("its latest changes are in the -wal file"), "{}", ran.err);
    }

    #[test]
    fn init_and_migrate_report_a_lock_after_5_seconds() {
        use viraldb::diesel::prelude::*;
        use viraldb::diesel::sqlite::SqliteConnection;
        // One database lacks the newest migration. The other is empty and not yet in WAL mode.
        let (older, empty) = (Scratch::sqlite(), Scratch::sqlite());
        older.ok(&["init"]);
        older.ok(&["migrate", "revert"]);
        empty.file("viral.db", "");
        let lock = |t: &Scratch, sql: &str| {
            let mut other = SqliteConnection::establish(t.path("viral.db").to_str().unwrap()).unwrap();
            other.batch_execute(sql).unwrap();
            other
        };
        let _others = [lock(&older, "BEGIN IMMEDIATE"), lock(&empty, "BEGIN EXCLUSIVE")];
        let start = std::time::Instant::now();
        std::thread::scope(|scope| {
            for (t, args) in [
                (&older, &["init", "--no-backup"][..]),
                (&older, &["migrate", "revert", "--no-backup"]),
                (&empty, &["init"]),
            ] {
                scope.spawn(move || {
                    let said = rejection(t.run(args));
                    assert!(
                        said.contains("viral.db is locked: another program held the write lock for 5s"),
                        "{said}"
                    );
                    assert!(said.contains(&format!("(process {})", std::process::id())), "{said}");
                });
            }
        });
        let waited = start.elapsed().as_secs();
        assert!((5..15).contains(&waited), "{waited} s");
        assert!(empty.path("viral.db").exists(), "the empty file existed before and must be kept");
    }

    #[test]
    fn write_reports_a_lock_after_5_seconds_and_reads_continue() {
        use viraldb::diesel::prelude::*;
        use viraldb::diesel::sqlite::SqliteConnection;
        let t = Scratch::sqlite();
        t.ok(&["init", "--sample"]);
        let mut other = SqliteConnection::establish(t.path("viral.db").to_str().unwrap()).unwrap();
        other.batch_execute("BEGIN IMMEDIATE").unwrap();
        let start = std::time::Instant::now();
        let said = rejection(t.run(&["errors", "log", "--module", "m", "--type", "t", "x"]));
        assert!(start.elapsed() >= std::time::Duration::from_secs(5));
        assert!(said.contains("viral.db is locked: another program held the write lock for 5s"), "{said}");
        assert!(said.contains(&format!("(process {})", std::process::id())), "{said}");
        assert_eq!(t.run(&["videos", "list"]).code, 0, "readers must not be blocked");
        other.batch_execute("COMMIT").unwrap();
        t.ok(&["errors", "log", "--module", "m", "--type", "t", "x"]);
    }
}

#[cfg(feature = "postgres")]
mod postgres {
    use viraldb::diesel::pg::PgConnection;
    use viraldb::diesel::prelude::*;

    use super::*;
    use crate::support::Scratch;

    #[test]
    fn write_to_a_locked_table_is_reported() {
        let t = Scratch::postgres();
        t.ok(&["init", "--sample"]);
        let mut other = PgConnection::establish(&t.url).unwrap();
        other.batch_execute("BEGIN; LOCK TABLE error_log IN EXCLUSIVE MODE").unwrap();
        let said = rejection(t.run(&["errors", "log", "--module", "m", "--type", "t", "x"]));
        assert!(said.contains("is locked: another session held a lock for too long"), "{said}");
        other.batch_execute("COMMIT").unwrap();
        t.ok(&["errors", "log", "--module", "m", "--type", "t", "x"]);
    }

    #[test]
    fn full_disk_of_the_server_is_reported() {
        let t = Scratch::postgres();
        let db = t.db();
        let full = "DO $$ BEGIN RAISE 'could not extend file \"base/1/2\": No space left on device' USING ERRCODE = '53100'; END $$";
        let error = db.write(|c| Ok(c.batch_execute(full)?)).unwrap_err();
        assert!(
            matches!(&error, viraldb::Error::Unusable { reason, .. } if reason.contains("disk is full")),
            "{error}"
        );
    }

    /// The loss may become visible at the same statement, at the next one, or at the end of the transaction.
    #[test]
    fn lost_connection_always_has_the_same_message() {
        let t = Scratch::postgres();
        let db = t.db();
        let end = "SELECT pg_terminate_backend(pg_backend_pid())";
        let by_another = |c: &mut viraldb::DbConnection| {
            let pid = crate::make::query(c, "SELECT pg_backend_pid()::text AS v").remove(0);
            let mut other = PgConnection::establish(&t.url).unwrap();
            other.batch_execute(&format!("SELECT pg_terminate_backend({pid}, 10000)")).unwrap();
        };
        let gone: [(&str, viraldb::Result<()>); 6] = [
            ("the statement", db.write(|c| Ok(c.batch_execute(end)?))),
            ("a read", db.read(|c| Ok(c.batch_execute(end)?))),
            (
                "the next statement",
                db.write(|c| {
                    let _ = c.batch_execute(end);
                    Ok(c.batch_execute("SELECT 1")?)
                }),
            ),
            (
                "the commit",
                db.write(|c| {
                    let _ = c.batch_execute(end);
                    Ok(())
                }),
            ),
            (
                "between statements",
                db.write(|c| {
                    by_another(c);
                    Ok(c.batch_execute("SELECT 1")?)
                }),
            ),
            (
                "before the commit",
                db.write(|c| {
                    by_another(c);
                    Ok(())
                }),
            ),
        ];
        for (what, result) in gone {
            let said = result.unwrap_err().to_string();
            assert!(said.contains(": the connection was lost: "), "{what}: {said}");
            assert!(
                said.ends_with(
                    "uncommitted changes were rolled back; check the server's log, and try again when the server is up"
                ),
                "{what}: {said}"
            );
        }
    }

    #[test]
    fn dead_connections_are_replaced() {
        let t = Scratch::postgres();
        let db = Database::open_with(&t.url, &Options { connections: 3, ..Default::default() }).unwrap();
        let ping = || db.read(viraldb::compilation::ErrorLog::count_unresolved);
        std::thread::scope(|scope| {
            (0..3).for_each(|_| drop(scope.spawn(ping)));
        });
        let mut other = PgConnection::establish(&t.url).unwrap();
        let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                    WHERE datname = current_database() AND pid <> pg_backend_pid()";
        other.batch_execute(kill).unwrap();
        for _ in 0..5 {
            assert_eq!(ping().unwrap(), 0);
        }
    }
}

both! {
    fn foreign_key_to_missing_row_is_rejected(t) {
        t.ok(&["init"]);
        let said = rejection(t.run(&["errors", "log", "--module", "m", "--type", "t", "--run", "99", "x"]));
        assert!(said.contains("error_log refers to a row that does not exist"), "{said}");
        let listed = t.ok(&["errors", "list", "--format", "json"]);
        assert_eq!(listed.trim(), "[]");
    }

    fn database_without_migration_tables_is_rejected(t) {
        let db = t.db();
        let tables = "DROP TABLE viraldb_migrations; DROP TABLE __diesel_schema_migrations";
        db.write(|c| Ok(c.batch_execute(tables)?)).unwrap();
        drop(db);
        let said = rejection(t.run(&["init"]));
        assert!(said.contains("has tables of viraldb, but no record of the migrations that created them; restore"), "{said}");
        let said = Database::connect_with(&t.url, &Options::default()).unwrap_err().to_string();
        assert!(said.contains("has tables of viraldb, but no record"), "{said}");
    }

    fn table_name_needed_by_a_later_migration_is_rejected(t) {
        let mut other = t.plain();
        other.batch_execute("CREATE TABLE jobs (id integer)").unwrap();
        let said = rejection(t.run(&["init"]));
        assert!(said.contains("already has table jobs, not created by viraldb"), "{said}");
        let none = t.run(&["migrate", "status", "--format", "csv"]);
        assert!(none.code == 0 && !none.out.contains("applied"), "{}", none.out);
    }
}
