//! The schema in the database, as other programs see it.

mod describe;
#[cfg(feature = "sqlite")]
mod on_sqlite;

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use viraldb::compilation::{ContentIdRisk, Processed, ReviewAction, RunStatus, ShortStatus};
use viraldb::diesel::connection::SimpleConnection;
use viraldb::generation::{self, JobVideoStatus, Platform};
use viraldb::republishing::*;
use viraldb::{Database, Page};

use crate::make::{self, contract, execute, query, seed};
use crate::support::both;
use describe::{columns, constraints, foreign_keys, indexes};

/// Returns true if the database rejects a statement. Earlier changes are kept.
fn refuses(db: &Database, statement: &str) -> bool {
    let result = db.write(|c| Ok(c.batch_execute(statement)?));
    result.is_err()
}

/// Returns the values of a CHECK in order if it is a list of words or numbers.
fn check_words(check: &str) -> Option<Vec<String>> {
    let check = check.strip_prefix("CHECK ")?;
    let list = match (check.split_once("ARRAY["), check.split_once(" IN (")) {
        (Some((_, list)), _) => list.split(']').next()?,
        (_, Some((column, list))) if !column.contains(' ') => list.split(')').next()?,
        _ => return None,
    };
    let word = |word: &str| word.trim().trim_end_matches("::text").trim_matches('\'').to_owned();
    Some(list.split(", ").map(word).collect())
}

/// Returns every column with a fixed list of values, with the words of its Rust enum.
fn word_columns() -> BTreeMap<(&'static str, &'static str), Vec<String>> {
    macro_rules! words {
        ($($table:ident.$column:ident: $words:ty),+ $(,)?) => {
            [$(((stringify!($table), stringify!($column)), <$words>::ALL.iter().map(|word| word.as_str().to_owned()).collect())),+]
        };
    }
    let mut words = BTreeMap::from(words! {
        discovered_videos.content_id_risk: ContentIdRisk,
        pipeline_runs.status: RunStatus,
        clips.content_id_risk: ContentIdRisk,
        shorts.status: ShortStatus,
        review_log.action: ReviewAction,
        viraldb_config_changes.layer: viraldb::config::ChangedLayer,
        viraldb_job_attempts.outcome: viraldb::queue::AttemptOutcome,
        viraldb_job_schedules.job_type: JobType,
        viraldb_job_schedules.missed: viraldb::queue::MissedTicks,
        videos.download_status: DownloadStatus,
        videos.transformation_status: TransformationStatus,
        videos.publication_status: PublicationStatus,
        video_processing_jobs.job_type: JobType,
        video_processing_jobs.status: JobStatus,
        jobs.status: generation::JobStatus,
        trends.platform: Platform,
        job_videos.status: JobVideoStatus,
    });
    let numbers = Processed::ALL.iter().map(|status| i32::from(*status).to_string()).collect();
    words.insert(("discovered_videos", "processed"), numbers);
    words
}

