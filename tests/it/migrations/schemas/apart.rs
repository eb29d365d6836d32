//! viraldb in several schemas of one PostgreSQL database: the schemas do not affect each other.

use std::sync::mpsc;
use std::time::{Duration, Instant};

use viraldb::config::{Config, Scope};
use viraldb::db::migrate;
use viraldb::diesel::PgConnection;
use viraldb::diesel::prelude::*;
use viraldb::queue::{self, Claim, Worker};
use viraldb::republishing::{JobType, NewVideoProcessingJob};

use super::*;

/// Returns one home in `public` and two in separate schemas.
fn three_homes(t: &Scratch) -> [Home<'_>; 3] {
    let public = Home { t, schema: "public".to_owned(), url: t.url.clone() };
    [public, Home::by_parameter(t, "one"), Home::by_path(t, "two")]
}

#[test]
fn schemas_have_separate_rows_and_migrations() {
    let t = Scratch::postgres();
    let homes = three_homes(&t);
    for home in &homes {
        home.ok(&["init"]);
    }
    homes[1].seed();
    for (home, expected) in homes.iter().zip([0, 1, 0]) {
        assert_eq!(home.count("channels"), expected, "{}", home.schema);
        let status = home.json(&["status"]);
        let rows = status["tables"].as_array().unwrap();
        let channels = rows.iter().find(|row| row["table"] == "channels").unwrap();
        assert_eq!(channels["rows"], expected, "{}", home.schema);
    }
    migrate::revert(&homes[2].url, 99).unwrap();
    assert_eq!(migrate::status(&homes[2].url).unwrap().newest_applied(), None);
    for home in &homes[..2] {
        home.ok(&["migrate", "check"]);
        assert_eq!(viraldb::ops::drift(&home.db()).unwrap(), []);
    }
    assert!(t.schemas().contains(&"viralforge".to_owned()));
    // Tables of a later schema in `search_path` do not count as those of the first schema.
    t.sql("CREATE SCHEMA empty");
    let behind = with(&t.url, "options=-csearch_path%3Dempty,public");
    assert!(matches!(Database::connect(&behind), Err(viraldb::Error::NotInitialised(_))));
    drop(Database::open(&behind).unwrap());
    assert_eq!(t.relations("empty").len(), 31);
}

/// A lock that is held in one schema does not block another schema.
#[test]
fn locks_do_not_block_other_schemas() {
    let t = Scratch::postgres();
    let homes = three_homes(&t);
    for home in &homes {
        home.ok(&["init"]);
    }
    let locks = "SELECT concat_ws(' ', classid, objid) AS v FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()";
    for held in 0..homes.len() {
        let db = homes[held].db();
        db.write(|c| {
            // This takes the lock of ingests and setting changes until the transaction ends.
            let videos = [make::discovered_video()];
            viraldb::compilation::NewDiscoveredVideo::insert_or_update_many(c, &videos)?;
            let mine = query(c, locks);
            assert_eq!(mine.len(), 1, "{mine:?}");
            if held == 0 {
                // Earlier versions use the same lock in `public`.
                assert_eq!(mine, [format!("{} {}", 0x7669_7261_u32, 0x6c69_6e67_u32)]);
            }
            for (other, home) in homes.iter().enumerate().filter(|(other, _)| *other != held) {
                let file = t.file(
                    "rows.jsonl",
                    format!(
                        "{{\"video_id\":\"x{held}{other}\",\"title\":\"t\",\"channel_name\":\"c\",\
                    \"channel_id\":\"c\",\"url\":\"https://youtu.be/x\",\"niche\":\"gaming\"}}\n"
                    ),
                );
                home.ok(&[
                    "ingest",
                    file.to_str().unwrap(),
                    "--as",
                    "jsonl",
                    "--table",
                    "discovered_videos",
                    "--wait",
                    "20s",
                ]);
                home.ok(&["config", "set", "max_clips", "7"]);
                home.ok(&["runs", "start", "gaming"]);
                assert_eq!(migrate::redo(&home.url, 1).unwrap().len(), 1);
            }
            Ok(())
        })
        .unwrap();
    }
    // Another program holds the migration lock of `public`.
    let mut holder = PgConnection::establish(&t.url).unwrap();
    let lock = 0x0076_6972_616c_6462_i64; // The same lock as in earlier versions.
    holder.batch_execute(&format!("BEGIN; SELECT pg_advisory_xact_lock({lock})")).unwrap();
    let begun = Instant::now();
    for home in &homes[1..] {
        assert_eq!(migrate::redo(&home.url, 1).unwrap().len(), 1);
    }
    assert!(begun.elapsed() < Duration::from_secs(60));
    let public = homes[0].url.clone();
    let (sender, redone) = mpsc::channel();
    let waiting =
        std::thread::spawn(move || sender.send(migrate::redo(&public, 1).map(|names| names.len())).unwrap());
    assert!(
        redone.recv_timeout(Duration::from_millis(500)).is_err(),
        "the migration in public must wait for the lock"
    );
    holder.batch_execute("COMMIT").unwrap();
    assert_eq!(redone.recv_timeout(Duration::from_secs(60)).unwrap().unwrap(), 1);
    waiting.join().unwrap();
}

