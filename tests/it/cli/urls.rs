//! Malformed URLs: no message shows their password.

use crate::support::{Ran, viraldb};

/// Each contains the password hunter2 where it may be mistaken for another part of the URL.
const MALFORMED: [&str; 61] = [
    "postgres://me:hunter2@[::1/x",
    "postgres://me:hunter2@[::1]x/x",
    "postgres://me:hunter2@::1/x",
    "postgres://[::1?password=hunter2",
    "postgres://[::1/x?password=hunter2",
    "postgres://me:hunter2",
    "postgres://me:hunter2/x",
    "postgres://me:hunter2?host=/tmp",
    "postgres://me:hunter2/x?sslmode=require",
    "postgres://me:hunter2,127.0.0.1:1/x",
    "postgres://127.0.0.1:1,me:hunter2/x",
    "postgres:///me:hunter2@127.0.0.1:1",
    "postgres://127.0.0.1:1/me:hunter2@x",
    "postgres://127.0.0.1:1/me:hunter2",
    "postgres://127.0.0.1:1/x&password=hunter2",
    "postgres://127.0.0.1:1/x;password=hunter2",
    "postgres://127.0.0.1:1/x/?user=me&passwd=hunter2",
    "postgres://127.0.0.1:1/x?user=me;password=hunter2",
    "postgres://127.0.0.1:1/x?user=me%3Bpassword%3Dhunter2",
    "postgres://127.0.0.1:1/x?user=me%20password%3Dhunter2",
    "postgres://127.0.0.1:1/x?user=me:hunter2@127.0.0.1;password=hunter2",
    "postgres://127.0.0.1:1/x?password=a=hunter2",
    "postgres://127.0.0.1:1/x?password=a&hunter2",
    "postgres://127.0.0.1:1/x?password=a&hunter2=b",
    "postgres://127.0.0.1:1/x?password=a%&user=hunter2%zz&password=hunter2",
    "postgres://127.0.0.1:1/x?password=hunter2#a",
    "postgres://127.0.0.1:1/x?passwd=hunter2",
    "postgres://127.0.0.1:1/x?pwd=hunter2",
    "postgres://127.0.0.1:1/x?Password=hunter2",
    "postgres://127.0.0.1:1/x?pass%77ord=hunter2",
    "postgres://127.0.0.1:1/x?p%61ssword=hunter2",
    "postgres://127.0.0.1:1/x?secret=hunter2",
    "postgres://127.0.0.1:1/x?port=hunter2",
    "postgres://127.0.0.1:1/x?sslpassword=hunter2&sslmode=never",
    "postgres://127.0.0.1:1?password=a@hunter2",
    "postgres://127.0.0.1:1?user=me:hunter2@127.0.0.1/x",
    "postgres://me:hunter2@127.0.0.1:port/x",
    "postgres://me:hunter2@127.0.0.1:99999/x",
    "postgres://me:hunter2@127.0.0.1:1:2/x",
    "postgres://me:hunter2@@127.0.0.1:1/x",
    "postgres://me:a@hunter2@127.0.0.1:1/x",
    "postgres://me:a/hunter2@127.0.0.1:1/x",
    "postgres://me:12/hunter2@127.0.0.1:1/x",
    "postgres://me:12?hunter2/a@127.0.0.1:1/x",
    "postgres://me:12?hunter2=1/a@127.0.0.1:1/x",
    "postgres://me:%hunter2@127.0.0.1:1/x",
    "postgres://me:hunter2%00@127.0.0.1:1/x",
    "postgres://me%3Ahunter2@127.0.0.1:1/x",
    "postgres://me%3Ahunter2%40127.0.0.1/x",
    "postgres://me hunter2@127.0.0.1:1/x",
    "postgres://me:hunter 2@127.0.0.1:1/x",
    "postgres:me:hunter2@127.0.0.1:1/x.db",
    "postgres:/me:hunter2@127.0.0.1:1/x",
    "postgres//me:hunter2@127.0.0.1:1/x",
    "POSTGRES://me:hunter2@[::1/x",
    "PostgreSQL://127.0.0.1:1/x?password=a@hunter2",
    "postgresql+psycopg2://me:hunter2@[::1/x",
    "jdbc:postgresql://127.0.0.1:1/x?user=me&password=hunter2",
    "me:hunter2://127.0.0.1:1/x",
    "host=127.0.0.1 password='a hunter2' dbname=x",
    "sqlite://x.db?key=hunter2",
];