both! {
    fn tables_and_columns_match_the_contract(t) {
        t.db().read(|c| {
            let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
            for column in columns(c) {
                let column: Vec<&str> = column.split('|').collect();
                found.entry(column[0].to_owned()).or_default().insert(column[2].to_owned());
            }
            found.retain(|table, _| !table.starts_with("viraldb_"));
            let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            let expected: BTreeMap<String, BTreeSet<String>> = contract()
                .iter()
                .map(|table| (table.table.to_owned(), [keys(&table.given), keys(&table.defaults)].concat().into_iter().collect()))
                .collect();
            assert_eq!((&found, found.len()), (&expected, 22));
            Ok(())
        })
        .unwrap();
    }

    fn inserts_by_other_programs_get_the_defaults(t) {
        let db = t.db();
        db.write(seed).unwrap();
        for make::Contract { table, given, defaults } in contract() {
            let rows = db.read(|c| Ok(make::rows(c, table))).unwrap();
            assert_eq!(rows.len(), 1, "{table}");
            for (column, value) in rows[0].as_object().unwrap() {
                match (given.get(column), defaults.get(column)) {
                    (None, Some(default)) if default == "now" => assert!(make::is_now(value), "{table}.{column}"),
                    (None, Some(default)) => assert_eq!(value, default, "{table}.{column}"),
                    (Some(time), None) if column.starts_with("cycle_") => {
                        // The other session may use another time zone.
                        let hours = value.as_str().unwrap().parse::<viraldb::Timestamp>().unwrap()
                            .hours_since(time.as_str().unwrap().parse().unwrap());
                        assert!(hours.abs() <= 14.0);
                    }
                    // The serialized row does not show the encrypted text.
                    (Some(_), None) if column == "api_credentials_encrypted" => assert_eq!(value, "not encrypted"),
                    (Some(given), None) => assert_eq!(value, given, "{table}.{column}"),
                    _ => panic!("{table}.{column}"),
                }
            }
        }
    }

    fn foreign_keys_match_the_contract(t) {
        let expected = [
            "channel_statistics|channel_id|channels|id|CASCADE",
            "channels|effect_preset_id|transformation_presets|id|SET NULL",
            "clips|discovered_video_id|discovered_videos|id|NO ACTION",
            "clips|pipeline_run_id|pipeline_runs|id|NO ACTION",
            "error_log|pipeline_run_id|pipeline_runs|id|NO ACTION",
            "job_scripts|job_id|jobs|id|NO ACTION",
            "job_videos|job_id|jobs|id|NO ACTION",
            "job_videos|script_id|job_scripts|id|NO ACTION",
            "review_log|pipeline_run_id|pipeline_runs|id|NO ACTION",
            "scripts|pipeline_run_id|pipeline_runs|id|NO ACTION",
            "shorts|clip_id|clips|id|NO ACTION",
            "shorts|pipeline_run_id|pipeline_runs|id|NO ACTION",
            "tts_audio|pipeline_run_id|pipeline_runs|id|NO ACTION",
            "video_processing_jobs|channel_id|channels|id|CASCADE",
            "video_processing_jobs|video_id|videos|id|CASCADE",
            "video_statistics|video_id|videos|id|CASCADE",
            "videos|channel_id|channels|id|CASCADE",
            "videos|music_track_id|music|id|SET NULL",
            "videos|transformation_preset_id|transformation_presets|id|SET NULL",
            "viraldb_job_attempts|job_id|video_processing_jobs|id|CASCADE",
            "viraldb_job_schedules|channel_id|channels|id|CASCADE",
            "viraldb_job_schedules|video_id|videos|id|CASCADE",
            "viraldb_job_waits|job_id|video_processing_jobs|id|CASCADE",
            "viraldb_job_waits|waits_for|video_processing_jobs|id|CASCADE",
        ];
        let found = t.db().read(|c| Ok(foreign_keys(c))).unwrap();
        assert_eq!(found, expected.map(|key| format!("{key}|NO ACTION")).into());
    }

    fn integer_columns_reject_values_beyond_32_bits(t) {
        let db = t.db();
        db.write(seed).unwrap();
        for column in [
            "discovered_videos.category_id", "discovered_videos.duration_seconds", "pipeline_runs.retry_count",
            "clips.rank_position", "scripts.total_char_count", "analytics.subscriber_gain", "music.duration",
            "music.usage_count", "videos.download_duration", "videos.processing_duration",
            "video_processing_jobs.priority", "video_processing_jobs.attempts", "video_processing_jobs.max_attempts",
            "video_processing_jobs.duration", "channel_statistics.video_count", "channel_statistics.total_videos",
        ] {
            let (table, column) = column.split_once('.').unwrap();
            let set = |value: i64| format!("UPDATE {table} SET {column} = {value}");
            assert!(!refuses(&db, &set(2_147_483_647)), "{column}");
            for value in [2_147_483_648, -2_147_483_649, i64::MAX] {
                let error = db.write(|c| Ok(c.batch_execute(&set(value))?)).unwrap_err();
                assert!(matches!(error, viraldb::Error::Invalid { .. }), "{column}: {error:?}");
            }
        }
    }

    fn every_foreign_key_is_indexed(t) {
        let (keys, indexes) = t.db().read(|c| Ok((foreign_keys(c), indexes(c)))).unwrap();
        for key in keys {
            let key: Vec<&str> = key.split('|').collect();
            let serves = |index: &String| {
                let index: Vec<&str> = index.split('|').collect();
                index[0] == key[0] && index[2].split(',').next() == Some(key[1]) && index[4] == "0"
            };
            assert!(indexes.iter().any(serves), "no index begins with {}.{}", key[0], key[1]);
        }
    }

    fn indexes_of_the_contract_exist(t) {
        let found = t.db().read(|c| Ok(indexes(c))).unwrap();
        for index in [
            "discovered_videos|idx_discovered_videos_niche|niche,discovered_at",
            "discovered_videos|idx_discovered_videos_processed|processed",
            "pipeline_runs|idx_pipeline_runs_status|status",
            "pipeline_runs|idx_pipeline_runs_niche|niche,cycle_start",
            "clips|idx_clips_pipeline|pipeline_run_id",
            "analytics|idx_analytics_video|youtube_video_id,measured_at",
            "error_log|idx_error_log_module|module,occurred_at",
            "channels|idx_channels_is_active|is_active",
            "channels|idx_channels_effect_preset_id|effect_preset_id",
            "channels|idx_channels_created_at|created_at",
            "videos|idx_videos_channel_id|channel_id",
            "videos|idx_videos_publication_status|publication_status",
            "videos|idx_videos_download_status|download_status",
            "videos|idx_videos_transformation_status|transformation_status",
            "videos|idx_videos_youtube_video_id|youtube_video_id",
            "videos|idx_videos_created_at|created_at",
            "video_processing_jobs|idx_jobs_video_id|video_id",
            "video_processing_jobs|idx_jobs_channel_id|channel_id",
            "video_processing_jobs|idx_jobs_status|status",
            "video_processing_jobs|idx_jobs_job_type|job_type",
            "video_processing_jobs|idx_jobs_priority_status|priority,status,queued_at",
            "video_processing_jobs|idx_jobs_queued_at|queued_at",
            "channel_statistics|idx_channel_stats_channel_id|channel_id",
            "channel_statistics|idx_channel_stats_timestamp|timestamp",
            "video_statistics|idx_video_stats_video_id|video_id",
            "video_statistics|idx_video_stats_timestamp|timestamp",
        ] {
            assert!(found.contains(&format!("{index}|0|0")), "{index} is not among {found:#?}");
        }
        for index in [
            "transformation_presets|transformation_presets_is_default_key|is_default",
            "video_processing_jobs|video_processing_jobs_unique_key_key|unique_key",
        ] {
            assert!(found.contains(&format!("{index}|1|1")), "{index} is not among {found:#?}");
        }
    }

    fn enum_words_match_the_check_constraints(t) {
        let mut found: BTreeMap<(String, String), Vec<String>> = BTreeMap::new();
        for ((table, name), says) in t.db().read(|c| Ok(constraints(c))).unwrap() {
            let column = name.strip_prefix(&format!("{table}_")).and_then(|name| name.strip_suffix("_check"));
            if let (Some(words), Some(column)) = (check_words(&says), column)
                && words != ["0", "1"]
            {
                found.insert((table, column.to_owned()), words);
            }
        }
        let expected: BTreeMap<_, _> = word_columns()
            .into_iter()
            .map(|((table, column), words)| ((table.to_owned(), column.to_owned()), words))
            .collect();
        assert_eq!(found, expected);
    }

    fn video_status_is_the_furthest_stage(t) {
        let db = t.db();
        let mut seen = BTreeSet::new();
        let video = db.write(|c| make::video(c).insert(c)).unwrap();
        for download in DownloadStatus::ALL {
            for transformation in TransformationStatus::ALL {
                for publication in PublicationStatus::ALL {
                    let change = VideoChanges {
                        download_status: Some(*download),
                        transformation_status: Some(*transformation),
                        publication_status: Some(*publication),
                        ..Default::default()
                    };
                    let stages = [publication.as_str(), transformation.as_str(), download.as_str()];
                    let furthest = VideoStatus::ALL.iter().find(|stage| stages.contains(&stage.as_str())).unwrap();
                    let after = db.write(|c| change.update(c, video.id)).unwrap();
                    assert_eq!(after.status, *furthest, "{stages:?}");
                    let found = db.read(|c| Video::list(c, &VideoFilter { status: Some(*furthest), ..Default::default() }, &Page::first(1)));
                    assert_eq!(found.unwrap(), [after]);
                    seen.insert(furthest.as_str());
                }
            }
        }
        // The order of the contract. With this order, `find` above implements the contract's rule.
        let order = VideoStatus::ALL.iter().map(|stage| stage.as_str()).collect::<Vec<_>>();
        assert_eq!(order, ["failed", "published", "publishing", "scheduled", "transformed", "processing", "downloaded", "downloading", "pending"]);
        assert_eq!(seen, order.into_iter().collect());
        assert!(refuses(&db, "UPDATE videos SET status = 'published'"), "status is computed");
    }

    fn unknown_enum_words_are_rejected(t) {
        let db = t.db();
        db.write(seed).unwrap();
        db.write(|c| execute(c, "INSERT INTO viraldb_config_changes (changed_by, key, layer) VALUES ('a', 'k', 'system')")).unwrap();
        db.write(add_schedule).unwrap();
        db.write(|c| execute(c, "INSERT INTO viraldb_job_attempts (id, job_id, attempt, outcome, ended_at) SELECT id, id, 1, 'failed', '2020-01-01 00:00:00' FROM video_processing_jobs")).unwrap();
        for ((table, column), words) in word_columns() {
            let quoted = |word: &str| if column == "processed" { word.to_owned() } else { format!("'{word}'") };
            for word in &words {
                db.write(|c| execute(c, &format!("UPDATE {table} SET {column} = {}", quoted(word)))).unwrap();
            }
            let other = if column == "processed" { ["-1", "4"] } else { ["other", ""] };
            for word in other {
                assert!(refuses(&db, &format!("UPDATE {table} SET {column} = {}", quoted(word))), "{table}.{column} {word:?}");
            }
        }
    }

    fn updated_at_is_set_on_every_update(t) {
        let db = t.db();
        db.write(seed).unwrap();
        db.write(add_schedule).unwrap();
        let columns = db.read(|c| Ok(columns(c))).unwrap();
        let tables: Vec<String> = columns
            .iter()
            .filter(|column| column.split('|').nth(2) == Some("updated_at"))
            .map(|column| column.split('|').next().unwrap().to_owned())
            .collect();
        assert_eq!(tables, [
            "channels", "config_overrides", "jobs", "music", "system_configuration", "transformation_presets",
            "video_processing_jobs", "videos", "viraldb_job_schedules",
        ]);
        for table in tables {
            let texts = ["key", "name"].into_iter().find(|key| columns.contains(&format!("{table}|1|{key}|text|not null|")));
            let key = texts.unwrap_or("id");
            let read = || updated_at_of(&db, &table);
            let set = |what: &str| db.write(|c| execute(c, &format!("UPDATE {table} SET {what}"))).unwrap();
            set("updated_at = '2020-01-01 00:00:00'");
            assert_eq!(read().to_string().get(..7), Some("2020-01"), "{table}: an explicit value was not kept");
            set(&format!("{key} = {key}"));
            assert!(make::is_now(&Value::from(read().to_string())), "{table}: an update did not set the current time");
            set(&format!("{key} = {key}, updated_at = '2021-01-01 12:00:00'"));
            assert!(matches!(read().to_string().get(..7), Some("2021-01")), "{table}: an explicit value was not kept in a larger update");
            let before = read();
            set(&format!("{key} = {key}"));
            let moved = read();
            assert!(moved > before, "{table}");
            std::thread::sleep(std::time::Duration::from_millis(2));
            set(&format!("{key} = {key}"));
            assert!(read() > moved, "{table}: a later update did not move it");
        }
    }

    fn only_one_preset_can_be_the_default(t) {
        let db = t.db();
        db.write(seed).unwrap();
        let insert = |n: u8, is_default: bool| {
            let value = if t.is_postgres { is_default.to_string() } else { u8::from(is_default).to_string() };
            format!(
                "INSERT INTO transformation_presets (id, name, parameters, is_default)
                 VALUES ('0190a000-0000-7000-8000-0000000000{n}', 'x', '{{}}', {value})"
            )
        };
        assert!(!refuses(&db, &insert(10, true)));
        assert!(refuses(&db, &insert(11, true)));
        assert!(!refuses(&db, &insert(12, false)));
    }

    fn parents_with_children_cannot_be_deleted(t) {
        let db = t.db();
        db.write(|c| {
            seed(c)?;
            make::link(c)
        })
        .unwrap();
        // For each parent, its children. Each child in turn is the only one left.
        for (parent, children) in [
            ("discovered_videos", &["clips"][..]),
            ("clips", &["shorts"]),
            ("pipeline_runs", &["error_log", "review_log", "scripts", "tts_audio", "shorts", "clips"]),
            ("job_scripts", &["job_videos"]),
            ("jobs", &["job_videos", "job_scripts"]),
        ] {
            for child in children {
                let mut others: Vec<&str> = children.iter().copied().filter(|other| other != child).collect();
                if *child == "clips" {
                    others.push("shorts");
                }
                if *child == "job_scripts" {
                    others.push("job_videos");
                }
                let free = if *child == "shorts" && parent == "pipeline_runs" { "UPDATE shorts SET clip_id = NULL" } else { "SELECT 1" };
                let refused = db.write(|c| {
                    c.batch_execute(free)?;
                    for other in &others {
                        c.batch_execute(&format!("DELETE FROM {other}"))?;
                    }
                    c.batch_execute("SAVEPOINT s")?;
                    let error = c.batch_execute(&format!("DELETE FROM {parent}")).unwrap_err();
                    c.batch_execute("ROLLBACK TO s")?;
                    // Only this child prevented the deletion.
                    c.batch_execute(&format!("DELETE FROM {child}"))?;
                    c.batch_execute(&format!("DELETE FROM {parent}"))?;
                    Err::<(), _>(viraldb::Error::from(error))
                });
                let said = refused.unwrap_err().to_string();
                assert!(said.contains("another row still refers to it"), "{parent} {child}: {said}");
            }
        }
    }

    fn deletes_cascade_or_set_null(t) {
        let db = t.db();
        db.write(|c| {
            seed(c)?;
            make::link(c)
        })
        .unwrap();
        let count = |what: &str| {
            let text = format!("SELECT CAST(count(*) AS text) AS v FROM {what}");
            db.read(|c| Ok(query(c, &text))).unwrap().remove(0)
        };
        db.write(|c| execute(c, "DELETE FROM transformation_presets; DELETE FROM music")).unwrap();
        assert_eq!(count("channels WHERE effect_preset_id IS NULL"), "1");
        assert_eq!(count("videos WHERE transformation_preset_id IS NULL AND music_track_id IS NULL"), "1");
        let children = ["videos", "video_processing_jobs", "channel_statistics", "video_statistics"];
        assert_eq!(children.map(count), ["1"; 4]);
        db.write(|c| execute(c, "DELETE FROM channels")).unwrap();
        assert_eq!(children.map(count), ["0"; 4]);
    }

    fn cycles_must_not_end_before_they_start(t) {
        let db = t.db();
        let insert = |end: &str| {
            format!("INSERT INTO pipeline_runs (niche, cycle_start, cycle_end) VALUES ('a', '2026-01-01 00:00:00', '{end}')")
        };
        assert!(refuses(&db, &insert("2025-12-31 23:59:59.999999")));
        assert!(!refuses(&db, &insert("2026-01-01 00:00:00")));
        assert!(!refuses(&db, &insert("2026-01-01 00:00:00.000001")));
    }
}

