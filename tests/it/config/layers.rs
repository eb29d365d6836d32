//! Compares random layer contents with a ten-line model, through the command line and the library.

use std::collections::BTreeMap;

use viraldb::compilation::NewConfigOverride;
use viraldb::config::{Key, Kind, Registry};
use viraldb::republishing::NewSystemConfiguration;
use viraldb::types::ConfigValue;

use super::*;
use crate::support::both;

const LAYERS: [&str; 6] = ["environment", "dotenv", "channel", "override", "system", "file"];

/// Settings of another program, as it declares them in the configuration file.
const DECLARED: &str = "
[registry.\"up.times\"]
type = \"integer\"
min = 1
max = 9
default = 3
per_channel = true
[registry.\"up.note\"]
type = \"text\"
";

fn with_own() -> Registry {
    Registry::default()
        .with([
            Key::new("up.times", Kind::Integer { min: 1, max: 9 }, 3).per_channel(),
            Key::new("up.note", Kind::Text, Value::Null),
        ])
        .unwrap()
}

/// Returns a random valid value for the setting.
fn any_value(random: &mut fastrand::Rng, key: &Key) -> Value {
    match &key.kind {
        Kind::Bool => random.bool().into(),
        Kind::Integer { min, max } => random.i64(*min..=*max).into(),
        Kind::Number { min, max } => json!(min + (max - min) * f64::from(random.u8(0..=4)) / 4.0),
        Kind::Text => "a text".into(),
        Kind::Word { words } => words[random.usize(0..words.len())].as_ref().into(),
        Kind::Json => json!({ "a": [1, null] }),
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The model: the strongest layer that has the setting wins, then the default of the channel's kind, then the
/// default.
fn expected(said: &BTreeMap<(&str, String), Value>, key: &Key, with_channel: bool) -> (Value, Value) {
    for layer in LAYERS {
        let own = (layer != "channel" || (with_channel && key.per_channel))
            && match key.name.as_ref() {
                "queue_paused" => ["override", "system"].contains(&layer),
                "kind" => layer == "channel",
                _ => true,
            };
        if let Some(value) = said.get(&(layer, key.name.to_string())).filter(|_| own) {
            return (value.clone(), layer.into());
        }
    }
    let kind = said.get(&("channel", "kind".to_owned())).filter(|_| with_channel && key.per_channel);
    let of_kind = match (kind.and_then(Value::as_str), key.name.as_ref()) {
        (Some("compilation"), "default_min_resolution") => Some(json!("1080p")),
        (Some("generation"), "default_posting_frequency") => Some(json!("twice_daily")),
        (Some("generation"), "target_duration_min") => Some(json!(15)),
        (Some("generation"), "target_duration_max") => Some(json!(60)),
        _ => None,
    };
    match of_kind {
        Some(value) => (value, "kind_default".into()),
        None if key.default.is_null() => (Value::Null, Value::Null),
        None => (key.default.clone(), "default".into()),
    }
}

both! {
    fn strongest_layer_wins_for_random_settings(t) {
        let db = t.db();
        for seed in 0..30 {
            let mut random = fastrand::Rng::with_seed(seed);
            let registry = with_own();
            let mut said: BTreeMap<(&str, String), Value> = BTreeMap::new();
            for key in registry.iter() {
                for layer in LAYERS {
                    if random.u8(0..4) == 0 && (layer != "channel" || key.per_channel) {
                        said.insert((layer, key.name.to_string()), any_value(&mut random, key));
                    }
                }
            }
            let of = |layer: &str| -> Vec<(String, Value)> {
                said.iter().filter(|((of, _), _)| *of == layer).map(|((_, key), value)| (key.clone(), value.clone())).collect()
            };
            let mut settings = json!({});
            for (key, value) in of("channel") {
                match key.split_once('.') {
                    Some((first, rest)) if random.bool() => settings[first][rest] = value,
                    _ => settings[key] = value,
                }
            }
            let id = channel(&db, settings);
            db.write(|c| {
                viraldb::diesel::connection::SimpleConnection::batch_execute(c, "DELETE FROM config_overrides; DELETE FROM system_configuration")?;
                let overrides: Vec<_> = of("override").into_iter().map(|(key, value)| NewConfigOverride { key: key.into(), value: text(&value).into(), ..Default::default() }).collect();
                NewConfigOverride::insert_many(c, &overrides)?;
                let system: Vec<_> = of("system").into_iter().map(|(key, value)| NewSystemConfiguration { key: key.into(), value: ConfigValue(value), ..Default::default() }).collect();
                NewSystemConfiguration::insert_many(c, &system)
            })
            .unwrap();
            let variable = |(key, value): (String, Value)| (format!("VIRALDB_{}", key.to_uppercase().replace('.', "__")), text(&value));
            let dotenv: Vec<String> = of("dotenv").into_iter().map(variable).map(|(name, value)| format!("{name}='{value}'")).collect();
            t.file(".env", dotenv.join("\n"));
            let file: Vec<String> = of("file").into_iter().map(|(key, value)| format!("{key} = {value}")).collect();
            let file = t.file("viraldb.toml", file.join("\n") + DECLARED);

            // The library must return the same values from its cache. It sees the environment of the test
            // process, so the environment and dotenv layers are left out.
            let here: BTreeMap<_, _> = said.iter().filter(|((layer, _), _)| !["environment", "dotenv"].contains(layer)).map(|(at, value)| (at.clone(), value.clone())).collect();
            let config = Config::open_with(&db, Options { registry: with_own(), file: Some(file), keyring: None }).unwrap();
            let (all, all_of_channel): (Value, Value) = (config.all(None).unwrap(), config.all(Some(id)).unwrap());
            for key in registry.iter() {
                let name = key.name.as_ref();
                let (of_all, of_channel) = (expected(&here, key, false).0, expected(&here, key, true).0);
                assert_eq!(config.get::<Value>(name).ok().unwrap_or_default(), of_all, "seed {seed}, {name}");
                assert_eq!(config.get_for::<Value>(id, name).ok().unwrap_or_default(), of_channel, "seed {seed}, {name}");
                let inside = format!("/{}", name.replace('.', "/"));
                assert_eq!(all.pointer(&inside).cloned().unwrap_or_default(), of_all, "seed {seed}, {name}");
                assert_eq!(all_of_channel.pointer(&inside).cloned().unwrap_or_default(), of_channel, "seed {seed}, {name}");
            }

            for with_channel in [false, true] {
                let id = id.to_string();
                let mut args = vec!["config", "list", "--format", "json"];
                if with_channel {
                    args.extend(["--channel", &id]);
                }
                let output = t.command(&args).envs(of("environment").into_iter().map(variable)).output().unwrap();
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
                let listed: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
                assert_eq!(listed.len(), registry.iter().count());
                for (key, found) in registry.iter().zip(&listed) {
                    let expected = expected(&said, key, with_channel);
                    assert_eq!(found["key"], key.name.as_ref());
                    assert_eq!((found["value"].clone(), found["layer"].clone()), expected, "seed {seed}, {} {with_channel}: {found:#}", key.name);
                }
            }
        }
    }

    fn invalid_values_are_reported_with_their_source(t) {
        let db = t.db();
        db.write(|c| {
            let row = |key: &'static str, value: Value| NewSystemConfiguration { key: key.into(), value: ConfigValue(value), ..Default::default() };
            NewSystemConfiguration::insert_many(c, &[row("max_clips", json!("many")), row("cycle_hours", json!(0)), row("min_clips", json!("9"))])?;
            NewConfigOverride { key: "backup_keep".into(), value: "1.5".into(), ..Default::default() }.insert(c)
        })
        .unwrap();
        let id = channel(&db, json!({ "clip_duration_min": "x", "target_duration_min": 100 }));
        let config = with_file(t, &db, "\nmax_concurrent_runs = 0\nmax_concurrent_jobs = 7\n").unwrap();
        let said = |key: &str| config.get::<Value>(key).unwrap_err().to_string();
        assert_eq!(said("max_clips"), "max_clips in system_configuration max_clips must be a whole number from 1 to 100, got \"many\"");
        assert_eq!(said("cycle_hours"), "cycle_hours in system_configuration cycle_hours must be a whole number from 1 to 744, got 0");
        assert_eq!(said("backup_keep"), "backup_keep in config_overrides backup_keep must be a whole number from 1 to 10000, got \"1.5\"");
        let file = t.path("test.toml");
        assert_eq!(said("max_concurrent_runs"), format!("max_concurrent_runs in {}:2 must be a whole number from 1 to 100, got 0", file.display()));
        let of_channel = config.get_for::<u32>(id, "clip_duration_min").unwrap_err().to_string();
        assert_eq!(of_channel, format!("clip_duration_min in channels.settings of {id} must be a whole number from 1 to 3600, got \"x\""));
        // Other programs may write numbers as text.
        assert_eq!(config.get::<u32>("min_clips").unwrap(), 9);
        assert_eq!(config.get::<u32>("max_concurrent_jobs").unwrap(), 7);
        assert_eq!(config.get_for::<u32>(id, "target_duration_min").unwrap(), 100);
        assert_eq!(config.get::<u32>("target_duration_min").unwrap(), 480);
        // A value that is valid for the setting may still not fit the requested Rust type.
        assert_eq!(config.get::<u8>("target_duration_min").unwrap_err().to_string(), "target_duration_min 480 in the default cannot be converted: invalid value: integer `480`, expected u8");
        assert_eq!(config.get::<String>("kind").unwrap_err().to_string(), "kind has no value in any layer");
        assert_eq!(config.get::<Option<String>>("kind").unwrap(), None);
        assert!(said("max_clip").contains("did you mean max_clips"), "{}", said("max_clip"));
        assert!(matches!(config.get_for::<u32>(ChannelId::default(), "max_clips"), Err(viraldb::Error::NotFound { table: "channels", .. })));
    }

    fn settings_deserialize_into_a_struct(t) {
        #[derive(serde::Deserialize)]
        struct All {
            max_clips: u8,
            min_viral_score: f32,
            queue_paused: bool,
            kind: Option<String>,
            uploader: Uploader,
        }
        #[derive(serde::Deserialize)]
        struct Uploader {
            timeout: u16,
            retry: Value,
        }
        #[derive(Debug, serde::Deserialize)]
        #[allow(dead_code)]
        struct Small {
            target_duration_max: u8,
        }
        let db = t.db();
        let registry = || Registry::default().with([
            Key::new("uploader.timeout", Kind::Integer { min: 1, max: 600 }, 30).per_channel(),
            Key::new("uploader.retry", Kind::Json, json!({})),
        ]).unwrap();
        let id = channel(&db, json!({ "kind": "generation", "max_clips": 4, "uploader": { "timeout": 60 } }));
        let file = Some(t.file("test.toml", "[uploader]\nretry = { times = 2 }\n"));
        let config = Config::open_with(&db, Options { registry: registry(), file, ..Default::default() }).unwrap();
        let all: All = config.all(Some(id)).unwrap();
        assert_eq!((all.max_clips, all.min_viral_score, all.queue_paused, all.kind.as_deref()), (4, 0.6, false, Some("generation")));
        assert_eq!((all.uploader.timeout, all.uploader.retry), (60, json!({ "times": 2 })));
        let of_all: All = config.all(None).unwrap();
        assert_eq!((of_all.max_clips, of_all.uploader.timeout, of_all.kind), (10, 30, None));
        let small = config.all::<Small>(None).unwrap_err().to_string();
        assert_eq!(small, "target_duration_max in the default cannot be converted: invalid value: integer `600`, expected u8");
        assert_eq!(config.get_for::<u8>(id, "target_duration_max").unwrap(), 60);

        // An invalid value fails only structs that ask for it, even if their field is optional.
        #[derive(Debug, serde::Deserialize)]
        #[allow(dead_code)]
        struct Clips {
            min_clips: u8,
            max_clips: Option<u8>,
        }
        let bad = |key: &'static str| {
            let row = NewConfigOverride { key: key.into(), value: "x".into(), ..Default::default() };
            db.write(|c| row.insert_or_update(c)).unwrap();
            Config::open_with(&db, Options { registry: registry(), ..Default::default() }).unwrap()
        };
        let clips: Clips = bad("backup_keep").all(None).unwrap();
        assert_eq!((clips.min_clips, clips.max_clips), (8, Some(10)));
        let said = bad("max_clips").all::<Clips>(None).unwrap_err().to_string();
        assert_eq!(said, "max_clips in config_overrides max_clips must be a whole number from 1 to 100, got \"x\"");
        assert!(bad("max_clips").all::<Value>(None).is_err());
    }
}
