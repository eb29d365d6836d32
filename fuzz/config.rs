//! Fuzzes the parsers of files that people and programs write: `.env`, TOML and backup manifests.

use std::collections::BTreeMap;
use std::path::Path;

use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use viraldb::ops::backup::{Locale, Manifest};
use viraldb::{Engine, Timestamp};

use crate::mutate::{mutated, mutated_text, words};
use crate::runner::{check_message, expect, fuzz};

const SECRET: &str = "s3cr3tPlanted";

/// Runs a test in a separate process without the environment variables that a `.env` file can set.
///
/// Returns true in that process, and false in the original one after the process has succeeded.
fn is_alone(test: &str) -> bool {
    const MARK: &str = "VIRALDB_FUZZ_ALONE";
    if std::env::var_os(MARK).is_some() {
        return true;
    }
    let done = std::process::Command::new(std::env::current_exe().unwrap())
        .args([test, "--exact", "--nocapture"])
        .env(MARK, "1")
        .env_remove("DATABASE_URL")
        .env_remove("VIRALDB_KEY")
        .env_remove("VIRALDB_KEY_FILE")
        .status()
        .unwrap();
    assert!(done.success(), "{test} in a separate process: {done}");
    false
}

#[test]
fn dotenv() {
    if !is_alone("config::dotenv") {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::env::set_current_dir(folder.path()).unwrap();
    let url = || viraldb::db::database_url(None).map_err(|error| error.to_string());
    let quoted = prop_oneof![Just(("", "")), Just(("'", "'")), Just(("\"", "\""))];
    let values = (quoted, "[a-zA-Z0-9_./-]{1,20}", any::<bool>(), any::<bool>());
    fuzz(".env, written and read", values, |((before, after), path, is_exported, has_mark)| {
        let mark = if has_mark { "\u{feff}" } else { "" };
        let export = if is_exported { "export " } else { "" };
        let text =
            format!("{mark}# a comment\nOTHER=1\n{export}DATABASE_URL={before}postgres://h/{path}{after}\n");
        std::fs::write(".env", text).unwrap();
        let expected = format!("postgres://h/{path}");
        expect(url().as_deref() == Ok(&*expected), || format!("read {:?}, expected {expected}", url()))
    });
    let line = prop_oneof![
        Just(format!("VIRALDB_KEY={SECRET}")),
        Just(format!("PASSWORD='{SECRET}")),
        Just(format!("A {SECRET} B")),
        Just("DATABASE_URL=sqlite://x.db".to_owned()),
        Just("DATABASE_URL=\"${HOME}/x.db\"".to_owned()),
        words(),
    ];
    let base = vec(line, 0..6).prop_map(|lines| lines.join("\n").into_bytes());
    fuzz(".env", mutated(base), |text| {
        std::fs::write(".env", &text).unwrap();
        if let Err(message) = url() {
            check_message(&message, SECRET)?;
        }
        // The file may contain a valid key or not. An error must not show it.
        viraldb::secrets::Keyring::from_env()
            .map_or_else(|error| check_message(&error.to_string(), SECRET), |_| Ok(()))
    });
}

#[cfg(feature = "sqlite")]
#[test]
fn toml() {
    use viraldb::config::{Config, Options, Scope};

    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("viraldb.toml");
    let db = viraldb::Database::open("sqlite::memory:").unwrap();
    let open = |text: &[u8]| {
        std::fs::write(&file, text).unwrap();
        Config::open_with(&db, Options { file: Some(file.clone()), ..Options::default() })
    };
    let config = open(b"").unwrap();
    let numbers = (1..745_i64, 1..13_i64, 0..=100_u32, proptest::bool::ANY);
    fuzz("settings, exported and imported", numbers, |(hours, clips, score, paused)| {
        let text = format!(
            "cycle_hours = {hours}\nmin_clips = {clips}\nmin_viral_score = {}\nqueue_paused = {paused}\nmax_clips = 100\n",
            f64::from(score) / 100.0
        );
        let exchange = || {
            config.import(Scope::Override, "given", &text, "fuzz")?;
            let first = config.export(Scope::Override)?;
            config.import(Scope::Override, "exported", &first, "fuzz")?;
            Ok((first, config.export(Scope::Override)?, config.get::<i64>("cycle_hours")?))
        };
        let done: viraldb::Result<_> = exchange();
        let (first, second, read) = done.map_err(|error| TestCaseError::fail(error.to_string()))?;
        expect(first == second && read == hours, || {
            format!("{text} became {first}, then {second}, {read} hours")
        })
    });
    let base = prop_oneof![
        Just("cycle_hours = 12\n[default]\nmin_resolution = \"720p\"\n".to_owned()),
        Just("[registry.my_token]\nkind = \"text\"\nsecret = true\n\n[registry.my.number]\nkind = \"integer\"\nmin = 1\nmax = 9\ndefault = 3\n".to_owned()),
        vec((words(), words()), 0..4).prop_map(|pairs| pairs.iter().map(|(key, value)| format!("{key} = {value:?}\n")).collect()),
    ];
    fuzz("toml", mutated_text(base), |text| {
        if let Err(error) = config.import(Scope::System, "given", &text, "fuzz") {
            check_message(&error.to_string(), "")?;
        }
        open(text.as_bytes()).map_or_else(|error| check_message(&error.to_string(), ""), |_| Ok(()))
    });
}

fn manifest() -> impl Strategy<Value = Manifest> {
    let rows = btree_map("[a-z_]{1,12}", any::<u64>(), 0..5);
    let texts = (words(), words(), words(), words(), option::of(words()));
    let locale =
        option::of((words(), words(), option::of(words())).prop_map(|(encoding, collate, provider)| {
            Locale {
                encoding,
                ctype: collate.clone(),
                collate,
                locale: provider.clone(),
                rules: None,
                comment: provider.clone(),
                provider,
            }
        }));
    let times = 0..4_000_000_000_i64;
    (texts, rows, any::<bool>(), any::<[u64; 3]>(), vec("[0-9a-f]{16}", 0..3), times, locale).prop_map(
        |(
            (database, origin, version, schema, namespace),
            rows,
            is_sqlite,
            [orphans, bytes, content_bytes],
            keys,
            seconds,
            locale,
        )| Manifest {
            format: if namespace.is_some() { 2 } else { 1 },
            database,
            origin,
            namespace,
            engine: if is_sqlite { Engine::Sqlite } else { Engine::Postgres },
            engine_version: version,
            schema,
            viraldb: "0.1.0".to_owned(),
            created_at: Timestamp::from(chrono::DateTime::from_timestamp(seconds, 0).unwrap()),
            rows: BTreeMap::from_iter(rows),
            orphans,
            keys,
            sealed: is_sqlite,
            bytes,
            sha256: "0".repeat(64),
            content_bytes,
            content_sha256: "f".repeat(64),
            locale,
        },
    )
}

#[test]
fn manifests() {
    let folder = tempfile::tempdir().unwrap();
    let backup = folder.path().join("b.zst");
    let read = |text: &[u8]| {
        std::fs::write(Manifest::path_of(&backup), text).unwrap();
        Manifest::read(Path::new(&backup)).map_err(|error| error.to_string())
    };
    let printed = |manifest: &Manifest| serde_json::to_vec_pretty(manifest).unwrap();
    fuzz("manifests, printed and read", manifest(), |manifest| {
        let again = read(&printed(&manifest));
        expect(again.as_ref() == Ok(&Some(manifest.clone())), || format!("{manifest:?} became {again:?}"))
    });
    fuzz("manifests", mutated(manifest().prop_map(move |manifest| printed(&manifest))), |text| {
        read(&text).map_or_else(|message| check_message(&message, ""), |_| Ok(()))
    });
}
