//! A transfer copies every row unchanged.

use serde_json::Value;
use viraldb::config::set_default_configs;
use viraldb::secrets::{self, Key, Keyring, Place};

use super::*;
use crate::support::both;

/// Statements that set difficult values in every column that accepts them.
const DIFFICULT_VALUES: &str = r##"
UPDATE discovered_videos SET title = 'O''Brien	"x" \N \. 🎬 é
        second line', channel_name = '', view_count = 9223372036854775807, like_count = -9223372036854775808,
    comment_count = 0, view_velocity = 1e300, viral_score = 5e-324, category_id = -2147483648,
    duration_seconds = 2147483647, discovered_at = '0001-01-01 00:00:00', processed = 3, content_id_risk = 'high',
    discovery_source = 'NULL';
UPDATE pipeline_runs SET cycle_start = '1969-12-31 23:59:59.999999', cycle_end = '9999-12-31 23:59:59.999999',
    started_at = '2024-02-29 12:00:00.000001', video_duration_seconds = 0.1, video_file_size_bytes = 5000000000,
    error_message = 'a' || chr(1) || 'b';
UPDATE clips SET start_time_seconds = 0, end_time_seconds = 1.7976931348623157e308, clip_duration_seconds = 2.2250738585072014e-308;
UPDATE scripts SET full_script_json = '{"b": [1, 2.50, null, {"é": "\u00e9\n\\"}], "a": "", "n": 12345678901234567890}',
    opening_text = ' ', total_char_count = 0;
UPDATE tts_audio SET duration_seconds = 1e-7, generated_at = '2026-11-21 08:30:00.1';
UPDATE shorts SET description = '%s {} ?1 $1', uploaded_at = '2026-01-01 00:00:00.123456';
UPDATE analytics SET click_through_rate = 0.30000000000000004, subscriber_gain = -3, measured_at = '2026-01-01 23:59:59.999999';
UPDATE review_log SET auto_held = true, action = 'redo_script', responded_at = '2026-01-02 00:00:00';
UPDATE config_overrides SET value = '"quoted"', updated_at = '2000-01-01 00:00:00';
UPDATE error_log SET resolved = true, correlation_id = 'ffffffff-ffff-ffff-ffff-ffffffffffff', stack_trace = '
    at x';
UPDATE transformation_presets SET is_default = true, is_active = false, parameters = '[[[]], {"": {}}]', updated_at = '2001-01-01 00:00:00';
UPDATE music SET spotify_track_id = 'ß', metadata = 'null', file_size = 1, updated_at = '2001-01-01 00:00:00.000001';
UPDATE channels SET settings = '"text"', posting_schedule = '-0.5', phase2_enabled = true, updated_at = '2001-01-01 00:00:00',
    last_publication_at = '2026-05-05 05:05:05.050505';
UPDATE videos SET download_status = 'downloaded', publication_status = 'scheduled', final_tags = '["a", "a"]', music_replaced = true,
    transformation_params = 'true', updated_at = '2001-01-01 00:00:00', scheduled_publication_at = '2030-01-01 00:00:00';
UPDATE video_processing_jobs SET status = 'retrying', priority = -5, lease_token = '00000000-0000-0000-0000-000000000000',
    unique_key = 'k', error_details = '"x"', run_at = '2099-01-01 00:00:00', updated_at = '2001-01-01 00:00:00';
UPDATE channel_statistics SET total_views = 9007199254740993;
UPDATE video_statistics SET like_count = -1;
UPDATE system_configuration SET value = '{"deep": {"er": [1, [2, [3]]]}}', updated_at = '2001-01-01 00:00:00';
UPDATE jobs SET metadata = '{}', updated_at = '2001-01-01 00:00:00';
UPDATE trends SET hashtags = '["#é", ""]', views = 2147483648;
UPDATE job_scripts SET scenes = '"one"', hashtags = '[]';
UPDATE job_videos SET cost_usd = 1e-300, duration_seconds = -1.5, approved_at = '2026-01-01 00:00:00'
"##;

