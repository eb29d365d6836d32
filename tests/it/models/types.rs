//! Tests of the types of column values.

use serde::{Deserialize, Serialize};
use serde_json::json;
use viraldb::compilation::*;
use viraldb::diesel::prelude::*;
use viraldb::republishing::*;
use viraldb::schema::scripts;
#[cfg(feature = "sqlite")]
use viraldb::schema::system_configuration;
use viraldb::{ConfigValue, Json, Timestamp};

use crate::make;
use crate::support::both;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Shape {
    title: String,
    clips: Vec<u8>,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

both! {
    fn typed_json_round_trips(t) {
        let db = t.db();
        let shape = Shape { title: "ü \"'\\ \u{1F3AC}".into(), clips: vec![1, 255], note: None };
        let row = db.write(|c| make::script(c).insert(c)).unwrap();
        let stored = Json(shape.clone());
        let changed = db.write(|c| {
            Ok(viraldb::diesel::update(scripts::table.find(row.id)).set(scripts::full_script_json.eq(&stored)).execute(c)?)
        });
        assert_eq!(changed.unwrap(), 1);
        let typed: Option<Json<Shape>> = db
            .read(|c| Ok(scripts::table.find(row.id).select(scripts::full_script_json).first(c)?))
            .unwrap();
        assert_eq!(typed, Some(Json(shape)));
        let free = db.read(|c| Script::find(c, row.id)).unwrap().full_script_json.unwrap();
        assert_eq!(free.0, json!({"title": "ü \"'\\ \u{1F3AC}", "clips": [1, 255]}));
        let other: Result<Option<Json<Vec<u8>>>, viraldb::Error> =
            db.read(|c| Ok(scripts::table.find(row.id).select(scripts::full_script_json).first(c)?));
        let error = other.unwrap_err();
        let mut causes = vec![error.to_string()];
        let mut cause = std::error::Error::source(&error);
        while let Some(error) = cause {
            causes.push(error.to_string());
            cause = error.source();
        }
        assert!(causes.iter().any(|cause| cause.contains("invalid type: map")), "{causes:?}");
    }

    fn json_null_differs_from_sql_null(t) {
        let db = t.db();
        let new = |json| NewMusic { metadata: json, ..make::music() };
        let null = db.write(|c| new(Some(Json(json!(null)))).insert(c)).unwrap();
        let none = db.write(|c| new(None).insert(c)).unwrap();
        assert_eq!((null.metadata, none.metadata), (Some(Json(json!(null))), None));
    }

    fn settings_hold_any_json(t) {
        let db = t.db();
        for value in [json!("bare"), json!(1.5), json!(true), json!(null), json!([1, "a"]), json!({"a": {"b": []}})] {
            let new = NewSystemConfiguration { value: ConfigValue(value.clone()), ..make::setting() };
            let row = db.write(|c| new.insert(c)).unwrap();
            assert_eq!(row.value.0, value);
            assert_eq!(db.read(|c| SystemConfiguration::find(c, &row.key)).unwrap().value.0, value);
        }
    }

    fn timestamps_keep_their_microseconds(t) {
        let db = t.db();
        for text in [
            "2026-11-21T08:30:00.123456Z", "2026-11-21T08:30:00.000001Z", "1999-12-31T23:59:59.999999Z",
            "2024-02-29T00:00:00Z", "1970-01-01T00:00:00Z", "9999-12-31T23:59:59.999999Z",
        ] {
            let at: Timestamp = text.parse().unwrap();
            let new = NewDiscoveredVideo { discovered_at: Some(at), ..make::discovered_video() };
            let row = db.write(|c| new.insert(c)).unwrap();
            assert_eq!(row.discovered_at, at);
            assert_eq!(db.read(|c| DiscoveredVideo::find(c, row.id)).unwrap().discovered_at.to_string(), at.to_string());
        }
        let finer: Timestamp = "2026-11-21T08:30:00.123456789+02:00".parse().unwrap();
        let new = NewDiscoveredVideo { discovered_at: Some(finer), ..make::discovered_video() };
        assert_eq!(db.write(|c| new.insert(c)).unwrap().discovered_at, finer);
        assert_eq!(finer.to_string(), "2026-11-21T06:30:00.123456Z");
    }

    fn later_ids_sort_after_earlier_ones(t) {
        let db = t.db();
        let new: Vec<_> = (0..500).map(|_| make::channel()).collect();
        assert!(new.is_sorted_by(|a, b| a.id < b.id));
        assert!(new.is_sorted_by(|a, b| a.id.to_string() < b.id.to_string()));
        assert_eq!(new[0].id.0.get_version_num(), 7);
        // The database sorts the ids the same way, and never assigns a number twice.
        db.write(|c| NewChannel::insert_many(c, &new)).unwrap();
        use viraldb::schema::channels::dsl::*;
        let sorted: Vec<ChannelId> = db.read(|c| Ok(channels.select(id).order(id).load(c)?)).unwrap();
        assert_eq!(sorted, new.iter().map(|row| row.id).collect::<Vec<_>>());
        let first = db.write(|c| make::pipeline_run().insert(c)).unwrap();
        db.write(|c| PipelineRun::delete(c, first.id)).unwrap();
        assert!(db.write(|c| make::pipeline_run().insert(c)).unwrap().id > first.id);
    }

    fn ids_round_trip_as_text(t) {
        let db = t.db();
        let row = db.write(|c| make::channel().insert(c)).unwrap();
        assert_eq!(row.id.to_string().parse::<ChannelId>().unwrap(), row.id);
        assert_eq!(row.id.to_string().to_uppercase().parse::<ChannelId>().unwrap(), row.id);
        let text = db.write(|c| Ok(make::query(c, "SELECT CAST(id AS text) AS v FROM channels"))).unwrap();
        assert_eq!(text, [row.id.to_string()]);
        assert_eq!("7".parse::<ClipId>().unwrap(), ClipId(7));
        assert!("7a".parse::<ClipId>().is_err());
    }
}

#[test]
fn databases_are_shared_by_threads_and_errors_can_be_sent() {
    fn shared<T: Clone + std::fmt::Debug + Send + Sync + 'static>() {}
    fn travels<T: std::error::Error + Send + Sync + 'static>() {}
    fn moves<T: Send + std::fmt::Debug>() {}
    shared::<viraldb::Database>();
    shared::<viraldb::config::Config>();
    travels::<viraldb::Error>();
    moves::<viraldb::DbConnection>();
    #[cfg(feature = "async")]
    shared::<viraldb::AsyncDatabase>();
}

#[test]
fn setting_that_may_be_a_secret_is_not_printed() {
    let value = || ConfigValue(json!("hunter2"));
    let sealed =
        NewSystemConfiguration { encrypted: Some(true), ..NewSystemConfiguration::new("k", value()) };
    let maybe = SystemConfigurationChanges { value: Some(value()), ..Default::default() };
    for text in [format!("{sealed:?}"), format!("{maybe:?}")] {
        assert!(text.contains("not encrypted") && !text.contains("hunter2"), "{text}");
    }
    let plain = SystemConfigurationChanges { encrypted: Some(false), ..maybe };
    let texts = [format!("{plain:?}"), format!("{:?}", NewSystemConfiguration::new("k", value()))];
    assert!(texts.iter().all(|text| text.contains("hunter2")), "{texts:?}");
}

#[test]
fn ids_and_documents_convert_from_plain_values() {
    let number: i64 = DiscoveredVideoId::from(7).into();
    let uuid: uuid::Uuid = ChannelId::from(uuid::Uuid::nil()).into();
    assert_eq!((number, uuid), (7, uuid::Uuid::nil()));
    let now = Timestamp::now();
    assert_eq!(chrono::DateTime::from(now), now.to_utc());
    let key: viraldb::secrets::KeyId = serde_json::from_value(json!("00000000000000ff")).unwrap();
    assert_eq!(serde_json::to_value(key).unwrap(), json!("00000000000000ff"));
    assert!(serde_json::from_value::<viraldb::secrets::KeyId>(json!("FF")).is_err());
    let scenes: Json = json!([1]).into();
    assert_eq!((scenes, ConfigValue::from(json!(1))), (Json(json!([1])), ConfigValue(json!(1))));
}

#[cfg(feature = "sqlite")]
#[test]
fn bare_text_in_a_setting_reads_as_a_string() {
    let t = crate::support::Scratch::sqlite();
    let db = t.db();
    let cases = [
        ("plain words", json!("plain words")),
        ("", json!("")),
        ("{not json", json!("{not json")),
        ("\"quoted\"", json!("quoted")),
        ("42", json!(42)),
        ("{\"a\":1}", json!({"a": 1})),
    ];
    for (text, value) in cases {
        let write = format!(
            "INSERT INTO system_configuration (key, value) VALUES ('k', '{text}')
             ON CONFLICT (key) DO UPDATE SET value = excluded.value"
        );
        db.write(|c| make::execute(c, &write)).unwrap();
        assert_eq!(db.read(|c| SystemConfiguration::find(c, "k")).unwrap().value, ConfigValue(value));
    }
    let own: ConfigValue =
        db.read(|c| Ok(system_configuration::table.select(system_configuration::value).first(c)?)).unwrap();
    assert_eq!(own.0, json!({"a": 1}));
}

#[test]
fn enums_parse_only_the_words_that_they_write() {
    for word in JobType::ALL {
        assert_eq!(word.as_str().parse::<JobType>().unwrap(), *word);
        assert_eq!(serde_json::to_value(word).unwrap(), json!(word.as_str()));
    }
    let error = "mix".parse::<JobType>().unwrap_err().to_string();
    assert_eq!(
        error,
        "unknown value \"mix\"; expected scrape, download, transform, publish or music_replace"
    );
    for status in Processed::ALL {
        assert_eq!(status.as_str().parse::<Processed>().unwrap(), *status);
        assert_eq!(i32::from(*status).to_string().parse::<Processed>().unwrap(), *status);
    }
    assert!("4".parse::<Processed>().is_err() && "Used".parse::<Processed>().is_err());
}
