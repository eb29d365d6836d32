//! Tests of encrypted settings.

use std::sync::Arc;

use viraldb::config::{Key, Kind, Registry};
use viraldb::republishing::SystemConfiguration;
use viraldb::secrets::{Key as SealingKey, Keyring, Secret};
use viraldb::{Error, Page};

use super::*;
use crate::support::{Ran, both};

const PLANTED: &str = "AIzaSy-planted-secret";

fn with_keys<'a>(t: &Scratch, db: &Database, keys: impl IntoIterator<Item = &'a str>) -> Config {
    let registry = Registry::default().with([
        Key::secret("youtube_api_key").help("For the YouTube Data API"),
        Key::new("uploader.note", Kind::Text, "none").per_channel(),
        Key::new("uploader.times", Kind::Integer { min: 1, max: 9 }, 3),
    ]);
    let keyring = Keyring::new(keys.into_iter().map(|key| key.parse().unwrap()));
    let file = Some(t.file("test.toml", ""));
    Config::open_with(db, Options { registry: registry.unwrap(), file, keyring: Some(Arc::new(keyring)) })
        .unwrap()
}

fn key() -> String {
    SealingKey::generate().unwrap().to_text().reveal().to_owned()
}

fn secret(text: &str) -> Secret {
    text.to_owned().into()
}

