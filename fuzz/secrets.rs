//! Fuzzes the parsers of encrypted values, Fernet tokens and keys.

use proptest::prelude::*;
use viraldb::republishing::ChannelId;
use viraldb::secrets::{self, FernetKey, Key, Keyring, Place, Secret};

use crate::mutate::{mutated_text, words};
use crate::runner::{check_message, expect, fuzz};

const SECRET: &str = "s3cr3tPlanted";

fn made() -> serde_json::Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/secrets.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

#[cfg(feature = "sqlite")]
#[test]
fn sealed_values() {
    let db = viraldb::Database::open("sqlite::memory:").unwrap();
    let keyring = Keyring::new([Key::generate().unwrap()]);
    let place = |n: u32| {
        Place::ChannelCredentials(format!("0190b5a0-0000-7000-8000-{n:012}").parse::<ChannelId>().unwrap())
    };
    let seal = |n: u32, secret: &str| {
        let secret = Secret::from(secret.to_owned());
        db.write(|c| secrets::seal(c, &keyring, &place(n), &secret)).unwrap()
    };
    fuzz("sealed values, sealed and opened", (words(), 0..1_000_u32), |(secret, n)| {
        let sealed = seal(n, &secret);
        let opened = secrets::open(&keyring, &place(n), &sealed)
            .map_err(|error| TestCaseError::fail(error.to_string()))?;
        expect(opened.reveal() == secret, || format!("{secret:?} became {:?}", opened.reveal()))?;
        let elsewhere = secrets::open(&keyring, &place(n + 1), &sealed);
        expect(elsewhere.is_err(), || format!("{sealed} was decrypted for another row"))
    });
    let sealed = seal(1, SECRET);
    fuzz("sealed values that were changed", mutated_text(Just(sealed.clone())), |text| {
        match secrets::open(&keyring, &place(1), &text) {
            Ok(_) => expect(text == sealed, || format!("a changed value was decrypted: {text}")),
            Err(error) => check_message(&error.to_string(), SECRET),
        }
    });
}

#[test]
fn fernet() {
    let fernet = &made()["fernet"];
    let key = Secret::from(fernet["application_key"].as_str().unwrap().to_owned());
    let salt = secrets::fernet_salt(fernet["salt"].as_str().unwrap()).unwrap();
    let key = FernetKey::derive(&key, &salt);
    let tokens: Vec<(String, String)> = fernet["tokens"]
        .as_array()
        .unwrap()
        .iter()
        .map(|token| {
            (token["token"].as_str().unwrap().to_owned(), token["secret"].as_str().unwrap().to_owned())
        })
        .collect();
    for (token, secret) in &tokens {
        assert_eq!(key.open(token).unwrap().reveal(), secret);
    }
    let texts: Vec<String> = tokens.iter().map(|(token, _)| token.clone()).collect();
    fuzz("tokens that were changed", mutated_text(proptest::sample::select(texts.clone())), |text| {
        expect(key.open(&text).is_none() || texts.contains(&text), || {
            format!("a changed token was decrypted: {text}")
        })
    });
    fuzz(
        "salts",
        mutated_text(prop_oneof![Just("hex:00ff".to_owned()), Just("base64:AAEC".to_owned()), words()]),
        |text| {
            secrets::fernet_salt(&text).map_or_else(|error| check_message(&error.to_string(), ""), |_| Ok(()))
        },
    );
}

#[test]
fn keys() {
    fuzz("keys, printed and read", any::<u8>(), |_| {
        let key = Key::generate().map_err(|error| TestCaseError::fail(error.to_string()))?;
        let again: Key = key
            .to_text()
            .reveal()
            .parse()
            .map_err(|error: viraldb::Error| TestCaseError::fail(error.to_string()))?;
        expect(again.id() == key.id(), || "a key was read back as another key".to_owned())
    });
    let text = made()["envelope"]["key"].as_str().unwrap().to_owned();
    let part: String = text.chars().take(16).collect();
    fuzz("keys that were changed", mutated_text(Just(text)), |text| {
        text.parse::<Key>().map_or_else(|error| check_message(&error.to_string(), &part), |_| Ok(()))
    });
}
