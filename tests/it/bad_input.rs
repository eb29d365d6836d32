//! What bad input gets: one clear line, exit 1, nothing changed.

use viraldb::diesel::connection::SimpleConnection;
use viraldb::{Database, Options};

#[cfg(feature = "sqlite")]
use crate::support::Scratch;
use crate::support::{Ran, both, viraldb};

/// One line on stderr, nothing on stdout, exit 1; returns the line.
fn refused(ran: Ran) -> String {
    assert_eq!((ran.code, &*ran.out, ran.err.lines().count()), (1, "", 1), "{}{}", ran.out, ran.err);
    assert!(ran.err.starts_with("error: "), "{}", ran.err);
    ran.err
}

fn url(url: &str) -> String {
    let dir = tempfile::tempdir().unwrap();
    let said = refused(viraldb(dir.path(), &["--database-url", url, "init"]).output().unwrap().into());
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing was made");
    said
}

#[test]
fn a_url_of_an_unknown_scheme() {
    assert!(
        url("mysql://u:secret@h/d")
            .contains("mysql://u:***@h/d: the scheme \"mysql\" is unknown; use sqlite://PATH")
    );
    assert!(url("postgresql+asyncpg://u:secret@h/d").contains("write postgresql://u:***@h/d"));
    assert!(url("viral").contains("names no database"));
    assert!(url("").contains("names no database"));
}

#[cfg(feature = "postgres")]
#[test]
fn a_server_that_is_down() {
    let said = url("postgres://me:secret@127.0.0.1:1/name");
    assert!(said.contains("127.0.0.1") && said.contains("port 1 failed"), "{said}");
    assert!(said.contains("me:***@") && !said.contains("secret"), "{said}");
}

#[cfg(feature = "postgres")]
#[test]
fn a_password_that_is_not_percent_encoded() {
    for place in [
        "u:100%secure@127.0.0.1:1/db",
        "u:sec%00ure@127.0.0.1:1/db",
        "u:pa/secure@127.0.0.1:1/db",
        "u:1/secure@127.0.0.1:1/db",
        "u:pa/?secure@127.0.0.1:1/db",
        "u:pa@secure@127.0.0.1:1/db",
    ] {
        let said = url(&format!("postgres://{place}"));
        assert!(said.contains("percent-encode") && said.contains("u:***@127.0.0.1:1/db"), "{said}");
        assert!(!said.contains("sec") && !said.contains("pa/"), "{said}");
    }
    let said = url("postgres://127.0.0.1:1/db?user=u&password=100%secure");
    assert!(said.contains("percent-encode") && !said.contains("secure"), "{said}");
    // A question mark is libpq's own affair, and ends no password.
    let said = url("postgres://u:sec?ret@127.0.0.1:1/db");
    assert!(said.contains("port 1 failed") && said.contains("u:***@") && !said.contains("sec"), "{said}");
}

#[cfg(not(feature = "postgres"))]
#[test]
fn an_engine_that_is_not_compiled_in() {
    assert!(url("postgres://u@h/d").contains("build it with `--features postgres`"));
}

#[cfg(feature = "sqlite")]
mod sqlite {
    use std::os::unix::fs::PermissionsExt;
    use std::process::Command;

    use super::*;
    use crate::support::mounts::{tool, with_mounts};