/// Inserts a schedule for the video of [`seed`], as another program would.
fn add_schedule(c: &mut viraldb::DbConnection) -> viraldb::Result<()> {
    execute(
        c,
        "INSERT INTO viraldb_job_schedules (name, job_type, video_id, channel_id, cron, next_at) \
         SELECT 's', 'scrape', id, channel_id, '@daily', '2020-01-01 00:00:00' FROM videos",
    )
}

fn updated_at_of(db: &Database, table: &str) -> viraldb::Timestamp {
    if table == "viraldb_job_schedules" {
        return db.read(|c| viraldb::queue::JobSchedule::find(c, "s")).unwrap().updated_at;
    }
    let rows = db.read(|c| Ok(make::rows(c, table))).unwrap();
    rows[0]["updated_at"].as_str().unwrap().parse().unwrap()
}

#[cfg(all(feature = "sqlite", feature = "postgres"))]
#[test]
fn both_engines_have_the_same_schema() {
    use crate::support::Scratch;

    let (sqlite, postgres) = (Scratch::sqlite().described(), Scratch::postgres().described());
    for (what, ours, theirs) in [
        ("columns", &sqlite.0, &postgres.0),
        ("indexes", &sqlite.1, &postgres.1),
        ("keys", &sqlite.2, &postgres.2),
        ("foreign keys", &sqlite.3, &postgres.3),
    ] {
        let only_sqlite: Vec<_> = ours.difference(theirs).collect();
        let only_postgres: Vec<_> = theirs.difference(ours).collect();
        assert!(
            only_sqlite.is_empty() && only_postgres.is_empty() && !ours.is_empty(),
            "{what}: only on SQLite {only_sqlite:#?}, only on PostgreSQL {only_postgres:#?}"
        );
    }
    // SQLite has all constraints of PostgreSQL under the same names, and more checks where PostgreSQL has types.
    let kind = |says: &str| match says.split([' ', '(']).next().unwrap() {
        "FOREIGN" | "REFERENCES" => "FOREIGN",
        "UNIQUE" => "UNIQUE",
        "CHECK" => "CHECK",
        other => panic!("{other}"),
    };
    for (at, says) in &postgres.4 {
        assert_eq!(sqlite.4.get(at).map(|says| kind(says)), Some(kind(says)), "{at:?}");
        assert_eq!(sqlite.4.get(at).and_then(|says| check_words(says)), check_words(says), "{at:?}");
    }
    for (at, says) in &sqlite.4 {
        let in_place_of_a_type =
            ["strftime", "json_valid", "LIKE '________-", "IN (0, 1))", "BETWEEN -2147483648"];
        if !in_place_of_a_type.iter().any(|part| says.contains(part)) {
            assert!(postgres.4.contains_key(at), "{at:?} {says}");
        }
    }
}

