//! Tests of configuration changes: they are validated before writing, and recorded with their author.

use viraldb::config::{Change, set_default_configs};
use viraldb::republishing::{Channel, SystemConfiguration};
use viraldb::{Error, Page};

use super::*;
use crate::support::both;

fn history(config: &Config, key: &str) -> Vec<(String, Option<String>, Option<String>)> {
    let changes = config.history(key, &Page::first(100)).unwrap();
    changes
        .into_iter()
        .map(|change: Change| (change.changed_by, change.old_value, change.new_value))
        .collect()
}

both! {
    fn every_change_is_recorded_with_its_author(t) {
        let db = t.db();
        let config = config(t, &db);
        let id = channel(&db, json!({ "other": [1] }));
        config.set(Scope::System, "max_clips", &json!("12"), "alice").unwrap();
        config.set(Scope::System, "max_clips", &json!(12), "bob").unwrap();
        config.set(Scope::Override, "max_clips", &json!(13), "bob").unwrap();
        config.set(Scope::Channel(id), "max_clips", &json!(14), "carol").unwrap();
        config.set(Scope::Override, "max_clips", &json!(15), "dave").unwrap();
        assert!(config.unset(Scope::Override, "max_clips", "erin").unwrap());
        assert!(!config.unset(Scope::Override, "max_clips", "erin").unwrap());
        let text = |n: i32| Some(n.to_string());
        assert_eq!(
            history(&config, "max_clips"),
            [
                ("erin".to_owned(), text(15), None),
                ("dave".to_owned(), text(13), text(15)),
                ("carol".to_owned(), None, text(14)),
                ("bob".to_owned(), None, text(13)),
                ("alice".to_owned(), None, text(12)),
            ]
        );
        let changes = config.history("max_clips", &Page::first(100)).unwrap();
        let of_channel: Vec<_> = changes.iter().filter_map(|change| change.channel_id).collect();
        assert_eq!(of_channel, [id]);
        let page = Page::after(changes[1].id, 2);
        assert_eq!(config.history("max_clips", &page).unwrap(), changes[2..4]);
        let settings = db.read(|c| Channel::find(c, id)).unwrap().settings.0;
        assert_eq!(settings, json!({ "other": [1], "max_clips": 14 }));
        assert_eq!(config.get_for::<i32>(id, "max_clips").unwrap(), 14);
        assert_eq!(config.get::<i32>("max_clips").unwrap(), 12);
    }

    fn invalid_changes_are_rejected_before_anything_is_written(t) {
        let db = t.db();
        let config = config(t, &db);
        let id = channel(&db, json!({}));
        let refused = |scope, key: &str, value: Value, by: &str| match config.set(scope, key, &value, by) {
            Err(Error::Invalid { what, reason }) => format!("{what} {reason}"),
            other => panic!("{other:?}"),
        };
        assert!(refused(Scope::System, "max_clips", json!(0), "a").contains("must be a whole number from 1 to 100, got 0"));
        assert!(refused(Scope::System, "max_clips", json!("x"), "a").contains("got \"x\""));
        assert!(refused(Scope::Override, "default_posting_frequency", json!("never"), "a").contains("must be hourly, "));
        assert!(refused(Scope::System, "max_klips", json!(1), "a").contains("did you mean max_clips"));
        assert!(refused(Scope::Channel(id), "queue_paused", json!(true), "a").contains("applies to all channels"));
        assert!(refused(Scope::System, "max_clips", json!(1), " ").contains("the author of the change is empty"));
        assert!(matches!(config.set(Scope::Channel(ChannelId::default()), "max_clips", &json!(1), "a"), Err(Error::NotFound { .. })));
        let (one, zero) = (json!(1), json!(0));
        assert!(config.set_many(Scope::System, [("min_clips", &one), ("max_clips", &zero)], "a").is_err());
        assert!(history(&config, "max_clips").is_empty() && history(&config, "min_clips").is_empty());
        assert_eq!(config.get::<i32>("min_clips").unwrap(), 8);
    }

    fn changing_a_setting_keeps_other_values_in_channel_settings(t) {
        let db = t.db();
        let registry = viraldb::config::Registry::default();
        let registry = registry.with([viraldb::config::Key::new("up.times", viraldb::config::Kind::Json, 3).per_channel()]).unwrap();
        let config = Config::open_with(&db, Options { registry, file: Some(t.file("test.toml", "")), keyring: None }).unwrap();
        let id = channel(&db, json!({ "up": "another's", "x": null }));
        config.set(Scope::Channel(id), "up.times", &json!(4), "a").unwrap();
        let settings = || db.read(|c| Channel::find(c, id)).unwrap().settings.0;
        assert_eq!(settings(), json!({ "up": "another's", "x": null, "up.times": 4 }));
        assert_eq!(config.get_for::<i32>(id, "up.times").unwrap(), 4);
        assert!(config.unset(Scope::Channel(id), "up.times", "a").unwrap());
        assert_eq!(settings(), json!({ "up": "another's", "x": null }));
        // Unsetting removes both the nested and the dotted form.
        let id = channel(&db, json!({ "up": { "times": 5 }, "up.times": 6 }));
        assert!(config.unset(Scope::Channel(id), "up.times", "a").unwrap());
        assert_eq!(db.read(|c| Channel::find(c, id)).unwrap().settings.0, json!({}));
    }

    fn concurrent_changes_form_a_consistent_history(t) {
        let db = t.db();
        std::thread::scope(|scope| {
            for worker in 0..4 {
                let db = &db;
                scope.spawn(move || {
                    let config = config(t, db);
                    for n in 0..10 {
                        config.set(Scope::System, "max_concurrent_jobs", &(100 * worker + n + 1).into(), "w").unwrap();
                    }
                });
            }
        });
        let config = config(t, &db);
        let mut changes = history(&config, "max_concurrent_jobs");
        assert_eq!(changes.len(), 40);
        changes.reverse();
        assert_eq!(changes[0].1, None);
        assert!(changes.windows(2).all(|two| two[0].2 == two[1].1), "{changes:?}");
        assert_eq!(config.get::<Value>("max_concurrent_jobs").unwrap().to_string(), changes[39].2.clone().unwrap());
    }

    fn set_default_configs_never_overwrites_existing_values(t) {
        let db = t.db();
        let config = config(t, &db);
        config.set(Scope::System, "max_clips", &json!(12), "alice").unwrap();
        let made = db.write(set_default_configs).unwrap();
        assert_eq!(made, config.registry().iter().filter(|key| !key.default.is_null()).count() - 1);
        assert_eq!(db.write(set_default_configs).unwrap(), 0);
        let row = |key: &str| db.read(|c| SystemConfiguration::find(c, key)).unwrap();
        assert_eq!((row("max_clips").value.0, row("min_clips").value.0), (json!(12), json!(8)));
        assert_eq!(row("min_viral_score").value.0, json!(0.6));
        assert!(row("min_clips").description.is_some_and(|text| text.contains("Minimum number of clips")));
    }
}
