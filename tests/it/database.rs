//! Tests of opening, reading and writing databases.

use viraldb::compilation::{DiscoveredVideo, NewDiscoveredVideo, Processed};
use viraldb::diesel::prelude::*;
use viraldb::schema::discovered_videos;
use viraldb::{Error, get_pending_videos, get_session, init_db, log_error, mark_video_processed};

use crate::make;
use crate::support::both;

fn video(id: &str, score: Option<f64>) -> NewDiscoveredVideo<'_> {
    NewDiscoveredVideo {
        video_id: id.into(),
        niche: "gaming".into(),
        viral_score: score,
        ..Default::default()
    }
}

both! {
    fn convenience_functions_work_and_reject_invalid_arguments(t) {
        let db = init_db(&t.url).unwrap();
        let mut session = get_session(&db).unwrap();
        db.write(|c| NewDiscoveredVideo::insert_many(c, &[video("a", None), video("b", Some(0.5)), video("c", Some(0.9))])).unwrap();
        let pending = get_pending_videos(&mut session, "gaming").unwrap();
        assert_eq!(pending.iter().map(|v| &*v.video_id).collect::<Vec<_>>(), ["c", "b", "a"]);
        assert_eq!(mark_video_processed(&mut session, "c", 1).unwrap().processed, Processed::Used);
        assert_eq!(get_pending_videos(&mut session, "gaming").unwrap().len(), 2);
        assert!(matches!(mark_video_processed(&mut session, "c", 4), Err(Error::Invalid { .. })));
        assert!(matches!(mark_video_processed(&mut session, "", 1), Err(Error::Invalid { .. })));
        assert!(matches!(mark_video_processed(&mut session, "x", 1), Err(Error::NotFound { table: "discovered_videos", .. })));
        assert!(matches!(get_pending_videos(&mut session, " "), Err(Error::Invalid { .. })));
        let error = log_error(&mut session, "cut", "Timeout", "late", None, Some("at x")).unwrap();
        assert!(!error.resolved);
        assert!(matches!(log_error(&mut session, "", "Timeout", "late", None, None), Err(Error::Invalid { .. })));
        assert!(matches!(log_error(&mut session, "cut", "Timeout", "late", Some(viraldb::compilation::PipelineRunId(9)), None), Err(Error::Invalid { .. })));
    }

    fn rediscovered_videos_update_only_their_counts(t) {
        let db = t.db();
        let first = NewDiscoveredVideo { view_count: Some(10), title: "one".into(), ..video("a", None) };
        let upserted = db.write(|c| NewDiscoveredVideo::insert_or_update_many(c, &[first.clone(), video("b", None)])).unwrap();
        assert_eq!((upserted.new, upserted.updated, upserted.unchanged), (2, 0, 0));
        db.write(|c| DiscoveredVideo::mark(c, "a", Processed::Used)).unwrap();
        let before = db.read(|c| DiscoveredVideo::find_by_video_id(c, "a")).unwrap();
        let again = NewDiscoveredVideo { view_count: Some(20), like_count: Some(1), title: "two".into(), niche: "music".into(), category_id: Some(20), ..video("a", None) };
        let upserted = db.write(|c| NewDiscoveredVideo::insert_or_update_many(c, &[again.clone(), video("b", None), video("c", None), video("c", Some(0.1))])).unwrap();
        assert_eq!((upserted.new, upserted.updated, upserted.unchanged), (1, 1, 1));
        let after = db.read(|c| DiscoveredVideo::find_by_video_id(c, "a")).unwrap();
        assert_eq!(after, make::changed(&before, |row| { row.view_count = Some(20); row.like_count = Some(1); row.category_id = Some(20); }));
        assert_eq!(db.read(|c| DiscoveredVideo::find_by_video_id(c, "c")).unwrap().viral_score, Some(0.1));
        let upserted = db.write(|c| NewDiscoveredVideo::insert_or_update_many(c, &[again, video("b", None)])).unwrap();
        assert_eq!((upserted.new, upserted.updated, upserted.unchanged), (0, 0, 2));
    }

    fn large_batches_count_new_updated_and_unchanged_rows(t) {
        let db = t.db();
        let ids: Vec<String> = (0..2_000).map(|n| format!("v{n:04}")).collect();
        // Already stored: none, one that a sample probably misses, the last one, every third one, all.
        for (round, known) in [vec![], vec![1], vec![1_999], (0..2_000).step_by(3).collect(), (0..2_000).collect()].into_iter().enumerate() {
            db.write(|c| Ok(viraldb::diesel::delete(viraldb::schema::discovered_videos::table).execute(c)?)).unwrap();
            let first: Vec<_> = known.iter().map(|n| NewDiscoveredVideo { view_count: Some(1), ..video(&ids[*n], Some(0.5)) }).collect();
            db.write(|c| NewDiscoveredVideo::insert_many(c, &first)).unwrap();
            let all: Vec<_> = ids.iter().map(|id| NewDiscoveredVideo { view_count: Some(2), ..video(id, None) }).collect();
            let upserted = db.write(|c| NewDiscoveredVideo::insert_or_update_many(c, &all)).unwrap();
            assert_eq!((upserted.new, upserted.updated, upserted.unchanged), (2_000 - known.len(), known.len(), 0), "round {round}");
            let upserted = db.write(|c| NewDiscoveredVideo::insert_or_update_many(c, &all)).unwrap();
            assert_eq!((upserted.new, upserted.updated, upserted.unchanged), (0, 0, 2_000), "round {round}");
            let stored = db.read(|c| DiscoveredVideo::pending(c, "gaming", 9_999)).unwrap();
            assert_eq!(stored.len(), 2_000);
            assert!(stored.iter().all(|v| v.view_count == Some(2)));
            assert_eq!(stored.iter().filter(|v| v.viral_score == Some(0.5)).count(), known.len(), "existing scores are kept");
        }
    }

    fn custom_queries_run_on_both_engines(t) {
        use viraldb::schema::discovered_videos::dsl::*;
        let db = t.db();
        db.write(|c| NewDiscoveredVideo { view_count: Some(2_000_000), title: "big".into(), ..video("a", None) }.insert(c)).unwrap();
        let titles: Vec<String> = db
            .read(|c| Ok(discovered_videos.filter(view_count.gt(1_000_000_i64)).select(title).load(c)?))
            .unwrap();
        assert_eq!(titles, ["big"]);
        let now = viraldb::Timestamp::now();
        let rows: Vec<DiscoveredVideo> = db.read(|c| Ok(DiscoveredVideo::query().filter(discovered_at.le(now)).load(c)?)).unwrap();
        assert_eq!(rows.len(), 1);
    }

    fn a_failed_write_changes_nothing(t) {
        let db = t.db();
        let result = db.write(|c| {
            video("a", None).insert(c)?;
            video("a", None).insert(c)
        });
        match result {
            Err(Error::Conflict { table, constraint, .. }) => {
                assert_eq!((table, &*constraint), ("discovered_videos", "discovered_videos_video_id_key"));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(db.read(|c| DiscoveredVideo::find_by_video_id(c, "a")), Err(Error::NotFound { .. })));
    }

    fn writes_in_a_read_are_rejected(t) {
        let db = t.db();
        assert!(matches!(db.read(|c| video("a", None).insert(c)), Err(Error::Unusable { .. })));
    }

    fn a_panic_in_a_write_rolls_back_and_the_next_write_works(t) {
        let db = t.db();
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            db.write(|c| -> viraldb::Result<()> {
                video("a", None).insert(c)?;
                panic!("in the middle");
            })
        }));
        assert!(panicked.is_err());
        db.write(|c| video("b", None).insert(c)).unwrap();
        assert!(matches!(db.read(|c| DiscoveredVideo::find_by_video_id(c, "a")), Err(Error::NotFound { .. })));
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn in_memory_database_is_shared_by_all_connections() {
    let db = viraldb::Database::open("sqlite::memory:").unwrap();
    db.write(|c| video("a", None).insert(c)).unwrap();
    let mut session = get_session(&db).unwrap();
    mark_video_processed(&mut session, "a", 2).unwrap();
    let found = db.read(|c| DiscoveredVideo::find_by_video_id(c, "a")).unwrap();
    assert_eq!(found.processed, Processed::Skipped);
    let other = viraldb::Database::open("sqlite::memory:").unwrap();
    assert!(other.read(|c| DiscoveredVideo::find_by_video_id(c, "a")).is_err());
}