fn with_difficult_values(t: &Scratch) -> viraldb::Database {
    let db = t.db();
    seed(&db);
    let statements =
        if t.is_postgres { DIFFICULT_VALUES.to_owned() } else { DIFFICULT_VALUES.replace("chr(", "char(") };
    execute(&db, &statements);
    execute(
        &db,
        "INSERT INTO viraldb_keys (id, first_used_at, retired_at) VALUES ('k1', '2026-01-01 00:00:00', NULL);
         INSERT INTO viraldb_config_changes (changed_at, changed_by, key, layer, channel_id, old_value, new_value) VALUES \
         ('2026-01-01 00:00:00', 'me', 'k', 'channel', '0190a000-0000-7000-8000-00000000000a', NULL, '\"x\"');
         INSERT INTO viraldb_job_attempts (id, job_id, attempt, outcome, worker, error, ended_at) \
         SELECT '0190a000-0000-7000-8000-00000000000b', id, 2, 'lost', 'w', NULL, '2026-01-01 00:00:00' FROM video_processing_jobs LIMIT 1;
         INSERT INTO viraldb_job_waits (id, job_id, waits_for, run_at) \
         SELECT '0190a000-0000-7000-8000-00000000000c', id, id, '2026-01-01 00:00:00' FROM video_processing_jobs LIMIT 1;
         INSERT INTO viraldb_job_schedules (name, job_type, video_id, channel_id, cron, payload, overlap, next_at) \
         SELECT 's', 'scrape', video_id, channel_id, '0 6 * * *', '{\"a\":1}', true, '2026-01-01 00:00:00' FROM video_processing_jobs LIMIT 1",
    );
    db
}

/// Returns all rows of all tables, as models and queries read them.
fn contents(db: &viraldb::Database) -> Vec<(&'static str, Vec<Value>)> {
    let changes = "SELECT changed_by || key || layer || CAST(channel_id AS text) || new_value AS v FROM viraldb_config_changes";
    let keys = "SELECT id || coalesce(CAST(retired_at AS text), 'in use') AS v FROM viraldb_keys";
    let attempts =
        "SELECT CAST(job_id AS text) || attempt || outcome || worker AS v FROM viraldb_job_attempts";
    let waits = "SELECT CAST(job_id AS text) || CAST(waits_for AS text) AS v FROM viraldb_job_waits";
    let schedules = "SELECT name || job_type || CAST(video_id AS text) || cron || time_zone || priority AS v FROM viraldb_job_schedules";
    db.read(|c| {
        let contract = make::contract();
        let mut all: Vec<_> =
            contract.iter().map(|table| (table.table, make::rows(c, table.table))).collect();
        for (name, query) in [
            ("changes", changes),
            ("keys", keys),
            ("attempts", attempts),
            ("waits", waits),
            ("schedules", schedules),
        ] {
            all.push((name, make::query(c, query).into_iter().map(Value::from).collect()));
        }
        Ok(all)
    })
    .unwrap()
}

