//! Tests of `viraldb config` on the command line.

use super::*;
use crate::support::both;

both! {
    fn config_explain_shows_every_layer_and_the_winner(t) {
        t.ok(&["init", "-q"]);
        let said = t.ok(&["config", "set", "max_concurrent_jobs", "8", "--override", "--by", "alice"]);
        assert_eq!(said, "max_concurrent_jobs is 8 by config_overrides max_concurrent_jobs\n");
        assert_eq!(t.ok(&["config", "get", "max_concurrent_jobs"]), "8\n");
        assert_eq!(t.ok(&["config", "get", "default_min_resolution"]), "720p\n");
        assert_eq!(t.ok(&["config", "get", "default_min_resolution", "--format", "json"]), "\"720p\"\n");
        t.file("viraldb.toml", "max_concurrent_jobs = 3\n");
        let explained = t.command(&["config", "explain", "max_concurrent_jobs"]).env("VIRALDB_MAX_CONCURRENT_JOBS", "9").output().unwrap();
        let explained = String::from_utf8(explained.stdout).unwrap();
        let rows: Vec<Vec<&str>> = explained.lines().skip(4).map(|line| line.split_whitespace().take(3).collect()).collect();
        assert_eq!(rows[0], [">", "environment", "\"9\""], "{explained}");
        assert_eq!(rows[1][..2], ["dotenv", "-"]);
        assert_eq!(rows[3][..2], ["override", "\"8\""]);
        assert_eq!(rows[4][..2], ["system", "5"]);
        assert_eq!(rows[5], ["file", "3", "viraldb.toml:1"]);
        assert_eq!(rows[7][..2], ["default", "5"]);
        assert!(explained.contains("alice"), "{explained}");
        assert_eq!(t.ok(&["config", "unset", "max_concurrent_jobs", "--override"]), "max_concurrent_jobs is 5 by system_configuration max_concurrent_jobs\n");
        t.ok(&["config", "unset", "max_concurrent_jobs"]);
        assert_eq!(t.ok(&["config", "get", "max_concurrent_jobs"]), "3\n");
        let again = t.run(&["config", "unset", "max_concurrent_jobs"]);
        assert_eq!(again.code, 1);
        assert!(again.err.contains("max_concurrent_jobs is not set in this layer"), "{}", again.err);
        let history: Value = serde_json::from_str(&t.ok(&["config", "history", "max_concurrent_jobs", "--format", "json"])).unwrap();
        assert_eq!(history.as_array().unwrap().len(), 3);
        assert_eq!((&history[2]["changed_by"], &history[2]["new_value"]), (&json!("alice"), &json!("8")));
    }

    fn named_config_file_wins_and_must_exist(t) {
        t.ok(&["init", "-q"]);
        t.file("a.toml", "backup_keep = 21\n");
        t.file("b.toml", "backup_keep = 22\n");
        t.file("viraldb.toml", "backup_keep = 23\n");
        std::fs::create_dir_all(t.path(".config/viraldb")).unwrap();
        t.file(".config/viraldb/viraldb.toml", "backup_keep = 24\n");
        t.ok(&["config", "unset", "backup_keep"]);
        let get = |args: &[&str], variable: &str| {
            let all = [&["config", "get", "backup_keep"], args].concat();
            let ran: crate::support::Ran = t.command(&all).env("VIRALDB_CONFIG", variable).output().unwrap().into();
            if ran.code == 0 { ran.out } else { ran.err }
        };
        assert_eq!(get(&["--config", "a.toml"], "b.toml"), "21\n");
        assert_eq!(get(&[], "b.toml"), "22\n");
        assert_eq!(get(&[], ""), "23\n");
        std::fs::remove_file(t.path("viraldb.toml")).unwrap();
        assert_eq!(get(&[], ""), "24\n");
        assert!(get(&["--config", "none.toml"], "").starts_with("error: none.toml: no such file"));
        assert!(get(&[], "none.toml").starts_with("error: none.toml: no such file"));
        t.file("a.toml", "\n\nbackup_keep = = 1\n");
        let said = get(&["--config", "a.toml"], "");
        assert!(said.starts_with("error: a.toml:3 is not valid TOML: "), "{said}");
    }

    fn settings_export_and_import_round_trip(t) {
        let db = t.db();
        let id = channel(&db, json!({ "kind": "compilation", "max_clips": 7, "mine": true })).to_string();
        t.file("in.toml", "max_concurrent_jobs = 8\ndefault_posting_frequency = \"weekly\"\nmin_viral_score = 0.25\n");
        assert_eq!(t.ok(&["config", "import", "in.toml", "--by", "alice"]), "imported 3 settings\n");
        let exported = t.ok(&["config", "export"]);
        assert_eq!(exported, "default_posting_frequency = \"weekly\"\nmax_concurrent_jobs = 8\nmin_viral_score = 0.25\n");
        t.file("out.toml", &exported);
        t.ok(&["config", "import", "out.toml", "--override"]);
        assert_eq!(t.ok(&["config", "export", "--override"]), exported);
        assert_eq!(t.ok(&["config", "export", "--channel", &id]), "kind = \"compilation\"\nmax_clips = 7\n");
        for (text, expected) in [
            ("max_concurrent_jobs = 9\n\nmax_klips = 1\n", "bad.toml:3"),
            ("max_concurrent_jobs = 9\nmax_clips = 0\n", "bad.toml:2"),
            ("max_concurrent_jobs = 9\nmax_clips\n", "bad.toml:2"),
            ("\"a.b\" = 1\n[a]\nb = 2\n", "a.b is set twice, in quotes and nested"),
        ] {
            t.file("bad.toml", text);
            let ran = t.run(&["config", "import", "bad.toml"]);
            assert_eq!(ran.code, 1);
            assert!(ran.err.contains(expected), "{}", ran.err);
        }
        assert_eq!(t.ok(&["config", "get", "max_concurrent_jobs"]), "8\n");
    }

    fn config_validate_reports_problems(t) {
        t.ok(&["init", "-q"]);
        assert_eq!(t.ok(&["config", "validate"]), "no problems found\n");
        let db = Database::connect(&t.url).unwrap();
        channel(&db, json!({ "min_clips": 40, "queue_paused": true, "mine": { "a": 1 } }));
        t.file("viraldb.toml", "max_clips = 9\nmax_klips = 1\n");
        t.file(".env", "VIRALDB_MAX_KLIPS=1\nVIRALDB_KEY=x\n");
        let ran = t.command(&["config", "validate", "--format", "jsonl"]).env("VIRALDB_CYCLE_HOURS", "1").output().unwrap();
        assert_eq!(ran.status.code(), Some(3));
        let text = String::from_utf8(ran.stdout).unwrap();
        for expected in [
            "\"VIRALDB_MAX_KLIPS in .env\"",
            "\"viraldb.toml:2\"",
            "max_clips has no effect: system_configuration max_clips overrides it",
            "min_clips is 40, which is greater than max_clips (10)",
            "setting \\\"queue_paused\\\" applies to all channels",
            "unknown setting \\\"mine.a\\\"; ",
        ] {
            assert!(text.contains(expected), "{expected} in {text}");
        }
        assert_eq!(text.lines().count(), 6, "{text}");
        t.file(".env", "VIRALDB_KEY=x\nVIRALDB_MAX_CLIPS=1 0\n");
        let id = channel(&db, json!([1]));
        let ran = t.run(&["config", "validate"]);
        assert_eq!(ran.code, 4);
        assert!(ran.out.contains("warning: .env: has a line that cannot be parsed; put values with spaces in quotes\n"), "{}", ran.out);
        assert!(ran.out.contains(&format!("error: channels.settings of {id}: is not a JSON object\n")), "{}", ran.out);
        let ran = t.run(&["config", "set", "max_clips", "9", "--channel", &id.to_string()]);
        assert!(ran.err.contains("is not a JSON object"), "{}", ran.err);
        t.file(".env", "");
        let ran = t.command(&["config", "validate"]).env("VIRALDB_CYCLE_HOURS", "often").output().unwrap();
        assert_eq!(ran.status.code(), Some(4));
        let text = String::from_utf8(ran.stdout).unwrap();
        assert!(text.contains("environment variable VIRALDB_CYCLE_HOURS") && text.contains("error"), "{text}");
    }

    fn new_channel_gets_the_defaults_of_its_kind(t) {
        t.ok(&["init", "-q"]);
        let add = |id: &str, kind: &str| -> Value {
            t.ok(&["channels", "add", "Clips", id, "--kind", kind]);
            serde_json::from_str(&t.ok(&["channels", "show", id, "--format", "json"])).unwrap()
        };
        let channel = add("UC1", "compilation");
        assert_eq!(channel["settings"], json!({ "kind": "compilation" }));
        assert_eq!((&channel["content_filters"]["min_resolution"], &channel["posting_schedule"]["frequency"]), (&json!("1080p"), &json!("daily")));
        // The kind's default is weaker than the value that `init` wrote for all channels, so it applies only
        // after `unset`.
        assert_eq!(t.ok(&["config", "get", "default_min_resolution", "--channel", "UC1"]), "720p\n");
        t.ok(&["config", "unset", "default_min_resolution"]);
        assert_eq!(t.ok(&["config", "get", "default_min_resolution", "--channel", "UC1"]), "1080p\n");
        assert_eq!(add("UC2", "generation")["posting_schedule"]["frequency"], "twice_daily");
        assert_eq!(t.run(&["channels", "add", "Clips", "UC3", "--kind", "other"]).code, 2);
    }

    fn channel_settings_are_validated_and_their_changes_recorded(t) {
        t.ok(&["init", "-q"]);
        let history = |key: &str| -> Vec<(Value, Value)> {
            let changes: Vec<Value> = serde_json::from_str(&t.ok(&["config", "history", key, "--format", "json"])).unwrap();
            changes.iter().map(|change| (change["old_value"].clone(), change["new_value"].clone())).collect()
        };
        t.ok(&["channels", "add", "Clips", "UC1", "--settings", r#"{"max_clips": 9, "mine": {"a": 1}}"#]);
        t.ok(&["channels", "edit", "UC1", "--settings", r#"{"max_clips": 11, "min_clips": null, "cycle_hours": "7"}"#]);
        assert_eq!(history("max_clips"), [(json!("9"), json!("11")), (Value::Null, json!("9"))]);
        assert_eq!(history("cycle_hours").len(), 1);
        assert_eq!(t.ok(&["config", "get", "cycle_hours", "--channel", "UC1"]), "7\n");
        assert_eq!(t.ok(&["config", "get", "min_clips", "--channel", "UC1"]), "8\n", "null means unset");
        for (settings, expected) in [
            (r#"{"max_clips": 0}"#, "max_clips in channels.settings must be a whole number from 1 to 100, got 0"),
            (r#"{"queue_paused": true}"#, "applies to all channels"),
            ("[1]", "channels.settings is not a JSON object"),
        ] {
            for command in [&["channels", "edit", "UC1"][..], &["channels", "add", "Clips", "UC2"]] {
                let ran = t.run(&[command, &["--settings", settings]].concat());
                assert_eq!(ran.code, 1);
                assert!(ran.err.contains(expected), "{}", ran.err);
            }
        }
        assert_eq!(history("max_clips").len(), 2);
    }

    fn applications_can_declare_settings_in_the_config_file(t) {
        t.ok(&["init", "-q"]);
        t.file("viraldb.toml", "[registry.\"uploader.timeout\"]\ntype = \"integer\"\nmin = 1\nmax = 600\ndefault = 30\nper_channel = true\nhelp = \"Seconds\"\n\n[registry.mode]\ntype = \"word\"\nwords = [\"fast\", \"slow\"]\n");
        assert_eq!(t.ok(&["config", "get", "uploader.timeout"]), "30\n");
        let ran = t.run(&["config", "set", "mode", "medium"]);
        assert!(ran.err.contains("mode must be fast or slow, got \"medium\""), "{}", ran.err);
        t.ok(&["config", "set", "uploader.timeout", "60"]);
        let output = t.command(&["config", "get", "uploader.timeout"]).env("VIRALDB_UPLOADER__TIMEOUT", "61").output().unwrap();
        assert_eq!(output.stdout, b"61\n");
        assert_eq!(t.ok(&["config", "validate"]), "no problems found\n");
        t.file("viraldb.toml", "[registry.mode]\ntype = \"number\"\nmin = \"x\"\n");
        let ran = t.run(&["config", "list"]);
        assert!(ran.err.contains("[registry] of viraldb.toml mode: "), "{}", ran.err);
        for (text, expected) in [
            ("[registry.up.timeout]\ntype = \"integer\"\n", "quote a name that has dots: [registry.\"up.timeout\"]"),
            ("[registry.mode]\ntype = \"text\"\nunit = 1\n", "mode: unknown field unit; expected type, min"),
            ("[registry.mode]\ntype = \"text\"\nsecret = \"hunter2\"\n", "mode: secret must be true or false"),
            ("[registry.max_clips]\ntype = \"integer\"\n", "setting \"max_clips\" already exists"),
            ("[registry.key]\ntype = \"text\"\n", "viraldb uses VIRALDB_KEY for another purpose"),
        ] {
            t.file("viraldb.toml", text);
            let ran = t.run(&["config", "list"]);
            assert!(ran.err.contains(expected) && !ran.err.contains("hunter2"), "{}", ran.err);
        }
    }

    fn settings_without_effect_are_reported(t) {
        t.ok(&["init", "-q"]);
        t.ok(&["config", "set", "max_clips", "12", "--override"]);
        let said = t.ok(&["config", "set", "max_clips", "13"]);
        assert_eq!(said, "changed, but a higher layer takes precedence: max_clips is 12 by config_overrides max_clips\n");
        assert_eq!(t.run(&["config", "set", "max_clips", "--overide"]).code, 2, "a misspelled option is not taken as a value");
        let list = t.command(&["config", "list"]).env("VIRALDB_MAX_CLIPS", "x").output().unwrap();
        let list = String::from_utf8(list.stdout).unwrap();
        assert!(list.contains("cannot be read: must be a whole number from 1 to 100, got \"x\""), "{list}");
        assert!(list.contains("0.6 "), "{list}");
        // Claims read this setting only from the database, so other layers do not count.
        t.file("viraldb.toml", "queue_paused = true\n");
        let run = |args: &[&str]| -> crate::support::Ran {
            t.command(args).env("VIRALDB_QUEUE_PAUSED", "true").env("VIRALDB_KIND", "generation").output().unwrap().into()
        };
        assert_eq!(run(&["config", "get", "queue_paused"]).out, "false\n");
        let problems = run(&["config", "validate"]).out;
        for expected in ["VIRALDB_QUEUE_PAUSED in the environment: queue_paused has no effect there", "VIRALDB_KIND in the environment: kind has no effect there", "viraldb.toml:1: queue_paused has no effect there"] {
            assert!(problems.contains(expected), "{problems}");
        }
        assert!(t.run(&["config", "set", "kind", "generation"]).err.contains("use --channel"));
    }

    fn documents_with_null_are_left_out_of_the_toml_export(t) {
        t.ok(&["init", "-q"]);
        t.file("viraldb.toml", "[registry.hooks]\ntype = \"json\"\n[registry.limits]\ntype = \"json\"\n");
        t.ok(&["config", "set", "hooks", r#"{"a": [1, null]}"#]);
        t.ok(&["config", "set", "limits", r#"{"a": 1}"#]);
        let exported = t.ok(&["config", "export"]);
        assert!(exported.starts_with("# not exported (contains null, which TOML does not support): hooks\n"), "{exported}");
        assert!(exported.ends_with("[limits]\na = 1\n"), "{exported}");
    }
}