fn enqueue(db: &Database) {
    db.write(|c| {
        let video = make::video(c).insert(c)?;
        let job = NewVideoProcessingJob::new(video.id, video.channel_id, JobType::Download);
        queue::enqueue(c, &job).map(drop)
    })
    .unwrap();
}

/// Returns the channels that sessions listen on.
fn channels(t: &Scratch) -> Vec<String> {
    query(
        &mut t.plain(),
        "SELECT substr(query, 8) AS v FROM pg_stat_activity WHERE datname = current_database() AND query LIKE 'LISTEN %' ORDER BY 1",
    )
}

/// Returns the number of notifications that arrived.
fn notified(conn: &mut PgConnection) -> usize {
    conn.batch_execute("SELECT 1").unwrap();
    conn.notifications_iter().map(Result::unwrap).count()
}

#[test]
fn notifications_wake_only_workers_of_the_same_schema() {
    let t = Scratch::postgres();
    let homes = three_homes(&t);
    let mut seen = Vec::new();
    for home in &homes {
        let db = home.db();
        let (sender, done) = mpsc::channel();
        let worker = Worker::new(&db, Claim::new("w"));
        let stop = worker.stop();
        let running = std::thread::spawn(move || {
            worker.run(move |_| sender.send(Instant::now()).map_err(|error| error.to_string())).unwrap()
        });
        let deadline = Instant::now() + Duration::from_secs(30);
        while channels(&t).is_empty() {
            assert!(Instant::now() < deadline, "the worker did not start to listen");
            std::thread::sleep(Duration::from_millis(5));
        }
        let [channel] = channels(&t).try_into().unwrap();
        // A session that listens on the worker's channel is notified only of jobs in this schema.
        let mut listener = PgConnection::establish(&t.url).unwrap();
        listener.batch_execute(&format!("LISTEN {channel}")).unwrap();
        for other in homes.iter().filter(|other| other.schema != home.schema) {
            enqueue(&other.db());
        }
        assert_eq!(notified(&mut listener), 0, "{channel}");
        enqueue(&db);
        assert_eq!(notified(&mut listener), 1, "{channel}");
        done.recv_timeout(Duration::from_secs(30)).unwrap();
        assert!(done.try_recv().is_err(), "the worker took a job of another schema");
        stop.stop();
        running.join().unwrap();
        while !channels(&t).is_empty() {
            std::thread::sleep(Duration::from_millis(5));
        }
        for home in &homes {
            t.sql(&format!("DELETE FROM {}.video_processing_jobs", quoted(&home.schema)));
        }
        seen.push(channel);
    }
    assert_eq!(seen[0], "viraldb_jobs", "earlier versions listen on this channel");
    assert!(seen[1] != seen[2] && seen[1].starts_with("viraldb_jobs_"), "{seen:?}");
}

#[test]
fn changed_setting_is_seen_only_in_its_schema() {
    let t = Scratch::postgres();
    let [_, one, two] = three_homes(&t);
    let (reader, writer, other) = (one.db(), one.db(), two.db());
    let config = Config::open(&reader).unwrap();
    assert_eq!(config.get::<u32>("max_clips").unwrap(), config.get::<u32>("max_clips").unwrap());
    Config::open(&other).unwrap().set(Scope::Override, "max_clips", &9.into(), "me").unwrap();
    Config::open(&writer).unwrap().set(Scope::Override, "max_clips", &8.into(), "me").unwrap();
    let deadline = Instant::now() + Duration::from_secs(30);
    while config.get::<u32>("max_clips").unwrap() != 8 {
        assert!(Instant::now() < deadline, "the change was not seen");
        std::thread::sleep(Duration::from_millis(20));
    }
}
