//! Tests of the keys that encrypt and decrypt, and where the keys come from.

use viraldb::Error;

use super::*;
use crate::support::both;
#[cfg(feature = "sqlite")]
use crate::support::{Ran, Scratch};

/// Returns the key ids that the error says are needed, and those that were given.
fn missing<T: std::fmt::Debug>(result: Result<T>) -> (Vec<String>, Vec<String>) {
    match result {
        Err(error @ Error::SecretKeyMissing { .. }) => {
            let said = error.to_string();
            assert!(said.contains("VIRALDB_KEY") && said.contains("VIRALDB_KEY_FILE"), "{said}");
            let Error::SecretKeyMissing { needed, given, .. } = error else { unreachable!() };
            assert!(needed.iter().chain(&given).all(|id| said.contains(id.as_str())), "{said}");
            (needed, given)
        }
        other => panic!("{other:?}"),
    }
}

both! {
    fn nothing_is_read_or_written_without_the_key_in_use(t) {
        let db = t.db();
        let (right, wrong) = (key(), key());
        let place = &places(&db)[0];
        let (none, wrong_ring) = (Keyring::default(), ring([&wrong]));
        assert_eq!(missing(db.write(|c| secrets::set(c, &none, place, &secret("s")))), (vec![], vec![]));
        assert_eq!(recorded(&db), Vec::<String>::new());
        db.read(|c| wrong_ring.check(c)).unwrap(); // no key is in use yet
        set(&db, &ring([&right]), place, "s");
        let before = (stored(&db, place), recorded(&db));

        let other = Place::Setting("other".to_owned());
        for (keyring, given) in [(&none, vec![]), (&wrong_ring, vec![wrong.id().to_string()])] {
            assert_eq!(missing(get(&db, keyring, place)), (vec![right.id().to_string()], given.clone()));
            assert_eq!(missing(db.read(|c| keyring.check(c))), (vec![right.id().to_string()], given.clone()));
            assert_eq!(missing(secrets::rotate(&db, keyring, 10, &mut |_| ())), (vec![right.id().to_string()], given));
        }
        for place in [place, &other] {
            assert_eq!(missing(db.write(|c| secrets::set(c, &wrong_ring, place, &secret("t")))), (vec![right.id().to_string()], vec![wrong.id().to_string()]));
            assert_eq!(missing(db.write(|c| secrets::seal(c, &wrong_ring, place, &secret("t")))), (vec![right.id().to_string()], vec![wrong.id().to_string()]));
        }
        assert_eq!((stored(&db, place), recorded(&db)), before);
        assert!(matches!(get(&db, &ring([&right]), &other), Err(Error::SecretNotSet { .. })));
        // Operations that touch no secret need no key.
        db.write(|c| secrets::clear(c, place)).unwrap();
    }

    fn first_key_encrypts_and_all_keys_decrypt(t) {
        let db = t.db();
        let (old, new) = (key(), key());
        let [a, b, _] = places(&db);
        set(&db, &ring([&old]), &a, "a");
        set(&db, &ring([&new, &old]), &b, "b");
        assert_eq!(recorded(&db), sorted([format!("{} in use", old.id()), format!("{} in use", new.id())]));
        for keyring in [ring([&new, &old]), ring([&old, &new]), ring([&old, &old, &new])] {
            assert_eq!((get(&db, &keyring, &a).unwrap(), get(&db, &keyring, &b).unwrap()), ("a".into(), "b".into()));
            assert_eq!(keyring.ids().len(), 2);
        }
        assert_eq!(missing(get(&db, &ring([&new]), &a)), (vec![old.id().to_string()], vec![new.id().to_string()]));
        // One of the keys in use is enough to continue.
        set(&db, &ring([&new]), &a, "c");
        assert_eq!(get(&db, &ring([&new]), &a).unwrap(), "c");
    }

    fn retired_key_that_encrypts_is_in_use_again(t) {
        let db = t.db();
        let (old, new) = (key(), key());
        let [a, ..] = places(&db);
        set(&db, &ring([&old]), &a, "a");
        secrets::rotate(&db, &ring([&new, &old]), 10, &mut |_| ()).unwrap();
        assert_eq!(recorded(&db), sorted([format!("{} retired", old.id()), format!("{} in use", new.id())]));
        assert_eq!(missing(db.write(|c| secrets::set(c, &ring([&old]), &a, &secret("b")))), (vec![new.id().to_string()], vec![old.id().to_string()]));
        set(&db, &ring([&old, &new]), &a, "b");
        assert_eq!(recorded(&db), sorted([format!("{} in use", old.id()), format!("{} in use", new.id())]));
    }
}