    /// The command without root's right to read and write every file.
    fn without_rights(t: &Scratch, args: &[&str]) -> Ran {
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
    fn a_directory() {
        let t = Scratch::sqlite();
        std::fs::create_dir(t.path("viral.db")).unwrap();
        assert!(refused(t.run(&["init"])).contains("is a directory"));
        assert!(refused(t.run(&["status"])).contains("is a directory"));
    }

    #[test]
    fn a_folder_that_is_not_there() {
        assert!(url("sqlite://none/viral.db").contains("none/viral.db: No such file or directory"));
    }

    #[test]
    fn a_file_that_is_no_database() {
        let t = Scratch::sqlite();
        let file = t.file("viral.db", "the quick brown fox jumps over the lazy dog");
        for command in ["init", "status"] {
            assert!(refused(t.run(&[command])).contains("is no SQLite database"));
        }
        assert_eq!(std::fs::read(file).unwrap(), b"the quick brown fox jumps over the lazy dog");
        // the right beginning and nothing right behind it
        t.file("viral.db", [&b"SQLite format 3\0"[..], &[7; 4096]].concat());
        assert!(refused(t.run(&["status"])).contains("is no SQLite database"));
    }

    #[test]
    fn a_missing_or_empty_file() {
        let t = Scratch::sqlite();
        assert!(refused(t.run(&["status"])).contains("holds no viraldb database: run `viraldb init`"));
        assert!(!t.path("viral.db").exists());
        t.file("viral.db", "");
        assert!(refused(t.run(&["videos", "list"])).contains("run `viraldb init`"));
        t.ok(&["init"]);
    }

    #[test]
    fn an_unreadable_file() {
        let t = Scratch::sqlite();
        t.ok(&["init"]);
        std::fs::set_permissions(t.path("viral.db"), PermissionsExt::from_mode(0o000)).unwrap();
        let said = refused(without_rights(&t, &["status"]));
        assert!(said.contains("viral.db: Permission denied"), "{said}");
        let input = t.file("in.csv", "x");
        std::fs::set_permissions(&input, PermissionsExt::from_mode(0o000)).unwrap();
        let said = refused(without_rights(&t, &["ingest", "in.csv"]));
        assert!(said.contains("in.csv: Permission denied"), "{said}");
    }

    #[test]
    fn a_read_only_file() {
        let t = Scratch::sqlite();
        t.ok(&["init", "--sample"]);
        std::fs::set_permissions(t.path("viral.db"), PermissionsExt::from_mode(0o444)).unwrap();
        let before = std::fs::read(t.path("viral.db")).unwrap();
        let said = refused(without_rights(&t, &["errors", "log", "--module", "m", "--type", "t", "x"]));
        assert!(said.contains("viral.db: may not be written"), "{said}");
        assert_eq!(std::fs::read(t.path("viral.db")).unwrap(), before);
        assert_eq!(without_rights(&t, &["videos", "list"]).code, 0, "reading it is no trouble");
    }

    #[test]
    fn a_folder_that_may_not_be_written() {
        let t = Scratch::sqlite();
        t.ok(&["init", "--sample"]);
        let set_mode =
            |mode| std::fs::set_permissions(t.dir.path(), PermissionsExt::from_mode(mode)).unwrap();
        set_mode(0o555);
        let said = refused(without_rights(&t, &["videos", "list"]));
        set_mode(0o755);
        assert!(said.contains("viral.db: can be read only where its folder may be written"), "{said}");
        assert!(said.contains("while a program that writes has it open"), "{said}");
        let db = t.db();
        db.read(viraldb::compilation::ErrorLog::count_unresolved).unwrap();
        set_mode(0o555);
        let ran = without_rights(&t, &["videos", "list"]);
        set_mode(0o755);
        assert_eq!(ran.code, 0, "{}", ran.err);
    }

    #[test]
    fn a_full_disk() {
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
        assert!(rows > 0 && ran.err.contains("what was not committed is undone"), "{}", ran.err);
        let stay = format!("; {rows} rows of {} are in the database, and stay", input.display());
        assert!(ran.err.contains(&stay), "{}", ran.err);
    }

    #[test]
    fn a_disk_too_full_for_a_new_database() {
        let t = Scratch::sqlite();
        let disk = t.path("disk");
        std::fs::create_dir(&disk).unwrap();
        // From no room at all to room for the file and not for all of its tables.
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
        assert_eq!(ran.out, "", "nothing is left behind");
    }

    #[test]
    fn a_link_to_nothing() {
        let t = Scratch::sqlite();
        std::os::unix::fs::symlink("gone/real.db", t.path("viral.db")).unwrap();
        for command in ["init", "status"] {
            assert!(
                refused(t.run(&[command]))
                    .contains("viral.db: is a link to gone/real.db, which is not there")
            );
        }
    }

    #[test]
    fn what_is_no_file() {
        let t = Scratch::sqlite();
        assert!(Command::new("mkfifo").arg(t.path("viral.db")).status().unwrap().success());
        for command in ["init", "status"] {
            assert!(refused(t.run(&[command])).contains("viral.db: is a device, a pipe or a socket"));
        }
        assert!(url("sqlite:///dev/null").contains("/dev/null: is a device, a pipe or a socket"));
    }

    #[test]
    fn a_read_only_mount() {
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
        assert_eq!(out[4..], ["a %23.db", "a %23.db-wal"], "nothing was made");
        let said: Vec<&str> = ran.err.lines().collect();
        assert_eq!(said.len(), 2, "{}", ran.err);
        assert!(said[0].starts_with("error: a %23.db: may not be written"), "{}", ran.err);
        assert!(said[1].contains("its last changes stand in the -wal file"), "{}", ran.err);
    }

    #[test]
    fn a_new_database_that_another_program_holds_locked() {
        use viraldb::diesel::prelude::*;
        use viraldb::diesel::sqlite::SqliteConnection;
        // One that lacks its newest migration, and one that is empty and no WAL database yet.
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
                    let said = refused(t.run(args));
                    assert!(
                        said.contains("viral.db is locked: another program held its write lock for 5s"),
                        "{said}"
                    );
                    assert!(said.contains(&format!("(process {})", std::process::id())), "{said}");
                });
            }
        });
        let waited = start.elapsed().as_secs();
        assert!((5..15).contains(&waited), "{waited} s");
        assert!(empty.path("viral.db").exists(), "it was there before");
    }

    #[test]
    fn a_database_that_another_program_holds_locked() {
        use viraldb::diesel::prelude::*;
        use viraldb::diesel::sqlite::SqliteConnection;
        let t = Scratch::sqlite();
        t.ok(&["init", "--sample"]);
        let mut other = SqliteConnection::establish(t.path("viral.db").to_str().unwrap()).unwrap();
        other.batch_execute("BEGIN IMMEDIATE").unwrap();
        let start = std::time::Instant::now();
        let said = refused(t.run(&["errors", "log", "--module", "m", "--type", "t", "x"]));
        assert!(start.elapsed() >= std::time::Duration::from_secs(5));
        assert!(said.contains("viral.db is locked: another program held its write lock for 5s"), "{said}");
        assert!(said.contains(&format!("(process {})", std::process::id())), "{said}");
        assert_eq!(t.run(&["videos", "list"]).code, 0, "readers are not stopped");
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
    fn a_table_that_another_program_holds_locked() {
        let t = Scratch::postgres();
        t.ok(&["init", "--sample"]);
        let mut other = PgConnection::establish(&t.url).unwrap();
        other.batch_execute("BEGIN; LOCK TABLE error_log IN EXCLUSIVE MODE").unwrap();
        let said = refused(t.run(&["errors", "log", "--module", "m", "--type", "t", "x"]));
        assert!(said.contains("is locked: another session kept a lock for longer than we wait"), "{said}");
        other.batch_execute("COMMIT").unwrap();
        t.ok(&["errors", "log", "--module", "m", "--type", "t", "x"]);
    }

    #[test]
    fn a_full_disk_of_the_server() {
        let t = Scratch::postgres();
        let db = t.db();
        let full = "DO $$ BEGIN RAISE 'could not extend file \"base/1/2\": No space left on device' USING ERRCODE = '53100'; END $$";
        let error = db.write(|c| Ok(c.batch_execute(full)?)).unwrap_err();
        assert!(
            matches!(&error, viraldb::Error::Unusable { reason, .. } if reason.contains("disk is full")),
            "{error}"
        );
    }

    /// The loss may show at the statement, at the next one, or at the end of the transaction.
    #[test]
    fn a_lost_connection_has_one_text() {
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
                "behind it",
                db.write(|c| {
                    let _ = c.batch_execute(end);
                    Ok(c.batch_execute("SELECT 1")?)
                }),
            ),
            (
                "the end",
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
                "before the end",
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
                    "the server's log says why. What was not committed is undone: try again when it is back"
                ),
                "{what}: {said}"
            );
        }
    }

    #[test]
    fn connections_that_died_are_replaced() {
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
    fn a_foreign_key_to_nothing(t) {
        t.ok(&["init"]);
        let said = refused(t.run(&["errors", "log", "--module", "m", "--type", "t", "--run", "99", "x"]));
        assert!(said.contains("error_log refers to a row that is not there"), "{said}");
        let listed = t.ok(&["errors", "list", "--format", "json"]);
        assert_eq!(listed.trim(), "[]");
    }

    fn a_database_that_has_lost_its_books(t) {
        let db = t.db();
        let tables = "DROP TABLE viraldb_migrations; DROP TABLE __diesel_schema_migrations";
        db.write(|c| Ok(c.batch_execute(tables)?)).unwrap();
        drop(db);
        let said = refused(t.run(&["init"]));
        assert!(said.contains("has tables of viraldb, and no record of the migrations that made them; restore"), "{said}");
        let said = Database::connect_with(&t.url, &Options::default()).unwrap_err().to_string();
        assert!(said.contains("has tables of viraldb, and no record"), "{said}");
    }

    fn a_name_that_a_later_migration_wants(t) {
        let mut other = t.plain();
        other.batch_execute("CREATE TABLE jobs (id integer)").unwrap();
        let said = refused(t.run(&["init"]));
        assert!(said.contains("already has table jobs, not made by viraldb"), "{said}");
        let none = t.run(&["migrate", "status", "--format", "csv"]);
        assert!(none.code == 0 && !none.out.contains("applied"), "{}", none.out);
    }
}
