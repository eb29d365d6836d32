//! Tests of the configuration cache and of how soon changes become visible.

use std::time::{Duration, Instant};

use viraldb::compilation::{ConfigOverride, NewConfigOverride};
use viraldb::diesel::connection::SimpleConnection;

use super::*;
use crate::support::{both, wait_until};

both! {
    fn cached_lookups_run_no_queries(t) {
        t.db();
        // The only connection is in use, so a query would wait three seconds for it.
        let db = Database::open_with(&t.url, &viraldb::Options { connections: 1, busy_timeout: Duration::from_secs(3), ..Default::default() }).unwrap();
        let config = config(t, &db);
        let id = channel(&db, json!({ "max_clips": 3 }));
        assert_eq!(wait_until("the channel is visible", || config.get_for::<u32>(id, "max_clips").is_ok_and(|clips| clips == 3)).as_secs(), 0);
        // Our own insert counts as a change that the cache may not have seen yet.
        std::thread::sleep(Duration::from_millis(600));
        assert_eq!(config.get_for::<u32>(id, "max_clips").unwrap(), 3);
        db.read(|_| {
            let start = Instant::now();
            while start.elapsed() < Duration::from_millis(1_000) {
                let lookup = Instant::now();
                assert_eq!(config.get::<u32>("max_clips").unwrap(), 10);
                assert_eq!(config.get_for::<u32>(id, "max_clips").unwrap(), 3);
                assert!(lookup.elapsed() < Duration::from_secs(2), "{:?}", lookup.elapsed());
            }
            Ok(())
        })
        .unwrap();
    }

    fn own_changes_are_visible_at_once_and_others_within_a_second(t) {
        let db = t.db();
        let other = Database::connect(&t.url).unwrap();
        let (mine, theirs) = (config(t, &db), config(t, &other));
        let id = channel(&db, json!({}));
        wait_until("the channel is visible", || mine.get_for::<u32>(id, "max_clips").is_ok());
        for round in 1..=5 {
            let clips = 20 + round;
            mine.set(Scope::Override, "max_clips", &clips.into(), "alice").unwrap();
            assert_eq!(mine.get::<i32>("max_clips").unwrap(), clips);
            let took = wait_until("the change is visible", || theirs.get::<i32>("max_clips").unwrap() == clips);
            assert!(took < Duration::from_secs(1), "{took:?}");
            theirs.set(Scope::Channel(id), "max_clips", &round.into(), "bob").unwrap();
            assert_eq!(theirs.clone().get_for::<i32>(id, "max_clips").unwrap(), round);
            let took = wait_until("the change is visible", || mine.get_for::<i32>(id, "max_clips").unwrap() == round);
            assert!(took < Duration::from_secs(1), "{took:?}");
        }
        mine.unset(Scope::Override, "max_clips", "alice").unwrap();
        assert_eq!(mine.get::<i32>("max_clips").unwrap(), 10);
        // Changes by any program are noticed, even those made with plain SQL.
        for (sql, clips) in [
            ("INSERT INTO config_overrides (key, value) VALUES ('max_clips', '31')", 31),
            ("UPDATE config_overrides SET value = '32' WHERE key = 'max_clips'", 32),
            ("DELETE FROM config_overrides", 10),
            ("INSERT INTO system_configuration (key, value) VALUES ('max_clips', '33')", 33),
            ("DELETE FROM system_configuration", 10),
        ] {
            other.write(|c| Ok(c.batch_execute(sql)?)).unwrap();
            let took = wait_until("the change is visible", || mine.get::<i32>("max_clips").unwrap() == clips);
            assert!(took < Duration::from_secs(1), "{took:?} {sql}");
        }
        other.write(|c| Ok(c.batch_execute("UPDATE channels SET settings = '{\"max_clips\": 34}'")?)).unwrap();
        assert!(wait_until("the change is visible", || mine.get_for::<i32>(id, "max_clips").unwrap() == 34) < Duration::from_secs(1));
    }

    fn readers_never_see_a_partial_set_many(t) {
        let db = t.db();
        let config = config(t, &db);
        let set = |n: i32| {
            let (least, most) = (json!(n), json!(n + 1));
            config.set_many(Scope::System, [("min_clips", &least), ("max_clips", &most)], "alice").unwrap();
        };
        #[derive(serde::Deserialize)]
        struct Clips {
            min_clips: i32,
            max_clips: i32,
        }
        set(1);
        let is_over = std::sync::atomic::AtomicBool::new(false);
        std::thread::scope(|scope| {
            for _ in 0..3 {
                scope.spawn(|| {
                    while !is_over.load(std::sync::atomic::Ordering::Relaxed) {
                        let clips: Clips = config.all(None).unwrap();
                        assert_eq!(clips.max_clips, clips.min_clips + 1);
                    }
                });
            }
            (1..60).for_each(set);
            is_over.store(true, std::sync::atomic::Ordering::Relaxed);
        });
        assert_eq!(config.get::<i32>("max_clips").unwrap(), 60);
        let row = NewConfigOverride { key: "max_clips".into(), value: "5".into(), ..Default::default() };
        assert_eq!(db.write(|c| row.insert(c)).unwrap().updated_by, "system");
        assert_eq!(db.write(|c| ConfigOverride::delete(c, "max_clips")).unwrap(), 1);
    }
}