#[cfg(all(feature = "sqlite", feature = "postgres"))]
type Described = (
    BTreeSet<String>,
    BTreeSet<String>,
    BTreeSet<String>,
    BTreeSet<String>,
    BTreeMap<(String, String), String>,
);

#[cfg(all(feature = "sqlite", feature = "postgres"))]
impl crate::support::Scratch {
    fn described(&self) -> Described {
        self.db()
            .read(|c| Ok((columns(c), indexes(c), describe::keys(c), foreign_keys(c), constraints(c))))
            .unwrap()
    }
}

/// ViralForge was written for other tables and knows only its original names.
#[cfg(feature = "postgres")]
#[test]
fn viralforge_can_use_its_original_table_names() {
    use viraldb::diesel::pg::PgConnection;
    use viraldb::diesel::prelude::*;

    let t = crate::support::Scratch::postgres();
    let db = t.db();
    let mut c = viraldb::DbConnection::Postgres(PgConnection::establish(&t.url).unwrap());
    execute(&mut c, "SET search_path = viralforge; SET TIME ZONE 'UTC'").unwrap();
    let mut say = |text: &str| query(&mut c, text);

    assert_eq!(
        say("INSERT INTO jobs (theme) VALUES ('cats') RETURNING concat_ws(' ', id, status, theme) AS v"),
        ["1 pending cats"]
    );
    assert_eq!(
        say(
            "INSERT INTO trends (platform, external_id, hashtags) VALUES ('tiktok', 'x1', '[\"#a\"]') RETURNING concat_ws(' ', id, platform, hashtags->>0) AS v"
        ),
        ["1 tiktok #a"]
    );
    assert_eq!(
        say(
            "INSERT INTO scripts (job_id, video_prompt, scenes) VALUES (1, 'a cat', '[]') RETURNING concat_ws(' ', id, job_id, video_prompt) AS v"
        ),
        ["1 1 a cat"]
    );
    assert_eq!(
        say(
            "INSERT INTO videos (job_id, script_id, cost_usd) VALUES (1, 1, 0.25) RETURNING concat_ws(' ', id, status, cost_usd) AS v"
        ),
        ["1 generated 0.25"]
    );
    assert_eq!(say("INSERT INTO jobs DEFAULT VALUES RETURNING id::text AS v"), ["2"]);
    assert_eq!(
        say("UPDATE jobs SET status = 'running' WHERE id = 1 RETURNING (updated_at > created_at)::text AS v"),
        ["true"]
    );
    assert_eq!(say("UPDATE trends SET views = 3000000000 RETURNING views::text AS v"), ["3000000000"]);
    assert_eq!(say("UPDATE scripts SET title = 'T' RETURNING title AS v"), ["T"]);
    assert_eq!(
        say(
            "UPDATE videos SET status = 'approved', approved_at = '2026-01-02 03:04:05Z' RETURNING approved_at::text AS v"
        ),
        ["2026-01-02 03:04:05+00"]
    );

    let job = db.read(|c| generation::Job::find(c, generation::JobId(1))).unwrap();
    assert_eq!((job.status, job.theme.as_deref()), (generation::JobStatus::Running, Some("cats")));
    let trend = db.read(|c| generation::Trend::find_by_external_id(c, "x1")).unwrap();
    assert_eq!((trend.platform, trend.views), (Platform::Tiktok, Some(3_000_000_000)));
    let scripts = db.read(|c| generation::JobScript::of_job(c, job.id)).unwrap();
    assert_eq!((scripts.len(), scripts[0].title.as_deref()), (1, Some("T")));
    let videos = db.read(|c| generation::JobVideo::of_job(c, job.id)).unwrap();
    assert_eq!((videos.len(), videos[0].status), (1, JobVideoStatus::Approved));

    assert!(c.batch_execute("INSERT INTO videos (status) VALUES ('lost')").is_err());
    assert!(c.batch_execute("DELETE FROM jobs WHERE id = 1").is_err(), "the job has children");
    for (table, column) in [("videos", "id"), ("scripts", "id"), ("trends", "external_id"), ("jobs", "id")] {
        let gone = query(&mut c, &format!("DELETE FROM {table} RETURNING {column}::text AS v"));
        assert!(!gone.is_empty(), "{table}");
        assert!(query(&mut c, &format!("SELECT {column}::text AS v FROM {table}")).is_empty(), "{table}");
    }
    assert!(db.read(|c| generation::Job::list(c, &Default::default(), &Page::first(9))).unwrap().is_empty());
}
