//! Tests of reading from a streaming replica of PostgreSQL.

use std::time::{Duration, Instant};

use viraldb::compilation::DiscoveredVideo;
use viraldb::config::{Config, Scope};
use viraldb::{Database, DbConnection, Error, Options};

use crate::make;
use crate::support::server::Server;

fn is_replica(c: &mut DbConnection) -> bool {
    make::query(c, "SELECT pg_is_in_recovery()::text AS v") == ["true"]
}

fn opened(url: &str, read_url: &str) -> viraldb::Result<Database> {
    Database::open_with(url, &Options { read_url: Some(read_url.to_owned()), ..Default::default() })
}

#[test]
fn reads_use_the_replica_and_writes_use_the_primary() {
    let primary = Server::own(&["fsync=off"]);
    let url = primary.create_database("viral", "template0");
    Database::open(&url).unwrap();
    let replica = primary.replica();
    let read_url = replica.url("viral");
    let db = opened(&url, &read_url).unwrap();
    assert!(db.read(|c| Ok(is_replica(c))).unwrap());
    assert!(!db.read_newest(|c| Ok(is_replica(c))).unwrap());
    assert!(!db.write(|c| Ok(is_replica(c))).unwrap());
    assert!(!is_replica(&mut db.session().unwrap()));

    // A written row reaches the replica a little later.
    let row = db.write(|c| make::discovered_video().insert(c)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !db.read(|c| Ok(DiscoveredVideo::find_by_video_id(c, &row.video_id).is_ok())).unwrap() {
        assert!(Instant::now() < deadline, "the row does not reach the replica");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(db.read_newest(|c| DiscoveredVideo::find_by_video_id(c, &row.video_id)).is_ok());
    let refused = db.read(|c| make::execute(c, "DELETE FROM discovered_videos"));
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("is read-only"), "{said}");

    // A setting is effective at once for the program that set it.
    let config = Config::open(&db).unwrap();
    for value in 1..30 {
        config.set(Scope::Override, "max_concurrent_jobs", &value.into(), "me").unwrap();
        assert_eq!(config.get::<u32>("max_concurrent_jobs").unwrap(), value);
    }

    // The command line reads from the replica as well.
    let folder = tempfile::tempdir().unwrap();
    let run = |read_url: &str| {
        let mut command = crate::support::viraldb(folder.path(), &["status", "--format", "json"]);
        command.env("DATABASE_URL", &url).env("VIRALDB_READ_URL", read_url);
        crate::support::Ran::from(command.output().unwrap())
    };
    assert_eq!(run(&read_url).code, 0);

    // As the main database, the replica can be read, and reports that it accepts no writes.
    let folder = tempfile::tempdir().unwrap();
    let alone = |args: &[&str]| -> crate::support::Ran {
        let mut command = crate::support::viraldb(folder.path(), args);
        command.env("DATABASE_URL", &read_url).output().unwrap().into()
    };
    let says = "the server is read-only: it is a replica, or default_transaction_read_only is on; connect to the primary";
    for args in [
        &["config", "set", "max_clips", "8"][..],
        &["errors", "log", "--module", "m", "--type", "t", "x"],
        &["jobs", "rescue"],
        &["optimize"],
        &["init"],
    ] {
        let ran = alone(args);
        // A current database needs no migration, so `init` succeeds.
        assert!(
            ran.code == 1 && ran.err.contains(says) || args == ["init"] && ran.code == 0,
            "{args:?}: {}{}",
            ran.out,
            ran.err
        );
    }
    for args in [
        &["videos", "list"][..],
        &["config", "get", "max_clips"],
        &["status"],
        &["doctor", "--only", "runs,drift"],
    ] {
        let ran = alone(args);
        assert_eq!(ran.code, 0, "{args:?}: {}{}", ran.out, ran.err);
    }

    // A server with another origin is rejected as a replica, and so is another database.
    let stranger = Server::own(&["fsync=off"]);
    let other = stranger.create_database("viral", "template0");
    for wrong in [other, replica.url("postgres")] {
        let said = opened(&url, &wrong).unwrap_err().to_string();
        assert!(said.contains("is not a replica of "), "{said}");
    }
    let said = opened(&url, "sqlite://viral.db").unwrap_err().to_string();
    assert!(said.contains("VIRALDB_READ_URL must be the URL of a replica of "), "{said}");

    // An error while the replica is down names the replica, not the primary.
    replica.stop();
    let failed = db.read(|c| Ok(is_replica(c))).unwrap_err();
    let shown = read_url.parse::<viraldb::DatabaseUrl>().unwrap().to_string();
    assert!(matches!(&failed, Error::Disconnected { database, .. } if *database == shown), "{failed:?}");
    assert!(failed.is_retryable());
    assert!(run(&read_url).err.contains(&shown));
    db.write(|c| make::discovered_video().insert(c)).unwrap();
    replica.restart();
    assert!(db.read(|c| Ok(is_replica(c))).unwrap(), "the replica is used again");
}

#[test]
fn promoted_replica_is_refused() {
    let primary = Server::own(&["fsync=off"]);
    let url = primary.create_database("viral", "template0");
    Database::open(&url).unwrap();
    let replica = primary.replica();
    let read_url = replica.url("viral");
    let folder = tempfile::tempdir().unwrap();
    let run = |url: &str, read_url: &str, args: &[&str]| {
        let mut command = crate::support::viraldb(folder.path(), args);
        command.env("DATABASE_URL", url).env("VIRALDB_READ_URL", read_url);
        crate::support::Ran::from(command.output().unwrap())
    };
    let doctor = |url: &str, read_url: &str| run(url, read_url, &["doctor", "--only", "replica"]);
    let looked = doctor(&url, &read_url);
    assert!(looked.code == 0 && looked.out.contains("1 check: 0 errors, 0 warnings, 0 notes"), "{looked:?}");

    // The primary itself has the same rows and is allowed, because a URL with several hosts may lead to it.
    let itself = opened(&url, &url).unwrap();
    assert!(!itself.read(|c| Ok(is_replica(c))).unwrap());
    let looked = doctor(&url, &url);
    assert!(
        looked.code == 0 && looked.out.contains("VIRALDB_READ_URL points to the primary itself"),
        "{looked:?}"
    );
    let said = opened(&read_url, &url).unwrap_err().to_string();
    assert!(said.contains("accepts writes") && said.contains("swap the two URLs"), "{said}");

    let db = opened(&url, &read_url).unwrap();
    assert!(db.read(|c| Ok(is_replica(c))).unwrap());
    replica.promote();
    let shown = read_url.parse::<viraldb::DatabaseUrl>().unwrap().to_string();
    let is_refused = |error: &Error| matches!(error, Error::Unusable { database, reason } if *database == shown && reason.contains("it was promoted"));
    // A running program is refused soon after the promotion, and every time from then on.
    let deadline = Instant::now() + Duration::from_secs(30);
    let refused = loop {
        match db.read(|c| Ok(is_replica(c))) {
            Err(error) => break error,
            Ok(_) => assert!(Instant::now() < deadline, "reads still use the promoted server"),
        }
        std::thread::sleep(Duration::from_millis(100));
    };
    assert!(is_refused(&refused), "{refused:?}");
    assert!(is_refused(&db.read(|c| Ok(is_replica(c))).unwrap_err()));
    assert!(!db.read_newest(|c| Ok(is_replica(c))).unwrap());
    db.write(|c| make::discovered_video().insert(c)).unwrap();

    assert!(is_refused(&opened(&url, &read_url).unwrap_err()));
    assert_eq!(run(&url, &read_url, &["status"]).code, 1);
    let looked = doctor(&url, &read_url);
    assert!(looked.code == 4 && looked.out.contains("it was promoted"), "{looked:?}");
    assert!(looked.out.contains("set VIRALDB_READ_URL to a replica of this server"), "{looked:?}");

    for (wrong, said) in [
        ("postgres://%2Fnowhere/viral", "cannot be reached"),
        ("sqlite://viral.db", "must be the URL of a replica"),
    ] {
        let looked = doctor(&url, wrong);
        assert!(looked.code == 4 && looked.out.contains(said), "{looked:?}");
    }

    // While the primary does not answer, the replica cannot be checked, so reads are allowed.
    primary.stop();
    assert!(db.read(|c| Ok(is_replica(c))).is_ok());
    primary.restart();
    // The result of that check may still be cached for a few seconds.
    std::thread::sleep(Duration::from_secs(6));
    assert!(is_refused(&db.read(|c| Ok(is_replica(c))).unwrap_err()));
}

#[cfg(feature = "sqlite")]
#[test]
fn sqlite_ignores_the_read_url() {
    let db = opened("sqlite::memory:", "postgres://h/d").unwrap();
    assert_eq!(db.read(|c| Ok(make::query(c, "SELECT 'x' AS v"))).unwrap(), ["x"]);
}
