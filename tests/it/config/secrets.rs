//! Settings that are sealed.

use std::sync::Arc;

use viraldb::config::{Key, Kind, Registry};
use viraldb::republishing::SystemConfiguration;
use viraldb::secrets::{Key as SealingKey, Keyring, Secret};
use viraldb::{Error, Page};

use super::*;
use crate::support::both;

const PLANTED: &str = "AIzaSyPlantedSecret";

fn with_keys<'a>(t: &Scratch, db: &Database, keys: impl IntoIterator<Item = &'a str>) -> Config {
    let registry = Registry::default().with([
        Key::secret("youtube_api_key").help("For the YouTube Data API"),
        Key::new("uploader.note", Kind::Text, "none"),
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
    fn a_secret_is_opened_for_whoever_asks_for_it(t) {
        let db = t.db();
        let (first, second) = (key(), key());
        let config = with_keys(t, &db, [&*first]);
        assert!(matches!(config.secret("youtube_api_key"), Err(Error::SecretNotSet { .. })));
        config.set_secret("youtube_api_key", &secret(PLANTED), "alice").unwrap();
        assert_eq!(config.secret("youtube_api_key").unwrap().reveal(), PLANTED);
        let row = db.read(|c| SystemConfiguration::find(c, "youtube_api_key")).unwrap();
        assert!(row.encrypted && !row.value.0.to_string().contains(PLANTED));
        assert!(matches!(config.get::<String>("youtube_api_key"), Err(Error::Invalid { reason, .. }) if reason.contains("ask `Config::secret` for it")));

        // Any text may be sealed; it is no plain setting any more then.
        config.set_secret("uploader.note", &secret("quiet"), "alice").unwrap();
        assert_eq!(config.secret("uploader.note").unwrap().reveal(), "quiet");
        assert!(matches!(config.get::<String>("uploader.note"), Err(Error::Invalid { reason, .. }) if reason.contains("is sealed")));
        config.set(Scope::System, "uploader.note", &json!("loud"), "alice").unwrap();
        assert_eq!(config.get::<String>("uploader.note").unwrap(), "loud");
        assert!(config.set_secret("uploader.times", &secret("4"), "alice").is_err());
        assert!(config.set(Scope::System, "youtube_api_key", &json!("x"), "alice").is_err());
        assert!(config.set(Scope::Override, "youtube_api_key", &json!("x"), "alice").is_err());

        // One that another program put where none should stand can be taken away, and is not shown.
        let row = viraldb::compilation::NewConfigOverride { key: "youtube_api_key".into(), value: "AIzaPlain".into(), ..Default::default() };
        db.write(|c| row.insert(c)).unwrap();
        assert!(config.unset(Scope::Override, "youtube_api_key", "alice").unwrap());
        assert_eq!(config.secret("youtube_api_key").unwrap().reveal(), PLANTED);
        assert!(!format!("{:?}", config.history("youtube_api_key", &Page::first(10)).unwrap()).contains("AIza"));

        // Another key is told which one is needed, and writes nothing.
        let stranger = with_keys(t, &db, [&*second]);
        let needed = first.parse::<SealingKey>().unwrap().id();
        for result in [stranger.secret("youtube_api_key").map(drop), stranger.set_secret("youtube_api_key", &secret("y"), "bob")] {
            match result {
                Err(Error::SecretKeyMissing { needed: told, .. }) => assert_eq!(told, [needed]),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(config.secret("youtube_api_key").unwrap().reveal(), PLANTED);
        // Who asks for no secret needs no key.
        assert_eq!(with_keys(t, &db, []).get::<u32>("uploader.times").unwrap(), 3);
    }

    fn nothing_tells_a_secret(t) {
        let db = t.db();
        let key = key();
        let config = with_keys(t, &db, [&*key]);
        for text in [PLANTED, "AIzaOther", "AIzaOther", PLANTED] {
            config.set_secret("youtube_api_key", &secret(text), "alice").unwrap();
        }
        let history = config.history("youtube_api_key", &Page::first(10)).unwrap();
        assert_eq!(history.len(), 3, "the same secret again is no change");
        assert_eq!(history[0].new_value, history[2].new_value, "fingerprints tell whether two are the same");
        assert_ne!(history[0].new_value, history[0].old_value);
        config.unset(Scope::System, "youtube_api_key", "bob").unwrap();
        config.set_secret("youtube_api_key", &secret(PLANTED), "alice").unwrap();
        let shown = [
            format!("{:?}", config.history("youtube_api_key", &Page::first(10)).unwrap()),
            format!("{:?}", config.explain("youtube_api_key", None).unwrap()),
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
        assert!(shown[5].contains("# sealed, and left out: youtube_api_key"), "{}", shown[5]);
    }

    fn a_secret_is_set_from_standard_input(t) {
        use std::io::Write;
        t.ok(&["init", "-q"]);
        t.file("viraldb.toml", "[registry.youtube_api_key]\ntype = \"text\"\nsecret = true\n");
        let key = key();
        let run = |args: &[&str], input: &str| -> crate::support::Ran {
            let mut child = t
                .command(args)
                .env("VIRALDB_KEY", &key)
                .stdin(std::process::Stdio::piped())
                .stdout(std::process::Stdio::piped())
                .stderr(std::process::Stdio::piped())
                .spawn()
                .unwrap();
            // A command that refuses its arguments reads nothing.
            let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
            child.wait_with_output().unwrap().into()
        };
        let as_argument = run(&["config", "set", "youtube_api_key", "x"], "");
        assert_eq!(as_argument.code, 1);
        assert!(as_argument.err.contains("give it on standard input, with --secret"), "{}", as_argument.err);
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
        let revealed = run(&["secrets", "get", "--setting", "youtube_api_key", "--reveal"], "");
        assert_eq!(revealed.out, format!("{PLANTED}\n"), "{}", revealed.err);
        // Whichever command sets it, the change is kept.
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
        // The environment is stronger, and as hidden.
        let explained = t.command(&["config", "explain", "youtube_api_key"]).env("VIRALDB_YOUTUBE_API_KEY", PLANTED).output().unwrap();
        let explained = String::from_utf8(explained.stdout).unwrap();
        assert!(explained.contains("***") && !explained.contains("AIza"), "{explained}");
    }
}