/// Returns commands that cover every way to pass a URL.
fn commands_with_url(url: &str) -> Vec<Vec<&str>> {
    vec![
        vec!["init", "--database-url", url],
        vec!["transfer", "--from", url, "--to", "sqlite://new.db"],
        vec!["transfer", "--from", "sqlite://there.db", "--to", url],
        vec!["takeover", url, "--to", "sqlite://there.db"],
        vec!["takeover", "sqlite://there.db", "--to", url],
        vec!["-vv", "doctor", "--database-url", url],
        vec!["backup", "create", "--database-url", url],
        vec!["restore", "none.zst", "--yes", "--database-url", url],
    ]
}

fn require_hidden(what: &str, ran: Ran) {
    assert_ne!(ran.code, 0, "{what}: {}", ran.out);
    let said = format!("{}{}", ran.out, ran.err);
    assert!(said.contains("error: ") || what.contains("verify"), "{what}: {said}");
    for part in ["hunter2", "unter", "hunte"] {
        assert!(!said.contains(part), "{what}: {said}");
    }
}

#[test]
fn malformed_url_never_shows_its_password() {
    let dir = tempfile::tempdir().unwrap();
    let there = viraldb(dir.path(), &["init", "--database-url", "sqlite://there.db"]).output().unwrap();
    assert!(there.status.success());
    for url in MALFORMED {
        for args in commands_with_url(url) {
            require_hidden(&format!("{args:?}"), viraldb(dir.path(), &args).output().unwrap().into());
        }
        let mut command = viraldb(dir.path(), &["status"]);
        require_hidden(
            &format!("DATABASE_URL={url}"),
            command.env("DATABASE_URL", url).output().unwrap().into(),
        );
        std::fs::write(dir.path().join(".env"), format!("DATABASE_URL=\"{url}\"\n")).unwrap();
        require_hidden(&format!(".env: {url}"), viraldb(dir.path(), &["status"]).output().unwrap().into());
        std::fs::remove_file(dir.path().join(".env")).unwrap();
        let wrong = viraldb::DatabaseUrl::Postgres(url.to_owned());
        let shown = format!("{wrong} {wrong:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

/// URLs of a server, and texts that may be meant as a URL.
const MISPLACED: [&str; 30] = [
    "postgres://me:hunter2@127.0.0.1:1/viral",
    "postgresql+asyncpg://me:hunter2@127.0.0.1:1/viral",
    "mysql://me:hunter2@127.0.0.1/viral",
    "https://me:hunter2@127.0.0.1/viral",
    "postgres://127.0.0.1:1/viral?user=me:hunter2",
    "postgres://127.0.0.1:1/viral?user=me%3Ahunter2",
    "postgres://127.0.0.1:1/viral?user=me&password=hunter2",
    "postgres://127.0.0.1:1/viral?service=hunter2",
    "postgres://127.0.0.1:1/viral?channel_binding=hunter2",
    "postgres://127.0.0.1:1/viral?keepalives=hunter2",
    "postgres://127.0.0.1:1/viral?ssl_min_protocol_version=hunter2",
    "postgres://127.0.0.1:1/viral?krbsrvname=hunter2",
    "me:hunter2@localhost:5432/viral.db",
    "//me:hunter2@localhost/viral.db",
    "postgres//me:hunter2@localhost/viral.db",
    "sqlite://me:hunter2@localhost/viral",
    "sqlite:postgres://me:hunter2@localhost/viral.db",
    "sqlite+pysqlcipher://:hunter2@/viral.db",
    "sqlite+pysqlcipher:///:hunter2@/viral.db",
    "sqlite://:hunter2@viral.db",
    "sqlite://viral.db#password=hunter2",
    "postgres%3A%2F%2Fme%3Ahunter2%40localhost%2Fviral",
    "postgres%3a%2f%2fme%3ahunter2%40localhost%2fviral",
    "postgres://me%253Ahunter2@127.0.0.1:1/viral",
    "postgres://me\u{ff1a}hunter2@127.0.0.1:1/viral",
    "postgres://me,hunter2@127.0.0.1:1/viral",
    "postgres://me|hunter2@127.0.0.1:1/viral",
    "postgres://u:hunter2@ss?word@127.0.0.1:1/viral",
    "postgres://app:a@ss/w:hunter2%?#@127.0.0.1:1/viral",
    "postgres://127.0.0.1:1/viral?user=u&password=sec&hunter2",
];

#[test]
fn misplaced_url_never_shows_its_password() {
    let dir = tempfile::tempdir().unwrap();
    for url in MISPLACED {
        let (option, wait) = (format!("--database-url={url}"), format!("--wait={url}"));
        for args in [
            &["status", &option][..],
            &["-vv", "--log-format", "json", "status", "--database-url", url],
            &["init", url],
            &[url],
            &["transfer", url, url],
            &["status", "--format", url],
            &["status", &wait],
            &["completions", url],
            &["ingest", url],
            &["restore", url, "--yes"],
            &["backup", "verify", url],
            &["config", "list", "--config", url],
            &["migrate", "sql", url],
            &["config", "set", "min_clips", url],
        ] {
            require_hidden(&format!("{args:?}"), viraldb(dir.path(), args).output().unwrap().into());
        }
        let long = format!("{url}{}", "x".repeat(200));
        require_hidden(&long, viraldb(dir.path(), &["init", &long]).output().unwrap().into());
    }
}

/// An argument without a password is printed as given.
#[test]
fn argument_without_a_password_is_shown() {
    let dir = tempfile::tempdir().unwrap();
    for (args, said) in [
        (&["ingest", "https://youtu.be/watch?v=abcdefg"][..], "https://youtu.be/watch?v=abcdefg"),
        (&["ingest", "a b: c@d"], "a b: c@d"),
        (&["init", "postgres://me@h/viral"], "postgres://me@h/viral"),
        (&["status", "--database-url", "./a:b@c.db"], "./a:b@c.db"),
    ] {
        let ran: Ran = viraldb(dir.path(), args).output().unwrap().into();
        assert!(ran.code != 0 && ran.err.contains(said), "{args:?}: {}", ran.err);
    }
    // The password is also a word of the message, which must not be masked.
    let mut command = viraldb(dir.path(), &["status", "--database-url", "none.db"]);
    let ran: Ran =
        command.env("DATABASE_URL", "postgres://me:viraldb@127.0.0.1:1/x").output().unwrap().into();
    assert_eq!(ran.err, "error: none.db: no viraldb database found; run `viraldb init` to create one\n");
}

#[test]
fn malformed_url_error_names_the_wrong_part() {
    for (url, expected) in [
        (
            "postgres://me:hunter2@[::1/x",
            "postgres://***: the host or the port is invalid; write postgres://USER:PASSWORD@HOST:PORT/NAME",
        ),
        ("postgres://h:port/x", "postgres://***: the host or the port is invalid"),
        (
            "postgres://u:p@h/x&sslmode=require",
            "postgres://***: percent-encode the name of the database; parameters follow a question mark",
        ),
        ("postgres://u:p@h/x?user=a;b", "postgres://***: write parameters as KEY=VALUE, separated by &"),
        (r"postgres://u:p@h/x?\sslmode=require", "postgres://***: write parameters as KEY=VALUE"),
        ("postgres://u:p@h/x?ssl-mode=require", "postgres://***: write parameters as KEY=VALUE"),
        ("postgres://u:p/q@h/x", "postgres://u:***@h/x: percent-encode the user name and the password"),
    ] {
        let said = url.parse::<viraldb::DatabaseUrl>().unwrap_err().to_string();
        assert!(said.starts_with(expected), "{said}");
    }
}

#[cfg(feature = "postgres")]
#[test]
fn unknown_libpq_parameter_is_named() {
    let said = |url: &str| url.parse::<viraldb::DatabaseUrl>().unwrap_err().to_string();
    assert_eq!(
        said("postgres://u:p@h/x?sslmod=require"),
        "postgres://u:***@h/x?***: libpq has no parameter \"sslmod\"; separate parameters with &, and percent-encode values"
    );
    for url in [
        "postgres://u:p@h/x?ssl=true",
        "postgres://[::1]:5432,h:1,/x?sslmode=require&",
        "postgres://%2Ftmp/x",
        "postgres://",
    ] {
        url.parse::<viraldb::DatabaseUrl>().unwrap();
    }
}