both! {
    fn secret_settings_are_stored_encrypted_and_decrypted_on_request(t) {
        let db = t.db();
        let (first, second) = (key(), key());
        let config = with_keys(t, &db, [&*first]);
        assert!(matches!(config.secret("youtube_api_key"), Err(Error::SecretNotSet { .. })));
        config.set_secret("youtube_api_key", &secret(PLANTED), "alice").unwrap();
        assert_eq!(config.secret("youtube_api_key").unwrap().reveal(), PLANTED);
        let row = db.read(|c| SystemConfiguration::find(c, "youtube_api_key")).unwrap();
        assert!(row.encrypted && !row.value.0.to_string().contains(PLANTED));
        assert!(matches!(config.get::<String>("youtube_api_key"), Err(Error::Invalid { reason, .. }) if reason.contains("read it with `Config::secret`")));

        // Any text setting can be encrypted; plain reads of it then fail.
        config.set_secret("uploader.note", &secret("quiet"), "alice").unwrap();
        assert_eq!(config.secret("uploader.note").unwrap().reveal(), "quiet");
        assert!(matches!(config.get::<String>("uploader.note"), Err(Error::Invalid { reason, .. }) if reason.contains("is encrypted")));
        // An encrypted setting cannot be overwritten with plaintext.
        assert!(matches!(config.set(Scope::System, "uploader.note", &json!("loud"), "alice"), Err(Error::Invalid { reason, .. }) if reason.contains("is encrypted")));
        assert!(config.import(Scope::System, "in.toml", "[uploader]\nnote = \"loud\"\n", "alice").is_err());
        assert_eq!(config.secret("uploader.note").unwrap().reveal(), "quiet");
        // Other layers cannot override it with plaintext either. Encrypting a setting also removes earlier
        // plaintext values from its history.
        let id = channel(&db, json!({}));
        let changes = viraldb::republishing::ChannelChanges { settings: Some(viraldb::Json(json!({ "uploader": { "note": "loud" } }))), ..Default::default() };
        assert!(matches!(config.edit_channel(id, &changes, "alice"), Err(Error::Invalid { reason, .. }) if reason.contains("is encrypted")));
        for scope in [Scope::Override, Scope::Channel(id)] {
            assert!(config.set(scope, "uploader.note", &json!("loud"), "alice").is_err());
        }
        config.unset(Scope::System, "uploader.note", "alice").unwrap();
        config.set(Scope::System, "uploader.note", &json!("hunter2"), "alice").unwrap();
        config.set(Scope::Override, "uploader.note", &json!("hunter3"), "alice").unwrap();
        assert!(matches!(config.set_secret("uploader.note", &secret("quiet"), "alice"), Err(Error::Invalid { reason, .. }) if reason.contains("config_overrides")));
        config.unset(Scope::Override, "uploader.note", "alice").unwrap();
        config.set_secret("uploader.note", &secret("quiet"), "alice").unwrap();
        assert!(!db.read(|c| Ok(make::query(c, "SELECT coalesce(old_value, '') || coalesce(new_value, '') AS v FROM viraldb_config_changes"))).unwrap().concat().contains("hunter"));
        config.unset(Scope::System, "uploader.note", "alice").unwrap();
        config.set(Scope::System, "uploader.note", &json!("loud"), "alice").unwrap();
        assert_eq!(config.get::<String>("uploader.note").unwrap(), "loud");
        assert!(config.set_secret("uploader.times", &secret("4"), "alice").is_err());
        assert!(config.set(Scope::System, "youtube_api_key", &json!("x"), "alice").is_err());
        assert!(config.set(Scope::Override, "youtube_api_key", &json!("x"), "alice").is_err());

        // A plaintext value that another program wrote for a secret setting can be removed and is never
        // shown.
        let row = viraldb::compilation::NewConfigOverride { key: "youtube_api_key".into(), value: "AIzaPlain".into(), ..Default::default() };
        db.write(|c| row.insert(c)).unwrap();
        assert!(config.unset(Scope::Override, "youtube_api_key", "alice").unwrap());
        assert_eq!(config.secret("youtube_api_key").unwrap().reveal(), PLANTED);
        assert!(!format!("{:?}", config.history("youtube_api_key", &Page::first(10)).unwrap()).contains("AIza"));

        // A configuration with a different key reports the id of the key it needs and writes nothing.
        let stranger = with_keys(t, &db, [&*second]);
        let needed = first.parse::<SealingKey>().unwrap().id();
        for result in [stranger.secret("youtube_api_key").map(drop), stranger.set_secret("youtube_api_key", &secret("y"), "bob")] {
            match result {
                Err(Error::SecretKeyMissing { needed: told, .. }) => assert_eq!(told, [needed.to_string()]),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(config.secret("youtube_api_key").unwrap().reveal(), PLANTED);
        // Reading plain settings needs no key.
        assert_eq!(with_keys(t, &db, []).get::<u32>("uploader.times").unwrap(), 3);
    }

    fn secrets_never_appear_in_any_output(t) {
        let db = t.db();
        let key = key();
        let config = with_keys(t, &db, [&*key]);
        for text in [PLANTED, "AIzaOther", "AIzaOther", PLANTED] {
            config.set_secret("youtube_api_key", &secret(text), "alice").unwrap();
        }
        let history = config.history("youtube_api_key", &Page::first(10)).unwrap();
        assert_eq!(history.len(), 3, "setting the same secret again is not a change");
        assert_eq!(history[0].new_value, history[2].new_value, "equal secrets have equal fingerprints");
        assert_ne!(history[0].new_value, history[0].old_value);
        config.unset(Scope::System, "youtube_api_key", "bob").unwrap();
        let last = config.history("youtube_api_key", &Page::first(1)).unwrap().remove(0);
        assert_eq!((last.old_value, last.new_value), (history[0].new_value.clone(), None), "the history keeps the fingerprint of an unset secret");
        config.set_secret("youtube_api_key", &secret(PLANTED), "alice").unwrap();
        let shown = [
            format!("{:?}", config.history("youtube_api_key", &Page::first(10)).unwrap()),
            format!("{:?}", config.explain(None, "youtube_api_key").unwrap()),
            format!("{:?}", config.list(None).unwrap()),
            format!("{:?}", config.validate().unwrap()),
            format!("{config:?}"),
            config.export(Scope::System).unwrap(),
            format!("{:?}", config.all::<Value>(None).unwrap()),
            format!("{:?}", config.secret("youtube_api_key").unwrap()),
        ];
        for text in &shown {
            assert!(!text.contains("AIza") && !text.contains(&key), "{text}");
        }
        assert!(shown[5].contains("# not exported (secret): youtube_api_key"), "{}", shown[5]);
    }

    fn setting_declared_secret_later_is_masked_in_the_history(t) {
        let db = t.db();
        let registry = |key| Registry::default().with([key]).unwrap();
        let open = |key| Config::open_with(&db, Options { registry: registry(key), file: Some(t.file("test.toml", "")), keyring: None }).unwrap();
        open(Key::new("youtube_api_key", Kind::Text, "")).set(Scope::System, "youtube_api_key", &json!("AIzaInTheOpen"), "alice").unwrap();
        let config = open(Key::secret("youtube_api_key"));
        let history = config.history("youtube_api_key", &Page::first(10)).unwrap();
        assert_eq!((history[0].old_value.as_deref(), history[0].new_value.as_deref()), (None, Some("***")));
        let problems = config.validate().unwrap();
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].problem.contains("is a secret but is stored as plaintext"), "{problems:?}");
        // The history is also available to a program that does not know the setting.
        let stranger = super::config(t, &db);
        assert_eq!(stranger.history("youtube_api_key", &Page::first(10)).unwrap().len(), 1);
        assert!(stranger.history("youtube_api_kei", &Page::first(10)).is_err());
    }

    fn validate_reports_wrongly_encrypted_settings_and_plaintext_secrets(t) {
        let db = t.db();
        let key = key();
        let config = with_keys(t, &db, [&*key]);
        assert!(config.validate().unwrap().is_empty());
        let seal = |name: &str, value: &str| {
            let sql = format!("INSERT INTO system_configuration (key, value, encrypted) VALUES ('{name}', '\"{value}\"', true)");
            db.write(|c| make::execute(c, &sql)).unwrap();
        };
        seal("uploader.times", "viraldb:1:0000000000000000:AAAA");
        seal("youtube_api_key", "AIzaInTheOpen");
        seal("not.known", "viraldb:1:0000000000000000:AAAA");
        let problems: Vec<String> = config.validate().unwrap().into_iter().map(|p| format!("{:?} {} {}", p.severity, p.place, p.problem)).collect();
        assert_eq!(problems.len(), 2, "unknown settings belong to other programs and are skipped: {problems:?}");
        assert!(problems[0].starts_with("Error system_configuration uploader.times uploader.times is encrypted, but only text"), "{problems:?}");
        assert!(problems[1].starts_with("Error system_configuration youtube_api_key youtube_api_key is marked as encrypted but is not"), "{problems:?}");
        assert!(!problems.concat().contains("AIza"));
    }

    fn secret_is_read_from_standard_input(t) {
        use std::io::Write;
        t.ok(&["init", "-q"]);
        t.file("viraldb.toml", "[registry.youtube_api_key]\ntype = \"text\"\nsecret = true\n");
        let key = key();
        let run = |args: &[&str], input: &str| -> Ran {
            let mut child = t
                .command(args)
                .env("VIRALDB_KEY", &key)
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            // A command that rejects its arguments reads no input, so this write may fail.
            let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
            let output = child.wait_with_output().unwrap();
            if args.contains(&"--reveal") { Ran::revealed(output) } else { output.into() }
        };
        let as_argument = run(&["config", "set", "youtube_api_key", "x"], "");
        assert_eq!(as_argument.code, 1);
        assert!(as_argument.err.contains("is a secret; use --secret and give the value on standard input"), "{}", as_argument.err);
        let set = run(&["config", "set", "youtube_api_key", "--secret", "--by", "alice", "-vv"], &format!("{PLANTED}\n"));
        assert_eq!(set.code, 0, "{}", set.err);
        let commands: [&[&str]; 6] = [
            &["config", "explain", "youtube_api_key"],
            &["config", "list", "--format", "json"],
            &["config", "history", "youtube_api_key"],
            &["config", "export"],
            &["config", "validate"],
            &["config", "get", "youtube_api_key"],
        ];
        for ran in commands.map(|args| run(args, "")).iter().chain([&set]) {
            assert!(!format!("{}{}", ran.out, ran.err).contains("AIza"), "{ran:?}");
        }
        assert_eq!(run(&["config", "get", "youtube_api_key", "--reveal"], "").out, format!("{PLANTED}\n"));
        let in_environment = t.command(&["config", "get", "youtube_api_key", "--reveal"]).env("VIRALDB_YOUTUBE_API_KEY", "other").output().unwrap();
        assert_eq!(in_environment.stdout, b"other\n", "the environment wins");
        let revealed = run(&["secrets", "get", "--setting", "youtube_api_key", "--reveal"], "");
        assert_eq!(revealed.out, format!("{PLANTED}\n"), "{}", revealed.err);
        // The change is recorded whichever command makes it.
        assert_eq!(run(&["secrets", "set", "--setting", "youtube_api_key"], "AIzaOther").code, 0);
        assert_eq!(run(&["secrets", "clear", "--setting", "youtube_api_key"], "").code, 0);
        let history: Vec<Value> = serde_json::from_str(&run(&["config", "history", "youtube_api_key", "--format", "json"], "").out).unwrap();
        assert_eq!((history.len(), &history[0]["new_value"], &history[2]["changed_by"]), (3, &Value::Null, &json!("alice")));
        assert_eq!(history[1]["old_value"], history[2]["new_value"]);
        assert!(!format!("{history:?}").contains("AIza"));
        assert_eq!(run(&["secrets", "set", "--setting", "youtube_api_key"], PLANTED).code, 0);
        for setting in ["queue_paused", ""] {
            assert_eq!(run(&["secrets", "set", "--setting", setting], "true").code, 1, "{setting:?}");
        }
        // A value from the environment wins and is masked as well.
        let explained = t.command(&["config", "explain", "youtube_api_key"]).env("VIRALDB_YOUTUBE_API_KEY", PLANTED).output().unwrap();
        let explained = Ran::from(explained).out;
        assert!(explained.contains("***") && !explained.contains("AIza"), "{explained}");
    }
}