both! {
    fn every_table_survives_a_transfer_and_back(t) {
        let db = with_difficult_values(t);
        let (there, back) = (other_engine(t), t.another());
        let first = run(t, &there, Existing::Refuse).unwrap();
        assert_eq!((first.tables.len(), first.rows, first.resumed), (27, 27, 0));
        assert!(first.tables.iter().all(|table| table.rows == 1), "{first:?}");
        let expected = contents(&db);
        assert!(expected.iter().all(|(_, rows)| rows.len() == 1), "{expected:?}");
        assert_eq!(contents(&there.db()), expected);
        let second = run(&there, &back, Existing::Refuse).unwrap();
        assert_eq!(digests(&second), digests(&first));
        assert_eq!(contents(&back.db()), expected);
        // The transfer leaves no extra tables in the source or the target.
        for scratch in [t, &there, &back] {
            let tables = scratch.db().read(|c| Ok(tables(scratch, c))).unwrap();
            assert_eq!(tables.len(), 31, "{tables:?}");
        }
    }

    fn transfer_works_within_one_engine(t) {
        let db = with_difficult_values(t);
        let there = t.another();
        run(t, &there, Existing::Refuse).unwrap();
        assert_eq!(contents(&there.db()), contents(&db));
    }

    fn digests_differ_when_rows_differ(t) {
        let db = t.db();
        seed(&db);
        let there = other_engine(t);
        let before = run(t, &there, Existing::Refuse).unwrap();
        execute(&db, "UPDATE analytics SET view_count = 1");
        let after = run(t, &there, Existing::Replace).unwrap();
        let different: Vec<String> = digests(&before).into_iter().zip(digests(&after)).filter(|(a, b)| a != b).map(|(a, _)| a.0).collect();
        assert_eq!(different, ["analytics"]);
    }

    fn empty_database_can_be_transferred(t) {
        t.db();
        let there = other_engine(t);
        let report = run(t, &there, Existing::Refuse).unwrap();
        assert_eq!((report.rows, report.tables.len()), (0, 27));
        assert!(report.tables.iter().all(|table| table.digest == "0".repeat(32)));
    }

    fn new_rows_get_ids_after_all_earlier_ones(t) {
        let db = t.db();
        seed(&db);
        // One table has lost its last rows, one has an explicit id, and one has no rows.
        execute(&db, "INSERT INTO jobs (status) VALUES ('pending'); INSERT INTO jobs (status) VALUES ('pending'); DELETE FROM jobs WHERE id > 1;
            INSERT INTO trends (id, platform, external_id) VALUES (70, 'tiktok', 'z'); DELETE FROM job_videos");
        let there = other_engine(t);
        run(t, &there, Existing::Refuse).unwrap();
        let target = there.db();
        execute(&target, "INSERT INTO jobs (status) VALUES ('failed'); INSERT INTO trends (platform, external_id) VALUES ('tiktok', 'new');
            INSERT INTO job_videos (status) VALUES ('generated'); INSERT INTO viraldb_config_changes (changed_by, key, layer) VALUES ('a', 'b', 'system')");
        let last = |table: &str| target.read(|c| Ok(make::query(c, &format!("SELECT CAST(max(id) AS text) AS v FROM {table}")))).unwrap().remove(0);
        assert_eq!([last("jobs"), last("trends"), last("job_videos"), last("viraldb_config_changes")], ["4", "71", "2", "1"]);
    }

    fn encrypted_values_can_be_decrypted_after_a_transfer(t) {
        let db = t.db();
        seed(&db);
        let keyring = Keyring::new([Key::generate().unwrap()]);
        let channel = db.read(|c| Ok(viraldb::republishing::Channel::list(c, &Default::default(), &viraldb::Page::first(1))?.remove(0).id)).unwrap();
        let places = [Place::ChannelCredentials(channel), Place::ChannelGithubKey(channel), Place::Setting("youtube.api_key".to_owned())];
        for place in &places {
            db.write(|c| secrets::set(c, &keyring, place, &secrets::Secret::from(format!("planted {place}")))).unwrap();
        }
        let there = other_engine(t);
        run(t, &there, Existing::Refuse).unwrap();
        for place in &places {
            let secret = there.db().read(|c| secrets::get(c, &keyring, place)).unwrap();
            assert_eq!(secret.reveal(), format!("planted {place}"));
        }
        let verified = secrets::verify(&there.db(), &keyring, &mut |failure| panic!("{failure:?}"));
        // The plain-text credentials of the seeded row were replaced by encrypted ones, so all three values decrypt.
        assert_eq!(verified.unwrap().opened, 3);
        let status = there.db().read(|c| secrets::status(c, &keyring)).unwrap();
        assert_eq!(status.keys.iter().map(|key| key.values).sum::<u64>(), 3);
    }

    fn concurrent_writes_are_not_transferred(t) {
        let db = t.db();
        insert_many(t, &db, 100);
        let there = other_engine(t);
        let (writer, mut written) = (t.db(), 0);
        let report = transfer(&t.url, &there.url, &Options { batch: 10, ..Default::default() }, &mut |_| {
            written += 1;
            execute(&writer, &format!("INSERT INTO analytics (youtube_video_id) VALUES ('late'); UPDATE discovered_videos SET title = 'late {written}'"));
        })
        .unwrap();
        assert!(written > 20, "{written}");
        assert_eq!(report.rows, 200);
        let late = "SELECT CAST(count(*) AS text) AS v FROM discovered_videos WHERE title LIKE 'late%'";
        assert_eq!(there.db().read(|c| Ok(make::query(c, late))).unwrap(), ["0"]);
    }

    fn defaults_of_init_do_not_block_a_transfer(t) {
        let db = t.db();
        seed(&db);
        let there = other_engine(t);
        let count = there.db().write(set_default_configs).unwrap();
        assert!(count > 5, "{count}");
        run(t, &there, Existing::Refuse).unwrap();
        assert_eq!(contents(&there.db()), contents(&db));
        // A changed setting does count as a row.
        let other = other_engine(t);
        other.db().write(set_default_configs).unwrap();
        let value = if other.is_postgres { "'5'::jsonb" } else { "'5'" };
        execute(&other.db(), &format!("UPDATE system_configuration SET value = {value} WHERE key = (SELECT min(key) FROM system_configuration)"));
        let error = run(t, &other, Existing::Refuse).unwrap_err().to_string();
        assert!(error.contains("system_configuration (1);"), "{error}");
    }
}

both! {
    fn memory_does_not_grow_with_the_rows(t) {
        let peak = |from: &Scratch, count: u32| {
            let (db, to) = (from.db(), other_engine(from));
            insert_many(from, &db, count);
            execute(&db, &format!("UPDATE discovered_videos SET title = '{}'", "x".repeat(20_000)));
            let (peak, out) = measure(from, &to);
            assert!(out.contains(&format!("{} rows", 2 * count)), "{out}");
            peak
        };
        // Both sizes are large enough to fill the page caches and the pending batches.
        let few = peak(&t.another(), 6_000);
        let many = peak(t, 14_000);
        assert!(many < few + 32 * 1024, "{few} KiB for 120 MB and {many} KiB for 280 MB");
    }
}

/// Transfers in a separate process. Returns its peak memory in KiB and its stdout.
fn measure(from: &Scratch, to: &Scratch) -> (u64, String) {
    let mut command = from.command(&["transfer", "--from", &from.url, "--to", &to.url]);
    let mut child = command.stdout(std::process::Stdio::piped()).spawn().unwrap();
    let mut peak = 0;
    while child.try_wait().unwrap().is_none() {
        let status = std::fs::read_to_string(format!("/proc/{}/status", child.id())).unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        peak = line.and_then(|line| line.trim().trim_end_matches(" kB").parse().ok()).unwrap_or(peak);
        std::thread::sleep(std::time::Duration::from_millis(2));
    }
    (peak, String::from_utf8(child.wait_with_output().unwrap().stdout).unwrap())
}

/// PostgreSQL stores negative zero, NaN and infinite timestamps, and a transfer to PostgreSQL keeps them.
#[cfg(feature = "postgres")]
#[test]
fn negative_zero_nan_and_infinity_survive_between_servers() {
    let (from, to) = (Scratch::postgres(), Scratch::postgres());
    let db = from.db();
    execute(
        &db,
        "INSERT INTO analytics (youtube_video_id, click_through_rate, estimated_revenue_usd, measured_at) VALUES ('a', '-0', 'NaN', '-infinity')",
    );
    run(&from, &to, Existing::Refuse).unwrap();
    let kept = to.db().read(|c| Ok(make::query(c, "SELECT concat_ws(' ', click_through_rate, estimated_revenue_usd, measured_at) AS v FROM analytics"))).unwrap();
    assert_eq!(kept, ["-0 NaN -infinity"]);
}

/// SQLite stores timestamps with fewer digits, and JSON documents in any format.
#[cfg(all(feature = "sqlite", feature = "postgres"))]
#[test]
fn sqlite_formats_are_converted_for_postgresql() {
    let (from, to) = (Scratch::sqlite(), Scratch::postgres());
    let db = from.db();
    execute(
        &db,
        r#"INSERT INTO system_configuration (key, value) VALUES ('bare', 'some "text"'), ('number', '5'), ('string', '"5"');
           INSERT INTO jobs (metadata, created_at) VALUES (' {"b":1,"a":[1.10,1e2],"b":2} ', '2026-01-01 00:00:00'), ('1e400', '2026-01-01 00:00:00.5')"#,
    );
    run(&from, &to, Existing::Refuse).unwrap();
    let values = to
        .db()
        .read(|c| {
            Ok(make::query(c, "SELECT key || ' ' || value::text AS v FROM system_configuration ORDER BY key"))
        })
        .unwrap();
    assert_eq!(values, [r#"bare "some \"text\"""#, "number 5", r#"string "5""#]);
    let jobs = to
        .db()
        .read(|c| Ok(make::query(c, "SELECT left(metadata::text, 30) AS v FROM jobs ORDER BY id")))
        .unwrap();
    assert_eq!(jobs[0], r#"{"a": [1.10, 100], "b": 2}"#);
    assert!(jobs[1].starts_with("10000"), "{jobs:?}");
    let at = to
        .db()
        .read(|c| {
            Ok(make::query(
                c,
                "SELECT to_char(created_at, 'YYYY-MM-DD HH24:MI:SS.US') AS v FROM jobs ORDER BY id",
            ))
        })
        .unwrap();
    assert_eq!(at, ["2026-01-01 00:00:00.000000", "2026-01-01 00:00:00.500000"]);
}