/// Runs `secrets status` with these variables and returns the ids of the keys that it found.
#[cfg(feature = "sqlite")]
fn given(t: &Scratch, variables: &[(&str, &str)]) -> Result<Vec<String>, String> {
    let mut command = t.command(&["secrets", "status", "--format", "json"]);
    let ran: Ran = command.envs(variables.iter().copied()).output().unwrap().into();
    match ran.code {
        0 => {
            let status: serde_json::Value = serde_json::from_str(&ran.out).unwrap();
            Ok(status["keys"]
                .as_array()
                .unwrap()
                .iter()
                .map(|key| key["key"].as_str().unwrap().to_owned())
                .collect())
        }
        _ => Err(ran.err),
    }
}

#[cfg(feature = "sqlite")]
fn chmod(path: &std::path::Path, mode: u32) {
    #[cfg(unix)]
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode)).unwrap();
}

#[cfg(feature = "sqlite")]
#[test]
fn keys_come_from_the_environment_before_dotenv() {
    let t = Scratch::sqlite();
    t.db();
    let (a, b) = (key(), key());
    let (text_a, text_b) = (a.to_text(), b.to_text());
    let (text_a, text_b) = (text_a.reveal(), text_b.reveal());
    let (ids, file) = ([a.id().to_string(), b.id().to_string()], t.path("keys"));
    assert_eq!(given(&t, &[]).unwrap(), [""; 0]);
    for separator in [",", " ", ", ", "\n", " \t,,"] {
        assert_eq!(given(&t, &[("VIRALDB_KEY", &format!("{text_a}{separator}{text_b}"))]).unwrap(), ids);
    }
    std::fs::write(&file, format!("# two keys\n\n {text_b} # old\n{text_a}\n")).unwrap();
    chmod(&file, 0o600);
    let name = file.to_str().unwrap();
    assert_eq!(given(&t, &[("VIRALDB_KEY_FILE", name)]).unwrap(), [ids[1].clone(), ids[0].clone()]);
    assert_eq!(given(&t, &[("VIRALDB_KEY_FILE", name), ("VIRALDB_KEY", " ")]).unwrap().len(), 2);

    let both = given(&t, &[("VIRALDB_KEY", text_a), ("VIRALDB_KEY_FILE", name)]).unwrap_err();
    assert!(both.contains("VIRALDB_KEY_FILE are both set"), "{both}");
    let cut = &text_b[..40];
    let bad = given(&t, &[("VIRALDB_KEY", &format!("{text_a},{cut}"))]).unwrap_err();
    assert!(bad.contains("VIRALDB_KEY, key 2") && !bad.contains(cut) && !bad.contains(text_a), "{bad}");
    let none = given(&t, &[("VIRALDB_KEY_FILE", t.path("nowhere").to_str().unwrap())]).unwrap_err();
    assert!(none.contains("nowhere"), "{none}");

    let dotenv = t.file(".env", "VIRALDB_KEY_FILE=keys\n");
    assert_eq!(given(&t, &[]).unwrap().len(), 2);
    assert_eq!(given(&t, &[("VIRALDB_KEY", text_a)]).unwrap(), [ids[0].clone()]);
    t.file(".env", format!("VIRALDB_KEY={text_b}\n"));
    chmod(&dotenv, 0o600);
    assert_eq!(given(&t, &[]).unwrap(), [ids[1].clone()]);
    assert_eq!(given(&t, &[("VIRALDB_KEY_FILE", name)]).unwrap().len(), 2);
    t.file(".env", format!("VIRALDB_KEY={text_b}\nVIRALDB_KEY_FILE=keys\n"));
    assert!(given(&t, &[]).unwrap_err().contains("are both set"));
}

#[cfg(all(feature = "sqlite", unix))]
#[test]
fn key_files_that_others_can_access_are_refused() {
    let t = Scratch::sqlite();
    t.db();
    let key = key();
    let file = t.file("keys", format!("{}\n", key.to_text().reveal()));
    let name = file.to_str().unwrap();
    for mode in [0o640, 0o604, 0o660, 0o644, 0o602, 0o610] {
        chmod(&file, mode);
        let said = given(&t, &[("VIRALDB_KEY_FILE", name)]).unwrap_err();
        assert!(
            said.contains(&format!("mode {mode:04o}")) && said.contains(&format!("chmod 600 {name}")),
            "{said}"
        );
    }
    for mode in [0o600, 0o400, 0o700] {
        chmod(&file, mode);
        assert_eq!(given(&t, &[("VIRALDB_KEY_FILE", name)]).unwrap(), [key.id().to_string()]);
    }
    // Only root can change the owner of a file.
    if std::os::unix::fs::chown(&file, Some(12_345), None).is_ok() {
        let said = given(&t, &[("VIRALDB_KEY_FILE", name)]).unwrap_err();
        assert!(said.contains("belongs to user 12345"), "{said}");
    }
    let dotenv = t.file(".env", format!("VIRALDB_KEY={}\n", key.to_text().reveal()));
    chmod(&dotenv, 0o644);
    assert!(given(&t, &[]).unwrap_err().contains("mode 0644"));
}
