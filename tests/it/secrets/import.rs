//! Imports values that the Python applications encrypted. tests/data/secrets.py created them.

use std::io::Write;
use std::process::Stdio;

use serde_json::Value;
use viraldb::secrets::{FernetImport, FernetKey};

use super::*;
use crate::support::{Ran, both};

fn made() -> Value {
    let made: Value = serde_json::from_str(include_str!("../../data/secrets.json")).unwrap();
    made["fernet"].clone()
}

both! {
    fn tokens_are_reencrypted(t) {
        let db = t.db();
        let made = made();
        let tokens: Vec<(&str, &str)> = made["tokens"].as_array().unwrap().iter()
            .map(|made| (made["secret"].as_str().unwrap(), made["token"].as_str().unwrap())).collect();
        let own = key();
        let keyring = ring([&own]);
        let mut expected = Vec::new();
        for (text, token) in &tokens {
            for place in places(&db) {
                let json = matches!(place, Place::Setting(_));
                put(&db, &place, &if json { format!("\"{token}\"") } else { (*token).to_owned() });
                expected.push((place, *text));
            }
        }
        if !t.is_postgres {
            // Another program may write a setting on SQLite as bare text instead of JSON.
            let bare = Place::Setting("bare".to_owned());
            put(&db, &bare, tokens[0].1);
            expected.push((bare, tokens[0].0));
        }
        let [foreign, not_text, plain] = places(&db);
        put(&db, &foreign, made["of_another_key"].as_str().unwrap());
        put(&db, &not_text, made["not_text"].as_str().unwrap());
        put(&db, &plain, "\"plain\"");
        let count = expected.len() as u64;
        let before: Vec<String> = [&foreign, &not_text, &plain].map(|place| stored(&db, place)).into();

        let application_key = made["application_key"].as_str().unwrap();
        let run = |more: &[&str], key_file: &str| -> Ran {
            let all = [&["secrets", "import-fernet", "--salt", made["salt"].as_str().unwrap(), "--key-file", key_file], more].concat();
            let mut command = t.command(&all);
            command.env("VIRALDB_KEY", own.to_text().reveal()).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
            let mut child = command.spawn().unwrap();
            writeln!(child.stdin.take().unwrap(), "{application_key}").unwrap();
            child.wait_with_output().unwrap().into()
        };
        let dry = run(&["--dry-run", "--format", "json"], "-");
        assert_eq!(dry.code, 4, "{}", dry.err);
        let report: Value = serde_json::from_str(&dry.out).unwrap();
        assert_eq!((&report["resealed"], &report["failed"]), (&count.into(), &2.into()));
        assert_eq!(recorded(&db), Vec::<String>::new());
        assert!(stored(&db, &expected[0].0).starts_with("gAAAA"));

        let file = t.file("application.key", application_key);
        let done = run(&[], file.to_str().unwrap());
        assert_eq!(done.code, 4, "{}", done.err);
        assert!(done.out.starts_with(&format!("{count} encrypted again, 2 unchanged because they cannot be decrypted")), "{}", done.out);
        for place in [&foreign, &not_text] {
            assert!(done.out.contains(&format!("{place} is not encrypted: it is not a Fernet token of this key")), "{}", done.out);
        }
        for (place, text) in &expected {
            assert_eq!(get(&db, &keyring, place).unwrap(), *text);
        }
        assert_eq!([&foreign, &not_text, &plain].map(|place| stored(&db, place)).to_vec(), before);
        assert_eq!(run(&["--quiet"], "-").code, 4);
        for all in [&dry, &done] {
            assert!(!all.out.contains("planted") && !all.out.contains(application_key) && !all.err.contains(application_key));
        }
    }

    fn wrong_key_or_salt_imports_nothing(t) {
        let db = t.db();
        let made = made();
        let [place, ..] = places(&db);
        let token = made["tokens"][0]["token"].as_str().unwrap();
        put(&db, &place, token);
        let keyring = ring([&key()]);
        let right = secret(made["application_key"].as_str().unwrap());
        let salt = secrets::fernet_salt(made["salt"].as_str().unwrap()).unwrap();
        for (key, salt) in [(&secret("another"), &*salt), (&right, b"salt")] {
            let done = secrets::import_fernet(&db, &keyring, &FernetImport::new(&FernetKey::derive(key, salt)), &mut |_| ()).unwrap();
            assert_eq!((done.resealed, done.failed), (0, 1));
        }
        assert_eq!(stored(&db, &place), token);
        // Only the first 32 bytes of the key count.
        let longer = secret(&format!("{}, and more", &right.reveal()[..32]));
        let done = secrets::import_fernet(&db, &keyring, &FernetImport::new(&FernetKey::derive(&longer, &salt)), &mut |_| ()).unwrap();
        assert_eq!((done.resealed, done.failed), (1, 0));
    }
}