#[cfg(feature = "sqlite")]
#[test]
fn locked_in_memory_database_says_who_holds_the_lock() {
    use viraldb::diesel::connection::SimpleConnection;
    let busy_timeout = std::time::Duration::from_millis(50);
    let options = viraldb::Options { busy_timeout, ..Default::default() };
    let db = viraldb::Database::open_with("sqlite::memory:", &options).unwrap();
    let mut session = get_session(&db).unwrap();
    session.batch_execute("BEGIN IMMEDIATE").unwrap();
    let said = db.write(|c| video("a", None).insert(c)).unwrap_err().to_string();
    let expected =
        "SQLite in memory is locked: another thread of this program held the write lock for 50ms; ";
    assert!(said.starts_with(expected) && said.ends_with("Options::busy_timeout"), "{said}");
    session.batch_execute("ROLLBACK").unwrap();
    db.write(|c| video("a", None).insert(c)).unwrap();
}

/// A process that opens and closes the database file itself loses all locks that SQLite holds on it for the
/// process. If another program with an SQLite before 3.51 then closes the database, it removes the
/// write-ahead log while the first process still uses it.
#[cfg(feature = "sqlite")]
#[test]
fn opening_more_connections_keeps_the_file_locks() {
    let t = crate::support::Scratch::sqlite();
    let db = t.db();
    let inode = std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(t.path("viral.db")).unwrap());
    // /proc/locks may omit a line while other processes lock and unlock.
    let is_locked = || {
        (0..50).any(|_| {
            let locks = std::fs::read_to_string("/proc/locks").unwrap();
            let found = locks.lines().any(|line| {
                line.contains(&format!(" {} ", std::process::id())) && line.contains(&format!(":{inode} "))
            });
            if !found {
                std::thread::sleep(std::time::Duration::from_millis(2));
            }
            found
        })
    };
    assert!(is_locked(), "the writer holds a lock");
    drop(get_session(&db).unwrap());
    db.read(DiscoveredVideo::count_pending).unwrap();
    drop(viraldb::Database::connect(&t.url).unwrap());
    assert!(is_locked(), "the lock is still held");
}

