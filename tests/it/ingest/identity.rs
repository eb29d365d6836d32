//! Tests of rows whose `id` belongs to another row, as in an export of another database.

use serde_json::{Value, json};

use super::*;
use crate::make;

fn of(table: &'static str) -> Options<'static> {
    Options { format: Some(Format::Jsonl), table: Some(table), ..Default::default() }
}

fn video(id: i64, video_id: &str, views: i64) -> String {
    let video = json!({"id": id, "video_id": video_id, "title": "t", "channel_name": "c", "channel_id": "d", "url": "u",
        "niche": "gaming", "view_count": views});
    format!("{video}\n")
}

/// Returns the id, the video id and the views of each video.
fn videos(db: &Database) -> Vec<(i64, String, Option<i64>)> {
    let mut videos: Vec<_> =
        everything(db).0.into_iter().map(|v| (v.id.0, v.video_id, v.view_count)).collect();
    videos.sort();
    videos
}

/// Returns the tables whose ids are numbers. Each one has a row of another database with the id of the row of
/// [`make::seed`], the columns in which the two differ, and a column that may change.
fn foreign_rows() -> Vec<(&'static str, Value, &'static [&'static str], &'static str, Value)> {
    let later = "2026-02-03T04:05:06.789Z";
    vec![
        ("discovered_videos", json!({"video_id": "other"}), &["video_id"], "title", json!("x")),
        ("trends", json!({"external_id": "other"}), &["external_id"], "views", json!(9)),
        (
            "pipeline_runs",
            json!({"cycle_start": later, "cycle_end": later}),
            &["cycle_start"],
            "status",
            json!("failed"),
        ),
        ("clips", json!({"discovered_video_id": 2}), &["discovered_video_id"], "rank_position", json!(7)),
        ("scripts", json!({"generated_at": later}), &["generated_at"], "opening_text", json!("x")),
        ("tts_audio", json!({"pipeline_run_id": 2}), &["pipeline_run_id"], "voice_profile", json!("x")),
        ("shorts", json!({"pipeline_run_id": 2}), &["pipeline_run_id"], "title", json!("x")),
        (
            "analytics",
            json!({"youtube_video_id": "other", "measured_at": later}),
            &["youtube_video_id", "measured_at"],
            "view_count",
            json!(9),
        ),
        ("review_log", json!({"sent_at": later}), &["sent_at"], "response_detail", json!("x")),
        ("error_log", json!({"module": "other"}), &["module"], "resolved", json!(true)),
        ("jobs", json!({"created_at": later}), &["created_at"], "theme", json!("x")),
        ("job_scripts", json!({"created_at": later}), &["created_at"], "title", json!("x")),
        ("job_videos", json!({"created_at": later}), &["created_at"], "file_path", json!("x")),
    ]
}

both! {
    fn an_id_of_another_row_never_overwrites_it_in_any_table(t) {
        let db = t.db();
        db.write(make::seed).unwrap();
        db.write(|c| make::execute(c, "INSERT INTO discovered_videos (video_id, title, channel_name, channel_id, url, niche) VALUES ('b', 'b', 'c', 'd', 'e', 'f');
            INSERT INTO pipeline_runs (niche, cycle_start, cycle_end) VALUES ('b', '2026-01-01 00:00:00', '2026-01-01 00:00:00')")).unwrap();
        for (table, foreign, differing, changed, value) in foreign_rows() {
            let rows = |c: &mut viraldb::DbConnection| Ok(make::rows(c, table));
            let before = db.read(rows).unwrap();
            let stored = before.iter().find(|row| row["id"] == 1).unwrap().clone();
            let with = |more: &Value| {
                let mut row = stored.clone();
                row.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
                row
            };
            let (report, rejects) = read(&db, format!("{}\n{stored}\n", with(&foreign)), &of(table));
            // On SQLite, a time that another program wrote becomes a time as viraldb writes it.
            assert_eq!((report.new, report.updated + report.unchanged, report.rejected), (0, 1, 1), "{table}: {rejects:?}");
            assert_eq!((rejects[0].line, &rejects[0].row["id"]), (1, &json!(1)), "{table}");
            let reason = &rejects[0].reason;
            assert!(reason.starts_with("id 1 belongs to another row in this database ("), "{table}: {reason}");
            for column in differing {
                let differ = format!("{column} {}, not {}", stored[*column], foreign[*column]);
                assert!(reason.contains(&differ), "{table}: {reason} lacks {differ}");
            }
            assert_eq!(reason.matches(", not ").count(), differing.len(), "{table}: {reason}");
            assert!(reason.contains("remove \"id\"") && reason.ends_with("copy a whole database with `viraldb transfer`"), "{reason}");
            assert_eq!(db.read(rows).unwrap(), before, "{table}");
            // The same row may still change.
            let (report, rejects) = read(&db, with(&json!({changed: value})).to_string(), &of(table));
            assert_eq!(counts(&report), (1, 0, 1, 0), "{table}: {rejects:?}");
        }
        let numbered: Vec<&str> = foreign_rows().iter().map(|(table, ..)| *table).collect();
        for contract in make::contract() {
            assert_eq!(numbered.contains(&contract.table), contract.defaults["id"].is_number(), "{}", contract.table);
        }
    }

    fn videos_of_another_database_are_matched_by_video_id(t) {
        let db = t.db();
        read(&db, video(1, "a", 1) + &video(2, "b", 1), &of("discovered_videos"));
        // "b" has another id there, 1 is another video, and 9 is free.
        let file = video(1, "c", 5) + &video(7, "b", 5) + &video(9, "d", 5) + &video(2, "e", 5);
        let (report, mut rejects) = read(&db, &file, &of("discovered_videos"));
        rejects.sort_by_key(|reject| reject.line);
        assert_eq!(counts(&report), (4, 1, 1, 2), "{rejects:?}");
        assert_eq!(rejects.iter().map(|reject| reject.line).collect::<Vec<_>>(), [1, 4]);
        assert_eq!(
            rejects[0].reason,
            "id 1 belongs to another row in this database (video_id \"a\", not \"c\"); each database assigns its own ids, so \
             remove \"id\" to match the rows by video_id, or copy a whole database with `viraldb transfer`"
        );
        let expected = |id, name: &str, views| (id, name.to_owned(), Some(views));
        assert_eq!(videos(&db), [expected(1, "a", 1), expected(2, "b", 5), expected(9, "d", 5)]);
        let (report, _) = read(&db, &file, &of("discovered_videos"));
        assert_eq!((report.new, report.updated, report.unchanged, report.rejected), (0, 0, 2, 2), "again");
        let without_ids = file.replace("\"id\":", "\"category_id\":");
        let (report, _) = read(&db, without_ids, &of("discovered_videos"));
        assert_eq!((report.new, report.updated, report.rejected), (2, 2, 0), "without ids");
        // Ids that were given are not assigned again.
        assert!(db.write(|c| make::discovered_video().insert(c)).unwrap().id.0 > 9);

        let strict = Options { strict: true, ..of("discovered_videos") };
        let error = ingest(&db, "in", video(1, "z", 5).as_bytes(), &strict, &mut |_| Ok(())).unwrap_err().to_string();
        assert!(error.contains("in line 1: id 1 belongs to another row"), "{error}");
        let (report, _) = read(&db, video(1, "z", 5), &Options { dry_run: true, ..of("discovered_videos") });
        assert_eq!(counts(&report), (1, 0, 0, 1));
    }

    fn an_id_that_occurs_twice_in_a_file_is_used_once(t) {
        for apart in [false, true] {
            let db = t.db();
            db.write(|c| make::execute(c, "DELETE FROM discovered_videos; DELETE FROM jobs")).unwrap();
            // Enough rows that the second occurrence is in another batch.
            let between = |row: &dyn Fn(i64) -> String| (100..if apart { 12_000 } else { 100 }).map(row).collect::<String>();
            let file = video(5, "a", 1) + &video(6, "a", 2) + &between(&|n| video(n, &format!("v{n}"), 1)) + &video(5, "b", 3) + &video(6, "c", 4);
            let (report, rejects) = read(&db, file, &of("discovered_videos"));
            assert_eq!((report.new, report.rejected), (report.rows - 2, 1), "{rejects:?}");
            assert_eq!(["a", "c"].map(|id| (find(&db, id).id.0, find(&db, id).view_count)), [(5, Some(2)), (6, Some(4))]);
            assert!(rejects[0].reason.contains("video_id \"a\", not \"b\""), "{rejects:?}");

            let job = |id: i64, day: i64, theme: &str| format!("{}\n", json!({"id": id, "theme": theme, "created_at": format!("2026-01-{day:02}")}));
            let file = job(5, 1, "a") + &between(&|n| job(n, 1, "x")) + &job(5, 2, "b") + &job(5, 1, "c");
            let (report, rejects) = read(&db, file, &of("jobs"));
            assert_eq!((report.new, report.rejected), (report.rows - 2, 1), "{rejects:?}");
            assert_eq!(db.read(|c| Job::find(c, 5.into())).unwrap().theme.as_deref(), Some("c"));
        }
    }

    fn times_of_other_programs_identify_their_rows(t) {
        let db = t.db();
        let times = ["2026-03-01 00:00:00", "2026-03-01 00:00:00.5", "2026-03-01 00:00:00.123456"];
        for time in times {
            db.write(|c| make::execute(c, &format!("INSERT INTO jobs (created_at) VALUES ('{time}')"))).unwrap();
        }
        let jobs = db.read(|c| Job::list(c, &JobFilter::default(), &Page::first(10))).unwrap();
        let lines: String = jobs.iter().map(|job| serde_json::to_string(job).unwrap() + "\n").collect();
        let (report, rejects) = read(&db, lines.replace("\"theme\":null", "\"theme\":\"x\""), &of("jobs"));
        assert_eq!(counts(&report), (3, 0, 3, 0), "{rejects:?}");
        let (report, _) = read(&db, lines.replace("00:00:00", "00:00:01"), &of("jobs"));
        assert_eq!(counts(&report), (3, 0, 0, 3));
    }

    fn a_row_that_does_not_say_what_it_is_changes_the_row_with_its_id(t) {
        let db = t.db();
        db.write(|c| NewJob::default().insert(c)).unwrap();
        let (report, _) = read(&db, r#"{"id":1,"theme":"x"}"#, &of("jobs"));
        assert_eq!(counts(&report), (1, 0, 1, 0));
    }

    fn an_older_trend_of_another_database_only_fills_in_values(t) {
        let db = t.db();
        let trend = |id: i64, day, views: i64, more: &str| format!(r#"{{"id":{id},"platform":"tiktok","external_id":"e","views":{views},"collected_at":"2026-01-0{day}"{more}}}"#);
        read(&db, trend(3, 4, 40, ""), &of("trends"));
        let (report, rejects) = read(&db, trend(8, 2, 20, r#","likes":2"#), &of("trends"));
        assert_eq!(counts(&report), (1, 0, 1, 0), "{rejects:?}");
        let found = db.read(|c| Trend::find_by_external_id(c, "e")).unwrap();
        assert_eq!((found.id.0, found.views, found.likes), (3, Some(40), Some(2)));
    }
}
