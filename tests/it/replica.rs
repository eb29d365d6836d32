//! Reading on a streaming replica of PostgreSQL.

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
fn reads_go_to_the_replica_and_writes_to_the_primary() {
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

    // What is written comes there a moment later.
    let row = db.write(|c| make::discovered_video().insert(c)).unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while !db.read(|c| Ok(DiscoveredVideo::find_by_video_id(c, &row.video_id).is_ok())).unwrap() {
        assert!(Instant::now() < deadline, "it does not come to the replica");
        std::thread::sleep(Duration::from_millis(5));
    }
    assert!(db.read_newest(|c| DiscoveredVideo::find_by_video_id(c, &row.video_id)).is_ok());
    let refused = db.read(|c| make::execute(c, "DELETE FROM discovered_videos"));
    let said = refused.unwrap_err().to_string();
    assert!(said.contains("may not be written"), "{said}");

    // A setting holds at once for whoever has set it.
    let config = Config::open(&db).unwrap();
    for value in 1..30 {
        config.set(Scope::Override, "max_concurrent_jobs", &value.into(), "me").unwrap();
        assert_eq!(config.get::<u32>("max_concurrent_jobs").unwrap(), value);
    }

    // The command line reads there too.
    let folder = tempfile::tempdir().unwrap();
    let run = |read_url: &str| {
        let mut command = crate::support::viraldb(folder.path(), &["status", "--format", "json"]);
        command.env("DATABASE_URL", &url).env("VIRALDB_READ_URL", read_url);
        crate::support::Ran::from(command.output().unwrap())
    };
    assert_eq!(run(&read_url).code, 0);

    // A server of another origin is none, nor is another database.
    let stranger = Server::own(&["fsync=off"]);
    let other = stranger.create_database("viral", "template0");
    for wrong in [other, replica.url("postgres")] {
        let said = opened(&url, &wrong).unwrap_err().to_string();
        assert!(said.contains("is no replica of "), "{said}");
    }
    let said = opened(&url, "sqlite://viral.db").unwrap_err().to_string();
    assert!(said.contains("VIRALDB_READ_URL has to name a replica of "), "{said}");

    // Whoever reads while it is down is told which of the two it is.
    replica.stop();
    let failed = db.read(|c| Ok(is_replica(c))).unwrap_err();
    let shown = read_url.parse::<viraldb::DatabaseUrl>().unwrap().to_string();
    assert!(matches!(&failed, Error::Unusable { database, .. } if *database == shown), "{failed:?}");
    assert!(run(&read_url).err.contains(&shown));
    db.write(|c| make::discovered_video().insert(c)).unwrap();
    replica.restart();
    assert!(db.read(|c| Ok(is_replica(c))).unwrap(), "it is used again");
}

#[cfg(feature = "sqlite")]
#[test]
fn sqlite_has_none_and_takes_no_notice() {
    let db = opened("sqlite::memory:", "postgres://h/d").unwrap();
    assert_eq!(db.read(|c| Ok(make::query(c, "SELECT 'x' AS v"))).unwrap(), ["x"]);
}