#[cfg(feature = "sqlite")]
#[test]
fn write_waits_for_the_lock_until_the_busy_timeout() {
    use viraldb::diesel::connection::SimpleConnection;

    let t = crate::support::Scratch::sqlite();
    let wait = std::time::Duration::from_millis(300);
    let options = viraldb::Options { busy_timeout: wait, ..Default::default() };
    let db = viraldb::Database::open_with(&t.url, &options).unwrap();
    let mut other = t.db().session().unwrap();
    other.batch_execute("BEGIN IMMEDIATE").unwrap();
    let start = std::time::Instant::now();
    assert!(matches!(db.write(|c| make::error().insert(c)), Err(Error::Busy { .. })));
    assert!((wait..wait * 5).contains(&start.elapsed()), "{:?}", start.elapsed());
    // The threads wait concurrently, not one after another.
    let start = std::time::Instant::now();
    std::thread::scope(|scope| {
        let threads: Vec<_> =
            (0..12).map(|_| scope.spawn(|| db.write(|c| make::error().insert(c)))).collect();
        for thread in threads {
            match thread.join().unwrap() {
                Err(Error::Busy { database, reason }) => {
                    assert!(database.ends_with("viral.db") && reason.contains("300ms"), "{database} {reason}")
                }
                other => panic!("{other:?}"),
            }
        }
    });
    assert!((wait..wait * 6).contains(&start.elapsed()), "{:?}", start.elapsed());
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| db.write(|c| make::error().insert(c)));
        std::thread::sleep(wait / 3);
        other.batch_execute("COMMIT").unwrap();
        waiting.join().unwrap().unwrap();
    });
}

