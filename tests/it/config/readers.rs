//! `config list`, `config explain` and the help texts all say who reads a setting. tests/it/reference.rs generates the table of
//! the book.

use viraldb::config::Registry;

use super::*;
use crate::support::both;

both! {
    fn application_settings_are_marked_in_list_and_explain(t) {
        t.ok(&["init", "-q"]);
        let listed = serde_json::from_str::<Value>(&t.ok(&["config", "list", "--format", "json"])).unwrap();
        let registry = Registry::default();
        assert!(registry.iter().any(|key| key.is_for_applications()));
        for setting in listed.as_array().unwrap() {
            let key = registry.get(setting["key"].as_str().unwrap()).unwrap();
            assert_eq!(setting["read_by"], key.readers());
            let help = setting["help"].as_str().unwrap();
            assert_eq!(help.ends_with("read by applications only"), key.is_for_applications(), "{help}");
            let explained = t.ok(&["config", "explain", &key.name]);
            assert!(explained.contains(key.readers()), "{explained}");
            assert_eq!(explained.matches("read by").count(), 1, "{explained}");
        }
    }

    fn help_names_the_setting_and_its_default(t) {
        for (command, key, default) in [
            (&["runs", "start"], "cycle_hours", "6"),
            (&["runs", "choose"], "max_clips", "10"),
            (&["runs", "choose"], "min_clips", "8"),
            (&["runs", "choose"], "min_viral_score", "0.6"),
            (&["reviews", "hold"], "review_timeout_hours", "4"),
            (&["jobs", "enqueue"], "default_retry_attempts", "3"),
            (&["backup", "prune"], "backup_keep", "7"),
        ] {
            for help in ["--help", "-h"] {
                let text = t.ok(&[&command[..], &[help]].concat());
                assert!(text.contains(&format!("[default: setting {key}, {default}]")), "{text}");
            }
        }
    }
}
