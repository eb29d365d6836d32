//! Who reads a setting: `config list`, `config explain`, the help of commands and the guide all say so.

use viraldb::config::Registry;

use super::*;
use crate::support::both;

both! {
    fn settings_for_applications_say_so(t) {
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

#[test]
fn the_guide_lists_every_setting_and_who_reads_it() {
    let guide = include_str!("../../../docs/DATABASE.md");
    let table = guide.split("| setting | default | per channel | read by |").nth(1).unwrap();
    let rows: Vec<&str> = table.lines().skip(2).take_while(|line| line.starts_with('|')).collect();
    let registry = Registry::default();
    let expected: Vec<String> = registry
        .iter()
        .map(|key| {
            let readers = match key.is_for_applications() || key.name == "kind" {
                true => key.readers().to_owned(),
                false => format!("`{}`", key.readers().replace(", ", "`, `")),
            };
            let default = match &key.default {
                Value::Null => String::new(),
                Value::String(word) => format!("`{word}` "),
                other => format!("`{other}` "),
            };
            let per_channel = if key.per_channel { "yes " } else { "" };
            format!("| `{}` | {default}| {per_channel}| {readers} |", key.name)
        })
        .collect();
    assert_eq!(rows, expected);
}