both! {
    fn extreme_options_are_rejected_or_work(t) {
        t.db();
        let open = |connections, busy_timeout| viraldb::Database::open_with(&t.url, &viraldb::Options { connections, busy_timeout, ..Default::default() });
        assert!(matches!(open(0, std::time::Duration::from_secs(1)), Err(Error::Invalid { .. })));
        let patient = open(1, std::time::Duration::MAX).unwrap();
        patient.write(|c| make::error().insert(c)).unwrap();
        assert_eq!(patient.read(viraldb::compilation::ErrorLog::count_unresolved).unwrap(), 1);
        // Without a busy timeout, the write may fail because no connection is open yet.
        let result = open(1, std::time::Duration::ZERO).unwrap().write(|c| make::error().insert(c));
        assert!(matches!(result, Ok(_) | Err(Error::Busy { .. })), "{result:?}");
    }

    fn nested_write_does_not_deadlock(t) {
        let db = t.db();
        let inner = db.write(|_| Ok(db.write(|c| make::error().insert(c)))).unwrap();
        match inner {
            Err(Error::Invalid { what, .. }) if !t.is_postgres => assert_eq!(what, "a write within a write"),
            Ok(_) if t.is_postgres => {} // PostgreSQL uses another connection
            other => panic!("{other:?}"),
        }
        db.write(|c| make::error().insert(c)).unwrap();
    }

    fn concurrent_writers_all_succeed(t) {
        let databases = [t.db(), t.db(), t.db()];
        std::thread::scope(|scope| {
            for thread in 0..9 {
                let db = &databases[thread % 3];
                scope.spawn(move || {
                    for _ in 0..50 {
                        let error = db.write(|c| make::error().insert(c)).unwrap();
                        db.read(|c| viraldb::compilation::ErrorLog::find(c, error.id)).unwrap();
                    }
                });
            }
        });
        assert_eq!(databases[0].read(viraldb::compilation::ErrorLog::count_unresolved).unwrap(), 450);
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn deleted_file_is_named_in_the_error() {
    let t = crate::support::Scratch::sqlite();
    let options =
        viraldb::Options { busy_timeout: std::time::Duration::from_millis(200), ..Default::default() };
    let db = viraldb::Database::open_with(&t.url, &options).unwrap();
    std::fs::remove_file(t.path("viral.db")).unwrap();
    match db.read(|c| DiscoveredVideo::pending(c, "gaming", 1)) {
        Err(Error::NotInitialised(place)) => assert!(place.contains("viral.db")),
        other => panic!("{other:?}"),
    }
}

both! {
    fn busy_error_explains_why_the_reader_waited(t) {
        t.db();
        let options = viraldb::Options { connections: 1, busy_timeout: std::time::Duration::from_millis(200), ..Default::default() };
        let db = viraldb::Database::open_with(&t.url, &options).unwrap();
        db.read(|_| {
            match db.read(|c| DiscoveredVideo::pending(c, "gaming", 1)) {
                Err(Error::Busy { reason, .. }) => assert!(reason.contains("its only connection was in use for too long"), "{reason}"),
                other => panic!("{other:?}"),
            }
            Ok(())
        }).unwrap();
    }
}

both! {
    fn closing_a_database_closes_all_its_clones(t) {
        let db = t.db();
        let clone = db.clone();
        db.write(|c| make::discovered_video().insert(c)).unwrap();
        clone.ping().unwrap();
        assert!(clone.connections().open >= 1, "{:?}", clone.connections());
        assert_eq!(clone.connections().idle, clone.connections().open);
        // A running write finishes first.
        let (written, closed) = std::thread::scope(|scope| {
            let (begun, waits) = std::sync::mpsc::channel();
            let writes = scope.spawn(move || {
                clone.write(|c| {
                    begun.send(()).unwrap();
                    std::thread::sleep(std::time::Duration::from_millis(200));
                    make::pipeline_run().insert(c)
                })
            });
            waits.recv().unwrap();
            let closed = db.close();
            (writes.join().unwrap(), closed)
        });
        written.unwrap();
        closed.unwrap();
        assert_eq!((db.connections().open, db.connections().idle), (0, 0));
        if let Some(file) = t.url.strip_prefix("sqlite://") {
            assert!(!std::path::Path::new(&format!("{file}-wal")).exists(), "closing the last connection removes the log");
        }
        let told = |error: Error| assert!(error.to_string().contains("was closed by this program"), "{error}");
        told(db.ping().unwrap_err());
        told(db.write(|c| make::discovered_video().insert(c)).map(drop).unwrap_err());
        told(db.session().map(drop).unwrap_err());
        told(db.read(|c| DiscoveredVideo::pending(c, "gaming", 1)).map(drop).unwrap_err());
        db.close().unwrap();
        assert_eq!(t.db().read(|c| Ok(discovered_videos::table.count().get_result::<i64>(c)?)).unwrap(), 1);
    }

    fn closing_does_not_wait_forever_for_a_reader(t) {
        let options = viraldb::Options { busy_timeout: std::time::Duration::from_millis(100), ..Default::default() };
        drop(t.db());
        let db = viraldb::Database::connect_with(&t.url, &options).unwrap();
        let clone = db.clone();
        let refused = db.read(|_| clone.close()).unwrap_err();
        assert!(refused.is_retryable() && refused.to_string().contains("1 of its connections"), "{refused}");
        assert_eq!(db.connections().open, 0, "the connection was closed when it was returned");
        db.close().unwrap();
    }
}

#[cfg(feature = "sqlite")]
#[test]
fn connections_are_closed_when_the_last_handle_is_dropped() {
    let t = crate::support::Scratch::sqlite();
    drop(t.db());
    let names = || {
        let mut names: Vec<_> =
            t.dir.path().read_dir().unwrap().map(|file| file.unwrap().file_name()).collect();
        names.sort();
        names
    };
    for _ in 0..200 {
        let db = t.db();
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    db.read(|c| viraldb::compilation::DiscoveredVideo::pending(c, "gaming", 1)).unwrap()
                });
            }
        });
        drop(db);
        assert_eq!(names(), ["viral.db"]); // SQLite removes its log with the last connection
    }
}
