//! Tests of a single secret: set, get, and bound to its location.

use viraldb::republishing::{Channel, NewSystemConfiguration, SystemConfiguration};
use viraldb::{ConfigValue, Error};

use super::*;
use crate::support::{Ran, both, newly_prepared, statements};

both! {
    fn secrets_round_trip_at_every_location(t) {
        let db = t.db();
        let keyring = ring([&key()]);
        for place in places(&db) {
            assert!(matches!(get(&db, &keyring, &place), Err(Error::SecretNotSet { at }) if at == place.to_string()));
            for text in ["s", "", "ünïcode \n\" ' ✓", &"long ".repeat(4_000)] {
                set(&db, &keyring, &place, text);
                assert_eq!(get(&db, &keyring, &place).unwrap(), text);
                let stored = stored(&db, &place);
                assert!(stored.trim_matches('"').starts_with("viraldb:1:") && (text.len() < 2 || !stored.contains(text)), "{stored}");
            }
        }
        assert_eq!(recorded(&db), [format!("{} in use", keyring.ids()[0])]);
    }

    fn rows_show_the_state_of_a_secret_not_its_value(t) {
        let db = t.db();
        let keyring = ring([&key()]);
        let [credentials, github, setting] = places(&db);
        let (Place::ChannelCredentials(id), Place::Setting(name)) = (&credentials, &setting) else { unreachable!() };
        let shown = || {
            let (channel, row) = db.read(|c| Ok((Channel::find(c, *id)?, SystemConfiguration::find(c, name)?))).unwrap();
            format!("{channel:?} {row:?} {} {}", serde_json::to_string(&channel).unwrap(), serde_json::to_string(&row).unwrap())
        };
        for place in [&credentials, &github, &setting] {
            put(&db, place, "\"in the open\"");
        }
        let text = shown();
        assert!(!text.contains("in the open") && text.matches("not encrypted").count() == 6, "{text}");
        for place in [&credentials, &github, &setting] {
            set(&db, &keyring, place, "planted");
        }
        let text = shown();
        let state = format!("encrypted with key {}", keyring.ids()[0]);
        assert!(!text.contains("viraldb:1:") && text.matches(&state).count() == 6, "{text}");
        // A plain setting shows its value.
        let plain = NewSystemConfiguration { key: "plain".into(), value: ConfigValue("v".into()), ..Default::default() };
        let plain = db.write(|c| plain.insert(c)).unwrap();
        assert!(format!("{plain:?}").contains("\"v\"") && serde_json::to_value(&plain).unwrap()["value"] == "v");
    }

    fn encrypted_text_decrypts_only_at_its_own_location(t) {
        let db = t.db();
        let keyring = ring([&key()]);
        let [a, b] = [places(&db), places(&db)];
        let all: Vec<&Place> = a.iter().chain(&b).collect();
        for from in &all {
            set(&db, &keyring, from, "s");
            let text = stored(&db, from).trim_matches('"').to_owned();
            for to in &all {
                let json = if matches!(to, Place::Setting(_)) { format!("\"{text}\"") } else { text.clone() };
                put(&db, to, &json);
                match get(&db, &keyring, to) {
                    Ok(opened) => assert!(from == to && opened == "s", "{from} opens in {to}"),
                    Err(Error::SecretDamaged { at }) => assert!(from != to && at == to.to_string(), "{from} to {to}"),
                    Err(other) => panic!("{other}"),
                }
            }
        }
    }

    fn every_flipped_bit_is_detected(t) {
        let db = t.db();
        let keyring = ring([&key()]);
        let [place, ..] = places(&db);
        set(&db, &keyring, &place, "short");
        let text = stored(&db, &place);
        let mut read = 0;
        for bit in 0..text.len() * 8 {
            let mut bytes = text.clone().into_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            // The databases accept only text without NUL, and a quote would end the SQL string.
            let Ok(flipped) = String::from_utf8(bytes) else { continue };
            if flipped.contains(['\0', '\'']) { continue }
            put(&db, &place, &flipped);
            read += 1;
            match get(&db, &keyring, &place) {
                Err(error @ (Error::SecretDamaged { .. } | Error::SecretKeyMissing { .. } | Error::SecretNotSealed { .. })) => {
                    assert!(error.to_string().starts_with(&place.to_string()), "{error}");
                }
                other => panic!("bit {bit}: {other:?}"),
            }
        }
        assert!(read > text.len() * 6);
    }

    fn unencrypted_values_are_errors_that_say_what_to_do(t) {
        let db = t.db();
        let keyring = ring([&key()]);
        let [credentials, _, setting] = places(&db);
        for (text, why) in [("hunter2", "set it again"), ("gAAAAABoX", "import-fernet"), ("viraldb:9:x", "newer")] {
            for place in [&credentials, &setting] {
                put(&db, place, &if place == &setting { format!("\"{text}\"") } else { text.to_owned() });
                let said = get(&db, &keyring, place).unwrap_err();
                let text_of = said.to_string();
                assert!(matches!(said, Error::SecretNotSealed { .. }) && text_of.contains(why) && !text_of.contains(text), "{text_of}");
            }
        }
        let plain = NewSystemConfiguration { key: "plain".into(), value: ConfigValue("v".into()), ..Default::default() };
        db.write(|c| plain.insert(c)).unwrap();
        let plain = Place::Setting("plain".to_owned());
        assert!(get(&db, &keyring, &plain).unwrap_err().to_string().contains("plain setting"));
        assert!(db.write(|c| secrets::clear(c, &plain)).is_err());
        // Encrypting it turns it into a secret.
        set(&db, &keyring, &plain, "w");
        assert_eq!(get(&db, &keyring, &plain).unwrap(), "w");
    }

    fn cleared_secrets_are_gone(t) {
        let db = t.db();
        let keyring = ring([&key()]);
        for place in places(&db) {
            assert!(!db.write(|c| secrets::clear(c, &place)).unwrap());
            set(&db, &keyring, &place, "s");
            assert!(db.write(|c| secrets::clear(c, &place)).unwrap());
            assert!(matches!(get(&db, &keyring, &place), Err(Error::SecretNotSet { .. })));
        }
        let nowhere = Place::ChannelGithubKey(ChannelId::default());
        assert!(matches!(db.write(|c| secrets::clear(c, &nowhere)), Err(Error::NotFound { table: "channels", .. })));
        for result in [get(&db, &keyring, &nowhere).map(drop), db.write(|c| secrets::set(c, &keyring, &nowhere, &secret("s"))).map(drop)] {
            assert!(matches!(result, Err(Error::NotFound { table: "channels", .. })), "{result:?}");
        }
    }

    fn setting_a_secret_is_one_prepared_statement(t) {
        let db = t.db();
        let keyring = ring([&key()]);
        let places = places(&db);
        set(&t.db(), &keyring, &places[0], "s"); // on a connection other than the observed one
        let mut session = db.session().unwrap();
        let all = |c: &mut viraldb::DbConnection| {
            places.iter().try_for_each(|place| secrets::set(c, &keyring, place, &secret("s")).map(drop))
        };
        assert_eq!(newly_prepared(&mut session, all).len(), 3);
        assert_eq!(newly_prepared(&mut session, all), Vec::<String>::new());
        assert_eq!(statements(&mut session, all).len(), 3);
    }

    fn text_can_be_encrypted_for_another_program_to_store(t) {
        let db = t.db();
        let keyring = ring([&key()]);
        let place = Place::Setting("s".to_owned());
        let text = db.write(|c| secrets::seal(c, &keyring, &place, &secret("v"))).unwrap();
        assert_eq!(secrets::open(&keyring, &place, &text).unwrap().reveal(), "v");
        assert_eq!(recorded(&db).len(), 1);
        let print = |text, keyring: &Keyring| keyring.fingerprint(&place, &secret(text)).unwrap();
        assert_eq!(print("v", &keyring), print("v", &keyring));
        assert_ne!(print("v", &keyring), print("w", &keyring));
        assert_ne!(print("v", &keyring)[17..], print("v", &ring([&key()]))[17..]);
        // A transaction that is rolled back records no key.
        let other = ring([&key(), &copy_of(keyring.first().unwrap())]);
        let _ = db.write(|c| {
            secrets::seal(c, &other, &place, &secret("v"))?;
            Err::<(), _>(Error::invalid("this", "is rolled back"))
        });
        assert_eq!(recorded(&db).len(), 1);
    }

    fn ingest_never_overwrites_an_encrypted_value(t) {
        let db = t.db();
        let keyring = ring([&key()]);
        let [credentials, _, setting] = places(&db);
        for place in [&credentials, &setting] {
            set(&db, &keyring, place, "s");
        }
        let channel = |credentials: &str| serde_json::json!({
            "id": credentials, "name": "n", "youtube_channel_id": "UC", "youtube_channel_url": "u",
            "api_credentials_encrypted": "PLAIN", "posting_schedule": {}, "content_filters": {}, "metadata_template": {},
        }).to_string();
        let named = setting.row_key();
        for (table, row, expected) in [
            ("channels", channel(&credentials.row_key()), "api_credentials_encrypted: is not encrypted"),
            ("channels", channel(&credentials.row_key()).replace("PLAIN", "gAAAA"), "is encrypted and would be overwritten"),
            ("system_configuration", serde_json::json!({ "key": named, "value": "PLAIN" }).to_string(), "is encrypted and would be overwritten"),
            ("system_configuration", serde_json::json!({ "key": named, "value": "viraldb:1:0000000000000000:AAAA", "encrypted": false }).to_string(), "is encrypted and would be overwritten"),
        ] {
            let file = t.file("rows.jsonl", row);
            let ran = t.run(&["ingest", "--as", "jsonl", "--table", table, file.to_str().unwrap()]);
            let said = ran.out + &ran.err;
            assert!(said.contains(expected) && !said.contains("PLAIN"), "{said}");
        }
        for place in [&credentials, &setting] {
            assert_eq!(get(&db, &keyring, place).unwrap(), "s");
        }
    }

    fn encrypted_values_can_be_ingested(t) {
        let db = t.db();
        let keyring = ring([&key()]);
        let [credentials, github, setting] = places(&db);
        for place in [&credentials, &github, &setting] {
            set(&db, &keyring, place, "s");
        }
        let texts = [&credentials, &github, &setting].map(|place| stored(&db, place));
        db.write(|c| make::execute(c, "DELETE FROM channels; DELETE FROM system_configuration")).unwrap();
        let channel = serde_json::json!({
            "id": credentials.row_key(), "name": "n", "youtube_channel_id": "UC", "youtube_channel_url": "u",
            "api_credentials_encrypted": texts[0], "github_secret_key_encrypted": texts[1], "posting_schedule": {},
            "content_filters": {}, "metadata_template": {},
        });
        let row = format!("{{\"key\":\"{}\",\"value\":{},\"encrypted\":true}}", setting.row_key(), texts[2]);
        for (table, row) in [("channels", channel.to_string()), ("system_configuration", row)] {
            let file = t.file("rows.jsonl", row);
            t.ok(&["ingest", "--as", "jsonl", "--table", table, file.to_str().unwrap()]);
        }
        for place in [&credentials, &github, &setting] {
            assert_eq!(get(&db, &keyring, place).unwrap(), "s");
        }
    }

    /// Checks that the search for planted secrets after every test would find one.
    fn planted_secrets_are_found(t) {
        let refused = |work: Box<dyn FnOnce() + '_>| {
            let error = std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).unwrap_err();
            assert!(error.downcast_ref::<String>().unwrap().contains("planted"));
        };
        for place in [0, 1, 2] {
            let other = t.another();
            let db = other.db();
            match place {
                0 => {
                    std::fs::create_dir(other.path("below")).unwrap();
                    std::fs::write(other.path("below/some.log"), "a planted secret").unwrap();
                }
                1 => put(&db, &places(&db)[0], "planted"),
                _ => put(&db, &places(&db)[2], "\"planted\""),
            }
            drop(db);
            assert_eq!(other.planted().len(), 1);
            refused(Box::new(move || drop(other)));
        }
        let printed = |line: &str| std::process::Command::new("sh").args(["-c", line]).output().unwrap();
        refused(Box::new(|| drop(Ran::from(printed("echo planted")))));
        refused(Box::new(|| drop(Ran::from(printed("echo planted >&2")))));
        refused(Box::new(|| drop(Ran::revealed(printed("echo planted >&2")))));
        assert_eq!(Ran::revealed(printed("echo planted")).out, "planted\n");
    }
}
