//! Tests of the models of the generation domain.

use serde_json::json;
use viraldb::generation::*;
use viraldb::{DbConnection, Json, Page};

use super::{Model, check_all_operations, conflict, each_change, model, not_found, orphan};
use crate::make::{self, at};
use crate::support::both;

model!("jobs", Job, NewJob<'static>, JobFilter, number JobId, JobChanges { stage: None });
model!("trends", Trend, NewTrend<'static>, TrendFilter, number TrendId, TrendChanges { views: None });
model!("job_scripts", JobScript, NewJobScript<'static>, JobScriptFilter, number JobScriptId,
    JobScriptChanges { title: None });
model!("job_videos", JobVideo, NewJobVideo<'static>, JobVideoFilter, number JobVideoId,
    JobVideoChanges { cost_usd: None });

both! {
    fn jobs_support_all_operations(t) {
        let db = t.db();
        let filter = JobFilter { status: Some(JobStatus::Running) };
        let fits = |_: &mut DbConnection, _| NewJob { status: Some(JobStatus::Running), ..make::job() };
        check_all_operations::<Job>(&db, JobId(404), &filter, fits, |_| make::job());
    }

    fn job_changes_update_one_column_each(t) {
        each_change!(t.db(),
            full |_| NewJob {
                id: Some(JobId(1000)), status: Some(JobStatus::Running), stage: Some("s".into()), theme: Some("t".into()),
                created_at: Some(at(1)), updated_at: Some(at(2)), error_message: Some("e".into()),
                metadata: Some(Json(json!({"a": 1}))),
            },
            Job by |row| row.id, JobChanges, moves updated_at,
            set { status: JobStatus::Failed }
            null { stage: "x", theme: "y", error_message: "z", metadata: Json(json!([])) }
        );
    }

    fn trends_support_all_operations(t) {
        let db = t.db();
        let filter = TrendFilter { platform: Some(Platform::Youtube) };
        let fits = |_: &mut DbConnection, _| NewTrend { platform: Platform::Youtube, ..make::trend() };
        check_all_operations::<Trend>(&db, TrendId(404), &filter, fits, |_| make::trend());

        let new = make::trend();
        let row = db.write(|c| new.insert(c)).unwrap();
        assert_eq!(db.read(|c| Trend::find_by_external_id(c, &new.external_id)).unwrap(), row);
        not_found(db.read(|c| Trend::find_by_external_id(c, "no")), "trends", "no");
        conflict(db.write(|c| new.insert(c)), "trends", "trends_external_id_key");
    }

    fn trend_changes_update_one_column_each(t) {
        each_change!(t.db(),
            full |_| NewTrend {
                id: Some(TrendId(1000)), platform: Platform::Tiktok, external_id: "e".into(), title: Some("t".into()),
                creator: Some("c".into()), hashtags: Some(Json(json!(["#a"]))), views: Some(3_000_000_000),
                likes: Some(3_000_000_001), comments: Some(3_000_000_002), shares: Some(3_000_000_003),
                video_url: Some("u".into()), thumbnail_url: Some("v".into()), collected_at: Some(at(1)),
                metadata: Some(Json(json!({"a": 1}))),
            },
            Trend by |row| row.id, TrendChanges,
            set { platform: Platform::Youtube, external_id: "f", collected_at: at(2) }
            null {
                title: "x", creator: "y", hashtags: Json(json!([])), views: 1, likes: 2, comments: 3, shares: 4,
                video_url: "w", thumbnail_url: "z", metadata: Json(json!(null)),
            }
        );
    }

    fn older_trend_data_fills_in_counts_and_keeps_the_collection_time(t) {
        let db = t.db();
        let trend = make::trend();
        let before = db.write(|c| NewTrend { likes: Some(2), ..trend.clone() }.insert_or_update(c)).unwrap();
        let again = NewTrend { views: Some(99), collected_at: Some(at(1)), ..trend };
        let after = db.write(|c| again.insert_or_update(c)).unwrap();
        assert_eq!(after, make::changed(&before, |row| row.views = Some(99)));
        let upserted = db.write(|c| NewTrend::insert_or_update_many(c, &[again])).unwrap();
        assert_eq!((upserted.new, upserted.updated, upserted.unchanged), (0, 0, 1));
    }

    fn most_viewed_trends_come_first(t) {
        let db = t.db();
        let trend = |external_id, views| NewTrend { external_id, views, ..make::trend() };
        let rows = [
            trend("unknown".into(), None),
            trend("few".into(), Some(0)),
            trend("many".into(), Some(5_000_000_000)),
            trend("some, first".into(), Some(7)),
            trend("some, second".into(), Some(7)),
            NewTrend { platform: Platform::Youtube, ..trend("elsewhere".into(), Some(9)) },
        ];
        db.write(|c| NewTrend::insert_many(c, &rows)).unwrap();
        let ids = |limit| {
            let rows = db.read(|c| Trend::most_viewed(c, Platform::Tiktok, limit)).unwrap();
            rows.into_iter().map(|row| row.external_id).collect::<Vec<_>>()
        };
        assert_eq!(ids(100), ["many", "some, first", "some, second", "few", "unknown"]);
        assert_eq!(ids(1), ["many"]);
    }

    fn job_scripts_support_all_operations(t) {
        let db = t.db();
        let job = db.write(|c| Ok(make::job_id(c))).unwrap();
        let filter = JobScriptFilter { job_id: Some(job) };
        let fits = |_: &mut DbConnection, _| NewJobScript { job_id: Some(job), ..make::job_script() };
        check_all_operations::<JobScript>(&db, JobScriptId(404), &filter, fits, |_| make::job_script());
        let ids: Vec<_> = db.read(|c| JobScript::of_job(c, job)).unwrap().iter().map(|script| script.id).collect();
        assert!(ids.is_sorted() && ids.len() == 7, "{ids:?}");
        orphan::<JobScript>(&db, |_| NewJobScript { job_id: Some(JobId(404)), ..make::job_script() });
    }

    fn job_script_changes_update_one_column_each(t) {
        let db = t.db();
        let other_job = db.write(|c| Ok(make::job_id(c))).unwrap();
        each_change!(db,
            full |c| NewJobScript {
                id: Some(JobScriptId(1000)), job_id: Some(make::job_id(c)), text_overlays: Some(Json(json!([{"t": 1}]))),
                voiceover_script: Some("v".into()), title: Some("t".into()), description: Some("d".into()),
                hashtags: Some(Json(json!(["#a"]))), created_at: Some(at(1)), ..make::job_script()
            },
            JobScript by |row| row.id, JobScriptChanges,
            set { video_prompt: "a dog", scenes: Json(json!([{"s": 1}])) }
            null {
                job_id: other_job, text_overlays: Json(json!([])), voiceover_script: "w", title: "u", description: "e",
                hashtags: Json(json!({})),
            }
        );
    }

    fn job_videos_support_all_operations(t) {
        let db = t.db();
        let job = db.write(|c| Ok(make::job_id(c))).unwrap();
        let filter = JobVideoFilter { job_id: Some(job), status: Some(JobVideoStatus::Approved) };
        let fits = |_: &mut DbConnection, _| NewJobVideo {
            job_id: Some(job), status: Some(JobVideoStatus::Approved), ..make::job_video()
        };
        check_all_operations::<JobVideo>(&db, JobVideoId(404), &filter, fits, |_| make::job_video());
        let half = db
            .write(|c| Ok([NewJobVideo { status: None, ..fits(c, 0) }, NewJobVideo { job_id: None, ..fits(c, 0) }]))
            .unwrap();
        db.write(|c| NewJobVideo::insert_many(c, &half)).unwrap();
        assert_eq!(db.read(|c| JobVideo::list(c, &filter, &Page::first(100))).unwrap().len(), 7);
        let ids: Vec<_> = db.read(|c| JobVideo::of_job(c, job)).unwrap().iter().map(|video| video.id).collect();
        assert!(ids.is_sorted() && ids.len() == 8, "{ids:?}");
        orphan::<JobVideo>(&db, |_| NewJobVideo { job_id: Some(JobId(404)), ..make::job_video() });
        orphan::<JobVideo>(&db, |_| NewJobVideo { script_id: Some(JobScriptId(404)), ..make::job_video() });
    }

    fn job_video_changes_update_one_column_each(t) {
        let db = t.db();
        let other_job = db.write(|c| Ok(make::job_id(c))).unwrap();
        let other_script = db.write(|c| Ok(make::job_script_id(c))).unwrap();
        each_change!(db,
            full |c| NewJobVideo {
                id: Some(JobVideoId(1000)), job_id: Some(make::job_id(c)), script_id: Some(make::job_script_id(c)),
                status: Some(JobVideoStatus::Approved), file_path: Some("a.mp4".into()), thumbnail_path: Some("a.png".into()),
                duration_seconds: Some(8.5), cost_usd: Some(0.25), created_at: Some(at(1)), approved_at: Some(at(2)),
                published_at: Some(at(3)), published_url: Some("u".into()), metadata: Some(Json(json!({"a": 1}))),
            },
            JobVideo by |row| row.id, JobVideoChanges,
            set { status: JobVideoStatus::Rejected }
            null {
                job_id: other_job, script_id: other_script, file_path: "b.mp4", thumbnail_path: "b.png",
                duration_seconds: 1.0, cost_usd: 2.0, approved_at: at(8), published_at: at(9), published_url: "v",
                metadata: Json(json!([])),
            }
        );
    }
}
